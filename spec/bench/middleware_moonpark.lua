-- SPDX-License-Identifier: MIT
-- The HTTP server with the middleware that a service in production has, and one path parameter.
--
-- usage: luajit middleware_moonpark.lua ADDRESS; logs each request to the standard output.

local http = require "moonpark.http"

local app = http.router()

app:use(http.request_id())
app:use(http.logger())
app:use(http.secure_headers())
app:use(http.cors { origins = { "https://app.example.com" } })
app:use(function(_, res, next)
  res:set("X-Served-By", "benchmark")
  return next()
end)
app:get("/hello/:name", function(req, res) res:send("Hello, " .. req.params.name .. "!") end)

assert(http.serve(app, { address = arg[1], idle_timeout = 3600 }))

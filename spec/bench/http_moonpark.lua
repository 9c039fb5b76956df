-- SPDX-License-Identifier: MIT
-- The HTTP server that is measured: what a user would write, with its routes.
--
-- usage: luajit http_moonpark.lua [FOLDER [UPSTREAM [CERT KEY]]]; prints "listening PORT" on stdout. FOLDER is served
-- under /files/, and all else comes from UPSTREAM, host:port; either may be "". With CERT and KEY it speaks TLS.

local http = require "moonpark.http"

local folder, upstream, cert, key = arg[1], arg[2], arg[3], arg[4]
local app = http.router()

app:get("/hello", function(_, res) res:send("Hello, World!") end)
app:get("/hello/:name", function(req, res) res:send("Hello, " .. req.params.name .. "!") end)
app:get("/json", function(_, res) res:json { message = "Hello, World!" } end)
app:get("/users/:id", function(req, res)
  res:json {
    id = req.params.id,
    page = req.query.page,
    language = req.headers["accept-language"],
    session = req.cookies.session,
    scores = { 3, 14, 159 },
  }
end)
app:post("/form", function(req, res)
  local fields, err = req:form()
  if not fields then return res:refuse(err) end
  res:json(fields)
end)
app:post("/echo", function(req, res) res:send(req:body()) end)
if folder and folder ~= "" then app:get("/files/*path", http.static(folder)) end
if upstream and upstream ~= "" then app:any("/*path", http.proxy("http://" .. upstream)) end

assert(http.serve(app, {
  address = "127.0.0.1:0",
  idle_timeout = 3600,
  tls = cert and { cert = cert, key = key, ciphersuites = "TLS_AES_128_GCM_SHA256" },
  on_listen = function(server)
    print("listening " .. server:address():match(":(%d+)$"))
    io.stdout:flush()
  end,
}))

-- SPDX-License-Identifier: MIT
-- A server each of whose routes does one thing more than answer a text: what handlers do, priced one by one.
--
-- usage: luajit costs_moonpark.lua [limits]; prints "listening PORT" on stdout. With "limits" it sets moonpark.limits.

local http = require "moonpark.http"
local moonpark = require "moonpark"

if arg[1] == "limits" then moonpark.limits { slice = 0.1, limit = 5, stuck = 30 } end

local app = http.router()

local function answer(_, res) return res:send("Hello, World!") end

-- path = what its handler does before it answers
local routes = {
  ["/text"] = function() end,
  ["/param/:name"] = function(req) return req.params.name end,
  ["/query"] = function(req) return req.query.page end,
  ["/header"] = function(req) return req.headers["accept-language"] end,
  ["/cookie"] = function(req) return req.cookies.session end,
  ["/address"] = function(req) return req.address end,
  ["/set"] = function(_, res) res:set("X-Served-By", "benchmark") end,
  ["/set5"] = function(_, res)
    res:set("X-First", "1"):set("X-Second", "2"):set("X-Third", "3"):set("X-Fourth", "4"):set("X-Fifth", "5")
  end,
  ["/timer"] = function() moonpark.timeout(10, function() end) end,
  ["/task"] = function() moonpark.go(function() end):join() end,
  ["/sleep"] = function() moonpark.yield() end,
}
for path, act in pairs(routes) do
  app:get(path, function(req, res)
    act(req, res)
    return answer(req, res)
  end)
end
app:get("/json", function(_, res) res:json { id = 42, name = "widget", price = 9.5, tags = { 1, 2, 3 }, ok = true } end)

local function behind(path, ...)
  local inner = http.router()
  for _, one in ipairs { ... } do inner:use(one) end
  app:get(path, inner:get(path, answer))
end

behind("/middleware", function(_, _, next) return next() end)
behind("/before", http.compress())
behind("/request-id", http.request_id())
behind("/secure", http.secure_headers())
behind("/logger", http.logger { write = function() end })

assert(http.serve(app, {
  address = "127.0.0.1:0",
  idle_timeout = 3600,
  on_listen = function(server)
    print("listening " .. server:address():match(":(%d+)$"))
    io.stdout:flush()
  end,
}))

-- SPDX-License-Identifier: MIT
-- load-balancer.lua - an HTTP server in front of several others: asks the least busy one that is well, limits what each
-- client may ask, and shows how the others are.
--
--   luajit examples/load-balancer.lua LISTEN ADMIN TARGET...      or: moonpark examples/load-balancer.lua ...
--
-- For example: load-balancer.lua 127.0.0.1:8080 127.0.0.1:8081 http://127.0.0.1:9001 http://127.0.0.1:9002, then
--
--   curl http://127.0.0.1:8080/                                        an answer of one of them
--   curl http://127.0.0.1:8081/targets                                 how they are, as JSON
--   curl -X POST -d http://127.0.0.1:9003 http://127.0.0.1:8081/targets           one more
--   curl -X DELETE 'http://127.0.0.1:8081/targets?name=http://127.0.0.1:9001'     one less: answers when it is idle
--
-- Whoever can reach ADMIN can change the targets: leave it on a loopback address or a unix socket.

local moonpark = require "moonpark"
local http = require "moonpark.http"

local USAGE = [[
usage: load-balancer.lua LISTEN ADMIN TARGET...      passes HTTP requests to LISTEN on to one of the targets
LISTEN, ADMIN: host:port or unix:/path; port 0 picks a free one. TARGET: http://host:port[/path] or unix:/path]]

local RATE, BURST = 500, 1000 -- requests of a client in a second, and at once
local GRACE = 30              -- seconds that a target's requests get when it is taken out

local function log(...) io.stderr:write("load-balancer: ", table.concat({ ... }), "\n") end

local function admin_of(proxy)
  local app = http.router()
  app:get("/targets", function(_, res) res:json_list(proxy:targets()) end)
  app:post("/targets", function(req, res)
    local name, err = proxy:add((req:body() or ""))
    if not name then return res:fail(err == "exists" and 409 or 400, err) end
    res.status = 201
    res:json { name = name }
  end)
  app:delete("/targets", function(req, res)
    local name = req.query.name or ""
    local ok, err = proxy:drain(name, GRACE)
    if err == "not found" then return res:fail(404) end
    proxy:remove(name)
    res:json { name = name, idle = ok == true }
  end)
  return app
end

local function listen(handler, address)
  local server, err = http.server(handler, { address = address, on_error = log })
  if not server then
    log("cannot listen on ", address, ": ", err)
    os.exit(1)
  end
  return server
end

local function main(address, admin_address, targets)
  -- a malformed target raises, but here it is the user's mistake, not the script's
  local made, proxy = pcall(http.proxy, targets, { balance = "least_connections", on_error = log,
    passive = { time = 2 }, check = { interval = 1, status = function(status) return status < 500 end } })
  if not made then
    log((tostring(proxy):gsub("^.-http%.proxy: ", "")))
    os.exit(2)
  end
  local app = http.router()
  app:use(http.rate_limit { rate = RATE, burst = BURST })
  app:any("/*", proxy)
  local front, admin = listen(app, address), listen(admin_of(proxy), admin_address)
  print("listening on " .. front:address())
  print("administration on " .. admin:address())
  io.stdout:flush()
  moonpark.go(function() admin:run() end)
  front:run()
end

if arg[1] == "--help" then return print(USAGE) end
if #arg < 3 then
  io.stderr:write(USAGE, "\n")
  os.exit(2)
end
moonpark.run(main, arg[1], arg[2], { unpack(arg, 3) })

-- SPDX-License-Identifier: MIT
-- reverse-proxy.lua - an HTTP server in front of another: streams both ways, and reuses its connections to the target.
--
--   luajit examples/reverse-proxy.lua LISTEN TARGET      or: moonpark examples/reverse-proxy.lua LISTEN TARGET
--
-- For example, with examples/hello.lua running: reverse-proxy.lua 127.0.0.1:8081 http://127.0.0.1:8080, and then
-- curl http://127.0.0.1:8081/hello/you. WebSockets pass too. If the target does not answer, the client
-- gets 502 or 504.

local moonpark = require "moonpark"
local http = require "moonpark.http"
local net = require "moonpark.net"

local USAGE = [[
usage: reverse-proxy.lua LISTEN TARGET      passes HTTP requests to LISTEN on to TARGET
LISTEN: host:port or unix:/path; port 0 picks a free one. TARGET: http://host:port[/path] or unix:/path]]

local function log(...) io.stderr:write("reverse-proxy: ", table.concat({ ... }), "\n") end

local function refuse(wrong)
  log(wrong)
  os.exit(2)
end

local function tell(server)
  print("listening on " .. server:address())
  io.stdout:flush()
end

local function main(address, target)
  local fine, wrong = net.check_address(address)
  if not fine then refuse(wrong) end
  -- a malformed target raises, but here it is the user's mistake, not the script's
  local made, proxy = pcall(http.proxy, target, { on_error = log })
  if not made then refuse((tostring(proxy):gsub("^.-http%.proxy: ", ""))) end
  local ok, err = http.serve(proxy, { address = address, on_error = log, on_listen = tell })
  if not ok and err ~= "canceled" then
    log("cannot listen on ", address, ": ", err)
    os.exit(1)
  end
end

if arg[1] == "--help" then return print(USAGE) end
if #arg ~= 2 then
  io.stderr:write(USAGE, "\n")
  os.exit(2)
end
moonpark.run(main, arg[1], arg[2])

-- SPDX-License-Identifier: MIT
-- proxy.lua - a relay in front of any server: each client gets a connection of its own to the target.
--
--   luajit examples/proxy.lua LISTEN TARGET      or: moonpark examples/proxy.lua LISTEN TARGET
--
-- For example, with examples/echo.lua running: proxy.lua 127.0.0.1:7003 127.0.0.1:7000, and then
-- nc 127.0.0.1 7003. Both may be TCP or unix sockets.
--
-- The end of one side is passed on as a half-close, so what the other side still sends comes through. If one
-- side fails, both connections are closed. A slow reader slows down its own sender only.

local moonpark = require "moonpark"
local net = require "moonpark.net"

local USAGE = [[
usage: proxy.lua LISTEN TARGET      relays connections to LISTEN to the server at TARGET
LISTEN, TARGET: host:port or unix:/path; port 0 as LISTEN picks a free one]]

local PATIENCE = 10 -- seconds for the target to accept

local function log(...) io.stderr:write("proxy: ", table.concat({ ... }), "\n") end

local function fail(...)
  log(...)
  os.exit(1)
end

local function relay(client, target)
  local from = client:peer_address() or "a client that has left"
  local server, err = net.dial(target, { timeout = PATIENCE })
  if not server then return log(from, ": cannot connect to ", target, ": ", err) end
  local there, why, _, sent, received = net.relay(client, server)
  server:close()
  if not there then
    log(("%s to %s: %s, after %d bytes there and %d back"):format(from, target, why, sent, received))
  end
end

local function main(address, target)
  for _, one in ipairs { address, target } do
    local fine, wrong = net.check_address(one)
    if not fine then
      log(wrong)
      os.exit(2)
    end
  end
  local listener, err = net.listen(address)
  if not listener then return fail("cannot listen on ", address, ": ", err) end
  print("listening on " .. listener:address())
  io.stdout:flush()
  listener:serve(function(client) relay(client, target) end)
end

if arg[1] == "--help" then return print(USAGE) end
if #arg ~= 2 then
  io.stderr:write(USAGE, "\n")
  os.exit(2)
end
moonpark.run(main, arg[1], arg[2])

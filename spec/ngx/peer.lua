-- SPDX-License-Identifier: MIT
-- peer.lua - a server that does what it is told: the first line of each connection is Lua, run with `conn` and `sleep`;
-- so is each datagram to the same port, with `reply`. Run by the moonpark command; prints its address.

local moonpark = require "moonpark"
local net = require "moonpark.net"

local listener = assert(net.listen(arg[1] or "127.0.0.1:0"))
local datagrams = assert(net.packet("udp:" .. listener:address()))
io.write(listener:address(), "\n")
io.flush()

moonpark.go(function()
  while true do
    local data, from = datagrams:recv_from()
    if not data then return end
    local told = loadstring(data)
    if told then setfenv(told, { reply = function(text) datagrams:send_to(text, from) end, rep = string.rep })() end
  end
end)

assert(listener:serve(function(conn)
  local line = conn:read_line()
  if not line then return end
  local told = assert(loadstring(line))
  setfenv(told, { conn = conn, sleep = moonpark.sleep, rep = string.rep })()
end))

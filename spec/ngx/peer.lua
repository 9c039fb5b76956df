-- SPDX-License-Identifier: MIT
-- peer.lua - a server that does what it is told: the first line of each connection is Lua, run with `conn` and `sleep`.
-- Run by the moonpark command; prints its address.

local moonpark = require "moonpark"
local net = require "moonpark.net"

local listener = assert(net.listen(arg[1] or "127.0.0.1:0"))
io.write(listener:address(), "\n")
io.flush()

assert(listener:serve(function(conn)
  local line = conn:read_line()
  if not line then return end
  local told = assert(loadstring(line))
  setfenv(told, { conn = conn, sleep = moonpark.sleep, rep = string.rep })()
end))

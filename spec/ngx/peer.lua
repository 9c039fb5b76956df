-- SPDX-License-Identifier: MIT
-- peer.lua - a server that does what it is told: the first line of each connection is Lua, run with `conn` and `sleep`;
-- so is each datagram to the same port, with `reply`. `tls(name, version)` goes on in TLS with that certificate of the
-- folder that the second argument names. Run by the moonpark command; prints its address.

local moonpark = require "moonpark"
local net = require "moonpark.net"
local tls = require "moonpark.tls"

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

local contexts = {}

local function context_of(name, version)
  local key = name .. version
  local path = ("%s/%s."):format(arg[2], name)
  contexts[key] = contexts[key] or assert(tls.server { cert = path .. "crt", key = path .. "key",
    max_version = version })
  return contexts[key]
end

assert(listener:serve(function(conn)
  local line = conn:read_line()
  if not line then return end
  local told = assert(loadstring(line))
  local function start(name, version) return conn:start_tls(context_of(name, version or "1.3")) end
  setfenv(told, { conn = conn, sleep = moonpark.sleep, rep = string.rep, tls = start, tostring = tostring })()
end))

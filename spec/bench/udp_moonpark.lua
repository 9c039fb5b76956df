-- SPDX-License-Identifier: MIT
-- The UDP echo on moonpark: one task, one datagram at a time.
--
-- usage: luajit udp_moonpark.lua; prints "listening PORT" on stdout when datagrams are welcome.

local moonpark = require "moonpark"
local net = require "moonpark.net"

moonpark.run(function()
  local socket = assert(net.packet("udp:127.0.0.1:0"))
  print("listening " .. socket:address():match(":(%d+)$"))
  io.stdout:flush()
  while true do
    local data, from = assert(socket:recv_from())
    assert(socket:send_to(data, from))
  end
end)

-- SPDX-License-Identifier: MIT
-- Serves one file with sendfile to whoever asks, with just as much HTTP as that needs.
--
-- usage: luajit fetch_moonpark.lua FILE; prints "listening PORT" on stdout.

local moonpark = require "moonpark"
local net = require "moonpark.net"

local path = assert(arg[1], "usage: fetch_moonpark.lua FILE")

local function size_of(name)
  local file = assert(io.open(name))
  local size = file:seek("end")
  file:close()
  return size
end

moonpark.run(function()
  local listener = assert(net.listen("127.0.0.1:0"))
  print("listening " .. listener:address():match(":(%d+)$"))
  io.stdout:flush()
  local head = ("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"):format(size_of(path))
  listener:serve(function(conn)
    while conn:read_until("\r\n\r\n") do
      assert(conn:write(head))
      assert(conn:sendfile(path))
    end
  end)
end)

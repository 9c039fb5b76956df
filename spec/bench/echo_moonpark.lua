-- SPDX-License-Identifier: MIT
-- The echo server on moonpark: a task for each connection.
--
-- usage: luajit echo_moonpark.lua [ADDRESS]; prints "listening PORT" on stdout when connections are welcome.

local moonpark = require "moonpark"
local net = require "moonpark.net"

local function echo(conn)
  while true do
    local data = conn:read()
    if not data then break end
    if not conn:write(data) then break end
  end
end

moonpark.run(function(address)
  local listener = assert(net.listen(address))
  print("listening " .. listener:address():match(":(%d+)$"))
  io.stdout:flush()
  listener:serve(echo)
end, arg[1] or "127.0.0.1:0")

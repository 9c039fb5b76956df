-- SPDX-License-Identifier: MIT
-- The peer of facade_moonpark.lua: writes lines of 80 bytes to each connection for ever, and drops what it is sent.

local moonpark = require "moonpark"
local net = require "moonpark.net"

local BLOCK = (("x"):rep(79) .. "\n"):rep(800)

moonpark.run(function()
  local listener = assert(net.listen "127.0.0.1:0")
  io.write("listening ", listener:address():match ":(%d+)$", "\n")
  io.flush()
  listener:serve(function(conn)
    local reader = moonpark.go(function() while conn:read() do end end)
    while conn:write(BLOCK) do end
    reader:cancel()
  end)
end)

-- SPDX-License-Identifier: MIT
-- echo.lua - sends back what it receives.
--
--   luajit examples/echo.lua [address]      or: moonpark examples/echo.lua [address]
--
-- Then, in another terminal: nc 127.0.0.1 7000, and type.
--
-- Every connection has a task of its own. conn:read() looks like a blocking call, but while there is no
-- data only this task waits; the others go on.

local moonpark = require "moonpark"
local net = require "moonpark.net"

local USAGE = [[
usage: echo.lua [address]      sends back what it receives
address: host:port or unix:/path; 127.0.0.1:7000 by default; port 0 picks a free one]]

local function echo(conn)
  local data = conn:read()
  while data and conn:write(data) do
    data = conn:read()
  end
end

local function main(address)
  local fine, wrong = net.check_address(address)
  if not fine then
    io.stderr:write("echo: ", wrong, "\n")
    os.exit(2)
  end
  local listener, err = net.listen(address)
  if not listener then
    io.stderr:write("echo: cannot listen on ", address, ": ", err, "\n")
    os.exit(1)
  end
  print("listening on " .. listener:address())
  io.stdout:flush()
  listener:serve(echo)
end

if arg[1] == "--help" then return print(USAGE) end
local address = arg[1] or "127.0.0.1:7000"
moonpark.run(main, address)

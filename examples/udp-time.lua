-- SPDX-License-Identifier: MIT
-- udp-time.lua - answers datagrams with the time.
--
--   luajit examples/udp-time.lua [address]      or: moonpark examples/udp-time.lua [address]
--
-- Then, in another terminal: echo | nc -u -w1 127.0.0.1 7037
--
-- A newline is answered by a line with the date and time of day (RFC 867, which leaves the format open). An empty
-- datagram is answered by four bytes (RFC 868): the seconds since 1900, the highest byte first. Anything else is not
-- answered; otherwise one forged datagram would keep two such servers busy with each other for ever.

local bit = require "bit"
local moonpark = require "moonpark"
local net = require "moonpark.net"

local USAGE = [[
usage: udp-time.lua [address]      answers datagrams with the time
address: udp:host:port or unixgram:/path; udp:127.0.0.1:7037 by default; port 0 picks a free one
a newline is answered by a line of text, an empty datagram by the four bytes of RFC 868]]

local SINCE_1900 = 2208988800 -- seconds from 1900 to 1970, RFC 868

local function as_number(now)
  local n = math.floor(now + SINCE_1900) % 2 ^ 32
  local high, low = math.floor(n / 65536), n % 65536
  return string.char(bit.rshift(high, 8), high % 256, bit.rshift(low, 8), low % 256)
end

local function as_text(now) return os.date("!%Y-%m-%dT%H:%M:%SZ\n", now) end

local answers = { [""] = as_number, ["\n"] = as_text, ["\r\n"] = as_text }

-- A datagram that cannot be answered (its sender is a unix socket without a name) does not stop the server.
local function serve(socket)
  while true do
    local question, from = socket:recv_from()
    if not question then return from end
    local answer = answers[question]
    if answer then socket:send_to(answer(moonpark.time()), from) end
  end
end

local function main(address)
  local fine, wrong = net.check_address(address, "datagram")
  if not fine then
    io.stderr:write("udp-time: ", wrong, "\n")
    os.exit(2)
  end
  local socket, err = net.packet(address)
  if not socket then
    io.stderr:write("udp-time: cannot listen on ", address, ": ", err, "\n")
    os.exit(1)
  end
  print("listening on " .. socket:address())
  io.stdout:flush()
  local why = serve(socket)
  if why == "canceled" then return end -- by a signal to the command, which sets the status
  io.stderr:write("udp-time: ", why, "\n")
  os.exit(1)
end

if arg[1] == "--help" then return print(USAGE) end
local address = arg[1] or "udp:127.0.0.1:7037"
moonpark.run(main, address)

-- SPDX-License-Identifier: MIT
-- udp-time.lua - tells the time to whoever asks by a datagram.
--
--   luajit examples/udp-time.lua [address]      or: moonpark examples/udp-time.lua [address]
--
-- Then, in another terminal: echo | nc -u -w1 127.0.0.1 7037
--
-- A line is asked by a newline and answered by a line: the date and time of day, as RFC 867 leaves it open. A datagram
-- of nothing is the question of RFC 868 and answered by four bytes: the seconds since 1900, the highest byte first.
-- Anything else is not answered: two such servers would else keep each other busy for ever with one forged datagram.

local bit = require "bit"
local moonpark = require "moonpark"
local net = require "moonpark.net"

local USAGE = [[
usage: udp-time.lua [address]      tells the time to whoever asks by a datagram
address: udp:host:port or unixgram:/path; udp:127.0.0.1:7037 where none is given; port 0 picks a free one
questions: a newline is answered by a line of text, a datagram of nothing by the four bytes of RFC 868]]

local SINCE_1900 = 2208988800 -- seconds from 1900 to 1970, RFC 868

local function as_number(now)
  local n = math.floor(now + SINCE_1900) % 2 ^ 32
  local high, low = math.floor(n / 65536), n % 65536
  return string.char(bit.rshift(high, 8), high % 256, bit.rshift(low, 8), low % 256)
end

local function as_text(now) return os.date("!%Y-%m-%dT%H:%M:%SZ\n", now) end

local answers = { [""] = as_number, ["\n"] = as_text, ["\r\n"] = as_text }

-- One datagram that cannot be answered (a unix sender without a name) is no reason to stop.
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

-- SPDX-License-Identifier: MIT
-- kv.lua - a key-value server that speaks Redis' protocol.
--
--   luajit examples/kv.lua [address]      or: moonpark examples/kv.lua [address]
--
-- Then, in another terminal: redis-cli -p 7002, and for example: set greeting hello
--
-- This file serves the clients. In lib/, resp.lua has the protocol, commands.lua the commands, store.lua the keys and
-- when they expire, integer.lua 64-bit counters, and glob.lua the patterns of KEYS.
--
-- A client may send many requests without waiting for the answers. All requests that one read returns are answered
-- with one write. If a client does not read its answers, only its own task waits in that write.

package.path = (arg[0]:match("^.*/") or "") .. "lib/?.lua;" .. package.path

local moonpark = require "moonpark"
local net = require "moonpark.net"
local commands = require "commands"
local resp = require "resp"
local store = require "store"

local USAGE = [[
usage: kv.lua [address]      a key-value server for redis-cli and other Redis clients
address: host:port or unix:/path; 127.0.0.1:7002 by default; port 0 picks a free one]]

local MOST_UNSENT = 1024 * 1024 -- bytes of answers that are collected before they are sent
local SWEEP = 0.1               -- seconds between two sweeps for expired keys
local LINGER = 1                -- seconds for a client to read its last answer

-- Answers every complete request. Returns nil or false if the connection must be closed.
local function answer_batch(conn, reader, answers)
  store.tick(moonpark.now())
  local args, count = reader:next()
  while args do
    commands.execute(answers, args, count)
    if answers.size > MOST_UNSENT then
      if not answers:send(conn) then return nil end
      store.tick(moonpark.now())
    end
    args, count = reader:next()
  end
  if count then answers:error("Protocol error: " .. count) end
  return answers:send(conn) and not count
end

-- Closing while the client's bytes are unread would reset the connection, and the last answer could be lost.
local function hang_up(conn)
  conn:close_write()
  conn:set_read_deadline(moonpark.now() + LINGER)
  conn:skip(math.huge)
end

local function serve(conn)
  local reader, answers = resp.reader(conn), resp.answers()
  commands.stats.clients = commands.stats.clients + 1
  repeat
    local fine = conn:fill(reader.needed, resp.MOST_BUFFERED)
  until not fine or not answer_batch(conn, reader, answers)
  hang_up(conn)
  commands.stats.clients = commands.stats.clients - 1
end

local function sweep()
  while moonpark.sleep(SWEEP) do
    store.tick(moonpark.now())
    store.sweep()
  end
end

local function main(address)
  local fine, wrong = net.check_address(address)
  if not fine then
    io.stderr:write("kv: ", wrong, "\n")
    os.exit(2)
  end
  local listener, err = net.listen(address)
  if not listener then
    io.stderr:write("kv: cannot listen on ", address, ": ", err, "\n")
    os.exit(1)
  end
  print("listening on " .. listener:address())
  io.stdout:flush()
  local sweeper = moonpark.go(sweep)
  listener:serve(serve)
  sweeper:cancel()
end

if arg[1] == "--help" then return print(USAGE) end
local address = arg[1] or "127.0.0.1:7002"
-- What is in the store lives long, and a cycle of the collector goes through all of it: half as many cycles are enough.
collectgarbage("setpause", 400)
moonpark.run(main, address)

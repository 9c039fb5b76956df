-- SPDX-License-Identifier: MIT
-- pipeline.lua - a program as a server: every connection has one of its own, reads what that writes, and feeds it.
--
--   luajit examples/pipeline.lua 127.0.0.1:7003 -- tr a-z A-Z      or: moonpark examples/pipeline.lua ...
--
-- Then, in another terminal: nc 127.0.0.1 7003, and type; or: nc -N 127.0.0.1 7003 < /etc/passwd
--
-- Two tasks move the bytes of a connection, one in each direction. An end is passed on in both: when the client has
-- no more to say, the program reads the end of its input (so sort begins to write); when the program has no
-- more to say, the client reads the end. The scope around both ends the program, whatever else went wrong, and with
-- it what it has started: it has a process group of its own. That a client has left without a word is seen when it
-- is written to.

local moonpark = require "moonpark"
local net = require "moonpark.net"
local process = require "moonpark.process"

local USAGE = [==[
usage: pipeline.lua [address] [-- program [argument ...]]      filters each connection through a program of its own
address: host:port or unix:/path; 127.0.0.1:7003 where none is given; port 0 picks a free one
program: looked up in PATH; cat where none is given]==]

local GRACE = 1  -- seconds that a program has to end once it was asked to
local LINGER = 1 -- seconds for a client to take the last bytes

-- -> "eof", or why it ended before
local function pump(from, to)
  while true do
    local data, err = from:read()
    if not data then return err end
    local ok
    ok, err = to:write(data)
    if not ok then return err end
  end
end

-- "broken pipe": it does not want it all, as head does not.
local function feed(scope, conn, child)
  local why = pump(conn, child.stdin)
  child.stdin:close()
  if why ~= "eof" and why ~= "broken pipe" then scope:cancel() end
end

-- Closing while bytes are still to be read would take the last ones away from the client.
local function hang_up(conn)
  conn:close_write()
  conn:set_read_deadline(moonpark.now() + LINGER)
  while conn:read() do end
end

-- -> why the program's output ended: "eof", or that the client takes no more
local function filter(conn, argv)
  return moonpark.scope(function(scope)
    local child, err = process.spawn(argv, { stdin = "pipe", stdout = "pipe", group = true, grace = GRACE })
    if not child then error(("cannot start %s: %s"):format(argv[1], err), 0) end
    scope:go(feed, scope, conn, child)
    local why = pump(child.stdout, conn)
    child.stdout:close()
    scope:cancel()
    return why
  end)
end

-- -> address, the program's words | nil
local function read_words(words)
  local address, i = "127.0.0.1:7003", 1
  if words[i] and words[i] ~= "--" then address, i = words[i], i + 1 end
  if not words[i] then return address, { "cat" } end
  if words[i] ~= "--" or not words[i + 1] then return nil end
  return address, { unpack(words, i + 1) }
end

local function main(address, argv)
  local fine, wrong = net.check_address(address)
  if not fine then
    io.stderr:write("pipeline: ", wrong, "\n")
    os.exit(2)
  end
  local listener, err = net.listen(address)
  if not listener then
    io.stderr:write("pipeline: cannot listen on ", address, ": ", err, "\n")
    os.exit(1)
  end
  print("listening on " .. listener:address())
  io.stdout:flush()
  listener:serve(function(conn)
    if filter(conn, argv) == "eof" then hang_up(conn) end
  end)
end

if arg[1] == "--help" then return print(USAGE) end
local address, argv = read_words(arg)
if not address then
  io.stderr:write(USAGE, "\n")
  os.exit(2)
end
moonpark.run(main, address, argv)

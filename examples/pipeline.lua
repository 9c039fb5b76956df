-- SPDX-License-Identifier: MIT
-- pipeline.lua - a program as a server: each connection gets a process of its own, as its input and its output.
--
--   luajit examples/pipeline.lua 127.0.0.1:7003 -- tr a-z A-Z      or: moonpark examples/pipeline.lua ...
--
-- Then, in another terminal: nc 127.0.0.1 7003, and type; or: nc -N 127.0.0.1 7003 < /etc/passwd
--
-- Two tasks move the bytes of a connection, one in each direction, and pass on its end: when the client ends its
-- stream, the program reads the end of its input (so sort begins to write); when the program ends its output, the
-- client reads the end. The scope around both ends the program, whatever goes wrong, and the processes that it has
-- started: it has a process group of its own. A client that vanished is noticed at the next write to it.

local moonpark = require "moonpark"
local net = require "moonpark.net"
local process = require "moonpark.process"

local USAGE = [==[
usage: pipeline.lua [address] [-- program [argument ...]]      filters each connection through a program of its own
address: host:port or unix:/path; 127.0.0.1:7003 by default; port 0 picks a free one
program: looked up in PATH; cat by default]==]

local GRACE = 1  -- seconds between TERM and KILL
local LINGER = 1 -- seconds for a client to read the last bytes

-- -> "eof", or why it ended earlier
local function pump(from, to)
  while true do
    local data, err = from:read()
    if not data then return err end
    local ok
    ok, err = to:write(data)
    if not ok then return err end
  end
end

-- "broken pipe": the program does not read all of its input; head, for example, does not.
local function feed(scope, conn, child)
  local why = pump(conn, child.stdin)
  child.stdin:close()
  if why ~= "eof" and why ~= "broken pipe" then scope:cancel() end
end

-- Closing while the client's bytes are unread would reset the connection, and our last bytes could be lost.
local function hang_up(conn)
  conn:close_write()
  conn:set_read_deadline(moonpark.now() + LINGER)
  while conn:read() do end
end

-- -> why the output ended: "eof", or the error of writing to the client
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

-- SPDX-License-Identifier: MIT
-- hard/life_names.lua - the stage of hard/life.lua that looks names up: by UDP, by TCP, in the hosts file, in vain, and
-- given up while it waits.

local moonpark = require "moonpark"
local net = require "moonpark.net"

local TRUNCATED, ANSWER, NO_SUCH_NAME = "\134\0", "\132\0", "\132\3"
local ADDRESS = "\192\12\0\1\0\1\0\0\0\60\0\4\127\1\2\3" -- of the name asked for: A, 60 s, 127.1.2.3

-- What is said to a query for the first letter of its name: t (by UDP only that it is too long), n (there is none),
-- s (nothing), and to any other its address.
local function answer(query, by_tcp)
  local name = query:sub(14, 14)
  local function reply(flags, count, rest)
    return query:sub(1, 2) .. flags .. "\0\1\0" .. string.char(count) .. "\0\0\0\0" .. query:sub(13) .. rest
  end
  if name == "s" then return nil end
  if name == "n" then return reply(NO_SUCH_NAME, 0, "") end
  if name == "t" and not by_tcp then return reply(TRUNCATED, 0, "") end
  return reply(ANSWER, 1, ADDRESS)
end

-- LuaJIT does not survive a stack that cannot grow when a function is called, if it has to walk that stack then. So
-- stacks grow here, and no collection shrinks them again.
local function grow_stack() return select("#", unpack({}, 1, 100)) end

local function expected(value, ...)
  if value == nil and (...) ~= "canceled" then error((...), 0) end
  return value, ...
end

local function serve_udp(socket)
  while true do
    local query, from = socket:recv_from()
    grow_stack()
    if not expected(query, from) then return end
    local bytes = answer(query)
    if bytes then expected(socket:send_to(bytes, from)) end
  end
end

local function serve_tcp(listener)
  local conn, err = listener:accept()
  if not expected(conn, err) then return end
  local length = assert(conn:read_exactly(2))
  local query = assert(conn:read_exactly(length:byte(2)))
  grow_stack()
  local bytes = answer(query, true)
  assert(conn:write("\0" .. string.char(#bytes), bytes))
  conn:close()
end

local function look_up_in_vain()
  grow_stack()
  return net.resolve("s")
end

local function resolve(host, timeout)
  grow_stack()
  local found, err = net.resolve(host, { family = "ip4", timeout = timeout })
  grow_stack()
  return found and found[1], err
end

local function look_up(scope, expect, expect_failure)
  expect("127.1.2.3", resolve("u"))
  expect_failure("no such host", resolve("n"))
  expect("127.1.2.3", resolve("t"))
  expect("127.0.0.1", resolve("localhost"))
  expect_failure("timeout", resolve("s", 0.0001))
  local waiting = scope:go(look_up_in_vain)
  assert(moonpark.yield())
  waiting:cancel()
  local ok, addresses, err = waiting:join()
  if ok then expect_failure("canceled", addresses, err) end
end

-- The port that TCP got is taken for UDP while another life, beside this one, has it on every address.
local function open(host)
  while true do
    local listener = assert(net.listen(host .. ":0"))
    local address = assert(listener:address())
    local socket, err = net.packet("udp:" .. address)
    if socket then return listener, socket, address end
    listener:close()
    if err ~= "address already in use" then error(err, 0) end
  end
end

local function live(expect, expect_failure, host)
  local listener, socket, address = open(host)
  assert(net.set_resolver { servers = { address }, search = {}, lookups = "fb", timeout = 0.3, tries = 3 })
  moonpark.scope(function(scope)
    local udp, tcp = scope:go(serve_udp, socket), scope:go(serve_tcp, listener)
    look_up(scope, expect, expect_failure)
    udp:cancel()
    tcp:cancel()
  end)
  assert(net.set_resolver(nil))
  socket:close()
  listener:close()
end

return function(...)
  collectgarbage("stop")
  local ok, err = pcall(live, ...)
  collectgarbage("restart")
  if not ok then error(err, 0) end
end

-- SPDX-License-Identifier: MIT
-- pool_behaviours.lua - how pools of cosockets count, bound and queue, as calls: run as cosocket_behaviours.lua is.
-- PEER is peer.lua's port. Collected sockets, killed threads and failures must leave no place taken.

local HOST, PORT = "127.0.0.1", tonumber(PEER)
local ECHO = "while true do local n = conn:read_line() if not n then break end conn:write(n, '\\n') end\n"

local function say(name, ...)
  local words = {}
  for i = 1, select("#", ...) do words[i] = tostring((select(i, ...))) end
  ngx.say(name, ": ", table.concat(words, " | "))
end

local function new(timeout)
  local sock = ngx.socket.tcp()
  sock:settimeout(timeout or 1000)
  return sock
end

-- A connection by these options, or why there is none.
local function open(name, options, timeout, host, port)
  local sock = new(timeout)
  local ok, err = sock:connect(host or HOST, port or PORT, options)
  say(name, ok, err, ok and sock:getreusedtimes())
  if ok and sock:getreusedtimes() == 0 then sock:send(ECHO) end
  return ok and sock or nil
end

-- How many connections that pool still has room for.
local function room(name, options)
  local open_ones = {}
  repeat
    local sock = new(200)
    local ok = sock:connect(HOST, PORT, options)
    if ok then open_ones[#open_ones + 1] = sock end
  until not ok
  for _, sock in ipairs(open_ones) do sock:close() end
  say(name, "room for", #open_ones)
end

local two = { pool = "two", pool_size = 2, backlog = 0 }
room("at first", two)
local one = open("one", two)
room("beside one", two)
one:setkeepalive()
room("beside one idle", two)
local kept = open("taken again", two)
kept:close()
room("after close", two)

for _ = 1, 3 do open("refused", two, nil, HOST, 1) end
for _ = 1, 3 do open("no host", two, nil, "[::1", 1) end
for _ = 1, 3 do open("no path", two, nil, "unix:/nosuch", nil) end
room("after connects that failed", two)

for _ = 1, 2 do open("dropped", two) end
collectgarbage()
collectgarbage()
room("after sockets that were collected", two)

local function in_thread(fn) return ngx.thread.spawn(fn) end
local holder = open("holder", two)
local function use_and_die()
  local thread = in_thread(function()
    local sock = open("in a thread", two)
    sock:receive()
  end)
  ngx.sleep(0.05)
  ngx.thread.kill(thread)
  ngx.sleep(0.01)
end
use_and_die()
collectgarbage()
collectgarbage()
room("after a killed thread", two)
holder:close()

local waits = { pool = "waits", pool_size = 1, backlog = 1 }
holder = open("holder", waits)
local waiter = in_thread(function() new(5000):connect(HOST, PORT, waits) end)
open("one too many", waits)
ngx.thread.kill(waiter)
ngx.sleep(0.01)
waiter = in_thread(function()
  local sock = open("waits", waits, 5000)
  sock:close()
end)
holder:close()
ngx.thread.wait(waiter)
room("after waiters", waits)
holder = open("holder", waits)
open("waits in vain", waits, 20)
waiter = in_thread(function() open("waits for a refusal", waits, 5000, HOST, 1) end)
local third = { pool = "waits", pool_size = 5, backlog = 5 }
open("what later ones say counts for nothing", third, 20)
holder:close()
ngx.thread.wait(waiter)
room("after that", waits)

-- bounded and unbounded ones of one name
local loose, tight = { pool = "mixed" }, { pool = "mixed", pool_size = 1, backlog = 0 }
local before = open("loose", loose)
local bound = open("tight", tight)
open("tight", tight)
open("loose, where the pool is bounded by now", loose)
before:close()
open("tight, after the loose one", tight)
bound:close()
room("after both", tight)

local early = open("before the pool", { pool = "early" })
early:setkeepalive(10000, 2)
local again = open("of the pool that it made", { pool = "early", pool_size = 1, backlog = 0 })
say("no bound there", open("beside it", { pool = "early", pool_size = 1, backlog = 0 }) ~= nil)
again:close()

local sized = { pool = "sized", pool_size = 2 }
local many = {}
for i = 1, 4 do many[i] = open("sized", sized) end
for i = 1, 4 do say("kept", many[i]:setkeepalive(10000)) end
for i = 1, 4 do many[i] = open("taken", sized) end
say("negative", many[1]:setkeepalive(-1))
ngx.sleep(0.02)
open("after a negative time", sized)

say("by host and port", new():connect(HOST, PORT))
local plain = new()
plain:connect(HOST, PORT)
plain:setkeepalive()
plain:connect(HOST, tostring(PORT))
say("text and number share a pool", plain:getreusedtimes())
plain:setkeepalive()
plain:connect(HOST, PORT, { pool = HOST .. ":" .. PORT })
say("its name", plain:getreusedtimes())

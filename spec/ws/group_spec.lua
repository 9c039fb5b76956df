-- SPDX-License-Identifier: MIT
-- ws_group, ws_queue, http.group: one message for many sockets, and what becomes of those that do not read.

local collect = require "support.collect"
local core = require "moonpark.core"
local http = require "moonpark.http"
local support = require "support.net"
local wire = require "support.websocket"

local TEXT, BINARY, FIN, CLOSE, PING = wire.TEXT, wire.BINARY, wire.FIN, wire.CLOSE, wire.PING
local agreed = { out_bits = 15, in_bits = 15, level = 6, memory = 8, threshold = 8 }

local function with(changes)
  local all = {}
  for name, value in pairs(agreed) do all[name] = value end
  for name, value in pairs(changes) do all[name] = value end
  return all
end

local made = {} -- {ws, the bare other end}

local function socket(is_server, settings, options)
  local a, b = support.transports[3].pair()
  local ws = wire.over(a, is_server ~= false, options, settings)
  made[#made + 1] = { ws, b }
  return ws, b
end

local function close_all()
  for _, pair in ipairs(made) do
    pair[1]:abort()
    pair[2]:close()
  end
  made = {}
  core.check()
end

-- A socket of ours at both ends.
local function both_ends(settings)
  local a, b = support.transports[3].pair()
  local one, two = wire.over(a, true, {}, settings), wire.over(b, false, {}, settings)
  made[#made + 1] = { one, { close = function() two:abort() end } }
  return one, two
end

-- Fills a pair until no more fits.
local function stuff(ws) return support.parked(ws.send_binary, ws, support.random_bytes(300000)) end

describe("a group", function()
  after_each(close_all)

  it("sends each message to all members but the one that is left out", function()
    local group, ends, sockets = http.group(), {}, {}
    for i = 1, 20 do
      sockets[i], ends[i] = socket(i % 2 == 0)
      assert.is_true(group:add(sockets[i]))
    end
    assert.is_false(group:add(sockets[1]))
    assert.equal(20, group:count())
    assert.equal(20, group:send "to all")
    assert.equal(19, group:send_binary("to most", sockets[3]))
    for i = 1, 20 do
      assert.same({ FIN + TEXT, "to all", i % 2 == 1 }, { wire.read_frame(ends[i]) })
      if i ~= 3 then assert.same({ FIN + BINARY, "to most", i % 2 == 1 }, { wire.read_frame(ends[i]) }) end
      assert.equal(0, ends[i]:buffered())
    end
  end)

  it("has no member that was removed, is over, or whose group is gone", function()
    local group, other = http.group(), http.group()
    local one, first = socket()
    local two = socket()
    local three = socket()
    for _, ws in ipairs { one, two, three } do
      group:add(ws)
      other:add(ws)
    end
    assert.is_true(group:remove(one))
    assert.is_false(group:remove(one))
    two:abort()
    assert.equal(1, group:count())
    assert.equal(2, other:count())
    assert.equal(1, group:send "x")
    assert.equal(0, first:buffered())
    assert.same({ nil, "closed" }, { group:add(two) })
    assert.is_true(three:send "x")
  end)

  it("has no member that a finalizer has closed while a message was handed out", function()
    local group = http.group()
    for _, settings in ipairs { false, agreed } do
      local ws, other = socket(true, settings or nil)
      group:add(ws)
      other:write(wire.frame(FIN + BINARY, ("x"):rep(50000), "abcd"))
      support.settle()
      local message = collect.within(function() ws:abort() end, function() return ws[1]:receive() end)
      assert.equal(50000, #message)
      assert.equal(1006, (ws:status()))
      assert.equal(0, group:count())
    end
  end)

  it("may go before its members", function()
    local ws = socket()
    do
      local group = http.group()
      group:add(ws)
      group:send "x"
    end
    collectgarbage()
    collectgarbage()
    assert.is_true(ws:send "y")
  end)

  it("leaves when the peer closes", function()
    local group = http.group()
    local ws, other = socket()
    group:add(ws)
    other:write(wire.frame(FIN + CLOSE, wire.code(1000), "abcd"))
    assert.same({ nil, "eof" }, { ws:receive() })
    assert.same({ members = 0, full = 0, dropped = 0 }, group:stats())
  end)

  it("queues for a member that is sending, in its order", function()
    local group = http.group()
    local ws, other = socket()
    group:add(ws)
    local sender = stuff(ws)
    local reader = support.parked(ws.receive, ws)
    for i = 1, 40 do assert.equal(1, group:send("message " .. i)) end
    local after = support.parked(ws.send, ws, "own")
    other:write(wire.frame(FIN + PING, "now", "abcd"))
    assert.equal(FIN + BINARY, (wire.read_frame(other)))
    assert.same({ true, true }, { sender:join() })
    local seen = {}
    for _ = 1, 42 do
      local _, payload = wire.read_frame(other)
      seen[#seen + 1] = payload ~= "now" and payload or nil
    end
    for i = 1, 40 do assert.equal("message " .. i, seen[i]) end
    assert.equal("own", seen[41])
    assert.same({ true, true }, { after:join() })
    reader:cancel()
    reader:join()
  end)

  it("goes on with what a member took in part, once it reads", function()
    local group = http.group { max_queue = 10000000 }
    local ws, other = socket()
    group:add(ws)
    local reader = support.parked(ws.receive, ws)
    local sent = {}
    for i = 1, 5 do
      sent[i] = support.random_bytes(200000, i)
      assert.equal(1, group:send_binary(sent[i]))
    end
    for i = 1, 5 do
      local first, payload = wire.read_frame(other)
      assert.equal(FIN + BINARY, first)
      assert.is_true(payload == sent[i])
    end
    reader:cancel()
    reader:join()
  end)

  it("waits for the last fragment of a message, but pongs do not", function()
    local group = http.group()
    local ws, other = socket()
    group:add(ws)
    ws:send_some("a", "text", false)
    assert.equal(1, group:send "between")
    ws:ping "p"
    ws:send_some("b", "text", true)
    local reader = support.parked(ws.receive, ws)
    local frames = {}
    for i = 1, 4 do frames[i] = { wire.read_frame(other) } end
    assert.same({ { TEXT, "a", false }, { FIN + PING, "p", false }, { FIN, "b", false },
      { FIN + TEXT, "between", false } }, frames)
    reader:cancel()
    reader:join()
  end)

  it("drops what has no room, if that is the policy", function()
    local group = http.group { policy = "drop", max_queue = 1000 }
    local slow, fast = socket(), socket()
    group:add(slow)
    group:add(fast)
    local sender = stuff(slow)
    assert.equal(2, group:send(("x"):rep(900)))
    assert.equal(1, group:send(("y"):rep(900)))
    assert.equal(2, group:send(("z"):rep(50)))
    assert.equal(1, group:stats().dropped)
    assert.is_true(slow:is_open())
    sender:cancel()
    sender:join()
  end)

  it("closes who has no room, if that is the policy", function()
    local group = http.group { policy = "close", max_queue = 1000 }
    local slow, other = socket(true, nil, { close_timeout = 5 })
    group:add(slow)
    local reader = support.parked(slow.receive, slow)
    local sender = stuff(slow)
    assert.equal(1, group:send(("x"):rep(900)))
    assert.equal(0, group:send(("y"):rep(900)))
    assert.is_false(slow:is_open())
    assert.equal(FIN + BINARY, (wire.read_frame(other)))
    assert.same({ true, true }, { sender:join() })
    assert.same({ FIN + CLOSE, wire.code(1008, "too slow"), false }, { wire.read_frame(other) })
    other:close_write()
    assert.same({ true, nil, "no buffer space available", 105 }, { reader:join() })
    assert.equal(0, group:count())
  end)

  it("waits for who has no room, if that is the policy", function()
    local group = http.group { policy = "wait", max_queue = 1000, timeout = 1 }
    local slow, other = socket()
    group:add(slow)
    local reader = support.parked(slow.receive, slow)
    local sender = stuff(slow)
    assert.equal(1, group:send(("x"):rep(900)))
    local waiting = support.parked(group.send, group, ("y"):rep(900))
    local canceled = support.parked(group.send, group, "z")
    assert.equal(1, group:stats().full)
    canceled:cancel()
    assert.same({ true, nil, "canceled" }, { canceled:join() })
    for _ = 1, 3 do wire.read_frame(other) end
    assert.same({ true, 1 }, { waiting:join() })
    assert.same({ true, true }, { sender:join() })
    reader:cancel()
    reader:join()
  end)

  it("waits no longer than it may, and not for who is gone", function()
    local group = http.group { policy = "wait", max_queue = 10, timeout = 0.02 }
    local slow = socket()
    group:add(slow)
    stuff(slow)
    assert.equal(1, group:send "x")
    assert.same({ nil, "timeout" }, { group:send "message that is longer than the queue may be" })
    group = http.group { policy = "wait", max_queue = 10 }
    group:add(slow)
    local waiting = support.parked(group.send, group, "more")
    slow:abort()
    assert.same({ true, 1 }, { waiting:join() })
  end)

  it("compresses once for each window, beside members' own messages", function()
    local group, far = http.group(), {}
    local settings = { agreed, with { out_bits = 9 }, with { out_fresh = true, in_fresh = true }, nil }
    local near = {}
    for i = 1, 4 do
      near[i], far[i] = both_ends(settings[i])
      group:add(near[i])
    end
    for round = 1, 4 do
      local text = ("round %d of many, "):format(round):rep(100)
      for i = 1, 4 do near[i]:send("own " .. text) end
      group:send("all " .. text)
      group:send("short")
      for i = 1, 4 do near[i]:send("own " .. text) end
      for i = 1, 4 do
        assert.equal("own " .. text, (far[i]:receive()))
        assert.equal("all " .. text, (far[i]:receive()))
        assert.equal("short", (far[i]:receive()))
        assert.equal("own " .. text, (far[i]:receive()))
      end
    end
  end)

  it("does not come between a message that was compressed and the ones before it", function()
    local group = http.group()
    local near, far = both_ends(agreed)
    group:add(near)
    local texts = {}
    for i = 1, 3 do texts[i] = support.random_bytes(100000, i):gsub(".", function(c) return c .. "repeat" end) end
    for i = 1, 3 do support.parked(near.send_binary, near, texts[i]) end
    group:send("a message of the group, of the group")
    local reader = support.parked(near.receive, near)
    local seen = {}
    for i = 1, 4 do seen[i] = assert((far:receive())) end
    local found = 0
    for _, text in ipairs(seen) do
      for i = 1, 3 do found = found + (text == texts[i] and 1 or 0) end
    end
    assert.equal(3, found)
    reader:cancel()
    reader:join()
  end)

  it("leaves nothing behind", function()
    collectgarbage()
    local before = core.stats().blocks
    do
      local group = http.group { policy = "drop" }
      for _ = 1, 10 do
        local ws = socket(true, agreed)
        group:add(ws)
        stuff(ws)
        group:send(("a message, "):rep(20))
      end
    end
    close_all()
    support.settle()
    collectgarbage()
    collectgarbage()
    assert.equal(before, core.stats().blocks)
  end)

  it("raises for mistakes", function()
    local group = http.group()
    assert.error_matches(function() group:add {} end, "WebSocket expected, got table")
    assert.error_matches(function() group:send "\255" end, "text is not valid UTF%-8")
    assert.error_matches(function() http.group { policy = "wiat" } end, '"drop", "close" or "wait"')
    assert.error_matches(function() http.group { max_que = 1 } end, "did you mean 'max_queue'")
  end)
end)

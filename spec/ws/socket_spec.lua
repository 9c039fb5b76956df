-- SPDX-License-Identifier: MIT
-- ws_socket, ws_receive, ws_send: what a WebSocket promises, on every transport and at both ends.

local core = require "moonpark.core"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local support = require "support.net"
local testing = require "moonpark.testing"
local wire = require "support.websocket"

local TEXT, BINARY, CLOSE, PING, PONG, FIN = wire.TEXT, wire.BINARY, wire.CLOSE, wire.PING, wire.PONG, wire.FIN
local KEY = "\18\52\171\205"

-- Runs body(ws, other, say): `other` is the bare other end; say(first, payload) makes a frame that it may send.
local function with(pair, is_server, options, body, agreed)
  local a, b = pair()
  if a:fd() then -- a message of a few million bytes must wait
    a:setoption("sndbuf", 65536)
    b:setoption("rcvbuf", 65536)
  end
  local ws = wire.over(a, is_server, options, agreed)
  body(ws, b, function(first, payload) return wire.frame(first, payload or "", is_server and KEY or nil) end)
  ws:abort()
  b:close()
  core.check()
end

-- The other end reads the next frame, which must be that one.
local function assert_frame(other, first, payload, is_server)
  local got, bytes, masked = wire.read_frame(other)
  assert.same({ first, payload }, { got, bytes })
  if is_server ~= nil then assert.equal(not is_server, masked) end
end

for _, transport in ipairs(support.transports) do
  for _, role in ipairs { "server", "client" } do
    local is_server = role == "server"
    local function on(options, body, agreed)
      if type(options) == "function" then options, body, agreed = {}, options, body end
      return function() with(transport.pair, is_server, options, body, agreed) end
    end

    -- What our end says once it has been sent bytes: the frame, and what its receive returns.
    local function refuses(code, err, options)
      return function(make)
        with(transport.pair, is_server, options or {}, function(ws, other, say)
          local reader = moonpark.go(ws.receive, ws)
          assert(other:write(make(say)))
          assert_frame(other, FIN + CLOSE, wire.code(code), is_server)
          other:close_write()
          assert.same({ nil, err }, { select(2, reader:join()) })
          assert.equal(code, (ws:status()))
          assert.same({ nil, err }, { ws:receive() })
          assert.same({ nil, err }, { ws:send "x" })
        end)
      end
    end

    describe(("a WebSocket, at the %s's end of a %s:"):format(role, transport.name), function()
      it("messages of every length come whole, and leave whole", on(function(ws, other, say)
        for _, n in ipairs { 0, 1, 7, 125, 126, 127, 4096, 65535, 65536, 300000 } do
          local bytes = support.random_bytes(n, n + 1)
          local writer = moonpark.go(other.write, other, say(FIN + BINARY, bytes))
          local message, kind, last = ws:receive()
          assert.is_true(message == bytes)
          assert.same({ "binary", true }, { kind, last })
          writer:join()
          local sender = moonpark.go(ws.send_binary, ws, bytes)
          local first, got, masked = wire.read_frame(other)
          assert.equal(FIN + BINARY, first)
          assert.is_true(got == bytes)
          assert.equal(not is_server, masked)
          assert.same({ true, true }, { sender:join() })
        end
      end))

      it("frames may be cut anywhere", on({ max_controls = 0 }, function(ws, other, say)
        local bytes = say(FIN + TEXT, "Grüße") .. say(TEXT, "a") .. say(FIN + PING, "p") .. say(0, "")
          .. say(FIN, "bc") .. say(FIN + BINARY, ("x"):rep(200))
        for i = 1, #bytes - 1 do
          local reader = moonpark.go(function() return { ws:receive() }, { ws:receive() }, { ws:receive() } end)
          other:write(bytes:sub(1, i))
          support.settle()
          other:write(bytes:sub(i + 1))
          local _, one, two, three = reader:join()
          assert.same({ "Grüße", "text", true }, one)
          assert.same({ "abc", "text", true }, two)
          assert.same({ ("x"):rep(200), "binary", true }, three)
          assert_frame(other, FIN + PONG, "p")
        end
      end))

      it("many may come at once", on(function(ws, other, say)
        local frames = {}
        for i = 1, 300 do frames[i] = say(FIN + TEXT, "message " .. i) end
        moonpark.go(other.write, other, table.concat(frames))
        for i = 1, 300 do assert.equal("message " .. i, (ws:receive())) end
      end))

      it("a text is checked across fragments, and refused with the first wrong byte", function()
        on(function(ws, other, say)
          other:write(say(TEXT, "\240\159"), say(FIN + PING), say(0, "\140"), say(FIN, "\141"))
          assert.same({ "🌍", "text", true }, { ws:receive() })
        end)()
        refuses(1007, "malformed message")(function(say) return say(TEXT, "\237") .. say(0, "\160") end)
        refuses(1007, "malformed message")(function(say) return say(FIN + TEXT, "cut \195") end)
        refuses(1007, "malformed message")(function(say) -- the rest of the frame has not come yet
          return say(FIN + TEXT, "\255" .. ("a"):rep(100)):sub(1, 20)
        end)
      end)

      it("what breaks the rules is told 1002", function()
        local refused = refuses(1002, "malformed message")
        for _, first in ipairs { 0xc1, 0xa1, 0x91, 0x83, 0x87, 0x8b, 0x8f, 0x09, 0x08, 0x80, 0x00 } do
          refused(function(say) return say(first, "") end)
        end
        refused(function(say) return say(TEXT, "a") .. say(FIN + TEXT, "b") end)
        refused(function() return wire.frame(FIN + TEXT, "x", not is_server and KEY or nil) end)
        refused(function(say) return say(FIN + CLOSE, "x") end)
        for _, code in ipairs { 0, 999, 1004, 1005, 1006, 1015, 2999, 5000 } do
          refused(function(say) return say(FIN + CLOSE, wire.code(code)) end)
        end
        refuses(1007, "malformed message")(function(say) return say(FIN + CLOSE, wire.code(1000, "\255")) end)
      end)

      it("what is longer than a limit is told 1009, by its head alone", function()
        local refused = refuses(1009, "too long", { max_message = 1000 })
        refused(function(say) return say(FIN + BINARY, ("x"):rep(1001)):sub(1, 10) end)
        refused(function(say) return say(BINARY, ("x"):rep(600)) .. say(0, ("x"):rep(401)):sub(1, 10) end)
        refuses(1009, "too long", { max_frame = 10 })(function(say) return say(TEXT, ("x"):rep(11)) end)
        on({ max_message = 1000, max_frame = 600 }, function(ws, other, say)
          local writer = moonpark.go(other.write, other, say(BINARY, ("x"):rep(600)), say(FIN, ("x"):rep(400)))
          assert.equal(1000, #ws:receive())
          assert.is_true(writer:join())
        end)()
      end)

      it("too many control frames and empty fragments are told 1008", function()
        local refused = refuses(1008, "malformed message", { max_controls = 5 })
        refused(function(say) return say(FIN + PONG):rep(6) end)
        refused(function(say) return say(TEXT) .. say(0):rep(6) end)
      end)

      it("pings are answered while nothing else happens, and within a message", on(function(ws, other, say)
        local reader = support.parked(ws.receive, ws)
        other:write(say(FIN + PING, "are you there?"))
        assert_frame(other, FIN + PONG, "are you there?", is_server)
        other:write(say(BINARY, "1"), say(FIN + PING, ("p"):rep(125)), say(FIN + PONG, "unasked"), say(FIN, "2"))
        assert_frame(other, FIN + PONG, ("p"):rep(125))
        assert.same({ true, "12", "binary", true }, { reader:join() })
        assert.is_true(ws:ping "mine")
        assert_frame(other, FIN + PING, "mine", is_server)
      end))

      it("a pong waits for the frame that is being written", on(function(ws, other, say)
        local big = support.random_bytes(3000000)
        local sender = support.parked(ws.send_binary, ws, big)
        local reader = support.parked(ws.receive, ws)
        other:write(say(FIN + PING, "now"), say(FIN + TEXT, "hello"))
        assert.same({ true, "hello", "text", true }, { reader:join() })
        local first, got = wire.read_frame(other)
        assert.equal(FIN + BINARY, first)
        assert.is_true(got == big)
        assert_frame(other, FIN + PONG, "now")
        assert.same({ true, true }, { sender:join() })
      end))

      it("several tasks may send: whole messages, in their order", on(function(ws, other)
        local big = ("x"):rep(core.hard and 100000 or 2000000)
        local senders = { support.parked(ws.send, ws, big) }
        for i = 1, 5 do senders[i + 1] = support.parked(ws.send, ws, "message " .. i) end
        local _, got = wire.read_frame(other)
        assert.is_true(got == big)
        for i = 1, 5 do assert_frame(other, FIN + TEXT, "message " .. i) end
        for i = 1, 6 do assert.same({ true, true }, { senders[i]:join() }) end
      end))

      it("a send that is given up in its turn changes nothing, and in its middle it is the end",
        on(function(ws, other)
          local first = support.parked(ws.send, ws, ("x"):rep(3000000))
          local second = support.parked(ws.send, ws, "second")
          second:cancel()
          assert.same({ true, nil, "canceled" }, { second:join() })
          assert.is_true(ws:is_open())
          first:cancel()
          assert.same({ true, nil, "canceled" }, { first:join() })
          assert.is_false(ws:is_open())
          assert.same({ nil, "canceled" }, { ws:send "x" })
          assert.same({ nil, "canceled" }, { ws:receive() })
          assert.same({ 1006, "" }, { ws:status() })
          local _, err = other:read_exactly(3000000)
          assert.is_true(err == "eof" or err == "connection reset by peer")
        end))

      it("the time of a send is that of each piece", on({ send_timeout = 0.05 }, function(ws)
        assert.same({ nil, "timeout" }, { ws:send(("x"):rep(5000000)) })
        assert.same({ nil, "timeout" }, { ws:receive() })
      end))

      it("a receive that is given up loses nothing", on(function(ws, other, say)
        other:write(say(TEXT, "one "), say(0, "two"):sub(1, -2))
        assert.same({ nil, "timeout" }, { ws:receive(0.01) })
        local reader = support.parked(ws.receive, ws)
        reader:cancel()
        assert.same({ true, nil, "canceled" }, { reader:join() })
        other:write(say(0, "two"):sub(-1), say(FIN, ""))
        assert.same({ "one two", "text", true }, { ws:receive() })
      end))

      it("a message may be received in pieces, as it comes", on(function(ws, other, say)
        other:write(say(TEXT, "one "))
        assert.same({ "one ", "text", false }, { ws:receive_some() })
        other:write(say(FIN + PING), say(0, "two"):sub(1, -2))
        assert.same({ "tw", "text", false }, { ws:receive_some() })
        other:write(say(0, "two"):sub(-1), say(FIN, ""))
        assert.same({ "o", "text", true }, { ws:receive_some() })
        other:write(say(FIN + BINARY, "next"))
        assert.same({ "next", "binary", true }, { ws:receive_some() })
      end))

      it("a message may be sent in pieces, between which only control frames leave", on(function(ws, other, say)
        assert.is_true(ws:send_some("one ", "text", false))
        assert.is_true(ws:ping())
        assert.error_matches(function() ws:send "other" end, "a message is being sent in pieces")
        assert.is_true(ws:send_some("two", "text", false))
        assert.is_true(ws:send_some("", "text", true))
        assert_frame(other, TEXT, "one ")
        assert_frame(other, FIN + PING, "")
        assert_frame(other, 0, "two")
        assert_frame(other, FIN, "")
        assert.is_true(ws:send "other")
        assert_frame(other, FIN + TEXT, "other")
        other:write(say(FIN + TEXT, "ok"))
        assert.equal("ok", (ws:receive()))
      end))

      it("the peer's close is answered with its code, and stays the end", on(function(ws, other, say)
        other:write(say(FIN + TEXT, "last"), say(FIN + CLOSE, wire.code(3999, "enough")))
        local reader = moonpark.go(function() return ws:receive(), { ws:receive() } end)
        assert_frame(other, FIN + CLOSE, wire.code(3999), is_server)
        other:close()
        assert.same({ true, "last", { nil, "eof" } }, { reader:join() })
        assert.same({ 3999, "enough" }, { ws:status() })
        assert.same({ nil, "eof" }, { ws:receive() })
        assert.same({ nil, "eof" }, { ws:send "x" })
        assert.is_true(ws:close())
      end))

      it("a close without a code is answered without one", on(function(ws, other, say)
        other:write(say(FIN + CLOSE, ""))
        local reader = moonpark.go(ws.receive, ws)
        assert_frame(other, FIN + CLOSE, "")
        other:close()
        assert.same({ true, nil, "eof" }, { reader:join() })
        assert.equal(1005, (ws:status()))
      end))

      it("our close waits for the peer's, and drops what comes before it", on(function(ws, other, say)
        local closer = support.parked(ws.close, ws, 1000, "done")
        assert_frame(other, FIN + CLOSE, wire.code(1000, "done"), is_server)
        assert.is_false(ws:is_open())
        assert.same({ nil, "closed" }, { ws:send "late" })
        other:write(say(FIN + TEXT, "under way"), say(FIN + PING), say(FIN + CLOSE, wire.code(1000)))
        if not is_server then other:close() end
        assert.same({ true, true }, { closer:join() })
        assert.same({ nil, "eof" }, { wire.read_frame(other) == nil and nil, "eof" })
        assert.same({ nil, "closed" }, { ws:receive() })
      end))

      it("a close may come while another task receives", on(function(ws, other, say)
        local reader = support.parked(ws.receive, ws)
        local closer = support.parked(ws.close, ws)
        assert_frame(other, FIN + CLOSE, wire.code(1000))
        other:write(say(FIN + TEXT, "a message") .. say(FIN + CLOSE, wire.code(1000)))
        other:close_write()
        assert.same({ true, "a message", "text", true }, { reader:join() })
        assert.same({ true, true }, { closer:join() })
      end))

      it("both may close at once", on(function(ws, other, say)
        other:write(say(FIN + CLOSE, wire.code(1000)))
        local closer = moonpark.go(ws.close, ws, 4000)
        assert_frame(other, FIN + CLOSE, wire.code(4000))
        other:close()
        assert.same({ true, true }, { closer:join() })
        assert.equal(1000, (ws:status()))
      end))

      it("a peer that does not answer a close is cut off", on({ close_timeout = 0.02 }, function(ws)
        assert.same({ nil, "timeout" }, { ws:close() })
        assert.equal(1006, (ws:status()))
      end))

      it("an end without a close frame is none", on(function(ws, other, say)
        other:write(say(FIN + TEXT, "one"), say(FIN + TEXT, "two"):sub(1, 3))
        other:close_write()
        assert.equal("one", (ws:receive()))
        assert.same({ nil, "unexpected eof" }, { ws:receive() })
        assert.same({ 1006, "" }, { ws:status() })
        assert.same({ nil, "unexpected eof" }, { ws:send "x" })
      end))

      it("reports name it", on(function(ws)
        local reader = support.parked(ws.receive, ws)
        assert.matches("receive on websocket " .. transport.name, moonpark.dump(), 1, true)
        reader:cancel()
        reader:join()
      end))
    end)
  end
end

describe("pings", function()
  local pipe = support.transports[3].pair

  it("find out that the peer is gone", function()
    testing.clock()
    with(pipe, true, { ping_interval = 30, ping_timeout = 10 }, function(ws, other)
      local began, reader = moonpark.now(), moonpark.go(ws.receive, ws)
      assert_frame(other, FIN + PING, "")
      assert.equal(30, moonpark.now() - began)
      assert.same({ true, nil, "timeout" }, { reader:join() })
      assert.equal(40, moonpark.now() - began)
      assert.equal(1006, (ws:status()))
      assert.same({ nil, "timeout" }, { ws:send "x" })
    end)
  end)

  it("are left out while something comes, and an answer is enough", function()
    testing.clock()
    with(pipe, true, { ping_interval = 30, ping_timeout = 10 }, function(ws, other, say)
      local reader = moonpark.go(function() return ws:receive(), ws:receive(), (ws:receive()) end)
      local began = moonpark.now()
      moonpark.sleep(20)
      other:write(say(FIN + TEXT, "life"))
      assert_frame(other, FIN + PING, "")
      assert.equal(60, moonpark.now() - began) -- the first interval had something in it
      other:write(say(FIN + PONG, ""))
      assert_frame(other, FIN + PING, "")
      assert.equal(100, moonpark.now() - began)
      other:write(say(FIN + TEXT, "a"), say(FIN + TEXT, "b"))
      assert.same({ true, "life", "a", "b" }, { reader:join() })
    end)
  end)

  it("blame nobody while a message waits for a task", function()
    testing.clock()
    with(pipe, true, { ping_interval = 1, ping_timeout = 1 }, function(ws, other, say)
      other:write(say(FIN + TEXT, "unread"))
      moonpark.sleep(60)
      assert.is_true(ws:is_open())
      assert.equal(0, other:buffered())
    end)
  end)

  it("go on if an answer may take any time", function()
    testing.clock()
    with(pipe, true, { ping_interval = 30, ping_timeout = 0 }, function(ws, other, say)
      local began, reader = moonpark.now(), moonpark.go(ws.receive, ws)
      assert_frame(other, FIN + PING, "")
      moonpark.sleep(1000)
      other:write(say(FIN + PONG, ""))
      assert_frame(other, FIN + PING, "")
      assert.is_true(moonpark.now() - began <= 1100)
      other:write(say(FIN + TEXT, "late"))
      assert.same({ true, "late", "text", true }, { reader:join() })
    end)
  end)

  it("of a script wait while the peer leaves too many unread, for as long as a send may", function()
    testing.clock()
    with(function() return net.pipe(300) end, true, { ping_interval = 0, send_timeout = 10 }, function(ws, other)
      local payload, sent = ("p"):rep(125), 0
      local sender = support.parked(function()
        for _ = 1, 200 do
          assert(ws:ping(payload))
          sent = sent + 1
        end
      end)
      assert.is_true(sent < 50)
      assert.matches("ping on websocket pipe", moonpark.dump(), 1, true)
      for _ = 1, 200 do assert_frame(other, FIN + PING, payload) end
      assert.is_true(sender:join())
      local err
      repeat
        local ok
        ok, err = ws:ping(payload)
      until not ok
      assert.equal("timeout", err)
      assert.is_true(ws:is_open())
      local reader = moonpark.go(function()
        repeat local bytes = other:read() until not bytes
      end)
      assert.is_true(ws:ping(payload))
      ws:abort()
      reader:join()
    end)
  end)
end)

describe("permessage-deflate", function()
  local pipe = support.transports[3].pair
  local agreed = { out_bits = 15, in_bits = 15, level = 6, memory = 8, threshold = 8 }

  local function both(options, settings, body)
    return function()
      local a, b = pipe()
      body(wire.over(a, true, options, settings), wire.over(b, false, options, settings))
      core.check()
    end
  end

  for _, fresh in ipairs { false, true } do
    local settings = { out_fresh = fresh, in_fresh = fresh }
    for name, value in pairs(agreed) do settings[name] = value end

    it("carries messages of every kind" .. (fresh and ", without context takeover" or ""),
      both({}, settings, function(a, b)
        for _, n in ipairs { 0, 5, 8, 100, 70000, 400000 } do
          local text = ("a message that is long enough, "):rep(math.ceil(n / 31)):sub(1, n)
          local sender = moonpark.go(function()
            assert(a:send(text))
            assert(a:send_some(text, "binary", false))
            assert(a:send_some(text, "binary", true))
          end)
          assert.is_true(b:receive() == text)
          local message, kind = b:receive()
          assert.is_true(message == text .. text)
          assert.equal("binary", kind)
          assert(sender:join())
        end
        a:abort()
        b:abort()
      end))
  end

  it("hands out pieces as they come", both({}, agreed, function(a, b)
    local text = support.random_bytes(200000)
    local sender = moonpark.go(a.send_binary, a, text)
    local pieces, done = {}, false
    while not done do
      local piece, _, last = b:receive_some()
      pieces[#pieces + 1], done = piece, last
    end
    assert.is_true(table.concat(pieces) == text and #pieces > 1)
    sender:join()
    a:abort()
    b:abort()
  end))

  it("refuses what inflates to more than the limit, or to no UTF-8", function()
    both({ max_message = 100000 }, agreed, function(a, b)
      a:send_binary(("\0"):rep(100000))
      assert.equal(100000, #b:receive())
      local sender = moonpark.go(function()
        a:send_binary(("\0"):rep(100001))
        return a:receive()
      end)
      assert.same({ nil, "too long" }, { b:receive() })
      assert.same({ true, nil, "eof" }, { sender:join() })
      assert.equal(1009, (b:status()))
      assert.equal(1009, (a:status()))
    end)()
    both({}, agreed, function(a, b)
      a:send_some("\255 is no text", "text", false)
      a:send_some("", "text", true)
      local other = moonpark.go(a.receive, a)
      assert.same({ nil, "malformed message" }, { b:receive() })
      other:join()
      assert.equal(1007, (b:status()))
    end)()
  end)

  -- A block that holds nothing, in each of its kinds: stored, with fixed codes, with codes of its own, and the last.
  local nothing = { "\0\0\0\255\255", "\2\8\32\128\0", "\1\0\0\255\255", "\3\0" }

  it("takes blocks of nothing between others, but no end of them", function()
    for i, block in ipairs(nothing) do
      with(pipe, true, { max_message = 1000 }, function(ws, other, say)
        local some, hello = block:rep(math.floor(60000 / #block)), "\242\72\205\201\201\7\0"
        local writer = moonpark.go(other.write, other, say(FIN + wire.RSV1 + TEXT, some .. hello))
        assert.same({ "Hello", "text", true }, { ws:receive() }, i)
        assert(writer:join())
      end, agreed)
      with(pipe, true, { max_message = 1000 }, function(ws, other, say)
        local writer = moonpark.go(function()
          local more = say(0, block:rep(2000))
          other:write(say(wire.RSV1 + TEXT, block))
          for _ = 1, 40 do other:write(more) end
          other:close_write()
        end)
        assert.same({ nil, "too long" }, { ws:receive() }, i)
        assert.equal(1009, (ws:status()))
        assert(writer:join())
      end, agreed)
    end
  end)

  it("lets other tasks run while a large message is inflated", function()
    local wide = function() return net.pipe(8000000) end
    with(wide, false, { max_message = 1e9 }, function(ws, other, say)
      other:write(say(FIN + wire.RSV1 + BINARY, nothing[1]:rep(800000) .. "\0"))
      local turns, reader = 0, moonpark.go(ws.receive, ws)
      while reader:status() ~= "done" do
        turns = turns + 1
        moonpark.yield()
      end
      assert.same({ true, "", "binary", true }, { reader:join() })
      assert.is_true(turns > 30, turns)
    end, agreed)
  end)

  it("is refused where it was not agreed on", function()
    with(pipe, true, {}, function(ws, other, say)
      other:write(say(FIN + wire.RSV1 + TEXT, "\242\72\205\201\201\7\0"))
      other:close_write()
      assert.same({ nil, "malformed message" }, { ws:receive() })
      assert.equal(1002, (ws:status()))
    end)
  end)
end)

describe("an idle WebSocket", function()
  it("holds no buffer", function()
    local a, b = support.transports[1].pair()
    local ws = wire.over(a, true)
    b:write(wire.frame(FIN + TEXT, "wake up", KEY))
    ws:receive()
    local reader = support.parked(ws.receive, ws)
    collectgarbage()
    collectgarbage() -- what earlier tests have left
    local before = core.stats().blocks
    b:write(wire.frame(FIN + BINARY, ("x"):rep(100000), KEY))
    reader:join()
    reader = support.parked(ws.receive, ws)
    assert.is_true(core.stats().blocks <= before)
    ws:abort()
    reader:join()
    b:close()
  end)
end)

describe("misuse of a WebSocket", function()
  it("raises", function()
    with(support.transports[3].pair, true, {}, function(ws)
      assert.error_matches(function() ws:send "\255" end, "text is not valid UTF%-8")
      assert.error_matches(function() ws:send {} end, "string expected, got table")
      assert.error_matches(function() ws:ping(("x"):rep(126)) end, "at most 125 bytes expected")
      assert.error_matches(function() ws:close(1006) end, "a code that may be sent expected")
      assert.error_matches(function() ws:close(1000, ("x"):rep(124)) end, "at most 123 bytes expected")
      assert.error_matches(function() ws:close(1000, "\255") end, "text is not valid UTF%-8")
      assert.error_matches(function() ws:send_some("x", "txt", true) end, 'kind must be "text" or "binary"')
      assert.is_true(ws:is_open())
    end)
  end)
end)

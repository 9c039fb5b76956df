-- SPDX-License-Identifier: MIT
-- results_spec.lua - a call that has waited returns its results and nothing else: none of its arguments, and nothing of
-- what it yielded, however deep in generators it was called.
--
-- Each row makes an object: call() waits, wake() lets it return, close() ends it. `wanted` is what call() then returns.

local moonpark = require "moonpark"
local net = require "moonpark.net"
local fs = require "moonpark.fs"
local process = require "moonpark.process"
local units = require "support.units"

local rows = {}

local function pack(...) return { n = select("#", ...), ... } end
local function nothing() end

local function row(name, wanted, make) rows[#rows + 1] = { name = name, wanted = wanted, make = make } end

row("sleep", pack(true), function()
  return { call = function() return moonpark.sleep(0.001, "more", "than", "it", "takes") end }
end)

row("yield", pack(true), function()
  return { call = function() return moonpark.yield("more", "than", "it", "takes") end }
end)

local function on_channel(method, ...)
  local arguments = pack(...)
  return function(wake)
    return function()
      local ch = moonpark.chan()
      return {
        call = function() return ch[method](ch, unpack(arguments, 1, arguments.n)) end,
        wake = function() wake(ch) end,
      }
    end
  end
end

local receiving = on_channel("recv", nil, "more", "than", "it", "takes")
local sending = on_channel("send", "value", nil, "more", "than", "it", "takes")

row("recv of a channel", pack("received"), receiving(function(ch) ch:send("received") end))
row("recv of one that is closed", pack(nil, "closed"), receiving(function(ch) ch:close() end))
row("recv out of time", pack(nil, "timeout"), on_channel("recv", 0.001, "more")(nothing))
row("send to a channel", pack(true), sending(function(ch) assert.equal("value", ch:recv()) end))
row("send to one that is closed", pack(nil, "closed"), sending(function(ch) ch:close() end))
row("send out of time", pack(nil, "timeout"), on_channel("send", "value", 0.001, "more")(nothing))

row("send to a channel that is full", pack(true), function()
  local ch = moonpark.chan(1)
  ch:send("first")
  return { call = function() return ch:send("second") end, wake = function() ch:recv() end }
end)

local function selecting(wake, others, timeout)
  return function()
    local one, two = moonpark.chan(), moonpark.chan()
    local a, b = net.pipe()
    local cases = { { one }, { two, "sent" }, { a, "r" }, timeout = timeout }
    for i = 4, others or 3 do cases[i] = { moonpark.chan(), i } end
    return {
      call = function() return moonpark.select(cases, "more", "than", "it", "takes") end,
      wake = function() wake(one, two, b) end,
      close = function()
        a:close()
        b:close()
      end,
    }
  end
end

local function receive(one) one:send("received") end
row("select that receives", pack(1, "received"), selecting(receive))
row("select of 128 cases", pack(1, "received"), selecting(receive, 128))
row("select of a closed channel", pack(1, nil, "closed"), selecting(function(one) one:close() end))
row("select that sends", pack(2, true), selecting(function(_, two) assert.equal("sent", two:recv()) end))
row("select of readiness", pack(3, true), selecting(function(_, _, b) b:write("x") end))
row("select out of time", pack(nil, "timeout"), selecting(nothing, 3, 0.001))

for _, n in ipairs { 0, 1, 8, 9, 100 } do
  local results = {}
  for i = 1, n do results[i] = i end
  row(("join of a task with %d results"):format(n), pack(true, unpack(results)), function()
    local gate = moonpark.event()
    local task = moonpark.go(function()
      gate:wait()
      return unpack(results)
    end)
    return { call = function() return task:join(nil, "more") end, wake = function() gate:set() end }
  end)
end

row("join out of time", pack(nil, "timeout"), function()
  local task = moonpark.go(moonpark.sleep, 3600)
  return { call = function() return task:join(0.001, "more") end, close = function() task:cancel() end }
end)

row("scope", pack("body's", "results"), function()
  return {
    call = function()
      return moonpark.scope(function(scope)
        scope:go(moonpark.sleep, 0.001)
        return "body's", "results"
      end)
    end,
  }
end)

row("mutex:lock", pack(true), function()
  local mutex = moonpark.mutex()
  mutex:lock()
  return { call = function() return mutex:lock(nil, "more") end, wake = function() mutex:unlock() end }
end)

row("semaphore:acquire", pack(true), function()
  local semaphore = moonpark.semaphore(0)
  return { call = function() return semaphore:acquire(nil, "more") end, wake = function() semaphore:release() end }
end)

row("event:wait", pack(true), function()
  local event = moonpark.event()
  return { call = function() return event:wait(nil, "more") end, wake = function() event:set() end }
end)

local function on_pipe(call, wake)
  return function()
    local a, b = net.pipe(4)
    return {
      call = function() return call(a) end,
      wake = function() wake(b, a) end,
      close = function()
        a:close()
        b:close()
      end,
    }
  end
end

local function write(text) return function(b) b:write(text) end end
local function lines(a) return a:read_line(nil, "more") end
local function long(a) return a:write("ab", "cd", "ef") end

row("read", pack("x"), on_pipe(function(a) return a:read(1, "more", "than", "it", "takes") end, write "x"))
row("read_exactly", pack("1234567"), on_pipe(function(a) return a:read_exactly(7, "more") end, write "1234567"))
row("read_line", pack("a line"), on_pipe(lines, write "a line\n"))
row("read_line at the end", pack(nil, "eof"), on_pipe(lines, function(b) b:close() end))
row("read that is cut by our close", pack(nil, "closed"), on_pipe(lines, function(_, a) a:close() end))
row("wait_readable", pack(true), on_pipe(function(a) return a:wait_readable("more") end, write "x"))
row("write", pack(6), on_pipe(long, function(b) assert.equal("abcdef", b:read_exactly(6)) end))
row("write that is cut by the peer", pack(nil, "broken pipe", 32, 4), on_pipe(long, function(b) b:close() end))

row("netpoll's wait", pack(true), function()
  local fd, peer = units.socketpair()
  local pd = assert(moonpark.netpoll.open(fd))
  return {
    call = function() return pd:wait("r", "more") end,
    wake = function() units.write(peer, "x") end,
    close = function()
      pd:unblock()
      pd:close()
      units.close(fd, peer)
    end,
  }
end)

row("recv_from", pack("datagram", nil), function()
  local socket = assert(net.packet("udp:127.0.0.1:0"))
  local sender = assert(net.packet("udp:127.0.0.1:0"))
  return {
    call = function()
      local got = pack(socket:recv_from(100, "more"))
      assert.equal(sender:address(), got[2])
      got[2] = nil
      return unpack(got, 1, got.n)
    end,
    wake = function() sender:send_to("datagram", socket:address()) end,
    close = function()
      socket:close()
      sender:close()
    end,
  }
end)

row("a file's reading", pack("-"), function()
  local file = assert(fs.open("spec/lua/results_spec.lua"))
  return { call = function() return file:read(1) end, close = function() file:close() end }
end)

row("a child's end", pack("exited", 3), function()
  local child = assert(process.spawn({ "sh", "-c", "read line; exit 3" }, { stdin = "pipe" }))
  return {
    call = function() return child:wait(nil, "more") end,
    wake = function() child.stdin:write("\n") end,
    close = function() child.stdin:close() end,
  }
end)

-- How it is called.
local ways = {
  { "in a task", function(call) return call() end },
  { "in a generator", function(call) return coroutine.wrap(call)() end },
  { "in a coroutine that is resumed", function(call)
    local co = coroutine.create(call)
    return select(2, coroutine.resume(co))
  end },
  { "in a generator of a generator", function(call)
    return coroutine.wrap(function() return coroutine.wrap(call)("more") end)("more", "than", "it takes")
  end },
  { "through pcall", function(call) return select(2, pcall(call)) end },
}

local function parked(task)
  while task:status() == "ready" do moonpark.yield() end
end

describe("after a wait", function()
  for _, case in ipairs(rows) do
    for _, way in ipairs(ways) do
      it(("%s returns its results and nothing else, %s"):format(case.name, way[1]), function()
        local object = case.make()
        local got, after
        local task = moonpark.go(function()
          got = pack(way[2](object.call))
          after = pack(moonpark.yield())
        end)
        parked(task)
        if object.wake then object.wake() end
        assert.same({ true }, { task:join() })
        assert.same(case.wanted, got)
        assert.same(pack(true), after)
        if object.close then object.close() end
      end)
    end
  end

  it("that was cancelled there are nil and \"canceled\" and nothing else", function()
    for _, way in ipairs(ways) do
      local ch = moonpark.chan()
      local task = moonpark.go(function() return pack(way[2](function() return ch:send("value", nil, "more") end)) end)
      parked(task)
      task:cancel()
      assert.same({ true, pack(nil, "canceled") }, { task:join() })
    end
  end)

  it("for the others' turn, a call returns what it would have returned at once", function()
    local held, closed = moonpark.chan(1), moonpark.chan(0)
    closed:close()
    local function calls()
      for i = 1, 300 do
        assert.equal(1, select("#", held:send(i)))
        assert.same(pack(i), pack(held:recv()))
        assert.same(pack(nil, "closed"), pack(closed:recv()))
        assert.same(pack(1, nil, "closed"), pack(moonpark.select { { closed } }))
      end
    end
    calls()
    coroutine.wrap(calls)()
  end)
end)

describe("a task begins with its arguments and nothing else", function()
  it("in a new coroutine and in one that has run others, which waited", function()
    for n = 0, 40 do
      local given = {}
      for i = 1, n do given[i] = i end
      local task = moonpark.go(function(...)
        moonpark.sleep(0)
        return select("#", ...), (select(n > 0 and n or 1, ...))
      end, unpack(given))
      assert.same({ true, n, n > 0 and n or nil }, { task:join() })
    end
  end)

  it("as a server's handler: the connection", function()
    local listener = assert(net.listen("127.0.0.1:0"))
    local seen
    local server = moonpark.go(function()
      listener:serve(function(...)
        seen = pack(...)
        moonpark.yield()
        local conn = ...
        conn:write(conn:read_exactly(4))
      end)
    end)
    for _ = 1, 3 do
      local conn = assert(net.dial(listener:address()))
      conn:write("echo")
      assert.equal("echo", conn:read_all())
      conn:close()
      assert.equal(1, seen.n)
    end
    listener:close()
    server:join()
  end)
end)

-- SPDX-License-Identifier: MIT
-- select: the first of several channels, connections and a time limit.

local core = require "moonpark.core"
local moonpark = require "moonpark"
local net = require "moonpark.net"

local function settle()
  for _ = 1, 10 do moonpark.yield() end
end

local function tcp_pair()
  local listener = assert(net.listen("127.0.0.1:0"))
  local client = assert(net.dial(listener:address()))
  local server = assert(listener:accept())
  listener:close()
  return client, server
end

describe("select", function()
  it("receives from the channel that has something", function()
    local a, b = moonpark.chan(1), moonpark.chan(1)
    b:send("value")
    assert.same({ 2, "value" }, { moonpark.select { { a }, { b } } })
  end)

  it("takes the same connection, and the same channel, in several cases", function()
    local client, server = tcp_pair()
    local ch = moonpark.chan()
    local cases = { { client, "r" }, { client, "r" }, { ch }, { ch }, { ch, "own" }, timeout = 5 }
    local task = moonpark.go(function() return moonpark.select(cases) end)
    settle()
    server:write("x")
    local _, number, ready = task:join()
    assert.is_true(number == 1 or number == 2)
    assert.is_true(ready)
    assert.equal("x", client:read())
    assert.equal(0, core.stats().waiters)
    client:close()
    server:close()
  end)

  it("waits for the first one, and leaves the others alone", function()
    local a, b = moonpark.chan(), moonpark.chan()
    local got
    moonpark.go(function() got = { moonpark.select { { a }, { b } } } end)
    settle()
    assert.is_true(a:send("first"))
    settle()
    assert.same({ 1, "first" }, got)
    assert.same({ nil, "timeout" }, { b:send("nobody", 0) })
    assert.same({ nil, "timeout" }, { a:send("nobody", 0) })
  end)

  it("sends to the channel that takes it, the value of the time of the call", function()
    local a, b = moonpark.chan(), moonpark.chan()
    local case, got = { b, "old" }, nil
    moonpark.go(function() got = { moonpark.select { { a }, case } } end)
    settle()
    case[2] = "new"
    assert.equal("old", b:recv())
    settle()
    assert.same({ 2, true }, got)
  end)

  it("takes a parked sender's and meets a parked receiver", function()
    local ch, got = moonpark.chan(), nil
    moonpark.go(function() ch:send("offered") end)
    settle()
    assert.same({ 1, "offered" }, { moonpark.select { { ch } } })
    moonpark.go(function() got = ch:recv() end)
    settle()
    assert.same({ 1, true }, { moonpark.select { { ch, "given" } } })
    settle()
    assert.equal("given", got)
  end)

  it("meets another select", function()
    local a, b, got = moonpark.chan(), moonpark.chan(), nil
    moonpark.go(function() got = { moonpark.select { { a }, { b } } } end)
    settle()
    assert.same({ 1, true }, { moonpark.select { { b, "between" }, timeout = 1e6 } })
    settle()
    assert.same({ 2, "between" }, got)
  end)

  it("says which case failed because its channel was closed", function()
    local a, b, got = moonpark.chan(), moonpark.chan(), nil
    moonpark.go(function() got = { moonpark.select { { a }, { b, 1 } } } end)
    settle()
    b:close()
    settle()
    assert.same({ 2, nil, "closed" }, got)
    assert.same({ 1, nil, "closed" }, { moonpark.select { { b } } })
  end)

  it("gives up after its timeout; zero only looks", function()
    local ch = moonpark.chan()
    assert.same({ nil, "timeout" }, { moonpark.select { { ch }, timeout = 0 } })
    assert.same({ nil, "timeout" }, { moonpark.select { { ch }, { ch, 1 }, timeout = 0.001 } })
    assert.same({ nil, "timeout" }, { moonpark.select { timeout = 0.001 } })
  end)

  it("leaves every queue when it is cancelled", function()
    local a, b = moonpark.chan(), moonpark.chan()
    local client, server = tcp_pair()
    local got
    local task = moonpark.go(function() got = { moonpark.select { { a }, { b, 1 }, { server, "r" } } } end)
    settle()
    task:cancel()
    task:join()
    assert.same({ nil, "canceled" }, got)
    assert.same({ nil, "timeout" }, { a:send(1, 0) })
    assert.same({ nil, "timeout" }, { b:recv(0) })
    assert.equal(0, core.stats().waiters)
    client:close()
    server:close()
  end)

  it("waits for readiness of connections", function()
    local client, server = tcp_pair()
    local ch, got = moonpark.chan(), nil
    local task = moonpark.go(function() got = { moonpark.select { { ch }, { server, "r" } } } end)
    settle()
    client:write("x")
    task:join()
    assert.same({ 2, true }, got)
    assert.equal("x", server:read())
    assert.same({ 1, true }, { moonpark.select { { client, "w" } } })
    client:close()
    server:close()
  end)

  it("sees buffered bytes, the end of a stream, and a close", function()
    local client, server = tcp_pair()
    client:write("one\ntwo\n")
    server:read_line()
    assert.same({ 1, true }, { moonpark.select { { server, "r" }, timeout = 1e6 } })
    server:read_line()
    client:close()
    assert.same({ 1, true }, { moonpark.select { { server, "r" }, timeout = 1e6 } })
    server:close()
    assert.same({ 1, nil, "closed" }, { moonpark.select { { server, "r" } } })
  end)

  it("is told when a connection's deadline passes or it is closed meanwhile", function()
    local client, server = tcp_pair()
    server:set_read_deadline(moonpark.now() + 0.001)
    assert.same({ 1, nil, "timeout" }, { moonpark.select { { server, "r" } } })
    server:set_read_deadline(nil)
    local got
    moonpark.go(function() got = { moonpark.select { { server, "r" } } } end)
    settle()
    server:close()
    settle()
    assert.same({ 1, nil, "closed" }, got)
    client:close()
  end)

  it("wakes for in-memory connections too", function()
    local a, b = net.pipe()
    local got
    local task = moonpark.go(function() got = { moonpark.select { { b, "r" } } } end)
    settle()
    a:write("x")
    task:join()
    assert.same({ 1, true }, got)
    a:close()
    b:close()
  end)

  it("picks each of several ready cases now and then", function()
    local a, b, count = moonpark.chan(1), moonpark.chan(1), { 0, 0 }
    for _ = 1, 200 do
      a:send(1, 0)
      b:send(1, 0)
      local index = moonpark.select { { a }, { b } }
      count[index] = count[index] + 1
    end
    assert.is_true(count[1] > 0 and count[2] > 0)
  end)

  it("raises for what is no case", function()
    local ch = moonpark.chan()
    local client, server = tcp_pair()
    assert.error_matches(function() moonpark.select { ch } end, "a case must be a table")
    assert.error_matches(function() moonpark.select { { 1 } } end, "a case must be {channel}", 1, true)
    assert.error_matches(function() moonpark.select { { client, "x" } } end, '"r" or "w" expected')
    assert.error_matches(function() moonpark.select { { client } } end, '"r" or "w" expected')
    assert.error_matches(function() moonpark.select() end, "table expected")
    assert.error_matches(function() moonpark.select { { ch }, timeout = "x" } end,
      "option 'timeout': number of seconds expected, got string")
    assert.error_matches(function() moonpark.select { { ch }, timeout = "1" } end, "number of seconds expected")
    assert.error_matches(function() moonpark.select { { ch }, tiemout = 1 } end, "unknown option 'tiemout'")
    local many = {}
    for i = 1, 129 do many[i] = { ch } end
    assert.error_matches(function() moonpark.select(many) end, "too many cases")
    client:close()
    server:close()
  end)

  it("joins the first of several tasks that ends", function()
    local gate = moonpark.event()
    local slow = moonpark.go(function() gate:wait() return "slow" end)
    local quick = moonpark.go(function() moonpark.sleep(0.001) return "quick", 2, nil, 4 end)
    assert.same({ 2, true, "quick", 2, nil, 4 }, { moonpark.select { { slow }, { quick } } })
    assert.same({ 1, true, "quick", 2, nil, 4 }, { moonpark.select { { quick }, { slow } } }) -- ended already
    assert.same({ nil, "timeout" }, { moonpark.select { { slow }, timeout = 0.001 } })
    assert.same({ nil, "timeout" }, { moonpark.select { { slow }, { slow }, timeout = 0.001 } })
    local other = moonpark.go(function() return moonpark.select { { slow }, { moonpark.chan() } } end)
    moonpark.yield()
    gate:set()
    assert.same({ true, 1, true, "slow" }, { other:join() })
  end)

  it("joins a task with many results, and one that failed: its error is joined, not reported", function()
    local function range(n) return unpack((function() local t = {} for i = 1, n do t[i] = i end return t end)()) end
    local many = { moonpark.select { { moonpark.go(range, 100) } } }
    assert.same({ 1, true, 1, 100, 102 }, { many[1], many[2], many[3], many[102], #many })
    local failing = moonpark.go(error, { code = 7 })
    local number, ok, err, trace = moonpark.select { { failing } }
    assert.same({ 1, nil, 7, "string" }, { number, ok, err.code, type(trace) })
    assert.same({ 1, nil, err, trace }, { moonpark.select { { failing } } })
  end)

  it("is cancelled while it joins, and forgets the tasks", function()
    local sleeper = moonpark.go(moonpark.sleep, 1000)
    local selecting = moonpark.go(function() return moonpark.select { { sleeper } } end)
    moonpark.yield()
    selecting:cancel()
    assert.same({ true, nil, "canceled" }, { selecting:join() })
    sleeper:cancel()
    sleeper:join()
  end)

  it("of nothing, of itself and of no case is a mistake at the caller's line", function()
    local function wrong(cases)
      local ok, err = pcall(function() moonpark.select(cases) end)
      return not ok and err
    end
    assert.matches("select_spec.lua:%d+: select: no cases and no timeout", wrong {})
    assert.matches("select_spec.lua:%d+: select: a task cannot join itself", wrong { { moonpark.current() } })
    assert.matches("select_spec.lua:%d+: select: a case must be", wrong { { 5 } })
    local task = moonpark.go(function() end)
    assert.matches("select_spec.lua:%d+: select: a task is a case of its own", wrong { { task, 5 } })
    assert.matches("select_spec.lua:%d+: select: a task is a case of its own", wrong { { task, "r" } })
    assert.same({ nil, "timeout" }, { moonpark.select { timeout = 0.001 } })
  end)
end)

-- SPDX-License-Identifier: MIT
-- Generators (coroutine.wrap, coroutine.create) inside tasks: they may wait, and nothing else changes.

local moonpark = require "moonpark"
local net = require "moonpark.net"

describe("a generator inside a task", function()
  it("may wait, and yields its own values as ever", function()
    local generator = coroutine.wrap(function(first)
      moonpark.sleep(0.001)
      local second = coroutine.yield(first + 1, "a")
      moonpark.sleep(0.001)
      return second * 2
    end)
    assert.same({ 2, "a" }, { generator(1) })
    assert.equal(42, generator(21))
    assert.error_matches(generator, "dead coroutine")
  end)

  it("may read from a socket and hand on what it read", function()
    local listener = assert(net.listen("127.0.0.1:0"))
    moonpark.go(function()
      local conn = listener:accept()
      for i = 1, 3 do
        conn:write("line ", i, "\n")
        moonpark.sleep(0.001)
      end
      conn:close()
    end)
    local conn = assert(net.dial(listener:address()))
    local got = {}
    for line in coroutine.wrap(function()
      for line in conn:lines() do coroutine.yield(line) end
    end) do got[#got + 1] = line end
    assert.same({ "line 1", "line 2", "line 3" }, got)
    conn:close()
    listener:close()
  end)

  it("may be nested, wait at every depth, and share the task's cancellation", function()
    local function nest(depth)
      if depth == 0 then return moonpark.sleep(1e6) end
      return coroutine.wrap(nest)(depth - 1)
    end
    local result
    local task = moonpark.go(function() result = { nest(20) } end)
    for _ = 1, 5 do moonpark.yield() end
    task:cancel()
    task:join()
    assert.same({ nil, "canceled" }, result)
  end)

  it("writes what lies on its own stack, however long the write is parked", function()
    local a, b = net.pipe(100)
    local text = ("0123456789"):rep(1000)
    local task = moonpark.go(function()
      return coroutine.wrap(function() return a:write(text:sub(1, 5000), text:sub(5001)) end)()
    end)
    assert.equal(text, b:read_exactly(#text))
    assert.same({ true, #text }, { task:join() })
    a:close()
    b:close()
  end)

  it("gets along when two tasks drive generators at once", function()
    local function counter(pause)
      return coroutine.wrap(function()
        for i = 1, 3 do
          moonpark.sleep(pause)
          coroutine.yield(i)
        end
      end)
    end
    local function drain(pause)
      local sum = 0
      for i in counter(pause) do sum = sum + i end
      return sum
    end
    local tasks = { moonpark.go(drain, 0.002), moonpark.go(drain, 0.001) }
    for _, task in ipairs(tasks) do assert.same({ true, 6 }, { task:join() }) end
  end)

  it("passes on the yield that ends a task's share of operations, with its results", function()
    local ch = moonpark.chan(1)
    local sum = coroutine.wrap(function()
      local sum = 0
      for i = 1, 500 do
        ch:send(i)
        sum = sum + ch:recv()
      end
      return sum
    end)()
    assert.equal(500 * 501 / 2, sum)
  end)

  it("raises its errors to whoever resumed it", function()
    local generator = coroutine.wrap(function()
      moonpark.yield()
      error("inside", 0)
    end)
    assert.error_matches(generator, "inside")
    local co = coroutine.create(function()
      moonpark.yield()
      error("inside", 0)
    end)
    assert.same({ false, "inside" }, { coroutine.resume(co) })
    assert.equal("dead", coroutine.status(co))
  end)
end)

describe("a generator outside of any task", function()
  it("works as without moonpark", function()
    local co = coroutine.create(function(a)
      local b = coroutine.yield(a, nil)
      return b, nil
    end)
    assert.equal(3, select("#", coroutine.resume(co, 1)))
    assert.equal(3, select("#", coroutine.resume(co, 2)))
    assert.is_false((coroutine.resume(co)))
  end)
end)

describe("a wait across a C call", function()
  it("raises, and leaves the task able to wait", function()
    local function sort() table.sort({ 3, 1, 2 }, function(a, b) moonpark.sleep(0) return a < b end) end
    local function gsub() return (("abc"):gsub(".", function() moonpark.yield() end)) end
    for _, fn in ipairs { sort, gsub } do
      assert.error_matches(fn, "yield across a C call")
      assert.is_true((moonpark.yield()))
    end
  end)

  it("raises out of a generator that is resumed there, and the connection stays usable", function()
    local a, b = net.pipe()
    local read = coroutine.wrap(function() return b:read() end)
    assert.error_matches(function()
      table.sort({ 3, 1, 2 }, function(x, y) read() return x < y end)
    end, "yield across a C call")
    a:write("x")
    assert.equal("x", b:read())
    a:close()
    b:close()
  end)

  it("is allowed through pcall, xpcall, metamethods and iterators", function()
    local object = setmetatable({}, {
      __add = function(_, n) moonpark.sleep(0.001) return n end,
      __index = function(_, key) moonpark.yield() return key end,
      __call = function() moonpark.yield() return "called" end,
    })
    assert.equal(5, object + 5)
    assert.equal("field", object.field)
    assert.equal("called", object())
    assert.same({ true, true }, { pcall(moonpark.sleep, 0.001) })
    assert.same({ true, true }, { xpcall(moonpark.sleep, print, 0.001) })
    local turns = 0
    for _ in function(_, i) moonpark.yield() if (i or 0) < 3 then return (i or 0) + 1 end end do turns = turns + 1 end
    assert.equal(3, turns)
  end)
end)

describe("a plain coroutine.yield in a task", function()
  it("ends the task with an error that says what to call instead", function()
    local ok, err, trace = moonpark.go(function() coroutine.yield(1) end):join()
    assert.is_nil(ok)
    assert.matches("use moonpark.yield%(%)", err)
    assert.matches("coroutines_spec.lua:%d+", trace)
  end)
end)

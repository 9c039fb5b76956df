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

-- The line of a function's one statement that raises, and what it raised there, without its position.
local function raised_at(fn)
  local ok, err = pcall(fn)
  assert.is_false(ok)
  local file, line, text = err:match("^([^\n]-):(%d+): (.*)$")
  assert.equal(debug.getinfo(fn, "S").short_src, file)
  assert.equal(debug.getinfo(fn, "S").linedefined, tonumber(line))
  return text
end

describe("an error out of a generator", function()
  local inside = debug.getinfo(1, "S").short_src .. ":%d+: inside"

  it("has the line of who resumed it in front, as Lua's own coroutine.wrap has it, after a wait too", function()
    for _, wait in ipairs { function() end, moonpark.yield } do
      local function generator() return coroutine.wrap(function() wait() error("inside") end) end
      assert.matches("^" .. inside .. "$", raised_at(function() local _ = generator()() end))
      assert.matches("^" .. inside .. "$", raised_at(function() for _ in generator() do end end))
      assert.matches("^" .. inside .. "$", select(2, pcall(generator())))
    end
  end)

  it("that is no text stays as it is; a number becomes one, as out of Lua's own", function()
    for _, value in ipairs { {}, false, print } do
      assert.equal(value, (select(2, pcall(function() local _ = coroutine.wrap(function() error(value) end)() end))))
    end
    assert.is_nil((select(2, pcall(coroutine.wrap(function() error() end)))))
    assert.equal("5", raised_at(function() local _ = coroutine.wrap(function() error(5, 0) end)() end))
  end)

  it("goes through generators around it, each with its line", function()
    local function outer() local _ = coroutine.wrap(function() moonpark.yield() error("inside", 0) end)() end
    assert.matches("^[^\n]-:%d+: inside$", raised_at(function() local _ = coroutine.wrap(outer)() end))
  end)

  it("names the script for what cannot be resumed", function()
    local ended = coroutine.wrap(function() end)
    ended()
    assert.equal("cannot resume dead coroutine", raised_at(function() local _ = ended() end))
    assert.same({ false, "cannot resume dead coroutine" }, { pcall(ended) })
    local itself
    itself = coroutine.wrap(function() local _ = itself() end)
    assert.matches("^[^\n]-:%d+: cannot resume running coroutine$", raised_at(function() local _ = itself() end))
  end)

  it("names the script for what is no coroutine and no function", function()
    local resume, wrap = coroutine.resume, coroutine.wrap
    local got = "bad argument #1 to 'wrap' (function expected, got %s)"
    assert.equal(got:format "no value", raised_at(function() local _ = wrap() end))
    assert.equal(got:format "nil", raised_at(function() local _ = wrap(nil) end))
    assert.equal(got:format "string", raised_at(function() local _ = wrap("x") end))
    got = "bad argument #1 to 'resume' (coroutine expected)"
    for _, value in ipairs { 5, "x", false, print } do
      assert.equal(got, raised_at(function() local _ = resume(value) end))
    end
    assert.equal(got, raised_at(function() local _ = resume() end))
  end)

  it("names the script where a wait cannot leave it, or where nothing waits", function()
    local wrapped = coroutine.wrap(moonpark.yield)
    local created = coroutine.create(moonpark.yield)
    local token = coroutine.wrap(function() coroutine.yield(require("moonpark.core").parked) end)
    table.sort({ 2, 1 }, function()
      assert.matches("cannot wait here", raised_at(function() local _ = wrapped() end))
      assert.matches("cannot wait here", raised_at(function() local _ = coroutine.resume(created) end))
    end)
    assert.matches("without waiting", raised_at(function() local _ = token() end))
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

describe("what a generator yields and returns", function()
  local cases = { { 0, function() end }, { 1, function() return nil end }, { 3, function() return nil, 1, nil end } }

  it("comes as many values as there are, none among them", function()
    for _, wait in ipairs { function() end, moonpark.yield } do
      for _, case in ipairs(cases) do
        local function body()
          wait()
          coroutine.yield(case[2]())
          wait()
          return case[2]()
        end
        local co, wrapped = coroutine.create(body), coroutine.wrap(body)
        for _ = 1, 2 do
          assert.equal(1 + case[1], select("#", coroutine.resume(co)))
          assert.equal(case[1], select("#", wrapped()))
        end
      end
    end
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
  it("raises at the call, and the task goes on if it catches that", function()
    assert.matches("^coroutine.yield called in a task, outside any generator: use moonpark.yield%(%)$",
      raised_at(function() coroutine.yield(1) end))
    assert.is_true((moonpark.yield()))
    assert.equal(7, coroutine.wrap(function() return coroutine.yield(7) end)())
  end)

  it("ends the task with an error that says what to call instead", function()
    local ok, err, trace = moonpark.go(function() coroutine.yield(1) end):join()
    assert.is_nil(ok)
    assert.matches("use moonpark.yield%(%)", err)
    assert.matches("coroutines_spec.lua:%d+", trace)
  end)
end)

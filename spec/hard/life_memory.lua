-- SPDX-License-Identifier: MIT
-- life_memory.lua - the stages of a life without a kernel, on a clock that jumps: pairs, deadlines, tasks, channels, ..

local moonpark = require "moonpark"
local net = require "moonpark.net"
local life_expect = require "hard.life_expect"

local WRONG, expect, expect_failure = life_expect.WRONG, life_expect.expect, life_expect.expect_failure

local function pair()
  local a, b = assert(net.pipe(3))
  moonpark.scope(function(scope)
    scope:go(function()
      expect(8, a:write("abc", "def\n", "g"))
      a:close()
    end)
    expect("abcdef", b:read_line())
    expect("g", b:read_all())
    expect_failure("broken pipe", b:write("h"))
  end)
  b:close()
end

local function deadlines()
  local a, b = assert(net.pipe())
  assert(a:set_deadline(moonpark.now() + 1))
  expect_failure("timeout", a:read())
  assert(a:set_read_deadline(nil))
  assert(a:set_timeout(1))
  expect_failure("timeout", a:read_exactly(1))
  assert(b:write("z"))
  expect("z", a:read_exactly(1))
  a:close()
  expect_failure("closed", a:read())
  b:close()
end

local function tasks()
  local sleeper = moonpark.go(moonpark.sleep, 3600)
  assert(moonpark.yield())
  sleeper:cancel("no longer needed")
  local ok, slept, err = sleeper:join()
  if ok then expect_failure("canceled", slept, err) end
  expect_failure("timeout", moonpark.timeout(1, function() return moonpark.sleep(3600) end))
  expect(7, moonpark.shield(function()
    assert(moonpark.sleep(1))
    return 7
  end))
  local many = moonpark.go(function() return 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 end)
  local results = { many:join() }
  if results[1] then expect(11, #results) end
  local generator = coroutine.wrap(function()
    assert(moonpark.sleep(1))
    coroutine.yield("from a generator")
  end)
  expect("from a generator", generator())
  local failing = moonpark.go(error, "as asked", 0)
  ok, err = failing:join()
  if ok ~= nil then error(WRONG .. "an error was expected", 0) end
  if err ~= "as asked" then error(err, 0) end
  expect(true, moonpark.dump():find("deadlock", 1, true) == nil)
end

local function scopes()
  local ok, err = pcall(moonpark.scope, function(scope)
    scope:go(moonpark.sleep, 3600)
    scope:go(function()
      moonpark.scope(function(inner)
        inner:go(moonpark.sleep, 3600)
        error("as asked", 0)
      end)
    end)
  end)
  if ok then error(WRONG .. "the scope's error was lost", 0) end
  if not err:find("as asked", 1, true) then error(err, 0) end
end

local function channels()
  local plain, held = moonpark.chan(), moonpark.chan(1)
  local a, b = assert(net.pipe())
  moonpark.scope(function(scope)
    scope:go(function()
      assert(plain:send("p"))
      assert(held:send("q"))
      assert(held:send("r"))
      assert(b:write("s"))
      local n, err = moonpark.select { { held, "t" }, timeout = 3600 }
      expect(1, n, err)
      held:close()
    end)
    expect("p", plain:recv())
    expect("q", held:recv())
    expect("r", held:recv())
    local n, ready, err = moonpark.select { { plain }, { a, "r" }, timeout = 3600 }
    expect(2, n, ready)
    expect(true, ready, err)
    expect("s", a:read())
    local got
    n, got, err = moonpark.select { { plain }, { held } }
    expect(2, n, got)
    expect("t", got, err)
    expect_failure("closed", held:recv())
    expect_failure("timeout", moonpark.select { { plain }, timeout = 1 })
    expect_failure("timeout", plain:recv(1))
    for _ in held:iter() do error(WRONG .. "a closed channel has no values") end
  end)
  a:close()
  b:close()
end

local function locks()
  local mutex, semaphore, event = moonpark.mutex(), moonpark.semaphore(0), moonpark.event()
  moonpark.scope(function(scope)
    assert(mutex:lock())
    local waiter = scope:go(function()
      assert(mutex:lock())
      mutex:unlock()
      assert(semaphore:acquire())
      assert(event:wait())
      return "through"
    end)
    assert(moonpark.yield())
    mutex:unlock()
    assert(moonpark.yield())
    semaphore:release()
    assert(moonpark.yield())
    event:set()
    local ok, word = waiter:join()
    if ok then expect("through", word) end
  end)
  expect_failure("timeout", semaphore:acquire(1))
end

return { pair, deadlines, tasks, scopes, channels, locks }

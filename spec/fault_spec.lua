-- SPDX-License-Identifier: MIT
-- What scripts do in the wrong place: waits across C calls, plain yields, errors in error handlers and
-- finalizers, cancels of all kinds, endless recursion. Each gets its words, the loop lives on, nothing is lost.

local alive = require "support.alive"
local core = require "moonpark.core"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local support = require "support.net"

local NAN = 0 / 0
local lives_on, run_script = alive.lives_on, alive.run_script

---------------------------------------------------------------------------------------------------
-- waits in the wrong place

describe("a wait across a C call", function()
  local across = {
    ["table.sort"] = function(wait) table.sort({ 3, 2, 1 }, function(x, y) wait() return x < y end) end,
    ["string.gsub"] = function(wait) string.gsub("abc", ".", wait) end,
    ["load's reader"] = function(wait) assert(load(function() wait() end)) end,
    ["a __tostring that string.format calls"] = function(wait)
      string.format("%s", setmetatable({}, { __tostring = function() wait() return "" end }))
    end,
    ["a module's loading"] = function(wait)
      package.loaded["misuse_spec.waiting"] = nil
      package.preload["misuse_spec.waiting"] = wait
      require "misuse_spec.waiting"
    end,
  }

  local waiting = {
    sleep = function() moonpark.sleep(0.001) end,
    yield = function() moonpark.yield() end,
    recv = function() moonpark.chan(1):recv() end,
    dial = function() net.dial("127.0.0.1:1") end,
    ["a generator that sleeps"] = function() coroutine.wrap(function() moonpark.sleep(0.001) end)() end,
    ["a scope"] = function() moonpark.scope(function() end) end,
  }

  for place, call in pairs(across) do
    it(("in %s is refused, and the task goes on"):format(place), lives_on(function()
      for name, wait in pairs(waiting) do
        local ok, err = pcall(call, wait)
        assert.is_false(ok, name)
        assert.is_true(tostring(err):find("across a C call", 1, true) ~= nil, name .. ": " .. tostring(err))
        assert.is_true(moonpark.sleep(0))
      end
    end))
  end

  it("leaves a connection to others: nobody stands in its queue", support.on("tcp", function(a, b)
    local ok = pcall(string.gsub, "abc", ".", function() return a:read() end)
    assert.is_false(ok)
    b:write("x")
    assert.equal("x", a:read())
  end))

  it("in a finalizer is refused", lives_on(function()
    local err
    do
      local box = newproxy(true)
      getmetatable(box).__gc = function()
        local _
        _, err = pcall(moonpark.sleep, 1)
      end
    end
    collectgarbage()
    collectgarbage()
    assert.matches("cannot wait here", err)
  end))

  it("in a generator that a finalizer runs is refused too: such a yield once got lost, and the task with it",
    lives_on(function()
      local err
      do
        local box = newproxy(true)
        getmetatable(box).__gc = function()
          local _
          _, err = pcall(coroutine.wrap(function() return moonpark.sleep(0) end))
        end
      end
      coroutine.wrap(function()
        collectgarbage()
        collectgarbage()
      end)()
      assert.matches("in __gc", err)
      assert.is_true(moonpark.sleep(0))
    end))

  it("is none through pcall, metamethods and iterators: there a wait is fine", lives_on(function()
    local function wait(...)
      assert(moonpark.sleep(0.0001))
      return ...
    end
    local object = setmetatable({}, {
      __index = function() return wait("index") end,
      __newindex = function() wait() end,
      __call = function() return wait("call") end,
      __add = function() return wait("add") end,
      __concat = function() return wait("concat") end,
      __eq = function() return wait(true) end,
      __lt = function() return wait(true) end,
      __le = function() return wait(true) end,
      __unm = function() return wait("unm") end,
    })
    local other = setmetatable({}, debug.getmetatable(object))
    object.field = 1
    assert.equal("index", object.missing)
    assert.equal("call", object())
    assert.equal("add", object + 1)
    assert.equal("concat", object .. "x")
    assert.is_true(object == other and object < other and object <= other)
    assert.equal("unm", -object)
    assert.same({ true, "pcall" }, { pcall(wait, "pcall") })
    assert.same({ true, "xpcall" }, { xpcall(function() return wait("xpcall") end, debug.traceback) })
    assert.same({ true, true, "nested" }, { pcall(pcall, wait, "nested") })
    local seen = 0
    for value in function(_, control) return wait((control or 0) < 3 and (control or 0) + 1 or nil) end do
      seen = seen + value
    end
    assert.equal(6, seen)
    local generator = coroutine.wrap(function()
      for i = 1, 3 do coroutine.yield(wait(i)) end
    end)
    assert.same({ 1, 2, 3 }, { generator(), generator(), generator() })
  end))
end)

describe("a plain coroutine.yield", function()
  it("from a task ends it with words that say what to call", lives_on(function()
    for _, fn in ipairs {
      function() coroutine.yield() end,
      function() coroutine.yield(1, 2, 3) end,
      function() moonpark.scope(function() coroutine.yield() end) end,
      function() moonpark.shield(function() coroutine.yield() end) end,
    } do
      local ok, err = moonpark.go(fn):join()
      assert.is_nil(ok)
      assert.matches("use moonpark.yield%(%)", err)
    end
  end))

  it("raises where it was called, so that pcall takes it", lives_on(function()
    local ok, caught, err = moonpark.go(function() return pcall(coroutine.yield, 1) end):join()
    assert.same({ true, false }, { ok, caught })
    assert.matches("use moonpark.yield%(%)", err)
  end))

  it("of moonpark's own token is no park", lives_on(function()
    local ok, err = moonpark.go(function() coroutine.yield(core.parked) end):join()
    assert.is_nil(ok)
    assert.matches("use moonpark.yield%(%)", err)
    ok, err = moonpark.go(function() coroutine.wrap(function() coroutine.yield(core.parked) end)() end):join()
    assert.is_nil(ok)
    assert.matches("without waiting", err)
  end))

  it("from a task lets go of what the task had: its scope, its children, its place in a scope", lives_on(function()
    local child
    local task = moonpark.go(function()
      moonpark.scope(function(scope)
        child = scope:go(function() return moonpark.sleep(3600) end)
        coroutine.yield()
      end)
    end)
    assert.is_nil(task:join())
    child:cancel()
    assert.same({ true, nil, "canceled" }, { child:join() })
  end))
end)

describe("a coroutine of a task resumed without moonpark's knowledge", function()
  local PRELUDE = [[
    local resume, wrap = coroutine.resume, coroutine.wrap -- as a library does that was loaded before
    local moonpark = require "moonpark"
  ]]

  it("is reported where the task waits next", function()
    local result = run_script(PRELUDE .. [[
      moonpark.run(function()
        wrap(function() moonpark.sleep(0.01) end)()
        print(pcall(moonpark.sleep, 0))
      end)
    ]])
    assert.matches("^false\t[^\n]*task is already waiting", result.out)
    assert.matches("saved before moonpark was loaded", result.out)
  end)

  it("is reported when the task ends", function()
    local result = run_script(PRELUDE .. [[
      moonpark.run(function()
        local a, b = moonpark.net.pipe()
        local task = moonpark.go(function() print(resume(coroutine.create(function() a:read() end))) end)
        print(task:join())
        b:write("still works")
        print(a:read())
        a:close()
        b:close()
      end)
    ]])
    assert.matches("nil\t[^\n]*a generator's wait was lost", result.out)
    assert.matches("\nstill works\n$", result.out)
    assert.equal(0, result.status)
  end)

  it("is fine as long as it does not wait", function()
    local result = run_script(PRELUDE .. [[
      moonpark.run(function()
        local generator = wrap(function() for i = 1, 3 do coroutine.yield(i) end end)
        print(generator(), generator(), generator())
      end)
    ]])
    assert.equal("1\t2\t3\n", result.out)
  end)

  it("may wait where all that it yields is passed on, and all that comes back", function()
    local result = run_script([[
      local resume = coroutine.resume
      local function go_on(co, ok, ...) -- as coxpcall does
        if not ok or coroutine.status(co) == "dead" then return ok, ... end
        return go_on(co, resume(co, coroutine.yield(...)))
      end
      local moonpark = require "moonpark"
      moonpark.run(function()
        local a, b = moonpark.net.pipe(2)
        local co = coroutine.create(function() return a:write("longer than the pipe") end)
        local task = moonpark.go(function() return go_on(co, resume(co)) end)
        print(b:read_exactly(20))
        print(task:join())
        a:close()
        b:close()
      end)
    ]])
    assert.equal("longer than the pipe\ntrue\ttrue\t20\n", result.out)
  end)

  it("is reported where the token is passed on without what belongs to it", function()
    local result = run_script(PRELUDE .. [[
      moonpark.run(function()
        local ch, a, b = moonpark.chan(), moonpark.net.pipe(2)
        local target = moonpark.go(function() return ch:recv() end)
        for _, wait in ipairs {
          function() return moonpark.sleep(0.001) end,
          function() return moonpark.chan():send("value") end,
          function() return moonpark.select { { moonpark.chan(), "value" } } end,
          function() return a:write("longer than the pipe") end,
          function() return target:join() end,
          moonpark.yield,
        } do
          local function pass_on() return coroutine.yield((select(2, resume(coroutine.create(wait))))) end
          print(moonpark.go(pass_on):join())
          print(moonpark.go(function()
            print(pcall(coroutine.wrap(pass_on)))
            return moonpark.sleep(0)
          end):join())
        end
        ch:send("still works")
        print(target:join())
        a:close()
        b:close()
      end)
    ]])
    local told = 0
    for direct, through, after in result.out:gmatch("(nil\t[^\n]*)\n.-\n(false\t[^\n]*)\n(true\ttrue)\n") do
      assert.matches("a generator's wait was lost", direct)
      assert.matches("a generator's wait was passed on without all its values", through)
      assert.is_truthy(after)
      told = told + 1
    end
    assert.equal(6, told, result.out .. result.err)
    assert.matches("true\tstill works\n$", result.out)
  end)
end)

---------------------------------------------------------------------------------------------------
-- errors where nobody expects them

describe("an error", function()
  it("in an error handler ends what it protects, and no more", lives_on(function()
    local task = moonpark.go(function()
      return xpcall(function() error("first") end, function() error("second") end)
    end)
    local joined, ok = task:join()
    assert.is_true(joined)
    assert.is_false(ok)
  end))

  it("in an error handler that waits is no crash", lives_on(function()
    local task = moonpark.go(function()
      local ok = xpcall(function() error("first") end, function() return moonpark.sleep(0.001) end)
      return ok, moonpark.sleep(0)
    end)
    assert.same({ true, false, true }, { task:join() })
  end))

  it("may be any value, nil and NaN too", lives_on(function()
    local object = setmetatable({}, { __tostring = function() error("no text") end })
    for _, value in ipairs { object, 42, true, NAN, print, "text\0with zero" } do
      local ok, err = moonpark.go(function() error(value, 0) end):join()
      assert.is_nil(ok)
      assert.is_true(rawequal(err, value) or value ~= value)
    end
    local ok, err = moonpark.go(function() error() end):join()
    assert.same({ nil, nil }, { ok, err })
  end))

  -- Where a finalizer's error comes out is LuaJIT's affair: in whatever allocates, or nowhere.
  it("in a finalizer does not stop the loop, whatever was running", function()
    local result = run_script([[
      local moonpark = require "moonpark"
      local function litter()
        local box = newproxy(true)
        getmetatable(box).__gc = function() error("from a finalizer") end
      end
      local function round_trip(meanwhile, patience)
        local a, b = moonpark.net.pipe()
        local echo = moonpark.go(function() return b:write((b:read())) end)
        meanwhile()
        a:set_timeout(patience)
        a:write("x")
        local data = a:read()
        echo:join()
        a:close()
        b:close()
        return data
      end
      local function settle() repeat until pcall(collectgarbage) end
      collectgarbage("setpause", 1)
      collectgarbage("setstepmul", 10000)
      local good, bad = 0, 0
      moonpark.run(function()
        for i = 1, 100 do
          local ok, data = pcall(round_trip, litter, 0.002)
          if ok and data == "x" then good = good + 1 else bad = bad + 1 end
        end
        settle()
        print(round_trip(function() end, 60), good + bad)
        settle()
      end)
      print(moonpark.run(function() return "again" end))
      require("moonpark.core").check()
    ]])
    assert.equal("x\t100\nagain\n", result.out, result.err)
    assert.equal(0, result.status)
  end)

  it("in a finalizer at the end of the process is no crash, nor is what it calls of a closed loop", function()
    local result = run_script([[
      local objects = {}
      local box = newproxy(true) -- older than moonpark: finalized after it
      getmetatable(box).__gc = function()
        local moonpark, net = objects.moonpark, objects.net
        for _, fn in ipairs {
          function() moonpark.run(type, 1) end, function() moonpark.go(type, 1) end,
          function() moonpark.sleep(1) end, function() moonpark.now() end, function() moonpark.dump() end,
          function() net.listen("127.0.0.1:0") end, function() net.pipe() end,
          function() net.dial("127.0.0.1:1") end, function() moonpark.chan():send(1) end,
          function() moonpark.netpoll.open(0) end, function() objects.a:write("x") end,
          function() objects.a:close() end, function() objects.listener:close() end,
          function() objects.task:cancel() end, function() objects.task:join() end,
          function() objects.parked:cancel() objects.event:set() objects.channel:close() end,
          function() objects.core.stats() objects.core.check() objects.core.tasks() objects.core.kill_all() end,
        } do pcall(fn) end
        io.write("survived\n")
      end
      objects.moonpark = require "moonpark"
      objects.net, objects.core = objects.moonpark.net, require "moonpark.core"
      objects.moonpark.run(function()
        objects.a, objects.b = objects.net.pipe()
        objects.listener = assert(objects.net.listen("127.0.0.1:0"))
        objects.task = objects.moonpark.go(function() end)
        objects.event, objects.channel = objects.moonpark.event(), objects.moonpark.chan()
        objects.parked = objects.moonpark.go(function() objects.moonpark.sleep(3600) end)
        objects.moonpark.go(function() objects.event:wait(3600) end)
        objects.moonpark.go(function() objects.channel:recv(3600) end)
        objects.moonpark.go(function() objects.listener:accept() end)
        objects.moonpark.go(function() objects.a:set_deadline(objects.moonpark.now() + 3600) objects.a:read() end)
        objects.moonpark.yield()
        os.exit(0, true) -- with all of them parked
      end)
    ]])
    assert.same({ "survived\n", 0 }, { result.out, result.status })
  end)
end)

describe("finalizers that call moonpark", function()
  it("at any time do no harm", function()
    local result = run_script([[
      local moonpark = require "moonpark"
      local core = require "moonpark.core"
      local calls = {
        function() moonpark.dump() end,
        function() moonpark.go(function() end) end,
        function() moonpark.net.pipe() end,
        function() moonpark.chan(1):close() end,
        function() core.check() end,
        function() pcall(moonpark.sleep, 0) end,
        function() pcall(moonpark.run, type, 1) end,
        function() moonpark.go(error, "uncaught, on purpose") end,
        function() pcall(core.kill_all) end,
      }
      local count = 0
      local function litter()
        local box = newproxy(true)
        getmetatable(box).__gc = function()
          count = count + 1
          calls[count % #calls + 1]()
        end
      end
      collectgarbage("setpause", 1)
      collectgarbage("setstepmul", 10000)
      moonpark.run(function()
        local listener = assert(moonpark.net.listen("127.0.0.1:0"))
        local server = moonpark.go(function()
          return listener:serve(function(conn)
            for line in conn:lines() do
              litter()
              conn:write(line, "\n")
            end
          end)
        end)
        for i = 1, 20 do
          local conn = assert(moonpark.net.dial(listener:address()))
          for j = 1, 10 do
            litter()
            conn:write(("line %d\n"):format(j))
            assert(conn:read_line() == ("line %d"):format(j))
          end
          conn:close()
        end
        listener:close()
        print(server:join())
      end)
      print(count > 100)
      core.check()
    ]])
    assert.equal("true\ttrue\ntrue\n", result.out, result.err)
    assert.equal(0, result.status)
  end)

  it("may start a task while one is being started: both once got the same coroutine", function()
    local result = run_script([[
      local moonpark = require "moonpark"
      local started, ran = 0, 0
      local function litter()
        local box = newproxy(true)
        getmetatable(box).__gc = function()
          started = started + 1
          moonpark.go(function()
            moonpark.sleep(0.001)
            ran = ran + 1
          end)
        end
      end
      collectgarbage("setpause", 100)
      collectgarbage("setstepmul", 1000)
      moonpark.run(function()
        local tasks, wrong = {}, 0
        for i = 1, 2000 do
          litter()
          tasks[i] = moonpark.go(function(n)
            moonpark.sleep(0.001)
            return n
          end, i)
        end
        for i = 1, 2000 do
          if select(2, tasks[i]:join()) ~= i then wrong = wrong + 1 end
        end
        collectgarbage()
        collectgarbage()
        print(wrong)
      end)
      print(started == 2000, started == ran)
    ]])
    assert.equal("0\ntrue\ttrue\n", result.out, result.err)
    assert.equal(0, result.status)
  end)

  it("may close connections and pollDescs while they are listed: the walk once followed one that was gone", function()
    local result = run_script([[
      local moonpark = require "moonpark"
      local core = require "moonpark.core"
      moonpark.run(function()
        local listener = assert(moonpark.net.listen("127.0.0.1:0"))
        for _ = 1, 20 do
          for _ = 1, 300 do moonpark.net.pipe() end
          assert(#core.conns() > 0)
        end
        for _ = 1, 20 do
          local conns = {}
          for i = 1, 100 do
            conns[i] = assert(moonpark.net.listen("127.0.0.1:0"))
            moonpark.netpoll.open(conns[i]:fd())
          end
          assert(core.polls())
          for i = 1, 100 do conns[i]:close() end
        end
        listener:close()
        print "listed"
      end)
      core.check()
    ]])
    assert.equal("listed\n", result.out, result.err)
    assert.equal(0, result.status)
  end)
end)

---------------------------------------------------------------------------------------------------
-- tasks

describe("a task cancelled", function()
  it("before it ran runs, and is refused its first wait", lives_on(function()
    local ran
    local task = moonpark.go(function()
      ran = true
      return moonpark.sleep(3600)
    end)
    task:cancel()
    assert.same({ true, nil, "canceled" }, { task:join() })
    assert.is_true(ran)
  end))

  it("twice is cancelled once", lives_on(function()
    local task = support.parked(function() return moonpark.sleep(3600) end)
    task:cancel("first")
    task:cancel("second")
    assert.equal("first", task:cancel_reason())
    assert.same({ true, nil, "canceled" }, { task:join() })
    task:cancel()
    assert.same({ true, nil, "canceled" }, { task:join() })
  end))

  it("by itself is refused every wait from then on, and can still close what it has", lives_on(function()
    local a, b = support.connected("127.0.0.1:0")
    local task = moonpark.go(function()
      moonpark.current():cancel()
      local results = {}
      for _, wait in ipairs {
        function() return moonpark.sleep(1) end,
        function() return moonpark.yield() end,
        function() return a:read() end,
        function() return a:wait_readable() end,
        function() return net.dial("127.0.0.1:1") end,
        function() return moonpark.chan(1):send("x") end,
        function() return moonpark.mutex():lock() end,
        function() return moonpark.semaphore(1):acquire() end,
        function() return moonpark.select { timeout = 1 } end,
      } do
        local _, err = wait()
        results[#results + 1] = err
      end
      a:close()
      return results
    end)
    local _, results = task:join()
    assert.equal(9, #results)
    for _, err in ipairs(results) do assert.equal("canceled", err) end
    assert.same({ nil, "eof" }, { b:read() })
    b:close()
  end))
end)

describe("deep recursion", function()
  local function endless() return 1 + endless() end

  it("in a task is that task's error", lives_on(function()
    for _ = 1, 3 do
      local ok, err = moonpark.go(endless):join()
      assert.is_nil(ok)
      assert.matches("stack overflow", err)
    end
  end))

  it("in a scope, a timeout, a shield and a protected call is raised there", lives_on(function()
    for _, protect in ipairs {
      function() return pcall(endless) end,
      function() return pcall(moonpark.scope, endless) end,
      function() return pcall(moonpark.timeout, 10, endless) end,
      function() return pcall(moonpark.shield, endless) end,
    } do
      local joined, ok, err = moonpark.go(protect):join()
      assert.is_true(joined)
      assert.is_false(ok)
      -- LuaJIT's words, the second where there was no room for a traceback either.
      assert.is_true(err:find("stack overflow", 1, true) ~= nil or err == "error in error handling", err)
    end
  end))

  it("of a wait that has many frames above it is fine", lives_on(function()
    local function dive(depth)
      if depth == 0 then return moonpark.sleep(0.0001) end
      local ok, err = dive(depth - 1)
      return ok, err
    end
    assert.same({ true, true }, { moonpark.go(dive, 5000):join() })
  end))

  it("of scopes and timeouts unwinds when it is cancelled", lives_on(function()
    local function dive(depth)
      if depth == 0 then return moonpark.sleep(3600) end
      return moonpark.timeout(3600, dive, depth - 1)
    end
    local task = support.parked(dive, 500)
    task:cancel()
    assert.same({ true, nil, "canceled" }, { task:join() })
  end))

  it("of generators in generators is fine", lives_on(function()
    local function nest(depth)
      if depth == 0 then return moonpark.sleep(0.0001) end
      return coroutine.wrap(nest)(depth - 1)
    end
    assert.same({ true, true }, { moonpark.go(nest, 1000):join() })
  end))

  it("of tasks that start tasks and join them is fine", lives_on(function()
    local function start(depth)
      if depth == 0 then return 0 end
      local _, below = moonpark.go(start, depth - 1):join()
      return below + 1
    end
    assert.same({ true, 1000 }, { moonpark.go(start, 1000):join() })
  end))
end)

-- SPDX-License-Identifier: MIT
-- What scripts do wrong, line by line: each mistake gets its words, the loop lives on, and nothing is lost.

local core = require "moonpark.core"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local netpoll = require "moonpark.netpoll"
local process = require "support.process"
local support = require "support.net"

local NAN = 0 / 0

-- Tasks talk to each other, sockets carry bytes, and the core's own invariants hold.
local function assert_alive()
  local channel = moonpark.chan()
  local a, b = support.connected("127.0.0.1:0")
  local task = moonpark.go(function()
    b:write(channel:recv())
    b:close()
  end)
  channel:send("alive")
  assert.equal("alive", a:read_all())
  assert.is_true(task:join())
  a:close()
  core.check()
end

-- The body of an `it` after which the loop works and no descriptor is missing.
local function lives_on(body)
  return function()
    assert_alive()
    local before = support.descriptors()
    body()
    assert_alive()
    assert.equal(before, support.descriptors())
  end
end

local function run_script(script)
  return process.run({ process.interpreter, "-e", script })
end

---------------------------------------------------------------------------------------------------
-- objects

local function make_scope()
  local scope
  moonpark.scope(function(s) scope = s end)
  return scope
end

local function nothing() end

-- An object of each class, by what errors call it, and how to close it.
local function make_objects()
  local far, near = support.connected("127.0.0.1:0")
  return {
    connection = { far, far.close },
    listener = { assert(net.listen("127.0.0.1:0")), far.close },
    task = { moonpark.go(nothing), function(task) task:join() end },
    scope = { make_scope(), nothing },
    channel = { moonpark.chan(1), function(channel) channel:close() end },
    mutex = { moonpark.mutex(), nothing },
    semaphore = { moonpark.semaphore(1), nothing },
    event = { moonpark.event(), nothing },
    pollDesc = { assert(netpoll.open(near:fd())), function(pd)
      pd:unblock()
      pd:close()
      near:close()
    end },
  }
end

local function close_all(objects)
  for _, made in pairs(objects) do made[2](made[1]) end
end

-- All functions of an object's class, metamethods too, in a fixed order.
local function methods_of(object)
  local class, names, i = debug.getmetatable(object), {}, 0
  for name, value in pairs(class) do
    if type(value) == "function" then names[#names + 1] = name end
  end
  table.sort(names)
  return function()
    i = i + 1
    return names[i], class[names[i]]
  end
end

-- Methods that every class has for itself, and that no script calls.
local function is_internal(name) return name == "__gc" end

local function strangers()
  return {
    { "nothing" }, { "nil", nil }, { "a boolean", true }, { "a number", 42 }, { "a string", "conn" }, { "a table", {} },
    { "a function", print }, { "a coroutine", coroutine.create(print) }, { "a file", io.stdout },
    { "a bare userdata", newproxy() }, { "a forged table", setmetatable({}, core.conn_class) },
  }
end

describe("a method", function()
  it("refuses nil and strangers for its object, whatever the method and the class", lives_on(function()
    local objects = make_objects()
    for class, made in pairs(objects) do
      for name, method in methods_of(made[1]) do
        for _, stranger in ipairs(strangers()) do
          for _, argument in ipairs { "none", 1, "r", nothing } do
            local ok, err = pcall(method, stranger[2], argument ~= "none" and argument or nil)
            local what = ("%s.%s of %s"):format(class, name, stranger[1])
            if not is_internal(name) then
              assert.is_false(ok, what)
              assert.is_true(err:find("expected", 1, true) ~= nil, what .. ": " .. tostring(err))
            end
          end
        end
      end
    end
    close_all(objects)
  end))

  it("refuses objects of every other class", lives_on(function()
    local objects = make_objects()
    for class, made in pairs(objects) do
      for name, method in methods_of(made[1]) do
        for other, foreign in pairs(objects) do
          if debug.getmetatable(foreign[1]) ~= debug.getmetatable(made[1]) and not is_internal(name) then
            local ok, err = pcall(method, foreign[1], 1)
            local what = ("%s.%s of a %s"):format(class, name, other)
            assert.is_false(ok, what)
            assert.is_true(err:find(" expected", 1, true) ~= nil, what .. ": " .. tostring(err))
          end
        end
      end
    end
    close_all(objects)
  end))

  it("of connections refuses a listener, and the other way round", support.listening(function(listener)
    local a, b = net.pipe()
    for _, name in ipairs { "read", "read_exactly", "read_line", "read_until", "read_all", "write", "wait_readable",
      "wait_writable", "close_write", "peer_address" } do
      assert.error_matches(function() listener[name](listener, "1") end, "connection expected, got a listener")
    end
    assert.error_matches(function() a:accept() end, "listener expected, got a connection")
    assert.error_matches(function() a:serve(print) end, "listener expected, got a connection")
    a:close()
    b:close()
  end))

  it("says where the mistake was made", support.on("pipe", function(a)
    for _, mistake in ipairs {
      function() a:read(-1) end,
      function() a.read(nil) end,
      function() a:set_deadline("now") end,
      function() moonpark.sleep("long") end,
      function() moonpark.go(nil) end,
      function() moonpark.timeout("long", print) end,
      function() net.listen("nowhere") end,
      function() net.dial("127.0.0.1:1", { timeout = NAN }) end,
      function() netpoll.open("stdin") end,
    } do
      local _, err = pcall(mistake)
      assert.matches("^[^\n]*misuse_spec%.lua:%d+: ", err)
    end
  end))

  it("of a closed object says so or does nothing, whatever the method and the class", lives_on(function()
    local objects = make_objects()
    close_all(objects)
    local arguments = { {}, { 1 }, { "r" }, { "x", 1 }, { nothing }, { 1, "rw" }, { "nodelay", true } }
    for class, made in pairs(objects) do
      for name, method in methods_of(made[1]) do
        for _, list in ipairs(arguments) do
          -- Some of these wait for ever, and rightly: on a mutex that is held, say.
          moonpark.timeout(0.001, function() pcall(method, made[1], unpack(list)) end)
          core.check()
        end
        assert.is_not_nil(method, class .. name)
      end
    end
    close_all { { objects.connection[1], objects.connection[2] } }
  end))

  it("of a finalized object is harmless: a finalizer may meet those that were finalized before it", lives_on(function()
    local words = {}
    do
      local box = newproxy(true) -- made first, so finalized last
      local objects = make_objects()
      getmetatable(box).__gc = function()
        for class, made in pairs(objects) do
          for name, method in methods_of(made[1]) do
            local _, result, err = pcall(method, made[1], 1)
            words[class .. "." .. name] = tostring(err or result)
          end
        end
        core.check()
      end
      objects.task[1]:join()
    end
    collectgarbage()
    collectgarbage()
    assert.equal("closed", words["connection.local_address"])
    assert.equal("closed", words["listener.fd"])
    assert.matches("cannot wait here", words["connection.read"])
    assert.matches("closed", words["pollDesc.info"])
    assert.matches("closed", words["scope.deadline_in"])
  end))

  it("with a metatable stolen for a foreign object is not fooled", lives_on(function()
    for _, made in pairs(make_objects()) do
      local class = debug.getmetatable(made[1])
      local forged = debug.setmetatable(newproxy(), class)
      for name, method in methods_of(made[1]) do
        if not is_internal(name) then
          assert.error_matches(function() method(forged, 1) end, "expected")
        end
      end
      made[2](made[1])
    end
    collectgarbage()
    collectgarbage()
  end))

  it("keeps its class to itself: scripts cannot change it by accident", function()
    local objects = make_objects()
    for _, made in pairs(objects) do
      assert.is_false(getmetatable(made[1]))
      assert.error(function() setmetatable(made[1], {}) end)
      assert.error(function() made[1].field = 1 end)
    end
    close_all(objects)
  end)
end)

---------------------------------------------------------------------------------------------------
-- numbers

-- Each waits for what does not come, so long.
local function waits(seconds)
  local mutex, semaphore, event = moonpark.mutex(), moonpark.semaphore(0), moonpark.event()
  local channel, task = moonpark.chan(), moonpark.go(function() moonpark.sleep(3600) end)
  local holder = moonpark.go(function()
    mutex:lock()
    moonpark.sleep(3600)
  end)
  moonpark.yield()
  return {
    ["channel:recv"] = function() return channel:recv(seconds) end,
    ["channel:send"] = function() return channel:send("x", seconds) end,
    ["mutex:lock"] = function() return mutex:lock(seconds) end,
    ["semaphore:acquire"] = function() return semaphore:acquire(seconds) end,
    ["event:wait"] = function() return event:wait(seconds) end,
    ["task:join"] = function() return task:join(seconds) end,
    ["select"] = function() return moonpark.select { { channel }, timeout = seconds } end,
    ["timeout"] = function() return moonpark.timeout(seconds, function() return event:wait() end) end,
  }, function()
    task:cancel()
    holder:cancel()
  end
end

describe("a number of seconds", function()
  for _, seconds in ipairs { 0, -1, -1e300, -math.huge } do
    it(("of %g is over at once"):format(seconds), lives_on(function()
      local list, stop = waits(seconds)
      for name, wait in pairs(list) do assert.same({ nil, "timeout" }, { wait() }, name) end
      assert.is_true(moonpark.sleep(seconds))
      stop()
    end))
  end

  for _, seconds in ipairs { 1e6, 2 ^ 33, 2 ^ 53, 2 ^ 63, 1e300, math.huge } do
    it(("of %g is not over at once, and can be cancelled"):format(seconds), lives_on(function()
      local list, stop = waits(seconds)
      list.sleep = function() return moonpark.sleep(seconds) end
      for name, wait in pairs(list) do
        local task = support.parked(wait)
        support.settle()
        assert.equal("parked", task:status(), name)
        task:cancel()
        local _, _, err = task:join()
        assert.is_true(err == "canceled", name)
      end
      stop()
    end))
  end

  it("that is NaN, or no number, is a mistake wherever seconds are taken", lives_on(function()
    for _, seconds in ipairs { NAN, "soon", {}, true } do
      local list, stop = waits(seconds)
      list.sleep = function() return moonpark.sleep(seconds) end
      for name, wait in pairs(list) do
        local ok, err = pcall(wait)
        assert.is_false(ok, name)
        assert.is_true(err:find(seconds ~= seconds and "NaN" or "expected", 1, true) ~= nil, name .. ": " .. err)
      end
      stop()
    end
  end))
end)

describe("a count", function()
  it("that is negative, broken, NaN or no number is a mistake", lives_on(function()
    local semaphore = moonpark.semaphore(1)
    for _, n in ipairs { -1, 0.5, NAN, -math.huge, "many", {}, true } do
      assert.error_matches(function() moonpark.chan(n) end, "expected")
      assert.error_matches(function() moonpark.semaphore(n) end, "expected")
      assert.error_matches(function() semaphore:release(n) end, "expected")
      assert.error_matches(function() netpoll.open(n) end, "expected")
    end
    assert.error_matches(function() moonpark.chan(2 ^ 40) end, "too large")
    assert.error_matches(function() moonpark.chan(math.huge) end, "too large")
    assert.equal(1, semaphore:count())
  end))

  it("that is no descriptor is refused by netpoll.open with the system's words", lives_on(function()
    for _, fd in ipairs { 1000000, 2 ^ 31, 2 ^ 32, 2 ^ 32 + 1, 2 ^ 53, 1e300, math.huge } do
      assert.same({ nil, "bad file descriptor", 9 }, { netpoll.open(fd) })
    end
  end))
end)

describe("every function of moonpark", function()
  it("survives every kind of argument", lives_on(function()
    local kinds = { nil, true, "", "x", -1, NAN, -math.huge, 2 ^ 53, {}, { {} }, newproxy(), nothing, coroutine.create(nothing) }
    local skipped = { now = true, time = true, _VERSION = true }
    for _, module in ipairs { moonpark, net, netpoll } do
      for name, fn in pairs(module) do
        if type(fn) == "function" and not skipped[name] then
          for i = 1, 13 do
            for j = 1, 13 do
              local results = {}
              moonpark.timeout(0.0005, function() results = { pcall(fn, kinds[i], kinds[j]) } end)
              local made = results[2]
              if results[1] and type(made) == "userdata" and getmetatable(made) == false and made.close then made:close() end
            end
          end
        end
      end
    end
    collectgarbage()
    collectgarbage()
  end))
end)

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
      function() pcall(coroutine.yield) end,
      function() moonpark.scope(function() coroutine.yield() end) end,
      function() moonpark.shield(function() coroutine.yield() end) end,
    } do
      local ok, err = moonpark.go(fn):join()
      assert.is_nil(ok)
      assert.matches("use moonpark.yield%(%)", err)
    end
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

describe("a coroutine of a task resumed behind moonpark's back", function()
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
    assert.matches("^false\t[^\n]*this task is already waiting", result.out)
    assert.matches("taken before moonpark was loaded", result.out)
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
    assert.matches("nil\t[^\n]*a generator's wait was not passed on", result.out)
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
      local function round_trip(meanwhile)
        local a, b = moonpark.net.pipe()
        local echo = moonpark.go(function() return b:write((b:read())) end)
        meanwhile()
        a:set_timeout(0.002)
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
          local ok, data = pcall(round_trip, litter)
          if ok and data == "x" then good = good + 1 else bad = bad + 1 end
        end
        settle()
        print(round_trip(function() end), good + bad)
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
          function() moonpark.run(type, 1) end, function() moonpark.go(type, 1) end, function() moonpark.sleep(1) end,
          function() net.listen("127.0.0.1:0") end, function() net.pipe() end, function() net.dial("127.0.0.1:1") end,
          function() moonpark.dump() end, function() moonpark.chan():send(1) end, function() moonpark.netpoll.open(0) end,
          function() objects.a:write("x") end, function() objects.a:close() end, function() objects.listener:close() end,
          function() objects.task:cancel() end, function() objects.task:join() end, function() moonpark.now() end,
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

  it("in every kind of wait leaves the queue it stood in", lives_on(function()
    local list, stop = waits(nil)
    list.timeout = nil
    for name, wait in pairs(list) do
      local first, second = support.parked(wait), support.parked(wait)
      first:cancel()
      second:cancel()
      assert.equal("canceled", select(3, first:join()), name)
      assert.equal("canceled", select(3, second:join()), name)
      core.check()
    end
    stop()
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

---------------------------------------------------------------------------------------------------
-- outside

describe("outside of moonpark.run", function()
  it("what waits or starts tasks says where it belongs", function()
    local result = run_script([[
      local moonpark = require "moonpark"
      local net = moonpark.net
      local a, b, listener, waiting
      moonpark.run(function()
        a, b = net.pipe()
        listener = assert(net.listen("127.0.0.1:0"))
        waiting = moonpark.go(function() end)
      end)
      local mutex, channel = moonpark.mutex(), moonpark.chan(1)
      for name, fn in pairs {
        sleep = function() moonpark.sleep(1) end, yield = function() moonpark.yield() end,
        go = function() moonpark.go(print) end, scope = function() moonpark.scope(print) end,
        timeout = function() moonpark.timeout(1, print) end, shield = function() moonpark.shield(print) end,
        send = function() channel:send(1) end, recv = function() channel:recv() end,
        select = function() moonpark.select { { channel } } end,
        lock = function() mutex:lock() end, try_lock = function() mutex:try_lock() end,
        unlock = function() mutex:unlock() end,
        acquire = function() moonpark.semaphore(1):acquire() end,
        wait = function() moonpark.event():wait() end,
        join = function() waiting:join() end,
        dial = function() net.dial("127.0.0.1:1") end,
        read = function() a:read() end, read_line = function() a:read_line() end, write = function() a:write("x") end,
        accept = function() listener:accept() end, serve = function() listener:serve(print) end,
      } do
        local ok, err = pcall(fn)
        if ok or not (err:find("moonpark.run", 1, true) or err:find("not locked by this task", 1, true)) then
          print("not refused:", name, err)
        end
      end
      a:close()
      b:close()
      listener:close()
    ]])
    assert.same({ "", "", 0 }, { result.out, result.err, result.status })
  end)

  it("what does not wait works", function()
    local result = run_script([[
      local moonpark = require "moonpark"
      local net = moonpark.net
      local listener = assert(net.listen("127.0.0.1:0"))
      assert(listener:address())
      local a, b = net.pipe()
      assert(a:set_deadline(moonpark.now() + 1) and a:local_address() == "pipe" and a:is_closed() == false)
      assert(moonpark.current() == nil and moonpark.time() > 0)
      assert(moonpark.dump() == "moonpark: 0 tasks\n", moonpark.dump())
      listener:close()
      a:close()
      b:close()
      moonpark.event():set()
      moonpark.chan():close()
      print "fine"
    ]])
    assert.same({ "fine\n", "", 0 }, { result.out, result.err, result.status })
  end)
end)

-- SPDX-License-Identifier: MIT
-- What scripts hand over wrongly: objects, numbers, arguments of every kind, and calls outside of run. Each
-- mistake gets its words, the loop lives on, and nothing is lost.

local alive = require "support.alive"
local core = require "moonpark.core"
local ffi = require "ffi"
local fs = require "moonpark.fs"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local netpoll = require "moonpark.netpoll"
local support = require "support.net"
local task_state = require "support.task_state"

local NAN = 0 / 0
local lives_on, run_script = alive.lives_on, alive.run_script

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
    signals = { moonpark.signals "HUP", function(signals) signals:close() end },
    file = { assert(fs.open("/dev/null")), function(file) file:close() end },
    process = { assert(moonpark.process.spawn({ "cat" }, { stdin = "pipe" })), function(child)
      child.stdin:close()
      child:wait()
    end },
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
    for _, name in ipairs { "read", "read_exactly", "read_line", "read_until", "read_all", "read_unpack", "buffered",
      "fill", "find", "peek", "skip", "unpack", "unpack_all", "write", "wait_readable", "wait_writable", "close_write",
      "peer_address" } do
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
      function() a:unpack("I9") end,
      function() a:read_into({}) end,
      function() a:read_into(ffi.new("char[4]"), 5) end,
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
    while #core.tasks() > 1 do moonpark.sleep(0.001) end -- the child meets the end of its input
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
        task_state.assert_waits(task, name)
        task:cancel()
        local _, _, err = task:join()
        assert.is_true(err == "canceled", name)
      end
      stop()
    end))
  end

  it("that is NaN, or no number, is a mistake wherever seconds are taken", lives_on(function()
    for _, seconds in ipairs { NAN, "soon", "0.01", {}, true } do
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

describe("a task that is cancelled", function()
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
    local kinds = { nil, true, "", "x", -1, NAN, -math.huge, 2 ^ 53, {}, { {} }, newproxy(), nothing,
      coroutine.create(nothing) }
    local skipped = { now = true, time = true, _VERSION = true, workers = true } -- workers would begin to supervise us
    for _, module in ipairs { moonpark, net, netpoll } do
      for name, fn in pairs(module) do
        if type(fn) == "function" and not skipped[name] then
          for i = 1, 13 do
            for j = 1, 13 do
              local results = {}
              moonpark.timeout(0.0005, function() results = { pcall(fn, kinds[i], kinds[j]) } end)
              local ok, made = unpack(results, 1, 2)
              if ok and type(made) == "userdata" and getmetatable(made) == false and made.close then made:close() end
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

-- SPDX-License-Identifier: MIT
-- Signals to this very process, and to others that run the command or plain luajit.
local ffi = require "ffi"
local core = require "moonpark.core"
local moonpark = require "moonpark"
local process = require "support.process"
local task_state = require "support.task_state"

ffi.cdef [[
int signals_kill(int pid, int signal) __asm__("kill");
int signals_getpid(void) __asm__("getpid");
]]

-- A signal to this very process. It has come when this returns: there is one thread.
local function send(name) assert(ffi.C.signals_kill(ffi.C.signals_getpid(), core.signal_number(name)) == 0) end

-- body(subscription), which is closed after it.
local function subscribed(names, body)
  return function()
    local signals = moonpark.signals(unpack(names))
    local ok, err = pcall(body, signals)
    signals:close()
    if not ok then error(err, 0) end
  end
end

describe("signals()", function()
  it("iterates over the signals as they come, until it is closed", function()
    local signals = moonpark.signals("HUP", "SIGUSR2")
    local seen = {}
    local task = moonpark.go(function()
      for name in signals do table.insert(seen, name) end
    end)
    for i, name in ipairs { "HUP", "USR2", "HUP" } do
      moonpark.yield()
      send(name)
      while #seen < i do moonpark.sleep(0.001) end
    end
    signals:close()
    assert.is_true(task:join())
    assert.same({ "HUP", "USR2", "HUP" }, seen)
  end)

  it("next() returns one that came before, at once", subscribed({ "HUP" }, function(signals)
    send "HUP"
    moonpark.sleep(0.001)
    assert.equal("HUP", signals:next(0))
    assert.same({ nil, "timeout" }, { signals:next(0) })
  end))

  it("those of one name that come before the first was taken are one", subscribed({ "HUP", "USR2" }, function(signals)
    send "HUP"
    send "HUP"
    moonpark.sleep(0.001)
    send "USR2"
    send "HUP"
    moonpark.sleep(0.001)
    assert.equal("HUP", signals:next(1))
    assert.equal("USR2", signals:next(1))
    assert.same({ nil, "timeout" }, { signals:next(0.001) })
  end))

  it("next() gives up after its timeout", subscribed({ "HUP" }, function(signals)
    assert.same({ nil, "timeout" }, { signals:next(0.001) })
  end))

  it("next() ends when its task is cancelled, and nothing is left behind", subscribed({ "HUP" }, function(signals)
    local task = moonpark.go(signals.next, signals)
    moonpark.yield()
    task:cancel()
    assert.same({ true, nil, "canceled" }, { task:join() })
    send "HUP"
    assert.equal("HUP", signals:next(10))
  end))

  it("next() of a task that was woken, then cancelled, returns its signal", subscribed({ "HUP" }, function(signals)
    local task = moonpark.go(signals.next, signals)
    moonpark.yield()
    send "HUP"
    repeat moonpark.sleep(0) until task:status() ~= "parked"
    task:cancel()
    assert.same({ true, "HUP" }, { task:join() })
  end))

  it("several tasks that wait on one get one signal each", subscribed({ "HUP" }, function(signals)
    local first, second = moonpark.go(signals.next, signals), moonpark.go(signals.next, signals)
    moonpark.yield()
    send "HUP"
    assert.same({ true, "HUP" }, { first:join() })
    task_state.assert_waits(second)
    send "HUP"
    assert.same({ true, "HUP" }, { second:join() })
  end))

  it("several subscriptions get every signal each", subscribed({ "HUP", "USR2" }, function(one)
    local other = moonpark.signals "HUP"
    send "HUP"
    assert.equal("HUP", one:next(10))
    assert.equal("HUP", other:next(10))
    send "USR2"
    assert.equal("USR2", one:next(10))
    assert.same({ nil, "timeout" }, { other:next(0) })
    other:close()
    send "HUP"
    assert.equal("HUP", one:next(10))
  end))

  it("close() ends who waits, and what comes after it", function()
    local signals = moonpark.signals "HUP"
    local task = moonpark.go(signals.next, signals)
    moonpark.yield()
    assert.is_true(signals:close())
    assert.same({ true, nil, "closed" }, { task:join() })
    assert.same({ nil, "closed" }, { signals:next() })
    assert.is_true(signals:close())
    assert.equal("closed signals: HUP", tostring(signals))
  end)

  it("are named in the dump, and who waits for one is in no deadlock", subscribed({ "TERM", "HUP" }, function(signals)
    local task = moonpark.go(signals.next, signals)
    moonpark.yield()
    assert.truthy(moonpark.dump():find("parked in next on signals: HUP TERM", 1, true))
    assert.is_true(core.stats().outside > 0)
    task:cancel()
    task:join()
  end))

  it("that nobody refers to any more gives its signals back", function()
    local before = moonpark.signals "HUP"
    moonpark.signals "HUP"
    collectgarbage()
    collectgarbage()
    before:close() -- the last: the default action is back, as the next case shows
  end)

  it("takes every POSIX name but those that cannot be caught", function()
    for _, name in ipairs { "ALRM", "CHLD", "CONT", "HUP", "INT", "PIPE", "POLL", "QUIT", "TERM", "TSTP", "TTIN",
      "TTOU", "URG", "USR1", "USR2", "WINCH", "XCPU", "XFSZ" } do
      local signals = moonpark.signals(name)
      send(name)
      assert.equal(name, signals:next(10))
      signals:close()
    end
    for _, name in ipairs { "KILL", "STOP", "SEGV", "BUS", "FPE", "ILL", "ABRT", "TRAP", "SYS", "PROF", "VTALRM" } do
      assert.error_matches(function() moonpark.signals("HUP", name) end,
        "bad argument #2 to 'signals' %(signal '" .. name .. "' cannot be caught: ")
    end
  end)

  it("raises for what is no signal's name", function()
    for _, name in ipairs { "FOO", "", "SIG", "hup", "SIGSIGHUP" } do
      assert.error_matches(function() moonpark.signals(name) end, "unknown signal '" .. name)
    end
    local _, err = pcall(function() return (moonpark.signals "FOO") end)
    assert.truthy(err:find("signals_spec.lua:", 1, true))
    assert.error_matches(function() moonpark.signals() end, "string expected, got no value")
    assert.error_matches(function() moonpark.signals {} end, "string expected, got table")
    local signals = moonpark.signals "HUP"
    assert.error_matches(function() signals.next(nil) end, "signals expected, got nil")
    signals:close()
  end)
end)

---------------------------------------------------------------------------------------------------

local function command(code) return process.moonpark("-e", 'local moonpark = require "moonpark"; ' .. code) end

local function plain(code)
  return { process.interpreter, "-e", 'io.stdout:setvbuf "line"; local moonpark = require "moonpark"; ' .. code }
end

local echo = [[
  local signals = moonpark.signals("HUP", "INT", "TERM", "QUIT", "USR1", "PIPE")
  print "ready"
  for name in signals do
    print(name)
    if name == "HUP" then break end
  end]]

describe("while a script is subscribed,", function()
  after_each(process.stop_all)

  it("the command leaves its own signals to it", function()
    local child = process.start(command(echo))
    assert.equal("ready", child:line())
    for _, name in ipairs { "INT", "TERM", "QUIT", "USR1", "PIPE", "TERM", "INT", "HUP" } do
      child:kill(name)
      assert.equal(name, child:line())
    end
    local status, _, err = child:wait()
    assert.same({ 0, "" }, { status, err })
  end)

  it("plain luajit does too", function()
    local child = process.start(plain("moonpark.run(function() " .. echo .. " end)"))
    assert.equal("ready", child:line())
    for _, name in ipairs { "TERM", "TERM", "QUIT", "HUP" } do
      child:kill(name)
      assert.equal(name, child:line())
    end
    assert.equal(0, (child:wait()))
  end)

  it("a second signal that comes before the first was taken does not kill", function()
    local child = process.start(command [[
      local signals = moonpark.signals "TERM"
      print "ready"
      io.read() -- the loop does not turn meanwhile
      print(signals:next())
      print(signals:next(0))]], { stdin = true })
    assert.equal("ready", child:line())
    child:kill "TERM"
    child:kill "TERM"
    child:write "\n"
    assert.equal("TERM", child:line())
    assert.equal("nil\ttimeout", child:line())
    assert.equal(0, (child:wait()))
  end)

  it("an error of the command's hook takes nothing from it", function()
    local child = process.start(command [[
      require("moonpark.core").on_signal(function() error "in the hook" end)
      local signals = moonpark.signals "HUP"
      print "ready"
      print(signals:next())]])
    assert.equal("ready", child:line())
    child:kill "USR1"
    assert.truthy(child:line "err":find("in the hook", 1, true))
    child:kill "HUP"
    assert.equal("HUP", child:line())
    assert.equal(0, (child:wait()))
  end)
end)

describe("when the last subscription is closed,", function()
  after_each(process.stop_all)

  local closing = [[
    local one, two = moonpark.signals("TERM", "HUP"), moonpark.signals "TERM"
    one:close()
    print "one"
    print(two:next())
    two:close()
    print "none"
    moonpark.sleep(60)]]

  it("the command winds down again", function()
    local child = process.start(command(closing))
    assert.equal("one", child:line())
    child:kill "TERM"
    assert.equal("TERM", child:line())
    assert.equal("none", child:line())
    child:kill "TERM"
    assert.equal(143, (child:wait()))
    assert.is_nil(child.signal)
  end)

  it("the system's action is back", function()
    for _, name in ipairs { "HUP", "TERM" } do
      local child = process.start(plain("moonpark.run(function() " .. closing .. " end)"))
      assert.equal("one", child:line())
      child:kill "TERM"
      assert.equal("TERM", child:line())
      assert.equal("none", child:line())
      child:kill(name)
      child:wait()
      assert.equal(core.signal_number(name), child.signal)
    end
  end)

  it("a signal that nobody has seen yet acts then", function()
    local child = process.start(plain [[moonpark.run(function()
      local signals = moonpark.signals "TERM"
      print "ready"
      io.read()
      signals:close()
      print "not reached"
    end)]], { stdin = true })
    assert.equal("ready", child:line())
    child:kill "TERM"
    child:write "\n"
    local _, out = child:wait()
    assert.same({ core.signal_number "TERM", "ready\n" }, { child.signal, out })
  end)

  it("a signal that was ignored is ignored again", function()
    local script = "moonpark.run(function() local s = moonpark.signals 'HUP'; s:close(); print 'ready'; " ..
      "moonpark.sleep(0.01); print(require('moonpark.core').signal_ignored 'HUP') end)"
    local words = plain(script)
    local child = process.start { "sh", "-c", 'trap "" HUP; exec "$@"', "sh", unpack(words) }
    assert.equal("ready", child:line())
    assert.equal("true", child:line())
    assert.equal(0, (child:wait()))
  end)
end)

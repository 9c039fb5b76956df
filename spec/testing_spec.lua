-- SPDX-License-Identifier: MIT
-- testing_spec.lua - the helper, by what busted says of small spec files that it runs in a process of its own.

local core = require "moonpark.core"
local moonpark = require "moonpark"
local process = require "support.process"
local testing = require "moonpark.testing"

local BUSTED = arg and arg[0] or "/usr/bin/busted"

-- Without a line of its own, so that lines are counted as they stand below.
local PREAMBLE = [[
local moonpark = require "moonpark"
local core, net, testing = require "moonpark.core", require "moonpark.net", require "moonpark.testing"
]]

local function write_file(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

-- Runs busted on a file with that text: {status =, out =, err =}. The first line of the text is line 2.
local function run(text, options)
  options = options or {}
  local folder = testing.tempdir()
  write_file(folder .. "/config.lua", "return {}\n")
  local words = { process.interpreter, BUSTED, "-f", "config.lua", "-o", options.output or "plainTerminal" }
  if options.launcher then table.insert(words, 3, "--lua=" .. process.interpreter) end
  if not options.without then words[#words + 1] = "--helper=moonpark.testing" end
  if options.verbose then words[#words + 1] = "-v" end
  for _, name in ipairs { "one", options.twice and "two" } do
    write_file(("%s/%s_spec.lua"):format(folder, name), PREAMBLE:gsub("\n", " ") .. text)
    words[#words + 1] = name .. "_spec.lua"
  end
  return process.run(words, { cwd = folder, env = { MOONPARK_TEST_TIMEOUT = options.timeout or false } })
end

-- Asserts that busted counted so many of each.
local function counts(result, successes, failures, errors)
  local s, f, e = result.out:match("(%d+) success%w* / (%d+) failures? / (%d+) errors?")
  assert.same({ successes, failures, errors or 0 }, { tonumber(s), tonumber(f), tonumber(e) },
    result.out .. result.err)
  assert.equal(failures + (errors or 0) > 0, result.status ~= 0)
end

local function says(result, ...)
  for i = 1, select("#", ...) do
    local what = select(i, ...)
    assert(result.out:find(what, 1, true), ("busted does not say: %s\nbut:\n%s%s"):format(what, result.out, result.err))
  end
end

local function does_not_say(result, what)
  assert.is_nil(result.out:find(what, 1, true), result.out)
end

-- The body of an `it`: all tests in that text pass.
local function passes(text, successes)
  return function() counts(run(text), successes or 1, 0) end
end

describe("busted --helper=moonpark.testing", function()
  after_each(process.stop_all)

  it("runs each function of a spec as a task", passes([[
    describe("a block", function()
      local names = {}
      local function note() names[#names + 1] = moonpark.current():name() assert(moonpark.sleep(0)) end
      setup(note)
      before_each(note)
      after_each(note)
      teardown(function()
        note()
        assert.same({ "setup", "before_each", "it works", "finally works", "after_each", "teardown" }, names)
      end)
      it("works", function() finally(note) note() end)
    end)]]))

  it("lets tasks of setup and before_each go on through the test", passes([[
    local listener, echo
    setup(function()
      listener = assert(net.listen("127.0.0.1:0"))
      moonpark.go(function() listener:serve(function(conn) conn:write(conn:read()) end) end)
    end)
    before_each(function()
      echo = moonpark.chan()
      moonpark.go(function() for v in echo:iter() do echo:send(v) end end)
    end)
    after_each(function() echo:close() end)
    teardown(function() listener:close() end)
    for i = 1, 3 do
      it("round " .. i, function()
        local conn = assert(net.dial(listener:address()))
        conn:write("ping")
        assert.equal("ping", conn:read())
        conn:close()
        echo:send(i)
        assert.equal(i, echo:recv())
      end)
    end]], 3))

  describe("passes on", function()
    it("assertion failures, errors, error objects and pending() with the place of the test", function()
      local result = run [[

        it("differs", function() moonpark.yield() assert.equal(1, 2) end)
        it("raises", function() moonpark.yield() local x x.y = 1 end)
        it("raises an object", function() moonpark.yield() error({ code = 5 }) end)
        it("waits", function() moonpark.yield() pending("for better days") end)]]
      counts(result, 0, 1, 2)
      says(result, "one_spec.lua:2: Expected objects to be equal.", "one_spec.lua:3: attempt to index local 'x'",
        "one_spec.lua:4: {\n  code = 5\n}", "1 pending", "for better days")
    end)

    it("the traceback of the place, not of the helper", function()
      local result = run([[

        local function inner() moonpark.yield() error("deep") end
        it("raises", function() inner() end)]], { verbose = true })
      counts(result, 0, 0, 1)
      says(result, "one_spec.lua:2: deep", "one_spec.lua:2: in function 'inner'")
    end)

    it("what `finally` raises, after it has run", function()
      local result = run [[
        it("cleans up", function() finally(function() error("too late") end) end)]]
      counts(result, 0, 0, 1)
      says(result, "too late")
    end)
  end)

  describe("a leak", function()
    it("of a task is named, with where it was started and when its timer is due", function()
      local result = run [[

        it("forgets a task", function()
          moonpark.go(function() moonpark.sleep(3600) end):name("sleeper")
        end)]]
      counts(result, 0, 1)
      says(result, "one_spec.lua:2: the test 'forgets a task' left behind: 1 task, 1 timer",
        '"sleeper" parked in sleep', "deadline in 1 h 0 min", "started at one_spec.lua:3")
    end)

    it("of a connection or listener is named, with its descriptor and where it was opened", function()
      local result = run [[

        it("forgets a listener", function()
          kept = net.listen("127.0.0.1:0")
          local a = net.pipe()
          a:set_deadline(moonpark.now() + 100)
        end)]]
      counts(result, 0, 1)
      says(result, "left behind: 3 connections", "tcp listener 127.0.0.1:", "descriptor ", "opened at one_spec.lua:3",
        "pipe, read deadline in 1 min 40 s", "opened at one_spec.lua:4")
    end)

    it("of a server of HTTP is named, and of what it has accepted, with the line that made it", function()
      local result = run [[
        local http = require "moonpark.http"
        it("forgets a server", function()
          http.server(function() end, { address = "127.0.0.1:0" })
        end)
        describe("beside one of setup's", function()
          local server
          setup(function()
            server = http.server(function() end, { address = "127.0.0.1:0" })
            moonpark.go(server.run, server)
          end)
          teardown(function() server:close() end)
          it("forgets another", function()
            net.dial(server:address()):close()
            local mine = http.server(function() moonpark.sleep(3600) end, { address = "127.0.0.1:0" })
            moonpark.go(mine.run, mine)
            local conn = net.dial(mine:address())
            conn:write "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
            moonpark.sleep(0.01)
            conn:close()
          end)
        end)]]
      counts(result, 0, 2)
      says(result, "opened at one_spec.lua:3", "opened at one_spec.lua:14")
      does_not_say(result, "unknown place")
      does_not_say(result, "one_spec.lua:9")
    end)

    it("of a WebSocket is named, and its timer ends with it", function()
      local result = run [[local http, kept = require "moonpark.http"
        it("forgets one", function()
          local function handler(_, res) res:websocket():receive() end
          local server = assert(http.server(handler, { address = "127.0.0.1:0" }))
          moonpark.scope(function(scope)
            scope:go(server.run, server)
            kept = assert(http.websocket("ws://" .. server:address(), { ping_interval = 3600 }))
            server:close()
          end)
        end)
        it("is not disturbed", function() end)]]
      counts(result, 1, 1)
      says(result, "left behind: 1 connection", "tcp 127.0.0.1:", "opened at one_spec.lua:7")
    end)

    it("of a subscription to signals is named, with its signals and where it was made, and ended", function()
      local result = run [[local kept
        it("forgets one", function()
          kept = moonpark.signals("USR1", "HUP")
          moonpark.signals("USR2"):close()
        end)
        it("hears of it no more", function()
          assert.same({ nil, "closed" }, { kept:next(0.001) })
        end)]]
      counts(result, 1, 1)
      says(result, "the test 'forgets one' left behind: 1 subscription", "signals: HUP USR1",
        "subscribed to at one_spec.lua:3")
    end)

    it("of a detached process is named, with where it was started, and ended", function()
      local result = run [[local kept
        it("forgets one", function()
          kept = assert(moonpark.process.spawn({ "sleep", "inf" }, { detach = true }))
          moonpark.process.spawn({ "true" }, { detach = true })
        end)
        it("is gone", function()
          assert.is_false(kept:is_running())
        end)]]
      counts(result, 1, 1)
      says(result, "the test 'forgets one' left behind: 1 process", "detached process ", "started at one_spec.lua:3")
    end)

    it("is none if a detached process is on its way to end", function()
      local result = run [[
        it("kills it", function()
          moonpark.process.spawn({ "sleep", "inf" }, { detach = true }):kill()
        end)]]
      counts(result, 1, 0)
    end)

    it("of a subscription or detached process that `setup` has made is its block's", function()
      local result = run [[
        describe("a block", function()
          setup(function()
            kept = moonpark.signals("USR1")
            moonpark.process.spawn({ "sleep", "inf" }, { detach = true })
          end)
          it("is innocent", function() end)
        end)]]
      says(result, "describe a block left behind: 1 subscription, 1 process", "started at one_spec.lua:4")
      does_not_say(result, "the test")
    end)

    it("of a packet socket is named by where it receives", function()
      local result = run [[

        it("forgets two", function()
          kept = net.packet("udp:127.0.0.1:0")
          also = net.packet("unixgram:@moonpark-testing-spec-" .. tostring({}))
        end)]]
      says(result, "left behind: 2 connections", "udp 127.0.0.1:", "unixgram @moonpark-testing-spec-",
        "opened at one_spec.lua:3", "opened at one_spec.lua:4")
    end)

    it("of a pollDesc is named, with its descriptor and where it was opened", function()
      local result = run [[

        local ffi = require "ffi"
        ffi.cdef "int fileno(void *);"
        it("forgets a pollDesc", function() kept = moonpark.netpoll.open(ffi.C.fileno(io.popen("exec cat", "w"))) end)]]
      counts(result, 0, 1)
      says(result, "left behind: 1 pollDesc", "pollDesc of descriptor ", "opened at one_spec.lua:4")
    end)

    it("is ended: the next test starts clean", function()
      local result = run [[
        local address
        it("leaves much", function()
          local listener = assert(net.listen(require("support.net").own_host() .. ":0"))
          address = listener:address()
          moonpark.go(function() listener:serve(function(conn) conn:read() end) end)
          moonpark.go(function() while true do moonpark.shield(moonpark.sleep, 3600) end end)
          moonpark.go(function() while true do moonpark.yield() end end)
          moonpark.timeout(3600, function() kept = assert(net.dial(address)) end)
        end)
        it("finds nothing", function()
          local stats = core.stats()
          assert.same({ 1, 0, 0, 0, 0 }, { stats.tasks, stats.outside, stats.waiters, stats.polls, stats.timers })
          assert.same({}, core.conns())
          assert(net.listen(address)):close()
        end)]]
      counts(result, 1, 1)
      says(result, "left behind: 4 tasks", "parked in accept")
    end)

    it("is none where a task is on its way to end", passes [[
      it("hangs up", function()
        local listener = assert(net.listen("127.0.0.1:0"))
        moonpark.go(function() listener:serve(function(conn) while conn:read() do end end) end)
        local conn = assert(net.dial(listener:address()))
        conn:write("bye")
        conn:close()
        listener:close()
      end)]])

    it("is none where after_each, teardown or finally closes it", passes([[
      local listener, a, b, c, d
      setup(function() listener = assert(net.listen("127.0.0.1:0")) end)
      teardown(function() listener:close() end)
      before_each(function() a, b = net.pipe() end)
      after_each(function() a:close() b:close() end)
      after_each(function() if c then c:close() d:close() end end)
      it("opens some more", function() c, d = net.pipe() end)
      it("has a finally", function() local e, f = net.pipe() finally(function() e:close() f:close() end) end)]], 2))

    it("of before_each is found after the last after_each, and the test is named", function()
      local result = run [[
        describe("outside", function()
          before_each(function() kept = net.listen("127.0.0.1:0") end)
          after_each(function() end)
          describe("inside", function()
            after_each(function() end)
            it("is innocent", function() end)
          end)
        end)
        it("comes after", function() assert.same({}, core.conns()) end)]]
      counts(result, 2, 0, 1)
      says(result, "one_spec.lua:6: the test 'outside inside is innocent' left behind: 1 connection",
        "opened at one_spec.lua:2")
    end)

    it("of setup is found at the end of its block", function()
      local result = run [[
        describe("a block", function()
          setup(function() kept = net.listen("127.0.0.1:0") end)
          it("is innocent", function() end)
          it("is innocent too", function() assert.equal(1, #core.conns()) end)
        end)
        it("comes after", function() assert.same({}, core.conns()) end)]]
      counts(result, 3, 0, 1)
      says(result, "describe a block left behind: 1 connection", "opened at one_spec.lua:2")
    end)

    it("of a test that has failed is ended without a word", function()
      local result = run [[
        it("fails half-way", function() local a = net.pipe() assert.is_nil(a) a:close() end)
        it("starts clean", function() assert.same({}, core.conns()) end)]]
      counts(result, 1, 1)
      says(result, "Expected objects to be the same")
      does_not_say(result, "left behind")
    end)

    it("of a before_each that has failed is ended as well", function()
      local result = run [[
        describe("a block", function()
          before_each(function() kept = net.pipe() error("no") end)
          it("never runs", function() end)
        end)
        it("starts clean", function() assert.same({}, core.conns()) end)]]
      counts(result, 1, 0, 1)
      says(result, "one_spec.lua:2: no")
    end)
  end)

  describe("an uncaught error of a task", function()
    it("fails the test, with its traceback", function()
      local result = run [[

        it("has a task that fails", function()
          moonpark.go(function() error("boom") end)
          moonpark.sleep(0)
        end)]]
      counts(result, 0, 1)
      says(result, "uncaught error in a task: one_spec.lua:3: boom", "started at:\n\tone_spec.lua:3")
    end)

    it("is told beside the test's own failure", function()
      local result = run [[
        it("gets no answer", function()
          local a, b = net.pipe()
          moonpark.go(function() b:close() error("boom") end)
          assert.equal("pong", a:read())
        end)]]
      counts(result, 0, 1)
      says(result, "Expected objects to be equal", "meanwhile: uncaught error in a task: ", "boom")
    end)

    it("is no failure where somebody joins the task, or the test takes it", passes([[
      it("joins", function()
        local ok, err = moonpark.go(function() error("expected", 0) end):join()
        assert.same({ nil, "expected" }, { ok, err })
      end)
      it("takes", function()
        moonpark.go(function() error("expected", 0) end)
        moonpark.sleep(0)
        local taken = testing.uncaught()
        assert.equal(1, #taken)
        assert.truthy(taken[1]:find("expected", 1, true))
        assert.same({}, testing.uncaught())
      end)]], 2))
  end)

  describe("a test that does not end", function()
    it("fails after its limit, with a dump of what is parked where", function()
      local result = run([[

        it("waits for a client", function()
          local listener = assert(net.listen("127.0.0.1:0"))
          moonpark.go(function() moonpark.sleep(3600) end):name("bystander")
          listener:accept()
        end)
        it("comes after", function() assert.same({}, core.conns()) end)]], { timeout = "0.5" })
      counts(result, 1, 1)
      says(result, "one_spec.lua:2: still running after its time limit of 0.5 s", "moonpark: 2 tasks",
        '"it waits for a client" parked in accept on tcp listener 127.0.0.1:', "one_spec.lua:5: in function",
        '"bystander" parked in sleep')
    end)

    it("fails after a limit of its own, its block's or its file's", function()
      local result = run [[
        testing.timeout(0.06)
        it("has the file's", function() moonpark.sleep(3600) end)
        describe("a block", function()
          testing.timeout(0.04)
          it("has the block's", function() moonpark.sleep(3600) end)
          it("has its own", function() testing.timeout(0.02) moonpark.sleep(3600) end)
          it("has none", function() testing.timeout(math.huge) moonpark.sleep(0.05) end)
        end)]]
      counts(result, 1, 3)
      says(result, "limit of 0.06 s", "limit of 0.04 s", "limit of 0.02 s")
    end)

    it("fails as well in before_each, in finally and in a task that always yields", function()
      local result = run([[
        describe("a block", function()
          before_each(function() moonpark.sleep(3600) end)
          it("never runs", function() end)
        end)
        it("ends, but", function() finally(function() moonpark.sleep(3600) end) end)
        it("yields", function() while true do moonpark.yield() end end)]], { timeout = "0.5" })
      counts(result, 0, 1, 2)
      says(result, '"before_each"', '"finally ends, but"', "ready after yield")
    end)

    it("is stopped where it computes without waiting, even in pcall", function()
      local result = run([[

        it("polls", function() while true do moonpark.now() end end)
        it("swallows", function() while true do pcall(moonpark.now) end end)
        it("comes after", function() end)]], { timeout = "0.5" })
      counts(result, 1, 2)
      says(result, "one_spec.lua:2: ran for more than its time limit of 0.5 s without waiting",
        "one_spec.lua:3: ran for more than its time limit of 0.5 s without waiting")
    end)

    it("is stopped so beside moonpark.limits", function()
      local result = run([[

        it("polls", function() moonpark.limits { slow = 0.05 } while true do moonpark.now() end end)
        it("comes after", function() end)]], { timeout = "0.5" })
      counts(result, 1, 1)
      says(result, "one_spec.lua:2: ran for more than its time limit of 0.5 s without waiting")
      assert.truthy(result.err:find("has held the loop for", 1, true), result.err)
    end)

    it("is stopped where a task of it computes without waiting, and that task is named", function()
      local result = run([[

        it("starts a task", function()
          moonpark.go(function() while true do moonpark.now() end end)
          moonpark.sleep(0.001)
        end)
        it("comes after", function() assert.equal(1, core.stats().tasks) end)]], { timeout = "0.5" })
      counts(result, 1, 1)
      says(result, "uncaught error in a task: ", "stopped: it ran too long without waiting",
        "started at:\n\tone_spec.lua:3")
    end)

    it("is stopped where compiled code computes without calling anything, and the others have their results", function()
      local result = run([[
        it("passes", function() end)
        it("spins", function() jit.on() while true do end end)
        it("adds", function() local x = 0 while true do x = x + 1 end end)
        it("comes after", function() end)]], { timeout = "0.5" })
      counts(result, 2, 2)
      says(result, "one_spec.lua:2: ran for more than its time limit of 0.5 s without waiting",
        "one_spec.lua:3: ran for more than its time limit of 0.5 s without waiting")
    end)

    it("ends the process where code cannot be stopped, and says which test it was and how others have ended", function()
      local text = [[
        it("passes", function() end)
        it("fails", function() assert.equal(1, 2) end)
        it("spins", function()
          getmetatable(newproxy(true)).__gc = function() while true do end end
          collectgarbage()
        end)]]
      local result = run(text, { timeout = "0.5" })
      assert.equal(70, result.status)
      assert.truthy(result.err:find("it spins runs without waiting, in code that cannot be interrupted", 1, true),
        result.err)
      assert.truthy(result.err:find("before it 1 passed, 1 failed\n  fails (one_spec.lua:2)\n", 1, true), result.err)
    end)

    it("fails under busted's own launcher as well, which runs another LuaJIT", function()
      local result = run([[
        it("passes", function() end)
        it("spins", function() while true do end end)]], { timeout = "0.5", launcher = true })
      counts(result, 1, 1)
    end)

    it("fails at once where nothing can wake it, with the report of the deadlock", function()
      local result = run [[

        it("locks itself out", function()
          local channel = moonpark.chan()
          channel:send("nobody listens")
          error("not reached")
        end)
        it("comes after", function() end)]]
      counts(result, 1, 1)
      says(result, "one_spec.lua:2: deadlock: the only task is parked",
        '"it locks itself out" waits in send on channel', "one_spec.lua:4: in function")
    end)
  end)

  describe("MOONPARK_TEST_TIMEOUT", function()
    it("of 0 is no limit", function()
      counts(run([[it("sleeps", function() moonpark.sleep(0.01) end)]], { timeout = "0" }), 1, 0)
    end)

    it("that is no number is refused", function()
      local result = run([[it("never runs", function() end)]], { timeout = "soon" })
      assert.truthy(result.err:find("MOONPARK_TEST_TIMEOUT: seconds expected (0: no limit), got 'soon'", 1, true))
      assert.equal(1, result.status)
    end)
  end)

  it("leaves a spec alone that requires moonpark.testing without the helper", function()
    local result = run([[
      it("has a loop of its own", function()
        assert.is_nil(moonpark.current())
        local a, b = testing.pair { fragments = { 2 } }
        moonpark.run(function()
          local clock = testing.clock()
          moonpark.sleep(86400)
          assert.equal(86400, clock:now())
          clock:resume()
          a:write("abc")
          assert.equal("ab", b:read())
          assert.match("can only be called in a spec, under busted", select(2, pcall(testing.timeout, 1)), 1, true)
          assert.match("can only be called under busted", select(2, pcall(testing.uncaught)), 1, true)
        end)
      end)]], { without = true, twice = true })
    counts(result, 2, 0)
  end)

  it("works with every output of busted", function()
    for _, output in ipairs { "TAP", "json", "junit", "gtest" } do
      local result = run([[
        it("passes", function() end)
        it("leaks", function() kept = net.pipe() end)]], { output = output })
      assert.equal(1, result.status, output)
      says(result, "left behind: 2 connections")
    end
  end)
end)

describe("testing.clock", function()
  local YEAR = 365 * 86400

  it("lets a year pass at once", function()
    local clock = testing.clock()
    assert.is_true(moonpark.sleep(YEAR))
    assert.equal(YEAR, clock:now())
  end)

  it("moves moonpark.now and moonpark.time alike", function()
    local now, time = moonpark.now(), moonpark.time()
    testing.clock()
    moonpark.sleep(YEAR)
    assert.is_true(moonpark.now() - now >= YEAR)
    assert.is_true(moonpark.time() - time >= YEAR)
  end)

  it("stands still while tasks run", function()
    local clock = testing.clock()
    for _ = 1, 100 do moonpark.yield() end
    assert.equal(0, clock:now())
  end)

  it("jumps from timer to timer in their order", function()
    local clock, seen = testing.clock(), {}
    for _, delay in ipairs { 30, 10, 20 } do
      moonpark.go(function()
        moonpark.sleep(delay)
        seen[#seen + 1] = clock:now()
      end)
    end
    moonpark.sleep(31)
    assert.same({ 10, 20, 30 }, seen)
  end)

  it("fires deadlines of connections", function()
    local clock = testing.clock()
    local a, b = testing.pair()
    a:set_timeout(3600)
    assert.same({ nil, "timeout" }, { a:read() })
    assert.equal(3600, clock:now())
    a:close()
    b:close()
  end)

  it("advances: what becomes due has run when advance returns, each at its own time", function()
    local clock, seen = testing.clock(), {}
    moonpark.go(function()
      for _ = 1, 3 do
        moonpark.sleep(1)
        seen[#seen + 1] = clock:now()
      end
    end)
    clock:advance(0.5)
    assert.same({}, seen)
    clock:advance(0.5)
    assert.same({ 1 }, seen)
    clock:advance(2)
    assert.same({ 1, 2, 3 }, seen)
    assert.equal(3, clock:now())
  end)

  it("resumes real time where it stands: now() never goes back", function()
    local clock = testing.clock()
    moonpark.sleep(YEAR)
    local virtual = moonpark.now()
    clock:resume()
    assert.is_true(moonpark.now() >= virtual)
    assert.has_error(function() clock:now() end, "the virtual clock has ended")
    assert.has_error(function() core.clock_advance(1) end)
  end)

  it("ends with the test, also with one that fails", function()
    local result = run [[
      it("passes", function() testing.clock() moonpark.sleep(3600) end)
      it("has real time again", function() assert.is_false((pcall(core.clock_advance, 1))) end)
      it("fails", function() testing.clock() moonpark.sleep(3600) error("no") end)
      it("has it again", function() assert.is_false((pcall(core.clock_advance, 1))) end)]]
    counts(result, 3, 0, 1)
  end)

  it("does not touch the test's limit, which is real time", function()
    local result = run [[
      it("sleeps for a year", function() testing.clock() moonpark.sleep(365 * 86400) end)
      it("sleeps for ever", function()
        testing.timeout(0.5)
        testing.clock()
        while true do moonpark.sleep(86400) end
      end)]]
    counts(result, 1, 1)
    says(result, "sleeps for ever", "time limit of 0.5 s")
  end)

  it("refuses what is no length of time", function()
    local clock = testing.clock()
    for _, wrong in ipairs { -1, math.huge, 0 / 0, "soon" } do
      assert.has_error(function() clock:advance(wrong) end,
        "advance: a finite number of seconds of at least 0 expected, got " .. tostring(wrong))
    end
  end)
end)

describe("testing.pair", function()
  local a, b

  local function pair(options) a, b = testing.pair(options) end

  after_each(function()
    if a then a:close() end
    if b then b:close() end
    a, b = nil, nil
  end)

  it("hands out bytes in the chosen pieces, round and round, at both ends", function()
    pair { fragments = { 1, 3 } }
    for _, ends in ipairs { { a, b }, { b, a } } do
      ends[1]:write("abcdefgh")
      local pieces = {}
      for i = 1, 4 do pieces[i] = ends[2]:read() end
      assert.same({ "a", "bcd", "e", "fgh" }, pieces)
    end
  end)

  it("gives a line whole, however it was cut", function()
    pair { fragments = { 1, 2, 5 } }
    a:write("GET key\r\n", "next\r\n")
    assert.equal("GET key", b:read_line())
    assert.equal("next", b:read_line())
  end)

  it("holds `capacity` bytes in each direction: a writer of more waits for the reader", function()
    pair { capacity = 4 }
    local writer = moonpark.go(function() return a:write("abcdefgh") end)
    moonpark.yield()
    assert.equal("parked", writer:status())
    assert.equal("abcdefgh", b:read_exactly(8))
    assert.same({ true, 8 }, { writer:join() })
  end)

  it("is a plain pair without options", function()
    pair()
    a:write("abcdefgh")
    assert.equal("abcdefgh", b:read_exactly(8))
  end)

  it("refuses options that mean nothing", function()
    local wrong = {
      ["pair: unknown option 'fragment'; did you mean 'fragments'?"] = { fragment = { 1 } },
      ["pair: option 'fragments' must be a table, not a number"] = { fragments = 1 },
      ["pair: option 'fragments' must hold 1 to 256 sizes"] = { fragments = {} },
      ["pair: option 'fragments' must hold positive whole numbers, not 0"] = { fragments = { 1, 0 } },
      ["pair: option 'fragments' must hold positive whole numbers, not 1.5"] = { fragments = { 1.5 } },
      ["pair: option 'capacity' must be a positive whole number, not a string"] = { capacity = "1" },
      ["pair: a table of options expected, got number"] = 1,
    }
    for message, options in pairs(wrong) do
      assert.has_error(function() testing.pair(options) end, message)
    end
    assert.has_error(function() testing.pair { capacity = 0 } end)
  end)
end)

describe("testing.tempdir", function()
  it("is a new folder, gone with all it holds after the test; that of setup after its block", function()
    local result = run [[
      local function exists(path) return (os.rename(path, path)) == true end
      local of_block, of_test
      describe("a block", function()
        setup(function() of_block = testing.tempdir() end)
        it("has two", function()
          of_test = testing.tempdir()
          assert.not_equal(of_block, of_test)
          assert(io.open(of_test .. "/file", "w")):close()
        end)
        it("has one left", function() assert.same({ true, false }, { exists(of_block), exists(of_test) }) end)
      end)
      it("has none left", function() assert.is_false(exists(of_block)) end)]]
    counts(result, 3, 0)
  end)
end)

describe("testing.timeout", function()
  it("refuses what is no length of time", function()
    for _, wrong in ipairs { 0, -1, 0 / 0, "soon" } do
      assert.has_error(function() testing.timeout(wrong) end,
        "timeout: a positive number of seconds expected, got " .. tostring(wrong))
    end
  end)
end)

-- SPDX-License-Identifier: MIT
-- runaway_spec.lua - tasks that do not wait: programs that hold their loop in every way there is.
--
-- Each is a process of its own, because timer, signals, hooks and profiler belong to the process.

local process = require "support.process"
local testing = require "moonpark.testing"

-- hold(body) runs body as a task, and then another one, which is served if the loop is free again. It is all one line.
local PREAMBLE = [[
local moonpark = require "moonpark"
local ffi = require "ffi"
ffi.cdef "int usleep(unsigned us); int flock(int fd, int how); int open(const char *path, int flags, ...);"
io.stdout:setvbuf "line"
local function hold(body)
  moonpark.run(function()
    local task = moonpark.go(body)
    task:name "holder"
    print("ended", task:join())
    print("served", moonpark.go(function() return moonpark.sleep(0.001) end):join())
  end)
end
]]

local function program(text) return PREAMBLE:gsub("\n", " ") .. "\n" .. text end

local function write(name, text)
  local path = testing.tempdir() .. "/" .. name
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  return path
end

local function start(text) return process.start { process.interpreter, write("it.lua", program(text)) } end

local function run(text)
  local status, out, err = start(text):wait()
  return { status = status, out = out, err = err }
end

local function count(text, what)
  local _, n = text:gsub(what:gsub("%p", "%%%0"), "")
  return n
end

-- The text is its line 3; what holds the loop does so there.
local function holding(limits, body) return ("moonpark.limits { %s }\n%s"):format(limits, body) end

describe("a task that does not wait", function()
  after_each(process.stop_all)

  local loops = {
    ["in the interpreter"] = "hold(function() jit.off(true, true) local n = 0 while true do n = n + 1 end end)",
    ["in an empty compiled loop"] = "hold(function() while true do end end)",
    ["in compiled arithmetic"] = "hold(function() local x = 0 for i = 1, 1e15 do x = x + i % 7 end return x end)",
    ["in a compiled loop that allocates"] = "hold(function() while true do local t = { {} } t[1][1] = #t end end)",
    ["in a compiled loop over memory of C"] = [[local a = ffi.new "int[64]" hold(function()
      while true do for i = 0, 63 do a[i] = a[i] + 1 end end end)]],
    ["in calls of a C function"] = "hold(function() while true do ffi.C.usleep(100) end end)",
    ["in one string after the other"] = "hold(function() while true do local _ = (('x'):rep(1e5)):upper() end end)",
    ["in a function that gsub calls"] = "hold(function() ('x'):gsub('x', function() while true do end end) end)",
    ["in a comparator of table.sort"] = [[hold(function()
      table.sort({ 1, 2 }, function() while true do end end) end)]],
    ["in a loop over a generator"] = [[hold(function()
      for _ in coroutine.wrap(function() while true do coroutine.yield(1) end end) do end end)]],
    ["in a generator"] = "hold(function() coroutine.wrap(function() while true do end end)() end)",
    ["in moonpark.shield"] = "hold(function() moonpark.shield(function() while true do end end) end)",
  }
  for name, body in pairs(loops) do
    it("is reported and stopped " .. name .. ", and others are served", function()
      local r = run(holding("slow = 0.05, limit = 0.3", body))
      assert.matches('^moonpark: task 2 "holder", started at %S*it.lua:1, has held the loop for %d+%.%d%d s ', r.err)
      assert.matches("without waiting\nstack traceback:\n.-it.lua:[34]: in function", r.err)
      assert.equal(1, count(r.err, "has held the loop"))
      assert.matches("^ended\tnil\t.-it.lua:[34]: ran for 0.3 s without waiting\t", r.out)
      assert.matches("\nserved\ttrue\ttrue\n$", r.out)
      assert.equal(0, r.status)
    end)
  end

  local swallowers = {
    pcall = "hold(function() while true do pcall(function() while true do end end) end end)",
    xpcall = [[hold(function() while true do
      xpcall(function() while true do end end, function(err) return err .. "!" end) end end)]],
    ["coroutine.resume"] = [[hold(function() while true do
      coroutine.resume(coroutine.create(function() while true do end end)) end end)]],
  }
  for name, body in pairs(swallowers) do
    it("cannot keep the loop with " .. name, function()
      local r = run(holding("limit = 0.1", body))
      assert.matches("^ended\tnil\t.-it.lua:[34]: ran for 0.1 s without waiting\t", r.out)
      assert.matches("\nserved\ttrue\ttrue\n$", r.out)
    end)
  end

  it("cannot keep the loop in code of moonpark's own, where the first error is not raised", function()
    local r = run(holding("limit = 0.1", [[
      local library = package.searchpath("moonpark.limits", package.path):gsub("limits.lua$", "mine.lua")
      hold(assert(loadstring("while true do end", "@" .. library)))]]))
    assert.matches("^ended\tnil\t[^\n]*ran for 0.1 s without waiting\t", r.out)
    assert.matches("\nserved\ttrue\ttrue\n$", r.out)
  end)

  it("may clean up after the error, and then wait", function()
    local r = run(holding("limit = 0.2", [[
      hold(function()
        local ok, err = pcall(function() while true do end end)
        print("cleaning up", ok, err)
        moonpark.sleep(0.001)
        return "cleaned up"
      end)]]))
    assert.matches("^cleaning up\tfalse\t%S*it.lua:4: ran for 0.2 s without waiting\nended\ttrue\tcleaned up\n", r.out)
  end)

  it("has its error reported with the line and the traceback, as any other", function()
    local r = run(holding("limit = 0.1", [[
      local function spin() while true do end end
      moonpark.run(function() moonpark.go(function() spin() return 1 end) end)]]))
    assert.matches("^moonpark: uncaught error in a task: %S*it.lua:3: ran for 0.1 s without waiting\n"
      .. "stack traceback:\n\t%S*it.lua:3: in function 'spin'\n\t%S*it.lua:4: in function", r.err)
  end)

  it("leaves its scope, whose other tasks are canceled", function()
    local r = run(holding("limit = 0.1", [[
      hold(function()
        moonpark.scope(function(scope)
          scope:go(function() print("sibling", moonpark.sleep(3600)) end)
          moonpark.yield()
          while true do end
        end)
      end)]]))
    assert.matches("^sibling\tnil\tcanceled\nended\tnil\t%S*it.lua:7: ran for 0.1 s without waiting", r.out)
  end)

  it("gets a new limit each time it is resumed", function()
    local r = run(holding("slow = 0.5, limit = 1", [[
      hold(function()
        local before = moonpark.now()
        while moonpark.now() - before < 1.5 do moonpark.yield() end
      end)]]))
    assert.same({ 0, "ended\ttrue\nserved\ttrue\ttrue\n", "" }, { r.status, r.out, r.err })
  end)

  it("is not charged for the time in which the process was stopped", function()
    local flag = testing.tempdir() .. "/go on"
    local child = start(([[
      moonpark.limits { slow = 0.05, limit = 2 }
      hold(function()
        print "holding"
        repeat local file = io.open(%q) until file
        return "was not stopped"
      end)]]):format(flag))
    assert.equal("holding", child:line())
    child:kill "STOP"
    process.run { "sleep", "2.5" }
    assert(io.open(flag, "w")):close()
    child:kill "CONT"
    local _, out = child:wait()
    assert.matches("\nended\ttrue\twas not stopped\n", out)
  end)
end)

describe("warnings", function()
  after_each(process.stop_all)

  it("are few, however many tasks there are", function()
    local r = run(holding("slow = 0.002, limit = 0.02", [[
      moonpark.run(function()
        for _ = 1, 12 do moonpark.go(function() while true do end end):join() end
      end)]]))
    assert.equal(10, count(r.err, " s without waiting\n")) -- a slow machine tells of code without hooks besides
  end)
end)

describe("an HTTP handler that does not wait", function()
  after_each(process.stop_all)

  it("is not charged for the time of those before it", function()
    local r = run(holding("slow = 0.3", [[
      local http = require "moonpark.http"
      moonpark.run(function()
        local server = assert(http.server(function(_, res)
          local before = moonpark.now()
          while moonpark.now() - before < 0.1 do end
          res:send "fine"
        end, { address = "127.0.0.1:0" }))
        local running = moonpark.go(server.run, server)
        local clients = {}
        for i = 1, 8 do
          clients[i] = moonpark.go(function() return http.get("http://" .. server:address()) end)
        end
        for i = 1, 8 do print(select(2, clients[i]:join()).status) end
        server:shutdown(0)
        running:join()
      end)]]))
    assert.same({ ("200\n"):rep(8), "" }, { r.out, r.err })
  end)

  it("is answered with 500, and the server goes on, even if the handler swallows the error", function()
    local r = run(holding("limit = 0.2", [[
      local http = require "moonpark.http"
      moonpark.run(function()
        local app = http.router()
        app:get("/spin", function() while true do end end)
        app:get("/swallow", function() while true do pcall(function() while true do end end) end end)
        app:get("/", function(_, res) res:send "fine" end)
        local server = assert(http.server(app, { address = "127.0.0.1:0" }))
        local running = moonpark.go(server.run, server)
        for _, path in ipairs { "/spin", "/", "/swallow", "/" } do
          print(assert(http.get("http://" .. server:address() .. path)).status)
        end
        server:shutdown(0)
        running:join()
      end)]]))
    assert.equal("500\n200\n500\n200\n", r.out)
    assert.matches("it.lua:6: ran for 0.2 s without waiting.*it.lua:7: ran for 0.2 s without waiting", r.err)
  end)
end)

describe("a C function that does not come back", function()
  after_each(process.stop_all)

  -- The descriptors are two open files: the second lock waits for the first for ever, and a signal does not end it.
  local LOCK = [[
    local function lock() local r = ffi.C.flock(ffi.C.open(arg[0], 0), 2) return r end
    hold(function() lock() lock() end)]]

  it("is named, with the last line of Lua, and the process ends", function()
    local r = run(holding("slow = 0.05, stuck = 0.5", LOCK))
    assert.matches("moonpark: task 2, started at %S*it.lua:1, has held the loop for %d%.%d%d s, in the C function "
      .. "flock %(libc[^)]*%), called by Lua as [^;]+; its last known line is %S*it.lua:3\n", r.err)
    assert.matches("\n  task 1, parked in join, started at %S*it.lua:1\n", r.err)
    assert.matches("\nmoonpark: the process ends: a task has held the loop for %d%.%d%d s\n$", r.err)
    assert.equal(70, r.status)
  end)

  it("is named as Lua calls it where it is one of LuaJIT's", function()
    local r = run(holding("stuck = 0.2", "hold(function() ('a'):rep(1e6):find(('a*'):rep(30) .. 'b') end)"))
    assert.matches("in the C function find; its last known line is %S*it.lua:3\n", r.err)
    assert.equal(70, r.status)
  end)

  it("is named where compiled code calls it", function()
    local r = run(holding("stuck = 0.3", [[
      local first = ffi.C.open(arg[0], 0)
      local again = ffi.C.open(arg[0], 0)
      hold(function()
        for i = 1, 1000 do ffi.C.flock(first, i < 1000 and 8 or 2) end
        for i = 1, 1000 do ffi.C.flock(again, i < 1000 and 8 or 2) end
      end)]]))
    assert.matches("in the C function flock %(libc[^)]*%), called by ", r.err)
    assert.equal(70, r.status)
  end)

  local deaf = {
    ["a finalizer"] = [[hold(function()
      getmetatable(newproxy(true)).__gc = function() while true do end end
      collectgarbage() end)]],
    ["a function of debug.sethook"] = [[hold(function() jit.off(true, true)
      debug.sethook(function() while true do end end, "", 1) end)]],
    ["what xpcall calls with the error"] = [[hold(function()
      xpcall(function() while true do end end, function() while true do end end) end)]],
  }
  for name, body in pairs(deaf) do
    it("ends the process, as " .. name .. " does, where hooks are off", function()
      local r = run(holding("slow = 0.05, limit = 0.2, stuck = 0.5", body))
      assert.matches("has held the loop for %d+%.%d%d s, in c[^\n]*\n.-\nmoonpark: the process ends: ", r.err)
      assert.equal(70, r.status)
    end)
  end
end)

describe("a stuck process", function()
  after_each(process.stop_all)

  it("ends with the whole dump where Lua can still run", function()
    local r = run(holding("stuck = 0.2", "hold(function() while true do end end)"))
    assert.matches('^moonpark: task 2 "holder", started at %S*it.lua:1, has held the loop for ', r.err)
    assert.matches("\nthe process ends\n\nmoonpark: 2 tasks\n\ntask 1 \"main\" parked in join", r.err)
    assert.equal(70, r.status)
  end)
end)

describe("what else uses hooks and the profiler", function()
  after_each(process.stop_all)

  it("has them again after a task was stopped", function()
    local r = run(holding("slow = 0.05, limit = 0.2", [[
      local calls, function_of_script = 0, nil
      function_of_script = function() calls = calls + 1 end
      debug.sethook(function_of_script, "", 1000)
      hold(function() while true do end end)
      local before = calls
      jit.off(true)
      for _ = 1, 1e5 do end
      print(debug.gethook() == function_of_script, calls > before)]]))
    assert.matches("\ntrue\ttrue\n$", r.out)
    assert.matches("it.lua:6: ran for 0.2 s without waiting", r.out)
  end)

  local LIMITS, PROFILE = "moonpark.limits { limit = 0.3 }\n", [[
      local profile, samples = require "jit.profile", 0
      profile.start("li1", function(_, n) samples = samples + n end)
      ]]
  for name, both in pairs { ["after the limits were set"] = LIMITS .. PROFILE, before = PROFILE .. LIMITS } do
    it("may begin to profile " .. name .. ", and the limits hold meanwhile and afterwards", function()
      local r = run(both .. [[
        hold(function() while true do end end)
        profile.stop()
        print(samples > 0)
        hold(function() while true do end end)]])
      assert.equal(2, count(r.out, "ran for 0.3 s without waiting"))
      assert.matches("\ntrue\n", r.out)
    end)
  end
end)

describe("moonpark.limits", function()
  after_each(process.stop_all)

  it("refuses what is no limit, in the caller's line", function()
    local r = run [[
      for _, limits in ipairs { { slow = -1 }, { limit = "5" }, { stuck = 0 / 0 }, { limit = 1e-9 },
        { limits = 1 } } do print(pcall(moonpark.limits, limits)) end
      print(pcall(moonpark.limits))
      print(pcall(moonpark.limits, 5))]]
    local text = "must be 0, or a number of seconds from 0.001 to 1000000"
    assert.equal(("false\tlimits: option 'slow' %s\nfalse\tlimits: option 'limit' %s\n"
      .. "false\tlimits: option 'stuck' %s\nfalse\tlimits: option 'limit' %s\n"
      .. "false\tlimits: unknown option 'limits'; did you mean 'limit'?\ntrue\n"
      .. "false\tbad argument #1 to 'limits' (table expected, got number)\n"):format(text, text, text, text), r.out)
  end)

  it("can be changed, and switched off", function()
    local r = run [[
      moonpark.limits { limit = 0.1 }
      hold(function() while true do end end)
      moonpark.limits { limit = 0.2 }
      hold(function() while true do end end)
      moonpark.limits {}
      local before = moonpark.now()
      hold(function() while moonpark.now() - before < 0.5 do end end)]]
    assert.matches("ran for 0.1 s .*ran for 0.2 s .*ended\ttrue\n", r.out)
  end)

  local function switches(pid)
    for line in io.lines(("/proc/%d/status"):format(pid)) do
      local n = line:match "^voluntary_ctxt_switches:%s*(%d+)"
      if n then return tonumber(n) end
    end
  end

  -- A second without a wake-up, while the timer's period would be 25 ms.
  local function falls_asleep(pid)
    for _ = 1, 30 do
      local before = switches(pid)
      process.run { "sleep", "1" }
      if switches(pid) == before then return true end
    end
    return false
  end

  it("wakes no idle process", function()
    local child = start [[
      moonpark.limits { slow = 0.1, limit = 0.5, stuck = 30 }
      moonpark.run(function()
        local listener = assert(moonpark.net.listen "127.0.0.1:0")
        print(listener:address())
        while true do
          assert(listener:accept()):close()
          print(pcall(function() while true do end end))
        end
      end)]]
    local address = child:line()
    assert.is_true(falls_asleep(child.pid))
    require("moonpark").net.dial(address):close()
    assert.matches("ran for 0.5 s", child:line())
    assert.is_true(falls_asleep(child.pid))
  end)
end)

-- SPDX-License-Identifier: MIT
-- failures_spec.lua - errors of tasks whose handle somebody keeps: reported after a second, listed in the dump, and
-- still there for a join. Each case is a script in a process of its own, where time is virtual.

local process = require "support.process"

local PREAMBLE = [[
local moonpark = require "moonpark"
local clock = require("moonpark.testing").clock()
local function note(...) io.stderr:write(table.concat({ ... }, " "), "\n") end
local function fails() error("died", 0) end
]]

local function run(text) return process.run(process.moonpark("-e", PREAMBLE .. text)) end

local function count(text, what)
  local _, n = text:gsub(what:gsub("%p", "%%%0"), "")
  return n
end

describe("a failed task whose handle is kept", function()
  it("is reported after a second, once, while the program goes on", function()
    local r = run [[
      kept = { moonpark.go(fails) }
      moonpark.sleep(0.9)
      note "not yet"
      moonpark.sleep(0.2)
      note "by now"
      moonpark.sleep(3600)
      note "the end"]]
    assert.matches("^not yet\nmoonpark: error in a task that has not been joined: died\nstack traceback:\n"
      .. ".-started at:\n.*by now\nthe end\n$", r.err)
    assert.equal(1, count(r.err, "died"))
    assert.equal(1, r.status)
  end)

  -- There (2^20 s to 2^50 ns) seconds are coarser than ns: the timer fired before the time, again and again. A machine
  -- that has been up for longer says nothing of it: no clock goes back.
  it("is reported at whatever instant it failed, twelve days after the machine has started for one", function()
    local r = run [[
      clock:advance(math.max(0, 2 ^ 20 * 1.02 - moonpark.now()))
      for _ = 1, 40 do
        kept = moonpark.go(fails)
        moonpark.sleep(0.9)
        moonpark.sleep(0.2)
        kept:join()
      end
      note "the end"]]
    assert.equal(40, count(r.err, "has not been joined: died"))
    assert.matches("\nthe end\n$", r.err)
  end)

  it("is reported while all others wait for something that never comes", function()
    local r = run [[
      local listener = moonpark.net.listen "127.0.0.1:0"
      kept = moonpark.go(fails)
      moonpark.go(function()
        moonpark.sleep(5)
        listener:close()
      end)
      listener:accept()]]
    assert.equal(1, count(r.err, "error in a task that has not been joined: died"))
  end)

  it("still has its error for a join, and is not counted against the program then", function()
    local r = run [[
      local kept = moonpark.go(fails)
      moonpark.sleep(2)
      note("joined:", (select(2, kept:join())))]]
    assert.equal(1, count(r.err, "has not been joined: died"))
    assert.matches("\njoined: died\n$", r.err)
    assert.equal(0, r.status)
  end)

  it("is not reported where it is joined within that time, or by a task that waits in join", function()
    local r = run [[
      local kept, other = moonpark.go(fails), nil
      moonpark.sleep(0.5)
      note("joined:", (select(2, kept:join())))
      other = moonpark.go(function()
        moonpark.sleep(10)
        fails()
      end)
      note("joined:", (select(2, other:join())))
      moonpark.sleep(10)]]
    assert.same({ 0, "joined: died\njoined: died\n" }, { r.status, r.err })
  end)

  it("is reported though another task keeps the loop busy", function()
    local r = run [[
      kept = moonpark.go(fails)
      for _ = 1, 1000 do
        require("moonpark.core").clock_advance(0.01)
        moonpark.yield()
      end
      note "the end"]]
    assert.matches("^moonpark: error in a task that has not been joined: died\n.*the end\n$", r.err)
    assert.equal(1, count(r.err, "died"))
  end)

  it("is not reported if a join waits, however long others compute before it goes on", function()
    local r = run [[
      local task
      local joins = moonpark.go(function() note("joined:", (select(2, task:join()))) end)
      task = moonpark.go(function()
        moonpark.yield()
        for _ = 1, 300 do moonpark.go(require("moonpark.core").clock_advance, 1) end
        fails()
      end)
      joins:join()
      moonpark.sleep(10)]]
    assert.same({ 0, "joined: died\n" }, { r.status, r.err })
  end)

  it("is told before, at once, when nobody has its handle any more", function()
    local r = run [[
      moonpark.go(fails)
      moonpark.sleep(0.1)
      note "by now"
      moonpark.sleep(10)]]
    assert.matches("^moonpark: uncaught error in a task: died\n.*by now\n$", r.err)
    assert.equal(1, count(r.err, "died"))
  end)

  it("keeps neither the program from ending nor a deadlock from being found", function()
    local r = run "kept = moonpark.go(fails) moonpark.yield()"
    assert.matches("^moonpark: uncaught error in a task: died\n", r.err)
    r = run "kept = moonpark.go(fails) moonpark.chan():recv()"
    assert.equal(3, r.status)
    assert.equal(1, count(r.err, "died"))
  end)

  it("is listed in the dump with its name and its error until somebody joins it", function()
    local r = run [[
      local kept = { moonpark.go(fails), moonpark.go(fails) }
      kept[1]:name "first"
      kept[2]:name "second"
      moonpark.sleep(3)
      note(moonpark.dump())
      kept[1]:join()
      note("BUT ONE", moonpark.dump())
      kept[2]:join()
      note("NONE", moonpark.dump())]]
    local before, one, none = r.err:match "^(.*)BUT ONE(.*)NONE(.*)$"
    assert.matches('task 2 "first" failed and has not been joined\n    died\n.*task 3 "second" failed and has '
      .. 'not been joined\n    died\n    stack traceback:\n.*    started at:\n', before)
    assert.not_matches("first", one)
    assert.matches('"second" failed', one)
    assert.not_matches("failed", none)
  end)
end)

describe("many failed tasks that others await", function()
  it("cost steps in proportion to their number", function()
    local r = process.run(process.moonpark("-e", [[
      local moonpark = require "moonpark"
      jit.off() -- what is compiled counts no steps
      for _, n in ipairs { 200, 3200 } do
        local steps, joining = 0, {}
        debug.sethook(function() steps = steps + 1 end, "", 100)
        for i = 1, n do
          local failing = moonpark.go(function()
            moonpark.yield()
            error "wrong"
          end)
          joining[i] = moonpark.go(failing.join, failing)
        end
        for i = 1, n do joining[i]:join() end
        debug.sethook()
        print(steps)
      end]]))
    local few, many = r.out:match "^(%d+)\n(%d+)\n$"
    assert.is_true(tonumber(few) > 0 and tonumber(many) < few * 32, r.out .. r.err)
  end)
end)

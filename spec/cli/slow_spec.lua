-- SPDX-License-Identifier: MIT
-- slow_spec.lua - when a task that holds the loop is reported: --slow, MOONPARK_SLOW, at a terminal, by two signals.

local core = require "moonpark.core"
local process = require "support.process"
local terminal = require "support.terminal"
local testing = require "moonpark.testing"

testing.timeout(60)

local BUSY = [[
local function spin(seconds)
  local before = os.clock()
  while os.clock() - before < seconds do end
end
]]

local function command(env, ...) return process.run(process.moonpark(...), { env = env }) end

local function count(text, what) return select(2, text:gsub(what, "")) end

-- The script as a file, whose lines the reports name.
local function script(text)
  local path = testing.tempdir() .. "/it.lua"
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  return path
end

describe("a task that holds the loop", function()
  after_each(process.stop_all)

  it("is told of with MOONPARK_SLOW, under the command and without it", function()
    local text = BUSY .. "require('moonpark').run(function() spin(0.4) end)"
    for _, words in ipairs { process.moonpark(script(text)), { process.interpreter, script(text) } } do
      local r = process.run(words, { env = { MOONPARK_SLOW = "0.05" } })
      assert.equal(0, r.status)
      assert.matches('^moonpark: task 1 "main", started at [^\n]+, has held the loop for %d+%.%d%d s without waiting\n'
        .. "stack traceback:\n.-it.lua:3: in function 'spin'\n", r.err)
      assert.equal(1, count(r.err, "has held the loop"))
      assert.equal("", process.run(words).err)
    end
  end)

  it("is not told of where --slow, or the script, switches that off", function()
    local env = { MOONPARK_SLOW = "0.05" }
    assert.equal("", command(env, "--slow", "0", "-e", BUSY .. "spin(0.3)").err)
    assert.equal("", command(env, "-e", BUSY .. "require('moonpark').limits { slow = 0 } spin(0.3)").err)
  end)

  it("is told of beside other limits, and by the earlier name of the option", function()
    local limits = BUSY .. "require('moonpark').limits { limit = 5 } spin(0.3)"
    assert.matches("has held the loop", command({ MOONPARK_SLOW = "0.05" }, "-e", limits).err)
    assert.matches("has held the loop", command(nil, "--slice=0.05", "-e", BUSY .. "spin(0.3)").err)
    assert.matches("has held the loop",
      command(nil, "-e", BUSY .. "require('moonpark').limits { slice = 0.05 } spin(0.3)").err)
  end)

  it("is told of again when it has let go, once a while has passed: how long it was in all", function()
    local r = command(nil, "--slow", "0.05", "-e", BUSY .. "spin(0.6) require('moonpark').sleep(0.2)")
    assert.matches("^moonpark: task 1 [^\n]+ has held the loop for %d+%.%d%d s .*\nmoonpark: task 1 held the loop for "
      .. "%d+%.%d%d s in all\n$", r.err)
  end)

  it("is told of after a second where standard error is a terminal", function()
    local child = terminal.start("exec " .. terminal.command("-e",
      "local a = os.clock() while os.clock() - a < 3 do end"), { MOONPARK_SLOW = false })
    child:expect "has held the loop for "
    assert.equal(0, (child:wait()))
    child = terminal.start("exec " .. terminal.command("-e", "local a = os.clock() while os.clock() - a < 3 do end"),
      { MOONPARK_SLOW = "0" })
    assert.same({ 0, "", "" }, { child:wait() })
  end)

  it("is told of with the C function that it is in, and what waits for that, once", function()
    local r = command(nil, "--slow", "0.05", script [[
      local function pause() require("socket").sleep(0.6) return 1 end
      pause()
      require("moonpark").sleep(0.2)]])
    assert.matches("in the C function clock_nanosleep %(libc[^)]*%), called by [^\n]*called by Lua as sleep; "
      .. "its last known line is %S*it.lua:1\nstack traceback:\n\t%[C%]: in function 'sleep'\n"
      .. "\t%S*it.lua:1: in function 'pause'\n\t%S*it.lua:2: in main chunk\n", r.err)
    assert.equal(1, count(r.err, "has held the loop"))
    assert.matches("\nmoonpark: task 1 held the loop for %d+%.%d%d s in all\n$", r.err)
  end)

  it("does not run where MOONPARK_SLOW is no number of seconds", function()
    local r = command({ MOONPARK_SLOW = "soon" }, "-e", "print 'ran'")
    assert.same({ 1, "", "moonpark: MOONPARK_SLOW: 0, or a number of seconds from 0.001 to 1000000 expected, "
      .. "got 'soon'\n" }, { r.status, r.out, r.err })
    r = process.run({ process.interpreter, "-e", "require('moonpark').run(print, 'ran')" },
      { env = { MOONPARK_SLOW = "soon" } })
    assert.same({ 1, "" }, { r.status, r.out })
    assert.matches("MOONPARK_SLOW: 0, or a number of seconds", r.err)
  end)
end)

describe("two signals while one task holds the loop", function()
  after_each(process.stop_all)

  -- What the task does in line 2, and what is said of it after the place where it was started.
  local LUA, C = '^moonpark: task 2 "busy"', "^moonpark: task 2"
  local ways = {
    ["in the interpreter"] = { LUA, "jit.off(true, true) local n = 0 while true do n = n + 1 end",
      "\nstack traceback:\n\t%S*it.lua:2: in function" },
    ["in calls of C functions"] = { LUA, "while true do os.time() end",
      "\nstack traceback:\n.*it.lua:2: in function" },
    ["in a C function of the system's"] = { C, "require('socket').sleep(3600)",
      ", in the C function clock_nanosleep %(libc[^\n]*it.lua:2\nstack traceback:\n\t%[C%]: in function 'sleep'\n"
      .. "\t%S*it.lua:2: in a function" },
    ["in a C function of LuaJIT's"] = { C, "local at = (('a'):rep(60) .. 'b'):find(('a*'):rep(20) .. 'c') return at",
      ", in the C function find; its last known line is %S*it.lua:2\n" },
    ["in compiled code"] = { C, "while true do end", ", in compiled code" },
  }

  local function start(body)
    local child = process.start(process.moonpark(script([[
      local function busy() print "busy"
        ]] .. body .. [[ end
      io.stdout:setvbuf "line"
      require("moonpark").go(busy):name "busy"]])))
    assert.equal("busy", child:line())
    return child
  end

  -- The second one is another only if the first has been taken.
  local function send(child, name)
    child:kill(name)
    process.until_taken(child.pid, core.signal_number(name))
  end

  for name, way in pairs(ways) do
    it("show where it is " .. name .. ": SIGUSR1, again and again; SIGQUIT, which ends the process then", function()
      local child = start(way[2])
      send(child, "USR1")
      for _ = 1, 2 do
        send(child, "USR1")
        child:expect("holds the loop", "err")
      end
      send(child, "QUIT")
      child:kill "QUIT"
      local _, out, err = child:wait()
      assert.same({ "busy\n", core.signal_number "QUIT" }, { out, child.signal })
      assert.equal(3, count(err, "holds the loop"))
      assert.matches(way[1] .. ", started at %S*it.lua:4, holds the loop" .. way[3], err)
    end)
  end

  it("show nothing but dumps where the loop takes them", function()
    local child = process.start(process.moonpark(script [[
      io.stdout:setvbuf "line"
      print "ready"
      while require("moonpark").sleep(0.001) do end]]))
    assert.equal("ready", child:line())
    for _ = 1, 20 do send(child, "USR1") end
    child:kill "TERM"
    local _, _, err = child:wait()
    assert.matches("moonpark: 1 task\n", err)
    assert.not_matches("holds the loop", err)
  end)
end)

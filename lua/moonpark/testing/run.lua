-- SPDX-License-Identifier: MIT
-- run.lua - runs one function as a task, with a limit of real time, and says how it ended.
--
-- The loop stops when that task has ended; other tasks stay as they are until the loop is run again: a server
-- that `setup` starts lives through the tests. Two limits watch the task. One is the loop's, in real time,
-- whatever a virtual clock says. The other is of processor time, for code that never waits.

local core = require "moonpark.core"
local dump = require "moonpark.dump"
local failures = require "moonpark.failures"

local M = {}

local SETTLE_TURNS = 200           -- turns of the loop that tasks get to end in
local GRACE, STEP = 0.05, 0.005    -- then seconds, for what must come by way of the kernel
local SETTLE_LIMIT = 2             -- seconds of processor time
local ABORT_TURNS = 20             -- for a test that is given up

local ENDLESS = "runs without waiting, in code that cannot be interrupted: the process was ended%s\n"

local reports = {} -- uncaught errors of tasks

---@class moonpark.testing.outcome
---@field ok boolean
---@field err any the value that was raised
---@field trace? table where: as debug.getinfo gives it, and `traceback`
---@field gave_up boolean? it did not come to its end: too long, or a deadlock; err is text for people

--- What to say of tests that have ended, if the process must be ended.
---@return string
function M.so_far() return "" end

local running -- {started =, limit =}: what the loop runs now

---------------------------------------------------------------------------------------------------
-- where an error was raised

local function is_machinery(info)
  return info.what == "C" or info.source:find("[/\\]luassert[/\\]") or info.source:find("[/\\]busted[/\\][%w_]+%.lua$")
end

-- As busted would see it at the place of the error. A message handler: level 2 is the function that raised.
local function trace_here(err)
  local level = 3
  local info = debug.getinfo(level, "Sl")
  while info and is_machinery(info) do
    level = level + 1
    info = debug.getinfo(level, "Sl")
  end
  info = info or debug.getinfo(1, "Sl")
  info.traceback = debug.traceback("", level)
  info.message = err
  return info
end

---------------------------------------------------------------------------------------------------
-- limits

local function set_limit(seconds)
  running.limit = seconds
  core.limit(seconds and math.max(0, running.started + seconds - core.real()))
  core.watchdog_end()
  if seconds then
    core.watchdog(seconds, ("\nmoonpark.testing: %s " .. ENDLESS):format(running.name, M.so_far()))
  end
end

--- Changes the limit of what runs now, counted from its start.
---@param seconds number|nil nil: none
---@return boolean # false: nothing runs
function M.set_limit(seconds)
  if not running then return false end
  set_limit(seconds)
  return true
end

---------------------------------------------------------------------------------------------------
-- turns

--- One turn of the loop that does not block.
---@return "stopped"|"ended"|"deadlock"
function M.turn()
  core.limit(0)
  local state = core.go_on()
  core.limit(nil)
  return state
end

local function all_sleep(tasks)
  for _, thing in ipairs(tasks) do
    if thing.info.wait ~= "sleep" then return false end
  end
  return true
end

local function settle(waiting)
  for _ = 1, SETTLE_TURNS do
    if #waiting() == 0 or M.turn() ~= "stopped" then return end
  end
  for _ = 1, GRACE / STEP do
    if all_sleep(waiting()) then return end
    core.limit(STEP)
    local state = core.go_on()
    core.limit(nil)
    if state ~= "stopped" then return end
  end
end

--- Lets tasks continue that are on their way to end: until waiting() gives none, nothing moves, or they had their time.
---@param waiting fun(): moonpark.testing.thing[]
function M.settle(waiting)
  core.watchdog(SETTLE_LIMIT, ("\nmoonpark.testing: a task left by a test " .. ENDLESS):format(M.so_far()))
  settle(waiting)
  core.watchdog_end()
end

--- Waits a little for the kernel, with the loop running, until waiting() gives none.
---@param waiting fun(): moonpark.testing.thing[]
function M.wait_for_kernel(waiting)
  for _ = 1, GRACE / STEP do
    if #waiting() == 0 then return end
    core.run(function()
      core.sleep(STEP)
      core.stop()
    end)
    core.limit(nil)
  end
end

--- Uncaught errors since the last call, as texts.
---@return string[]
function M.take_reports()
  local taken = reports
  reports = {}
  return taken
end

---------------------------------------------------------------------------------------------------
-- running

local function give_up(main)
  main:cancel("given up by moonpark.testing")
  for _ = 1, ABORT_TURNS do
    if main:status() == "done" or main:status() == "failed" or M.turn() ~= "stopped" then break end
  end
  core.kill(main)
  failures.claim(main)
end

local function limit_text(limit)
  return ("still running after its time limit of %g s\n%s"):format(limit, dump.dump())
end

-- How a task ended that did not come to its own end.
local function not_done(main, state)
  if main:status() == "failed" then
    failures.claim(main)
    local _, err, traceback = main:results()
    return { ok = false, gave_up = true, err = failures.text(err) .. "\n" .. (traceback or "") }
  end
  local text = state == "deadlock" and dump.deadlock() or limit_text(running.limit)
  give_up(main)
  return { ok = false, err = text, gave_up = true }
end

local function stopped_by_watchdog(outcome)
  local where = outcome.trace and outcome.trace.traceback or ""
  return { ok = false, gave_up = true, err = ("ran for more than its time limit of %g s without waiting%s")
    :format(running.limit, where) }
end

--- Runs fn() as a task.
---@param name string for reports
---@param limit number|nil seconds
---@param fn function
---@return moonpark.testing.outcome
function M.call(name, limit, fn)
  local outcome, stopped
  -- At its end alone: a test may join late, on a clock of its own.
  failures.on_report(function(text) reports[#reports + 1] = text end, true)
  running = { name = name, started = core.real() }
  set_limit(limit)
  local main, state = core.run(function()
    core.current():name(name)
    local trace
    local ok, err = xpcall(fn, function(err)
      stopped = core.watchdog_end() -- now: it would continue in here
      trace = trace_here(err)
      return err
    end)
    outcome = { ok = ok, err = err, trace = trace }
    core.stop()
  end)
  outcome = outcome or not_done(main, state)
  stopped = core.watchdog_end() or stopped
  if stopped and not outcome.gave_up then outcome = stopped_by_watchdog(outcome) end
  core.limit(nil)
  running = nil
  return outcome
end

return M

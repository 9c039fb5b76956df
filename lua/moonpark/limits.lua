-- SPDX-License-Identifier: MIT
-- limits.lua - how long a task may hold the loop: then it is reported, stopped, and in the end the process with it.

local core = require "moonpark.core"
local dump = require "moonpark.dump"
local failures = require "moonpark.failures"
local options = require "moonpark.options"
local task = require "moonpark.task"

local M = {}

local MOST, WINDOW = 10, 10 -- warnings, in that many seconds
local LEAST, LONGEST = 0.001, 1e6 -- seconds
local AT_TERMINAL = 1 -- second, of `slow`, if somebody is watching
local STDERR = 2

local set = {} -- what is in force

local window, told, left_out = -math.huge, 0, 0

-- Counts the warnings. -> how many were left out since the last one that was written; nil: this one is left out, too
local function admit()
  local now = core.real()
  if now - window >= WINDOW then window, told = now, 0 end
  if told == MOST then
    left_out = left_out + 1
    return nil
  end
  local before = left_out
  told, left_out = told + 1, 0
  return before
end

local function describe(does, traceback)
  local me = core.current()
  local site = me:site()[1]
  return ("%s%s %s\n%s"):format(tostring(me), site and (", started at %s,"):format(site) or "", does, traceback)
end

-- -> was it written
local function warn(text)
  local before = admit()
  if not before then return false end
  if before > 0 then text = ("%s\n%d warnings were left out before this one"):format(text, before) end
  failures.log(text, "warn", "limits")
  return true
end

-- Called in the task, by a hook: it must not wait. -> was something written
local function tell(what, seconds, traceback, err)
  if what == "limit" then return failures.remember_trace(err, traceback) end
  if what == "show" then return failures.log(describe("holds the loop", traceback), "warn", "limits") end
  local text = describe(("has held the loop for %.2f s without waiting"):format(seconds), traceback)
  if what == "slow" then return warn(text) end
  failures.log(("%s\nthe process ends\n\n%s"):format(text, dump.dump()), "error", "limits")
  core.writer_flush(1)
end

-- On the loop's own stack: a cancelled task has called what waits some thousand times since.
core.on_heedless(function(canceled, thread)
  local site, reason = canceled:site()[1], canceled:cancel_reason()
  local who = tostring(canceled) .. (site and (", started at %s,"):format(site) or "")
  local why = reason and (" (%s)"):format(reason) or ""
  warn(("%s was cancelled%s, and goes on: each wait of it returns nil, \"canceled\" at once, so it should end then\n%s")
    :format(who, why, debug.traceback(thread)))
end)

local profile_is_shared

--- LuaJIT has one profiler. From now on a script that profiles gets it; when it stops, we have it again.
function M.share_profiler()
  local found, profile = pcall(require, "jit.profile")
  if profile_is_shared or not found then return end
  local start, stop = profile.start, profile.stop
  function profile.start(...)
    core.runaway_profiler(false)
    return start(...)
  end
  function profile.stop()
    stop()
    core.runaway_profiler(true)
  end
  profile_is_shared = true
end

local function is_limit(value)
  return type(value) == "number" and (value == 0 or value >= LEAST and value <= LONGEST)
end

local EXPECTED = ("0, or a number of seconds from %g to %.0f"):format(LEAST, LONGEST)
local limit = { is_limit, "must be " .. EXPECTED }
---@class moonpark.limits.options
---@field slow? number seconds after which a task that holds the loop is reported once; MOONPARK_SLOW, 1 at a terminal
---@field limit? number seconds after which an error is raised in it; 0: off; 0
---@field stuck? number seconds after which the process ends; 0: off; 0
---@field slice? number slow by its former name

local known = { slow = limit, limit = limit, stuck = limit,
  slice = limit } -- the earlier name of `slow`

--- What is wrong with the value of a limit, or nil.
---@param value any
---@return string|nil
function M.complaint(value)
  if not is_limit(value) then return EXPECTED .. " expected" end
end

--- `slow` if nobody says otherwise: MOONPARK_SLOW; else a second if standard error is a terminal.
---@return number|nil seconds 0: off
---@return string? err what is wrong with MOONPARK_SLOW
function M.default()
  local text = os.getenv "MOONPARK_SLOW"
  if not text or text == "" then
    return core.writer_is_terminal(STDERR) and AT_TERMINAL or 0
  end
  local wrong = M.complaint(tonumber(text))
  if wrong then return nil, ("MOONPARK_SLOW: %s, got '%s'"):format(wrong, text) end
  return tonumber(text)
end

local shows, is_set = false, false

local function apply(slow, limits)
  is_set = true
  set = { slow = slow, limit = limits.limit, stuck = limits.stuck }
  M.share_profiler()
  return core.runaway(slow, limits.limit or 0, limits.stuck or 0, tell, shows)
end

--- Limits how long a task of this process may hold the loop, in seconds of real time since it was resumed. A limit
--- that is 0, or is not given, is off; but without `slow`, MOONPARK_SLOW counts, or a second if standard error is a
--- terminal. It replaces earlier limits.
---
--- slow: a task that has held the loop for so long is reported once, with its traceback. limit: an error is raised in
--- it, "ran for 5 s without waiting". stuck: the process ends with status 70, after a report.
---
--- Raises for wrong values, and if the system has no timer left.
---@param limits moonpark.limits.options
function M.set(limits)
  limits = options.check("limits", limits, known, 2, 1)
  local slow, wrong = limits.slow or limits.slice, nil
  if not slow then slow, wrong = M.default() end
  if wrong then error(wrong, 0) end
  local ok, err = apply(slow, limits)
  if not ok then error("limits: " .. err, 2) end
end

--- From now on a second SIGUSR1 or SIGQUIT that finds one task holding the loop shows where that is. To be called
--- before set.
function M.show_on_signals() shows = true end

-- A program without the command, and without limits of its own.
task.before_main(function()
  if is_set then return end
  local slow, wrong = M.default()
  if wrong then error(wrong, 0) end
  is_set = true
  if slow > 0 then apply(slow, {}) end -- without a timer there are no reports
end)

--- The limits in force.
---@return {slow?: number, limit?: number, stuck?: number}
function M.current() return { slow = set.slow, limit = set.limit, stuck = set.stuck } end

return M

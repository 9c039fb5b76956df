-- SPDX-License-Identifier: MIT
-- limits.lua - how long a task may hold the loop: then it is reported, stopped, and in the end the process with it.

local core = require "moonpark.core"
local dump = require "moonpark.dump"
local failures = require "moonpark.failures"
local options = require "moonpark.options"

local M = {}

local MOST, WINDOW = 10, 10 -- warnings, in that many seconds
local LEAST, LONGEST = 0.001, 1e6 -- seconds

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

local function describe(seconds, traceback)
  local me = core.current()
  local site = me:site()[1]
  return ("%s%s has held the loop for %.2f s without waiting\n%s"):format(tostring(me),
    site and (", started at %s,"):format(site) or "", seconds, traceback)
end

local function warn(text)
  local before = admit()
  if not before then return end
  if before > 0 then text = ("%s\n%d warnings were left out before this one"):format(text, before) end
  failures.log(text, "warn", "limits")
end

-- Called in the task, by a hook: it must not wait.
local function tell(what, seconds, traceback, err)
  if what == "limit" then return failures.remember_trace(err, traceback) end
  local text = describe(seconds, traceback)
  if what == "slice" then return warn(text) end
  failures.log(("%s\nthe process ends\n\n%s"):format(text, dump.dump()), "error", "limits")
  core.writer_flush(1)
end

local profile_is_shared

-- LuaJIT has one profiler. A script that profiles gets it; when it stops, we have it again.
local function share_profiler()
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
local known = { slice = limit, limit = limit, stuck = limit }

--- What is wrong with the value of a limit, or nil.
---@param value any
---@return string|nil
function M.complaint(value)
  if not is_limit(value) then return EXPECTED .. " expected" end
end

--- Limits how long a task of this process may hold the loop, in seconds of real time since it was resumed. Each limit
--- that is not given, or is 0, is off, and so all are by default. It replaces earlier limits.
---
--- slice: a task that has held the loop for so long is reported once, with its traceback. limit: an error is raised in
--- it, "ran for 5 s without waiting". stuck: the process ends with status 70, after a report.
---
--- Raises for wrong values, and if the system has no timer left.
---@param limits {slice?: number, limit?: number, stuck?: number}
function M.set(limits)
  limits = options.check("limits", limits, known, 2, 1)
  share_profiler()
  local ok, err = core.runaway(limits.slice or 0, limits.limit or 0, limits.stuck or 0, tell)
  if not ok then error("limits: " .. err, 2) end
end

return M

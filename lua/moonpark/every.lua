-- SPDX-License-Identifier: MIT
-- every.lua - moonpark.every: calls a function again and again, at times that do not drift, and never twice at once.

local chance = require "moonpark.chance"
local check_options = require("moonpark.options").check
local core = require "moonpark.core"
local failures = require "moonpark.failures"
local task = require "moonpark.task"

local M = {}

local ROUNDING = 1e-9 -- periods

---@class moonpark.every.options
---@field now? boolean the first call is made at once; false: after the first period
---@field jitter? number seconds by which each call is late at most, at random; less than the period; 0
---@field daemon? boolean the program does not go on for its sake; true
---@field on_error? fun(text: string) takes fn's errors; by default they are reported as uncaught ones

local known = { now = "boolean", jitter = "seconds", daemon = "boolean", on_error = "function" }

local function call(fn, on_error, what)
  local ok, err = xpcall(fn, failures.remember)
  if ok or core.current():is_canceled() and failures.is_cancellation(err) then return end
  local text = failures.traced(err)
  if on_error then failures.log_to(on_error)(text) else failures.report(text, what) end
end

-- Times are counted from the beginning, so that no lateness adds up. Those that passed during a call are left out.
local function beat(seconds, fn, options)
  local began, count = core.now(), options.now and 0 or 1
  local what = ("error in what is called every %g s"):format(seconds)
  while true do
    local due = began + count * seconds + (options.jitter or 0) * chance.fraction()
    if not core.sleep(math.max(0, due - core.now())) then return end
    call(fn, options.on_error, what)
    count = math.max(count + 1, math.ceil((core.now() - began) / seconds - ROUNDING))
  end
end

--- Calls fn() every so many seconds in a task of its own, until that is cancelled. A call that takes longer than the
--- period delays no later one beyond its end: the times that have passed meanwhile are left out. An error is reported,
--- and the next call comes as ever. In a task only.
---@param seconds number from the beginning of a call to that of the next
---@param fn fun()
---@param options? moonpark.every.options
---@return moonpark.task # task:cancel() ends it
function M.every(seconds, fn, options)
  if type(seconds) ~= "number" or not (seconds > 0 and seconds < math.huge) then
    error(("bad argument #1 to 'every' (positive number of seconds expected, got %s)")
      :format(type(seconds) == "number" and tostring(seconds) or type(seconds)), 2)
  end
  if type(fn) ~= "function" then
    error(("bad argument #2 to 'every' (function expected, got %s)"):format(type(fn)), 2)
  end
  options = check_options("every", options, known, 2, 3)
  if (options.jitter or 0) >= seconds then error("every: option 'jitter' must be less than the period", 2) end
  local started = (options.daemon == false and core.go or task.go_daemon)(beat, seconds, fn, options)
  started:name(("every %g s"):format(seconds))
  return started
end

return M

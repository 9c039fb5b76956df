-- SPDX-License-Identifier: MIT
-- retry.lua - moonpark.retry: calls a function again when it fails, after pauses that double, with full jitter.

local check_options = require("moonpark.options").check
local chance = require "moonpark.chance"
local core = require "moonpark.core"
local failures = require "moonpark.failures"
local task = require "moonpark.task"

local M = {}

local TRIES, FIRST, LONGEST, FACTOR = 5, 0.1, 10, 2

---@class moonpark.retry.options
---@field tries? integer calls of fn at most; 5
---@field first? number seconds before the second call, at most: the upper bound of a random pause; 0.1
---@field factor? number by which that grows from pause to pause; 2
---@field max? number seconds of a pause at most; 10
---@field jitter? boolean pauses are random, from 0 to the bound; true. false: the bound itself
---@field total? number seconds for everything, fn's own time included; none
---@field timeout? number seconds for each call; none
---@field on? fun(err: any, tries: integer): boolean|number|nil is this failure worth another call? A number: yes, after
--- so many seconds at least. Not called after the last call, nor for a cancellation

local known = { tries = "positive", first = "seconds", max = "seconds", jitter = "boolean", total = "seconds",
  timeout = "seconds", on = "function",
  factor = { function(n) return type(n) == "number" and n >= 1 and n < math.huge end,
    "must be a number of at least 1" } }

-- The pause after so many calls; least: what `on` has asked for.
local function pause_after(options, tries, least)
  local bound = math.min(options.max or LONGEST, (options.first or FIRST) * (options.factor or FACTOR) ^ (tries - 1))
  local pause = options.jitter == false and bound or bound * chance.fraction()
  return math.max(pause, least)
end

-- -> was there a failure, and its error. fn has returned nil and why, or raised.
local function failure_of(outcome)
  if not outcome[1] then return true, outcome[2] end
  return outcome[2] == nil and outcome[3] ~= nil, outcome[3]
end

local function pack(...) return { n = select("#", ...), ... } end

local function attempt(seconds, fn, ...)
  if seconds == math.huge then return pack(xpcall(fn, failures.remember, ...)) end
  return pack(xpcall(task.timeout, failures.remember, seconds, fn, ...))
end

-- Seconds until the next call, or nil: it is not worth one, or there is no time for it.
local function next_pause(options, tries, err, ends)
  if tries >= (options.tries or TRIES) then return nil end
  if failures.is_cancellation(err) or core.current():is_canceled() then return nil end
  local again = not options.on or options.on(err, tries)
  if not again then return nil end
  local pause = pause_after(options, tries, type(again) == "number" and again or 0)
  return core.now() + pause < ends and pause or nil
end

local function retry(options, fn, ...)
  local ends, tries = core.now() + (options.total or math.huge), 0
  while true do
    tries = tries + 1
    local outcome = attempt(math.min(options.timeout or math.huge, ends - core.now()), fn, ...)
    local failed, err = failure_of(outcome)
    local pause = failed and next_pause(options, tries, err, ends)
    if not pause then return outcome end
    if not core.sleep(pause) then return { true, nil, "canceled", n = 3 } end
  end
end

--- Calls fn(...) until it succeeds, and returns its results. A failure is an error that it raises, or nil and a second
--- result. The last failure is returned, or raised, as it came. Between the calls are pauses: a random time up to a
--- bound that doubles. In a cancelled task nothing is called again. In a task only.
---@param options moonpark.retry.options
---@param fn function
---@param ... any
---@return any ... fn's results
function M.retry(options, fn, ...)
  if type(options) ~= "table" then
    error(("bad argument #1 to 'retry' (table of options expected, got %s)"):format(type(options)), 2)
  end
  check_options("retry", options, known, 2, 1)
  if type(fn) ~= "function" then
    error(("bad argument #2 to 'retry' (function expected, got %s)"):format(type(fn)), 2)
  end
  if not core.current() then error("moonpark.retry must be called in a task", 2) end
  local outcome = retry(options, fn, ...)
  if not outcome[1] then error(outcome[2], 0) end
  return unpack(outcome, 2, outcome.n)
end

return M

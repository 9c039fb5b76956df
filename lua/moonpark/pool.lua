-- SPDX-License-Identifier: MIT
-- pool.lua - moonpark.pool: calls a function for each item of a list or an iterator, a bounded number at a time.
--
-- One task per item, in one scope. The caller pulls the next item when a place is free, so an iterator may be endless,
-- and may wait. Results that cannot be handed on yet are bounded, too: see AHEAD.

local check_options = require("moonpark.options").check
local core = require "moonpark.core"
local failures = require "moonpark.failures"
local task = require "moonpark.task"

local M = {}

local AHEAD = 4 -- times n: items whose results `each` has not had yet

---@class moonpark.pool.options
---@field each? fun(index: integer, ...: any): boolean|nil takes the results of an item; false: stops
---@field ordered? boolean `each` gets the results in the order of the items; true. false: as they come
---@field timeout? number seconds for one item; none

local known = { each = "function", ordered = "boolean", timeout = "seconds" }

---------------------------------------------------------------------------------------------------
-- items

-- -> next() -> an item, or nil at the end
local function source_of(source)
  if type(source) == "function" then return source end
  if type(source) == "table" then
    local i = 0
    return function()
      i = i + 1
      return source[i]
    end
  end
  local ok, step, channel = pcall(function() return source:iter() end)
  if ok and step then return function() return (step(channel)) end end
  error(("bad argument #2 to 'pool' (list, iterator or channel expected, got %s)"):format(type(source)), 3)
end

---------------------------------------------------------------------------------------------------
-- results

-- The number of the next finished item whose turn it is, or nil.
local function take_finished(state)
  local index
  if state.ordered then index = state.next
  else index = next(state.finished) end
  if not index or not state.finished[index] then return nil end
  state.next = state.next + 1
  return index
end

local function stop(state)
  state.stopped = true
  state.scope:cancel()
end

-- One task at a time hands results on, its own and those of the others that end meanwhile.
local function hand_on(state)
  if state.is_busy then return end
  state.is_busy, state.deliverer = true, core.current()
  local index = take_finished(state)
  while index and not state.stopped do
    local results = state.finished[index]
    state.finished[index] = nil
    state.working = index
    if state.each(index, unpack(results, 1, results.n)) == false then stop(state) end
    state.ahead:release()
    index = take_finished(state)
  end
  state.is_busy, state.deliverer = nil, nil
end

-- The first result, and the second where that is nil.
local function keep(state, index, ...)
  local value, err = ...
  state.results[index] = value
  if value == nil then state.errors[index] = err end
end

local function ended(state, index, ...)
  if not state.each then return keep(state, index, ...) end
  state.finished[index] = { n = select("#", ...), ... }
  hand_on(state)
end

---------------------------------------------------------------------------------------------------
-- tasks

local function call(state, item, index)
  if state.timeout then return ended(state, index, task.timeout(state.timeout, state.fn, item, index)) end
  return ended(state, index, state.fn(item, index))
end

-- An error says which item it was; what is no text is raised as it is.
local function work(state, item, index)
  local trace
  local ok, err = xpcall(call, function(err)
    trace = debug.traceback("", 2):gsub("^\n", "")
    return failures.remember(err)
  end, state, item, index)
  state.places:release()
  if ok then return end
  if type(err) == "string" and not (core.current():is_canceled() and failures.is_cancellation(err)) then
    err = ("%s (item %d)"):format(err, state.deliverer == core.current() and state.working or index)
    failures.remember_trace(err, trace)
  end
  error(err, 0)
end

-- Until the items end, or the pool is stopped or cancelled. -> true | nil, "canceled"
local function pull(state, scope, step)
  local index = 0
  while true do
    local ok, err = state.places:acquire()
    if ok and state.each then ok, err = state.ahead:acquire() end
    if not ok then return nil, err end
    local item = step()
    if item == nil then return true end
    if scope:is_canceled() then return nil, "canceled" end
    index = index + 1
    state.results.n = index
    scope:go(work, state, item, index)
  end
end

local function run(state, step)
  local ok, err = true, nil
  task.scope(function(scope)
    state.scope = scope
    ok, err = pull(state, scope, step)
  end)
  if state.stopped then return true end
  if ok and core.current():is_canceled() then return nil, "canceled" end
  return ok, err
end

--- Calls fn(item, index) for each item, at most n at a time, each in a task of its own, and returns when all have
--- ended. The first error cancels the others, and is raised here with the number of its item and its traceback. In a
--- task only. After errgroup with a limit of Go.
---@generic T
---@param n integer how many at a time
---@param items T[]|(fun(): T|nil)|moonpark.channel a list; a function that returns the next item, or nil; a channel
---@param fn fun(item: T, index: integer): any, any its results; nil and why if there is none
---@param options? moonpark.pool.options
---@return table|nil results [index] = the first result of each; n = how many items; empty with the option `each`
---@return table|string? errors [index] = the second result where the first is nil; or "canceled"
function M.pool(n, items, fn, options)
  if type(n) ~= "number" or n < 1 or n ~= math.floor(n) or n >= 2 ^ 31 then
    error(("bad argument #1 to 'pool' (positive whole number expected, got %s)")
      :format(type(n) == "number" and tostring(n) or type(n)), 2)
  end
  local step = source_of(items)
  if type(fn) ~= "function" then
    error(("bad argument #3 to 'pool' (function expected, got %s)"):format(type(fn)), 2)
  end
  options = check_options("pool", options, known, 2, 4)
  if not core.current() then error("moonpark.pool must be called in a task", 2) end
  local state = { fn = fn, each = options.each, timeout = options.timeout, ordered = options.ordered ~= false,
    places = core.semaphore(n), ahead = core.semaphore(AHEAD * n), results = { n = 0 }, errors = {}, finished = {},
    next = 1 }
  local ok, err = run(state, step)
  if not ok then return nil, err end
  return state.results, state.errors
end

return M

-- SPDX-License-Identifier: MIT
-- drain.lua - a worker's end: it takes nothing new, lets what runs come to its end, and leaves.
--
--   a script that handles TERM itself   gets that signal, and has until the deadline
--   any other                           its on_drain functions are called, its HTTP servers shut down, its listeners
--                                       close; when no connection is left that they accepted, all tasks are cancelled

local core = require "moonpark.core"
local draining = require "moonpark.draining"
local failures = require "moonpark.failures"
local post = require "moonpark.worker.post"
local sockets = require "moonpark.worker.sockets"
local task = require "moonpark.task"

local M = {}

local PAUSE = 0.02 -- seconds between two looks at what is still open

local functions = {} -- on_drain's, in their order
local under_way = false
local leave = function() os.exit(0) end -- once nothing is left

--- Replaces how the process ends.
---@param fn fun()
function M.leave_with(fn) leave = fn end

---@return boolean
function M.is_draining() return under_way end

--- fn(seconds) is called when this worker drains, or a program without workers does, in a task: it has that long.
---@param fn fun(seconds: number)
function M.on_drain(fn) functions[#functions + 1] = fn end

local function handles_term()
  for _, subscription in ipairs(core.signal_subscriptions()) do
    if subscription.text:find("TERM", 1, true) then return true end
  end
  return false
end

local function protected(fn, ...)
  local ok, err = xpcall(fn, failures.remember, ...)
  if not ok then failures.log("error while draining: " .. failures.traced(err), "error", "workers") end
end

--- Calls on_drain's functions for a program without workers, in which http.serve sees to the rest.
---@param seconds number
---@return moonpark.task[] those that run them
function M.call_functions(seconds)
  local tasks = {}
  under_way = true
  for i, fn in ipairs(functions) do tasks[i] = task.go(protected, task.timeout, seconds, fn, seconds) end
  return tasks
end

--- That program goes on: it may drain again.
function M.went_on() under_way = false end

-- A function that is called that many times: then the supervisor hears that nothing more is accepted.
local function countdown(count)
  return function()
    count = count - 1
    if count == 0 then post.post { op = "stopped" } end
  end
end

-- One of draining's list. Of those that take nothing from outside, such as pools, none says so: its end does.
local function wind_one_down(entry, seconds, stopped)
  local said = stopped == nil
  local function say()
    if said then return end
    said = true
    stopped()
  end
  protected(entry.drain, entry.object, seconds, stopped and say)
  say()
end

local function wind_down(seconds, prompt)
  local deadline, entries = core.now() + seconds, draining.list()
  local stopped = prompt and countdown(#entries + 1) or nil
  return task.scope(function(scope)
    for _, fn in ipairs(functions) do scope:go(protected, task.timeout, seconds, fn, seconds) end
    for _, entry in ipairs(entries) do scope:go(wind_one_down, entry, seconds, stopped) end
    for _, listener in ipairs(sockets.open()) do listener:close() end
    if stopped then stopped() end
    while core.share_open() > 0 and core.now() < deadline do core.sleep(PAUSE) end
  end)
end

local function drain(seconds, prompt)
  core.current():name "drain"
  task.shield(wind_down, seconds, prompt)
  leave()
end

--- Begins to drain; on the attendant's time.
---@param seconds number
---@param prompt boolean clients that keep a connection go on with the next program at once
function M.begin(seconds, prompt)
  if under_way then return end
  under_way = true
  if handles_term() then
    post.post { op = "stopped" } -- as far as can be known
    return core.raise "TERM"
  end
  core.go(drain, seconds, prompt)
end

return M

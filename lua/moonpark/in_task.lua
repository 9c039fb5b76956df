-- SPDX-License-Identifier: MIT
-- in_task.lua - calls that wait work in tasks and outside of them: where no loop runs, one runs for the call.

local core = require "moonpark.core"
local task = require "moonpark.task"

local current, is_running = core.current, core.is_running

local M = {}

--- loop.runs: a loop runs, so a call needs none of its own.
M.loop = task.loop

--- fn(...) in a task: the calling one, or one of its own where there is no loop.
function M.call(fn, ...)
  if current() or is_running() then return fn(...) end
  return task.run(fn, ...)
end

--- A method as a function that does that.
function M.method(fn)
  return function(...)
    if current() then return fn(...) end
    return M.call(fn, ...)
  end
end

return M

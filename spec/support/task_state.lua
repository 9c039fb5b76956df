-- SPDX-License-Identifier: MIT
-- support/task_state.lua - what state a task is in, as specs may say it in every build.

local core = require "moonpark.core"

local M = {}

--- A task that waits is "parked"; in the hard build, which wakes one falsely in each turn, also "ready" for a while.
function M.waits(task)
  local status = task:status()
  return status == "parked" or core.hard ~= nil and status == "ready", status
end

function M.assert_waits(task, message)
  local waits, status = M.waits(task)
  assert(waits, (message and message .. ": " or "") .. "the task does not wait: it is " .. status)
end

return M

-- SPDX-License-Identifier: MIT
-- ending.lua - the tasks that must end before the program can: cancelled until none is left, or the time is up.

local core = require "moonpark.core"

local M = {}

-- All but the calling one. Attendants serve the others, and end with them.
local function others()
  local list, me = {}, core.current()
  for _, info in ipairs(core.tasks()) do
    if not rawequal(info.task, me) and not info.attendant then table.insert(list, info) end
  end
  return list
end

-- Not with join, which would take errors that must be reported.
local function all_ended(list, deadline)
  for _, info in ipairs(list) do
    if not info.task:await(deadline - core.now()) then return false end
  end
  return true
end

--- Cancels every task but the calling one, and those that they start while they end, until none is left. Call it in a
--- shield.
---@param reason string
---@param deadline number on core.now()'s clock
---@return table[]|nil left entries of core.tasks() that have not ended by then; nil: all have
function M.cancel_others(reason, deadline)
  local left = others()
  while #left > 0 do
    for _, info in ipairs(left) do info.task:cancel(reason) end
    if not all_ended(left, deadline) then return others() end
    left = others()
  end
end

return M

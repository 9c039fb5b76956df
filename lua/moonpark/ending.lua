-- SPDX-License-Identifier: MIT
-- ending.lua - the tasks that must end before the program can: cancelled until none is left, or the time is up.

local core = require "moonpark.core"
local dump = require "moonpark.dump"
local task = require "moonpark.task"

local M = {}

local LISTED = 20 -- how many of the tasks that do not end are named

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

local function describe(info)
  local name = task.name_of(info.task)
  local place = dump.first_line(info):match "^(.-:%d+)"
  return ("  task %d%s, %s%s%s"):format(info.id, name and (" %q"):format(name) or "",
    info.wait and "in " .. info.wait or info.state, place and " at " .. place or "",
    info.site[1] and ", started at " .. info.site[1] or "")
end

--- A text about tasks that have not ended.
---@param reason string "SIGTERM"
---@param left table[] see cancel_others
---@param seconds number that they had
---@return string
function M.describe(reason, left, seconds)
  local lines = { ("%s: %d task%s not ended after %g s:"):format(reason, #left, #left == 1 and " has" or "s have",
    seconds) }
  for i = 1, math.min(#left, LISTED) do table.insert(lines, describe(left[i])) end
  if #left > LISTED then table.insert(lines, "  ...") end
  return table.concat(lines, "\n")
end

return M

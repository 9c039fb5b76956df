-- SPDX-License-Identifier: MIT
-- draining.lua - who must stop taking new work when the program drains: servers say so when they open.

local M = {}

local drains = setmetatable({}, { __mode = "k" }) -- [object] = fn(object, seconds)

--- From now on fn(object, seconds) is called when the program drains: it waits until that is over, or the seconds are.
--- An object that was collected is forgotten.
---@param object any
---@param fn fun(object: any, seconds: number)
function M.add(object, fn) drains[object] = fn end

---@param object any
function M.remove(object) drains[object] = nil end

--- All of them.
---@return {object: any, drain: fun(object: any, seconds: number)}[]
function M.list()
  local list = {}
  for object, fn in pairs(drains) do list[#list + 1] = { object = object, drain = fn } end
  return list
end

return M

-- SPDX-License-Identifier: MIT
-- support/collect.lua - a finalizer at a place that is known.

local collect = {}

-- Calls fn, and finalizer once, within it: where fn first asks for memory, at the latest.
---@param finalizer fun()
---@param fn fun(): any
---@return any first what fn returns first
function collect.within(finalizer, fn)
  collectgarbage()
  collectgarbage "stop"
  getmetatable(newproxy(true)).__gc = finalizer
  local pause, multiplier = collectgarbage("setpause", 0), collectgarbage("setstepmul", 1000000) -- a step is a cycle
  collectgarbage "restart"
  local result = fn()
  collectgarbage("setpause", pause)
  collectgarbage("setstepmul", multiplier)
  return result
end

return collect

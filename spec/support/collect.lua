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

local DEBT = 4000000 -- bytes of garbage: while it has that much to do, each request for memory is a small step

-- Calls fn until the finalizer has run within it, at any place that asks for memory: which one differs with n.
---@param n integer
---@param finalizer fun()
---@param fn fun()
function collect.somewhere(n, finalizer, fn)
  local done = false
  collectgarbage()
  getmetatable(newproxy(true)).__gc = function()
    done = true
    finalizer()
  end
  local pause, multiplier = collectgarbage("setpause", 0), collectgarbage("setstepmul", 200 + 3 * n)
  collectgarbage "restart"
  local garbage = ("x"):rep(DEBT + n)
  while not done and garbage do fn() end
  collectgarbage("setpause", pause)
  collectgarbage("setstepmul", multiplier)
end

return collect

-- SPDX-License-Identifier: MIT
-- once.lua - moonpark.once: a value that one task computes while the others wait for it; kept until it is reset.
--
-- moonpark.shared.once is the same for all processes.

local check_options = require("moonpark.options").check
local core = require "moonpark.core"
local failures = require "moonpark.failures"

local M = {}

---@class moonpark.once.options
---@field ttl? number seconds until a value is computed anew; none

local known = { ttl = "pause" }

local function pack(...) return { n = select("#", ...), ... } end

-- The state that counts now: a new one if the value of the last one is too old.
local function state_of(self)
  local state = self.state
  if state.expires and core.now() >= state.expires then
    state = {}
    self.state = state
  end
  return state
end

-- What has failed is not kept: the next task that waits computes.
local function compute(self, state)
  state.is_computing, state.task, state.ready = true, core.current(), core.event()
  local outcome = pack(xpcall(self.fn, failures.remember))
  local ready = state.ready
  state.is_computing, state.task, state.ready = nil, nil, nil
  if outcome[1] and outcome[2] ~= nil then
    state.outcome = outcome
    state.expires = self.ttl and core.now() + self.ttl
  end
  ready:set()
  if not outcome[1] then error(outcome[2], 0) end
  return unpack(outcome, 2, outcome.n)
end

local function get(self)
  local state = state_of(self)
  while not state.outcome do
    if not state.is_computing then return compute(self, state) end
    if state.task == core.current() then error("this value is being computed by this task", 3) end
    local ok, err = state.ready:wait()
    if not ok then return nil, err end
  end
  return unpack(state.outcome, 2, state.outcome.n)
end

--- A function whose value is computed by the first call, with fn(), and kept. Tasks that call it meanwhile wait. If fn
--- raises or returns nil, that goes to the task that has called it, and the next one computes.
---@param fn fun(): any
---@param options? moonpark.once.options
---@return fun(): any value its results; or nil and "canceled"
---@return fun() reset forgets the value; what is being computed then goes to the tasks that wait, and is not kept
function M.once(fn, options)
  if type(fn) ~= "function" then
    error(("bad argument #1 to 'once' (function expected, got %s)"):format(type(fn)), 2)
  end
  options = check_options("once", options, known, 2, 2)
  local self = { fn = fn, ttl = options.ttl, state = {} }
  local function value()
    local results = pack(get(self)) -- no tail call: get counts levels
    return unpack(results, 1, results.n)
  end
  return value, function() self.state = {} end
end

return M

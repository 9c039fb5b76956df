-- SPDX-License-Identifier: MIT
-- context.lua - the request that the calling task works for, as the parts of ngx see it; outside of requests there is
-- one for each task that needs it, and outside of tasks one.

local core = require "moonpark.core"
local locals = require("moonpark.task").locals

local KEY = "ngx.request"

local M = {}

local outside -- of tasks

---@class moonpark.ngx.context
---@field phase string "content", "timer", "init_worker"
---@field ctx table|nil ngx.ctx
---@field ends function[]|nil called when the request is over
---@field req moonpark.http.request|nil
---@field res moonpark.http.response|nil
local Context = {}
Context.__index = Context

--- A new one for the calling task and those that it starts.
---@param phase string
---@return moonpark.ngx.context
function M.open(phase)
  local context = setmetatable({ phase = phase }, Context)
  if core.current() then locals[KEY] = context else outside = context end
  return context
end

--- The calling task's, or nil.
---@return moonpark.ngx.context|nil
function M.current()
  local context = locals[KEY]
  if context ~= nil or core.current() then return context end
  return outside
end

--- fn(object) is called when the request is over, unless the object has been collected.
function Context:on_end(object, fn)
  self.ends = self.ends or setmetatable({}, { __mode = "k" })
  self.ends[object] = fn
end

--- The request is over.
function Context:close()
  local ends = self.ends
  self.ends, self.over = nil, true
  for object, fn in pairs(ends or {}) do fn(object) end
end

return M

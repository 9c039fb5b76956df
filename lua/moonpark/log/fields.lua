-- SPDX-License-Identifier: MIT
-- fields.lua - a task's own fields, which its lines carry and its children inherit.

local core = require "moonpark.core"
local failures = require "moonpark.failures"

local M = {}

local KEY = {} -- among the task's locals
local none = {}

--- The calling task's fields, not to be changed; nil: none.
---@return table|nil
function M.get() return core.get_local(KEY) end

local function check(what, fields)
  if type(fields) ~= "table" then
    error(("bad argument #1 to '%s' (table of fields expected, got %s)"):format(what, type(fields)), 3)
  end
  if not core.current() then error(what .. ": must be called in a task (inside moonpark.run)", 3) end
end

-- A new table each time: other tasks have the old one.
local function merged(fields)
  local all = {}
  for key, value in next, M.get() or none do all[key] = value end
  for key, value in next, fields do all[key] = value end
  return all
end
jit.off(merged) -- as in log.lua

--- Adds fields to those of the calling task. All its lines carry them from now on, and so do those of tasks that it
--- starts from now on. Raises outside tasks.
---@param fields table<string, any>
function M.set(fields)
  check("set", fields)
  core.set_local(KEY, merged(fields))
end

--- Takes fields from the calling task; all of them if none is named.
---@param ... string
function M.clear(...)
  local own, left = M.get(), nil
  if not own then return end
  if select("#", ...) > 0 then
    left = merged(none)
    for i = 1, select("#", ...) do left[select(i, ...)] = nil end
  end
  core.set_local(KEY, left)
end

local function leave(before, ok, ...)
  core.set_local(KEY, before)
  if not ok then error((...), 0) end
  return ...
end

--- Runs fn(...) with these fields added; afterwards the task has those that it had before.
---@param fields table<string, any>
---@param fn function
---@param ... any
---@return any ... fn's results
function M.context(fields, fn, ...)
  check("context", fields)
  if type(fn) ~= "function" then
    error(("bad argument #2 to 'context' (function expected, got %s)"):format(type(fn)), 2)
  end
  local before = M.get()
  core.set_local(KEY, merged(fields))
  return leave(before, xpcall(fn, failures.remember, ...))
end

return M

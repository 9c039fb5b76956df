-- SPDX-License-Identifier: MIT
-- except.lua - LuaSocket's newtry and protect: failures as exceptions, and back. pcall lets tasks wait inside.

local M = {}

local mark = { __metatable = false } -- the metatable of what try raises

local function nothing() end

--- try(ok, err, ...) that calls the finalizer before it raises.
---@param finalizer? function
function M.newtry(finalizer)
  finalizer = finalizer or nothing
  return function(...)
    local ok, err = ...
    if ok then return ... end
    pcall(finalizer)
    error(setmetatable({ err }, mark), 0)
  end
end

local function unwrapped(ok, ...)
  if ok then return ... end
  local raised = ...
  if type(raised) == "table" and debug.getmetatable(raised) == mark then return nil, raised[1] end
  error(raised, 0)
end

--- fn, except that what a try in it raises is returned: nil, err.
---@param fn function
---@return function
function M.protect(fn)
  return function(...) return unwrapped(pcall(fn, ...)) end
end

return M

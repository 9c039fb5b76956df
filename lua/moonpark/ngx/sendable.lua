-- SPDX-License-Identifier: MIT
-- sendable.lua - what send takes, as ngx_lua reads it: strings, numbers, nil, booleans, and arrays of strings, of
-- numbers and of such arrays.

local misuse = require("moonpark.ngx.words").misuse

local M = {}

local function refuse(text) misuse(("bad argument #1 to 'send' (%s)"):format(text)) end

local DEEPEST = 32 -- tables in each other, that conn:write takes

-- Raises for the first thing that is wrong in an array: a hole is a nil.
local function look(array, depth)
  local last = #array
  for key in pairs(array) do
    if type(key) ~= "number" or key < 1 or key % 1 ~= 0 then refuse "non-array table found" end
    if key > last then last = key end
  end
  for i = 1, last do
    local value = rawget(array, i)
    local kind = type(value)
    if kind == "table" then
      if depth == DEEPEST then refuse(("more than %d tables in each other"):format(DEEPEST)) end
      look(value, depth + 1)
    elseif kind ~= "string" and kind ~= "number" then refuse(("bad data type %s found"):format(kind)) end
  end
end

-- Not compiled, as a finalizer may call send: there LuaJIT goes round for ever in a compiled loop over a table that it
-- was not compiled for (docs/limits.md).
jit.off(look)

--- Raises for a table unless it is an array of strings, of numbers and of such arrays.
---@param array table
function M.check(array) look(array, 1) end

--- What is written for an argument of send that is no table. Raises for what cannot be sent.
---@param data any
---@return string|number
function M.plain(data)
  local kind = type(data)
  if kind == "string" or kind == "number" then return data end
  if kind == "nil" or kind == "boolean" then return tostring(data) end
  return refuse(("string, number, boolean, nil, or array table expected, got %s"):format(kind))
end

--- Raises unless there was one argument.
---@param count integer
function M.one(count)
  if count ~= 1 then misuse(("expecting 2 arguments (including the object), but got %d"):format(count + 1)) end
end

return M

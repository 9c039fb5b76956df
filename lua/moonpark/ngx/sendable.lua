-- SPDX-License-Identifier: MIT
-- sendable.lua - what send takes, as ngx_lua reads it: strings, numbers, nil, booleans, and arrays of strings, of
-- numbers and of such arrays.

local misuse = require("moonpark.ngx.words").misuse

local M = {}

local function refuse(text) misuse(("bad argument #1 to 'send' (%s)"):format(text)) end

local check

-- An array that is not walked in order, or with something wrong in it: raises for the first thing that is. A hole is a
-- nil.
local function look_closer(array)
  local last = #array
  for key in pairs(array) do
    if type(key) ~= "number" or key < 1 or key % 1 ~= 0 then refuse "non-array table found" end
    if key > last then last = key end
  end
  for i = 1, last do
    local value = rawget(array, i)
    local kind = type(value)
    if kind == "table" then check(value)
    elseif kind ~= "string" and kind ~= "number" then refuse(("bad data type %s found"):format(kind)) end
  end
end

-- Raises unless the table is an array of strings, of numbers and of such arrays.
function check(array)
  local count = 0
  for key, value in next, array do
    count = count + 1
    if key ~= count then return look_closer(array) end
    local kind = type(value)
    if kind == "table" then check(value)
    elseif kind ~= "string" and kind ~= "number" then return look_closer(array) end
  end
end

-- Not compiled, as a finalizer may call send: there LuaJIT goes round for ever in a compiled loop over a table that it
-- was not compiled for (docs/limits.md).
jit.off(check)
jit.off(look_closer)

--- What is written for send's argument: strings, numbers and tables as they are. Raises for the rest.
---@param data any
---@return string|number|table
function M.of(data)
  local kind = type(data)
  if kind == "string" or kind == "number" then return data end
  if kind == "table" then
    check(data)
    return data
  end
  if kind == "nil" or kind == "boolean" then return tostring(data) end
  return refuse(("string, number, boolean, nil, or array table expected, got %s"):format(kind))
end

--- Raises unless there was one argument.
---@param count integer
function M.one(count)
  if count ~= 1 then misuse(("expecting 2 arguments (including the object), but got %d"):format(count + 1)) end
end

return M

-- SPDX-License-Identifier: MIT
-- request_fields.lua - the fields of a request, as ngx.req.set_header and the like have changed them.

local words = require "moonpark.ngx.words"

local M = {}

local hex = {}
for i = 0, 255 do hex[string.char(i)] = ("%%%02X"):format(i) end

--- Names and values as ngx_lua makes them harmless.
---@param name string
---@return string
function M.safe_name(name) return (name:gsub('[%z\1-\32\127-\255"(),/:;<=>?@%[\\%]{}]', hex)) end

---@param value any
---@return string
function M.safe_value(value) return (tostring(value):gsub("[%z\1-\8\10-\31\127]", hex)) end

local safe_name, safe_value = M.safe_name, M.safe_value

---------------------------------------------------------------------------------------------------
-- as they are: what was changed goes before what was sent. context.changed[name in lower case] = {name =, values...},
-- or false

--- The values of a field; {}: there is none.
---@param current moonpark.ngx.context
---@param name string in lower case
---@return string[]
function M.all(current, name)
  local changed = current.changed and current.changed[name]
  if changed ~= nil then return changed or {} end
  return current.req:header_values(name)
end

--- The first value of a field, or nil. Most are there once.
---@param current moonpark.ngx.context
---@param name string in lower case
---@return string|nil
function M.first(current, name)
  local changed = current.changed and current.changed[name]
  if changed ~= nil then return changed and changed[1] or nil end
  local value = current.req:header(name)
  if value and value:find(", ", 1, true) then return current.req:header_values(name)[1] end
  return value
end

--- All values of a field in one text, or nil.
---@param current moonpark.ngx.context
---@param name string in lower case
---@param between string
---@return string|nil
function M.joined(current, name, between)
  local values = M.all(current, name)
  return values[1] and table.concat(values, between) or nil
end

---------------------------------------------------------------------------------------------------
-- changes

local function check_name(name)
  if name == nil then words.misuse "bad 'name' argument: string expected, got nil" end
  return safe_name(tostring(name))
end

-- As a list; nothing, "" and {} are none.
local function list_of(value)
  local list = {}
  if type(value) == "table" then
    for i, one in ipairs(value) do list[i] = safe_value(one) end
  elseif value ~= nil and value ~= "" then list[1] = safe_value(value) end
  return list
end

local function put(current, name, list)
  if name == "" then return end
  list.name = name
  current.changed = current.changed or {}
  current.changed[name:lower()] = list[1] and list or false
end

--- Sets a field, or clears it.
---@param current moonpark.ngx.context
function M.set(current, name, value)
  put(current, check_name(name), list_of(value))
end

--- Adds to the values of a field.
---@param current moonpark.ngx.context
function M.add(current, name, value)
  name = check_name(name)
  if value == nil then words.misuse "bad 'value' argument: string or table expected, got nil" end
  local added = list_of(value)
  if type(value) == "table" and not added[1] then words.misuse "bad 'value' argument: non-empty table expected" end
  local list = {}
  for i, one in ipairs(M.all(current, name:lower())) do list[i] = one end
  for _, one in ipairs(added) do list[#list + 1] = one end
  put(current, name, list)
end

return M

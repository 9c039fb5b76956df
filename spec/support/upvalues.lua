-- SPDX-License-Identifier: MIT
-- upvalues.lua - finds the locals of a source file that its functions use: classes, tables of options.

local M = {}

-- The guards of http/misuse.lua stand in front of methods.
local GUARD = "misuse%.lua:guard$"

local function is_of(fn, path)
  local source = debug.getinfo(fn, "S").source
  return source:sub(-#path) == path or source:find(GUARD) ~= nil
end

--- The tables that are upvalues of a function.
function M.tables_of(fn)
  local list, i = {}, 1
  while true do
    local name, value = debug.getupvalue(fn, i)
    if not name then return list end
    if type(value) == "table" then list[#list + 1] = value end
    i = i + 1
  end
end

-- Follows functions of that file, and tables that hold such functions.
local function walk(value, path, visit, seen)
  if seen[value] then return nil end
  if type(value) == "function" then
    seen[value] = true
    if not is_of(value, path) then return nil end
    local i = 1
    while true do
      local name, up = debug.getupvalue(value, i)
      if not name then return nil end
      local found = visit(name, up) or (type(up) == "function" or type(up) == "table") and walk(up, path, visit, seen)
      if found then return found end
      i = i + 1
    end
  elseif type(value) == "table" then
    seen[value] = true
    for _, each in next, value do
      local found = type(each) == "function" and walk(each, path, visit, seen)
        or type(each) == "table" and walk(each, path, visit, seen)
      if found then return found end
    end
    local meta = getmetatable(value)
    if type(meta) == "table" then return walk(meta, path, visit, seen) end
  end
  return nil
end

--- The table that a local of that file is: "Router", "known", or "M.known"; nil: no function uses it.
function M.named(from, path, wanted)
  local name, field = wanted:match "^([%w_]+)%.?([%w_]*)$"
  local found = walk(from, path, function(each, value)
    return each == name and type(value) == "table" and value or nil
  end, {})
  if not found and type(from) == "table" and name == "M" then found = from end
  return found and (field ~= "" and found[field] or found)
end

return M

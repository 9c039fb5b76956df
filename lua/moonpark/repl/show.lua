-- SPDX-License-Identifier: MIT
-- show.lua - a value as a short text that a person reads: of bounded depth and length, whatever is in it.

local M = {}

local DEPTH = 3        -- tables within tables
local ENTRIES = 24     -- of one table
local BUDGET = 100     -- entries in all
local LOOKED_AT = 1000 -- keys that are sorted
local STRING = 120     -- bytes of a string in a table
local LONGEST = 900    -- bytes of what a __tostring gives for a whole result
local WIDTH = 80       -- longer tables are printed on several lines

local escapes = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\0"] = "\\0", ['"'] = '\\"', ["\\"] = "\\\\" }

-- Never in the middle of a UTF-8 character.
local function cut(text)
  local last = STRING
  while last > STRING - 3 and (text:byte(last + 1) or 0) >= 0x80 and text:byte(last + 1) < 0xC0 do last = last - 1 end
  return text:sub(1, last)
end

local function quoted(text)
  local short = #text > STRING and cut(text) or text
  local shown = '"' .. short:gsub('[%c"\\]', function(c) return escapes[c] or ("\\%d"):format(c:byte()) end) .. '"'
  return #text > STRING and ("%s... (%d bytes)"):format(shown, #text) or shown
end

-- tostring of anything; a __tostring may raise, or return something other than a string.
local function named(value, most)
  most = most or 4 * STRING
  local ok, text = pcall(tostring, value)
  if not ok or type(text) ~= "string" then return ("<%s whose __tostring failed>"):format(type(value)) end
  return #text > most and text:sub(1, most) .. "..." or text
end

local function speaks(value)
  local meta = debug.getmetatable(value)
  return type(meta) == "table" and rawget(meta, "__tostring") ~= nil
end

local order = { number = 1, string = 2, boolean = 3 }

local function before(a, b)
  local of_a, of_b = order[type(a)] or 4, order[type(b)] or 4
  if of_a ~= of_b then return of_a < of_b end
  if of_a <= 2 then return a < b end
  return named(a) < named(b)
end

-- The keys other than 1..n, sorted; of a huge table only the first ones found.
local function keys_beside(t, n)
  local keys = {}
  for key in next, t do
    if not (type(key) == "number" and key >= 1 and key <= n and key % 1 == 0) then keys[#keys + 1] = key end
    if #keys == LOOKED_AT then break end
  end
  table.sort(keys, before)
  return keys
end

local show

local function key_text(key)
  if type(key) == "string" and key:find "^[%a_][%w_]*$" then return key end
  return "[" .. (type(key) == "string" and quoted(key) or named(key)) .. "]"
end

local function length(t)
  local n = 0
  while rawget(t, n + 1) ~= nil do n = n + 1 end
  return n
end

-- Calls add(text) for each entry until it says no.
local function each_entry(t, state, add)
  local n = length(t)
  for i = 1, n do
    if not add() then return end
    add(show(t[i], state))
  end
  for _, key in ipairs(keys_beside(t, n)) do
    if not add() then return end
    add(key_text(key) .. " = " .. show(rawget(t, key), state))
  end
end

local function entries(t, state)
  local list = {}
  each_entry(t, state, function(text)
    if text then
      list[#list + 1] = text
    elseif #list >= state.most or state.left <= 0 then
      list[#list + 1] = "..."
      return false
    else
      state.left = state.left - 1
    end
    return true
  end)
  return list
end

local function indented(text) return (text:gsub("\n", "\n  ")) end

local function braced(list)
  if #list == 0 then return "{}" end
  local line = "{ " .. table.concat(list, ", ") .. " }"
  if #line <= WIDTH and not line:find("\n", 1, true) then return line end
  return "{\n  " .. indented(table.concat(list, ",\n")) .. "\n}"
end

local unloaded = setmetatable({}, { __tostring = function() return "<loaded when it is used>" end })

-- A module of moonpark's with the parts that are not loaded yet; nil: it is none, or nothing is missing.
local function whole_module(t)
  local name = require("moonpark.repl.members").module_of(t)
  local class = name and require("moonpark.signatures").class(name)
  if not class then return nil end
  local whole = {}
  for key in pairs(class.members) do whole[key] = unloaded end
  for key, value in next, t do whole[key] = value end
  return whole
end

local function show_table(t, state)
  if state.path[t] then return "<cycle>" end
  if state.depth == DEPTH then return next(t) == nil and "{}" or "{...}" end
  state.path[t], state.depth = true, state.depth + 1
  local text = braced(entries(t, state))
  state.path[t], state.depth = nil, state.depth - 1
  return text
end

local kinds = setmetatable({}, { __mode = "k" }) -- [metatable] = class | false

-- The class, if it is one of moonpark's objects.
local function class_of(value)
  local meta = debug.getmetatable(value)
  if type(meta) ~= "table" then return nil end
  if kinds[meta] == nil then
    local ok, class = pcall(require("moonpark.repl.members").class_of, value)
    kinds[meta] = ok and class or false
  end
  return kinds[meta] or nil
end

-- "<channel>": an object of the core's that says nothing of itself
local function core_name(value)
  local meta = type(value) == "userdata" and debug.getmetatable(value)
  local name = type(meta) == "table" and rawget(meta, "__name")
  return type(name) == "string" and not speaks(value) and "<" .. name:gsub("^moonpark%.", "") .. ">" or nil
end

-- An object of moonpark's: what it is, with the fields that are everybody's.
local function show_object(object, class, state)
  local fields = {}
  for name, entry in pairs(require("moonpark.signatures").class(class).members) do
    local value = rawget(object, name)
    if entry.type and not entry.hidden and value ~= nil and type(value) ~= "function" then fields[name] = value end
  end
  local name = class:gsub("^moonpark%.", "")
  if next(fields) == nil or state.depth == DEPTH then return "<" .. name .. ">" end
  return name .. " " .. show_table(fields, state)
end

local function show_module(whole, state)
  state.depth, state.most = state.depth + 1, math.huge
  local text = braced(entries(whole, state))
  state.depth, state.most = state.depth - 1, ENTRIES
  return text
end

function show(value, state)
  if type(value) == "string" then return quoted(value) end
  if type(value) ~= "table" or speaks(value) then return core_name(value) or named(value) end
  local class = class_of(value)
  if class then return show_object(value, class, state) end
  local whole = state.depth == 0 and whole_module(value)
  if whole then return show_module(whole, state) end
  return show_table(value, state)
end

--- A result as the prompt prints it: a string as it is, a table by its entries, the rest as tostring has it.
---@param value any
---@return string
function M.show(value)
  if type(value) == "string" then return value end
  if speaks(value) then return named(value, LONGEST) end
  return show(value, { depth = 0, left = BUDGET, most = ENTRIES, path = {} })
end

--- Several results, between tabs as print does it. After a value the nils at the end are left out: the err and errno
--- of what has succeeded.
---@return string
function M.results(...)
  local list, n = {}, select("#", ...)
  if (...) ~= nil then
    while select(n, ...) == nil do n = n - 1 end
  end
  for i = 1, n do list[i] = M.show((select(i, ...))) end
  return table.concat(list, "\t")
end

return M

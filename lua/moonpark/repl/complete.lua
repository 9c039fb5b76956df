-- SPDX-License-Identifier: MIT
-- complete.lua - what may follow what is typed: names, fields, methods, and modules in require "...". Nothing is called
-- to find out, but for moonpark's modules, which are loaded. Of these only what is for everybody is offered.

local shown = require "moonpark.repl.members"

local M = {}

local keywords = { "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if", "in", "local",
  "nil", "not", "or", "repeat", "return", "then", "true", "until", "while" }

local module_of = shown.module_of

-- A field as indexing would find it, without running what a script has written.
local function field(value, name)
  for _ = 1, 10 do
    if type(value) == "table" then
      local found = rawget(value, name)
      if found ~= nil then return found end
      if module_of(value) then return value[name] end
    end
    local meta = debug.getmetatable(value)
    local index = type(meta) == "table" and rawget(meta, "__index")
    if type(index) == "function" then return rawget(meta, name) end
    if index == nil then return nil end
    value = index
  end
end

local function add_keys(names, t)
  for key in next, t do
    if type(key) == "string" then names[key] = true end
  end
end

-- Of moonpark's modules and objects what is for everybody. nil: it is neither.
local function documented(value)
  local module = type(value) == "table" and module_of(value) or nil
  local class = module or shown.class_of(value)
  local members = class and shown.of(class, module ~= nil)
  return members and next(members) and members or nil
end

-- All names that a value may be asked for.
local function names_in(value)
  local names = documented(value)
  if names then return names end
  names = {}
  for _ = 1, 10 do
    if type(value) == "table" then add_keys(names, value) end
    local meta = debug.getmetatable(value)
    local index = type(meta) == "table" and rawget(meta, "__index")
    if type(index) == "function" then add_keys(names, meta) end
    if type(index) ~= "table" then return names end
    value = index
  end
  return names
end

-- What a script finds without require at the prompt: see repl.lua.
local function root(name, lent)
  local value = rawget(_G, name)
  if value ~= nil then return value end
  return lent.get(name)
end

-- The value of "a.b.c"
local function walk(path, lent)
  local value
  for name in path:gmatch "[^.:]+" do
    if value == nil then value = root(name, lent) else value = field(value, name) end
    if value == nil then return nil end
  end
  return value
end

local function matching(names, start, wanted)
  local list = {}
  for name in pairs(names) do
    if name:sub(1, #start) == start and (start ~= "" or name:sub(1, 1) ~= "_") and name:find "^[%a_][%w_]*$"
      and (not wanted or wanted(name)) then
      list[#list + 1] = name
    end
  end
  table.sort(list)
  return list
end

-- Is the end of the text within a string? -> what is in it so far, what stands before it
local function open_string(text)
  local quote, from
  local at = 1
  while at <= #text do
    local char = text:sub(at, at)
    if quote and char == "\\" then
      at = at + 1
    elseif quote and char == quote then
      quote = nil
    elseif not quote and (char == '"' or char == "'") then
      quote, from = char, at
    end
    at = at + 1
  end
  if quote then return text:sub(from + 1), text:sub(1, from - 1) end
end

-- What is loaded, and moonpark's modules for scripts.
local function modules(start)
  local names = {}
  for _, known in ipairs { package.loaded, package.preload } do
    for name in pairs(known) do
      name = tostring(name)
      if not name:find "^moonpark%f[%z.]" then names[name] = true end
    end
  end
  for _, name in ipairs(shown.public()) do names[name] = true end
  local list = {}
  for name in pairs(names) do
    if name:sub(1, #start) == start then list[#list + 1] = name end
  end
  table.sort(list)
  return list
end

--- What may stand in place of the word at the end of a line.
---@param text string the line up to the cursor
---@param lent {get: fun(name: string): any, names: fun(): string[]} what is found beside the globals
---@return string word what is typed of it
---@return string[] candidates
function M.candidates(text, lent)
  local inside, before = open_string(text)
  if inside then
    if before:find "require%s*%(?%s*$" then return inside, modules(inside) end
    return inside, {}
  end
  local path, sign, word = text:match "([%a_][%w_.:]*)([.:])([%w_]*)$"
  if not path then
    if text:find "[%)%]}\"'][.:][%w_]*$" then return "", {} end -- of what a call returns nothing is known
    word = text:match "([%a_][%w_]*)$" or ""
    local names = {}
    add_keys(names, _G)
    for _, name in ipairs(lent.names()) do names[name] = true end
    for _, name in ipairs(keywords) do names[name] = true end
    return word, matching(names, word)
  end
  local value = walk(path, lent)
  if value == nil then return word, {} end
  local wanted = sign == ":" and function(name)
    local member = field(value, name)
    return type(member) == "function" or type(member) == "table"
  end or nil
  return word, matching(names_in(value), word, wanted)
end

--- What all candidates have in common.
---@param candidates string[]
---@return string
function M.common(candidates)
  local common = candidates[1] or ""
  for _, candidate in ipairs(candidates) do
    while candidate:sub(1, #common) ~= common do common = common:sub(1, -2) end
  end
  return common
end

M.walk = walk

return M

-- SPDX-License-Identifier: MIT
-- source.lua - the annotations of a source file, and what each of them describes.
--
-- It reads lines, not Lua: what is public stands at the left margin here, with its annotations above it.

local M = {}

---@class moonpark.annotations.member
---@field owner string the local table that it is in: "M", "Router"
---@field name string
---@field separator "."|":"
---@field params string|nil "a, b, ..."; nil: it is not written as a function
---@field value string|nil the expression that it is set to
---@field doc string[] lines, each with its dashes; none: it has no annotation of its own
---@field line integer

---@class moonpark.annotations.class
---@field name string "moonpark.connection"
---@field doc string[]
---@field owner string|nil the local that stands below it
---@field line integer

---@class moonpark.annotations.source
---@field module string "moonpark.net.copy"
---@field classes moonpark.annotations.class[]
---@field aliases {name: string, doc: string[]}[]
---@field members moonpark.annotations.member[]
---@field functions table<string, moonpark.annotations.member> local functions by name
---@field required table<string, string> [local] = "moonpark.net.copy", or "moonpark.net.copy#field"
---@field returned string|table<string, string> the local that it returns, or what is in the table that it returns

local function count(text, set) return select(2, text:gsub(set, "")) end

-- Is a bracket open at the end, or is another type to come? Then it goes on in the next line.
local function is_open(text)
  if text:find "|%s*$" or text:find "%):%s*$" then return true end
  text = text:gsub('"[^"]*"', "")
  return count(text, "[({]") > count(text, "[)}]")
end

-- A type must be in one line for the language server; here lines are short.
local function joined(lines)
  local doc = {}
  for _, line in ipairs(lines) do
    local last = doc[#doc]
    if last and last:find "^%-%-%-@" and is_open(last) then
      doc[#doc] = last:gsub("%s+$", "") .. " " .. line:gsub("^%-%-%-%s*", "")
    else
      doc[#doc + 1] = line
    end
  end
  return doc
end

-- require "x", require("x").field -> "x" or "x#field"
local function required(expression)
  local module, behind = expression:match "^require%s*%(?%s*[\"']([%w_.]+)[\"']%)?(.*)$"
  if not module then return nil end
  local field = behind:match "^%.([%w_]+)%s*$"
  return field and module .. "#" .. field or behind:find "^%s*$" and module or nil
end

local function bind_locals(file, names, expression)
  local first = names:match "^[%w_]+"
  file.required[first] = required(expression)
end

-- The entries of a table that is written over lines: name = value, one or more a line.
local function entries(text)
  local list = {}
  for name, value in text:gmatch "([%a_][%w_]*)%s*=%s*([^,]+)" do
    list[#list + 1] = { name, (value:gsub("%s+$", "")) }
  end
  return list
end

local readers = {}

function readers.method(file, line, doc, number)
  local owner, separator, name, params = line:match "^function ([%a_][%w_]*)([.:])([%a_][%w_]*)%((.-)%)"
  if not owner then return false end
  file.members[#file.members + 1] = { owner = owner, name = name, separator = separator, params = params, doc = doc,
    line = number }
  return true
end

function readers.assigned(file, line, doc, number)
  local owner, name, value = line:match "^([%a_][%w_]*)%.([%a_][%w_]*) = (.+)$"
  if not owner then return false end
  file.members[#file.members + 1] = { owner = owner, name = name, separator = ".", value = value, doc = doc,
    params = value:match "^function%((.-)%)", line = number }
  return true
end

function readers.local_function(file, line, doc, number)
  local name, params = line:match "^local function ([%a_][%w_]*)%((.-)%)"
  if not name then return false end
  file.functions[name] = { owner = "", name = name, separator = ".", params = params, doc = doc, line = number }
  return true
end

function readers.bound(file, line)
  local names, expression = line:match "^local ([%w_, ]+) = (.+)$"
  if not names then return false end
  bind_locals(file, names, expression)
  return true
end

function readers.result(file, line, _, _, rest)
  local expression = line:match "^return (.+)$"
  if not expression then return false end
  local name = expression:match "^setmetatable%(([%a_][%w_]*),?" or expression:match "^([%a_][%w_]*)$"
  if name then
    file.returned = name
  elseif expression:find "^{" then
    file.returned = {}
    for _, entry in ipairs(entries(rest:match "^return {(.-)}" or "")) do file.returned[entry[1]] = entry[2] end
  end
  return true
end

-- A module that is one function.
function readers.returned_function(file, line, doc, number)
  local params = line:match "^return function%((.-)%)"
  if not params then return false end
  file.functions["return"] = { owner = "", name = "return", separator = ".", params = params, doc = doc, line = number }
  file.returned = "return"
  return true
end

local order = { "returned_function", "method", "assigned", "local_function", "bound", "result" }

-- What a block of annotations declares by itself.
local function declare(file, doc, owner, number)
  for _, line in ipairs(doc) do
    local class = line:gsub("%(%a+%)%s*", "", 1):match "^%-%-%-@class%s+([%w_.]+)"
    local alias = line:match "^%-%-%-@alias%s+([%w_.]+)"
    if class then file.classes[#file.classes + 1] = { name = class, doc = doc, owner = owner, line = number } end
    if alias then file.aliases[#file.aliases + 1] = { name = alias, doc = doc } end
    if class or alias then return true end
  end
  return false
end

-- What stands in a table's constructor whose class is annotated: run = task.run, ...
local function read_constructor(file, lines, from)
  local owner = lines[from]:match "^local ([%a_][%w_]*) = {$"
  if not owner then return end
  for i = from + 1, #lines do
    if lines[i]:find "^}" then return end
    local name, value = lines[i]:match "^  ([%a_][%w_]*) = (.-),?$"
    if name then
      table.insert(file.members, { owner = owner, name = name, separator = ".", value = value, doc = {}, line = i })
    end
  end
end

-- A definition whose head goes on in the next lines, as one line.
local function whole_head(lines, i)
  local head = lines[i]
  while head:find "^[%w_ .:]*function [%w_.:]+%([^)]*$" and lines[i + 1] do
    i = i + 1
    head = head .. " " .. lines[i]:gsub("^%s+", "")
  end
  return head
end

--- Reads a source file.
---@param module string its name
---@param text string
---@return moonpark.annotations.source
function M.read(module, text)
  local file = { module = module, classes = {}, aliases = {}, members = {}, functions = {}, required = {} }
  local lines = {}
  for line in (text .. "\n"):gmatch "(.-)\n" do lines[#lines + 1] = line end
  local doc = {}
  for i, line in ipairs(lines) do
    if line:find "^%-%-%-[^-]" or line == "---" then
      doc[#doc + 1] = line
    else
      doc = joined(doc)
      local owner = line:match "^local ([%a_][%w_]*) ="
      if declare(file, doc, owner, i) then
        if owner then read_constructor(file, lines, i) end
        doc = {}
      end
      local head = whole_head(lines, i)
      local rest = line:find "^return" and table.concat(lines, " ", i) or nil
      for _, name in ipairs(order) do
        if readers[name](file, head, doc, i, rest) then break end
      end
      doc = {}
    end
  end
  return file
end

return M

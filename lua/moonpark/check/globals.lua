-- SPDX-License-Identifier: MIT
-- globals.lua - which globals a script reads and assigns, according to its bytecode: so scopes are LuaJIT's own.
--
-- A name that is read and tested right there (`if ngx then`) may be missing, and the script knows. A script that
-- changes an environment is left alone: its globals cannot be known.

local spelling = require "moonpark.spelling"
local util = require "jit.util"

local M = {}

local function opcode(fn, pc)
  local instruction = util.funcbc(fn, pc)
  return instruction and bit.band(instruction, 0xff)
end

-- What the opcodes are is asked of the LuaJIT that runs this: the first instruction of a function is its head.
local GGET, GSET = opcode(loadstring "return name", 1), opcode(loadstring "name = nil", 2)
local tests = {}
for _, code in ipairs { "if name then f() end", "if not name then f() end", "local x = name or 1",
  "local x = name and 1", "if name == nil then f() end", "if name ~= nil then f() end" } do
  tests[opcode(loadstring(code), 2)] = true
end

local busted = {}
for name in ([[describe context it test spec pending setup teardown before_each after_each lazy_setup lazy_teardown
  strict_setup strict_teardown insulate expose randomize finally spy stub mock match async done file]]):gmatch "%S+" do
  busted[name] = true
end

-- Calls visit(fn) for the chunk and the functions in it.
local function each_function(fn, visit, depth)
  visit(fn, depth or 0)
  for i = 1, util.funcinfo(fn).gcconsts do
    local constant = util.funck(fn, -i)
    if type(constant) == "proto" then each_function(constant, visit, (depth or 0) + 1) end
  end
end

local function each_access(fn, visit)
  local pc = 1
  while true do
    local instruction = util.funcbc(fn, pc)
    if not instruction then return end
    local op = bit.band(instruction, 0xff)
    if op == GGET or op == GSET then
      visit(op, util.funck(fn, -bit.rshift(instruction, 16) - 1), util.funcinfo(fn, pc).currentline, pc)
    end
    pc = pc + 1
  end
end

---@class moonpark.check.globals
---@field reads {name: string, line: integer}[]
---@field inner {name: string, line: integer}[] assignments in functions
---@field defined table<string, true> assigned anywhere
---@field outer table<string, true> assigned by the chunk itself
---@field tested table<string, true> read to learn whether it is there

--- What a chunk does with globals.
---@param chunk function
---@return moonpark.check.globals
function M.collect(chunk)
  local found = { reads = {}, inner = {}, defined = {}, outer = {}, tested = {} }
  each_function(chunk, function(fn, depth)
    each_access(fn, function(op, name, line, pc)
      if op == GGET then
        if tests[opcode(fn, pc + 1)] then found.tested[name] = true end
        table.insert(found.reads, { name = name, line = line })
        return
      end
      found.defined[name] = true
      if depth == 0 then found.outer[name] = true else table.insert(found.inner, { name = name, line = line }) end
    end)
  end)
  return found
end

-- Assignments by `_G.name = ` are such, too.
local function fields_of_g(tokens, visit)
  for i = 1, #tokens - 3 do
    local dot, name = tokens[i + 1], tokens[i + 2]
    if tokens[i].text == "_G" and tokens[i].kind == "name" then
      local after = dot.text == "[" and tokens[i + 4] or tokens[i + 3]
      if after and after.text == "=" and after.kind == "operator" then
        visit((dot.text == "." or name.kind == "string") and name.text or nil)
      end
    end
  end
end

local changers = { setfenv = true, module = true }

-- Functions that Lapis gives an environment of elements: self:html(function() h1 "a title" end), and those of widgets.
local function makes_html(tokens, i)
  local token = tokens[i]
  if token.kind == "string" then return token.text == "lapis.html" end
  local before, after = tokens[i - 1], tokens[i + 1]
  return token.text == "html" and before ~= nil and before.text == ":" and after ~= nil and after.text == "("
end

--- Can globals be recognized? Adds those that are assigned through _G.
---@param found moonpark.check.globals
---@param tokens moonpark.check.token[]
---@return boolean
function M.is_certain(found, tokens)
  local certain = true
  for i, token in ipairs(tokens) do
    if token.kind == "name" and changers[token.text] then certain = false end
    if makes_html(tokens, i) then certain = false end
    if token.text == "setmetatable" and tokens[i + 2] and tokens[i + 2].text == "_G" then certain = false end
  end
  fields_of_g(tokens, function(name)
    if not name then certain = false return end
    found.defined[name], found.outer[name] = true, true
  end)
  return certain
end

local function standard(name, path)
  return rawget(_G, name) ~= nil or name == "arg" or name == "_PROMPT" or name == "_PROMPT2"
    or busted[name] and path:find "spec" ~= nil
end

local function candidates(all)
  local names = { "moonpark", "arg" }
  for name in pairs(_G) do names[#names + 1] = type(name) == "string" and name or nil end
  for name in pairs(all.outer) do names[#names + 1] = name end
  return names
end

local function undefined(name, all)
  local text = ("global '%s' is read but never defined"):format(name)
  if name == "moonpark" then return text .. " (require \"moonpark\")" end
  local meant = spelling.nearest(name, candidates(all))
  return meant and ("%s (did you mean '%s'?)"):format(text, meant) or text
end

--- The findings of one script.
---@param found moonpark.check.globals
---@param all {defined: table<string, true>, outer: table<string, true>} of all scripts that are checked together
---@param path string
---@param add fun(line: integer, text: string, word: string)
function M.judge(found, all, path, add)
  local told = {}
  for _, read in ipairs(found.reads) do
    local name = read.name
    if not (all.defined[name] or found.tested[name] or standard(name, path)) and not told[name .. read.line] then
      told[name .. read.line] = true
      add(read.line, undefined(name, all), name)
    end
  end
  for _, set in ipairs(found.inner) do
    if not all.outer[set.name] and not standard(set.name, path) then
      add(set.line, ("global '%s' is assigned in a function (is 'local' missing?)"):format(set.name), set.name)
    end
  end
end

return M

-- SPDX-License-Identifier: MIT
-- options.lua - which options a function of moonpark takes. Its source is read: where it passes its parameter to
-- moonpark.options' check or complaint, together with a table of what is known, that table is the answer. So there is
-- no second list of options.

local options = require "moonpark.options"
local signatures = require "moonpark.signatures"
local tokens_of = require "moonpark.check.tokens"
local tree = require "moonpark.check.tree"

local M = {}

local DEEPEST = 5 -- functions that pass the options on

local trees = {} -- [path] = tree | false

local function tree_of(path)
  if trees[path] == nil then
    local file = io.open(path)
    local text = file and file:read "*a"
    if file then file:close() end
    trees[path] = text and tree.read((tokens_of.read(text))) or false
  end
  return trees[path] or nil
end

-- The function as it is written, if no other begins on its line.
local function written(fn)
  local info = debug.getinfo(fn, "S")
  if info.source:sub(1, 1) ~= "@" then return nil end
  local root = tree_of(info.source:sub(2))
  local found, count = nil, 0
  if not root then return nil end
  tree.walk(root, function(node)
    if node.tag == "function" and node.line == info.linedefined then found, count = node, count + 1 end
  end)
  return count == 1 and found or nil
end

local function upvalue(fn, name)
  for i = 1, 255 do
    local called, value = debug.getupvalue(fn, i)
    if not called then return nil end
    if called == name then return value end
  end
end

-- The value of a name, or of a field of one, in the function while moonpark runs.
local function value_of(fn, node)
  if node.tag == "name" then return upvalue(fn, node.name) end
  if node.tag == "index" and node.key then
    local object = value_of(fn, node[1])
    return type(object) == "table" and object[node.key] or nil
  end
  if node.tag == "table" then
    local known = {}
    for i, key in ipairs(node.keys) do
      if not key then return nil end
      known[key.text] = node[i].tag == "string" and node[i].value or false
    end
    return known
  end
end

local find

-- What a call in the function says of the options, if the parameter is among its arguments.
local function from_call(fn, node, var, depth)
  local callee = node.tag == "call" and value_of(fn, node[1])
  if type(callee) ~= "function" then return nil end
  for i = 2, #node do
    if node[i].tag == "name" and node[i].var == var then
      if callee == options.check or callee == options.complaint then
        local known = node[i + 1] and value_of(fn, node[i + 1])
        return type(known) == "table" and known or nil
      end
      return find(callee, i - 1, depth + 1)
    end
  end
end

function find(fn, position, depth)
  fn = signatures.unguarded(fn)
  local node = depth < DEEPEST and written(fn)
  local var = node and node.vars[position]
  if not var then return nil end
  local known
  tree.walk(node[1], function(inner)
    if known or inner.tag == "function" then return false end
    if inner.tag == "call" then known = from_call(fn, inner, var, depth) end
  end)
  return known
end

local cache = setmetatable({}, { __mode = "k" })

--- The options that a function takes as that argument, or nil if that is not known.
---@param fn function
---@param position integer self counts
---@return table<string, any>|nil
function M.of(fn, position)
  local by_position = cache[fn] or {}
  cache[fn] = by_position
  if by_position[position] == nil then by_position[position] = find(fn, position, 0) or false end
  return by_position[position] or nil
end

return M

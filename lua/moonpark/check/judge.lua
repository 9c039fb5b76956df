-- SPDX-License-Identifier: MIT
-- judge.lua - walks a script's tree and has each node judged: names, arguments, handlers, loops, waits.

local arguments = require "moonpark.check.arguments"
local handlers = require "moonpark.check.handlers"
local members = require "moonpark.check.members"
local tree = require "moonpark.check.tree"
local values = require "moonpark.check.values"
local waits = require "moonpark.check.waits"

local M = {}

---@class moonpark.check.state
---@field add fun(place: {line: integer, column: integer}, text: string)
---@field named table<string, true> fields that the script itself makes, or asks for before it uses them
---@field functions table<string, true> those of them that may hold functions
---@field added table<string, true> what it adds to modules: "moonpark.net.name"
---@field is_spec boolean
---@field of_specs boolean a spec, or what specs share
---@field canceled table<moonpark.check.var, true> locals whose tasks the script cancels

local plain = { string = true, number = true, ["true"] = true, ["false"] = true, ["nil"] = true, table = true }

-- A field that is written, or read without being called, may be the script's own.
local function collect_names(root, state)
  tree.walk(root, function(node, parent)
    if node.tag == "assign" and node.targets then
      for i = 1, node.targets do
        local target = node[i]
        if target.tag == "index" and target.key then
          state.named[target.key] = true
          local value = node[math.min(node.targets + i, #node)]
          if not value or not plain[value.tag] then state.functions[target.key] = true end
          local object = values.infer(target[1])
          if object and object.module then state.added[object.module .. "." .. target.key] = true end
        end
      end
    elseif node.tag == "index" and node.key and parent and (parent.tag == "if" or parent.tag == "op") then
      state.named[node.key] = true
    end
  end)
end

-- A spec makes mistakes on purpose: pcall(function() ... end), assert.has_error(function() ... end), tables of such.
local function is_misuse(node, parent)
  if node.tag ~= "function" or not parent then return false end
  if parent.tag == "table" then return true end
  local callee = parent.tag == "call" and parent[1]
  local name = callee and (callee.name or callee.key)
  return name and (name:find "error" or name:find "raise" or name == "pcall") and true or false
end

--- The findings of one script.
---@param root moonpark.check.node
---@param path string
---@param add fun(place: {line: integer, column: integer}, text: string)
function M.judge(root, path, add)
  local is_spec = path:find "_spec%.lua$" ~= nil
  local state = { add = add, named = {}, functions = {}, added = {}, is_spec = is_spec,
    of_specs = is_spec or ("/" .. path):find("/spec/", 1, true) ~= nil }
  values.follow(root)
  collect_names(root, state)
  waits.collect(root, state)
  tree.walk(root, function(node, parent)
    if is_spec and is_misuse(node, parent) then return false end
    members.judge(state, node, parent)
    arguments.judge(state, node)
    handlers.judge(state, node)
    waits.judge(state, node, parent)
  end)
end

return M

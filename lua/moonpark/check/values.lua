-- SPDX-License-Identifier: MIT
-- values.lua - what the expressions of a script certainly are: modules of moonpark, its objects, its functions.
--
-- A local has the value that it began with, if nothing else is ever assigned to it. A parameter has what moonpark
-- passes it, if the function is handed to moonpark and nothing else is known of it. All else is not known: nil.

local classes = require "moonpark.check.classes"
local tree = require "moonpark.check.tree"
local types = require "moonpark.signatures.types"

local M = {}

local infer

local function required(node)
  local callee, first = node[1], node[2]
  if callee.tag ~= "name" or callee.name ~= "require" or callee.var or #node ~= 2 then return nil end
  return first.tag == "string" and first.value or nil
end

local function of_name(node, nth)
  local var = node.var
  if not var or var.assigned then return nil end
  if var.value ~= nil then return var.value or nil end
  return var.init and infer(var.init, (var.nth or 1) + nth - 1) or nil
end

local function member(object, name)
  if not object or not name then return nil end
  if object.module then return classes.module_field(object.module, name) end
  if not object.classes then return nil end
  local found
  for _, class in ipairs(object.classes) do
    found = found or classes.class_field(class, name)
  end
  return found
end

local function returned(fn, nth)
  if not fn or not fn.signature then return nil end
  return classes.of_type(fn.signature.returns[nth], fn.owner)
end

local kinds = {}

function kinds.name(node, nth) return of_name(node, nth) end

function kinds.paren(node) return infer(node[1], 1) end

function kinds.index(node) return member(infer(node[1], 1), node.key) end

function kinds.method(node, nth) return returned(member(infer(node[1], 1), node.name), nth) end

kinds["function"] = function(node) return { written = node } end

function kinds.call(node, nth)
  local module = required(node)
  if module then return nth == 1 and classes.module(module) and { module = module } or nil end
  local callee = node[1]
  if callee.tag == "name" and callee.name == "assert" and not callee.var and node[2] then return infer(node[2], nth) end
  return returned(infer(callee, 1), nth)
end

--- What an expression certainly is (see classes.lua), or nil.
---@param node moonpark.check.node
---@param nth? integer of its results
---@return table|nil
function infer(node, nth)
  nth = nth or 1
  if node.busy then return nil end
  local kind = kinds[node.tag]
  if not kind or nth > 1 and node.tag ~= "call" and node.tag ~= "method" then return nil end
  node.busy = true -- a local may be made from itself
  local value = kind(node, nth)
  node.busy = nil
  return value
end
M.infer = infer

--- What a call calls: the function, and the place of its first argument among the node's parts.
---@param node moonpark.check.node
---@return table|nil
---@return integer
function M.called(node)
  if node.tag == "method" then return member(infer(node[1], 1), node.name), 2 end
  local fn = infer(node[1], 1)
  local is_passed = fn and fn.is_method and node[1].tag == "index" -- its object is an argument
  return fn, is_passed and 3 or 2
end

--- The function that a script has written and passes here, or nil.
---@param node moonpark.check.node
---@return moonpark.check.node|nil
function M.written(node)
  local value = infer(node, 1)
  return value and value.written
end

local function same(a, b)
  return a == b or a and b and a.classes and b.classes and table.concat(a.classes, "|") == table.concat(b.classes, "|")
end

-- Tells a function's parameters what moonpark passes them.
local function pass(fn, signature)
  for i, var in ipairs(fn.vars) do
    local param = signature.params[fn.is_method and i - 1 or i]
    local value = param and classes.of_type(param.type) or false
    if var.passed == nil then
      var.passed, var.value = true, value
    elseif not same(var.value, value) then
      var.value = false
    end
  end
end

local function takes_function(param)
  for _, kind in ipairs(types.alternatives(param.type)) do
    if kind == "function" or types.signature(kind) then return true end
  end
  return false
end

-- Options in front of a function may be left out: res:websocket(fn).
local function is_left_out(params, argument)
  return argument and #params == 2 and params[1].optional and not takes_function(params[1])
    and takes_function(params[2]) and M.written(argument) ~= nil
end

local function callbacks(node)
  local fn, first = M.called(node)
  if not fn or not fn.signature then return end
  local params = fn.signature.params
  local left_out = is_left_out(params, node[first]) and 1 or 0
  for i = 1 + left_out, #params do
    local param, argument = params[i], node[first + i - 1 - left_out]
    local written = argument and M.written(argument)
    for _, kind in ipairs(written and types.alternatives(param.type) or {}) do
      local signature = types.signature(kind)
      if signature then
        -- what answers is called so; others stand before or after it: res:after(fn)
        if param.name == "handler" then written.is_handler = written.is_handler or kind end
        pass(written, signature)
      end
    end
  end
end

local function loop_variables(node)
  local source = node.is_in and infer(node[1], 1)
  if not source or not source.signature then return end
  for i, var in ipairs(node.vars) do var.value = classes.of_type(source.signature.returns[i]) end
end

--- Follows what moonpark hands to the script's own functions and loops.
---@param root moonpark.check.node
function M.follow(root)
  for _ = 1, 3 do -- a function may be written before what is passed to it is known
    tree.walk(root, function(node)
      if node.tag == "function" then
        for _, var in ipairs(node.vars) do var.passed = nil end
      end
    end)
    tree.walk(root, function(node)
      if node.tag == "call" or node.tag == "method" then callbacks(node) end
      if node.tag == "for" then loop_variables(node) end
    end)
  end
end

return M

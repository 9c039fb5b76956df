-- SPDX-License-Identifier: MIT
-- handlers.lua - findings of HTTP handlers that answer nothing, and of loops that never wait.

local tree = require "moonpark.check.tree"
local values = require "moonpark.check.values"

local M = {}

---------------------------------------------------------------------------------------------------
-- handlers

-- Functions of Lua that neither wait nor raise nor leave what calls them.
local harmless = { print = true, tostring = true, tonumber = true, type = true, pairs = true, ipairs = true,
  next = true, select = true, unpack = true, rawget = true, rawset = true }
local libraries = { string = true, table = true, math = true, bit = true, os = true, io = true }

local function is_harmless(node)
  if node.tag ~= "call" then return false end
  local callee = node[1]
  if callee.tag == "name" then return not callee.var and harmless[callee.name] or false end
  local object = callee.tag == "index" and callee.by_dot and callee[1]
  return object and object.tag == "name" and not object.var and libraries[object.name] and callee.key ~= "exit"
end

local function is_http_handler(node)
  local response = node.vars[2]
  return node.is_handler and node.is_handler:find("moonpark.http.request", 1, true)
    and not node.is_handler:find("next:", 1, true)
    and (not response or response.value and response.value.classes and
      response.value.classes[1] == "moonpark.http.response")
end

-- What a handler does that may be an answer: it calls something, raises, or returns a value.
local function check_handler(state, node)
  if not is_http_handler(node) or #node.vars > 2 then return end
  local response = node.vars[2]
  local does = response ~= nil and response.uses > 0
  tree.walk(node[1], function(inner)
    if inner.tag == "return" then
      local value = inner[1]
      if value and (value.tag == "number" or value.tag == "true" and not does) then
        state.add(value, ("a handler returns a %s, which is no answer: use res:send or res:fail"):format(
          value.tag == "number" and "number" or "boolean"))
      end
      if #inner > 0 then does = true end
    elseif (inner.tag == "call" or inner.tag == "method") and not is_harmless(inner) then
      does = true
    end
    return inner.tag ~= "function"
  end)
  if not does then state.add(node, "this handler answers nothing: it never uses its response") end
end

---------------------------------------------------------------------------------------------------
-- loops

-- What of moonpark certainly does not wait.
local instant = { ["now"] = true, ["time"] = true, ["go"] = true, ["current"] = true, ["dump"] = true,
  ["event:is_set"] = true, ["mutex:is_locked"] = true, ["semaphore:count"] = true, ["channel:is_closed"] = true,
  ["task:status"] = true, ["connection:is_closed"] = true, ["listener:is_closed"] = true,
  ["group:count"] = true, ["group:stats"] = true, ["scope:is_canceled"] = true, ["task:is_canceled"] = true }

local function leaves(node)
  return node.tag == "break" or node.tag == "return" or node.tag == "goto"
end

-- Does it wait, or may it: calls that are not known; does it call moonpark; may it be left.
local function look(node, found)
  tree.walk(node, function(inner)
    if inner.tag == "function" then return false end
    if leaves(inner) then found.left = true end
    if inner.tag ~= "call" and inner.tag ~= "method" or is_harmless(inner) then return end
    local fn = values.called(inner)
    local name = fn and fn.name and fn.name:gsub("^moonpark%.", "")
    if name and instant[name] then
      found.moonpark = found.moonpark or name
      if name ~= "go" then found.asks = true end
    else
      found.unknown = true
    end
  end)
end

local function is_forever(node)
  local condition = node.tag == "while" and node[1] or node.tag == "repeat" and node[2]
  return condition and condition.tag == (node.tag == "while" and "true" or "false")
end

local function check_loop(state, node)
  local found = {}
  for _, part in ipairs(node) do look(part, found) end
  if found.unknown or not found.moonpark then return end
  if is_forever(node) and not found.left or found.asks then
    state.add(node, "warning: this loop never waits: no other task runs until it ends")
  end
end

--- Judges a node.
---@param state moonpark.check.state
---@param node moonpark.check.node
function M.judge(state, node)
  if state.is_spec then return end -- what they do is done on purpose
  if node.tag == "function" then check_handler(state, node) end
  if node.tag == "while" or node.tag == "repeat" then check_loop(state, node) end
end

return M

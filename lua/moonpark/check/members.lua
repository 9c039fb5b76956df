-- SPDX-License-Identifier: MIT
-- members.lua - findings of names: what a module or an object does not have, a dot for a colon, a colon for a dot.

local classes = require "moonpark.check.classes"
local field_hint = require "moonpark.field_hint"
local signatures = require "moonpark.signatures"
local spelling = require "moonpark.spelling"
local values = require "moonpark.check.values"

local M = {}

local function did_you_mean(word, words)
  local names = {}
  for name in pairs(words) do
    if type(name) == "string" and not name:find "^_" then names[#names + 1] = name end
  end
  local meant = spelling.nearest(word, names)
  return meant and (" (did you mean '%s'?)"):format(meant) or ""
end

-- What other libraries call it.
local foreign = { ["moonpark.task"] = { wait = "join", await = "join", kill = "cancel", stop = "cancel" } }

-- Only what is documented is suggested.
local function meant_of(object, name)
  local all = {}
  for _, class in ipairs(object.classes) do
    local other = foreign[class] and foreign[class][name]
    if other then return (" (did you mean '%s'?)"):format(other) end
    for member in pairs(classes.documented(class)) do all[member] = true end
  end
  for member in pairs(object.or_text and string or {}) do all[member] = true end
  return did_you_mean(name, all)
end

-- The members of all classes that an object may be of; nil: not known.
local function members_of(object)
  local all = {}
  for _, class in ipairs(object.classes) do
    local members = classes.members(class)
    if not members then return nil end
    for name in pairs(members) do all[name] = true end
  end
  for name in pairs(object.or_text and string or {}) do all[name] = true end
  return all
end

local function shown(node) -- the object, as the script has it
  if node.tag == "name" then return node.name end
  if node.tag == "index" and node.by_dot then return shown(node[1]) and shown(node[1]) .. "." .. node.key end
end

local function missing_method(state, object, node, name)
  local members = members_of(object)
  if not members or members[name] or state.named[name] then return false end
  state.add(node, ("%s has no method '%s'%s"):format(classes.title(object.classes[1]), name,
    meant_of(object, name)))
  return true
end

-- A field that is nil now and then is in the annotations, or is tested for.
local function check_module(state, module, node, parent)
  local held = classes.module(module)
  if parent and (parent.tag == "op" or parent.tag == "if") or signatures.member(module, node.key) then return end
  if held[node.key] ~= nil or state.added[module .. "." .. node.key] then return end
  state.add(node, ("%s has no '%s'%s"):format(module, node.key, did_you_mean(node.key, classes.shown(module))))
end

local function is_field(state, object, name)
  if state.functions[name] then return false end
  for _, class in ipairs(object.classes) do
    if not classes.is_plain(class, name) then return false end
  end
  return not object.or_text
end

-- res:status(404), req.path(): a field is called.
local function check_called_field(state, object, node, name)
  if not is_field(state, object, name) then return false end
  local owner = object.classes[1] ~= "moonpark.http.response" and shown(node[1])
  state.add(node, field_hint.text(name, owner and ("use %s.%s"):format(owner, name) or nil))
  return true
end

-- object.name(...): is a method called without its object?
local function check_dot_call(state, object, node)
  local callee, first = node[1], node[2]
  if check_called_field(state, object, callee, callee.key) then return end
  if missing_method(state, object, callee, callee.key) or state.named[callee.key] then return end
  local name = shown(callee[1])
  if not name or first and shown(first) == name then return end
  for _, class in ipairs(object.classes) do
    local method = classes.class_field(class, callee.key)
    local entry = signatures.member(class, callee.key)
    if method and not method.is_method or not method and entry and entry.type then return end
  end
  state.add(callee, ("%s.%s(...) is missing its object: use %s:%s(...)"):format(name, callee.key, name, callee.key))
end

-- A field that the script uses as if it were there: object.nmae.x
local function check_field(state, object, node)
  local members = members_of(object)
  if not members or members[node.key] or state.named[node.key] then return end
  local meant = meant_of(object, node.key)
  if meant ~= "" then
    state.add(node, ("%s has no '%s'%s"):format(classes.title(object.classes[1]), node.key, meant))
  end
end

--- Judges a node.
---@param state moonpark.check.state
---@param node moonpark.check.node
---@param parent moonpark.check.node|nil
function M.judge(state, node, parent)
  if node.tag == "method" then
    local object = values.infer(node[1])
    if not object then return end
    if object.module then
      local name = shown(node[1])
      if name and classes.module_field(object.module, node.name) then
        state.add(node, ("%s:%s(...) passes %s itself: use %s.%s(...)"):format(name, node.name, name, name, node.name))
      end
    elseif object.classes then
      if not check_called_field(state, object, node, node.name) then
        missing_method(state, object, node, node.name)
      end
    end
  elseif node.tag == "index" and node.by_dot then
    local object = values.infer(node[1])
    if not object then return end
    if object.module then return check_module(state, object.module, node, parent) end
    if not object.classes then return end
    if parent and parent.tag == "call" and parent[1] == node then return check_dot_call(state, object, parent) end
    if parent and (parent.tag == "index" or parent.tag == "method") and parent[1] == node then
      check_field(state, object, node)
    end
  end
end

return M

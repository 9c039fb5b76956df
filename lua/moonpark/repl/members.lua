-- SPDX-License-Identifier: MIT
-- members.lua - what the prompt shows of moonpark's modules and objects: what is annotated and for everybody.

local annotations = require "moonpark.annotations"
local classes = require "moonpark.check.classes"
local core = require "moonpark.core"
local signatures = require "moonpark.signatures"

local M = {}

local is_public = {}
for _, name in ipairs(annotations.modules) do is_public[name] = true end

--- May scripts require the module of that name?
---@param name string
---@return boolean
function M.is_public(name) return is_public[name] == true end

--- The names of the modules that scripts may require.
---@return string[]
function M.public() return annotations.modules end

--- The name of the module that the value is, if it is one of moonpark's.
---@param value any
---@return string|nil
function M.module_of(value)
  for name, module in pairs(package.loaded) do
    if rawequal(module, value) and type(name) == "string" and name:find "^moonpark" then return name end
  end
end

local of_core = { conn = "moonpark.connection", shared_dict = "moonpark.shared.dict" }

--- The class that an object of the core's is of: "conn_class" -> "moonpark.connection"
---@param name string
---@return string|nil
function M.class_of_core(name)
  local kind = name:match "^(.*)_class$"
  return kind and (of_core[kind] or "moonpark." .. kind)
end

--- The class that an object is of, by its methods; nil: none of moonpark's.
---@param value any
---@return string|nil
function M.class_of(value)
  local meta = debug.getmetatable(value)
  if type(meta) ~= "table" then return nil end
  for name, class in pairs(core) do
    if class == rawget(meta, "__index") or class == meta then
      local kind = M.class_of_core(name)
      if kind and signatures.class(kind) then return kind end
    end
  end
  for _, name in ipairs(signatures.names()) do
    local methods = classes.methods(name)
    if methods and (methods == meta or methods == rawget(meta, "__index")) then return name end
  end
end

-- A class and a module may share their name: moonpark.task.
local function is_mixed(class)
  for _, entry in pairs(class.members) do
    if entry.of_module then return true end
  end
  return false
end

local function add(members, name, as_module)
  local class = signatures.class(name)
  if not class then return end
  for _, parent in ipairs(class.parents) do add(members, parent, as_module) end
  local held = as_module and classes.module(name) or not as_module and classes.methods(name) or {}
  for member, value in next, held do
    local entry = type(member) == "string" and type(value) == "function" and signatures.of_function(value)
    if entry then members[member] = entry end
  end
  local mixed = is_mixed(class)
  for member, entry in pairs(class.members) do
    if not mixed or (entry.of_module or false) == as_module then members[member] = entry end
  end
end

--- The members that are for everybody.
---@param name string of a class or a module
---@param as_module boolean a module's table is meant, not the objects of the class
---@return table<string, moonpark.signatures.entry>
function M.of(name, as_module)
  local members = {}
  add(members, name, as_module)
  for member, entry in pairs(members) do
    if entry.hidden then members[member] = nil end
  end
  return members
end

return M

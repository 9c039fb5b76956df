-- SPDX-License-Identifier: MIT
-- classes.lua - what moonpark's modules and objects have: members from their annotations and from the tables that hold
-- their methods while moonpark runs. Nothing is written down a second time here.

local signatures = require "moonpark.signatures"
local core = require "moonpark.core"
local types = require "moonpark.signatures.types"

local M = {}

local internal = { ["moonpark.core"] = true } -- it differs from build to build

-- What is loaded when it is used first, and has classes of its own.
local parts = { ["moonpark.http"] = "moonpark.http.websocket_server" }

--- The module, or nil if there is none of that name.
---@param name string
---@return table|nil
function M.module(name)
  if internal[name] or not (name == "moonpark" or name:find "^moonpark%.") then return nil end
  local ok, module = pcall(require, name)
  if parts[name] then pcall(require, parts[name]) end
  return ok and type(module) == "table" and module or nil
end

--- What may be suggested of a module.
---@param name string
---@return table<string, true>
function M.shown(name)
  local found = {}
  for member, value in pairs(M.module(name) or {}) do
    local entry = signatures.member(name, member)
    if not entry and type(value) == "function" then entry = signatures.of_function(value) end
    if not (entry and entry.hidden) then found[member] = true end
  end
  return found
end

-- The guards of http/misuse.lua stand in front of methods.
local function is_of(fn, file)
  local source = debug.getinfo(fn, "S").source
  return source == "@" .. file or source:find "misuse%.lua:guard$" ~= nil
end

-- Finds the local of that name which a file's functions share, from what its module lets be seen.
local function find_local(module, file, name)
  local seen, queue = {}, { module }
  local function add(value)
    if (type(value) == "table" or type(value) == "function") and not seen[value] then
      seen[value] = true
      queue[#queue + 1] = value
    end
  end
  for at = 1, 2000 do
    local value = queue[at]
    if type(value) == "table" then
      if type(rawget(value, name)) == "table" then return rawget(value, name) end
      for _, inner in next, value do if type(inner) == "function" then add(inner) end end
      local meta = debug.getmetatable(value)
      if type(meta) == "table" then for _, inner in next, meta do add(inner) end end
    elseif value and is_of(value, file) then
      for i = 1, 255 do
        local called, held = debug.getupvalue(value, i)
        if not called then break end
        if called == name and type(held) == "table" then return held end
        add(held)
      end
    elseif not value then
      return nil
    end
  end
end

-- The table of a class's methods, or nil if it has none that can be found.
local function methods_of(class)
  local name = class.table and signatures.module_of(class.file)
  local module = name and package.loaded[name]
  if type(module) == "function" then module = { module } end
  return type(module) == "table" and find_local(module, class.file, class.table) or nil
end

--- The table that holds the methods of a class while moonpark runs, or nil.
---@param name string
---@return table|nil
function M.methods(name)
  local class = signatures.class(name)
  return class and methods_of(class)
end

-- The core's objects have what C gives them: an address says which of its classes one is.
local of_core = {}
for name, class in pairs(core) do
  if name:find "_class$" then
    for method in pairs(class) do of_core[method] = true end
  end
end

local from_core = { ["moonpark.connection"] = true, ["moonpark.listener"] = true, ["moonpark.packet"] = true,
  ["moonpark.channel"] = true, ["moonpark.mutex"] = true, ["moonpark.semaphore"] = true, ["moonpark.event"] = true,
  ["moonpark.task"] = true, ["moonpark.scope"] = true, ["moonpark.signals"] = true, ["moonpark.descriptor"] = true,
  ["moonpark.pollDesc"] = true, ["moonpark.child"] = true, ["moonpark.watcher"] = true, ["moonpark.file"] = true }

local cache = {}

local function collect(name, into)
  local class = signatures.class(name)
  if not class then return false end
  for member in pairs(class.members) do into[member] = true end
  for member in next, methods_of(class) or {} do
    if type(member) == "string" then into[member] = true end
  end
  if from_core[name] then
    for member in pairs(of_core) do into[member] = true end
  end
  for _, parent in ipairs(class.parents) do collect(parent, into) end
  return next(into) ~= nil
end

--- The names of all members of a class; nil: it is not known.
---@param name string
---@return table<string, true>|nil
function M.members(name)
  if cache[name] == nil then
    local members = {}
    cache[name] = collect(name, members) and members or false
  end
  return cache[name] or nil
end

local plain = { string = true, number = true, integer = true, boolean = true, ["true"] = true, ["false"] = true,
  ["nil"] = true }

--- "a router", for messages.
---@param name string
---@return string
function M.title(name)
  local class = signatures.class(name)
  if class and not class.table and class.parents[1] then return M.title(class.parents[1]) end -- one of several
  local last = name:match "[^.]+$":gsub("_", " ")
  return (last:find "^[aeiou]" and "an " or "a ") .. last
end

-- A module of the same name as a class has functions that are no methods.
local function is_public(name, member, methods)
  if name:find "^_" then return false end
  local entry = signatures.member(name, member)
  local value = methods and rawget(methods, member)
  if not entry and type(value) == "function" then entry = signatures.of_function(value) end
  if not entry or entry.hidden then return false end
  local signature = signatures.signature(entry)
  return entry.is_method or entry.type ~= nil or signature ~= nil and signature.is_method
end

--- The members of a class that are documented: those that may be suggested.
---@param name string
---@return table<string, true>
function M.documented(name)
  local class, found = signatures.class(name), {}
  local methods = class and methods_of(class)
  for member in pairs(M.members(name) or {}) do
    if is_public(name, member, methods) then found[member] = true end
  end
  return found
end

--- Is a member a field whose value cannot be called?
---@param class string
---@param name string
---@return boolean
function M.is_plain(class, name)
  local entry = signatures.member(class, name)
  if not entry or not entry.type then return false end
  for _, kind in ipairs(types.alternatives(entry.type)) do
    local is_table = kind:find "^table" or kind:find "^[{]" or kind:find "%[%]$" or kind:find '^"'
    if types.signature(kind) or not is_table and not plain[kind] then return false end
  end
  return true
end

---------------------------------------------------------------------------------------------------
-- values: what an expression of a script certainly is
--
--   {module = "moonpark.net"}
--   {classes = {"moonpark.connection", ...}, or_text}           one of them, or a string
--   {signature = ..., fn = the function or nil, name = "net.dial", is_method = boolean}

--- What a type of an annotation stands for, or nil.
---@param kind string|nil
---@param owner? string the class that "self" is
---@return table|nil
function M.of_type(kind, owner)
  if not kind then return nil end
  local found, or_text
  for _, one in ipairs(types.alternatives(kind)) do
    local signature = types.signature(one)
    if one == "nil" or one == "string" then -- nil is tested for, or raises where it is used
      or_text = or_text or one == "string"
    elseif signature then
      if found then return nil end
      found = { signature = signature, is_method = signature.is_method }
    else
      if one == "self" then one = owner or "" end
      if not signatures.class(one) or found and not found.classes then return nil end
      found = found or { classes = {} }
      table.insert(found.classes, one)
    end
  end
  if found then found.or_text = or_text end
  return found
end

local function of_entry(entry, value, name, owner)
  local signature = signatures.signature(entry)
  if signature then
    return { signature = signature, fn = type(value) == "function" and value or nil, name = name, owner = owner,
      is_method = signature.is_method }
  end
  return M.of_type(entry.type, owner)
end

--- A field of a module, or nil.
---@param module string
---@param name string
---@return table|nil
function M.module_field(module, name)
  local held = M.module(module)
  local value = held and held[name]
  if value == nil then return nil end
  local full = module .. "." .. name
  if rawequal(package.loaded[full], value) then return { module = full } end
  local shown = full:gsub("^moonpark%.(.*%.)", "%1")
  local entry = signatures.member(module, name)
  local found = entry and of_entry(entry, value, shown)
  if found and found.signature then return found end
  local own = type(value) == "function" and signatures.of_function(value)
  return own and of_entry(own, value, shown) or found
    or type(value) == "function" and { fn = value, name = shown } or nil
end

--- A member of a class, or nil.
---@param class string
---@param name string
---@return table|nil
function M.class_field(class, name)
  local owner = signatures.class(class)
  local methods = owner and methods_of(owner)
  local value = methods and rawget(methods, name)
  local entry = signatures.member(class, name)
  if not (entry and signatures.signature(entry)) and type(value) == "function" then
    entry = signatures.of_function(value) or entry
  end
  if not entry then return nil end
  local found = of_entry(entry, value, class:match "[^.]+$" .. ":" .. name, class)
  if found and found.signature and type(value) == "function" then found.is_method = true end
  return found
end

return M

-- SPDX-License-Identifier: MIT
-- help.lua - help at the prompt: of a function, a method, a module or an object, from the annotations in moonpark's
-- sources.

local signatures = require "moonpark.signatures"
local classes = require "moonpark.check.classes"
local complete = require "moonpark.repl.complete"
local core = require "moonpark.core"

local M = {}

local GENERAL = [[
A line is Lua; the results of an expression are printed. It may call what waits.

  help(net.dial)        what a function does; also of a method, a module, an object
  help "net.listen"     the same, by its name
  Tab                   completes names, fields after '.', methods after ':'
  moonpark.dump()       what every task is doing
  Ctrl-C                cancels the line that runs
  exit, quit, Ctrl-D    end the program

Without require: ]]

local of_core = { conn = "moonpark.connection", shared_dict = "moonpark.shared.dict" }

-- The class that an object of the core's is of: "conn_class" -> "moonpark.connection"
local function class_of_core(name)
  local kind = name:match "^(.*)_class$"
  return kind and (of_core[kind] or "moonpark." .. kind)
end

local function short(class) return (class:gsub("^moonpark%.(.)", "%1")) end

-- "path: string[, max: integer]"
local function parameters(signature)
  local parts = {}
  for _, param in ipairs(signature.params) do
    local kind = param.type:find "^{" and "table" or param.type
    local text = kind == "any" and param.name or param.name .. ": " .. kind
    parts[#parts + 1] = param.optional and "[" .. text .. "]" or text
  end
  return table.concat(parts, ", ")
end

local function heading(entry, name)
  local signature = signatures.signature(entry)
  if not signature then return entry.type and ("%s: %s"):format(name, entry.type) or name end
  local returns = table.concat(signature.returns, ", ")
  return ("%s(%s)%s"):format(name, parameters(signature), returns ~= "" and " -> " .. returns or "")
end

local function add_named(lines, list)
  for _, one in ipairs(list) do
    if one.text ~= "" then
      lines[#lines + 1] = ("  %s %s"):format(one.name and one.name .. ":" or "->", one.text)
    end
  end
end

-- The options of "{name?: type, ...}", or of a class of options.
local function add_options(lines, entry)
  local signature = signatures.signature(entry)
  for _, param in ipairs(signature and signature.params or {}) do
    local class = signatures.class(param.type)
    if param.type:find "^{" then
      lines[#lines + 1] = ("  %s: %s"):format(param.name, param.type:gsub("%s+", " "))
    elseif class and param.name:find "options" then
      for name, field in pairs(class.members) do
        lines[#lines + 1] = ("  %s.%s: %s  %s"):format(param.name, name, field.type, field.text[1] or "")
      end
    end
  end
end

local function text_of(entry, name)
  local lines = { heading(entry, name) }
  for _, line in ipairs(entry.text) do lines[#lines + 1] = "  " .. line end
  add_named(lines, entry.params)
  local options = {}
  add_options(options, entry)
  table.sort(options)
  for _, line in ipairs(options) do lines[#lines + 1] = line end
  add_named(lines, entry.returns)
  return table.concat(lines, "\n")
end

local function name_of(entry, class, name)
  local signature = signatures.signature(entry)
  return short(class) .. ((signature and signature.is_method or entry.is_method) and ":" or ".") .. name
end

-- A class's members, a line each; with those that are there and whose annotation is at another place.
local function text_of_class(class)
  local lines, members, names = { short(class.name) }, {}, {}
  for _, line in ipairs(class.text) do lines[#lines + 1] = "  " .. line end
  for name, value in next, classes.methods(class.name) or classes.module(class.name) or {} do
    members[name] = type(value) == "function" and signatures.of_function(value) or nil
  end
  for name, entry in pairs(class.members) do members[name] = entry end
  for name in pairs(members) do
    if not name:find "^_" and not members[name].hidden then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local entry = members[name]
    local said = entry.text[1] and entry.text[1] ~= "" and "  -- " .. entry.text[1] or ""
    lines[#lines + 1] = "  " .. heading(entry, name) .. said
  end
  return table.concat(lines, "\n")
end

-- Where a function that C has written is found.
local function places()
  local list = {}
  for name, module in pairs(package.loaded) do
    if type(name) == "string" and name:find "^moonpark" and name ~= "moonpark.core" and type(module) == "table" then
      list[#list + 1] = { class = name, held = module }
    end
  end
  for name, class in pairs(core) do
    local kind = class_of_core(name)
    if kind then list[#list + 1] = { class = kind, held = class } end
  end
  for _, name in ipairs(signatures.names()) do
    list[#list + 1] = { class = name, held = classes.methods(name) or {} }
  end
  table.sort(list, function(a, b) return #a.class < #b.class or #a.class == #b.class and a.class < b.class end)
  return list
end

local function of_function(fn)
  for _, place in ipairs(places()) do
    for name, value in next, place.held do
      local entry = rawequal(value, fn) and signatures.member(place.class, name)
      local own = entry and not signatures.signature(entry) and signatures.of_function(fn) or entry
      if own then return text_of(own, name_of(own, place.class, name)) end
    end
  end
  local entry = signatures.of_function(fn)
  if entry then
    return text_of(entry, entry.owner and name_of(entry, entry.owner, entry.name) or entry.name or "function")
  end
  local info = debug.getinfo(signatures.unguarded(fn), "S")
  if info.what == "C" then return "a function written in C; nothing is known of it" end
  return ("a function of %s:%d"):format(info.short_src, info.linedefined)
end

--- The class that an object is of, by its methods; nil: none of moonpark's.
---@param value any
---@return string|nil
function M.class_of(value)
  local meta = debug.getmetatable(value)
  if type(meta) ~= "table" then return nil end
  for name, class in pairs(core) do
    if class == rawget(meta, "__index") or class == meta then
      local kind = class_of_core(name)
      if kind and signatures.class(kind) then return kind end
    end
  end
  for _, name in ipairs(signatures.names()) do
    local methods = classes.methods(name)
    if methods and (methods == meta or methods == rawget(meta, "__index")) then return name end
  end
end

local function of_name(text, lent)
  local value = complete.walk(text, lent)
  if value == nil and text:find "^moonpark%." then value = complete.walk(text:gsub("^moonpark%.", ""), lent) end
  if value ~= nil then return value end
  local class, name = text:match "^(.-)[.:]?([^.:]+)$"
  for _, owner in ipairs { class, "moonpark." .. class, "moonpark.http." .. class } do
    local entry = name and signatures.member(owner, name)
    if entry then return nil, text_of(entry, name_of(entry, owner, name)) end
  end
  local whole = signatures.class(text) or signatures.class("moonpark." .. text)
  return nil, whole and text_of_class(whole) or ("nothing is known of '%s'"):format(text)
end

--- What is known of a value, or of a name.
---@param value any
---@param lent {get: fun(name: string): any} what is found without require
---@return string
function M.of(value, lent)
  if type(value) == "string" then
    local found, text = of_name(value, lent)
    if found == nil then return text end
    value = found
  end
  if type(value) == "function" then return of_function(value) end
  local class = signatures.class(type(value) == "table" and complete.module_of(value) or M.class_of(value) or "")
  if class then return text_of_class(class) end
  return "a " .. type(value)
end

--- What `help` alone says.
---@param names string[] of what is found without require
---@return string
function M.general(names) return GENERAL .. table.concat(names, ", ") end

return M

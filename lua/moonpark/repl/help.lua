-- SPDX-License-Identifier: MIT
-- help.lua - help at the prompt: of a function, a method, a module or an object, from the annotations in moonpark's
-- sources.

local signatures = require "moonpark.signatures"
local classes = require "moonpark.check.classes"
local complete = require "moonpark.repl.complete"
local core = require "moonpark.core"
local shown = require "moonpark.repl.members"

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

local function short(class) return (class:gsub("^moonpark%.(.)", "%1")) end

-- "path: string[, max: integer]". A parameter that must be nil is there for mistakes alone.
local function parameters(signature)
  local parts = {}
  for _, param in ipairs(signature.params) do
    local kind = param.type:find "^{" and "table" or param.type:gsub("|%s+", "|")
    local text = kind == "any" and param.name or param.name .. ": " .. kind
    if kind ~= "nil" then parts[#parts + 1] = param.optional and "[" .. text .. "]" or text end
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
    local is_name = not one.name and not one.text:find "%s" -- of a result, "err"
    if one.text ~= "" and one.type ~= "nil" and not is_name then
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

local ENOUGH = 40 -- characters of a line about a member: whole sentences, at least so many

local function beginning(text)
  local whole, said = table.concat(text, " "), ""
  while #said < ENOUGH and #said < #whole do
    said = said .. (whole:match("^.-%.%f[%s]", #said + 1) or whole:sub(#said + 1))
  end
  return said
end

-- A class's members, a line each; with those that are there and whose annotation is at another place.
local function text_of_class(class, as_module)
  local lines, members, names = { short(class.name) }, shown.of(class.name, as_module), {}
  for _, line in ipairs(class.text) do lines[#lines + 1] = "  " .. line end
  for name in pairs(members) do
    if not name:find "^_" then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local entry = members[name]
    local said = beginning(entry.text)
    lines[#lines + 1] = "  " .. heading(entry, name) .. (said ~= "" and "  -- " .. said or "")
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
    local kind = shown.class_of_core(name)
    if kind then list[#list + 1] = { class = kind, held = class } end
  end
  for _, name in ipairs(signatures.names()) do
    list[#list + 1] = { class = name, held = classes.methods(name) or {} }
  end
  table.sort(list, function(a, b) return #a.class < #b.class or #a.class == #b.class and a.class < b.class end)
  return list
end

-- What a module says of one of its functions, or what the function says of itself, if that is more.
local function better(entry, own)
  if not entry or not own then return entry or own end
  if not signatures.signature(entry) then return own end
  return signatures.signature(own) and #own.text >= #entry.text and own or entry
end

-- A function of a public module is called by its name there, wherever it is written.
local function of_function(fn)
  for _, place in ipairs(places()) do
    local public = shown.is_public(place.class)
    for name, value in next, place.held do
      if rawequal(value, fn) and type(name) == "string" then
        local entry = signatures.member(place.class, name)
        local own = (entry or public) and better(entry, signatures.of_function(fn))
        if own then return text_of(own, name_of(own, place.class, name)) end
      end
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

-- The names that the pages give to objects: their class, and the module that has it.
local usual = {
  answer = { "moonpark.http.answer", "moonpark.http" }, app = { "moonpark.http.router", "moonpark.http" },
  ch = { "moonpark.channel", "moonpark" }, client = { "moonpark.http.client", "moonpark.http" },
  conn = { "moonpark.connection", "moonpark.net" }, group = { "moonpark.websocket.group", "moonpark.http.group" },
  req = { "moonpark.http.request", "moonpark.http" },
  res = { "moonpark.http.response", "moonpark.http" }, server = { "moonpark.http.server", "moonpark.http" },
  websocket = { "moonpark.websocket", "moonpark.http.websocket" },
  ws = { "moonpark.websocket", "moonpark.http.websocket" },
}

local function class_called(name)
  local called = usual[name]
  if called then
    require(called[2])
    return signatures.class(called[1])
  end
  for _, class in ipairs { name, "moonpark." .. name, "moonpark.http." .. name } do
    if signatures.class(class) then return signatures.class(class) end
  end
end

local function of_name(text, lent)
  local value = complete.walk(text, lent)
  if value == nil and text:find "^moonpark%." then value = complete.walk(text:gsub("^moonpark%.", ""), lent) end
  if value ~= nil then return value end
  local owner, name = text:match "^(.-)[.:]?([^.:]+)$"
  local class = name and class_called(owner)
  local entry = class and shown.of(class.name, shown.is_public(class.name))[name]
  if entry then return nil, text_of(entry, name_of(entry, class.name, name)) end
  local whole = class_called(text)
  return nil, whole and text_of_class(whole, shown.is_public(whole.name)) or ("nothing is known of '%s'"):format(text)
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
  local module = type(value) == "table" and shown.module_of(value) or nil
  local class = signatures.class(module or shown.class_of(value) or "")
  if class then return text_of_class(class, module ~= nil) end
  return "a " .. type(value)
end

--- What `help` alone says.
---@param names string[] of what is found without require
---@return string
function M.general(names) return GENERAL .. table.concat(names, ", ") end

return M

-- SPDX-License-Identifier: MIT
-- annotations.lua - what is public, with its annotations, for editors: `make build` writes it as an addon of the Lua
-- language server.
--
-- The annotations are those of the sources. A public module is one file of the addon, with what it returns; the
-- classes that its annotations mention, and those that these mention, are in files of their own. What no annotation
-- leads to, and what is ---@private or ---@package, is not there.

local source = require "moonpark.annotations.source"
local types = require "moonpark.annotations.types"
local render = require "moonpark.annotations.render"

local M = {}

--- What scripts may require.
M.modules = { "moonpark", "moonpark.compat", "moonpark.fs", "moonpark.http", "moonpark.lapis", "moonpark.log",
  "moonpark.net", "moonpark.netpoll", "moonpark.ngx", "moonpark.process", "moonpark.shared", "moonpark.systemd",
  "moonpark.testing", "moonpark.tls", "moonpark.url", "moonpark.worker" }

---@class moonpark.annotations.library
---@field sources table<string, moonpark.annotations.source> by module
---@field classes table<string, {class: moonpark.annotations.class, file: moonpark.annotations.source}> by name
---@field aliases table<string, {doc: string[], file: moonpark.annotations.source}> by name

local function path_of(module)
  return module == "moonpark" and "moonpark/init.lua" or module:gsub("%.", "/") .. ".lua"
end

local function read_file(path)
  local file, err = io.open(path)
  if not file then return nil, err end
  local text = file:read "*a"
  file:close()
  return text
end

-- The file of that module, read once; nil: that is none of ours.
local function loaded(library, folder, module)
  local known = library.sources[module]
  if known ~= nil then return known or nil end
  local text = module:find "^moonpark" and read_file(folder .. "/" .. path_of(module))
  library.sources[module] = text and source.read(module, text) or false
  return library.sources[module] or nil
end

--- Reads sources.
---@param folder string that has moonpark/
---@param modules string[] their names
---@return moonpark.annotations.library
function M.read(folder, modules)
  local library = { sources = {}, classes = {}, aliases = {} }
  for _, module in ipairs(modules) do
    local file = loaded(library, folder, module)
    for _, class in ipairs(file and file.classes or {}) do
      library.classes[class.name] = { class = class, file = file }
    end
    for _, alias in ipairs(file and file.aliases or {}) do
      library.aliases[alias.name] = { doc = alias.doc, file = file }
    end
  end
  return library
end

local function member_of(file, owner, name)
  for _, member in ipairs(file.members) do
    if member.owner == owner and member.name == name then return member end
  end
end

local resolve -- below

-- What a module has under a name; "": what it returns itself.
local function export(library, module, name)
  local file = library.sources[module]
  if not file or not file.returned then return nil end
  local of = file.returned
  if type(of) == "table" then return of[name] and resolve(library, file, of[name]) or nil end
  if name == "" then return resolve(library, file, of) end
  local member = member_of(file, of, name)
  if member and #member.doc == 0 and member.value then return resolve(library, file, member.value) end
  return member
end

--- The function that an expression is, with its annotations.
---@param library moonpark.annotations.library
---@param file moonpark.annotations.source
---@param expression string "copy.copy", "new"
---@return moonpark.annotations.member|nil
function resolve(library, file, expression)
  if expression:find "^require" then
    local module, name = expression:match "^require%s*%(?%s*[\"']([%w_.]+)[\"']%)?%.?([%w_]*)$"
    return module and export(library, module, name) or nil
  end
  local owner, name = expression:match "^([%a_][%w_]*)%.?([%w_]*)$"
  if not owner then return nil end
  local required = file.required[owner]
  if required then
    local module, field = required:match "^([^#]+)#?(.*)$"
    return export(library, module, field ~= "" and field or name)
  end
  if name == "" then return file.functions[owner] end
  return member_of(file, owner, name)
end

local function is_hidden(doc)
  for _, line in ipairs(doc) do
    if line:find "^%-%-%-@private" or line:find "^%-%-%-@package" then return true end
  end
  return false
end

-- The members of a class that are public, each with the annotations that it has or that it is set to.
local function public_members(library, file, owner)
  local list = {}
  for _, member in ipairs(file.members) do
    if member.owner == owner and not member.name:find "^__" and not is_hidden(member.doc) then
      local doc, params = member.doc, member.params
      local of = #doc == 0 and member.value and resolve(library, file, member.value)
      if of and not is_hidden(of.doc) then doc, params = of.doc, of.params end
      if #doc > 0 and not is_hidden(doc) then
        list[#list + 1] = { name = member.name, separator = member.separator, doc = doc, params = params }
      end
    end
  end
  return list
end

---@class moonpark.annotations.entry
---@field name string of the class
---@field doc string[] of the class, without what is private
---@field owner string|nil
---@field members {name: string, separator: "."|":", doc: string[], params: string|nil}[]
---@field module string of the source

local function class_doc(doc)
  local kept = {}
  for _, line in ipairs(doc) do
    if not line:find "^%-%-%-@field private " and not line:find "^%-%-%-@field package " then kept[#kept + 1] = line end
  end
  return kept
end

-- Follows the names that annotations mention, from these classes on. -> entries and aliases by name
local function reach(library, seeds)
  local entries, aliases, waiting = {}, {}, { unpack(seeds) }
  local function mention(doc)
    for _, line in ipairs(doc) do
      if line:find "^%-%-%-[@|]" then types.each_name(line, function(name) waiting[#waiting + 1] = name end) end
    end
  end
  while #waiting > 0 do
    local name = table.remove(waiting)
    local found, alias = library.classes[name], library.aliases[name]
    if found and not entries[name] then
      local class = found.class
      local members = class.owner and public_members(library, found.file, class.owner) or {}
      entries[name] = { name = name, doc = class_doc(class.doc), owner = class.owner, members = members,
        module = found.file.module, line = class.line }
      mention(entries[name].doc)
      for _, member in ipairs(members) do mention(member.doc) end
    elseif alias and not aliases[name] then
      aliases[name] = { doc = alias.doc, module = alias.file.module }
      mention(alias.doc)
    end
  end
  return entries, aliases
end

-- The class of what a module returns.
local function class_of(file)
  for _, class in ipairs(file.classes) do
    if class.owner and class.owner == file.returned then return class.name end
  end
end

--- What is public: entries by the names of their classes, aliases by their names, and the class of each module.
---@param library moonpark.annotations.library
---@return table<string, moonpark.annotations.entry> entries
---@return table<string, {doc: string[], module: string}> aliases
---@return table<string, string> classes_of_modules
function M.public(library)
  local seeds, of = {}, {}
  for _, module in ipairs(M.modules) do
    local file = library.sources[module]
    of[module] = file and class_of(file)
    seeds[#seeds + 1] = of[module]
  end
  local entries, aliases = reach(library, seeds)
  return entries, aliases, of
end

--- The names of modules by the paths of their files.
---@param paths string[] "lua/moonpark/net/copy.lua"
---@return string[]
function M.names(paths)
  local list = {}
  for i, path in ipairs(paths) do
    list[i] = path:gsub("^.*lua/moonpark", "moonpark"):gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", ".")
  end
  return list
end

--- The files of the addon: path = text.
---@param library moonpark.annotations.library
---@return table<string, string>
function M.files(library)
  return render.files(M.public(library))
end

return M

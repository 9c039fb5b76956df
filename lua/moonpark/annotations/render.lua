-- SPDX-License-Identifier: MIT
-- render.lua - files of annotations, as the Lua language server reads them.

local types = require "moonpark.annotations.types"

local M = {}

local CONFIG = [[
{
  "name": "moonpark",
  "words": ["require[%s%(\"']+moonpark[%.%w_]*[%)\"']"],
  "settings": { "Lua.runtime.version": "LuaJIT" }
}
]]

-- "" and "---" lines: what is said in words
local function add_words(out, text)
  if text and text:find "%S" then out[#out + 1] = text end
end

-- A function that was annotated by its type, because the core has it: its parts one by one, as others have them.
local function unfold(member)
  local out, at = {}, nil
  for i, line in ipairs(member.doc) do
    local text = line:match "^%-%-%-@type%s+(fun%(.*)$"
    if text then at = { i, text } else add_words(out, line) end
  end
  if not at then return nil end
  local params, results, rest = types.of_function(at[2])
  if not params then return nil end
  local names = {}
  for _, param in ipairs(params) do
    names[#names + 1] = param.name
    out[#out + 1] = ("---@param %s%s %s"):format(param.name, param.optional and "?" or "", param.type)
  end
  for i, result in ipairs(results) do
    local said = i == #results and rest:find "%S" and " #" .. rest or ""
    out[#out + 1] = ("---@return %s%s"):format(result, said)
  end
  return { name = member.name, separator = ".", doc = out, params = table.concat(names, ", ") }
end

-- The parameters that annotations name, of a function that is set to a field.
local function declared(doc)
  local names = {}
  for _, line in ipairs(doc) do
    local name = line:match "^%-%-%-@param ([%w_.]+)"
    if name then names[#names + 1] = name end
  end
  return names[1] and table.concat(names, ", ")
end

local function member_text(out, owner, member)
  member = unfold(member) or member
  member.params = member.params or declared(member.doc)
  out[#out + 1] = ""
  for _, line in ipairs(member.doc) do out[#out + 1] = line end
  if member.params then
    out[#out + 1] = ("function %s%s%s(%s) end"):format(owner, member.separator, member.name, member.params)
  else
    out[#out + 1] = ("%s.%s = nil"):format(owner, member.name)
  end
end

local function entry_text(out, entry)
  out[#out + 1] = ""
  for _, line in ipairs(entry.doc) do out[#out + 1] = line end
  if #entry.members == 0 and not entry.is_module then return end
  local owner = entry.owner
  out[#out + 1] = ("local %s = {}"):format(owner)
  for _, member in ipairs(entry.members) do member_text(out, owner, member) end
end

-- Sorted by where they are in their sources.
local function by_source(entries, aliases)
  local sources = {}
  local function of(module)
    sources[module] = sources[module] or { entries = {}, aliases = {} }
    return sources[module]
  end
  for _, entry in pairs(entries) do table.insert(of(entry.module).entries, entry) end
  for name, alias in pairs(aliases) do table.insert(of(alias.module).aliases, { name = name, doc = alias.doc }) end
  for _, one in pairs(sources) do
    table.sort(one.entries, function(a, b) return a.line < b.line end)
    table.sort(one.aliases, function(a, b) return a.name < b.name end)
  end
  return sources
end

--- The files of the addon: path = text.
---@param entries table<string, moonpark.annotations.entry>
---@param aliases table<string, {doc: string[], module: string}>
---@param modules table<string, string> the class of each module that scripts require
---@return table<string, string>
function M.files(entries, aliases, modules)
  local files = { ["config.json"] = CONFIG }
  for module, parts in pairs(by_source(entries, aliases)) do
    local class = modules[module]
    local out, last = { "---@meta " .. (class and module or "_") }, nil
    for _, alias in ipairs(parts.aliases) do
      out[#out + 1] = ""
      for _, line in ipairs(alias.doc) do out[#out + 1] = line end
    end
    for _, entry in ipairs(parts.entries) do
      if entry.name == class then last = entry.owner end
      entry_text(out, setmetatable({ is_module = entry.name == class }, { __index = entry }))
    end
    if last then out[#out + 1] = "\nreturn " .. last end
    local path = module == "moonpark" and "moonpark/init" or module:gsub("%.", "/")
    files["library/" .. path .. ".lua"] = table.concat(out, "\n") .. "\n"
  end
  return files
end

return M

-- SPDX-License-Identifier: MIT
-- signatures.lua - what moonpark's own sources say of themselves: the annotations of its functions, classes and
-- fields, read from the installed files. `moonpark check` and the prompt's help are made of it.

local types = require "moonpark.signatures.types"

local M = {}

---@class moonpark.signatures.entry
---@field text string[] the comment's lines
---@field params {name: string, type: string, optional: boolean, text: string}[]
---@field returns {type: string, text: string}[]
---@field type string|nil of a field, or of what is assigned
---@field file string
---@field line integer of what it stands before
---@field hidden boolean|nil not for everybody
---@field of_module boolean|nil of the module's table, not of the objects of a class of the same name
---@field owner string|nil the class, or the module
---@field name string|nil

---@class moonpark.signatures.class
---@field name string
---@field parents string[]
---@field members table<string, moonpark.signatures.entry>
---@field file string
---@field table string|nil the name of the local that holds its methods
---@field text string[]

-- [name of a class or a module] = class
local classes = {}
local by_line = {} -- ["file:line"] = entry of the function that begins there

local library = debug.getinfo(1, "S").source:match "^@(.*)signatures%.lua$"

local function class_called(name, file)
  classes[name] = classes[name] or { name = name, parents = {}, members = {}, file = file, text = {} }
  return classes[name]
end

---------------------------------------------------------------------------------------------------
-- one file

local function new_block() return { text = {}, params = {}, returns = {} } end

local tags = {}

function tags.param(block, rest)
  local name, mark, text = rest:match "^([%w_%.]+)(%??)%s*(.*)$"
  if not name then return end
  local kind, said = types.cut(text)
  block.last = { name = name, type = kind, optional = mark == "?", text = said }
  table.insert(block.params, block.last)
end

tags["return"] = function(block, rest)
  local kind, said = types.cut(rest)
  block.last = { type = kind, text = said }
  table.insert(block.returns, block.last)
end

function tags.alias(_, rest)
  local name, kind = rest:match "^([%w_%.]+)%s+(.+)$"
  if name then types.name(name, (types.cut(kind))) end
end

local visibilities = { private = true, protected = true, package = true, public = true }

for visibility in pairs(visibilities) do
  tags[visibility] = function(block) block.hidden = visibility ~= "public" end
end

function tags.type(block, rest) block.type = types.cut(rest) end

tags["class"] = function(block, rest, file)
  local name, parents = rest:match "^([%w_%.]+)%s*:?%s*(.*)$"
  if not name then return end
  block.class = class_called(name, file)
  block.class.file = file
  if rest:find "^[%w_%.]+%s*:" then
    for parent in parents:gmatch "[%w_%.]+" do table.insert(block.class.parents, parent) end
  end
  for _, line in ipairs(block.text) do table.insert(block.class.text, line) end
end

function tags.field(block, rest, file, line)
  local visibility, behind = rest:match "^(%a+)%s+([%a_].*)$"
  if visibilities[visibility] then rest = behind else visibility = nil end
  local name, mark, text = rest:match "^([%w_]+)(%??)%s*(.*)$"
  if not name or not block.class then return end
  local kind, said = types.cut(text)
  block.class.members[name] = { text = { said ~= "" and said or nil }, params = {}, returns = {},
    type = kind .. mark, hidden = visibility ~= nil and visibility ~= "public",
    file = file, line = line, owner = block.class.name, name = name }
  block.last = block.class.members[name].text
end

-- A line after a tag goes on with what the tag says; other lines are the block's.
local function add_text(block, line)
  local last = block.last
  if not last then
    table.insert(block.text, line)
  elseif last.text then
    last.text = last.text .. " " .. line
  else
    last[1] = last[1] and last[1] .. " " .. line or line
  end
end

-- The comment lines of a block, each joined with what continues it inside of brackets.
local function joined(lines)
  local whole = {}
  for _, line in ipairs(lines) do
    local last = whole[#whole]
    if last and last:find "^@" and (types.depth(last) > 0 or last:find "[:|,]%s*$") then
      whole[#whole] = last .. " " .. line:match "^%s*(.*)$"
    else
      whole[#whole + 1] = line
    end
  end
  return whole
end

local function read_block(lines, file, number)
  local block = new_block()
  for _, line in ipairs(joined(lines)) do
    local tag, rest = line:match "^@(%w+)%s*(.*)$"
    if tag then
      block.last = nil
      if tags[tag] then tags[tag](block, rest, file, number) end
    else
      add_text(block, (line:gsub("^ ", "")))
    end
  end
  return block
end

-- The class that a local of the file holds.
local function owner_of(place, name)
  return place.locals[name] or name == "M" and place.module or nil
end

local function enter(place, block, owner, name)
  block.file, block.line, block.owner, block.name = place.file, place.line, owner, name
  if owner and name then
    local members = class_called(owner, place.file).members
    local known = members[name]
    local is_better = known and (#known.text > #block.text or block.hidden and not known.hidden)
    members[name] = is_better and known or block
  end
end

-- The line after a block, or any line of the file.
local function read_line(place, line, block)
  local held = line:match "^local ([%a_][%w_]*)%s*=" or line:match "^local ([%a_][%w_]*)$"
  if held and block and block.class then
    block.class.table = held
    place.locals[held] = block.class.name
    return
  end
  local owner, sign, name = line:match "^function ([%a_][%w_]*)([%.:])([%a_][%w_]*)%s*%("
  if not owner then owner, sign, name = line:match "^%s*([%a_][%w_]*)(%.)([%a_][%w_]*)%s*=[^=]" end
  local is_function = line:find "^function" or line:find "^local function" or line:find "^return function"
    or line:find "=%s*function"
  if not block and not (is_function and owner) then return end
  block = block or new_block()
  block.is_method = sign == ":"
  block.of_module = owner == "M" and not place.locals.M
  enter(place, block, owner and owner_of(place, owner), name)
  if is_function then by_line[place.file .. ":" .. place.line] = block end
end

local function read_file(path, module)
  local file = io.open(path)
  if not file then return end
  local place = { file = path, module = module, line = 0, locals = {} }
  local comment
  for line in file:lines() do
    place.line = place.line + 1
    local text = line:match "^%s*%-%-%-(.*)$"
    if text and not text:find "^%-" then
      comment = comment or {}
      table.insert(comment, text)
    else
      read_line(place, line, comment and read_block(comment, path, place.line))
      comment = nil
    end
  end
  file:close()
end

---------------------------------------------------------------------------------------------------
-- all files

local read = {} -- [module] = true

local function path_of(module)
  local rest = module:match "^moonpark%.(.+)$"
  return library .. (rest and rest:gsub("%.", "/") .. ".lua" or "init.lua")
end

-- The files of the modules that are loaded, and of those that a class or a module is looked for in.
local function read_module(module)
  if read[module] or not library then return end
  read[module] = true
  read_file(path_of(module), module)
end

--- Reads the files of what has been loaded.
function M.refresh()
  local loaded = {}
  for name in pairs(package.loaded) do
    if name == "moonpark" or type(name) == "string" and name:find "^moonpark%." then loaded[#loaded + 1] = name end
  end
  for _, name in ipairs(loaded) do read_module(name) end
end

--- The class, or the module, of that name.
---@param name string
---@return moonpark.signatures.class|nil
function M.class(name)
  if not name:find "^moonpark" then return nil end
  if not classes[name] then M.refresh() end
  return classes[name]
end

--- The names of all classes and modules that are known so far.
---@return string[]
function M.names()
  M.refresh()
  local names = {}
  for name in pairs(classes) do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- What is said of a member of a class, or of its parents.
---@param name string
---@param member string
---@return moonpark.signatures.entry|nil
function M.member(name, member)
  local class = M.class(name)
  if not class then return nil end
  if class.members[member] then return class.members[member] end
  for _, parent in ipairs(class.parents) do
    local found = M.member(parent, member)
    if found then return found end
  end
end

--- The module that a source file is.
---@param file string
---@return string|nil
function M.module_of(file)
  if not library or file:sub(1, #library) ~= library then return nil end
  local rest = file:sub(#library + 1):gsub("%.lua$", ""):gsub("/", ".")
  return rest == "init" and "moonpark" or "moonpark." .. rest
end

--- The method behind a guard of http/misuse.lua, which has no place; other functions as they are.
---@param fn function
---@return function
function M.unguarded(fn)
  if not debug.getinfo(fn, "S").source:find "misuse%.lua:guard$" then return fn end
  local name, method = debug.getupvalue(fn, 1)
  for i = 2, 255 do
    if name == "fn" or not name then break end
    name, method = debug.getupvalue(fn, i)
  end
  return name == "fn" and method or fn
end

--- What is said of a function, by the place where it is written.
---@param fn function
---@return moonpark.signatures.entry|nil
function M.of_function(fn)
  local info = debug.getinfo(M.unguarded(fn), "S")
  local module = info.source:sub(1, 1) == "@" and M.module_of(info.source:sub(2))
  if not module then return nil end
  read_module(module)
  return by_line[info.source:sub(2) .. ":" .. info.linedefined]
end

--- A signature: of what was written as @param and @return, or of a type "fun(...)".
---@param entry moonpark.signatures.entry
---@return moonpark.signatures.signature|nil
function M.signature(entry)
  if entry.type then
    for _, kind in ipairs(types.alternatives(entry.type)) do
      local found = types.signature(kind)
      if found then return found end
    end
  end
  if #entry.params == 0 and #entry.returns == 0 then return nil end
  local found = { params = {}, returns = {}, is_method = entry.is_method or false }
  for i, one in ipairs(entry.params) do
    if i == 1 and one.name == "self" then found.is_method = true else table.insert(found.params, one) end
  end
  for _, one in ipairs(entry.returns) do table.insert(found.returns, one.type) end
  return found
end

return M

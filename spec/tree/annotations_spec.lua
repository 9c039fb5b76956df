-- SPDX-License-Identifier: MIT
-- annotations_spec.lua - the annotations name everything that is public, and nothing that is not there: the addon for
-- editors (lua/moonpark/annotations.lua) beside the library as it runs.

local annotations = require "moonpark.annotations"
local moonpark = require "moonpark"
local objects = require "support.public_objects"
local reach = require "support.upvalues"
local types = require "moonpark.annotations.types"

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

local function output_lines(command)
  local list, pipe = {}, assert(io.popen(command))
  for line in pipe:lines() do list[#list + 1] = line end
  pipe:close()
  return list
end

local function path_of(module)
  return module == "moonpark" and "lua/moonpark/init.lua" or "lua/" .. module:gsub("%.", "/") .. ".lua"
end

local paths = output_lines "find lua/moonpark -name '*.lua' | sort"
local modules = annotations.names(paths)

local library = annotations.read("lua", modules)
local entries, aliases, classes_of = annotations.public(library)

local function sorted(set)
  local list = {}
  for name in pairs(set) do list[#list + 1] = name end
  table.sort(list)
  return list
end

-- What a class's annotations name: { [name] = type or "function" }; with those of its parents.
local function named(class, into)
  local entry, set = entries[class], into or {}
  for _, line in ipairs(entry.doc) do
    local name, of = line:match "^%-%-%-@field%s+([%a_][%w_]*)%??%s+(.*)$"
    if name then set[name] = types.split(of) or of end
    local parents = line:match "^%-%-%-@class%s+[%w_.]+%s*:%s*([%w_., ]+)"
    for parent in (parents or ""):gmatch "moonpark[%w_.]+" do
      if entries[parent] then named(parent, set) end
    end
  end
  for _, member in ipairs(entry.members) do set[member.name] = member.params and "function" or "value" end
  return set
end

local function is_function(of)
  local alias = aliases[of]
  return of == "function" or of:find "^fun%(" ~= nil or alias ~= nil and alias.doc[#alias.doc]:find " fun%(" ~= nil
end

-- Members of a class that are marked ---@private or ---@package in its source.
local function hidden(module, owner, class_name)
  local set = {}
  for _, member in ipairs(library.sources[module].members) do
    if member.owner == owner then
      for _, line in ipairs(member.doc) do
        if line:find "^%-%-%-@private" or line:find "^%-%-%-@package" then set[member.name] = true end
      end
    end
  end
  for _, class in ipairs(library.sources[module].classes) do
    for _, line in ipairs(class.name == class_name and class.doc or {}) do
      local name = line:match "^%-%-%-@field%s+%a+%s+([%a_][%w_]*)"
      if name and (line:find "@field private " or line:find "@field package ") then set[name] = true end
    end
  end
  return set
end

local function is_plain(list)
  for _, module in pairs(package.loaded) do
    if rawequal(module, list) then return false end
  end
  return getmetatable(list) == nil
end

-- All that can be looked up in a table: its own keys, those of what it loads at first use, those of its class.
local function keys(object)
  local set, meta = {}, debug.getmetatable(object)
  if type(object) == "table" then
    for name in pairs(object) do set[name] = true end
  end
  local index = type(meta) == "table" and rawget(meta, "__index")
  if type(index) == "table" and index ~= object then
    for name in pairs(keys(index)) do set[name] = true end
  elseif type(index) == "function" then
    for _, list in ipairs(reach.tables_of(index)) do
      for name in pairs(is_plain(list) and list or {}) do set[name] = true end
    end
  end
  return set
end

---------------------------------------------------------------------------------------------------

describe("the annotations of", function()
  for _, module in ipairs(annotations.modules) do
    it("the module " .. module .. " name what it has", function()
      local class = classes_of[module]
      assert(class, "what it returns has no class")
      local known, there = named(class), keys(require(module))
      local secret = hidden(module, library.sources[module].returned, class)
      local wrong = {}
      for _, name in ipairs(sorted(there)) do
        if type(name) == "string" and not known[name] and not secret[name] and not name:find "^__" then
          table.insert(wrong, name .. " has no annotation")
        end
      end
      for _, name in ipairs(sorted(known)) do
        if not there[name] and require(module)[name] == nil then table.insert(wrong, name .. " is not there") end
      end
      assert.same({}, wrong)
    end)
  end
end)

-- The classes with methods, each with a table that has them: a local of its source, or an object's own.
local function methods_of(class)
  local entry = entries[class]
  if objects.made[class] then return keys(objects.made[class]()), objects.beside[class] end
  if not entry.owner then return nil end
  local found = reach.named(require(entry.module), path_of(entry.module), entry.owner)
  return found and keys(setmetatable({}, { __index = found })), objects.beside[class]
end

local function has_methods(class)
  if #entries[class].members > 0 then return true end
  for _, line in ipairs(entries[class].doc) do
    if line:find "^%-%-%-@field%s+%S+%s+fun%(self" then return true end
  end
  return false
end

local function is_module(class)
  for _, other in pairs(classes_of) do
    if other == class then return true end
  end
  return false
end

describe("the annotations of the class", function()
  for _, class in ipairs(sorted(entries)) do
    if has_methods(class) and not is_module(class) then
      it(class .. " name its methods", function()
        local there, beside = methods_of(class)
        assert(there, "no object of it: add one to spec/support/public_objects.lua")
        local known, wrong, entry = named(class), {}, entries[class]
        local secret, of_others = hidden(entry.module, entry.owner, class), {}
        for _, other in ipairs(beside or {}) do
          named(other, of_others)
          for name in pairs(hidden(entries[other].module, entries[other].owner, other)) do secret[name] = true end
        end
        for _, name in ipairs(sorted(there)) do
          if not known[name] and not secret[name] and not of_others[name] and not tostring(name):find "^__" then
            table.insert(wrong, tostring(name) .. " has no annotation")
          end
        end
        for _, name in ipairs(sorted(known)) do
          if is_function(known[name]) and not there[name] then table.insert(wrong, name .. " is not there") end
        end
        assert.same({}, wrong)
      end)
    end
  end
end)

---------------------------------------------------------------------------------------------------
-- options

local function doc_above(lines, at)
  local doc = {}
  for i = at - 1, 1, -1 do
    if not lines[i]:find "^%-%-%-[^-]" then break end
    table.insert(doc, 1, lines[i])
  end
  return doc
end

-- The class of a parameter of the function around a line.
local function class_of_param(lines, at, param)
  for i = at, 1, -1 do
    if lines[i]:find "^function " or lines[i]:find "^local function " or lines[i]:find "^return function" then
      for _, line in ipairs(doc_above(lines, i)) do
        local name, class = line:match "^%-%-%-@param ([%w_.]+)%??%s+.-(moonpark%.[%w_.]+)"
        if name == param or name == "..." then return class end
      end
      return nil
    end
  end
end

-- Each place where options are checked: the class that its function names, and the table that they are checked by.
local function each_check(visit)
  for _, path in ipairs(paths) do
    local lines, text = {}, read(path)
    for line in (text:find("moonpark.options", 1, true) and text .. "\n" or ""):gmatch "(.-)\n" do
      lines[#lines + 1] = line
    end
    for i, line in ipairs(lines) do
      local call = line:match "check_options(%(.*)$" or line:match "[^%w_]options?[%w_]*%.check(%(.*)$"
      local options, known = (call or ""):match "^%([^,]+, ([%w_]+)[^,]*, ([%w_.]+)[,)]"
      if call and not options then options, known = call:match "^%(([%w_]+), ([%w_.]+)%)" end
      if not call then options, known = line:match "option%.complaint%(([%w_]+), ([%w_.]+)%)" end
      if call and not options and line:find "function check_options" then call = nil end
      if call or options then visit(path, i, known or "", class_of_param(lines, i, options)) end
    end
  end
end

local not_public = { ["lua/moonpark/options.lua"] = true, ["lua/moonpark/check/arguments.lua"] = true,
  ["lua/moonpark/tls/acme.lua"] = true,
  ["lua/moonpark/http/fields.lua"] = true, ["lua/moonpark/http/proxy_options.lua"] = true }

-- Tables of options within options.
local inner = {
  { "lua/moonpark/http/proxy_options.lua", "M.passive_known", "moonpark.http.proxy.passive_options" },
  { "lua/moonpark/http/proxy_check.lua", "M.known", "moonpark.http.proxy.check_options" },
  { "lua/moonpark/http/websocket_extensions.lua", "known", "moonpark.websocket.compress" },
}


-- How the type of an option is written, by what its value must be.
local spelled = { string = "string", boolean = "boolean", ["function"] = "fun%(", table = "[%[{t]", number = "number",
  count = "integer", positive = "integer", seconds = "number", pause = "number", mode = "integer" }

-- Options of that class whose type is another than what is checked, or of which nothing is said.
local function misdescribed(class, known, wrong)
  for _, line in ipairs(entries[class].doc) do
    local parents = line:match "^%-%-%-@class%s+[%w_.]+%s*:%s*([%w_., ]+)"
    for parent in (parents or ""):gmatch "moonpark[%w_.]+" do misdescribed(parent, known, wrong) end
    local name, text = line:match "^%-%-%-@field%s+([%a_][%w_]*)%??%s+(.*)$"
    local of, said = types.split(text or "")
    local kind = name and known[name]
    for one in (type(kind) == "string" and kind or ""):gmatch "[^|]+" do
      if spelled[one] and not of:find(spelled[one]) and not aliases[of] and not entries[of:gsub("%[%]", "")] then
        table.insert(wrong, ("%s is a %s, and annotated as %s"):format(name, kind, of))
      end
    end
    if name and kind ~= nil and not said:find "%w" then table.insert(wrong, name .. ": nothing is said about it") end
  end
end

describe("options", function()
  local count = 0
  local function each(visit)
    each_check(visit)
    for _, one in ipairs(inner) do visit(one[1], 0, one[2], one[3]) end
  end
  each(function(path, line, known, class)
    if not_public[path] and line > 0 then return end
    count = count + 1
    it(("that %s:%d checks by `%s` are a class with these fields"):format(path, line, known), function()
      assert(class, "its function does not name a class of options")
      assert(entries[class], class .. " is not public: no annotation leads to it")
      local module = modules[1]
      for i, other in ipairs(paths) do
        if other == path then module = modules[i] end
      end
      local allowed = known ~= "" and reach.named(require(module), path, known)
      assert(allowed, "what it is checked by is no table with a name")
      local there = keys(allowed)
      assert.same(sorted(there), sorted(named(class)))
      local wrong = {}
      misdescribed(class, allowed, wrong)
      assert.same({}, wrong)
    end)
  end)

  it("are checked in all these places", function() assert(count >= 30, count) end)
end)

---------------------------------------------------------------------------------------------------
-- each annotation

local function each_member(visit)
  for _, class in ipairs(sorted(entries)) do
    for _, member in ipairs(entries[class].members) do visit(class .. "." .. member.name, member) end
  end
end

-- Calls visit(where, line) for all lines of all annotations.
local function each_line(visit)
  for class, entry in pairs(entries) do
    for _, line in ipairs(entry.doc) do visit(class, line) end
  end
  for name, alias in pairs(aliases) do
    for _, line in ipairs(alias.doc) do visit(name, line) end
  end
  each_member(function(where, member)
    for _, line in ipairs(member.doc) do visit(where, line) end
  end)
end

describe("an annotation", function()
  it("of a function names each parameter, in order", function()
    local wrong = {}
    each_member(function(where, member)
      if not member.params then return end
      local declared, written = {}, {}
      local by_type = false
      for _, line in ipairs(member.doc) do
        local name = line:match "^%-%-%-@param ([%w_.]+)"
        if name then declared[#declared + 1] = name end
        by_type = by_type or line:find "^%-%-%-@type fun%(" ~= nil
      end
      for name in member.params:gmatch "[%w_.]+" do written[#written + 1] = name end
      if not by_type and table.concat(declared, ", ") ~= table.concat(written, ", ") then
        table.insert(wrong, ("%s(%s): @param %s"):format(where, member.params, table.concat(declared, ", ")))
      end
    end)
    table.sort(wrong)
    assert.same({}, wrong)
  end)

  it("names classes that there are", function()
    local wrong = {}
    each_line(function(where, line)
      if not line:find "^%-%-%-[@|]" or line:find "^%-%-%-@class" and not line:find ":" then return end
      local of = line:match "^%-%-%-@field%s+%S+%s+(.*)$" or line:match "^%-%-%-@param%s+%S+%s+(.*)$"
        or line:match "^%-%-%-@%a+%s+(.*)$" or line
      of = types.split(of) or of
      types.each_name(of, function(name)
        if not entries[name] and not aliases[name] and not name:find "^moonpark$" then
          table.insert(wrong, where .. ": " .. name)
        end
      end)
    end)
    table.sort(wrong)
    assert.same({}, wrong)
  end)

  it("has types that can be read, and no table without a shape for options", function()
    local wrong = {}
    each_line(function(where, line)
      local name, of = line:match "^%-%-%-@param%s+(%S+)%s+(.*)$"
      if not name then name, of = line:match "^%-%-%-@field%s+([%a_][%w_]*%??)%s+(.*)$" end
      of = of or line:match "^%-%-%-@return%s+(.*)$" or line:match "^%-%-%-@type%s+(.*)$"
      if not of then return end
      local whole, rest = types.split(of)
      if not whole or rest:find "^[^%s,?]" then table.insert(wrong, where .. ": " .. line) end
      local optional = tostring(name):gsub("%?$", "")
      if (optional == "options" or of:find "options%?*: table[,)]") and (of:find "^table" or of:find "^{" or
        of:find "options%?*: table[,)]" or of:find "options%?*: {") then
        table.insert(wrong, where .. ": options without a class: " .. line)
      end
    end)
    table.sort(wrong)
    assert.same({}, wrong)
  end)

  it("of a field names what the sources know", function()
    local text = {}
    for _, path in ipairs(output_lines "find lua/moonpark runtime -name '*.lua' -o -name '*.c' | sort") do
      text[#text + 1] = "\n" .. read(path):gsub("%-%-[^\n]*", "")
    end
    text = table.concat(text)
    local words = {}
    for word in text:gmatch "[%a_][%w_]*" do words[word] = true end
    local wrong = {}
    for _, class in ipairs(sorted(entries)) do
      for name in pairs(named(class)) do
        if not words[name] then table.insert(wrong, class .. "." .. name) end
      end
    end
    assert.same({}, wrong)
  end)
end)

---------------------------------------------------------------------------------------------------
-- the addon and the pages

describe("the addon for editors", function()
  local files = annotations.files(library)

  it("consists of Lua that returns what each module does", function()
    for path, text in pairs(files) do
      if path:find "%.lua$" then
        local chunk = assert(loadstring(text, "@" .. path))
        assert(text:find "^%-%-%-@meta ", path)
        local result = chunk()
        assert.equal(text:find "^%-%-%-@meta moonpark" and "table" or "nil", type(result), path)
      end
    end
    for _, module in ipairs(annotations.modules) do
      local path = module == "moonpark" and "moonpark/init" or module:gsub("%.", "/")
      assert(files["library/" .. path .. ".lua"], module)
    end
  end)

  it("is the one that was built", function()
    local built = {}
    local folder = package.cpath:match "(build/[%w/]+)/%?%.so" .. "/luals/"
    for _, path in ipairs(output_lines("cd " .. folder .. " && find . -type f | sort")) do
      built[path:sub(3)] = read(folder .. path:sub(3))
    end
    local stale = {}
    for path, text in pairs(files) do
      if built[path] ~= text then table.insert(stale, path) end
      built[path] = nil
    end
    assert.same({ stale = {}, others = {} }, { stale = stale, others = built })
  end)

  it("has all modules that scripts may load, as pages and `moonpark` name them", function()
    local wrong, known = {}, {}
    for _, module in ipairs(annotations.modules) do known[module] = true end
    for name in pairs(keys(moonpark)) do
      local module = "moonpark." .. name
      if library.sources[module] and type(moonpark[name]) == "table" and not known[module] then
        table.insert(wrong, module)
      end
    end
    local internal = { ["moonpark.core"] = true, ["moonpark.compat.lapis"] = true, ["moonpark.shared.segments"] = true,
      ["moonpark.ngx"] = true }
    for _, page in ipairs(output_lines "ls README.md docs/*.md") do
      for module in read(page):gmatch "require%s*%(?%s*\"(moonpark[%w_.]*)\"" do
        if not known[module] and not internal[module] then table.insert(wrong, page .. ": " .. module) end
      end
    end
    assert.same({}, wrong)
  end)

  it("has what pages call", function()
    local wrong = {}
    for _, page in ipairs(output_lines "ls README.md docs/*.md") do
      for name, field in (" " .. read(page)):gmatch "[^%w_.:](%l+)%.([%l_]+)[%(%s`{\"]" do
        local module = name == "moonpark" and name or "moonpark." .. name
        if name ~= "ngx" and classes_of[module] and read(page):find(name .. "." .. field .. "(", 1, true) and
          not named(classes_of[module])[field] then
          table.insert(wrong, ("%s: %s.%s"):format(page, name, field))
        end
      end
    end
    assert.same({}, wrong)
  end)

  it("has the methods that pages call", function()
    local of_others = { ["docs/architecture.md"] = "of the core", ["docs/databases.md"] = "of clients",
      ["docs/ngx-socket.md"] = "of cosockets", ["docs/tutorial.md"] = "of the tutorial's own objects",
      ["docs/helpers.md"] = "of the reader's own objects" }
    local methods, wrong = {}, {}
    for class in pairs(entries) do named(class, methods) end
    for _, page in ipairs(output_lines "ls README.md docs/*.md") do
      for object, method in read(page):gmatch "([%a_]+):([%l_]+)%(" do
        if not of_others[page] and not methods[method] and not string[method] then
          table.insert(wrong, ("%s: %s:%s"):format(page, object, method))
        end
      end
    end
    assert.same({}, wrong)
  end)
end)

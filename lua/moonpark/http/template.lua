-- SPDX-License-Identifier: MIT
-- template.lua - http.template and http.templates: pages of HTML with Lua in them, compiled once, escaped by default.

local check_options = require("moonpark.options").check
local fs = require "moonpark.fs"
local html = require "moonpark.http.html"
local in_task = require "moonpark.in_task"
local parse = require "moonpark.http.template_parse"

local M = {}

---------------------------------------------------------------------------------------------------
-- what a template calls to write; level 2 of errors is its line

local raw_text = html.raw_text

local function text_of(value)
  local kind = type(value)
  if kind == "string" then return value end
  if kind == "number" or kind == "boolean" then return tostring(value) end
  local meta = getmetatable(value)
  if type(meta) == "table" and meta.__tostring then return tostring(value) end
  error(kind == "nil" and "there is nothing to write: the value is nil" or "a " .. kind .. " cannot be written", 3)
end

local escape = html.escape

local function write_html(value)
  if type(value) == "string" then return escape(value) end
  local marked = raw_text(value)
  if marked then return marked end
  local text = text_of(value)
  return escape(text)
end

local function write_url(value)
  local text = raw_text(value) or text_of(value)
  return escape(html.safe_url(text))
end

local function write_json(value)
  local marked = raw_text(value)
  if marked then return marked end
  local text, why = html.script_json(value)
  if not text then error(why, 2) end
  return text
end

local function write_raw(value)
  local marked = raw_text(value)
  if marked then return marked end
  local text = text_of(value)
  return text
end

---------------------------------------------------------------------------------------------------
-- compiling

-- What Lua says about what stands between the marks.
local function plain(wrong)
  return (wrong:gsub("near '_[ohujr]'", "before the text that follows")
    :gsub("'end' expected .*near '<eof>'$", "'end' is missing for what was opened before")
    :gsub("'end' expected %(to close 'function' at line 1%) before", "there is an 'end' too many before"))
end

-- -> function() that makes a function(output), a new one for each page: it has an environment of its own
local function compile(text, name)
  local code, wrong = parse.lua_of(text, name)
  if not code then return nil, wrong end
  local chunk
  chunk, wrong = loadstring(code, "@" .. name)
  if not chunk then return nil, plain(wrong) end
  return chunk(write_html, write_url, write_json, write_raw)
end

---------------------------------------------------------------------------------------------------
-- rendering

-- A page that is being made: {find = fn(name) -> template, blocks = {[name] = text}}
local run

local function find(page, what, name)
  if not page.find then error(what .. ": this template has no folder", 3) end
  local template, wrong = page.find(name)
  if not template then error(what .. ": " .. wrong, 3) end
  return template
end

-- What fn writes, taken out of the output again.
local function capture(output, fn)
  local before = #output
  fn()
  local text = table.concat(output, "", before + 1)
  for i = #output, before + 1, -1 do output[i] = nil end
  return text
end

local helpers = { raw = html.raw, escape = html.escape, url = html.encode }

function helpers.json(value)
  local text, why = html.script_json(value)
  if not text then error("json: " .. why, 2) end
  return text
end

local function scope_of(values, outer)
  return setmetatable({}, { __index = function(_, name)
    local value = values[name]
    if value == nil then return outer[name] end
    return value
  end })
end

-- The functions of one page, for its template. -> them, and function() -> the template that the page is put into
local function page_helpers(page, output, env)
  local layout
  local depth = 0 -- of blocks
  local own = {}

  function own.include(name, values)
    local template = find(page, "include", name)
    return html.raw(run(template, page, values and scope_of(values, env) or env))
  end

  function own.layout(name) layout = find(page, "layout", name) end

  -- In a page that has a layout a block goes there; elsewhere here, unless the page has one of that name.
  function own.block(name, fn)
    local blocks = page.blocks
    if not blocks[name] and fn then
      depth = depth + 1
      blocks[name] = capture(output, fn)
      depth = depth - 1
    end
    if not layout or depth > 0 then output[#output + 1] = blocks[name] end
  end

  return own, function() return layout end
end

-- A name is one of the page's own functions, of the values, of the helpers, or of Lua's globals, in this order. What a
-- template sets is its own.
function run(template, page, values)
  local output, own = {}, nil
  local env = setmetatable({}, { __index = function(_, name)
    local value = own[name]
    if value == nil then value = values[name] end
    if value == nil then value = helpers[name] end
    if value == nil then value = _G[name] end
    return value
  end })
  local layout_of
  own, layout_of = page_helpers(page, output, env)
  setfenv(template.make(), env)(output)
  local text, layout = table.concat(output), layout_of()
  if not layout then return text end
  return run(layout, page, scope_of({ content = html.raw(text) }, env))
end

---@class moonpark.http.template
---@field name string for messages
---@field private make fun(): fun(output: string[])
local Template = {}
Template.__index = Template

local none = {}

local function check_values(values, position, level)
  if values ~= nil and type(values) ~= "table" then
    error(("bad argument #%d to 'render' (table expected, got %s)"):format(position, type(values)), level)
  end
  return values or none
end

--- The page with these values. Raises what the template raises, with its line.
---@param values? table<string, any> its names
---@return string
function Template:render(values)
  return (run(self, { find = self.find, blocks = {} }, check_values(values, 1, 3)))
end

---@class moonpark.http.template.options
---@field name? string for messages; "template"

local template_options = { name = "string" }

--- A template of a text. Raises if it cannot be compiled: with the template's name and line.
---@param text string
---@param options? moonpark.http.template.options
---@return moonpark.http.template
function M.template(text, options)
  if type(text) ~= "string" then
    error(("bad argument #1 to 'template' (string expected, got %s)"):format(type(text)), 2)
  end
  local name = check_options("template", options, template_options, 2, 2).name or "template"
  local make, wrong = compile(text, name)
  if not make then error(wrong, 0) end
  return setmetatable({ name = name, make = make }, Template)
end

---------------------------------------------------------------------------------------------------
-- folders

---@class moonpark.http.templates
---@field private folder string
---@field private reload boolean
---@field private kept table<string, moonpark.http.template>
local Templates = {}
Templates.__index = Templates

local function is_name(name)
  return type(name) == "string" and name ~= "" and not name:find "[%z\\]" and not name:find "^/"
    and not ("/" .. name .. "/"):find("/../", 1, true)
end

-- -> the template | nil, wrong
local function load(self, name)
  local path = self.folder .. "/" .. name
  local info, err = fs.stat(path)
  if not info then return nil, ("%s: %s"):format(path, err) end
  local kept = self.kept[name]
  if kept and kept.modified == info.modified and kept.size == info.size then return kept end
  local text
  text, err = fs.read(path)
  if not text then return nil, ("%s: %s"):format(path, err) end
  local make, wrong = compile(text, path)
  if not make then return nil, wrong end
  local template = setmetatable({ name = path, make = make, modified = info.modified, size = info.size,
    find = self.find }, Template)
  self.kept[name] = template
  return template
end

local function template_of(self, name)
  if not is_name(name) then return nil, ("'%s' is no name of a template"):format(tostring(name)) end
  local kept = self.kept[name]
  if kept and not self.reload then return kept end
  return in_task.call(load, self, name)
end

--- A page of the template of that name. Raises if there is none, if it cannot be compiled, and what it raises.
---@param name string of the file, below the folder
---@param values? table<string, any>
---@return string
function Templates:render(name, values)
  check_values(values, 2, 3)
  local template, wrong = template_of(self, name)
  if not template then error("render: " .. wrong, 2) end
  local page = template:render(values)
  return page
end

---@class moonpark.http.templates.options
---@field reload? boolean looks at each use whether the file has changed; false

local folder_options = { reload = "boolean" }

--- The templates of a folder. Each is compiled when it is asked for first, and kept.
---@param folder string
---@param options? moonpark.http.templates.options
---@return moonpark.http.templates
function M.templates(folder, options)
  if type(folder) ~= "string" then
    error(("bad argument #1 to 'templates' (path of a folder expected, got %s)"):format(type(folder)), 2)
  end
  local reload = check_options("templates", options, folder_options, 2, 2).reload or false
  local self = setmetatable({ folder = folder, reload = reload, kept = {} }, Templates)
  self.find = function(name) return template_of(self, name) end
  return self
end

return M

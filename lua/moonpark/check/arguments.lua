-- SPDX-License-Identifier: MIT
-- arguments.lua - findings of arguments: options that there are none of, and literals that are not what is expected.

local classes = require "moonpark.check.classes"
local option = require "moonpark.options"
local options_of = require "moonpark.check.options"
local signatures = require "moonpark.signatures"
local spelling = require "moonpark.spelling"
local types = require "moonpark.signatures.types"
local values = require "moonpark.check.values"

local M = {}

local words = { string = "string", number = "number", ["true"] = "boolean", ["false"] = "boolean", table = "table",
  ["function"] = "function" }

-- What a literal's value is, for those that one can be made of.
local function literal(node)
  if node.tag == "string" and not node.value:find("\\", 1, true) then return node.value end
  if node.tag == "number" then return tonumber(node.value) end
  if node.tag == "true" then return true end
  if node.tag == "false" then return false end
end

-- From the code; or from a class of options, where the code hands them on in other tables.
local function known_options(fn, position, param)
  local known = fn and options_of.of(fn, position)
  local class = not known and param and param.type:match "^([%w_.]*options)$"
  local members = class and classes.members(class)
  if not members then return known end
  known = {}
  for name in pairs(members) do known[name] = false end
  return known
end

-- An option that has to be given and is not, or nil; a table whose keys are not all known has it perhaps.
local function needed(param, node)
  local class = param and types.alternatives(param.type)[1]
  local members, given, found = class and class:find "options$" and classes.members(class), {}, nil
  for _, key in ipairs(node.keys) do
    if not key then return nil end
    given[key.text] = true
  end
  for name in pairs(members or {}) do
    local entry = signatures.member(class, name)
    local is_optional = not entry or not entry.type or entry.type:find "%?$" ~= nil
    for _, kind in ipairs(entry and entry.type and types.alternatives(entry.type) or {}) do
      if kind == "nil" then is_optional = true end
    end
    if not is_optional and not given[name] and (not found or name < found) then found = name end
  end
  return found
end

-- An unknown option is perhaps the one that is needed, under another name; unless it is a slip of the fingers.
local function with_needed(wrong, param, node)
  local unknown, meant = wrong:match "^unknown option '(.-)'", wrong:match "did you mean '(.-)'"
  if not unknown or meant and spelling.is_slip(unknown, meant) then return wrong end
  local name = needed(param, node)
  if not name then return wrong end
  return ("%s; '%s' is needed"):format(wrong:match "^[^;]*", name)
end

local function check_options(state, known, name, node, param)
  if not known then return end
  for i, key in ipairs(node.keys) do
    local value = key and literal(node[i])
    if key and value == nil and known[key.text] == nil then value = true end -- the name is wrong, whatever it is
    local ok, wrong = pcall(option.complaint, { [key and key.text or 1] = value }, known)
    if key and ok and wrong then state.add(key, ("%s: %s"):format(name, with_needed(wrong, param, node))) end
  end
end

-- What an alternative of a type takes: "string", "number", ...; nil: it may be anything.
local function taken_by(kind)
  if kind == "string" or kind:find '^"' then return "string" end
  if kind == "number" or kind == "integer" then return "number" end
  if kind == "boolean" or kind == "true" or kind == "false" then return "boolean" end
  if kind == "function" or kind:find "^fun%(" then return "function" end
  if kind == "table" or kind:find "^[{]" or kind:find "%[%]$" or kind:find "^table<" then return "table" end
  if kind == "nil" then return "nil" end
  return classes.members(kind) and "table" or nil
end

local texts = { ["function"] = "a function", table = "a table", string = "a string", number = "a number",
  boolean = "a boolean" }
local place = { address = true, url = true, path = true, prefix = true, folder = true, host = true }

-- May a literal of that type be passed there? Numbers are texts to C, and texts of numbers numbers.
local function fits(given, node, taken, name)
  if taken[given] then return true end
  if given == "number" and taken.string then return not place[name] end
  if given == "string" and taken.number then return tonumber(node.value) ~= nil end
  if given == "boolean" then return taken.string or taken.number end
  if given == "function" then return taken.table end -- a table that can be called, and the other way round
  if given == "table" then return taken["function"] end
  return false
end

local function expected(taken)
  local list = {}
  for name in pairs(taken) do list[#list + 1] = texts[name] end
  table.sort(list)
  return table.concat(list, " or ")
end

local function is_function(kind)
  local first = types.alternatives(kind)[1]
  return first == "function" or first:find "^fun%(" ~= nil
end

-- http.logger in place of http.logger(): what makes a handler is passed as if it were one.
local function check_maker(state, name, param, node)
  local fn = node.tag == "index" and values.infer(node)
  local makes = fn and fn.name and fn.signature and fn.signature.returns[1]
  if not makes or not is_function(makes) or not is_function(param.type) then return end
  state.add(node, ("%s: %s makes what is expected here: use %s()"):format(name, fn.name, fn.name))
end

-- What is said besides of a literal of that type: what was meant is done otherwise.
local advice = { ["router:use"] = { string = ": app:group and app:mount work below a path" } }

-- A parameter that must not be given: its text says why.
local function check_none(state, name, param, node)
  state.add(node, ("%s: %s"):format(name, param.text or ("'%s' must not be given"):format(param.name)))
end

-- app:get("/", first, second): its annotation ends before; that of route() says what is wrong.
local function check_second_handler(state, name, node)
  if node.tag ~= "function" or not name:find "^router:%l+$" then return end
  local route = classes.class_field("moonpark.http.router", "route")
  local last = route and route.signature and route.signature.params[4]
  if last then check_none(state, name, last, node) end
end

-- -> true: it is wrong
local function check_type(state, name, param, node)
  check_maker(state, name, param, node)
  local given = words[node.tag]
  if not given or param.type == "any" then return end
  if param.type == "nil" then return check_none(state, name, param, node) end
  local taken = {}
  for _, kind in ipairs(types.alternatives(param.type)) do
    local one = taken_by(kind)
    if not one then return end
    taken[one] = true
  end
  if fits(given, node, taken, param.name) then return end
  local hint = given == "number" and param.name == "address" and (' (":%s"?)'):format(node.value)
    or advice[name] and advice[name][given] or ""
  state.add(node, ("%s: '%s' must be %s, not %s%s"):format(name, param.name, expected(taken), texts[given], hint))
  return true
end

--- Judges a call.
---@param state moonpark.check.state
---@param node moonpark.check.node
function M.judge(state, node)
  if node.tag ~= "call" and node.tag ~= "method" then return end
  local fn, first = values.called(node)
  if not fn or not fn.name or node.tag == "call" and fn.is_method then return end -- its object comes first
  local params = fn.signature and fn.signature.params or {}
  local has_self = node.tag == "method" and 1 or 0
  for i = first, #node do
    local param = params[i - first + 1]
    if node[i].tag == "table" then
      check_options(state, known_options(fn.fn, i - first + 1 + has_self, param), fn.name, node[i], param)
    end
    if not param then check_second_handler(state, fn.name, node[i]) end
    -- Those after a wrong one are only in another place.
    if param and param.name ~= "..." and check_type(state, fn.name, param, node[i]) then return end
  end
end

return M

-- SPDX-License-Identifier: MIT
-- names.lua - which names of a script certainly are one of moonpark's modules, or a connection.
--
-- Scopes are not followed. A name counts if every place of the script that binds it, as a local, a parameter or by
-- an assignment, gives it the same meaning.

local M = {}

---@class moonpark.check.names
---@field modules table<string, string> [name] = "moonpark.net"
---@field connections table<string, true>
---@field bound table<string, true> every name that the script binds

local OTHER = "?"
M.OTHER = OTHER

local function is(token, text) return token ~= nil and token.text == text and token.kind ~= "string" end

-- require "x", require("x") at that place. -> x, the place after it
function M.required(tokens, i)
  if not is(tokens[i], "require") or is(tokens[i - 1], ".") or is(tokens[i - 1], ":") then return nil end
  local open = is(tokens[i + 1], "(")
  local name = tokens[i + (open and 2 or 1)]
  if not name or name.kind ~= "string" then return nil end
  if open and not is(tokens[i + 3], ")") then return nil end
  return name.text, i + (open and 4 or 2)
end

-- Is the expression over before tokens[i]?
function M.ends_at(tokens, i)
  local token = tokens[i]
  if not token then return true end
  if token.kind == "string" then return false end
  return not (token.text:find "^[.:%[({+%-*/%%^=~<>]" or token.text == "and" or token.text == "or")
end

local makers = { dial = true, listen = true }

-- What the expression at that place is: a module's name, "connection", or OTHER.
local function kind_of(tokens, i, modules)
  local module, behind = M.required(tokens, i)
  if module then return M.ends_at(tokens, behind) and module or OTHER end
  if is(tokens[i], "assert") and is(tokens[i + 1], "(") then i = i + 2 end
  local first, dot, field = tokens[i], tokens[i + 1], tokens[i + 2]
  if not field or first.kind ~= "name" then return OTHER end
  local of = modules[first.text]
  local called = tokens[i + 3] and (is(tokens[i + 3], "(") or tokens[i + 3].kind == "string")
  if is(dot, ":") and field.text == "accept" and called then return "connection" end
  if not is(dot, ".") or not of then return OTHER end
  if of == "moonpark.net" and makers[field.text] and called then return "connection" end
  if of == "moonpark" and M.ends_at(tokens, i + 3) then return "moonpark." .. field.text end
  return OTHER
end

-- Reads "a, b, c" from that place on. -> names, the place after them
local function name_list(tokens, i)
  local names = {}
  while tokens[i] and (tokens[i].kind == "name" or is(tokens[i], "...")) do
    names[#names + 1] = tokens[i].text
    i = i + 1
    if not is(tokens[i], ",") then break end
    i = i + 1
  end
  return names, i
end

-- Each binder: fn(tokens, i, bind, kind_at); i is the index of its keyword
local binders = {}

binders["local"] = function(tokens, i, bind, kind_at)
  if is(tokens[i + 1], "function") then return bind(tokens[i + 2].text, OTHER) end
  local names, behind = name_list(tokens, i + 1)
  local kind = is(tokens[behind], "=") and kind_at(behind + 1) or OTHER
  for n, name in ipairs(names) do bind(name, n == 1 and kind or OTHER) end
end

binders["for"] = function(tokens, i, bind)
  local names, behind = name_list(tokens, i + 1)
  local accepts = is(tokens[behind], "in") and is(tokens[behind + 2], ":") and is(tokens[behind + 3], "accepts")
  for n, name in ipairs(names) do bind(name, n == 1 and accepts and "connection" or OTHER) end
end

binders["function"] = function(tokens, i, bind)
  local handler = is(tokens[i - 1], "(") and is(tokens[i - 2], "serve") and is(tokens[i - 3], ":")
  local at = i + 1
  if tokens[at].kind == "name" and is(tokens[at + 1], "(") and not is(tokens[i - 1], "local") then
    bind(tokens[at].text, OTHER)
  end
  while not is(tokens[at], "(") do at = at + 1 end
  for n, name in ipairs((name_list(tokens, at + 1))) do bind(name, n == 1 and handler and "connection" or OTHER) end
end

-- a, b = ...: the names before the sign, if no `local` or `for` precedes them
binders["="] = function(tokens, i, bind)
  local at, names = i - 1, {}
  while tokens[at] and tokens[at].kind == "name" and not is(tokens[at - 1], ".") do
    names[#names + 1] = tokens[at].text
    at = at - 1
    if not is(tokens[at], ",") then break end
    at = at - 1
  end
  if is(tokens[at], "local") or is(tokens[at], "for") then return end
  for _, name in ipairs(names) do bind(name, OTHER) end
end

--- What the names of a script are: [name] = kind, or OTHER if it is not certain.
---@param tokens moonpark.check.token[]
---@param kind_at fun(i: integer): string what the expression at that place is
---@return table<string, string>
function M.bindings(tokens, kind_at)
  local kinds = {}
  local function bind(name, kind)
    kinds[name] = (kinds[name] == nil or kinds[name] == kind) and kind or OTHER
  end
  for i, token in ipairs(tokens) do
    local binder = token.kind ~= "string" and binders[token.text]
    if binder then binder(tokens, i, bind, kind_at) end
  end
  return kinds
end

local function modules_of(kinds)
  local modules = {}
  for name, kind in pairs(kinds) do
    if kind == "moonpark" or kind:find "^moonpark%." then modules[name] = kind end
  end
  return modules
end

--- What is certain about the names of a script. Twice over: `local net = moonpark.net` needs to know moonpark, and
--- a connection's maker needs net.
---@param tokens moonpark.check.token[]
---@return moonpark.check.names
function M.read(tokens)
  local kinds
  local names = { modules = {}, connections = {}, bound = {} }
  for _ = 1, 3 do
    kinds = M.bindings(tokens, function(i) return kind_of(tokens, i, names.modules) end)
    names.modules = modules_of(kinds)
  end
  for name, kind in pairs(kinds) do
    names.bound[name] = true
    if kind == "connection" then names.connections[name] = true end
  end
  return names
end

return M

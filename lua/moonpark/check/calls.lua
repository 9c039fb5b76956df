-- SPDX-License-Identifier: MIT
-- calls.lua - calls that are mistakes: those that block the whole loop, and moonpark.go of a call. What follows values
-- through the script is in judge.lua.

local facades = require "moonpark.check.facades"
local judge = require "moonpark.check.judge"
local names_of = require "moonpark.check.names"
local tree = require "moonpark.check.tree"

local M = {}

local function is(token, text) return token ~= nil and token.text == text and token.kind ~= "string" end

local function is_field(tokens, i) return is(tokens[i - 1], ".") or is(tokens[i - 1], ":") end

---------------------------------------------------------------------------------------------------
-- what the loop waits for

local blocking = {
  { "os", ".", "execute", "(", use = "use moonpark.process.run" },
  { "io", ".", "popen", "(", use = "use moonpark.process.run, or spawn to read while it runs" },
  { "io", ".", "read", "(", use = "no task runs until a line arrives" },
  { "io", ".", "lines", "(", ")", use = "no task runs until a line arrives" },
  { "io", ".", "stdin", ":", "read", use = "no task runs until a line arrives" },
  { "io", ".", "stdin", ":", "lines", use = "no task runs until a line arrives" },
}

-- Libraries over sockets of their own: what moonpark has instead, besides a façade.
local sockets = { socket = "moonpark.net", ["socket.core"] = "moonpark.net", ssl = "moonpark.tls",
  ["socket.unix"] = "moonpark.net with unix:/path", ["socket.http"] = "http.get of moonpark.http",
  ["ssl.https"] = "http.get of moonpark.http", ["socket.smtp"] = false, ["socket.ftp"] = false }
-- Those that no façade helps, because they wait in C.
local bindings = { ["luasql.postgres"] = "pgmoon", ["luasql.mysql"] = "lua-resty-mysql", cqueues = "moonpark's tasks",
  copas = "moonpark's tasks", luv = "moonpark's tasks" }

local function matches(tokens, i, pattern)
  for n, text in ipairs(pattern) do
    local token = tokens[i + n - 1]
    local call = text == "(" and token and token.kind == "string"
    if not call and not is(token, text) then return false end
  end
  return true
end

local function check_library(name, token, state)
  local instead = sockets[name]
  if instead ~= nil and not state.facades then
    state.add(token.line, ("warning: '%s' blocks the whole loop: %sinstall a façade: moonpark.compat"):format(name,
      instead and ("use %s, or "):format(instead) or ""), token.column)
  elseif bindings[name] then
    state.add(token.line, ("warning: '%s' blocks the whole loop: use %s"):format(name, bindings[name]), token.column)
  end
end

local function check_blocking(tokens, i, state)
  if not state.waits or tokens[i].kind ~= "name" then return end
  for _, pattern in ipairs(blocking) do
    if matches(tokens, i, pattern) and not is_field(tokens, i) and not state.names.bound[pattern[1]] then
      state.add(tokens[i].line, ("warning: %s blocks the whole loop: %s"):format(
        table.concat(pattern):gsub("%(%)?$", ""), pattern.use), tokens[i].column)
    end
  end
  check_library(names_of.required(tokens, i), tokens[i], state)
end

---------------------------------------------------------------------------------------------------
-- moonpark.go(f())

local openers = { ["function"] = true, ["do"] = true, ["if"] = true, ["repeat"] = true, ["("] = true, ["{"] = true,
  ["["] = true }
local closers = { ["end"] = true, ["until"] = true, [")"] = true, ["}"] = true, ["]"] = true }

-- The place of what closes the opener at that place.
local function closing(tokens, i)
  local depth = 0
  for at = i, #tokens do
    local text = tokens[at].kind ~= "string" and tokens[at].text
    if openers[text] then depth = depth + 1 end
    if closers[text] then depth = depth - 1 end
    if depth == 0 then return at end
  end
  return #tokens
end

-- Does the function at that place return something? Functions in it are not looked into.
local function returns(tokens, i)
  local last, at = closing(tokens, i), i + 1
  while at < last do
    if is(tokens[at], "function") then
      at = closing(tokens, at)
    elseif is(tokens[at], "return") then
      return not is(tokens[at + 1], "end") and not is(tokens[at + 1], "else") and not is(tokens[at + 1], ";")
    end
    at = at + 1
  end
  return false
end

-- The names of local functions that return nothing; [name] = false if another of that name does.
local function procedures(tokens)
  local found = {}
  for i, token in ipairs(tokens) do
    if is(token, "function") and tokens[i + 1].kind == "name" and is(tokens[i + 2], "(") then
      local name = tokens[i + 1].text
      found[name] = found[name] ~= false and is(tokens[i - 1], "local") and not returns(tokens, i)
    end
  end
  return found
end

-- The call at that place, if it certainly returns no function. -> its text, the place of its bracket
local function certain_call(tokens, i, state)
  local name, sign, method = tokens[i], tokens[i + 1], tokens[i + 2]
  if name.kind ~= "name" then return nil end
  if is(sign, "(") and state.procedures[name.text] then return name.text, i + 1 end
  if not method or not is(tokens[i + 3], "(") then return nil end
  local text = name.text .. sign.text .. method.text
  if is(sign, ".") and state.names.modules[name.text] then return text, i + 3 end
  if is(sign, ":") and state.names.connections[name.text] and method.text ~= "lines" and method.text ~= "accepts" then
    return text, i + 3
  end
end

local function check_go(tokens, i, state)
  if state.names.modules[tokens[i].text] ~= "moonpark" or is_field(tokens, i) then return end
  if not (is(tokens[i + 1], ".") and is(tokens[i + 2], "go") and is(tokens[i + 3], "(")) then return end
  local called, bracket = certain_call(tokens, i + 4, state)
  local after = called and tokens[closing(tokens, bracket) + 1]
  if not is(after, ")") and not is(after, ",") then return end
  local name = tokens[i].text
  local better = called:find ":" and called:gsub("^(.-):(.*)$", "%1.%2, %1") or called
  state.add(tokens[i].line, ("%s.go(%s(...)) calls it here and starts what it returns: use %s.go(%s, ...)"):format(name,
    called, name, better), tokens[i].column)
end

---------------------------------------------------------------------------------------------------

local function uses_moonpark(tokens)
  for i = 1, #tokens do
    local module = names_of.required(tokens, i)
    if module and module:find "^moonpark%f[^%w_]" then return true end
  end
  return false
end

--- The findings of one script.
---@param tokens moonpark.check.token[]
---@param path string
---@param add fun(line: integer, text: string, column?: integer)
function M.judge(tokens, path, add)
  local names = names_of.read(tokens)
  local state = { names = names, add = add, procedures = procedures(tokens),
    waits = uses_moonpark(tokens) and not path:find "_spec%.lua$", -- in a test no other task needs to run
    facades = facades.may_be_used(tokens) }
  for i = 1, #tokens do
    check_blocking(tokens, i, state)
    check_go(tokens, i, state)
  end
  facades.judge(tokens, add)
  local root = uses_moonpark(tokens) and tree.read(tokens)
  if root then judge.judge(root, path, function(place, text) add(place.line, text, place.column) end) end
end

return M

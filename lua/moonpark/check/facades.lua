-- SPDX-License-Identifier: MIT
-- facades.lua - names of `ngx` and of LuaSocket that a library uses and that the façades do not have.

local names_of = require "moonpark.check.names"

local M = {}

-- Tables of ngx whose fields are known; what the others hold is the script's.
local closed = { socket = true, re = true, req = true, resp = true, thread = true, timer = true, worker = true }

local sockets = { socket = "moonpark.luasocket.core", ["socket.core"] = "moonpark.luasocket.core" }
-- What LuaSocket's own Lua file adds to socket.core.
local of_lua = { bind = true, try = true, choose = true, source = true, sink = true, sourcet = true, sinkt = true,
  connect4 = true, connect6 = true, BLOCKSIZE = true }

local function is(token, text) return token ~= nil and token.text == text and token.kind ~= "string" end

--- Does the script install façades, or is it a library that may run on them?
---@param tokens moonpark.check.token[]
---@return boolean
function M.may_be_used(tokens)
  local uses = false
  for i = 1, #tokens do
    local module = names_of.required(tokens, i)
    if module == "moonpark.compat" then return true end
    uses = uses or module ~= nil and module:find "^moonpark%f[^%w_]" ~= nil
  end
  return not uses
end

-- Is the name `ngx` only ever the table itself: `local ngx = ngx`?
local function is_global(tokens, bound)
  if not bound.ngx then return true end
  for i, token in ipairs(tokens) do
    local is_itself = is(tokens[i + 2], "=") and is(tokens[i + 3], "ngx")
    if is(token, "local") and is(tokens[i + 1], "ngx") and not is_itself then return false end
  end
  return true
end

local function check_ngx(tokens, i, facade, add)
  if not is(tokens[i], "ngx") or is(tokens[i - 1], ".") or is(tokens[i - 1], ":") then return end
  local name = is(tokens[i + 1], ".") and tokens[i + 2] or nil
  if not name or name.kind ~= "name" then return end
  local sub = closed[name.text] and is(tokens[i + 3], ".") and tokens[i + 4] or nil
  local wrong = facade.missing(name.text, sub and sub.text)
  if wrong then add(name.line, wrong) end
end

-- [local name] = true, of those that are LuaSocket's module
local function socket_names(tokens, names)
  local found = {}
  for i = 1, #tokens do
    local module = names_of.required(tokens, i)
    local name = tokens[i - 2]
    if sockets[module] and is(tokens[i - 1], "=") and name and name.kind == "name" and names.bound[name.text] then
      found[name.text] = true
    end
  end
  return found
end

-- The field of LuaSocket's module that stands at that place, or nil.
local function field_at(tokens, i, mine)
  if not mine[tokens[i].text] or tokens[i].kind ~= "name" or is(tokens[i - 1], ".") then return nil end
  local name = is(tokens[i + 1], ".") and tokens[i + 2] or nil
  return name and name.kind == "name" and name or nil
end

-- Its own modules add themselves to it.
local function added_fields(tokens, mine)
  local added = {}
  for i = 1, #tokens do
    local name = field_at(tokens, i, mine)
    if name and is(tokens[i + 3], "=") then added[name.text] = true end
  end
  return added
end

local function check_socket(tokens, i, mine, known, add)
  local name = field_at(tokens, i, mine)
  if name and known.core[name.text] == nil and not of_lua[name.text] and not known.added[name.text] then
    add(name.line, ("socket.%s is not there on moonpark: see docs/luasocket.md"):format(name.text))
  end
end

--- The findings of one script.
---@param tokens moonpark.check.token[]
---@param names moonpark.check.names
---@param add fun(line: integer, text: string)
function M.judge(tokens, names, add)
  if not M.may_be_used(tokens) then return end
  local mine = socket_names(tokens, names)
  local facade = is_global(tokens, names.bound) and require "moonpark.ngx" or nil
  local known = next(mine) and { core = require "moonpark.luasocket.core", added = added_fields(tokens, mine) }
  for i = 1, #tokens do
    if facade then check_ngx(tokens, i, facade, add) end
    if known then check_socket(tokens, i, mine, known, add) end
  end
end

return M

-- SPDX-License-Identifier: MIT
-- facades.lua - names of `ngx`, LuaSocket and LuaSec that a library uses and that the façades do not have: fields of
-- their tables and modules, and methods of the objects that these make.
--
-- A value that is known has a path: "ngx.socket", "socket.dns", or "cosocket", what ngx.socket.tcp() returns.

local names_of = require "moonpark.check.names"
local shapes = require "moonpark.check.facade_shapes"
local spelling = require "moonpark.spelling"

local M = {}

local OTHER = names_of.OTHER

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

---------------------------------------------------------------------------------------------------
-- expressions

local openers, closers = { ["("] = true, ["["] = true, ["{"] = true }, { [")"] = true, ["]"] = true, ["}"] = true }

-- The place after the bracket that closes the one at that place.
local function behind_bracket(tokens, i)
  local depth = 0
  for at = i, #tokens do
    local token = tokens[at]
    if token.kind ~= "string" then
      if openers[token.text] then depth = depth + 1 end
      if closers[token.text] then depth = depth - 1 end
      if depth == 0 then return at + 1 end
    end
  end
  return #tokens + 1
end

-- What begins at that place: its path, the place after it; or nil.
local function base_at(tokens, i, kinds)
  if is(tokens[i - 1], ".") or is(tokens[i - 1], ":") then return nil end
  local module, behind = names_of.required(tokens, i)
  if module then return shapes.module_path(module), behind end
  local token = tokens[i]
  if token.kind ~= "name" then return nil end
  local kind = kinds[token.text]
  if token.text == "ngx" and kind == nil then kind = "ngx" end
  return kind ~= OTHER and kind or nil, i + 1
end

-- The name that a suffix at that place asks for, the place after the suffix: .name, ["name"].
local function field_at(tokens, i)
  local name = tokens[i + 1]
  if is(tokens[i], ".") and name and name.kind == "name" then return name, i + 2 end
  if is(tokens[i], "[") and name and name.kind == "string" and is(tokens[i + 2], "]") then return name, i + 3 end
end

-- Follows what begins at that place as far as it is known. visit(path, name, i, is_method): a known value is asked for
-- that name; i is the place after it. -> its path, or nil; the place after it
local function follow(tokens, i, kinds, visit)
  local path, at = base_at(tokens, i, kinds)
  while path do
    local token = tokens[at]
    local name, behind = field_at(tokens, at)
    if name then
      if visit then visit(path, name, behind, false) end
      path, at = shapes.field(path, name.text), behind
    elseif is(token, ":") and tokens[at + 1] then
      if visit then visit(path, tokens[at + 1], at + 2, true) end
      return nil
    elseif is(token, "(") or is(token, "{") then
      path, at = shapes.made_by(path), behind_bracket(tokens, at)
    elseif token and token.kind == "string" then
      path, at = shapes.made_by(path), at + 1
    else
      break
    end
  end
  return path, at
end

-- [name] = path of those names that always are the same known value
local function kinds_of(tokens)
  local kinds = {}
  for _ = 1, 3 do
    local before = kinds
    kinds = names_of.bindings(tokens, function(i)
      local is_asserted = is(tokens[i], "assert") and is(tokens[i + 1], "(")
      local path, behind = follow(tokens, is_asserted and i + 2 or i, before)
      if path and (is_asserted or names_of.ends_at(tokens, behind)) then return path end
      return OTHER
    end)
  end
  return kinds
end

---------------------------------------------------------------------------------------------------
-- findings

local tests = { ["then"] = true, ["or"] = true, ["and"] = true, ["=="] = true, ["~="] = true }

-- Names that the script itself adds, and those that it looks for before it uses them.
local function excused_names(tokens, kinds)
  local excused = {}
  for i = 1, #tokens do
    local start = i
    follow(tokens, i, kinds, function(path, name, behind)
      local after = tokens[behind]
      local is_written = is(after, "=") or is(tokens[start - 1], "function")
      local is_tested = after and after.kind ~= "string" and tests[after.text] or is(tokens[start - 1], "not")
      is_tested = is_tested and not shapes.raises(path, name.text)
      if is_written or is_tested then excused[path .. "." .. name.text] = true end
    end)
  end
  return excused
end

local function did_you_mean(word, words)
  local meant = spelling.nearest(word, words)
  return meant and (" (did you mean '%s'?)"):format(meant) or ""
end

-- What is wrong with asking that value for that name, or nil.
local function complaint(path, name, is_method)
  if name:find "^_" then return nil end
  local methods = shapes.methods(path)
  if methods then
    if not is_method or methods[name] ~= nil then return nil end
    local known = {}
    for each in pairs(methods) do known[#known + 1] = each end
    return ("%s has no method '%s'%s"):format(shapes.title(path), name, did_you_mean(name, known))
  end
  local text, known = shapes.missing(path, name)
  return text and text .. (known and did_you_mean(name, known) or "")
end

--- The findings of one script.
---@param tokens moonpark.check.token[]
---@param add fun(line: integer, text: string, column: integer)
function M.judge(tokens, add)
  if not M.may_be_used(tokens) then return end
  local kinds = kinds_of(tokens)
  local excused = excused_names(tokens, kinds)
  for i = 1, #tokens do
    follow(tokens, i, kinds, function(path, name, _, is_method)
      if excused[path .. "." .. name.text] then return end
      local wrong = complaint(path, name.text, is_method)
      if wrong then add(name.line, wrong, name.column) end
    end)
  end
end

return M

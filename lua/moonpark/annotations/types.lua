-- SPDX-License-Identifier: MIT
-- types.lua - reads types as annotations write them: fun(a: string, b?: integer): true|nil, string?

local M = {}

local take -- below

local function blank(text, at) return text:match("^%s*()", at) end

local pairs_of = { ["("] = ")", ["{"] = "}", ["<"] = ">", ["["] = "]" }

-- The place after the bracket that closes the one at that place.
local function closing(text, at)
  local open = text:sub(at, at)
  local close, depth = pairs_of[open], 0
  while at <= #text do
    local char = text:sub(at, at)
    if char == '"' then
      at = text:find('"', at + 1, true) or #text
    elseif char == open then
      depth = depth + 1
    elseif char == close then
      depth = depth - 1
      if depth == 0 then return at + 1 end
    end
    at = at + 1
  end
  return nil
end

-- The returns of a function type, from that place on. -> list, the place after them
local function results(text, at)
  local list = {}
  repeat
    at = blank(text, at)
    local name, behind = text:match("^([%a_][%w_]*):%s()", at) -- fun(): ok: boolean
    if text:find("^%.%.%.[^:]", at) or text:find("^%.%.%.$", at) then
      list[#list + 1], at = "any ...", at + 3
    else
      if name then at = behind end
      local from = at
      at = take(text, at)
      if not at then return list, from end
      local rest, after = text:match("^ (%.%.%.)()", at)
      list[#list + 1] = text:sub(from, at - 1) .. (rest and " ..." or "")
      at = after or at
    end
    local comma = text:match("^%s*,()", at)
    local more = comma ~= nil
    at = comma or at
  until not more
  return list, at
end

local function atom(text, at)
  local char = text:sub(at, at)
  if char == '"' then
    local last = text:find('"', at + 1, true)
    return last and last + 1
  end
  if char == "{" or char == "(" then return closing(text, at) end
  if text:find("^fun%(", at) then
    at = closing(text, at + 3)
    local colon = at and text:match("^%s*:()", at)
    if not colon then return at end
    local _, behind = results(text, colon)
    return behind
  end
  local behind = text:match("^%-?[%w_][%w_.]*()", at)
  if behind and text:sub(behind, behind) == "<" then return closing(text, behind) end
  return behind
end

-- The place after the type at that place, or nil.
function take(text, at)
  at = atom(text, at)
  if not at then return nil end
  at = text:match("^[%[%]?]*()", at)
  local bar = text:match("^%s?|%s?()", at)
  if bar then return take(text, bar) end
  return at
end

--- The type at the beginning of a text, and what follows it.
---@param text string
---@return string|nil type
---@return string rest
function M.split(text)
  local from = blank(text, 1)
  local behind = take(text, from)
  if not behind then return nil, text end
  return text:sub(from, behind - 1), text:sub(behind)
end

-- Splits at commas that are in no bracket and no string.
local function commas(text)
  local list, from, at = {}, 1, 1
  while at <= #text do
    local char = text:sub(at, at)
    if char == '"' then
      at = (text:find('"', at + 1, true) or #text) + 1
    elseif pairs_of[char] then
      at = closing(text, at) or #text + 1
    elseif char == "," then
      list[#list + 1] = text:sub(from, at - 1)
      from, at = at + 1, at + 1
    else
      at = at + 1
    end
  end
  if text:find("%S", from) then list[#list + 1] = text:sub(from) end
  return list
end

--- The parts of a function's type.
---@param text string "fun(a: string, b?: integer): true|nil, string? what follows"
---@return {name: string, optional: boolean, type: string}[]|nil params nil: that is no function's type
---@return string[]? results
---@return string? rest what follows the type
function M.of_function(text)
  if not text:find "^fun%(" then return nil end
  local behind = closing(text, 4)
  if not behind then return nil end
  local params = {}
  for _, part in ipairs(commas(text:sub(5, behind - 2))) do
    local name, optional, of = part:match "^%s*([%w_.]+)(%??)%s*:?%s*(.-)%s*$"
    params[#params + 1] = { name = name, optional = optional == "?", type = of ~= "" and of or "any" }
  end
  local colon = text:match("^%s*:()", behind)
  local list = {}
  if colon then list, behind = results(text, colon) end
  return params, list, text:sub(behind)
end

--- Calls visit with the name of each type of ours that a text mentions.
---@param text string
---@param visit fun(name: string)
function M.each_name(text, visit)
  for name in text:gmatch "moonpark[%w_.]*" do visit((name:gsub("%.+$", ""))) end
end

return M

-- SPDX-License-Identifier: MIT
-- tokens.lua - the words of a Lua script. It need not be more exact than LuaJIT's own parser, which has
-- accepted the script before it comes here.

local M = {}

---@class moonpark.check.token
---@field kind "name"|"keyword"|"string"|"number"|"operator"
---@field text string of a string: what is between the quotes, escapes as they are written
---@field line integer
---@field column integer bytes from the line's start, the first is 1

local keywords = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat return then true
  until while]]):gmatch "%a+" do keywords[word] = true end

local operators = { "...", "..", "==", "~=", "<=", ">=", "::" }

local function count_lines(text) return select(2, text:gsub("\n", "")) end

-- A long bracket at that place. -> its content, the place after it
local function long_bracket(text, at)
  local level, content, behind = text:match("^%[(=*)%[()", at)
  if not level then return nil end
  local from, to = text:find("]" .. level .. "]", content, true)
  return text:sub(content, (from or #text + 1) - 1), (to or #text) + 1, behind
end

-- A string in quotes at that place. -> its content, the place after it
local function quoted(text, at)
  local quote, i = text:sub(at, at), at + 1
  while i <= #text and text:sub(i, i) ~= quote do
    i = i + (text:sub(i, i) == "\\" and 2 or 1)
  end
  return text:sub(at + 1, i - 1), i + 1
end

-- -> the comment at that place, the place after it
local function comment(text, at)
  local content, behind = long_bracket(text, at + 2)
  if content then return content, behind end
  return text:match("^%-%-([^\n]*)()", at)
end

local function operator(text, at)
  for _, op in ipairs(operators) do
    if text:sub(at, at + #op - 1) == op then return op, at + #op end
  end
  return text:sub(at, at), at + 1
end

-- -> kind, text, the place after it; kind is nil for a comment
local function token(text, at)
  local char = text:sub(at, at)
  if text:sub(at, at + 1) == "--" then return nil, comment(text, at) end
  if char:find "[%a_\128-\255]" then
    local word, behind = text:match("^([%w_\128-\255]+)()", at)
    return keywords[word] and "keyword" or "name", word, behind
  elseif text:find("^%.?%d", at) then
    return "number", text:match("^(%.?%d[%w_.]*)()", at)
  elseif char == '"' or char == "'" then
    return "string", quoted(text, at)
  end
  local content, behind = long_bracket(text, at)
  if content then return "string", content, behind end
  return "operator", operator(text, at)
end

--- The tokens of a script.
---@param text string
---@return moonpark.check.token[]
---@return table<integer, string> comments by the line in which they begin
function M.read(text)
  local tokens, comments, line, at = {}, {}, 1, 1
  local first = 1 -- where the line begins
  local function count(from, to)
    local passed = text:sub(from, to)
    line = line + count_lines(passed)
    local last = passed:match ".*()\n"
    if last then first = from + last end
  end
  while true do
    local start = text:find("%S", at)
    if not start then return tokens, comments end
    count(at, start - 1)
    local kind, content, behind = token(text, start)
    if kind then
      tokens[#tokens + 1] = { kind = kind, text = content, line = line, column = start - first + 1 }
    else
      comments[line] = content
    end
    count(start, behind - 1)
    at = behind
  end
end

return M

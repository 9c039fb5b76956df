-- SPDX-License-Identifier: MIT
-- template_script.lua - follows JavaScript in a page far enough to know where a value can be written: not in a string,
-- a comment or a regular expression. Where it is not sure, it says that none can.

local M = {}

-- Each kind of place: what is looked for in it, and what that does. The kind is in state.inside; nil: code.
local inside = {}

local function leave(state, to)
  state.inside = nil
  return to + 1
end

-- In a string of one line: it ends with the line at the latest.
local function quoted(quote)
  return function(state, text, at)
    local from = text:find("[\\\r\n" .. quote .. "]", at)
    if not from then return nil end
    if text:find("^\\\r?\n", from) then return select(2, text:find("^\\\r?\n", from)) + 1 end
    if text:find("^\\", from) then return from + 2 end
    return leave(state, from)
  end
end

inside['"'], inside["'"] = quoted '"', quoted "'"

-- In a template literal. Code in it may have literals in it: that is not followed.
inside["`"] = function(state, text, at)
  local from = text:find("[\\`$]", at)
  if not from then return nil end
  if text:find("^`", from) then return leave(state, from) end
  if text:find("^%${", from) then
    state.inside = "lost"
    return nil
  end
  return from + (text:find("^\\", from) and 2 or 1)
end

function inside.line(state, text, at)
  local from = text:find("[\r\n]", at)
  return from and leave(state, from)
end

function inside.comment(state, text, at)
  local _, to = text:find("*/", at, true)
  return to and leave(state, to)
end

function inside.regex(state, text, at)
  local from = text:find("[\\%[/\r\n]", at)
  if not from then return nil end
  if text:find("^[/\r\n]", from) then return leave(state, from) end
  if text:find("^\\", from) then return from + 2 end
  local _, to = text:find("^%[[^%]\\]*%]", from)
  if to then return to + 1 end
  state.inside = "lost"
  return nil
end

-- Nothing can be written any more, up to the end of the script.
function inside.lost() return nil end

-- A "/" divides behind a value, and begins a regular expression behind anything else.
local function is_division(text, at)
  local before = text:sub(math.max(1, at - 200), at - 1):match "^.-([%w_$%)%]}]*)%s*$"
  return before ~= "" and before ~= "return" and before ~= "typeof" and before ~= "case"
end

local function code(state, text, at)
  local from = text:find("[\"'`/<]", at)
  if not from then return nil end
  local c = text:sub(from, from)
  if text:find("^<!%-%-", from) or text:find("^//", from) then
    state.inside = "line"
  elseif text:find("^/%*", from) then
    state.inside = "comment"
    return from + 2
  elseif c == "/" then
    state.inside = not is_division(text, from) and "regex" or nil
  elseif c ~= "<" then
    state.inside = c
  end
  return from + 1
end

--- Takes what comes next in the script.
---@param state table its field `inside` is changed: nil where a value can be written
---@param text string
function M.follow(state, text)
  local at = 1
  while at and at <= #text do at = (inside[state.inside] or code)(state, text, at) end
end

return M

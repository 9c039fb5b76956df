-- SPDX-License-Identifier: MIT
-- glob.lua - Redis' patterns: * any bytes, ? one byte, [abc] [a-z] [^a] one of a set, \x the byte x.
--
-- A pattern is compiled once. Only the last star is ever tried again, so that no pattern takes longer
-- than its length times the text's.

local byte = string.byte

local M = {}

local STAR = true -- among the tokens; the others are sets: [byte] = true

local function any_byte()
  local set = {}
  for b = 0, 255 do set[b] = true end
  return set
end

-- The set that begins after a "[", and where it ends. A set that is not closed ends with the pattern.
local function read_set(pattern, at)
  local set, inverted = {}, byte(pattern, at) == byte("^")
  if inverted then at = at + 1 end
  while at <= #pattern and byte(pattern, at) ~= byte("]") do
    if byte(pattern, at) == byte("\\") and at < #pattern then
      at = at + 1
      set[byte(pattern, at)] = true
    elseif byte(pattern, at + 1) == byte("-") and at + 2 <= #pattern then
      local from, to = byte(pattern, at), byte(pattern, at + 2)
      for b = math.min(from, to), math.max(from, to) do set[b] = true end
      at = at + 2
    else
      set[byte(pattern, at)] = true
    end
    at = at + 1
  end
  if inverted then
    local others = any_byte()
    for b in pairs(set) do others[b] = nil end
    set = others
  end
  return set, at
end

local function compile(pattern)
  local tokens, at = {}, 1
  while at <= #pattern do
    local c = pattern:sub(at, at)
    local token
    if c == "*" then
      token = STAR
    elseif c == "?" then
      token = any_byte()
    elseif c == "[" then
      token, at = read_set(pattern, at + 1)
    else
      if c == "\\" and at < #pattern then at = at + 1 end
      token = { [byte(pattern, at)] = true }
    end
    tokens[#tokens + 1] = token
    at = at + 1
  end
  return tokens
end

local function matches(tokens, text)
  local token, at = 1, 1
  local star, resume -- the last star, and where in the text what follows it was tried
  while at <= #text do
    local set = tokens[token]
    if set == STAR then
      star, resume = token, at
      token = token + 1
    elseif set and set[byte(text, at)] then
      token, at = token + 1, at + 1
    elseif star then
      resume = resume + 1
      token, at = star + 1, resume
    else
      return false
    end
  end
  while tokens[token] == STAR do token = token + 1 end
  return token > #tokens
end

--- function(text) -> does all of text match the pattern?
---@param pattern string
---@return fun(text: string): boolean
function M.matcher(pattern)
  local tokens = compile(pattern)
  return function(text) return matches(tokens, text) end
end

return M

-- SPDX-License-Identifier: MIT
-- utf8.lua - which bytes are UTF-8 (RFC 3629), and what stands for those that are not.

local byte, find, sub = string.byte, string.find, string.sub

local M = {}

local REPLACEMENT = "\239\191\189" -- U+FFFD

-- What may follow a first byte: how many bytes, and the limits of the first of them.
local function shape(first)
  if first < 0xC2 or first > 0xF4 then return nil end
  if first < 0xE0 then return 1, 0x80, 0xBF end
  if first < 0xF0 then return 2, first == 0xE0 and 0xA0 or 0x80, first == 0xED and 0x9F or 0xBF end
  return 3, first == 0xF0 and 0x90 or 0x80, first == 0xF4 and 0x8F or 0xBF
end

-- The character at `at`, whose first byte is not ASCII -> how many bytes it has; nil: none is there; or "cut": the text
-- ends before the character does.
local function length_at(text, at)
  local more, low, high = shape(byte(text, at))
  if not more then return nil end
  for i = at + 1, at + more do
    local c = byte(text, i)
    if not c then return "cut" end
    if c < low or c > high then return nil end
    low, high = 0x80, 0xBF
  end
  return more + 1
end

--- Is it UTF-8?
---@param text string
---@param cut? boolean its last character may lack bytes: it is the beginning of something
---@return boolean
function M.is_valid(text, cut)
  local at = find(text, "[\128-\255]")
  while at do
    local length = length_at(text, at)
    if length == "cut" then return cut == true end
    if not length then return false end
    at = find(text, "[\128-\255]", at + length)
  end
  return true
end

--- The same text, with U+FFFD in the place of each byte that belongs to no character.
---@param text string
---@return string
function M.mended(text)
  local parts, from, at = {}, 1, find(text, "[\128-\255]")
  while at do
    local length = length_at(text, at)
    if not length or length == "cut" then
      parts[#parts + 1] = sub(text, from, at - 1)
      parts[#parts + 1] = REPLACEMENT
      length, from = 1, at + 1
    end
    at = find(text, "[\128-\255]", at + length)
  end
  if #parts == 0 then return text end
  parts[#parts + 1] = sub(text, from)
  return table.concat(parts)
end

return M

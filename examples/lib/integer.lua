-- SPDX-License-Identifier: MIT
-- integer.lua - 64-bit integers, as Redis counts.
--
-- Lua's numbers are doubles, exact and written in full up to 14 digits: enough for nearly every
-- counter, and fast. Longer ones take the slow path, through int64_t, and are kept as text.

local ffi = require "ffi"

local M = {}

local LIMIT = 1e14
local int64 = ffi.typeof "int64_t"
local MIN = int64(-2) ^ 63

local function is_plain(n) return n > -LIMIT and n < LIMIT end

-- 15 digits and more. Counts downward: there is one more negative integer than there are positive ones.
local function parse_long(text)
  local sign, digits = text:match "^(%-?)([1-9]%d*)$"
  if not digits or #digits > 19 then return nil end
  local n = int64(0)
  for i = 1, #digits do
    local digit = digits:byte(i) - 48
    if n < (MIN + digit) / 10 then return nil end
    n = n * 10 - digit
  end
  if sign == "-" then return n end
  return n ~= MIN and -n or nil
end

--- Strictly: no blanks, no plus, no leading zeros, no exponent.
---@param text string|number what add() has returned is as good
---@return number|ffi.cdata*|nil # a number up to 14 digits, int64_t from there on; nil: not a 64-bit integer
function M.parse(text)
  if type(text) == "number" then return text end
  local n = tonumber(text)
  if n and is_plain(n) and tostring(n) == text and n % 1 == 0 and text ~= "-0" then return n end
  return parse_long(text)
end

--- Their sum; nil if it does not fit into 64 bits.
---@param a number|ffi.cdata*
---@param b number|ffi.cdata*
---@return number|string|nil # a number up to 14 digits, text from there on
function M.add(a, b)
  local sum = a + b
  if type(sum) == "number" and is_plain(sum) then return sum end
  a, b = int64(a), int64(b)
  sum = a + b
  if (b < 0 and sum > a) or (b > 0 and sum < a) then return nil end
  return (tostring(sum):gsub("LL$", ""))
end

return M

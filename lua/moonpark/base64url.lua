-- SPDX-License-Identifier: MIT
-- base64url.lua - bytes as letters, digits, "-" and "_", without padding (RFC 4648 5).

local bit = require "bit"

local band, bor, lshift, rshift = bit.band, bit.bor, bit.lshift, bit.rshift

local M = {}

local DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
local digit, value_of = {}, {}
for i = 1, #DIGITS do
  digit[i - 1] = DIGITS:sub(i, i)
  value_of[DIGITS:byte(i)] = i - 1
end

--- Base64 as URLs can have it, without padding (RFC 4648 5).
---@param bytes string
---@return string
function M.encode(bytes)
  local parts = {}
  for i = 1, #bytes, 3 do
    local a, b, c = bytes:byte(i, i + 2)
    local n = bor(lshift(a, 16), lshift(b or 0, 8), c or 0)
    parts[#parts + 1] = digit[rshift(n, 18)] .. digit[band(rshift(n, 12), 63)] ..
      (b and digit[band(rshift(n, 6), 63)] or "") .. (c and digit[band(n, 63)] or "")
  end
  return table.concat(parts)
end

--- The bytes; nil if the text is anything else, padding and stray bits included.
---@param text string
---@return string|nil
function M.decode(text)
  local parts, length = {}, #text
  if length % 4 == 1 then return nil end
  for i = 1, length, 4 do
    local n, digits = 0, math.min(4, length - i + 1)
    for k = 0, 3 do
      local value = k < digits and value_of[text:byte(i + k)] or k >= digits and 0
      if not value then return nil end
      n = bor(lshift(n, 6), value)
    end
    local bytes = digits - 1
    if bytes < 3 and band(n, lshift(1, 8 * (3 - bytes)) - 1) ~= 0 then return nil end
    parts[#parts + 1] = string.char(rshift(n, 16), band(rshift(n, 8), 255), band(n, 255)):sub(1, bytes)
  end
  return table.concat(parts)
end

return M

-- SPDX-License-Identifier: MIT
-- words.lua - failures as ngx_lua words them, misuse at the script's line, and numbers as it reads them.

local core = require "moonpark.core"

local M = {}

local words = { eof = "closed", ["unexpected eof"] = "closed" }

--- The word for a failure of moonpark's.
---@param err string
---@return string
function M.of(err) return words[err] or err end

--- Raises at the script's line: the first that is not one of ours.
---@param text string
function M.misuse(text)
  local level = 2
  local frame = debug.getinfo(level, "S")
  while frame and frame.what ~= "C" and core.is_own(frame.source:sub(2)) do
    level = level + 1
    frame = debug.getinfo(level, "S")
  end
  error(text, level)
end

--- A number, or text that is one, without its fraction; nil: it is neither. No number (0/0), and what is too large, is
--- the least integer, as in C.
---@param value any
---@return integer|nil
function M.integer(value)
  local number = (type(value) == "number" or type(value) == "string") and tonumber(value)
  if not number then return nil end
  if number ~= number or number >= 2 ^ 63 or number < -2 ^ 63 then return -2 ^ 63 end
  return number < 0 and math.ceil(number) or math.floor(number)
end

return M

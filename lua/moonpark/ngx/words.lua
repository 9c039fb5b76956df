-- SPDX-License-Identifier: MIT
-- words.lua - failures as ngx_lua words them, and misuse at the script's line.

local core = require "moonpark.core"

local M = {}

local words = { eof = "closed" }

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

return M

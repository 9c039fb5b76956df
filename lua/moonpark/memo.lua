-- SPDX-License-Identifier: MIT
-- memo.lua - what a function has made of texts, as a table that fills itself: for what clients and scripts say again
-- and again. What a client sends may be anything, so neither many texts nor long ones are kept.

local M = {}

local MOST, LONGEST = 256, 256 -- texts; bytes

--- memo[text] is make(text), which is called once for each text as long as that is remembered.
---@generic T
---@param make fun(text: string): T never nil
---@return table<string, T>
function M.new(make)
  local count = 0
  return setmetatable({}, { __index = function(kept, text)
    local value = make(text)
    if #text > LONGEST then return value end
    if count >= MOST then
      for old in pairs(kept) do kept[old] = nil end
      count = 0
    end
    count = count + 1
    rawset(kept, text, value)
    return value
  end })
end

return M

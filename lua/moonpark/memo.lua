-- SPDX-License-Identifier: MIT
-- memo.lua - a cache of a function of a string, as a table that fills itself: for strings that clients and scripts
-- repeat. Clients may send anything, so the cache is small, and long strings are not kept.

local M = {}

local MOST, LONGEST = 256, 256 -- texts; bytes

--- memo[text] is make(text), which is not called again for a text while its result is kept.
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

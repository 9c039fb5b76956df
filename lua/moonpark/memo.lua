-- SPDX-License-Identifier: MIT
-- memo.lua - a cache for a function of a string: for strings that clients and scripts repeat. Clients may send
-- anything, so the cache is small, and long strings are not kept.

local M = {}

local MOST, LONGEST = 256, 256 -- texts; bytes

--- Wraps make, so that it is not called again for a text while its result is kept.
---@generic T
---@param make fun(text: string): T never nil
---@return fun(text: string): T
function M.new(make)
  local kept, count = {}, 0
  return function(text)
    local value = kept[text]
    if value ~= nil then return value end
    value = make(text)
    if #text > LONGEST then return value end
    if count >= MOST then kept, count = {}, 0 end
    kept[text], count = value, count + 1
    return value
  end
end

return M

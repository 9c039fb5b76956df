-- SPDX-License-Identifier: MIT
-- memo.lua - a function of a text that remembers what it has made: for what clients and scripts say again and again.
-- What a client sends may be anything, so neither many texts nor long ones are kept.

local M = {}

local MOST, LONGEST = 256, 256 -- texts; bytes

--- The same function, which is called once for each text as long as that is remembered.
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

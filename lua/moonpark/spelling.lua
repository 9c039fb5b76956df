-- SPDX-License-Identifier: MIT
-- spelling.lua - "did you mean": the word of a list that is nearest to an unknown one.

local M = {}

-- How many letters to insert, delete, replace or swap with the next one; gives up above `most`.
local function distance(a, b, most)
  if math.abs(#a - #b) > most then return most + 1 end
  local before, row = nil, {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local line = { [0] = i }
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      line[j] = math.min(row[j] + 1, line[j - 1] + 1, row[j - 1] + (same and 0 or 1))
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        line[j] = math.min(line[j], before[j - 2] + 1)
      end
    end
    before, row = row, line
  end
  return row[#b]
end

--- The word that was meant, or nil: one letter in three may be wrong, two at most. If several are equally near, the
--- first in the alphabet.
---@param word string
---@param words string[]
---@return string|nil
function M.nearest(word, words)
  local best, least = nil, math.min(2, math.floor(#word / 3)) + 1
  local sorted = { unpack(words) }
  table.sort(sorted)
  for _, candidate in ipairs(sorted) do
    local d = distance(word, candidate, least)
    if d < least then best, least = candidate, d end
  end
  return best
end

--- Is it one slip of the fingers away? Two would be another word: "session" is no "version".
---@param name string
---@param other string
---@return boolean
function M.is_slip(name, other)
  if math.abs(#name - #other) > 1 or #name < 3 then return false end
  local at = 1
  while at <= #name and name:byte(at) == other:byte(at) do at = at + 1 end
  local rest, its = name:sub(at), other:sub(at)
  if rest:sub(1, 2) == its:sub(1, 2):reverse() and rest:sub(3) == its:sub(3) then return true end
  return #name > 3 and (rest:sub(2) == its:sub(2) or rest == its:sub(2) or rest:sub(2) == its)
end

return M

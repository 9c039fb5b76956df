-- SPDX-License-Identifier: MIT
-- fifo.lua - a queue that any item can leave in constant time: the items are tables, and carry its links. An item is in
-- one queue at most.

---@class moonpark.fifo
---@field first table|nil
---@field last table|nil
---@field count integer
local Fifo = {}
Fifo.__index = Fifo

local M = {}

---@return moonpark.fifo
function M.new() return setmetatable({ count = 0 }, Fifo) end

--- Puts the item at the end.
---@param item table
function Fifo:push(item)
  local last = self.last
  item.before, item.after = last, nil
  if last then last.after = item else self.first = item end
  self.last = item
  self.count = self.count + 1
end

--- Takes the item out; it is in this queue.
---@param item table
function Fifo:remove(item)
  local before, after = item.before, item.after
  if before then before.after = after else self.first = after end
  if after then after.before = before else self.last = before end
  item.before, item.after = nil, nil
  self.count = self.count - 1
end

--- Takes out the item that has been there for longest.
---@return table|nil
function Fifo:pop()
  local first = self.first
  if first then self:remove(first) end
  return first
end

local function following(self, item)
  if item then return item.after end
  return self.first
end

--- for item in fifo:items() do ... end; the queue must not change meanwhile.
function Fifo:items() return following, self, nil end

return M

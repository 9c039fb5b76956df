-- SPDX-License-Identifier: MIT
-- queue.lua - a queue that any of its members may leave, in the same time however long it is.

local M = {}

---@class moonpark.pool_of.queue
---@field count integer
local Queue = {}
Queue.__index = Queue

---@return moonpark.pool_of.queue
function M.new() return setmetatable({ count = 0 }, Queue) end

--- A table that is in no queue.
---@param member table
function Queue:push(member)
  local last = self.last
  member.before, self.last = last, member
  if last then last.after = member else self.first = member end
  self.count = self.count + 1
end

--- A member of this queue.
---@param member table
function Queue:remove(member)
  local before, after = member.before, member.after
  if before then before.after = after else self.first = after end
  if after then after.before = before else self.last = before end
  member.before, member.after = nil, nil
  self.count = self.count - 1
end

--- The one that has been there for longest, or nil.
---@return table|nil
function Queue:pop()
  local first = self.first
  if first then self:remove(first) end
  return first
end

return M

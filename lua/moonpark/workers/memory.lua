-- SPDX-License-Identifier: MIT
-- memory.lua - the supervisor's shared memory: the load of the workers, by which they share accepting, and the segments
-- of moonpark.shared. It outlives every worker.

local core = require "moonpark.core"

local M = {}

local MOST = 252 -- slots, so that their wakes fit into one message

---@class moonpark.workers.memory
local Memory = {}
Memory.__index = Memory

--- Makes the share for so many workers; while one drains, its successor has another slot.
---@param count integer
---@return moonpark.workers.memory|nil
---@return string? err
function M.new(count)
  local slots = math.min(MOST, 2 * count + 2)
  local share, wakes = core.share_make(slots)
  if not share then return nil, wakes end
  return setmetatable({ share = share, wakes = wakes, slots = slots, taken = {}, segments = {} }, Memory)
end

local function number_of(descriptor) return type(descriptor) == "number" and descriptor or descriptor:number() end

--- What an upgraded supervisor must know of it.
---@return table row
---@return integer[] fds
function Memory:row()
  local row = { slots = self.slots, share = number_of(self.share), wakes = {}, segments = self.segments }
  local fds = { row.share }
  for i, wake in ipairs(self.wakes) do
    row.wakes[i] = number_of(wake)
    fds[#fds + 1] = row.wakes[i]
  end
  for _, fd in pairs(self.segments) do fds[#fds + 1] = fd end
  return row, fds
end

--- The memory that the supervisor had before it was upgraded.
---@param row table
---@return moonpark.workers.memory
function M.restore(row)
  return setmetatable({ share = row.share, wakes = row.wakes, slots = row.slots, taken = {}, segments = row.segments },
    Memory)
end

--- A worker has that slot already.
---@param worker table
function Memory:keep(worker)
  if worker.slot then self.taken[worker.slot] = worker end
end

--- A worker's place in the share -> what it needs, to be sent to it: the slot, and the descriptors.
---@param worker table
---@return integer|nil slot nil: there is none
---@return table|nil fds
function Memory:join(worker)
  for slot = 1, self.slots do
    if not self.taken[slot] then
      self.taken[slot] = worker
      worker.slot = slot
      return slot, { self.share, unpack(self.wakes) }
    end
  end
end

--- The worker has ended: what it was woken for is looked at by another one.
---@param worker table
function Memory:leave(worker)
  if not worker.slot then return end
  core.share_clear(self.share, self.wakes, worker.slot)
  self.taken[worker.slot] = nil
  worker.slot = nil
end

--- What each slot's worker has open: {state, pid, open, accepted, woken}[].
---@return table[]
function Memory:load() return core.share_read(self.share) or {} end

--- The memory with that name, made when it is first asked for.
---@param message {kind: string, name: string, size: integer}
---@return integer|nil fd
---@return string? err
---@return integer? errno
function Memory:segment(message)
  local key = message.kind .. " " .. message.name
  if not self.segments[key] then
    local fd, err, errno = core.shared_memory("moonpark " .. message.name, message.size)
    if not fd then return nil, err, errno end
    self.segments[key] = fd
  end
  return self.segments[key]
end

return M

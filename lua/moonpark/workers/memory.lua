-- SPDX-License-Identifier: MIT
-- memory.lua - the supervisor's shared memory: the load of the workers, by which they share accepting, and the segments
-- of moonpark.shared. It outlives every worker.

local core = require "moonpark.core"
local ffi = require "ffi"

local M = {}

local SEGMENTS = 1024 -- names of moonpark.shared
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
  return setmetatable({ share = share, wakes = wakes, slots = slots, taken = {}, segments = {},
    beating = {}, count = 0 }, Memory)
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
  row.beats = self.beats
  fds[#fds + 1] = self.beats
  return row, fds
end

--- The memory that the supervisor had before it was upgraded.
---@param row table
---@return moonpark.workers.memory
function M.restore(row)
  return setmetatable({ share = row.share, wakes = row.wakes, slots = row.slots, taken = {}, segments = row.segments,
    beating = {}, beats = row.beats, count = 0 }, Memory)
end

--- A worker has that slot already.
---@param worker table
function Memory:keep(worker)
  if worker.slot then self.taken[worker.slot] = worker end
  if worker.beat then self.beating[worker.beat] = worker end
end

--- A worker's place in the share -> what it needs, to be sent to it: the slot, and the descriptors.
---@param worker table
---@return integer|nil slot nil: there is none
---@return table|nil fds
function Memory:join(worker)
  if worker.slot then return nil end -- it has one
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
  if worker.beat then self.beating[worker.beat] = nil end
  if not worker.slot then return end
  core.share_clear(self.share, self.wakes, worker.slot)
  self.taken[worker.slot] = nil
  worker.slot = nil
end

--- What each slot's worker has open: {state, pid, open, accepted, woken}[].
---@return table[]
function Memory:load() return core.share_read(self.share) or {} end

---------------------------------------------------------------------------------------------------
-- heartbeats: see runtime/loop/heartbeat.h

local BEAT = 16 -- bytes: since when the loop has run tasks (ns, 8 bytes; 0: it waits), how many it has run (4 bytes)

function Memory:still(place)
  local file = io.open("/proc/self/fd/" .. self.beats, "r+b")
  if not file then return end
  file:seek("set", place * BEAT)
  file:write(("\0"):rep(BEAT))
  file:close()
end

--- Where a worker writes its heartbeat.
---@param worker table
---@return integer|nil fd
---@return integer|string offset
function Memory:beat(worker)
  if not self.beats then
    local err
    self.beats, err = core.shared_memory("moonpark heartbeats", self.slots * BEAT)
    if not self.beats then return nil, err end
  end
  for place = 0, self.slots - 1 do
    if not self.beating[place] then
      self.beating[place], worker.beat = worker, place
      self:still(place) -- who had it before may have died in the middle of a turn
      return self.beats, place * BEAT
    end
  end
  return nil, "no place for its heartbeat"
end

--- Which task a worker's loop has begun last; nil: the loop waits, or is not known.
---@param worker table
---@return integer|nil
function Memory:running(worker)
  local file = worker.beat and io.open("/proc/self/fd/" .. self.beats, "rb")
  if not file then return nil end
  file:seek("set", worker.beat * BEAT)
  local bytes = file:read(BEAT)
  file:close()
  if not bytes or #bytes < BEAT or bytes:sub(1, 8) == ("\0"):rep(8) then return nil end
  return ffi.cast("const uint32_t *", bytes)[2]
end

--- The memory with that name, made when it is first asked for.
---@param message {kind: string, name: string, size: integer}
---@return integer|nil fd
---@return string? err
---@return integer? errno
function Memory:segment(message)
  local key = message.kind .. " " .. message.name
  if not self.segments[key] then
    if self.count == SEGMENTS then return nil, "too many names" end
    self.count = self.count + 1
    local fd, err, errno = core.shared_memory("moonpark " .. message.name, message.size)
    if not fd then return nil, err, errno end
    self.segments[key] = fd
  end
  return self.segments[key]
end

return M

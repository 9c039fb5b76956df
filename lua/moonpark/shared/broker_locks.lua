-- SPDX-License-Identifier: MIT
-- broker_locks.lua - the broker's locks: a queue for each name that is locked, and its first request has the lock.

local fifo = require "moonpark.fifo"

local Locks = {}
Locks.__index = Locks

local M = {}

function M.new(limits) return setmetatable({ limits = limits, queues = {} }, Locks) end

local function grant(request)
  request.settled = true
  request:tell "shared.granted"
end

--- request.wait: false if it gives up where the lock is held.
function Locks:ask(request)
  local queue = self.queues[request.name]
  if queue and not request.wait then return request:refuse "locked" end
  if queue and queue.count > self.limits.waiters then return request:refuse "too many tasks wait" end
  if not queue then
    queue = fifo.new()
    self.queues[request.name] = queue
  end
  queue:push(request)
  if queue.first == request then grant(request) end
end

--- It lets go, or waits no longer.
function Locks:release(request)
  local queue = self.queues[request.name]
  queue:remove(request)
  if queue.count == 0 then
    self.queues[request.name] = nil
  elseif not queue.first.settled then
    grant(queue.first)
  end
end

--- Every lock with its queue, for JSON. of(request): what stands for it.
function Locks:state(of)
  local list = {}
  for name, queue in pairs(self.queues) do
    local requests = {}
    for request in queue:items() do requests[#requests + 1] = of(request) end
    list[#list + 1] = { name = name, queue = requests }
  end
  return list
end

--- The same, back again. make(what stands for it, fields): the request.
function Locks:restore(list, make)
  for _, lock in ipairs(list) do
    local queue = fifo.new()
    for i, saved in ipairs(lock.queue) do
      queue:push(make(saved, { name = lock.name, wait = true, settled = i == 1 }))
    end
    self.queues[lock.name] = queue
  end
end

return M

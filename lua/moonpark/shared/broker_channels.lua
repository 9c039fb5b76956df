-- SPDX-License-Identifier: MIT
-- broker_channels.lua - the broker's channels: for each name a queue of subscriptions, in the order in which their turn
-- for a message to one of them comes.
--
-- A subscription has a window: so many messages may be on their way to its client or wait there to be taken. Where it is
-- full, a message to all is lost to this subscription, which is counted and told as soon as there is room again.

local fifo = require "moonpark.shared.fifo"

local Channels = {}
Channels.__index = Channels

local M = {}

function M.new() return setmetatable({ queues = {} }, Channels) end

--- request.window: how many messages.
function Channels:subscribe(request)
  local queue = self.queues[request.name] or fifo.new()
  self.queues[request.name] = queue
  request.settled, request.pending, request.lost = true, 0, 0
  queue:push(request)
  request:tell "shared.subscribed"
end

local function has_room(subscription) return subscription.pending < subscription.window end

local function deliver(subscription, value)
  subscription.pending = subscription.pending + 1
  subscription:tell("shared.message", { value = value })
end

--- To all; returns how many got it.
---@return integer
function Channels:publish(name, value)
  local queue, count = self.queues[name], 0
  if not queue then return 0 end
  for subscription in queue:items() do
    if has_room(subscription) then
      deliver(subscription, value)
      count = count + 1
    else
      subscription.lost = subscription.lost + 1
    end
  end
  return count
end

--- To the one whose turn it is, of those that have room.
---@return true|nil
---@return string? err
function Channels:send(name, value)
  local queue = self.queues[name]
  if not queue then return nil, "nobody receives" end
  for subscription in queue:items() do
    if has_room(subscription) then
      queue:remove(subscription)
      queue:push(subscription)
      deliver(subscription, value)
      return true
    end
  end
  return nil, "full"
end

--- The client has taken so many messages out of its queue.
function Channels.took(_, request, count)
  request.pending = math.max(0, request.pending - count)
  if request.lost == 0 then return end
  request:tell("shared.gap", { count = request.lost })
  request.lost = 0
end

--- The subscription ends; the client hears when no more messages will follow.
function Channels:release(request)
  local queue = self.queues[request.name]
  queue:remove(request)
  if queue.count == 0 then self.queues[request.name] = nil end
  request:tell "shared.ended"
end

--- As that of locks.
function Channels:state(of)
  local list = {}
  for name, queue in pairs(self.queues) do
    local subscriptions = {}
    for each in queue:items() do
      subscriptions[#subscriptions + 1] = { of = of(each), window = each.window, pending = each.pending,
        lost = each.lost }
    end
    list[#list + 1] = { name = name, subscriptions = subscriptions }
  end
  return list
end

function Channels:restore(list, make)
  for _, channel in ipairs(list) do
    local queue = fifo.new()
    for _, saved in ipairs(channel.subscriptions) do
      queue:push(make(saved.of, { name = channel.name, window = saved.window, pending = saved.pending,
        lost = saved.lost, settled = true }))
    end
    self.queues[channel.name] = queue
  end
end

return M

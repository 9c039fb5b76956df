-- SPDX-License-Identifier: MIT
-- broker_channels.lua - the broker's channels: for each name a queue of subscriptions, in the order in which their turn
-- for a message to one of them comes.
--
-- A subscription has a window: so many messages may be on their way to its client or wait there to be taken. If it is
-- full, a published message is lost to this subscription. These are counted, and it is told once there is room again.

local fifo = require "moonpark.fifo"

local Channels = {}
Channels.__index = Channels

local M = {}

function M.new(limits) return setmetatable({ limits = limits, queues = {} }, Channels) end

-- A subscription's sizes[first..last] are those of the messages in its window, and bytes is their sum.
local function open_window(subscription, sizes)
  subscription.sizes, subscription.first, subscription.last, subscription.bytes = {}, 1, 0, 0
  for _, size in ipairs(sizes) do
    subscription.last = subscription.last + 1
    subscription.sizes[subscription.last] = size
    subscription.bytes = subscription.bytes + size
  end
end

local function pending(subscription) return subscription.last - subscription.first + 1 end

--- request.window: how many messages.
function Channels:subscribe(request)
  local queue = self.queues[request.name] or fifo.new()
  self.queues[request.name] = queue
  request.settled, request.lost = true, 0
  open_window(request, {})
  queue:push(request)
  request:tell "shared.subscribed"
end

local function has_room(self, subscription, value)
  local count = pending(subscription)
  return count == 0
    or count < subscription.window and subscription.bytes + #value <= self.limits.window_bytes
end

local function deliver(subscription, value)
  subscription.last = subscription.last + 1
  subscription.sizes[subscription.last] = #value
  subscription.bytes = subscription.bytes + #value
  subscription:tell("shared.message", { value = value })
end

--- To all; returns how many got it.
---@return integer
function Channels:publish(name, value)
  local queue, count = self.queues[name], 0
  if not queue then return 0 end
  for subscription in queue:items() do
    if has_room(self, subscription, value) then
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
    if has_room(self, subscription, value) then
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
  for _ = 1, math.min(count, pending(request)) do
    request.bytes = request.bytes - request.sizes[request.first]
    request.sizes[request.first] = nil
    request.first = request.first + 1
  end
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

local function sizes_of(subscription)
  local sizes = {}
  for at = subscription.first, subscription.last do sizes[#sizes + 1] = subscription.sizes[at] end
  return sizes
end

--- As that of locks.
function Channels:state(of)
  local list = {}
  for name, queue in pairs(self.queues) do
    local subscriptions = {}
    for each in queue:items() do
      subscriptions[#subscriptions + 1] = { of = of(each), window = each.window, lost = each.lost,
        sizes = sizes_of(each) }
    end
    list[#list + 1] = { name = name, subscriptions = subscriptions }
  end
  return list
end

function Channels:restore(list, make)
  for _, channel in ipairs(list) do
    local queue = fifo.new()
    for _, saved in ipairs(channel.subscriptions) do
      local subscription = make(saved.of, { name = channel.name, window = saved.window, lost = saved.lost,
        settled = true })
      open_window(subscription, saved.sizes)
      queue:push(subscription)
    end
    self.queues[channel.name] = queue
  end
end

return M

-- SPDX-License-Identifier: MIT
-- channels.lua - messages to all processes or to one of them: a channel, and the receivers that subscribe to it.

local clients = require "moonpark.shared.client"
local core = require "moonpark.core"
local limits = require "moonpark.shared.limits"
local option = require "moonpark.options"
local values = require "moonpark.shared.values"

local M = {}

local CAPACITY = 256 -- messages
local CAPACITY_MAX = 32768

---------------------------------------------------------------------------------------------------
-- receivers

---@class moonpark.shared.receiver
---@field package kind string
local Receiver = { kind = "receiver" }
Receiver.__index = Receiver

-- A batch is how many messages are taken before the broker hears of it. Its window is so much wider that `capacity`
-- messages can always wait here.
local function new_receiver(client, name, capacity)
  local batch = math.max(1, math.floor(capacity / 2))
  return setmetatable({
    client = client, name = name, task = core.current(), window = capacity + batch - 1, batch = batch, taken = 0,
    queue = {}, first = 1, last = 0, -- [i] = a packed value, or how many messages were dropped at this place
    ready = core.semaphore(0),       -- counts them
    waiting = 0, lost = 0,
  }, Receiver)
end

local function check(self, name)
  if getmetatable(self) ~= Receiver then
    error(("bad argument #1 to '%s' (receiver expected, got %s)"):format(name, type(self)), 3)
  end
end

local function put(self, item)
  self.last = self.last + 1
  self.queue[self.last] = item
  self.ready:release()
end

local function finish(self, err)
  self.ended = err
  self.client.open[self.id] = nil
  if self.waiting > 0 then self.ready:release(self.waiting) end
end

--- The client's: takes a message of the broker.
---@package
function Receiver:receive(message)
  if message.op == "shared.message" then
    put(self, message.value)
  elseif message.op == "shared.gap" then
    self.lost = self.lost + message.count
    put(self, message.count)
  else
    finish(self, message.error or "closed")
  end
end

--- For reports: see moonpark.task's waits_for.
function Receiver:describe() return "recv", ("shared channel %q"):format(self.name) end

local function count_taken(self)
  self.taken = self.taken + 1
  if self.taken < self.batch or self.closing or self.ended then return end
  self.client:transmit { op = "shared.took", id = self.id, count = self.taken }
  self.taken = 0
end

local function take(self)
  local item = self.queue[self.first]
  if item == nil then return nil, self.ended end
  self.queue[self.first] = nil
  self.first = self.first + 1
  if type(item) == "number" then return nil, "dropped", item end
  count_taken(self)
  return values.unpack(item)
end

local function recv(self, timeout)
  local entered, err = clients.enter(3)
  if not entered then return nil, err end
  if self.ended and self.first > self.last then return nil, self.ended end
  self.waiting = self.waiting + 1
  local got, failure = self.client:acquire(self.ready, timeout, self)
  self.waiting = self.waiting - 1
  if not got then return nil, failure end
  return take(self)
end

--- The next message. Where this receiver was too slow, "dropped" and how many messages were lost come in their place.
---@param timeout? number seconds
---@return any value
---@return string? err "dropped", "timeout", "canceled"; "closed", after the last message; why the supervisor is gone
---@return integer? lost
function Receiver:recv(timeout)
  check(self, "recv")
  clients.check_timeout(timeout, 1, "recv", 2)
  local value, err, lost = recv(self, timeout)
  return value, err, lost
end

local function next_value(self)
  local lost = 0
  while true do
    local value, err, count = recv(self)
    if value ~= nil then return value, lost end
    if err ~= "dropped" then return nil end
    lost = lost + count
  end
end

--- for value, lost in receiver:iter() do ... end; lost: how many messages were dropped before this one. Ends once the
--- receiver is closed and empty, or the task is cancelled.
function Receiver:iter()
  check(self, "iter")
  return next_value, self, nil
end

--- How many messages were dropped so far because this receiver was too slow.
---@return integer
function Receiver:dropped()
  check(self, "dropped")
  return self.lost
end

--- Ends the subscription. Messages that have come can still be received.
---@return true
function Receiver:close()
  check(self, "close")
  if not (self.closing or self.ended) then
    self.closing = true
    self.client:transmit { op = "shared.release", id = self.id }
  end
  return true
end

function Receiver:__tostring() return ("receiver of shared channel %q"):format(self.name) end

---------------------------------------------------------------------------------------------------
-- channels

---@class moonpark.shared.channel
local Channel = {}
Channel.__index = Channel

local function check_channel(self, name)
  if getmetatable(self) ~= Channel then
    error(("bad argument #1 to '%s' (shared channel expected, got %s)"):format(name, type(self)), 3)
  end
end

local function describe(request) return request.operation, ("shared channel %q"):format(request.name) end

-- Sends a value, and returns the broker's answer. Level 3 of errors is the caller of publish or send.
local function post(self, operation, value)
  local packed, wrong = values.pack(value)
  if not packed then error(("%s: %s cannot be shared"):format(operation, wrong), 3) end
  local entered, err = clients.enter(3)
  if not entered then return nil, err end
  if #packed > limits.value then return nil, "too long" end
  local client = self.client
  local request = client:ask({ op = "shared." .. operation, name = self.name, value = packed }, describe)
  request.operation = operation
  local answer, failure = client:await(request)
  if not answer then return nil, failure end
  if answer.op == "shared.refused" then return nil, answer.error end
  return answer
end

--- Sends a value to every receiver of this channel, those of this process too.
---@param value string|number|boolean|table what JSON can carry, in a table
---@return integer|nil count of the receivers that got it
---@return string? err "too long", "canceled"
function Channel:publish(value)
  check_channel(self, "publish")
  local answer, err = post(self, "publish", value)
  if not answer then return nil, err end
  return answer.count
end

--- Sends a value to one receiver of this channel, to each in turn.
---@param value string|number|boolean|table
---@return true|nil
---@return string? err "nobody receives"; "full": no receiver has room; "too long", "canceled"
function Channel:send(value)
  check_channel(self, "send")
  local answer, err = post(self, "send", value)
  if not answer then return nil, err end
  return true
end

---@class moonpark.shared.subscribe.options
---@field capacity? integer messages that can wait here, at least; 256

local subscribe_options = { capacity = option.whole(1, CAPACITY_MAX) }

--- Receives what is sent from now on.
---@param options? moonpark.shared.subscribe.options
---@return moonpark.shared.receiver|nil
---@return string? err "too many requests", "canceled"
function Channel:subscribe(options)
  check_channel(self, "subscribe")
  options = option.check("subscribe", options, subscribe_options, 2, 1)
  local entered, err = clients.enter(2)
  if not entered then return nil, err end
  local client = self.client
  local receiver = new_receiver(client, self.name, options.capacity or CAPACITY)
  local request = client:ask({ op = "shared.subscribe", name = self.name, window = receiver.window }, describe,
    receiver)
  receiver.id, request.operation = request.id, "subscribe"
  local answer, failure = client:await(request)
  if not answer then return nil, failure end
  if answer.op == "shared.refused" then return nil, answer.error end
  return receiver
end

function Channel:__tostring() return ("shared channel %q"):format(self.name) end

--- The functions, for a client.
---@param client moonpark.shared.client
---@return table
function M.new(client)
  return {
    channel = function(name)
      clients.check_name(name, "channel", 2)
      return setmetatable({ client = client, name = name }, Channel)
    end,
  }
end

return M

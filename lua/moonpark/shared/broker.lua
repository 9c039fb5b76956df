-- SPDX-License-Identifier: MIT
-- broker.lua - what the processes of a program agree on: who has a lock, which messages go to whom, who computes a
-- value. A state machine: it never waits, and it speaks to its clients through tables with a function `send`.
--
-- A client opens requests, under numbers of its own choice, and each lives until the broker has settled it for good or
-- the client has released it. Releasing means "I want nothing by that number any more", whatever the request is: a lock
-- that is held, a wait for it, a subscription, a computation. So a release that crosses an answer on its way gives back
-- what was granted, and nothing is lost; and a client that is gone has released everything.
--
--   from a client                                   answers, later ones too
--   shared.lock {id, name, wait}                    granted; refused {error = "locked" (if not wait), ...}
--   shared.once {id, name}                          value {value}; compute; refused
--   shared.computed {id, value, ttl}                done {kept}; id: of the request that was told to compute
--   shared.forget {id, name}                        done
--   shared.subscribe {id, name, window}             subscribed, then message {value} and gap {count}; refused
--   shared.took {id, count}                         nothing; so many messages left the client's queue
--   shared.publish {id, name, value}                done {count}
--   shared.send {id, name, value}                   done; refused {error = "nobody receives", "full"}
--   shared.release {id}                             ended, if it was a subscription
--   shared.sync {id}                                done
--
-- All answers have the request's id, and names that begin with "shared.", too. Values are strings for the broker.
-- Clients are to be given its messages in order, and must not call it from within `send`.

local channels = require "moonpark.shared.broker_channels"
local core = require "moonpark.core"
local default_limits = require "moonpark.shared.limits"
local locks = require "moonpark.shared.broker_locks"
local values = require "moonpark.shared.broker_values"

local M = {}

local VERSION = 1 -- of what `state` returns

---------------------------------------------------------------------------------------------------
-- requests

local Request = {}
Request.__index = Request

function Request:tell(op, message)
  message = message or {}
  message.op, message.id = op, self.id
  self.client.send(message)
end

--- Nothing more happens to it.
function Request:finish()
  local client = self.client
  if client.requests[self.id] ~= self then return end
  client.requests[self.id] = nil
  client.count = client.count - 1
end

function Request:refuse(err)
  self:finish()
  self:tell("shared.refused", { error = err })
end

local function add(client, request)
  client.requests[request.id] = request
  client.count = client.count + 1
end

---------------------------------------------------------------------------------------------------
-- clients

---@class moonpark.shared.broker
local Broker = {}
Broker.__index = Broker

---@class moonpark.shared.client_of_broker
---@field send fun(self, message: table) never waits

local function nothing() end

---@param settings? {now?: (fun(): number), limits?: moonpark.shared.limits}
---@return moonpark.shared.broker
function M.new(settings)
  settings = settings or {}
  local limits = setmetatable(settings.limits or {}, { __index = default_limits })
  return setmetatable({
    limits = limits, last = 0,
    clients = {},    -- [identity] = {identity, requests = {[id] = request}, count, send, backlog}
    identities = {}, -- [what joined] = identity
    locks = locks.new(limits), channels = channels.new(limits), values = values.new(limits, settings.now or core.now),
  }, Broker)
end

-- Until it joins again, messages to a restored client are kept.
local function new_client(broker, identity)
  local backlog = {}
  local client = { identity = identity, requests = {}, count = 0, backlog = backlog }
  function client.send(message) backlog[#backlog + 1] = message end
  broker.clients[identity] = client
  return client
end

--- A client comes; or one of a restored broker comes back, whose identity is known.
---@param joining moonpark.shared.client_of_broker
---@param identity? integer
---@return integer identity
function Broker:join(joining, identity)
  if self.identities[joining] then error("the client has joined already", 2) end
  local client = self.clients[identity]
  if identity and not (client and client.backlog) then error("no such client is awaited", 2) end
  if not client then
    self.last = self.last + 1
    client = new_client(self, self.last)
  end
  local backlog = client.backlog
  self.identities[joining] = client.identity
  client.joined, client.backlog = joining, nil
  client.send = function(message) joining:send(message) end
  for _, message in ipairs(backlog) do joining:send(message) end
  return client.identity
end

--- Identities of restored clients that have not come back.
---@return integer[]
function Broker:awaited()
  local list = {}
  for identity, client in pairs(self.clients) do
    if client.backlog then list[#list + 1] = identity end
  end
  table.sort(list)
  return list
end

local function release(broker, request)
  request:finish()
  broker[request.part]:release(request)
end

-- First those that wait: nothing is to be handed to them.
local function leaves_before(a, b)
  local settled, other = a.settled or false, b.settled or false
  if settled ~= other then return other end
  return a.id < b.id
end

--- A client has ended: the next ones get its locks and compute its values, its subscriptions end.
---@param leaving moonpark.shared.client_of_broker|integer the client, or the identity of one that is awaited
function Broker:leave(leaving)
  local identity = self.identities[leaving] or leaving
  local client = self.clients[identity]
  if not client then return end
  self.clients[identity] = nil
  if client.joined then self.identities[client.joined] = nil end
  client.send = nothing
  local all = {}
  for _, request in pairs(client.requests) do all[#all + 1] = request end
  table.sort(all, leaves_before)
  for _, request in ipairs(all) do release(self, request) end
end

---------------------------------------------------------------------------------------------------
-- messages

local function is_whole(value) return type(value) == "number" and value % 1 == 0 and value >= 1 and value <= 2^53 end

local checks = {
  id = is_whole,
  count = is_whole,
  window = function(value, limits) return is_whole(value) and value <= limits.window end,
  name = function(value, limits) return type(value) == "string" and #value >= 1 and #value <= limits.name end,
  value = function(value, limits) return type(value) == "string" and #value <= limits.value end,
  ttl = function(value) return value == nil or type(value) == "number" and value > 0 end,
  wait = function(value) return type(value) == "boolean" end,
}

-- [op] = {fields, part = the request stays open in there, run}
local ops = {
  ["shared.lock"] = { { "id", "name", "wait" }, part = "locks", run = function(broker, request)
    broker.locks:ask(request)
  end },
  ["shared.once"] = { { "id", "name" }, part = "values", run = function(broker, request)
    broker.values:ask(request)
  end },
  ["shared.subscribe"] = { { "id", "name", "window" }, part = "channels", run = function(broker, request)
    broker.channels:subscribe(request)
  end },
  ["shared.publish"] = { { "id", "name", "value" }, run = function(broker, request)
    request:tell("shared.done", { count = broker.channels:publish(request.name, request.value) })
  end },
  ["shared.send"] = { { "id", "name", "value" }, run = function(broker, request)
    local sent, err = broker.channels:send(request.name, request.value)
    if not sent then return request:refuse(err) end
    request:tell "shared.done"
  end },
  ["shared.sync"] = { { "id" }, run = function(_, request) request:tell "shared.done" end },
  ["shared.forget"] = { { "id", "name" }, run = function(broker, request)
    broker.values:forget(request.name)
    request:tell "shared.done"
  end },
}

-- Those that are about a request which is open. It may be gone, if the message has crossed an answer.
local later_ops = {
  ["shared.release"] = { { "id" }, run = release },
  ["shared.took"] = { { "id", "count" }, part = "channels", run = function(broker, request, message)
    broker.channels:took(request, message.count)
  end },
  ["shared.computed"] = { { "id", "value", "ttl" }, part = "values", run = function(broker, request, message)
    if not request.settled then return end
    request:finish()
    request:tell("shared.done", { kept = broker.values:computed(request, message.value, message.ttl) })
  end },
}

--- The kinds of messages that `handle` takes: their `op`.
---@type string[]
M.messages = {}

for _, table_of_ops in ipairs { ops, later_ops } do
  for op in pairs(table_of_ops) do M.messages[#M.messages + 1] = op end
end

local function complaint(op, message, limits)
  for _, field in ipairs(op[1]) do
    if not checks[field](message[field], limits) then
      return ("%s: bad field '%s'"):format(message.op, field)
    end
  end
end

local function open(broker, client, op, message)
  local request = setmetatable({ client = client, id = message.id, part = op.part, name = message.name,
    value = not op.part and message.value or nil, wait = message.wait, window = message.window }, Request)
  if not op.part then return op.run(broker, request) end
  if client.count >= broker.limits.requests then return request:refuse "too many requests" end
  add(client, request)
  return op.run(broker, request)
end

--- Takes a client's message; the answers are sent before it returns, as far as there are any yet.
---@param from moonpark.shared.client_of_broker
---@param message table
---@return true|nil
---@return string? err what is wrong with the message; nothing has happened
function Broker:handle(from, message)
  local client = self.clients[self.identities[from]]
  if not client then error("the client has not joined", 2) end
  local opening, later = ops[message.op], later_ops[message.op]
  local op = opening or later
  local wrong = not op and ("unknown message '%s'"):format(tostring(message.op)) or complaint(op, message, self.limits)
  if wrong then return nil, wrong end
  local request = client.requests[message.id]
  if opening then
    if request then return nil, message.op .. ": the id is in use" end
    open(self, client, op, message)
  elseif request and (not op.part or op.part == request.part) then
    op.run(self, request, message)
  end
  return true
end

---------------------------------------------------------------------------------------------------
-- a newer version of the supervisor

local function mark_of(request) return { request.client.identity, request.id } end

--- All that it knows, as a table that JSON can carry. The clients' connections are not in it.
---@return table
function Broker:state()
  local identities = {}
  for identity in pairs(self.clients) do identities[#identities + 1] = identity end
  return { version = VERSION, last = self.last, clients = identities, locks = self.locks:state(mark_of),
    channels = self.channels:state(mark_of), values = self.values:state(mark_of) }
end

--- A broker that goes on from a state. Its clients join with their identities; what they are sent before that is kept
--- for them. One that does not come back must leave, by its identity.
---@param state table
---@param settings? table as those of `new`
---@return moonpark.shared.broker
function M.restore(state, settings)
  if state.version ~= VERSION then
    error(("state of version %s, not %d"):format(tostring(state.version), VERSION), 2)
  end
  local broker = M.new(settings)
  broker.last = state.last
  for _, identity in ipairs(state.clients) do new_client(broker, identity) end
  for _, part in ipairs { "locks", "channels", "values" } do
    broker[part]:restore(state[part], function(mark, request)
      request.client, request.id, request.part = broker.clients[mark[1]], mark[2], part
      add(request.client, setmetatable(request, Request))
      return request
    end)
  end
  return broker
end

return M

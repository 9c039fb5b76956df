-- SPDX-License-Identifier: MIT
-- client.lua - a process's side of the broker (broker.lua has the messages): it numbers requests, sends them, and wakes
-- the task that waits for the answer.
--
-- The seam to the broker is a function that sends and one that receives, and neither waits. At first the broker is one
-- of this process, which answers before `send` returns, so nothing is sent to it from within `receive`; under a
-- supervisor the worker connects, before its script runs.

local broker = require "moonpark.shared.broker"
local core = require "moonpark.core"
local limits = require "moonpark.shared.limits"
local task = require "moonpark.task"

local M = {}

local BURST = 1024 -- messages that are sent before the broker has confirmed the last one of such a burst

local function nothing() end

---------------------------------------------------------------------------------------------------
-- requests

---@class moonpark.shared.request
---@field answer table|nil the broker's last message
local Request = {}
Request.__index = Request

function Request:receive(message)
  local client = self.client
  self.answer = message
  client.open[self.id] = message.op ~= "shared.refused" and self.becomes or nil
  self.event:set()
  client.outside(-1) -- after its task is ready, so that the loop cannot take this for a deadlock
end

---------------------------------------------------------------------------------------------------
-- clients

---@class moonpark.shared.client
local Client = {}
Client.__index = Client

---@return moonpark.shared.client
function M.new()
  return setmetatable({
    last = 0,       -- id
    open = {},      -- [id] = the request or the receiver that messages of that id are for
    held = {},      -- [name] = the lock of that name, where a task of this process has it
    computing = {}, -- [name] = the task of this process that computes that value
    outside = nothing,
    queue = {}, first = 1, last_queued = 0, -- what is to be sent to a broker elsewhere
    credit = BURST, -- messages that may be sent now
  }, Client)
end

-- For programs without workers.
local function use_own_broker(client)
  local own, end_of_it = broker.new(), {}
  function end_of_it.send(_, message) client:receive(message) end
  own:join(end_of_it)
  client.own = own
  function client.send(message)
    local ok, err = own:handle(end_of_it, message)
    if not ok then error("moonpark.shared: " .. err, 0) end
  end
end

--- Has messages sent to a broker elsewhere; what it answers is to be given to `receive`.
---@param send fun(message: table) never waits; the message can be carried as JSON
---@param outside? fun(n: integer) n more tasks, or fewer, wait for what comes from outside: no deadlock
function Client:connect(send, outside)
  if self.send then error("connect: the broker of this process is in use already", 2) end
  self.send, self.outside = send, outside or nothing
end

-- What waits for the answer to shared.sync.
local Sync = {}
Sync.__index = Sync

local function send_queued(client)
  while client.credit > 0 and client.queue[client.first] do
    local message = client.queue[client.first]
    client.queue[client.first] = nil
    client.first = client.first + 1
    client.credit = client.credit - 1
    client.send(message)
  end
end

local function send_burst(client)
  local had = client.credit
  send_queued(client)
  if had == 0 or client.credit > 0 then return end
  client.last = client.last + 1
  client.open[client.last] = setmetatable({ client = client, id = client.last }, Sync)
  client.send { op = "shared.sync", id = client.last }
end

function Sync:receive()
  local client = self.client
  client.open[self.id] = nil
  client.credit = BURST
  send_burst(client)
end

--- Sends a message after those that were sent before. A broker elsewhere gets them in bursts, so that a link never
--- holds more, however many tasks ask at once.
---@param message table
function Client:transmit(message)
  if self.own then return self.send(message) end
  self.last_queued = self.last_queued + 1
  self.queue[self.last_queued] = message
  send_burst(self)
end

--- Takes a message of the broker.
---@param message table
function Client:receive(message)
  local open = self.open[message.id]
  if open then open:receive(message) end -- else it has crossed the release of what it is about
end

--- The broker is gone: all that waits for it, and all later calls, return nil and this error.
---@param err string
function Client:disconnected(err)
  self.lost, self.send = err, nothing
  self.queue, self.first, self.last_queued = {}, 1, 0
  local all = {}
  for _, open in pairs(self.open) do all[#all + 1] = open end
  for _, open in ipairs(all) do open:receive { op = "shared.refused", error = err } end
end

--- Sends a message that is about a request.
function Client:post(request, message)
  if not self.send then use_own_broker(self) end
  message.id = request.id
  request.answer = nil
  request.event = core.event()
  self.open[request.id] = request
  self.outside(1)
  if self.lost then return request:receive { op = "shared.refused", error = self.lost } end
  self:transmit(message)
end

--- Opens a request. describe: see moonpark.task's waits_for.
---@param message table
---@param describe fun(request: moonpark.shared.request): string, string
---@param becomes? table what messages of this id are for once the request has been granted
---@return moonpark.shared.request
function Client:ask(message, describe, becomes)
  self.last = self.last + 1
  local request = setmetatable({ client = self, id = self.last, name = message.name, describe = describe,
    becomes = becomes }, Request)
  self:post(request, message)
  return request
end

--- Wants nothing more by a request's number: what has been granted, or is about to be, is given back.
---@param request {id: integer}
function Client:release(request)
  local open = self.open[request.id]
  self.open[request.id] = nil
  if open == request then self.outside(-1) end
  self:transmit { op = "shared.release", id = request.id }
end

--- What its tasks hold and have open, for reports of what a test has left behind.
---@param kind "lock"|"receiver"
---@return {id: integer, creator: number, text: string}[] creator: the id of the task that made it
function Client:list(kind)
  local list = {}
  for _, thing in pairs(kind == "lock" and self.held or self.open) do
    if thing.kind == kind then
      list[#list + 1] = { id = thing.id, creator = thing.task:id(), text = ("%s, by %s"):format(tostring(thing),
        tostring(thing.task)) }
    end
  end
  return list
end

--- Unlocks a lock, or closes a receiver, of that list.
---@param kind "lock"|"receiver"
---@param id integer
function Client:finish(kind, id)
  for _, thing in pairs(kind == "lock" and self.held or self.open) do
    if thing.kind == kind and thing.id == id then return thing:close() end
  end
end

--- Forgets all values of `once`, if the broker is this process's own.
function Client:forget_all()
  if self.own then self.own.values:clear() end
end

--- Waits for the answer. If there is none in time, or the task is cancelled, the request is released.
---@param request moonpark.shared.request
---@param timeout? number seconds
---@return table|nil answer
---@return string? err "timeout", "canceled"
function Client:await(request, timeout)
  local parks = not request.answer
  if parks then task.waits_for(request) end
  local woke, err = request.event:wait(timeout)
  if parks then task.waits_for(nil) end
  if woke then return request.answer end
  self:release(request)
  return nil, err
end

--- Waits for a semaphore that `receive` releases; as acquire.
---@param waiting {describe: fun(self): string, string}
function Client:acquire(semaphore, timeout, waiting)
  local parks = semaphore:count() == 0
  if parks then
    task.waits_for(waiting)
    self.outside(1)
  end
  local got, err = semaphore:acquire(timeout)
  if parks then
    task.waits_for(nil)
    self.outside(-1)
  end
  return got, err
end

---------------------------------------------------------------------------------------------------
-- what the faces check; level: as error's, for their caller

local gate = core.event()
gate:set()
local wait = gate.wait

--- A wait that is over at once. Raises where a task cannot wait, or there is none: so what follows may send, and then
--- wait for the answer.
---@return true|nil
---@return string? err "canceled"
function M.enter(level)
  local ok, entered, err = pcall(wait, gate)
  if not ok then error(entered, level + 1) end
  return entered, err
end

function M.check_name(name, what, level)
  if type(name) ~= "string" then
    error(("bad argument #1 to '%s' (name expected, got %s)"):format(what, type(name)), level + 1)
  end
  if #name < 1 or #name > limits.name then
    error(("bad argument #1 to '%s' (a name has 1 to %d bytes, not %d)"):format(what, limits.name, #name), level + 1)
  end
end

function M.check_timeout(timeout, position, what, level)
  if timeout == nil or type(timeout) == "number" and timeout == timeout then return end
  error(("bad argument #%d to '%s' (number of seconds expected, got %s)"):format(position, what,
    timeout ~= timeout and "NaN" or type(timeout)), level + 1)
end

---------------------------------------------------------------------------------------------------
-- this process's

--- The client of this process, which moonpark.shared uses.
M.default = M.new()

--- The kinds of messages that `receive` takes: their `op`.
---@type string[]
M.messages = { "shared.granted", "shared.refused", "shared.value", "shared.compute", "shared.done", "shared.subscribed",
  "shared.message", "shared.gap", "shared.ended" }

--- As Client:connect.
---@param send fun(message: table)
---@param outside? fun(n: integer)
function M.connect(send, outside) M.default:connect(send, outside) end

--- As Client:receive.
---@param message table
function M.receive(message) M.default:receive(message) end

--- As Client:disconnected.
---@param err string
function M.disconnected(err) M.default:disconnected(err) end

return M

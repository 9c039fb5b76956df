-- SPDX-License-Identifier: MIT
-- broker_values.lua - the broker's values of `once`: kept, or being computed by one request while others wait for it.
--
-- A value that is forgotten while it is being computed still goes to those that wait for it, because they asked before.
-- But it is not kept, and the next request to come computes anew.

local fifo = require "moonpark.fifo"

local Values = {}
Values.__index = Values

local M = {}

function M.new(limits, now)
  return setmetatable({ limits = limits, now = now, named = {}, detached = {}, kept = 0, bytes = 0 }, Values)
end

-- named[name]: {name, value, expires}, or {name, computing = request, waiters = fifo}, which is in detached[entry] once
-- it has been forgotten.

local function size_of(entry) return #entry.name + #entry.value end

function Values:drop(entry)
  self.named[entry.name] = nil
  self.kept = self.kept - 1
  self.bytes = self.bytes - size_of(entry)
end

function Values:drop_expired()
  local now = self.now()
  for _, entry in pairs(self.named) do
    if entry.expires and entry.expires <= now then self:drop(entry) end
  end
end

-- The entry of the name, if it still counts.
function Values:find(name)
  local entry = self.named[name]
  if not (entry and entry.expires and entry.expires <= self.now()) then return entry end
  self:drop(entry)
  return nil
end

local function compute(entry, request)
  entry.computing = request
  request.settled = true
  request:tell "shared.compute"
end

local function answer(request, value)
  request:finish()
  request:tell("shared.value", { value = value })
end

function Values:ask(request)
  local entry = self:find(request.name)
  if entry and entry.value then return answer(request, entry.value) end
  if entry and entry.waiters.count >= self.limits.waiters then return request:refuse "too many tasks wait" end
  request.entry = entry
  if entry then return entry.waiters:push(request) end
  request.entry = { name = request.name, waiters = fifo.new() }
  self.named[request.name] = request.entry
  return compute(request.entry, request)
end

function Values:has_room(entry)
  local limits = self.limits
  return self.kept < limits.kept and self.bytes + size_of(entry) <= limits.kept_bytes
end

-- Keeps the entry's value, if there is room.
function Values:keep(entry, ttl)
  if not self:has_room(entry) then self:drop_expired() end
  if not self:has_room(entry) then
    self.named[entry.name] = nil
    return false
  end
  entry.expires = ttl and self.now() + ttl
  self.kept = self.kept + 1
  self.bytes = self.bytes + size_of(entry)
  return true
end

--- The value of a request that computes. ttl: seconds, nil: for good. Returns whether it is kept: false if there is no
--- room for it, or it was forgotten meanwhile.
---@return boolean
function Values:computed(request, value, ttl)
  local entry = request.entry
  local waiters = entry.waiters
  entry.computing, entry.waiters, entry.value = nil, nil, value
  for waiter in waiters:items() do answer(waiter, value) end
  if self.named[entry.name] == entry then return self:keep(entry, ttl) end
  self.detached[entry] = nil
  return false
end

-- Those that wait for a value that was forgotten, and has no longer a task that computes it, ask as if they came now.
function Values:ask_again(entry)
  self.detached[entry] = nil
  while entry.waiters.first do
    local request = entry.waiters.first
    entry.waiters:remove(request)
    self:ask(request)
  end
end

--- It waits no longer; or it will not compute, and the next one does.
function Values:release(request)
  local entry = request.entry
  if entry.computing ~= request then return entry.waiters:remove(request) end
  local next_one = entry.waiters.first
  if self.named[entry.name] ~= entry then return self:ask_again(entry) end
  if next_one then
    entry.waiters:remove(next_one)
    compute(entry, next_one)
  else
    self.named[entry.name] = nil
  end
end

function Values:forget(name)
  local entry = self.named[name]
  if not entry then return end
  if entry.value then return self:drop(entry) end
  self.named[name] = nil
  self.detached[entry] = true
end

--- Forgets all that is kept.
function Values:clear()
  for _, entry in pairs(self.named) do
    if entry.value then self:drop(entry) end
  end
end

local function saved_computation(entry, of, detached)
  local waiters = {}
  for waiter in entry.waiters:items() do waiters[#waiters + 1] = of(waiter) end
  return { name = entry.name, computing = of(entry.computing), waiters = waiters, detached = detached }
end

--- As that of locks.
function Values:state(of)
  self:drop_expired()
  local list, now = {}, self.now()
  for name, entry in pairs(self.named) do
    list[#list + 1] = entry.value and { name = name, value = entry.value, ttl = entry.expires and entry.expires - now }
      or saved_computation(entry, of, false)
  end
  for entry in pairs(self.detached) do list[#list + 1] = saved_computation(entry, of, true) end
  return list
end

local function restored_computation(saved, make)
  local entry = { name = saved.name, waiters = fifo.new() }
  entry.computing = make(saved.computing, { name = saved.name, entry = entry, settled = true })
  for _, waiter in ipairs(saved.waiters) do
    entry.waiters:push(make(waiter, { name = saved.name, entry = entry }))
  end
  return entry
end

function Values:restore(list, make)
  for _, saved in ipairs(list) do
    local entry = saved.value and { name = saved.name, value = saved.value } or restored_computation(saved, make)
    if saved.detached then self.detached[entry] = true else self.named[saved.name] = entry end
    if saved.value then self:keep(entry, saved.ttl) end
  end
end

return M

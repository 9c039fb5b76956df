-- SPDX-License-Identifier: MIT
-- support/broker_model.lua - what a broker does, in the plainest way: all requests are in one list, in the order in
-- which their turn comes. The first one for a lock has it; the first one for a value that is not there computes it.

local M = {}
M.__index = M

function M.new(limits, now)
  return setmetatable({ limits = limits, now = now, list = {}, values = {}, out = {} }, M)
end

-- out[i] = a message, with `to`
function M:tell(request, op, message)
  message = message or {}
  message.to, message.id, message.op = request.client, request.id, op
  self.out[#self.out + 1] = message
end

function M:take_messages()
  local out = self.out
  self.out = {}
  return out
end

function M:all(kind, key, value)
  local found = {}
  for _, request in ipairs(self.list) do
    if request.kind == kind and request[key] == value then found[#found + 1] = request end
  end
  return found
end

function M:find(client, id)
  for at, request in ipairs(self.list) do
    if request.client == client and request.id == id then return request, at end
  end
end

function M:remove(request)
  local _, at = self:find(request.client, request.id)
  table.remove(self.list, at)
end

function M:requests_of(client)
  local all = {}
  for _, request in ipairs(self.list) do
    if request.client == client then all[#all + 1] = request end
  end
  return all
end

local ask = {}

function ask.lock(self, request)
  local before = #self:all("lock", "name", request.name)
  if before > 0 and not request.wait then return "locked" end
  if before > self.limits.waiters then return "too many tasks wait" end
  self.list[#self.list + 1] = request
  if before == 0 then self:tell(request, "shared.granted") end
end

function ask.subscribe(self, request)
  request.sizes, request.lost = {}, 0
  self.list[#self.list + 1] = request
  self:tell(request, "shared.subscribed")
end

function M:value_of(name)
  local kept = self.values[name]
  if kept and kept.expires and kept.expires <= self.now() then self.values[name] = nil end
  return self.values[name]
end

-- values[name]: {value, expires}, or the generation that the requests who wait for it have, {}.
function ask.once(self, request)
  local value = self:value_of(request.name)
  if value and value.value then
    self:tell(request, "shared.value", { value = value.value })
    return
  end
  local others = value and self:all("once", "generation", value) or {}
  if #others > self.limits.waiters then return "too many tasks wait" end
  request.generation = value or {}
  self.values[request.name] = request.generation
  self.list[#self.list + 1] = request
  if #others == 0 then self:tell(request, "shared.compute") end
end

function M:ask(request)
  local err = ask[request.kind](self, request)
  if err then self:tell(request, "shared.refused", { error = err }) end
end

function M:computes(request)
  return request.kind == "once" and self:all("once", "generation", request.generation)[1] == request
end

function M:has(request) -- what a release would give to others
  return request.kind == "subscribe" or self:computes(request)
    or request.kind == "lock" and self:all("lock", "name", request.name)[1] == request
end

function M:release_once(request, computed)
  local generation = request.generation
  self:remove(request)
  local others = self:all("once", "generation", generation)
  if not computed then return end
  if self.values[request.name] == generation then
    if others[1] then self:tell(others[1], "shared.compute") else self.values[request.name] = nil end
    return
  end
  for _, other in ipairs(others) do self:remove(other) end
  for _, other in ipairs(others) do self:ask(other) end
end

function M:release(request)
  local had = self:has(request)
  if request.kind == "once" then return self:release_once(request, had) end
  self:remove(request)
  if request.kind == "subscribe" then return self:tell(request, "shared.ended") end
  local next_one = self:all("lock", "name", request.name)[1]
  if had and next_one then self:tell(next_one, "shared.granted") end
end

function M:leave(client)
  local all, had = self:requests_of(client), {}
  for _, request in ipairs(all) do had[request] = self:has(request) end
  table.sort(all, function(a, b)
    if had[a] ~= had[b] then return not had[a] end
    return a.id < b.id
  end)
  for _, request in ipairs(all) do self:release(request) end
end

local function deliver(self, subscription, value)
  table.insert(subscription.sizes, #value)
  self:tell(subscription, "shared.message", { value = value })
end

local function has_room(self, subscription, value)
  local sum = #value
  for _, size in ipairs(subscription.sizes) do sum = sum + size end
  return #subscription.sizes == 0 or #subscription.sizes < subscription.window and sum <= self.limits.window_bytes
end

local at_once = {}

function at_once.publish(self, request)
  local count = 0
  for _, each in ipairs(self:all("subscribe", "name", request.name)) do
    if has_room(self, each, request.value) then
      deliver(self, each, request.value)
      count = count + 1
    else
      each.lost = each.lost + 1
    end
  end
  self:tell(request, "shared.done", { count = count })
end

function at_once.send(self, request)
  local all = self:all("subscribe", "name", request.name)
  for _, each in ipairs(all) do
    if has_room(self, each, request.value) then
      self:remove(each)
      self.list[#self.list + 1] = each
      deliver(self, each, request.value)
      return self:tell(request, "shared.done")
    end
  end
  self:tell(request, "shared.refused", { error = all[1] and "full" or "nobody receives" })
end

function at_once.forget(self, request)
  self.values[request.name] = nil
  self:tell(request, "shared.done")
end

local later = {}

function later.release(self, request) self:release(request) end

function later.took(self, request, message)
  if request.kind ~= "subscribe" then return end
  for _ = 1, message.count do table.remove(request.sizes, 1) end
  if request.lost > 0 then
    self:tell(request, "shared.gap", { count = request.lost })
    request.lost = 0
  end
end

function M:room_for(name, value)
  local count, bytes = 1, #name + #value
  for other, kept in pairs(self.values) do
    if self:value_of(other) and kept.value then
      count = count + 1
      bytes = bytes + #other + #kept.value
    end
  end
  return count <= self.limits.kept and bytes <= self.limits.kept_bytes
end

function later.computed(self, request, message)
  if not self:computes(request) then return end
  local all = self:all("once", "generation", request.generation)
  for _, each in ipairs(all) do self:remove(each) end
  for i = 2, #all do self:tell(all[i], "shared.value", { value = message.value }) end
  local kept = self.values[request.name] == request.generation
  if kept then
    kept = self:room_for(request.name, message.value)
    self.values[request.name] = kept and { value = message.value, expires = message.ttl and self.now() + message.ttl }
      or nil
  end
  self:tell(request, "shared.done", { kept = kept })
end

function M:handle(client, message)
  local op = message.op:match "^shared%.(%a+)$"
  local known = self:find(client, message.id)
  if later[op] then
    if known then later[op](self, known, message) end
    return
  end
  local request = { client = client, id = message.id, kind = op, name = message.name, wait = message.wait,
    window = message.window, value = message.value }
  if at_once[op] then return at_once[op](self, request) end
  if #self:requests_of(client) >= self.limits.requests then
    return self:tell(request, "shared.refused", { error = "too many requests" })
  end
  self:ask(request)
end

return M

-- SPDX-License-Identifier: MIT
-- once.lua - values that one task of all processes computes while the others wait: once, forget.

local clients = require "moonpark.shared.client"
local core = require "moonpark.core"
local failures = require "moonpark.failures"
local limits = require "moonpark.shared.limits"
local option = require "moonpark.options"
local values = require "moonpark.shared.values"

local M = {}

---@class moonpark.shared.once.options
---@field ttl? number seconds that the value is kept; for good

local once_options = { ttl = "pause" }

local function describe(request)
  local computing = request.client.computing[request.name]
  return "once", ("shared value %q, computed by %s"):format(request.name,
    computing and "task " .. computing:id() or "another process")
end

local function describe_forget(request) return "forget", ("shared value %q"):format(request.name) end

-- Calls fn and returns its value packed. If there is none, the next task is told to compute; returns nil and why, or
-- raises. Level 4 of errors is the caller of once.
local function compute(client, request, fn)
  local name, me = request.name, core.current()
  client.computing[name] = me
  local ok, value, why = xpcall(fn, failures.remember)
  if client.computing[name] == me then client.computing[name] = nil end
  local packed, wrong
  if ok and value ~= nil then packed, wrong = values.pack(value) end
  if packed and #packed <= limits.value then return packed end
  client:release(request)
  if not ok then error(value, 0) end
  if wrong then error(("once: %s cannot be shared"):format(wrong), 4) end
  if value == nil then return nil, why end
  return nil, "too long"
end

---@param options? moonpark.shared.once.options
local function once(client, name, fn, options)
  clients.check_name(name, "once", 3)
  if type(fn) ~= "function" then
    error(("bad argument #2 to 'once' (function expected, got %s)"):format(type(fn)), 3)
  end
  options = option.check("once", options, once_options, 3, 3)
  local entered, err = clients.enter(3)
  if client.computing[name] == core.current() then error(("'%s' is being computed by this task"):format(name), 3) end
  if not entered then return nil, err end
  local request = client:ask({ op = "shared.once", name = name }, describe)
  local answer, failure = client:await(request)
  if not answer then return nil, failure end
  if answer.op == "shared.refused" then return nil, answer.error end
  if answer.op == "shared.value" then return values.unpack(answer.value) end
  local packed, why = compute(client, request, fn)
  if not packed then return nil, why end
  client:post(request, { op = "shared.computed", value = packed, ttl = options.ttl })
  answer = client:await(request)
  return values.unpack(packed), answer and not answer.kept and "not kept" or nil
end

--- The functions, for a client.
---@param client moonpark.shared.client
---@return table
function M.new(client)
  local F = {}

  function F.once(name, fn, options)
    local value, err = once(client, name, fn, options)
    return value, err
  end

  function F.forget(name)
    clients.check_name(name, "forget", 2)
    local entered, err = clients.enter(2)
    if not entered then return nil, err end
    local answer, failure = client:await(client:ask({ op = "shared.forget", name = name }, describe_forget))
    if not answer then return nil, failure end
    if answer.op == "shared.refused" then return nil, answer.error end
    return true
  end

  return F
end

return M

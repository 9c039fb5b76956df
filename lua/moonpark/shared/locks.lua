-- SPDX-License-Identifier: MIT
-- locks.lua - locks that tasks of all processes take: lock, try_lock, locked.

local clients = require "moonpark.shared.client"
local core = require "moonpark.core"
local failures = require "moonpark.failures"

local M = {}

---@class moonpark.shared.held
---@field package kind string
local Held = { kind = "lock" }
Held.__index = Held

--- Lets the lock go: the first of those that wait gets it. Any task of this process may call it; once.
function Held:unlock()
  if getmetatable(self) ~= Held then
    error(("bad argument #1 to 'unlock' (lock expected, got %s)"):format(type(self)), 2)
  end
  local client = self.client
  if client.held[self.name] ~= self then error(("lock '%s' has been unlocked already"):format(self.name), 2) end
  client.held[self.name] = nil
  client:release(self)
end

Held.close = Held.unlock

function Held:__tostring() return ("shared lock %q"):format(self.name) end

local function describe(request)
  local held = request.client.held[request.name]
  return "lock", ("shared lock %q, held by %s"):format(request.name,
    held and "task " .. held.task:id() or "another process")
end

-- Level 3 of errors is the caller of lock, try_lock or locked. wait: false: nil, "timeout" at once where it is held.
local function acquire(client, what, name, wait, timeout)
  clients.check_name(name, what, 3)
  local entered, err = clients.enter(3)
  local held = client.held[name]
  if held and held.task == core.current() then error(("lock '%s' is already locked by this task"):format(name), 3) end
  if not entered then return nil, err end
  local request = client:ask({ op = "shared.lock", name = name, wait = wait }, describe)
  local answer, failure = client:await(request, timeout)
  if not answer then return nil, failure end
  if answer.op == "shared.refused" then return nil, answer.error == "locked" and "timeout" or answer.error end
  held = setmetatable({ client = client, id = request.id, name = name, task = core.current() }, Held)
  client.held[name] = held
  return held
end

local function leave(held, ok, ...)
  if held.client.held[held.name] == held then held:unlock() end
  if not ok then error((...), 0) end
  return true, ...
end

--- The functions, for a client.
---@param client moonpark.shared.client
---@return table
function M.new(client)
  local F = {}

  function F.lock(name, timeout)
    clients.check_timeout(timeout, 2, "lock", 2)
    local waits = not timeout or timeout > 0
    local held, err = acquire(client, "lock", name, waits, waits and timeout or nil)
    return held, err
  end

  function F.try_lock(name)
    local held, err = acquire(client, "try_lock", name, false)
    return held, err
  end

  function F.locked(name, fn, timeout)
    if type(fn) ~= "function" then
      error(("bad argument #2 to 'locked' (function expected, got %s)"):format(type(fn)), 2)
    end
    clients.check_timeout(timeout, 3, "locked", 2)
    local waits = not timeout or timeout > 0
    local held, err = acquire(client, "locked", name, waits, waits and timeout or nil)
    if not held then return nil, err end
    return leave(held, xpcall(fn, failures.remember))
  end

  return F
end

return M

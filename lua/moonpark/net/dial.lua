-- SPDX-License-Identifier: MIT
-- dial.lua - connecting to a name: which of its addresses are tried, when, and how long (happy eyeballs, RFC 6555;
-- Go's net.Dialer: dialParallel, dialSerial, partialDeadline).
--
-- The calling task tries the first family's addresses, one after the other. A second task waits until the head start is
-- over, or the first family has failed, and then tries the other family's. The first one to connect cancels the scope
-- that both are in; if the other connects nevertheless, it closes its connection.

local addresses = require "moonpark.net.addresses"
local core = require "moonpark.core"
local task = require "moonpark.task"

local M = {}

local HEAD_START = 0.3   -- seconds that the first family has for itself
local LEAST_SHARE = 2    -- seconds for one address, if there are as many
local FIRST_PAUSE, LONGEST_PAUSE = 0.001, 0.05

---------------------------------------------------------------------------------------------------
-- one address

local FULL = "resource temporarily unavailable"

-- A unix listener with a full queue refuses with EAGAIN, and nothing reports when there is room again.
local function patiently(address, timeout, from)
  local deadline = timeout and core.now() + timeout
  local pause = FIRST_PAUSE
  while true do
    if deadline and core.now() + pause >= deadline then return nil, "timeout" end
    local ok, why = core.sleep(pause)
    if not ok then return nil, why end
    local conn, err, errno = core.dial(address, deadline and deadline - core.now(), from)
    if conn or err ~= FULL then return conn, err, errno end
    pause = math.min(pause * 2, LONGEST_PAUSE)
  end
end

--- Connects to one numeric address; false if it, or `from`, is not numeric.
---@param address string
---@param timeout number|nil seconds
---@param from string|nil
---@return moonpark.connection|nil|false
---@return string? err
---@return integer? errno
function M.attempt(address, timeout, from)
  local conn, err, errno = core.dial(address, timeout, from)
  if err ~= FULL or addresses.family(address) ~= "unix" then return conn, err, errno end
  return patiently(address, timeout, from)
end

---------------------------------------------------------------------------------------------------
-- one after the other

-- Seconds for the next of n addresses; nil: no limit.
local function share(deadline, n)
  if not deadline then return nil end
  local left = deadline - core.now()
  return math.max(0, math.min(left, math.max(left / n, LEAST_SHARE)))
end

-- The first that connects, or why the first one did not.
local function serial(targets, deadline)
  local err, errno
  for i, target in ipairs(targets) do
    local timeout = share(deadline, #targets - i + 1)
    if timeout == 0 and err then break end
    local conn, why, number = M.attempt(target.to, timeout, target.from)
    if conn then return conn end
    if why == "canceled" then return nil, why end
    if not err then err, errno = why, number end
  end
  return nil, err, errno
end

---------------------------------------------------------------------------------------------------
-- two families

-- The results of pcall and of the race: the winning connection belongs to the calling task, unless that was cancelled.
local function decided(ok, raised, race)
  local winner = race.winner
  if not ok then
    if winner then winner:close() end
    error(raised, 0)
  end
  if not winner then return nil, race.err, race.errno end
  -- Set, so this does not wait; but it tells the scopes around us if what they have cancelled is refused here.
  local alive, why = race.failed:wait()
  if not alive then
    winner:close()
    return nil, why
  end
  core.made_here(winner)
  return winner
end

local function parallel(primaries, fallbacks, deadline, delay)
  local race = { failed = core.event() }
  local function settle(scope, conn)
    if not conn then return end
    if race.winner then return conn:close() end
    race.winner = conn
    scope:cancel()
  end
  local function beside(scope)
    local _, why = race.failed:wait(delay)
    if why ~= "canceled" then settle(scope, (serial(fallbacks, deadline))) end
  end
  local ok, raised = pcall(task.scope, function(scope)
    scope:go(beside, scope)
    local conn
    conn, race.err, race.errno = serial(primaries, deadline)
    settle(scope, conn)
    race.failed:set()
  end)
  return decided(ok, raised, race)
end

-- Those of the first one's family, and the others.
local function partition(targets)
  local primaries, fallbacks = {}, {}
  local first = addresses.family(targets[1].to)
  for _, target in ipairs(targets) do
    local list = addresses.family(target.to) == first and primaries or fallbacks
    list[#list + 1] = target
  end
  return primaries, fallbacks
end

---------------------------------------------------------------------------------------------------
-- names

--- Connects to what core.dial does not take: the address, or the local address, is a name, or malformed, which
--- raises.
---@param address string
---@param options {local_address?: string, fallback_delay?: number}
---@param timeout number|nil seconds, the look-ups included
---@param level integer of the script's line, as for error() in the function that calls this
---@return moonpark.connection|nil
---@return string? err
---@return integer? errno
function M.by_name(address, options, timeout, level)
  local source = options.local_address
  local host, port = addresses.check(address, false, "dial", level + 1)
  local source_host, source_port
  if source then source_host, source_port = addresses.check(source, false, "dial", level + 1) end

  local deadline = timeout and timeout < math.huge and core.now() + timeout or nil
  local to, err, errno = addresses.expand(address, host, port, false, deadline)
  if not to then return nil, err, errno end
  local from
  if source then from, err, errno = addresses.expand(source, source_host, source_port, false, deadline) end
  if source and not from then return nil, err, errno end

  local targets, delay = addresses.pair_up(to, from), options.fallback_delay or HEAD_START
  local primaries, fallbacks = partition(targets)
  if delay < 0 or not fallbacks[1] then return serial(targets, deadline) end
  return parallel(primaries, fallbacks, deadline, delay)
end

return M

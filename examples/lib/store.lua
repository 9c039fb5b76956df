-- SPDX-License-Identifier: MIT
-- store.lua - values under keys, which may expire.
--
-- A value is a string, or a number if it is a counter, so that counting makes no strings. An expired key
-- is removed when a command looks for it; sweep() removes those that no command looks for. The time is
-- passed in (tick), so that a whole batch of commands sees one moment and no command asks for the time.

local floor = math.floor

local M = {}

local TICKS = 10 -- parts in which a second is swept

local values    -- [key] = string or number
local deadlines -- [key] = seconds, for keys that expire
local due       -- [tick] = {[key] = true}: keys whose deadline is in that tick
local due_count -- [tick] = how many
local count     -- of keys, including expired ones that are not removed yet
local expiring  -- how many of them have a deadline
local now = 0
local swept = 0 -- the last tick that was swept

--- Removes everything.
function M.clear()
  values, deadlines, due, due_count = {}, {}, {}, {}
  count, expiring = 0, 0
end

M.clear()

--- Sets the time, in seconds. It never goes back.
function M.tick(seconds) now = seconds end

local function set_deadline(key, at)
  local tick = floor(at * TICKS)
  if expiring == 0 then swept = floor(now * TICKS) - 1 end
  if not due[tick] then due[tick], due_count[tick] = {}, 0 end
  due[tick][key], due_count[tick] = true, due_count[tick] + 1
  deadlines[key] = at
  expiring = expiring + 1
end

local function forget_deadline(key)
  local at = deadlines[key]
  if not at then return end
  local tick = floor(at * TICKS)
  due[tick][key], due_count[tick] = nil, due_count[tick] - 1
  if due_count[tick] == 0 then due[tick], due_count[tick] = nil, nil end
  deadlines[key] = nil
  expiring = expiring - 1
end

local function remove(key)
  forget_deadline(key)
  values[key] = nil
  count = count - 1
end

--- The value of a key, or nil.
function M.get(key)
  local at = deadlines[key]
  if at and at <= now then
    remove(key)
    return nil
  end
  return values[key]
end

--- Sets a key that does not expire.
function M.set(key, value)
  if deadlines[key] then forget_deadline(key) end
  if values[key] == nil then count = count + 1 end
  values[key] = value
end

--- Sets a new value; the key still expires when it would have.
function M.replace(key, value)
  if M.get(key) == nil then return M.set(key, value) end
  values[key] = value
end

--- Removes a key. Returns whether it was there.
function M.delete(key)
  if M.get(key) == nil then return false end
  remove(key)
  return true
end

--- Lets a key that exists expire after a number of seconds.
function M.expire(key, seconds)
  if seconds <= 0 then return remove(key) end
  forget_deadline(key)
  set_deadline(key, now + seconds)
end

--- The seconds that a key has left; nil if it does not expire.
function M.time_left(key)
  local at = deadlines[key]
  return at and at - now
end

--- A list of the keys that matches(key) is true for.
function M.keys(matches)
  local list = {}
  for key in pairs(values) do
    local at = deadlines[key]
    if (not at or at > now) and matches(key) then list[#list + 1] = key end
  end
  return list
end

--- How many keys there are, and how many of them expire.
function M.size() return count, expiring end

--- Removes what has expired since the last sweep.
function M.sweep()
  local last = floor(now * TICKS) - 1
  while swept < last and expiring > 0 do
    swept = swept + 1
    for key in pairs(due[swept] or {}) do remove(key) end
  end
end

return M

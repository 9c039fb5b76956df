-- SPDX-License-Identifier: MIT
-- pool.lua - pools of cosocket connections, by name. The idle one that was used last is taken first, and the one unused
-- for the longest goes when there are too many. A pool counts all connections that were made while it was there, and
-- one that was made with a backlog bounds them.
--
-- Each connection that counts has a place. It is left when the connection is closed, and when whoever holds the place
-- has been collected.

local core = require "moonpark.core"
local draining = require "moonpark.draining"
local task = require "moonpark.task"

local M = {}

local SIZE = 30          -- lua_socket_pool_size
local LOOKS = 5          -- seconds: the peers of idle connections are looked at that often

---@class moonpark.ngx.pool
---@field name string
---@field idle {conn: moonpark.connection, used: integer, due: number, place: table}[] the one used last at the end
---@field size integer
---@field open integer places that are taken: connections in use, being made, and idle
---@field backlog integer|nil how many may wait for a place; nil: places are without bound
---@field waiting table[] {event, entry or place}
local pools = {}

local reaper -- a daemon, while there is anything idle

local function new_pool(name, size, backlog)
  local pool = { name = name, idle = {}, waiting = {}, size = size or SIZE, open = 0, backlog = backlog }
  pools[name] = pool
  return pool
end

---------------------------------------------------------------------------------------------------
-- places

---@class moonpark.ngx.place
---@field pool moonpark.ngx.pool|nil nil: it was left
---@field guard userdata its finalizer leaves the place

local function new_place(pool)
  local place = { pool = pool, guard = newproxy(true) }
  pool.open = pool.open + 1
  getmetatable(place.guard).__gc = function() pcall(M.leave, place) end
  return place
end

-- The next that waits gets the idle connection; or a place, if there is one.
local function serve(pool, entry)
  local waiter = table.remove(pool.waiting, 1)
  if not waiter then return false end
  waiter.entry, waiter.place = entry, not entry and new_place(pool) or nil
  waiter.event:set()
  return true
end

--- The connection of that place is closed, or has not been made. Harmless twice.
---@param place moonpark.ngx.place|nil
function M.leave(place)
  local pool = place and place.pool
  if not pool then return end
  place.pool = nil
  pool.open = pool.open - 1
  if serve(pool) or pool.open > 0 then return end
  if pools[pool.name] == pool then pools[pool.name] = nil end
end

---------------------------------------------------------------------------------------------------
-- idle connections

local function drop(pool, i)
  local entry = table.remove(pool.idle, i)
  entry.conn:close()
  M.leave(entry.place)
end

-- Closes what is over its time or has been closed by its peer -> is anything left?
local function reap()
  local now, left = core.now(), false
  for _, pool in pairs(pools) do
    for i = #pool.idle, 1, -1 do
      local entry = pool.idle[i]
      if entry.due <= now or not entry.conn:is_quiet() then drop(pool, i) end
    end
    left = left or #pool.idle > 0
  end
  return left
end

-- When the next one is due, or its peer is to be looked at.
local function pause()
  local soonest = core.now() + LOOKS
  for _, pool in pairs(pools) do
    for _, entry in ipairs(pool.idle) do soonest = math.min(soonest, entry.due) end
  end
  return math.max(0.001, soonest - core.now())
end

local function close_idle()
  for _, pool in pairs(pools) do
    while #pool.idle > 0 do drop(pool, #pool.idle) end
  end
end

--- Closes all that is idle.
function M.clear()
  close_idle()
  if reaper then reaper:cancel() end
  reaper = nil
end

local function watch()
  while reap() do
    if not core.sleep(pause()) then break end
  end
  local own = reaper == core.current() -- else M.clear has ended it
  if own then reaper = nil end
  if own and core.current():is_canceled() then close_idle() end
end

local function need_reaper()
  if reaper and (reaper:status() == "parked" or reaper:status() == "ready") then return end
  if core.current() then reaper = task.go_daemon(watch) end
end

local function take_idle(pool)
  while #pool.idle > 0 do
    local entry = table.remove(pool.idle)
    if entry.conn:is_quiet() then return entry end
    entry.conn:close()
    M.leave(entry.place)
  end
end

---------------------------------------------------------------------------------------------------
-- taking and giving

-- Waits for what `serve` gives -> as take
local function wait(pool, timeout)
  local waiter = { event = core.event() }
  table.insert(pool.waiting, waiter)
  local could, ok, err = pcall(waiter.event.wait, waiter.event, timeout)
  if could and (ok or waiter.entry or waiter.place) then return waiter.entry, waiter.place end
  for i = #pool.waiting, 1, -1 do
    if pool.waiting[i] == waiter then table.remove(pool.waiting, i) end
  end
  if not could then error(ok, 0) end
  return nil, nil, err
end

--- An idle connection of the pool of that name; or nil, and a place for a new one, if there is such a pool; or nil,
--- nil, and why there is none. The first that asks for a size or a backlog makes the pool, and says what they are.
---@param name string
---@param size integer|nil
---@param backlog integer|nil
---@param timeout number|nil seconds to wait for a place
---@return table|nil entry
---@return moonpark.ngx.place|nil place
---@return string|nil err
function M.take(name, size, backlog, timeout)
  local pool = pools[name]
  if not pool then
    if not size and not backlog then return nil end
    pool = new_pool(name, size, backlog)
  end
  local entry = take_idle(pool)
  if entry then return entry end
  if pools[name] ~= pool then pools[name] = pool end -- the last one that was idle had been closed
  if not pool.backlog or pool.open < pool.size then return nil, new_place(pool) end
  if #pool.waiting >= pool.backlog then return nil, nil, "too many waiting connect operations" end
  return wait(pool, timeout)
end

--- Is there a pool of that name?
---@param name string
---@return boolean
function M.exists(name) return pools[name] ~= nil end

--- Keeps a quiet connection for that many seconds.
---@param name string
---@param entry {conn: moonpark.connection, used: integer, place: moonpark.ngx.place|nil}
---@param seconds number|nil nil: as long as it stays open
---@param size integer|nil of the pool, if there is none yet
function M.give(name, entry, seconds, size)
  local pool = pools[name] or new_pool(name, size)
  entry.place = entry.place or new_place(pool)
  entry.due = seconds and core.now() + seconds or math.huge
  if serve(pool, entry) then return end
  table.insert(pool.idle, entry)
  while #pool.idle > pool.size do drop(pool, 1) end
  need_reaper()
end

--- How many connections are idle in that pool.
---@param name string
---@return integer
function M.count(name) return pools[name] and #pools[name].idle or 0 end

--- How many places of that pool are taken.
---@param name string
---@return integer
function M.open(name) return pools[name] and pools[name].open or 0 end

draining.add(M, M.clear)

return M

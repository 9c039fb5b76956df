-- SPDX-License-Identifier: MIT
-- pool.lua - pools of idle cosocket connections, by name: the one used last is taken first, the one unused for the
-- longest goes when there are too many. A pool that was made with a size and a backlog also bounds how many are open.

local core = require "moonpark.core"
local draining = require "moonpark.draining"
local task = require "moonpark.task"

local M = {}

local SIZE = 30          -- lua_socket_pool_size
local LOOKS = 5          -- seconds: the peers of idle connections are looked at that often

---@class moonpark.ngx.pool
---@field idle {conn: moonpark.connection, used: integer, due: number}[] the one used last at the end
---@field size integer
---@field open integer|nil connections in use and idle, where that is bounded
---@field backlog integer|nil
---@field waiting table[] {event, conn}
local pools = {}

local reaper -- a daemon, while there is anything idle

local function drop(pool, i)
  local entry = table.remove(pool.idle, i)
  entry.conn:close()
  if pool.open then pool.open = pool.open - 1 end
end

-- Closes what is over its time or has been closed by its peer -> is anything left?
local function reap()
  local now, left = core.now(), false
  for name, pool in pairs(pools) do
    for i = #pool.idle, 1, -1 do
      local entry = pool.idle[i]
      if entry.due <= now or not entry.conn:is_quiet() then drop(pool, i) end
    end
    if #pool.idle > 0 then left = true
    elseif not pool.open or pool.open == 0 and #pool.waiting == 0 then pools[name] = nil end
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

--- Closes all that is idle.
function M.clear()
  for _, pool in pairs(pools) do
    while #pool.idle > 0 do drop(pool, #pool.idle) end
  end
end

local function watch()
  while reap() do
    if not core.sleep(pause()) then break end
  end
  if reaper == core.current() then reaper = nil end
  if task.is_daemon(core.current()) and core.current():is_canceled() then M.clear() end
end

local function need_reaper()
  if reaper and (reaper:status() == "parked" or reaper:status() == "ready") then return end
  if core.current() then reaper = task.go_daemon(watch) end
end

local function pool_of(name, options)
  local pool = pools[name]
  if not pool then
    pool = { name = name, idle = {}, waiting = {}, size = options.pool_size or SIZE }
    if options.backlog then pool.open, pool.backlog = 0, options.backlog end
    pools[name] = pool
  end
  return pool
end

local function take_idle(pool)
  while #pool.idle > 0 do
    local entry = table.remove(pool.idle)
    if entry.conn:is_quiet() then return entry end
    entry.conn:close()
    if pool.open then pool.open = pool.open - 1 end
  end
end

--- An idle connection of that pool; or nil, and the pool, in which a place is reserved for a new one if it is bounded;
--- or nil, nil, and why there is none.
---@param name string
---@param options {pool_size?: integer, backlog?: integer}
---@param timeout number|nil seconds to wait for a place
---@return table|nil entry
---@return moonpark.ngx.pool|nil pool
---@return string|nil err
function M.take(name, options, timeout)
  if not pools[name] and not options.backlog then return nil, { name = name, size = options.pool_size } end
  local pool = pool_of(name, options)
  local entry = take_idle(pool)
  if entry or not pool.open then return entry, pool end
  if pool.open < pool.size then
    pool.open = pool.open + 1
    return nil, pool
  end
  if #pool.waiting >= pool.backlog then return nil, nil, "too many waiting connect operations" end
  local waiter = { event = core.event() }
  table.insert(pool.waiting, waiter)
  local ok, err = waiter.event:wait(timeout)
  if not ok and not waiter.served then
    for i, one in ipairs(pool.waiting) do
      if one == waiter then table.remove(pool.waiting, i) end
    end
    return nil, nil, err
  end
  return waiter.entry, pool
end

-- The next that waits gets the connection, or the place of one.
local function serve(pool, entry)
  local waiter = table.remove(pool.waiting, 1)
  if not waiter then return false end
  waiter.served, waiter.entry = true, entry
  waiter.event:set()
  return true
end

--- A connection that came from here, or has a place here, is closed.
---@param pool moonpark.ngx.pool|nil
function M.closed(pool)
  if not pool or not pool.open or serve(pool) then return end
  pool.open = pool.open - 1
end

--- Keeps a quiet connection for that many seconds; nil: as long as it stays open.
---@param name string
---@param conn moonpark.connection
---@param used integer
---@param seconds number|nil
---@param size integer|nil
function M.give(name, conn, used, seconds, size)
  local pool = pool_of(name, { pool_size = size })
  local entry = { conn = conn, used = used, due = seconds and core.now() + seconds or math.huge }
  if pool.open and serve(pool, entry) then return end
  table.insert(pool.idle, entry)
  while #pool.idle > pool.size do drop(pool, 1) end
  need_reaper()
end

--- How many connections wait in that pool.
---@param name string
---@return integer
function M.count(name) return pools[name] and #pools[name].idle or 0 end

draining.add(M, M.clear)

return M

-- SPDX-License-Identifier: MIT
-- pool.lua - keeps an HTTP client's connections for the next request to the same server.
--
-- No task waits on an idle connection, so it does not keep the program alive. Each use of the pool closes connections
-- that are too old. Before a connection is reused it is checked, without waiting: if anything has arrived, even the
-- end, it is closed instead.

local core = require "moonpark.core"

local M = {}

---@class moonpark.http.pool.options
---@field max_connections? integer open at once; no limit
---@field max_per_host? integer open at once to one place; no limit
---@field max_idle? integer kept; 128
---@field max_idle_per_host? integer kept for one place; 16
---@field idle_timeout? number seconds one is kept; 60

---@class moonpark.http.pool.entry
---@field conn moonpark.connection|false false: it is still to be made
---@field reader userdata reads its responses
---@field place table
---@field since number when it became idle
---@field used boolean it has carried a request before

---@class moonpark.http.pool
local Pool = {}
Pool.__index = Pool

local pools = setmetatable({}, { __mode = "k" })

local SWEEP = 1 -- seconds between two looks at all that is idle

---@param options moonpark.http.pool.options
---@return moonpark.http.pool
function M.new(options)
  local pool = setmetatable({
    places = {},
    idle = 0,
    max_idle = options.max_idle or 128,
    max_idle_per_host = options.max_idle_per_host or 16,
    idle_timeout = options.idle_timeout or 60,
    max_per_host = options.max_per_host, -- nil: no limit
    free = options.max_connections and core.semaphore(options.max_connections),
    max_open = options.max_connections,
    open = 0,
    sweep_at = 0,
  }, Pool)
  pools[pool] = true
  return pool
end

--- The place of that key: what is the same for all connections in it.
---@param key string
---@return table
function Pool:place(key)
  local place = self.places[key]
  if not place then
    place = { key = key, used = 0, free = self.max_per_host and core.semaphore(self.max_per_host) }
    self.places[key] = place
  end
  return place
end

local function forget(self, place)
  if place.used == 0 and #place == 0 and self.places[place.key] == place then self.places[place.key] = nil end
end

local function close(self, entry)
  self.open = self.open - 1
  if entry.conn then entry.conn:close() end
end

local function close_oldest(self, place)
  close(self, table.remove(place, 1))
  self.idle = self.idle - 1
  forget(self, place)
end

local function sweep(self, now)
  self.sweep_at = now + SWEEP
  for _, place in pairs(self.places) do
    while place[1] and place[1].since + self.idle_timeout <= now do close_oldest(self, place) end
  end
end

-- One that is idle somewhere makes room.
local function make_room(self)
  local oldest
  for _, place in pairs(self.places) do
    if place[1] and (not oldest or place[1].since < oldest[1].since) then oldest = place end
  end
  if oldest then close_oldest(self, oldest) end
end

local function left(deadline) return deadline and math.max(0, deadline - core.now()) end

local function acquire(turns, deadline)
  if not turns then return true end
  return turns:acquire(left(deadline))
end

-- The place's turn, then the pool's; or neither.
local function acquire_both(self, place, deadline)
  local ok, err = acquire(place.free, deadline)
  if not ok then return nil, err end
  local done
  done, ok, err = pcall(acquire, self.free, deadline)
  if done and ok then return true end
  if place.free then place.free:release() end
  if not done then error(ok, 0) end
  return nil, err
end

--- Waits until another request to the place may begin; leave() ends it. Where it fails or raises there is nothing to
--- end.
---@param place table
---@param deadline number|nil
---@return true|nil
---@return string? err "timeout", "canceled"
function Pool:enter(place, deadline)
  self.places[place.key] = place -- the collector may have ended its last request a moment ago
  place.used = place.used + 1
  if not place.free and not self.free then return true end
  local done, ok, err = pcall(acquire_both, self, place, deadline)
  if done and ok then return true end
  place.used = place.used - 1
  forget(self, place)
  if not done then error(ok, 0) end
  return nil, err
end

--- The request is over; its connection was put back or dropped.
function Pool:leave(place)
  place.used = place.used - 1
  if place.free then place.free:release() end
  if self.free then self.free:release() end
  forget(self, place)
end

--- An idle connection, or nil. sure: it must be as sure as can be that it can carry a request.
---@param place table
---@param sure boolean
---@return moonpark.http.pool.entry|nil
function Pool:take(place, sure)
  local n = #place
  if n == 0 then return nil end
  local now = core.now()
  while n > 0 do
    local entry = place[n]
    local is_good = entry.since + self.idle_timeout > now and core.http_is_quiet(entry.conn, sure) -- or raises
    place[n] = nil
    n = n - 1
    self.idle = self.idle - 1
    if is_good then return entry end
    close(self, entry)
  end
end

--- Room for a connection that is about to be made, as `conn` of the entry, and counts from now on.
---@param place table
---@return moonpark.http.pool.entry
function Pool:reserve(place)
  local entry = { conn = false, reader = core.http_reader(), place = place, since = 0, used = false }
  if self.max_open and self.open >= self.max_open then make_room(self) end
  if self.max_per_host and place[1] and #place + place.used > self.max_per_host then close_oldest(self, place) end
  self.open = self.open + 1
  return entry
end

--- Keeps a connection for the next request. Where that raises, for there is no memory, it is still in use.
---@param entry moonpark.http.pool.entry
function Pool:put(entry)
  local place, now = entry.place, core.now()
  if self.closed or self.max_idle_per_host <= 0 or self.max_idle <= 0 then return close(self, entry) end
  if #place >= self.max_idle_per_host then close_oldest(self, place)
  elseif self.idle >= self.max_idle then make_room(self) end
  if now >= self.sweep_at then sweep(self, now) end
  self.places[place.key] = place
  entry.used, entry.since = true, now
  place[#place + 1] = entry
  self.idle = self.idle + 1
end

--- Closes a connection that is in use, or could not be made.
---@param entry moonpark.http.pool.entry
function Pool:drop(entry) close(self, entry) end

--- A connection that is in use is its user's from now on.
function Pool:give_away() self.open = self.open - 1 end

--- Closes what is idle in one place.
---@param place table
function Pool:close_place(place)
  while place[1] do close_oldest(self, place) end
end

--- Closes what is idle.
function Pool:close_idle()
  for _, place in pairs(self.places) do self:close_place(place) end
end

--- Closes what is idle, and keeps nothing from now on.
function Pool:close()
  self.closed = true
  self:close_idle()
end

--- Closes what is idle in all pools: so that a test leaves nothing.
function M.close_all_idle()
  for pool in pairs(pools) do pool:close_idle() end
end

return M

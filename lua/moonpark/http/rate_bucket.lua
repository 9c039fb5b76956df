-- SPDX-License-Identifier: MIT
-- rate_bucket.lua - token buckets by key, in this process or in a shared dict.
--
-- A bucket is one number: when it will be full again. Each request moves that time by the interval of one token, and is
-- refused if the time would be further away than a whole bucket takes to fill (the generic cell rate algorithm). A
-- bucket that is full is the same as none, so nothing is lost when it is forgotten; one number can be changed in shared
-- memory without a lock; and no clock ticks. Times are those of moonpark.now(), which never goes back.

local core = require "moonpark.core"

local M = {}

---@class moonpark.http.rate_bucket.rate
---@field interval number seconds that one token takes
---@field whole number seconds that a whole bucket takes
---@field slack number seconds that rounding may cost; far less than a token

--- Of so many tokens in so many seconds, `burst` of them at once.
---@param rate number
---@param per number
---@param burst integer
---@return moonpark.http.rate_bucket.rate
function M.rate(rate, per, burst)
  local interval = per / rate
  return { interval = interval, whole = interval * burst, slack = interval / 100 }
end

-- When the bucket would be full after `cost` tokens; or nil, and the seconds until there are as many.
local function after(rate, full_at, now, cost)
  local from = full_at and full_at > now and full_at or now
  local next_at = from + rate.interval * cost
  local excess = next_at - now - rate.whole
  if excess <= rate.slack then return next_at end
  return nil, excess, from
end

local function left(rate, full_at, now) return math.max(0, rate.whole - (full_at - now)) / rate.interval end

---------------------------------------------------------------------------------------------------
-- in this process: a list by use, the oldest first, in arrays that are linked by numbers

---@class moonpark.http.rate_bucket.store
---@field max integer keys that are held at most
---@field count integer keys that are held
---@field forgotten integer keys that had to go before their buckets were full
local Store = {}
Store.__index = Store

local HEAD = 0 -- of the circle: before it is the newest, behind it the oldest

--- Buckets of this process. When there are `max`, the one that was unused for longest goes.
---@param max integer
---@return moonpark.http.rate_bucket.store
function M.store(max)
  return setmetatable({ max = max, count = 0, forgotten = 0, places = {}, keys = {}, times = {},
    older = { [HEAD] = HEAD }, newer = { [HEAD] = HEAD } }, Store)
end

local function unlink(self, place)
  local older, newer = self.older[place], self.newer[place]
  self.newer[older], self.older[newer] = newer, older
end

local function link(self, place)
  local newest = self.older[HEAD]
  self.older[place], self.newer[place] = newest, HEAD
  self.newer[newest], self.older[HEAD] = place, place
end

-- A place for a new key: the next one, or the oldest's.
local function free_place(self, now)
  if self.count < self.max then
    self.count = self.count + 1
    return self.count
  end
  local place = self.newer[HEAD]
  if self.times[place] > now then self.forgotten = self.forgotten + 1 end
  self.places[self.keys[place]] = nil
  unlink(self, place)
  return place
end

--- Takes that many tokens. true and the tokens that are left; or false and the seconds until there are enough.
---@param key string
---@param rate moonpark.http.rate_bucket.rate
---@param cost number
---@return boolean
---@return number
function Store:take(key, rate, cost)
  local now, place = core.now(), self.places[key]
  local next_at, wait = after(rate, place and self.times[place], now, cost)
  if place then
    unlink(self, place)
    link(self, place)
  end
  if not next_at then return false, wait end
  if not place then
    place = free_place(self, now)
    self.places[key], self.keys[place] = place, key
    link(self, place)
  end
  self.times[place] = next_at
  return true, left(rate, next_at, now)
end

---------------------------------------------------------------------------------------------------
-- in a shared dict: for all processes that have it

---@class moonpark.http.rate_bucket.shared
---@field dict moonpark.shared.dict
---@field prefix string
local Shared = {}
Shared.__index = Shared

--- Buckets in a dict. Each entry ends when its bucket is full; a dict that is full forgets the least recently used.
---@param dict moonpark.shared.dict
---@param prefix string of the keys
---@return moonpark.http.rate_bucket.shared
function M.shared(dict, prefix) return setmetatable({ dict = dict, prefix = prefix }, Shared) end

--- As Store's. Of processes that take at the same time one is first: the others see the changed time, and try again.
---@param key string
---@param rate moonpark.http.rate_bucket.rate
---@param cost number
---@return boolean
---@return number
function Shared:take(key, rate, cost)
  local dict = self.dict
  key = self.prefix .. key
  while true do
    local now, full_at = core.now(), dict:get(key)
    local next_at, wait = after(rate, full_at, now, cost)
    if not next_at then return false, wait end
    local ok, err = dict:compare_and_set(key, full_at, next_at, math.max(next_at - now, rate.slack))
    if ok then return true, left(rate, next_at, now) end
    if err ~= "changed" then error("rate_limit: the shared dict: " .. tostring(err), 0) end
  end
end

return M

-- SPDX-License-Identifier: MIT
-- proxy_balance.lua - which of several targets is asked next. Each policy gets the targets that can be asked now.
--
-- `share` of a target is its weight at this time. What a policy keeps is in the targets themselves, so one that comes
-- or goes changes nothing of the others.

local bit = require "bit"
local core = require "moonpark.core"

local M = {}

local band, bxor, lshift, rshift, tobit = bit.band, bit.bxor, bit.lshift, bit.rshift, bit.tobit

---@alias moonpark.http.proxy.policy fun(list: moonpark.http.proxy.target[], n: integer, key: string|nil,
--- load: number|nil): moonpark.http.proxy.target

-- Smooth weighted round robin: of weights 5, 1, 1 it makes a a b a c a a, not a a a a a b c.
local function round_robin(list, n)
  local best, total = nil, 0
  for i = 1, n do
    local target = list[i]
    target.current = target.current + target.share
    total = total + target.share
    if not best or target.current > best.current then best = target end
  end
  best.current = best.current - total
  return best
end

local state -- of the generator; math.random has the same numbers in each worker

--- A number from 0 up to 1, exclusive.
---@return number
function M.random()
  if not state or state == 0 then
    local bytes = core.random_bytes(4)
    local a, b, c, d = (bytes or "moon"):byte(1, 4)
    state = tobit(a + b * 256 + c * 65536 + d * 16777216 + 1)
  end
  state = bxor(state, lshift(state, 13))
  state = bxor(state, rshift(state, 17))
  state = bxor(state, lshift(state, 5))
  return state % 4294967296 / 4294967296
end

local function load_of(target) return (target.in_flight + 1) / target.share end

local tied = {} -- is empty between calls

-- The one with the fewest requests for its weight; in turn, if there are several.
local function least_connections(list, n)
  local least, count = math.huge, 0
  for i = 1, n do
    local target = list[i]
    local its = load_of(target)
    if its < least then least, count = its, 0 end
    if its == least then
      count = count + 1
      tied[count] = target
    end
  end
  local best = count == 1 and tied[1] or round_robin(tied, count)
  for i = #tied, 1, -1 do tied[i] = nil end
  return best
end

-- The index of one by chance, as likely as its weight says; not `other`.
local function draw(list, n, other)
  local total = 0
  for i = 1, n do total = total + (i ~= other and list[i].share or 0) end
  local at, last = M.random() * total, nil
  for i = 1, n do
    if i ~= other then
      at, last = at - list[i].share, i
      if at < 0 then return i end
    end
  end
  return last
end

-- Of two by chance the one with fewer requests: many proxies that all know the least one would all ask that one.
local function random_two(list, n)
  if n == 1 then return list[1] end
  local first = draw(list, n)
  local a, b = list[first], list[draw(list, n, first)]
  return load_of(b) < load_of(a) and b or a
end

---------------------------------------------------------------------------------------------------
-- by a key: rendezvous hashing. Each target has a score for the key, and the highest one gets it. If a target goes,
-- only its own keys move, to all the others; if one comes, only the keys that it gets move.

-- The product of two numbers of 32 bits, modulo 2^32.
local function multiply(a, b) return tobit(band(a, 0xffff) * b + lshift(tobit(rshift(a, 16) * b), 16)) end

-- Mixes all bits with all others.
local function mix(h)
  h = multiply(bxor(h, rshift(h, 16)), 0x7feb352d)
  h = multiply(bxor(h, rshift(h, 15)), 0x846ca68b)
  return bxor(h, rshift(h, 16))
end

local function hash_of(text)
  local h = tobit(2166136261)
  for i = 1, #text do h = multiply(bxor(h, text:byte(i)), 16777619) end
  return mix(h)
end

local hashes = setmetatable({}, { __mode = "k" }) -- [target] = of its name

-- As if each unit of weight had a hash of its own: the highest of them.
local function score_of(target, key_hash)
  local own = hashes[target]
  if not own then
    own = hash_of(target.name)
    hashes[target] = own
  end
  local h = mix(tobit(mix(bxor(key_hash, own)) + own)) % 4294967296
  return -target.weight / math.log((h + 0.5) / 4294967296)
end

-- How many requests one may have at once, if none shall have more than `load` times its share.
local function bound_of(target, load, in_flight, weights)
  return math.ceil(load * (in_flight + 1) * target.weight / weights)
end

local function by_hash(list, n, key, load)
  if not key then return round_robin(list, n) end
  local in_flight, weights, key_hash = 0, 0, hash_of(key)
  for i = 1, n do in_flight, weights = in_flight + list[i].in_flight, weights + list[i].weight end
  local best, highest = nil, -1
  for i = 1, n do
    local target = list[i]
    local score = score_of(target, key_hash)
    if score > highest and (not load or target.in_flight < bound_of(target, load, in_flight, weights)) then
      best, highest = target, score
    end
  end
  return best
end

--- In the order of the list.
---@type moonpark.http.proxy.policy
function M.first(list) return list[1] end

--- [name] = policy
---@type table<string, moonpark.http.proxy.policy>
M.policies = { round_robin = round_robin, least_connections = least_connections, random_two = random_two,
  hash = by_hash }

return M

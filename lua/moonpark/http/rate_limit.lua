-- SPDX-License-Identifier: MIT
-- rate_limit.lua - middleware: how many requests a client may make in a time. Those beyond get 429 with Retry-After,
-- and all responses say what is left (draft-ietf-httpapi-ratelimit-headers).

local before = require("moonpark.http.middleware").before
local core = require "moonpark.core"
local client_address = require "moonpark.http.client_address"
local options_of = require "moonpark.options"
local rate_bucket = require "moonpark.http.rate_bucket"

local M = {}

local LONG = 256          -- bytes of a key; a client may choose it
local MOST = 2 ^ 53       -- what a structured field's number could not hold is not said: RFC 9651 has 15 digits
local INTERVAL_MIN, INTERVAL_MAX = 1e-6, 1e9 -- seconds for a token: a clock's number cannot tell finer ones apart

local function is_between(least, most)
  return { function(value) return type(value) == "number" and value >= least and value <= most end,
    ("must be a number from %g to %g"):format(least, most) }
end

local function is_status(value)
  return type(value) == "number" and value >= 400 and value <= 599 and value == math.floor(value)
end

local function is_dict(value)
  local ok, get = pcall(function() return value.compare_and_set end)
  return ok and get ~= nil
end

local known = {
  rate = is_between(1e-9, 1e6), per = is_between(1e-3, 1e9), burst = options_of.whole(1, 1e9),
  key = "function", cost = "number|function", max_keys = options_of.whole(1, 2 ^ 30), fields = "boolean",
  dict = { is_dict, "must be a dict of moonpark.shared" },
  name = { function(value) return type(value) == "string" and value:find("^[%w_.-]+$") ~= nil and #value <= 64 end,
    "must be a name of letters, digits, '_', '-' and '.'" },
  status = { is_status, "must be a status from 400 to 599" }, on_limit = "function",
  trusted = { function(value) return client_address.trusted(value) ~= nil end,
    "must list addresses, networks and \"unix\"" },
}

---@class moonpark.http.rate_limit.options
---@field rate number tokens that come in `per` seconds; a request takes one
---@field per? number seconds; 1
---@field burst? integer tokens that a bucket holds: so many requests may come at once; `rate`, at least 1
---@field key? fun(req: moonpark.http.request): string|nil whose bucket it is; nil: no limit. By default the client's
--- address, of IPv6 its network of 64 bits
---@field trusted? string|string[] proxies whose X-Forwarded-For is believed: addresses, networks, "unix"; none
---@field cost? number|fun(req: moonpark.http.request): number tokens that a request takes; 1
---@field dict? moonpark.shared.dict buckets for all workers; by default each process has its own
---@field max_keys? integer buckets at most, without a dict; 65536
---@field name? string of the policy, in the fields and in the dict; "default"
---@field status? integer of the response to what is beyond the limit; 429
---@field fields? boolean send RateLimit and RateLimit-Policy; true
---@field on_limit? fun(req: moonpark.http.request, res: moonpark.http.response, wait: number) responds in place of
--- res:fail(status); Retry-After is set. wait: seconds

---@param options moonpark.http.rate_limit.options
local function checked(options)
  if type(options) ~= "table" then error("rate_limit: a table of options expected, got " .. type(options), 3) end
  options_of.check("rate_limit", options, known, 3)
  if not options.rate then error("rate_limit: option 'rate' is needed: requests in `per` seconds", 3) end
  local interval = (options.per or 1) / options.rate
  if interval < INTERVAL_MIN or interval > INTERVAL_MAX then
    error(("rate_limit: one request in %g seconds is beyond what can be counted (%g to %g)"):format(interval,
      INTERVAL_MIN, INTERVAL_MAX), 3)
  end
  return options
end

local function key_function(options)
  if options.key then return options.key end
  local trusted = options.trusted and client_address.trusted(options.trusted)
  return function(req) return client_address.key(client_address.of(req, trusted)) end
end

-- Clients choose some keys, and long ones would fill the memory.
local function short(key) return #key <= LONG and key or core.sha256(key) end

local function checked_key(key)
  if key == nil or key == false then return nil end
  if type(key) == "number" then key = ("%.17g"):format(key) end
  if type(key) ~= "string" then error("rate_limit: the key must be a string or nil, got " .. type(key), 0) end
  return short(key)
end

local function cost_of(options, req)
  local cost = options.cost
  if type(cost) == "function" then cost = cost(req) end
  if cost == nil then return 1 end
  if type(cost) ~= "number" or not (cost >= 0 and cost < MOST) then
    error("rate_limit: the cost must be a number of at least 0, got " .. tostring(cost), 0)
  end
  return cost
end

local function seconds(n) return ("%.0f"):format(math.min(math.max(1, math.ceil(n)), 1e15 - 1)) end

--- Middleware that admits `rate` requests of each client in `per` seconds, and `burst` at once.
---@param options moonpark.http.rate_limit.options
---@return fun(req: moonpark.http.request, res: moonpark.http.response, next: fun(): any)
function M.new(options)
  options = checked(options)
  local per, name = options.per or 1, options.name or "default"
  local burst = options.burst or math.max(1, math.floor(options.rate))
  local rate = rate_bucket.rate(options.rate, per, burst)
  local key_of, status, says = key_function(options), options.status or 429, options.fields ~= false
  local buckets = options.dict and rate_bucket.shared(options.dict, "rate_limit:" .. name .. ":")
    or rate_bucket.store(options.max_keys or 65536)
  local policy = ('"%s";q=%d;w=%s'):format(name, burst, seconds(rate.whole))
  return before(function(req, res)
    local key = checked_key(key_of(req))
    if not key then return end
    local cost = cost_of(options, req)
    local admitted, number = buckets:take(key, rate, cost)
    local tokens = admitted and number or 0
    if says then
      res:add("RateLimit-Policy", policy)
      res:add("RateLimit", ('"%s";r=%d;t=%s'):format(name, tokens + 0.01,
        seconds(admitted and (burst - tokens) * rate.interval or number)))
    end
    if admitted then return end
    res:set("Retry-After", seconds(number))
    if options.on_limit then options.on_limit(req, res, number) else res:fail(status) end
    return false
  end)
end

return M

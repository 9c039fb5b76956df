-- SPDX-License-Identifier: MIT
-- proxy_options.lua - the options of http.proxy: what they may be, and what they are by default.

local client_address = require "moonpark.http.client_address"
local option = require "moonpark.options"
local proxy_balance = require "moonpark.http.proxy_balance"
local proxy_check = require "moonpark.http.proxy_check"
local tls = require "moonpark.tls.conn"

local M = {}

local forwarded_modes = { [false] = 0, x = 1, standard = 2 }

-- The protocols that may follow an Upgrade, as a list for the core; nil: that is no such option.
local function protocols_of(given)
  if given == nil or given == true then return "websocket" end
  if given == false then return false end
  if type(given) == "string" then given = { given } end
  if type(given) ~= "table" or #given == 0 then return nil end
  for _, name in ipairs(given) do
    if type(name) ~= "string" or not name:find("^[%w!#$%%&'*+%-.^_`|~/]+$") then return nil end
  end
  return table.concat(given, ",")
end

local function are_statuses(list)
  if type(list) ~= "table" then return false end
  for _, status in ipairs(list) do
    if type(status) ~= "number" or status ~= math.floor(status) or status < 400 or status > 599 then return false end
  end
  return true
end

M.passive_known = { failures = "positive", time = "pause", max_time = "pause" }

-- A table of options of its own, or false.
local function nested(what, known)
  return { function(value)
    if value == false then return true end
    if type(value) ~= "table" then return false, "must be a table or false" end
    local wrong = option.complaint(value, known)
    return wrong == nil, wrong and ("(%s): %s"):format(what, wrong)
  end, "must be a table or false" }
end

---@class moonpark.http.proxy.options
---@field host? string the Host that targets are sent: their own names by default; "preserve": the client's; or a name
---@field forwarded? "x"|"standard"|false X-Forwarded-For, -Host and -Proto; Forwarded (RFC 7239); "x"
---@field tls? moonpark.tls_context for https targets; the system's authorities by default
---@field connect_timeout? number seconds; 10
---@field io_timeout? number seconds for each read and write; 60
---@field max_connections? integer requests to all targets at once; those beyond wait, without a limit; none
---@field max_idle? integer connections that are kept; 256
---@field idle_timeout? number seconds that one is kept; 60
---@field upgrade? boolean|string|string[] the protocols that may follow a request; "websocket"
---@field via? string|false what the proxy is called in Via; "moonpark"
---@field on_error? fun(text: string) hears why a target could not answer, and what was cut off; by default the server's
--- log, which gets a line in ten seconds of the former
---@field on_event? fun(text: string) hears what changes of the targets; by default on_error, or else stderr
---@field balance? "round_robin"|"least_connections"|"random_two"|"hash" "round_robin"
---@field hash? fun(req: moonpark.http.request): string|nil the key of "hash"; nil: none. The client's address
---@field hash_load? number with "hash": no target gets more than so many times its share at once; no such limit
---@field max_requests? integer requests at once to each target; no limit
---@field max_queue? integer requests that wait while all targets are full; 1024
---@field queue_timeout? number seconds that one waits; 5
---@field tries? integer targets that are asked for one request at most; 3
---@field retry_timeout? number seconds after which no other target is asked; 30
---@field retry_statuses? integer[] responses that count as failures, and for which another target is asked; none
---@field passive? moonpark.http.proxy.passive_options|false when a target is ejected
---@field check? moonpark.http.proxy.check_options|false active checks; none
---@field panic? boolean if no target is healthy, ask all; true
---@field slow_start? number seconds in which a target that comes back gets its full share; none

---@class moonpark.http.proxy.passive_options
---@field failures? integer in a row that eject a target; 3
---@field time? number seconds of the first ejection; it doubles; 10
---@field max_time? number seconds of an ejection at most; 300

M.known = {
  host = { function(value) return type(value) == "string" and value:find("^[%w%.%-:%[%]_~%%]+$") ~= nil end,
    "must be the name of a host, or 'preserve'" },
  tls = tls.client, connect_timeout = "seconds", io_timeout = "seconds", max_connections = "positive",
  max_idle = "count", idle_timeout = "seconds", on_error = "function", on_event = "function",
  forwarded = { function(value) return forwarded_modes[value] ~= nil end, 'must be "x", "standard" or false' },
  upgrade = { function(value) return protocols_of(value) ~= nil end,
    "must be true, false, a protocol's name or a list of them" },
  via = { function(value) return value == false or type(value) == "string" and value:find("^[%w%-._~]+$") ~= nil end,
    "must be a name or false" },
  balance = option.one_of("round_robin", "least_connections", "random_two", "hash"), hash = "function",
  hash_load = { function(value) return type(value) == "number" and value > 1 end, "must be a number over 1" },
  max_requests = "positive", max_queue = "count", queue_timeout = "seconds", tries = "positive",
  retry_timeout = "seconds", retry_statuses = { are_statuses, "must be a list of statuses from 400 to 599" },
  passive = nested("passive", M.passive_known), check = nested("check", proxy_check.known), panic = "boolean",
  slow_start = "seconds",
}

-- Options that say nothing without another one.
local function contradiction(options, of_request)
  local by_hash = options.balance == "hash"
  if options.hash and not by_hash then return "option 'hash' needs balance = \"hash\"" end
  if options.hash_load and not by_hash then return "option 'hash_load' needs balance = \"hash\"" end
  if not of_request then return nil end
  for _, name in ipairs { "balance", "check", "slow_start" } do
    if options[name] then return ("option '%s' needs a list of targets, not a function"):format(name) end
  end
end

--- What is wrong with options that are valid one by one, or nil.
---@param options moonpark.http.proxy.options
---@param of_request boolean a function names the targets
---@return string|nil
function M.contradiction(options, of_request)
  local passive = options.passive
  if passive and passive.time and passive.time > (passive.max_time or math.max(300, passive.time)) then
    return "option 'passive': 'max_time' must not be less than 'time'"
  end
  return contradiction(options, of_request)
end

local function default(value, otherwise)
  if value == nil then return otherwise end
  return value
end

local function by_address(req) return client_address.of(req) end

--- What the proxy itself goes by.
---@param options moonpark.http.proxy.options
---@return table
function M.of_proxy(options)
  local retried = {}
  for _, status in ipairs(options.retry_statuses or {}) do retried[status] = true end
  return { forwarded = forwarded_modes[default(options.forwarded, "x")],
    connect_timeout = options.connect_timeout or 10, io_timeout = options.io_timeout or 60,
    upgrade = protocols_of(options.upgrade), via = default(options.via, "moonpark"),
    on_error = options.on_error, unnoted = 0, tries = options.tries or 3, retry_timeout = options.retry_timeout or 30,
    retried = retried, hash = options.balance == "hash" and (options.hash or by_address) or nil }
end

--- What its targets go by.
---@param options moonpark.http.proxy.options
---@return table
function M.of_targets(options)
  local passive = options.passive or {}
  local time = passive.time or 10
  return { host = options.host, tls = options.tls, max_requests = options.max_requests,
    policy = proxy_balance.policies[options.balance or "round_robin"], hash_load = options.hash_load,
    max_queue = options.max_queue or 1024, queue_timeout = options.queue_timeout or 5,
    panic = options.panic ~= false, slow_start = options.slow_start,
    passive = options.passive ~= false and { failures = passive.failures or 3, time = time,
      max_time = passive.max_time or math.max(300, time) } or nil,
    check = options.check and proxy_check.of(options.check) or nil }
end

return M

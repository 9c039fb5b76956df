-- SPDX-License-Identifier: MIT
-- proxy_target.lua - one target of http.proxy: what its URL and its options mean, and what is known of its health.
--
-- Two judges decide whether it is asked. Requests: a target on which several in a row have failed is ejected for a
-- time, which doubles each time it happens again; after that one request at a time may try it, until one succeeds.
-- Active checks: a target that fails them is down until they succeed. Neither overrules the other.

local check_options = require("moonpark.options").complaint
local net = require "moonpark.net"
local url = require "moonpark.url"

local M = {}

local SLOW_START_LEAST = 0.1 -- of the weight, right after the start

---@class moonpark.http.proxy.target_options
---@field url string "http://host:port[/path]", "https://...", "host:port", "unix:/path"
---@field name? string in proxy:targets(), in logs, and for the hash; the url
---@field weight? number its share of the requests, beside those of the others; 1
---@field max_requests? integer requests at once; the proxy's own option, or no limit
---@field backup? boolean is asked only while no other target can be; false

---@class moonpark.http.proxy.target
---@field name string
---@field url string
---@field logged string in the access log: the name that it was given, or its address
---@field route table see http/proxies.lua
---@field authority string its own name, for checks
---@field prefix string the target's own path, without a "/" at its end
---@field host string|nil the Host that it is sent; nil: the client's
---@field place table its connections in the pool
---@field weight number
---@field max_requests integer|nil
---@field backup boolean
---@field in_flight integer requests that it has now
---@field requests integer that it has had
---@field failures integer in all
---@field row integer failures since the last success
---@field last_error string|nil
---@field ejections integer in a row
---@field ejected_for number seconds of the last ejection
---@field ejected_until number the end of the last one; 0: it has worked since
---@field trying boolean a request tries whether it works again
---@field passed boolean|nil what the checks have found; nil: nothing yet
---@field streak integer checks with another result than `passed`, in a row
---@field draining boolean
---@field removed boolean
---@field back_at number|nil when its last ejection was over
---@field idle moonpark.event|nil is set when its last request is over
---@field used integer|nil when a request has got it last, of those that a function names
---@field up_since number|nil when it became usable again; nil: it was from the start
---@field share number its weight now
---@field current number of round robin

M.known = {
  url = "string", name = "string", max_requests = "positive", backup = "boolean",
  weight = { function(value) return type(value) == "number" and value > 0 and value <= 1e6 end,
    "must be a positive number of at most 1000000" },
}

-- The route, the authority and the path of a URL; nil and what is wrong.
local function parse(text, context)
  local address, parts = text, nil
  if not text:find("^unix:") then
    local wrong
    parts, wrong = url.parse(text:find("://", 1, true) and text or "http://" .. text)
    if not parts then return nil, wrong end
    if parts.user then return nil, "a target must not have credentials" end -- Authorization is the client's
    if parts.path:find("?", 1, true) then return nil, "a target must not have a query" end
    address = parts.address
  end
  local fine, why = net.check_address(address)
  if not fine then return nil, why end
  local route = { address = address }
  if not parts then return route, "localhost", "" end
  if parts.scheme == "https" then route.tls, route.name = context or true, parts.host end
  return route, parts.authority, (parts.path:gsub("/+$", ""))
end

--- Makes a target of a URL or of a table.
---@param given string|moonpark.http.proxy.target_options
---@param options {host: string|nil, tls: moonpark.tls_context|nil, max_requests: integer|nil} the proxy's
---@return moonpark.http.proxy.target|nil
---@return string? wrong
---@return boolean? misuse it is a mistake of the script, not of a URL
function M.new(given, options)
  if type(given) == "string" then given = { url = given } end
  if type(given) ~= "table" then return nil, "target expected, got " .. type(given), true end
  local wrong = check_options(given, M.known)
  if wrong then return nil, "target: " .. wrong, true end
  if not given.url then return nil, "target: option 'url' is needed", true end
  local route, authority, prefix = parse(given.url, options.tls)
  if not route then return nil, authority end
  local host = options.host or authority
  if host == "preserve" then host = nil end
  return { name = given.name or given.url, logged = given.name or route.address, url = given.url, route = route,
    authority = authority, prefix = prefix, host = host, weight = given.weight or 1,
    max_requests = given.max_requests or options.max_requests, backup = given.backup == true, in_flight = 0,
    requests = 0, failures = 0, row = 0, ejections = 0, ejected_for = 0, ejected_until = 0, trying = false, streak = 0,
    draining = false, removed = false, share = given.weight or 1, current = 0 }
end

---------------------------------------------------------------------------------------------------
-- health

--- May requests be sent to it?
---@param target moonpark.http.proxy.target
---@param now number
---@return boolean
function M.is_usable(target, now)
  if target.draining or target.passed == false then return false end
  return target.ejected_until == 0 or now >= target.ejected_until and not target.trying
end

--- Has it as many requests as it may have?
---@param target moonpark.http.proxy.target
---@return boolean
function M.is_full(target) return target.max_requests ~= nil and target.in_flight >= target.max_requests end

--- Its weight now: of one that has just come back, and starts slowly, a part.
---@param target moonpark.http.proxy.target
---@param now number
---@param slow_start number|nil seconds
---@return number
function M.share(target, now, slow_start)
  if not slow_start or not target.up_since then return target.weight end
  local age = now - target.up_since
  if age >= slow_start then
    target.up_since = nil
    return target.weight
  end
  return target.weight * math.max(SLOW_START_LEAST, age / slow_start)
end

--- A request has begun; it tries the target, if that was ejected and its time is over. -> does it?
---@param target moonpark.http.proxy.target
---@param now number
---@return boolean
function M.begin(target, now)
  target.in_flight = target.in_flight + 1
  target.requests = target.requests + 1
  if target.ejected_until == 0 or now < target.ejected_until then return false end
  target.trying = true
  return true
end

--- It has begun to answer: it is no longer ejected. -> was it?
---@param target moonpark.http.proxy.target
---@param now number
---@return boolean
function M.answered(target, now)
  if target.ejected_until == 0 then return false end
  target.ejected_until, target.trying, target.up_since = 0, false, now
  target.back_at = now
  return true
end

--- A whole answer has come.
---@param target moonpark.http.proxy.target
function M.succeeded(target) target.row = 0 end

-- The time doubles, unless the target has worked for as long as it was ejected before.
local function eject(target, now, limits)
  local worked = target.back_at and now - target.back_at or 0
  if target.ejections > 0 and worked >= target.ejected_for and target.ejected_until == 0 then target.ejections = 0 end
  target.ejected_for = math.min(limits.time * 2 ^ target.ejections, limits.max_time)
  target.ejections = target.ejections + 1
  target.ejected_until = now + target.ejected_for
end

--- A request has failed by the target's fault. -> is it ejected now, and was not before?
---@param target moonpark.http.proxy.target
---@param err string
---@param now number
---@param limits {failures: integer, time: number, max_time: number}|nil nil: nothing ejects it
---@return boolean
function M.failed(target, err, now, limits)
  target.failures, target.row, target.last_error = target.failures + 1, target.row + 1, err
  if not limits or target.row < limits.failures or now < target.ejected_until then return false end
  eject(target, now, limits)
  return true
end

--- A check has ended. The first one decides at once. -> "up", "down", or nil: as before.
---@param target moonpark.http.proxy.target
---@param ok boolean
---@param err string|nil
---@param now number
---@param limits {healthy: integer, unhealthy: integer}
---@return "up"|"down"|nil
function M.checked(target, ok, err, now, limits)
  if not ok then target.last_error = err end
  if target.passed == ok then
    target.streak = 0
    return nil
  end
  target.streak = target.streak + 1
  local first = target.passed == nil
  if not first and target.streak < (ok and limits.healthy or limits.unhealthy) then return nil end
  target.passed, target.streak = ok, 0
  if not ok then return "down" end
  if first then return nil end
  target.up_since = now
  return "up"
end

---@alias moonpark.http.proxy.state "up"|"trying"|"ejected"|"down"|"draining"

---@param target moonpark.http.proxy.target
---@param now number
---@return moonpark.http.proxy.state
function M.state(target, now)
  if target.draining then return "draining" end
  if target.passed == false then return "down" end
  if target.ejected_until == 0 then return "up" end
  return now < target.ejected_until and "ejected" or "trying"
end

return M

-- SPDX-License-Identifier: MIT
-- resolve.lua - names to addresses, and the settings of the resolver.
--
-- The core does the lookups (c-ares on our poller); here the options are checked.

local core = require "moonpark.core"
local option = require "moonpark.options"

---@class moonpark.resolve_module
local M = {}

local MOST_SEARCHED, LONGEST_TRY = 32, 3600

-- A hole would hide what stands behind it.
local function check_list(list)
  if type(list) ~= "table" then return false, "must be a table, not a " .. type(list) end
  local count = 0
  for _ in pairs(list) do count = count + 1 end
  return count == #list, "must be a list without holes"
end

local function check_servers(servers)
  local ok, text = check_list(servers)
  if not ok then return false, text end
  return #servers > 0, "is empty"
end

---@class moonpark.net.resolve.options
---@field timeout? number seconds; no limit
---@field deadline? number absolute seconds, on moonpark.now()'s clock; the earlier of both counts
---@field family? "ip4"|"ip6" only these; both

---@class moonpark.net.resolver.options
---@field servers? string[] "address" or "address:port"; the nameservers of /etc/resolv.conf
---@field search? string[] domains that are tried behind a name; those of /etc/resolv.conf
---@field ndots? integer dots from which on a name is tried as it is first; 1
---@field timeout? number seconds of the first try, doubled with each round; 5
---@field tries? integer rounds, 1 to 10; 2
---@field lookups? "f"|"b"|"fb"|"bf" f: hosts file, b: name servers, in that order; "fb"

local resolve_options = { timeout = "number", deadline = "number", family = option.one_of("ip4", "ip6") }
local resolver_options = {
  servers = { check_servers }, search = { check_list }, ndots = option.whole(0, 15), tries = option.whole(1, 10),
  timeout = { function(value) return type(value) == "number" and value > 0 and value <= LONGEST_TRY end,
    ("must be a positive number of seconds, at most %d"):format(LONGEST_TRY) },
  lookups = option.one_of("f", "b", "fb", "bf"),
}

-- What is wrong with a host, or nil.
local function complaint(host)
  local ok, err = pcall(core.resolve_check, host)
  return not ok and (err:match("%((.*)%)$") or err) or nil
end

local function check_host(host, name)
  if type(host) ~= "string" then
    error(("bad argument #1 to '%s' (string expected, got %s)"):format(name, type(host)), 3)
  end
  local wrong = complaint(host)
  if wrong then error(("%s: %s"):format(name, wrong), 3) end
end

-- The earlier of both, absolute.
local function deadline_of(options)
  if options.timeout and options.timeout <= 0 then return -math.huge end
  local by_timeout = options.timeout and core.now() + options.timeout
  if by_timeout and options.deadline then return math.min(by_timeout, options.deadline) end
  return by_timeout or options.deadline
end

--- Looks a host up: addresses as text, "127.0.0.1", "::1", "fe80::1%eth0", in the order in which they should be tried
--- (RFC 6724). A numeric host is its own result. "localhost" and names that end in ".localhost" never leave this
--- machine (RFC 6761). Waits; in a task only. Raises if host is not a valid host name.
---@param host string at most 253 bytes: letters, digits, "-", "_" in labels of 1 to 63, with or without the last dot
---@param options? moonpark.net.resolve.options
---@return string[]|nil
---@return string? err "no such host", "timeout", "server failure", "canceled", "too many open files", ...
---@return integer? errno
function M.resolve(host, options)
  check_host(host, "resolve")
  options = option.check("resolve", options, resolve_options, 2, 2)
  return core.resolve(host, deadline_of(options), options.family)
end

--- The same for the library's own use: host has been checked.
---@type fun(host: string, deadline?: number, family?: "ip4"|"ip6"): string[]|nil, string?, integer?
M.lookup = core.resolve

---------------------------------------------------------------------------------------------------
-- settings

local configured -- "address:port" of the servers that set_resolver was given; nil: the system's

--- The name servers of set_resolver, "address:port"; nil: the system's.
---@return string[]|nil
function M.name_servers() return configured end

local function milliseconds(seconds)
  return seconds and math.max(1, math.floor(seconds * 1000 + 0.5))
end

-- "address" or "address:port" in c-ares's form; nil if it is neither.
local function server_address(text)
  for _, candidate in ipairs { text, text .. ":53", "[" .. text .. "]:53" } do
    local port = candidate:match("^%d[%d.]*:(%d+)$") or candidate:match("^%[[%x:.]+%]:(%d+)$")
    local is_datagram, name = core.split_address(candidate)
    if port and tonumber(port) > 0 and is_datagram == false and not name then return candidate end
  end
end

local function server_list(servers)
  if not servers then return nil end
  local list = {}
  for i, server in ipairs(servers) do
    list[i] = type(server) == "string" and server_address(server)
      or error(("set_resolver: invalid server address '%s'"):format(tostring(server)), 3)
  end
  return list
end

local function check_search(search)
  if not search then return end
  for _, domain in ipairs(search) do
    if type(domain) ~= "string" or complaint(domain) or domain:find("^[%d.]+$") or domain:find(":", 1, true) then
      error(("set_resolver: invalid search domain '%s'"):format(tostring(domain)), 3)
    end
  end
  if #search > MOST_SEARCHED then
    error(("set_resolver: at most %d search domains expected"):format(MOST_SEARCHED), 3)
  end
end

--- Sets how names are looked up from now on; running lookups keep their settings. Options that are not given are the
--- system's (/etc/resolv.conf); nil: all of them.
---@param options? moonpark.net.resolver.options
---@return true|nil
---@return string? err "not enough memory"
---@return integer? errno
function M.set_resolver(options)
  options = option.check("set_resolver", options, resolver_options, 2, 1)
  local servers = server_list(options.servers)
  check_search(options.search)
  local timeout = milliseconds(options.timeout)
  local ok, err, errno = core.resolver_configure(servers and table.concat(servers, ","), options.search, options.ndots,
    timeout, options.tries, options.lookups)
  if ok then configured = servers end
  return ok, err, errno
end

return M

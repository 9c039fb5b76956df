-- SPDX-License-Identifier: MIT
-- resolve.lua - names to addresses, and who is asked for them.
--
-- The lookups are the core's (c-ares on our poller); here are options, and what is wrong with them.

local core = require "moonpark.core"
local option = require "moonpark.options"

---@class moonpark.resolve_module
local M = {}

local resolve_options = { timeout = "number", deadline = "number", family = "string" }
local resolver_options = {
  servers = "table", search = "table", ndots = option.whole(0, 15), timeout = "number", tries = option.whole(1, 10),
  lookups = "string",
}
local families = { ip4 = true, ip6 = true }
local orders = { f = true, b = true, fb = true, bf = true }
local MOST_SEARCHED, LONGEST_TRY = 32, 3600

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
--- (RFC 6724). A numeric host stands for itself. "localhost" and what ends in ".localhost" never leaves this machine
--- (RFC 6761). Waits; in a task only. Raises where host is no host name at all.
---@param host string at most 253 bytes: letters, digits, "-", "_" in labels of 1 to 63, with or without the last dot
---@param options? {timeout?: number, deadline?: number, family?: "ip4"|"ip6"} seconds; absolute seconds
---@return string[]|nil
---@return string? err "no such host", "timeout", "server failure", "canceled", "too many open files", ...
---@return integer? errno
function M.resolve(host, options)
  check_host(host, "resolve")
  options = option.check("resolve", options, resolve_options, 2, 2)
  if options.family and not families[options.family] then
    error(("resolve: option 'family' must be \"ip4\" or \"ip6\", not %q"):format(options.family), 2)
  end
  return core.resolve(host, deadline_of(options), options.family)
end

--- The same for the library's own use: host has been checked.
---@type fun(host: string, deadline?: number, family?: "ip4"|"ip6"): string[]|nil, string?, integer?
M.lookup = core.resolve

---------------------------------------------------------------------------------------------------
-- who is asked

local function milliseconds(seconds)
  if seconds and not (seconds > 0 and seconds <= LONGEST_TRY) then
    error(("set_resolver: option 'timeout' must be a positive number of seconds, at most %d"):format(LONGEST_TRY), 3)
  end
  return seconds and math.max(1, math.floor(seconds * 1000 + 0.5))
end

-- "address" or "address:port", as c-ares wants it; nil where it is neither.
local function server_address(text)
  for _, candidate in ipairs { text, text .. ":53", "[" .. text .. "]:53" } do
    local port = candidate:match("^%d[%d.]*:(%d+)$") or candidate:match("^%[[%x:.]+%]:(%d+)$")
    local is_datagram, name = core.split_address(candidate)
    if port and tonumber(port) > 0 and is_datagram == false and not name then return candidate end
  end
end

-- A hole would hide what stands behind it.
local function check_list(list, key)
  local count = 0
  for _ in pairs(list) do count = count + 1 end
  if count ~= #list then error(("set_resolver: option '%s' must be a list without holes"):format(key), 4) end
end

local function server_list(servers)
  if not servers then return nil end
  check_list(servers, "servers")
  local list = {}
  for i, server in ipairs(servers) do
    list[i] = type(server) == "string" and server_address(server)
      or error(("set_resolver: invalid server address '%s'"):format(tostring(server)), 3)
  end
  if #list == 0 then error("set_resolver: option 'servers' is empty", 3) end
  return table.concat(list, ",")
end

local function check_search(search)
  if not search then return end
  check_list(search, "search")
  for _, domain in ipairs(search) do
    if type(domain) ~= "string" or complaint(domain) or domain:find("^[%d.]+$") or domain:find(":", 1, true) then
      error(("set_resolver: invalid search domain '%s'"):format(tostring(domain)), 3)
    end
  end
  if #search > MOST_SEARCHED then
    error(("set_resolver: at most %d search domains expected"):format(MOST_SEARCHED), 3)
  end
end

--- Says who is asked from now on; lookups that are under way go on as they began. What is not given is as the system
--- has it (/etc/resolv.conf); nil: all of it.
---@param options? {servers?: string[], search?: string[], ndots?: integer, timeout?: number, tries?: integer,
---lookups?: "f"|"b"|"fb"|"bf"} servers: "address" or "address:port"; timeout: seconds of the first try, doubled with
---each round; lookups: f hosts file, b name servers, in that order
---@return true|nil
---@return string? err "not enough memory"
---@return integer? errno
function M.set_resolver(options)
  options = option.check("set_resolver", options, resolver_options, 2, 1)
  local servers = server_list(options.servers)
  check_search(options.search)
  local timeout = milliseconds(options.timeout)
  if options.lookups and not orders[options.lookups] then
    error('set_resolver: option \'lookups\' must be "f", "b", "fb" or "bf"', 2)
  end
  return core.resolver_configure(servers, options.search, options.ndots, timeout, options.tries,
    options.lookups)
end

return M

-- SPDX-License-Identifier: MIT
-- bind.lua - net.bind: a stream socket that has a local address already, and becomes a listener or a connection later.

local addresses = require "moonpark.net.addresses"
local check_options = require("moonpark.options").check
local core = require "moonpark.core"

local M = {}

--- A socket with a local address. It waits for nothing.
---@class moonpark.bound
---@field private descriptor moonpark.descriptor
local Bound = {}
Bound.__index = Bound

---@class moonpark.net.bind.options
---@field reuseaddr? boolean SO_REUSEADDR; true
---@field reuseport? boolean SO_REUSEPORT; false
---@field v6only? boolean no IPv4; false for ":port", and other IPv6 addresses take none anyway

local known = { reuseaddr = "boolean", reuseport = "boolean", v6only = "boolean" }

--- Makes a socket with that local address. It has what connections have by default, and SO_REUSEADDR.
--- In a worker it is the worker's own: others do not accept from it.
---@param address string "host:port", ":port", "unix:/path"
---@param options? moonpark.net.bind.options
---@return moonpark.bound|nil
---@return string? err "address already in use", "permission denied", ...
---@return integer? errno
function M.bind(address, options)
  options = check_options("bind", options, known, 2, 2)
  local function attempt(one) return core.bind(one, options.reuseaddr ~= false, options.reuseport, options.v6only) end
  local descriptor, err, errno
  if type(address) == "string" then descriptor, err, errno = attempt(address) else descriptor = false end
  if descriptor == false then
    local list
    list, err, errno = addresses.numeric(address, false, "bind", 2)
    for i, one in ipairs(list or {}) do
      local why, number
      descriptor, why, number = attempt(one)
      if descriptor then break end
      if i == 1 then err, errno = why, number end
    end
  end
  if not descriptor then return nil, err, errno end
  return setmetatable({ descriptor = descriptor }, Bound)
end

--- A socket without an address, with what connections have by default; one for IPv6 is for IPv6 alone.
---@param family "inet4"|"inet6"|"unix"
---@return moonpark.bound|nil
---@return string? err "too many open files", ...
---@return integer? errno
function M.socket(family)
  local descriptor, err, errno = core.bound_new(family)
  if not descriptor then return nil, err, errno end
  return setmetatable({ descriptor = descriptor }, Bound)
end

--- Takes a local address. Options stay as they are: SO_REUSEADDR is set only if the script has set it.
---@param address string numeric
---@return true|nil
---@return string? err
---@return integer? errno
function Bound:bind(address)
  local ok, err, errno = core.bound_bind(self.descriptor, address)
  if ok == false then error("bind: a numeric address expected, got " .. tostring(address), 2) end
  return ok, err, errno
end

--- Becomes a listener; the socket is gone then.
---@param backlog? integer the system's maximum by default
---@return moonpark.listener|nil
---@return string? err
---@return integer? errno
function Bound:listen(backlog)
  local ok, err, errno = core.bound_listen(self.descriptor, backlog)
  if not ok then return nil, err, errno end
  return core.from_fd(self.descriptor, "listener")
end

--- Connects; the socket is gone then, also if that fails after it has begun.
---@param address string numeric
---@param timeout? number seconds
---@return moonpark.connection|nil
---@return string? err
---@return integer? errno
function Bound:connect(address, timeout)
  local conn, err, errno = core.bound_dial(self.descriptor, address, timeout)
  if conn == false then error("connect: a numeric address expected, got " .. tostring(address), 2) end
  return conn, err, errno
end

---@return string|nil address with the port that was picked
---@return string? err
---@return integer? errno
function Bound:local_address() return core.bound_address(self.descriptor) end

--- The descriptor's number; it stays the object's.
---@return integer|nil
---@return string? err
function Bound:fd() return self.descriptor:number() end

---@return true
function Bound:close() return self.descriptor:close() end

return M

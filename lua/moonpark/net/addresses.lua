-- SPDX-License-Identifier: MIT
-- addresses.lua - from the text that a script gives to the numeric addresses that the core takes: where the host is
-- a name it is looked up. What is malformed is the script's mistake and raises; a name that is not known is not.

local core = require "moonpark.core"

local M = {}

--- Specs put a function of their own in its place.
---@type fun(host: string, deadline: number|nil): string[]|nil, string?, integer? numeric hosts; or why not
function M.lookup(host, deadline) return require("moonpark.net.resolve").lookup(host, deadline) end

local SHOWN = 100 -- bytes of a text that somebody got wrong

-- Whatever was in the text, one line of an error message.
local function shown(text)
  local head = text:sub(1, SHOWN):gsub("%c", function(c) return ("\\%d"):format(c:byte()) end)
  return #text > SHOWN and head .. "..." or head
end

-- "what is wrong: 'text'" of a text that is no address of that kind, or nil; and what the core makes of it.
local function fault_of(text, datagram)
  local is_datagram, host, port = core.split_address(text)
  local wrong = is_datagram == nil and host or nil
  if not wrong and is_datagram ~= datagram then
    wrong = datagram and "not a datagram address" or "not a stream address"
  end
  if wrong then return ("%s: '%s'"):format(wrong, shown(text)) end
  return nil, host, port
end

--- Is text an address? For those of a command line or of a setting: with a wrong one listen and dial raise.
---@param text string
---@param kind? "stream"|"datagram" "stream"
---@return true|nil
---@return string? wrong "missing port: 'localhost'", ...
function M.test(text, kind)
  if type(text) ~= "string" then
    error(("bad argument #1 to 'check_address' (string expected, got %s)"):format(type(text)), 2)
  end
  if kind ~= nil and kind ~= "stream" and kind ~= "datagram" then
    error("bad argument #2 to 'check_address' (\"stream\" or \"datagram\" expected)", 2)
  end
  local wrong = fault_of(text, kind == "datagram")
  if wrong then return nil, wrong end
  return true
end

--- Raises unless text is an address of that kind, "NAME: what is wrong: 'text'", and where a look-up cannot wait.
---@param text any
---@param datagram boolean
---@param name string whose argument it is
---@param level integer of the script's line, as for error() in the function that calls this
---@return string|nil host to be looked up; nil: the text can be used as it is
---@return integer|nil port
function M.check(text, datagram, name, level)
  if type(text) ~= "string" then
    error(("bad argument #1 to '%s' (string expected, got %s)"):format(name, type(text)), level + 1)
  end
  local wrong, host, port = fault_of(text, datagram)
  if wrong then error(("%s: %s"):format(name, wrong), level + 1) end
  if host and not core.current() then
    error(("%s: names are looked up in tasks only (inside moonpark.run): '%s'"):format(name, shown(text)), level + 1)
  end
  return host, port
end

local function join(host, port, datagram)
  local form = host:find(":", 1, true) and "%s[%s]:%d" or "%s%s:%d"
  return form:format(datagram and "udp:" or "", host, port)
end

--- The numeric addresses of a text that was checked, in the order in which they are to be tried. Waits where there
--- is a host to look up.
---@param text string
---@param host string|nil what M.check returned
---@param port integer|nil
---@param datagram boolean
---@param deadline number|nil absolute seconds
---@return string[]|nil
---@return string? err "no such host", "timeout", "server failure", "canceled"
---@return integer? errno
function M.expand(text, host, port, datagram, deadline)
  if not host then return { text } end
  local hosts, err, errno = M.lookup(host, deadline)
  if not hosts then return nil, err, errno end
  local list = {}
  for i, one in ipairs(hosts) do list[i] = join(one, port, datagram) end
  if not list[1] then return nil, "no such host" end
  return list
end

--- Both in one: text to numeric addresses.
---@param text string
---@param datagram boolean
---@param name string
---@param level integer
---@param deadline number|nil
---@return string[]|nil
---@return string? err
---@return integer? errno
function M.numeric(text, datagram, name, level, deadline)
  local host, port = M.check(text, datagram, name, level + 1)
  return M.expand(text, host, port, datagram, deadline)
end

local function starts(text, prefix) return text:sub(1, #prefix) == prefix end

--- Which addresses can be connected with each other.
---@param address string a numeric one
---@return "unix"|"inet6"|"inet"|"any" any: ":port"
function M.family(address)
  if starts(address, "unix") then return "unix" end
  local host = starts(address, "udp:") and address:sub(5) or address
  return starts(host, "[") and "inet6" or starts(host, ":") and "any" or "inet"
end

local function fits(to, from)
  local a, b = M.family(to), M.family(from)
  return a == b or b == "any" and a ~= "unix" or a == "any" and b == "inet"
end

--- Each address with the first to come from that is of its family. If there is none at all, the first two: the system
--- says what is wrong with them.
---@param to string[] numeric addresses
---@param from string[]|nil
---@return {to: string, from: string|nil}[]
function M.pair_up(to, from)
  local pairs_found = {}
  for _, address in ipairs(to) do
    local source
    for _, one in ipairs(from or {}) do source = source or fits(address, one) and one end
    if source or not from then pairs_found[#pairs_found + 1] = { to = address, from = source } end
  end
  return pairs_found[1] and pairs_found or { { to = to[1], from = from[1] } }
end

-- "0660" or a number -> the number. Written 0660, Lua reads a decimal number: that is out of range, and so found.
local function permissions(mode)
  local bits = type(mode) == "string" and mode:match("^0?[0-7][0-7][0-7]$") and tonumber(mode, 8) or mode
  local fit = type(bits) == "number" and bits >= 0 and bits <= 511 and bits == math.floor(bits)
  return fit and bits or nil
end

--- The options of what is bound at that address, with `mode`, the permissions of a unix path, as a number.
---@param options any
---@param address string
---@param name string whose option it is
---@param level integer of the script's line, as for error() in the function that calls this
---@return any
function M.with_permissions(options, address, name, level)
  if type(options) ~= "table" or options.mode == nil then return options end
  local copy = {}
  for key, value in pairs(options) do copy[key] = value end
  copy.mode = permissions(options.mode)
  if not copy.mode then
    error(name .. ": option 'mode' must be permission bits: \"0660\", or a number from 0 to 511", level + 1)
  end
  if not address:find("^unix:[^@]") and not address:find("^unixgram:[^@]") then
    error(name .. ": option 'mode' is for unix paths only", level + 1)
  end
  return copy
end

return M

-- SPDX-License-Identifier: MIT
-- addresses.lua - turns a script's text into the numeric addresses that the core takes: if the host is a name it is
-- looked up. Malformed text is the script's mistake and raises; an unknown name is an ordinary failure.

local core = require "moonpark.core"

local M = {}

--- Specs put a function of their own in its place.
---@type fun(host: string, deadline: number|nil): string[]|nil, string?, integer? numeric hosts; or why not
function M.lookup(host, deadline) return require("moonpark.net.resolve").lookup(host, deadline) end

local SHOWN = 100 -- bytes of an invalid text in messages

-- Whatever was in the text, one line of an error message.
local function shown(text)
  local head = text:sub(1, SHOWN):gsub("%c", function(c) return ("\\%d"):format(c:byte()) end)
  return #text > SHOWN and head .. "..." or head
end

-- What may have been meant by a text that is not an address of that kind, in the order in which it is tried.
local function candidates(text, datagram)
  if datagram and text:find "^udp:" then return { (text:gsub("^udp:(%d+)$", "udp::%1")) } end
  local authority = text:match "^%a[%w+.-]*://([^/]+)" or text:match "^([^/]+)/+$"
  local bare, port = text:match "^([%x:]+):(%d+)$" -- an IPv6 address without its brackets
  local list = { text:match "^%d+$" and ":" .. text or false, authority or false,
    bare and ("[%s]:%s"):format(bare, port) or false, text:find "^/" and "unix:" .. text or false,
    text:match "^udp:(.*)$" or false, text }
  for i, one in ipairs(list) do
    if one and datagram then list[i] = one:find "^unix:" and "unixgram" .. one:sub(5) or "udp:" .. one end
  end
  return list
end

local function hint(text, datagram)
  for _, one in ipairs(candidates(text, datagram)) do
    if one and one ~= text and core.split_address(one) == datagram then
      return ("; did you mean '%s'?"):format(shown(one))
    end
  end
  return ""
end

-- "what is wrong: 'text'" if the text is not an address of that kind, or nil; and what the core parsed.
local function fault_of(text, datagram)
  local is_datagram, host, port = core.split_address(text)
  local wrong = is_datagram == nil and host or nil
  if not wrong and is_datagram ~= datagram then
    wrong = datagram and "not a datagram address" or "not a stream address"
  end
  if wrong then return ("%s: '%s'%s"):format(wrong, shown(text), hint(text, datagram)) end
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

--- Raises "NAME: what is wrong: 'text'" unless text is an address of that kind; also if a look-up cannot wait here.
---@param text any
---@param datagram boolean
---@param name string the function whose argument it is
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

--- The numeric addresses of a text that was checked, in the order in which they should be tried. Waits if a host must
--- be looked up.
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
local function bits_of(mode)
  local bits = type(mode) == "string" and mode:match("^0?[0-7][0-7][0-7]$") and tonumber(mode, 8) or mode
  local fit = type(bits) == "number" and bits >= 0 and bits <= 511 and bits == math.floor(bits)
  return fit and bits or nil
end

--- The option `mode` of what is bound at an address, for a table of what a function takes.
M.mode = { function(mode) return bits_of(mode) ~= nil end,
  'must be permission bits: "0660", or a number from 0 to 511' }

--- The permissions of a unix path as a number; nil for nil.
---@param mode string|integer|nil as M.mode
---@param address string
---@param name string the function whose option it is
---@param level integer of the script's line, as for error() in the function that calls this
---@return integer|nil
function M.permissions(mode, address, name, level)
  if mode == nil then return nil end
  if not address:find("^unix:[^@]") and not address:find("^unixgram:[^@]") then
    error(name .. ": option 'mode' is for unix paths only", level + 1)
  end
  return bits_of(mode)
end

return M

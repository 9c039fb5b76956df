-- SPDX-License-Identifier: MIT
-- options.lua - socket options by LuaSocket's names, on a descriptor. The numbers are Linux's.

local core = require "moonpark.core"
local ffi = require "ffi"
local words = require "moonpark.luasocket.words"

ffi.cdef "int moonpark_luasocket_pton(int, const char *, void *) __asm__(\"inet_pton\");"

local misuse = words.misuse

local M = {}

local SOCKET, IP, TCP, IPV6 = 1, 0, 6, 41 -- levels
local INET, INET6 = 2, 10                 -- families

---------------------------------------------------------------------------------------------------
-- types: {check and pack, unpack, bytes}

local number = ffi.new "int[1]"

local function pack(n)
  number[0] = n
  return ffi.string(number, 4)
end

local function unpack_number(bytes)
  number[0] = 0
  ffi.copy(number, bytes, math.min(4, #bytes))
  return number[0]
end

local function expected(what, value)
  misuse(("bad argument #3 to '?' (%s expected, got %s)"):format(what, value == nil and "no value" or type(value)))
end

local function wrong(text) misuse(("bad argument #3 to '?' (%s)"):format(text)) end

local boolean = {
  pack = function(value)
    if type(value) ~= "boolean" then expected("boolean", value) end
    return pack(value and 1 or 0)
  end,
  unpack = function(bytes) return unpack_number(bytes) ~= 0 end, size = 4,
}

local integer = {
  pack = function(value)
    local n = type(value) ~= "boolean" and tonumber(value)
    if not n then expected("number", value) end
    return pack(n)
  end,
  unpack = unpack_number, size = 4,
}

local function table_of(value)
  if type(value) ~= "table" then
    misuse(("bad argument #3 to '?' (table expected, got %s)"):format(value == nil and "no value" or type(value)))
  end
  return value
end

local linger = {
  pack = function(value)
    value = table_of(value)
    if type(value.on) ~= "boolean" then wrong "boolean 'on' field expected" end
    if not tonumber(value.timeout) then wrong "number 'timeout' field expected" end
    return pack(value.on and 1 or 0) .. pack(tonumber(value.timeout) % 65536)
  end,
  unpack = function(bytes)
    return { on = unpack_number(bytes) ~= 0, timeout = unpack_number(bytes:sub(5)) }
  end,
  size = 8,
}

local fault = {
  unpack = function(bytes)
    local errno = unpack_number(bytes)
    return errno ~= 0 and words.of("", errno) or nil
  end,
  size = 4,
}

-- The bytes of a numeric address, "*" being any; nil: it is none.
local function address(family, size, value)
  if type(value) ~= "string" then return nil end
  local bytes = ffi.new("unsigned char[?]", size)
  if value == "*" then return ffi.string(bytes, size) end
  return ffi.C.moonpark_luasocket_pton(family, value, bytes) == 1 and ffi.string(bytes, size) or nil
end

local interface4 = {
  pack = function(value)
    if type(value) ~= "string" and type(value) ~= "number" then expected("string", value) end
    return address(INET, 4, value) or wrong "ip expected"
  end,
  unpack = function(bytes) return ("%d.%d.%d.%d"):format(bytes:byte(1, 4)) end, size = 4,
}

local group4 = {
  pack = function(value)
    value = table_of(value)
    if type(value.multiaddr) ~= "string" then wrong "string 'multiaddr' field expected" end
    local group = value.multiaddr ~= "*" and address(INET, 4, value.multiaddr) or wrong "invalid 'multiaddr' ip address"
    if type(value.interface) ~= "string" then wrong "string 'interface' field expected" end
    return group .. (address(INET, 4, value.interface) or wrong "invalid 'interface' ip address")
  end,
}

local group6 = {
  pack = function(value)
    value = table_of(value)
    if type(value.multiaddr) ~= "string" then wrong "string 'multiaddr' field expected" end
    local group = value.multiaddr ~= "*" and address(INET6, 16, value.multiaddr)
      or wrong "invalid 'multiaddr' ip address"
    if value.interface ~= nil and not tonumber(value.interface) then wrong "number 'interface' field expected" end
    return group .. pack(tonumber(value.interface) or 0)
  end,
}

---------------------------------------------------------------------------------------------------
-- [kind][LuaSocket's name] = {level, number, type, "set" | "get": there is only that}

local both = {
  reuseaddr = { SOCKET, 2, boolean }, reuseport = { SOCKET, 15, boolean },
  ["recv-buffer-size"] = { SOCKET, 8, integer }, ["send-buffer-size"] = { SOCKET, 7, integer },
  error = { SOCKET, 4, fault, "get" },
}

local tcp = {
  keepalive = { SOCKET, 9, boolean }, linger = { SOCKET, 13, linger },
  ["tcp-nodelay"] = { TCP, 1, boolean }, ["tcp-keepidle"] = { TCP, 4, integer }, ["tcp-keepcnt"] = { TCP, 6, integer },
  ["tcp-keepintvl"] = { TCP, 5, integer }, ["ipv6-v6only"] = { IPV6, 26, boolean, "set" },
  ["tcp-defer-accept"] = { TCP, 9, integer, "set" }, ["tcp-fastopen"] = { TCP, 23, integer, "set" },
  ["tcp-fastopen-connect"] = { TCP, 30, integer, "set" },
}

local udp = {
  dontroute = { SOCKET, 5, boolean }, broadcast = { SOCKET, 6, boolean }, ["ip-multicast-if"] = { IP, 32, interface4 },
  ["ip-multicast-ttl"] = { IP, 33, integer, "set" }, ["ip-multicast-loop"] = { IP, 34, boolean },
  ["ip-add-membership"] = { IP, 35, group4, "set" }, ["ip-drop-membership"] = { IP, 36, group4, "set" },
  ["ipv6-unicast-hops"] = { IPV6, 16, integer }, ["ipv6-multicast-hops"] = { IPV6, 18, integer },
  ["ipv6-multicast-loop"] = { IPV6, 19, boolean }, ["ipv6-add-membership"] = { IPV6, 20, group6, "set" },
  ["ipv6-drop-membership"] = { IPV6, 21, group6, "set" }, ["ipv6-v6only"] = { IPV6, 26, boolean },
}

for name, option in pairs(both) do tcp[name], udp[name] = option, option end

-- Streams and datagrams of unix sockets have fewer; what they have is the same.
local known = { tcp = tcp, udp = udp,
  unixstream = { keepalive = tcp.keepalive, reuseaddr = tcp.reuseaddr, linger = tcp.linger },
  unixdgram = { reuseaddr = tcp.reuseaddr } }

local function find(kind, name, without)
  if type(name) ~= "string" then
    misuse(("bad argument #2 to '?' (string expected, got %s)"):format(name == nil and "no value" or type(name)))
  end
  local option = known[kind][name]
  if not option or option[4] == without then
    misuse(("bad argument #2 to '?' (unsupported option `%s')"):format(name:sub(1, 35)))
  end
  return option
end

--- A setting, checked: what `apply` takes.
---@param kind "tcp"|"udp"|"unixstream"|"unixdgram"
---@param name string
---@param value any
---@return table
function M.parse(kind, name, value)
  local option = find(kind, name, "get")
  return { option[1], option[2], option[3].pack(value) }
end

--- 1, or nil and LuaSocket's word.
---@param fd integer -1: none
---@param setting table
function M.apply(fd, setting)
  if core.socket_option(fd, setting[1], setting[2], setting[3]) then return 1 end
  return nil, "setsockopt failed"
end

--- The value of an option; nil and LuaSocket's word.
function M.get(kind, fd, name)
  local option = find(kind, name, "set")
  local bytes = core.socket_option(fd, option[1], option[2], option[3].size)
  if not bytes then return nil, "getsockopt failed" end
  return option[3].unpack(bytes)
end

return M

-- SPDX-License-Identifier: MIT
-- options.lua - socket options by LuaSocket's names, on whatever has setoption and getoption of moonpark's.

local misuse = require("moonpark.luasocket.words").misuse

local M = {}

local BOOLEAN, NUMBER = "boolean", "number"

-- [LuaSocket's name] = {moonpark's name, type}
local stream = {
  keepalive = { "keepalive", BOOLEAN }, reuseaddr = { "reuseaddr", BOOLEAN }, reuseport = { "reuseport", BOOLEAN },
  ["tcp-nodelay"] = { "nodelay", BOOLEAN }, ["tcp-keepidle"] = { "keepalive_idle", NUMBER },
  ["tcp-keepcnt"] = { "keepalive_count", NUMBER }, ["tcp-keepintvl"] = { "keepalive_interval", NUMBER },
  ["ipv6-v6only"] = { "v6only", BOOLEAN }, ["recv-buffer-size"] = { "rcvbuf", NUMBER },
  ["send-buffer-size"] = { "sndbuf", NUMBER }, ["tcp-defer-accept"] = { "defer_accept", NUMBER },
}

local datagram = {
  broadcast = { "broadcast", BOOLEAN }, dontroute = { false, BOOLEAN }, reuseaddr = { "reuseaddr", BOOLEAN },
  reuseport = { "reuseport", BOOLEAN }, ["ip-multicast-ttl"] = { "multicast_ttl", NUMBER },
  ["ip-multicast-loop"] = { "multicast_loop", BOOLEAN }, ["ipv6-v6only"] = { "v6only", BOOLEAN },
  ["recv-buffer-size"] = { "rcvbuf", NUMBER }, ["send-buffer-size"] = { "sndbuf", NUMBER },
  ["ipv6-unicast-hops"] = { "ttl", NUMBER }, ["ipv6-multicast-hops"] = { "multicast_ttl", NUMBER },
  ["ipv6-multicast-loop"] = { "multicast_loop", BOOLEAN },
}

local function unsupported(name)
  misuse(("bad argument #2 to '?' (unsupported option `%s')"):format(tostring(name)))
end

local function check_name(name)
  if type(name) ~= "string" then
    misuse(("bad argument #2 to '?' (string expected, got %s)"):format(name == nil and "no value" or type(name)))
  end
end

local function find(known, name)
  check_name(name)
  local found = known[name]
  if not found and name ~= "linger" and name ~= "error" then unsupported(name) end
  return found
end

local function check_linger(value)
  if type(value) ~= "table" then
    misuse(("bad argument #3 to '?' (table expected, got %s)"):format(type(value)))
  end
  if type(value.on) ~= "boolean" then misuse("bad argument #3 to '?' (boolean 'on' field expected)") end
  if type(value.timeout) ~= "number" then misuse("bad argument #3 to '?' (number 'timeout' field expected)") end
  return value.on and value.timeout or false
end

local function check_type(value, wanted)
  if type(value) ~= wanted then
    misuse(("bad argument #3 to '?' (%s expected, got %s)"):format(wanted, value == nil and "no value" or type(value)))
  end
  return value
end

--- Checks a setting -> moonpark's name and value.
function M.parse(kind, name, value)
  local found = find(kind == "udp" and datagram or stream, name)
  if name == "linger" then return "linger", check_linger(value) end
  if name == "error" then unsupported(name) end
  check_type(value, found[2])
  if not found[1] then unsupported(name) end
  return found[1], value
end

--- 1, or nil and LuaSocket's word.
function M.set(conn, name, value)
  if not conn or not conn:setoption(name, value) then return nil, "setsockopt failed" end
  return 1
end

--- The value of an option by LuaSocket's name.
function M.get(kind, conn, name)
  local found = find(kind == "udp" and datagram or stream, name)
  if name == "error" then return nil end -- SO_ERROR is read, and told, by the operation that meets it
  if not conn then return nil, "getsockopt failed" end
  if name == "linger" then
    local seconds = conn:getoption "linger"
    return { on = seconds ~= false, timeout = seconds or 0 }
  end
  if not found[1] then unsupported(name) end
  local value = conn:getoption(found[1])
  if value == nil then return nil, "getsockopt failed" end
  return value
end

return M

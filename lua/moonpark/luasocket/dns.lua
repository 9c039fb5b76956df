-- SPDX-License-Identifier: MIT
-- dns.lua - socket.dns over moonpark's resolver. Names of addresses come from the hosts file alone.

local endpoint = require "moonpark.luasocket.endpoint"
local ffi = require "ffi"
local waiting = require "moonpark.in_task"

ffi.cdef "int moonpark_luasocket_hostname(char *, size_t) __asm__(\"gethostname\");"

local M = {}

local NOT_FOUND = "host not found"

local function family_of(host) return host:find(":", 1, true) and "inet6" or "inet" end

function M.gethostname()
  local name = ffi.new("char[256]")
  if ffi.C.moonpark_luasocket_hostname(name, 255) ~= 0 then return nil, "unknown" end
  return ffi.string(name)
end

local function list_of(host)
  local hosts, err = endpoint.hosts(host, "unspec")
  if not hosts then return nil, err end
  local list = {}
  for i, one in ipairs(hosts) do list[i] = { family = family_of(one), addr = one } end
  return list
end

M.getaddrinfo = waiting.method(list_of)

-- The lines of the hosts file that name the address -> its names
local function names_of(address)
  local names = {}
  local file = io.open "/etc/hosts"
  if not file then return names end
  for line in file:lines() do
    local ip, rest = line:gsub("#.*", ""):match "^%s*(%S+)%s+(.-)%s*$"
    if ip == address then
      for name in rest:gmatch "%S+" do names[#names + 1] = name end
    end
  end
  file:close()
  return names
end

local function is_address(text) return text:find "^%d+%.%d+%.%d+%.%d+$" or text:find(":", 1, true) end

-- As gethostbyname: the addresses of the first kind.
local function to_ip(host)
  local hosts = endpoint.hosts(host, "unspec")
  if not hosts then return nil, NOT_FOUND end
  local ips = {}
  for _, one in ipairs(hosts) do
    if family_of(one) == "inet" then ips[#ips + 1] = one end
  end
  if #ips == 0 then return nil, NOT_FOUND end
  return ips[1], { name = host, alias = {}, ip = ips }
end

M.toip = waiting.method(to_ip)

local function to_name(host)
  if not is_address(host) then
    local ip = to_ip(host)
    if not ip then return nil, NOT_FOUND end
    host = ip
  end
  local names = names_of(host)
  if #names == 0 then return nil, NOT_FOUND end
  return names[1], { name = names[1], alias = { unpack(names, 2) }, ip = { host } }
end

M.tohostname = waiting.method(to_name)

function M.getnameinfo(host, port)
  local names = host and names_of(host) or {}
  if host and #names == 0 then names = { host } end
  return names, port
end

return M

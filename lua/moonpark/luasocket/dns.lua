-- SPDX-License-Identifier: MIT
-- dns.lua - socket.dns over moonpark's resolver, and over reverse.lua for the names of addresses.

local endpoint = require "moonpark.luasocket.endpoint"
local ffi = require "ffi"
local reverse = require "moonpark.luasocket.reverse"
local waiting = require "moonpark.in_task"
local words = require "moonpark.luasocket.words"

ffi.cdef "int moonpark_luasocket_hostname(char *, size_t) __asm__(\"gethostname\");"

local misuse = words.misuse

local M = {}

-- As hstrerror says: by our word.
local of_host = { ["server failure"] = "Host name lookup failure", timeout = "Host name lookup failure",
  canceled = "canceled" }

local function not_found(err) return of_host[err] or "host not found" end

local function check_text(value, position)
  if type(value) == "string" or type(value) == "number" then return tostring(value) end
  misuse(("bad argument #%d to '?' (string expected, got %s)"):format(position, value == nil and "no value"
    or type(value)))
end

local function family_of(host) return host:find(":", 1, true) and "inet6" or "inet" end

function M.gethostname()
  local name = ffi.new("char[257]")
  if ffi.C.moonpark_luasocket_hostname(name, 256) ~= 0 then return nil, words.system(ffi.errno()) end
  return ffi.string(name)
end

local function list_of(host)
  local hosts, err = endpoint.hosts(host, "unspec")
  if not hosts then return nil, err end
  local list = {}
  for i, one in ipairs(hosts) do list[i] = { family = family_of(one), addr = one } end
  return list
end

function M.getaddrinfo(host) return waiting.call(list_of, check_text(host, 1)) end

-- What gethostbyaddr tells of an IPv4 address -> name, {name, alias, ip} | nil, err
local function by_address(address)
  local names, err = reverse.names(address)
  if not names then return nil, not_found(err) end
  return names[1], { name = names[1], alias = { unpack(names, 2) }, ip = { address } }
end

-- What gethostbyname tells of a name.
local function by_name(host)
  local hosts, err = endpoint.hosts(host, "inet4")
  if not hosts then return nil, not_found(err) end
  return host, { name = host, alias = {}, ip = hosts }
end

local function known(host)
  if host == "" then return nil, "Unknown server error" end
  local address = endpoint.ipv4(host)
  if address then return by_address(address) end
  return by_name(host)
end

local function to_ip(host)
  local name, found = known(host)
  if not name then return nil, found end
  return found.ip[1], found
end

--- toip(name or address) -> address, {name =, alias =, ip =} | nil, err. An address is looked for by its name, too.
function M.toip(host) return waiting.call(to_ip, check_text(host, 1)) end

--- tohostname(address or name) -> name, {name =, alias =, ip =} | nil, err
function M.tohostname(host) return waiting.call(known, check_text(host, 1)) end

-- The service's name, or the number itself.
local function service_of(port)
  local number = tonumber(port)
  for line in io.lines "/etc/services" do
    local name, known_number = line:match "^([%w%-_.+]+)%s+(%d+)/tcp"
    if name and (tonumber(known_number) == number or name == port) then return name end
  end
  return number and ("%d"):format(number) or nil
end

local function names_of(host, port)
  local service = port and service_of(port)
  if port and not service then return nil, "service not supported for socket type" end
  local names = {}
  if host then
    local hosts, err = endpoint.hosts(host, "unspec")
    if not hosts then return nil, err end
    for i, one in ipairs(hosts) do
      local found = reverse.names(one)
      names[i] = found and found[1] or one
    end
  end
  if port then return names, service end
  return names
end

--- getnameinfo([host[, service]]) -> names of the host's addresses, name of the service | nil, err
function M.getnameinfo(host, port)
  host = host ~= nil and check_text(host, 1) or nil
  port = port ~= nil and check_text(port, 2) or nil
  if not host and not port then misuse "host and serv cannot be both nil" end
  return waiting.call(names_of, host, port)
end

return M

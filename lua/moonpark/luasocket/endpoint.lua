-- SPDX-License-Identifier: MIT
-- endpoint.lua - hosts, ports and paths as LuaSocket takes and gives them, and addresses as moonpark does.

local ffi = require "ffi"
local resolve = require "moonpark.net.resolve"
local words = require "moonpark.luasocket.words"

local M = {}

local ANY = { inet4 = "0.0.0.0", inet6 = "::" }
local UNKNOWN = "host or service not provided, or not known"
local OTHER_FAMILY = "Address family for hostname not supported"
local LONGEST_PATH = 107

ffi.cdef "int moonpark_luasocket_aton(const char *, void *) __asm__(\"inet_aton\");"

--- An IPv4 address as inet_aton takes it, "127.1" too, in four numbers; nil: it is none.
---@param host string
---@return string|nil
function M.ipv4(host)
  local bytes = ffi.new "unsigned char[4]"
  if not host:find "^%d[%xxX.]*$" or ffi.C.moonpark_luasocket_aton(host, bytes) == 0 then return nil end
  return ("%d.%d.%d.%d"):format(bytes[0], bytes[1], bytes[2], bytes[3])
end

local function is_numeric4(host) return host:find "^%d+%.%d+%.%d+%.%d+$" ~= nil end

function M.join(host, port)
  return host:find(":", 1, true) and ("[%s]:%d"):format(host, port) or ("%s:%d"):format(host, port)
end

local shown = { inet4 = "inet", inet6 = "inet6" }

--- "127.0.0.1", "80", "inet" of an address of moonpark's.
---@param address string
---@param family string the socket's
---@return string host
---@return string port
---@return string family
function M.split(address, family)
  local host, port = address:match "^%[(.*)%]:(%d+)$"
  if not host then host, port = address:match "^(.*):(%d+)$" end
  return host, port, shown[family] or "unspec"
end

--- A port as LuaSocket takes it: a number, or one in digits; service names are looked up. -> number | nil, err
function M.port(port)
  local n = tonumber(port)
  if n then return n % 65536 end
  for line in io.lines "/etc/services" do
    local name, number = line:match "^([%w%-_.+]+)%s+(%d+)/tcp"
    if name == port then return tonumber(number) end
  end
  return nil, "service not supported for socket type"
end

-- Which of the hosts a socket of that family may use.
local function fits(host, family)
  local six = host:find(":", 1, true) ~= nil
  return family == "unspec" or (family == "inet6") == six
end

--- Is that the text of an address?
function M.is_numeric(host) return is_numeric4(host) or host:find(":", 1, true) ~= nil end

--- The numeric hosts of a name, "*" being any -> list | nil, err
function M.hosts(host, family)
  if host == "*" then return { ANY[family] or ANY.inet4 } end
  local found
  host = M.ipv4(host) or host
  if M.is_numeric(host) then
    if is_numeric4(host) and not M.ipv4(host) then return nil, UNKNOWN end -- "1.2.3.400"
    if not fits(host, family) then return nil, OTHER_FAMILY end
    found = { host }
  else
    local fine, list, err, errno = pcall(resolve.resolve, host)
    if not fine then return nil, UNKNOWN end -- no name of a host
    if not list then return nil, words.of(err, errno) end
    found = list
  end
  local usable = {}
  for _, one in ipairs(found) do
    if fits(one, family) then usable[#usable + 1] = one end
  end
  if #usable == 0 then return nil, UNKNOWN end
  return usable
end

--- A path as moonpark writes it: a first zero byte, of an abstract name, is "@" -> text | nil, err
function M.unix(path)
  if #path > LONGEST_PATH then return nil, "path too long" end
  if path:sub(1, 1) == "@" then return "./" .. path end
  return (path:gsub("^%z", "@"))
end

return M

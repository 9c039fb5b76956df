-- SPDX-License-Identifier: MIT
-- endpoint.lua - hosts and ports as LuaSocket takes and gives them, and addresses as moonpark does.

local core = require "moonpark.core"
local resolve = require "moonpark.net.resolve"
local words = require "moonpark.luasocket.words"

local M = {}

local ANY = { inet4 = "0.0.0.0", inet6 = "::" }

local function is_numeric4(host) return host:find "^%d+%.%d+%.%d+%.%d+$" ~= nil end

function M.join(host, port)
  return host:find(":", 1, true) and ("[%s]:%d"):format(host, port) or ("%s:%d"):format(host, port)
end

--- "127.0.0.1", "80", "inet" of an address of moonpark's.
function M.split(address)
  local host, port = address:match "^%[(.*)%]:(%d+)$"
  if host then return host, port, "inet6" end
  host, port = address:match "^(.*):(%d+)$"
  return host, port, "inet"
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

--- The numeric hosts of a name, "*" being any -> list | nil, err
function M.hosts(host, family)
  if host == "*" then return { ANY[family] or ANY.inet4 } end
  local found
  if is_numeric4(host) or host:find(":", 1, true) then found = { host }
  else
    local fine, list, err, errno = pcall(resolve.resolve, host)
    if not fine then return nil, "host or service not provided, or not known" end -- no name of a host
    if not list then return nil, words.of(err, errno) end
    found = list
  end
  local usable = {}
  for _, one in ipairs(found) do
    if fits(one, family) then usable[#usable + 1] = one end
  end
  if #usable == 0 then return nil, "host or service not provided, or not known" end
  return usable
end

M.now = core.now

return M

-- SPDX-License-Identifier: MIT
-- client_address.lua - who a request comes from, for limits by client: the address of its connection or, behind proxies
-- that are trusted, the one that they have added to X-Forwarded-For.
--
-- A client writes into X-Forwarded-For what it likes; each proxy appends the address that it was asked from. So the
-- list is read from its end, and the first address that is not a trusted proxy's own is the client's.

local is_excepted = require("moonpark.http.proxies").is_excepted

local M = {}

local UNIX = "unix" -- how a client of a unix socket is called

-- Without its port and its brackets; an IPv4 address that is mapped into IPv6 as that.
local function host_of(address)
  local host = address:match("^%[([^%]]+)%]") or address:match("^([%d.]+):%d+$") or address
  return host:lower():match("^::ffff:(%d+%.%d+%.%d+%.%d+)$") or host
end

local function peer_of(req)
  local address = req.address
  if not address or address == "" or address:find("^unix") then return UNIX end
  return host_of(address)
end

local function is_trusted(trusted, host) return is_excepted(trusted, host, 0) end

--- The trusted proxies as of() takes them; nil if that is no list of addresses, networks and "unix".
---@param names string|string[]
---@return string|nil
function M.trusted(names)
  if type(names) == "string" then names = { names } end
  if type(names) ~= "table" or #names == 0 then return nil end
  for _, name in ipairs(names) do
    if type(name) ~= "string" then return nil end
    if name ~= UNIX and not name:find("^[%x:.]+$") and not name:find("^[%x:.]+/%d+$") then return nil end
  end
  return table.concat(names, ",")
end

--- The client's address without its port; "unix" if it has come by a unix socket.
---@param req moonpark.http.request
---@param trusted? string as trusted() has made it
---@return string
function M.of(req, trusted)
  local client = peer_of(req)
  if not trusted or not is_trusted(trusted, client) then return client end
  local list = req:header "x-forwarded-for"
  if not list then return client end
  local hops = {}
  for hop in list:gmatch "[^,%s]+" do hops[#hops + 1] = hop end
  for i = #hops, 1, -1 do
    local host = host_of(hops[i])
    if not host:find("^[%x:.]+$") then return client end -- no address: what stands before it is worth no more
    client = host
    if not is_trusted(trusted, client) then return client end
  end
  return client
end

-- The first four groups of an IPv6 address.
local function network_of(address)
  local head, tail = address:match("^(.-)::(.*)$")
  local groups, rest = {}, {}
  for group in (head or address):gmatch "[^:]+" do groups[#groups + 1] = group end
  for group in (tail or ""):gmatch "[^:]+" do rest[#rest + 1] = group end
  if head then
    for _ = 1, 8 - #groups - #rest do groups[#groups + 1] = "0" end
    for _, group in ipairs(rest) do groups[#groups + 1] = group end
  end
  for i = 1, 4 do groups[i] = (groups[i] or "0"):lower():gsub("^0+(%x)", "%1") end
  return table.concat(groups, ":", 1, 4) .. "::/64"
end

--- What limits count as one client: an IPv4 address, or the network of 64 bits of an IPv6 one, as one client has all of
--- it.
---@param address string
---@return string
function M.key(address)
  return address:find(":", 1, true) and network_of(address) or address
end

return M

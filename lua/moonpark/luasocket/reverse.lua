-- SPDX-License-Identifier: MIT
-- reverse.lua - addresses to names: the hosts file, then the name servers (PTR records, RFC 1035). The core's resolver
-- looks for addresses alone; this asks the same name servers, over UDP.

local bit = require "bit"
local core = require "moonpark.core"
local ffi = require "ffi"
local packet = require "moonpark.net.packet"
local resolve = require "moonpark.net.resolve"

ffi.cdef "int moonpark_luasocket_number(int, const char *, void *) __asm__(\"inet_pton\");"

local M = {}

local INET, INET6, PTR, INTERNET = 2, 10, 12, 1
local HEADER, LONGEST_NAME, JUMPS = 12, 255, 32
local TRIES, PATIENCE = 2, 5 -- rounds over the servers; seconds for each answer

---------------------------------------------------------------------------------------------------
-- the hosts file, resolv.conf

-- The names in the first line of the hosts file for the address, or nil.
local function from_file(address)
  local file = io.open "/etc/hosts"
  if not file then return nil end
  local names
  for line in file:lines() do
    local ip, rest = line:gsub("#.*", ""):match "^%s*(%S+)%s+(.-)%s*$"
    if ip == address and rest ~= "" and not names then
      names = {}
      for name in rest:gmatch "%S+" do names[#names + 1] = name end
    end
  end
  file:close()
  return names
end

-- The name servers of set_resolver, or the system's.
local function servers()
  local list = resolve.name_servers()
  if list then return list end
  list = {}
  local file = io.open "/etc/resolv.conf"
  for line in file and file:lines() or function() end do
    local host = line:match "^%s*nameserver%s+(%S+)"
    if host and #list < 3 then
      list[#list + 1] = host:find(":", 1, true) and ("[%s]:53"):format(host) or host .. ":53"
    end
  end
  if file then file:close() end
  if #list == 0 then list[1] = "127.0.0.1:53" end
  return list
end

---------------------------------------------------------------------------------------------------
-- questions and answers

-- "1.0.0.127.in-addr.arpa", or nil if that is no address.
local function name_of(address)
  local bytes = ffi.new "unsigned char[16]"
  if ffi.C.moonpark_luasocket_number(INET, address, bytes) == 1 then
    return ("%d.%d.%d.%d.in-addr.arpa"):format(bytes[3], bytes[2], bytes[1], bytes[0])
  end
  if ffi.C.moonpark_luasocket_number(INET6, address, bytes) ~= 1 then return nil end
  local nibbles = {}
  for i = 15, 0, -1 do
    nibbles[#nibbles + 1] = ("%x.%x"):format(bytes[i] % 16, bit.rshift(bytes[i], 4))
  end
  return table.concat(nibbles, ".") .. ".ip6.arpa"
end

local function question_of(name)
  local labels = name:gsub("([^.]+)%.?", function(label) return string.char(#label) .. label end)
  return labels .. "\0" .. string.char(0, PTR, 0, INTERNET)
end

local function number_at(bytes, at)
  local high, low = bytes:byte(at, at + 1)
  return low and high * 256 + low or 0
end

-- The name at `at`, and where the next thing is; nil: it is broken. Only what may be in a host's name is taken.
local function read_name(bytes, at)
  local labels, after, length = {}, nil, 0
  for _ = 1, JUMPS + LONGEST_NAME do
    local n = bytes:byte(at)
    if not n then return nil end
    if n == 0 then return table.concat(labels, "."), after or at + 1 end
    if n >= 192 then
      local low = bytes:byte(at + 1)
      if not low then return nil end
      after = after or at + 2
      at = (n - 192) * 256 + low + 1
    else
      local label = bytes:sub(at + 1, at + n)
      length = length + n + 1
      if n >= 64 or #label < n or length > LONGEST_NAME or label:find "[^%w_-]" then return nil end
      labels[#labels + 1] = label
      at = at + n + 1
    end
  end
end

-- Past a name that is not wanted.
local function skip_name(bytes, at)
  while true do
    local n = bytes:byte(at)
    if not n then return #bytes + 1 end
    if n == 0 then return at + 1 end
    if n >= 192 then return at + 2 end
    at = at + n + 1
  end
end

-- The names in an answer -> list, perhaps empty; nil: the server has failed.
local function names_in(bytes, question)
  local code = bytes:byte(4) % 16
  if code == 3 then return {} end
  if code ~= 0 then return nil end
  local names, at = {}, HEADER + #question + 1
  for _ = 1, number_at(bytes, 7) do
    at = skip_name(bytes, at)
    local kind, length = number_at(bytes, at), number_at(bytes, at + 8)
    local name = kind == PTR and read_name(bytes, at + 10)
    if name and name ~= "" then names[#names + 1] = name end
    at = at + 10 + length
  end
  return names
end

-- Is that an answer to our question?
local function answers(bytes, id, question)
  return #bytes >= HEADER + #question and bytes:sub(1, 2) == id and bytes:byte(3) >= 128
    and bytes:sub(HEADER + 1, HEADER + #question):lower() == question:lower()
end

-- Asks one server -> list of names | nil, err
local function ask(server, question)
  local socket, err = packet.packet("udp:" .. (server:find("^%[") and "[::]:0" or "0.0.0.0:0"),
    { peer = "udp:" .. server })
  if not socket then return nil, err end
  local id = core.random_bytes(2) or "mp"
  socket:set_deadline(core.now() + PATIENCE)
  local ok, bytes
  ok, err = socket:send(id .. "\1\0\0\1\0\0\0\0\0\0" .. question)
  while ok do
    bytes, err = socket:recv(4096)
    if not bytes or answers(bytes, id, question) then break end
  end
  socket:close()
  local names = bytes and names_in(bytes, question)
  if names then return names end
  return nil, err or "server failure"
end

--- The names of an address. Waits; in a task only.
---@param address string numeric
---@return string[]|nil the first is the name, the others are aliases
---@return string? err "no such host", "timeout", "server failure", "canceled", ...
function M.names(address)
  local names = from_file(address)
  if names then return names end
  local wanted = name_of(address)
  if not wanted then return nil, "no such host" end
  local question, err = question_of(wanted), "no such host"
  for _ = 1, TRIES do
    for _, server in ipairs(servers()) do
      names, err = ask(server, question)
      if names and #names > 0 then return names end
      if names then return nil, "no such host" end
      if err == "canceled" then return nil, err end
    end
  end
  return nil, err
end

return M

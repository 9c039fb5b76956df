-- SPDX-License-Identifier: MIT
-- hello.lua - what a client says first (RFC 8446, 4.1.2): whom it wants, and which protocols it offers. The bytes are
-- looked at, and stay where they are for OpenSSL.

local core = require "moonpark.core"
local ffi = require "ffi"

require "moonpark.luasec.library" -- declares what is called here

ffi.cdef [[
  struct moonpark_luasec_pollfd { int fd; short events, revents; };
  int moonpark_luasec_poll(struct moonpark_luasec_pollfd *, unsigned long, int) __asm__("poll");
]]

local M = {}

local SOCKET, LOW_WATER, PEEK = 1, 18, 2 -- SOL_SOCKET, SO_RCVLOWAT, MSG_PEEK
local MOST, RECORD, HANDSHAKE, CLIENT_HELLO = 18432, 5, 22, 1
local SERVER_NAME, PROTOCOLS = 0, 16
local ENDED = 0x2000 -- POLLRDHUP
local PAUSE, PAUSES = 0.005, 2000 -- seconds, where the system does not tell of further bytes; 10 s of them

local function number(bytes, at, n)
  local value = 0
  for i = at, at + n - 1 do value = value * 256 + (bytes:byte(i) or 0) end
  return value
end

-- The handshake's bytes without the heads of records; nil: that is none; false: there are more to come.
local function joined(bytes)
  local parts, at, have, wanted = {}, 1, 0, nil
  while at + RECORD - 1 <= #bytes do
    if bytes:byte(at) ~= HANDSHAKE then return nil end
    local part = bytes:sub(at + RECORD, at + RECORD + number(bytes, at + 3, 2) - 1)
    parts[#parts + 1], have = part, have + #part
    at = at + RECORD + number(bytes, at + 3, 2)
    local text = table.concat(parts)
    if #text >= 4 then
      if text:byte(1) ~= CLIENT_HELLO then return nil end
      wanted = 4 + number(text, 2, 3)
      if have >= wanted then return text end
    end
  end
  if #bytes > 0 and bytes:byte(1) ~= HANDSHAKE or (wanted or 0) > MOST then return nil end
  return false
end

-- [type of the extension] = its bytes
local function extensions(text)
  local found, at = {}, 4 + 2 + 32 + 1
  at = at + 1 + number(text, at, 1)  -- the session
  at = at + 2 + number(text, at, 2)  -- ciphers
  at = at + 1 + number(text, at, 1)  -- compressions
  local last = math.min(#text, at + 1 + number(text, at, 2))
  at = at + 2
  while at + 3 <= last do
    local n = number(text, at + 2, 2)
    found[number(text, at, 2)] = text:sub(at + 4, math.min(last, at + 3 + n))
    at = at + 4 + n
  end
  return found
end

local function read(text)
  local found = extensions(text)
  local names, protocols = found[SERVER_NAME], found[PROTOCOLS] or ""
  local name = names and names:byte(3) == 0 and names:sub(6, 5 + number(names, 4, 2)) or nil
  return { name = name and #name > 0 and not name:find "%z" and name or nil, protocols = protocols:sub(3) }
end

local function peek(fd)
  local bytes = ffi.new("char[?]", MOST)
  local n = tonumber(ffi.C.moonpark_luasec_peek(fd, bytes, MOST, PEEK))
  return n > 0 and ffi.string(bytes, n) or ""
end

local function need(fd, n)
  core.socket_option(fd, SOCKET, LOW_WATER, ffi.string(ffi.new("int[1]", n), 4))
end

local function has_ended(fd)
  local asked = ffi.new("struct moonpark_luasec_pollfd[1]")
  asked[0].fd, asked[0].events = fd, ENDED
  return ffi.C.moonpark_luasec_poll(asked, 1, 0) ~= 0
end

-- Looks until the first words are whole.
local function look(conn, fd)
  local had, pauses = -1, 0
  while true do
    local ok, err = conn:wait_readable()
    if not ok then return nil, err end
    local bytes = peek(fd)
    local text = joined(bytes)
    if text then return read(text) end
    if text == nil or #bytes == 0 or pauses > PAUSES or #bytes == had and has_ended(fd) and #peek(fd) == had then
      return { protocols = "" } -- OpenSSL says what is wrong
    end
    if #bytes == had then -- this kind of socket knows no low water
      pauses = pauses + 1
      ok, err = core.sleep(PAUSE)
      if not ok then return nil, err end
    end
    had = #bytes
    need(fd, had + 1)
  end
end

--- Waits until the client has said who it wants to speak to.
---@param conn moonpark.connection
---@return {name: string|nil, protocols: string}|nil protocols: each with its length before it; empty if it is no TLS
---@return string? err "timeout", "closed", "canceled"
function M.wait(conn)
  local fd = conn:fd()
  if not fd then return nil, "closed" end
  local words, err = look(conn, fd)
  if not conn:is_closed() then need(fd, 1) end
  return words, err
end

--- Iterates over protocols, each with its length before it.
---@param wire string
---@return fun(): string|nil
function M.protocols(wire)
  local at = 1
  return function()
    local n = wire:byte(at)
    if not n then return nil end
    at = at + n + 1
    return wire:sub(at - n, at - 1)
  end
end

return M

-- SPDX-License-Identifier: MIT
-- udp.lua - ngx.socket.udp: a connected datagram socket.

local call = require("moonpark.in_task").call
local context = require "moonpark.ngx.context"
local dial = require("moonpark.net").dial
local sendable = require "moonpark.ngx.sendable"
local target = require "moonpark.ngx.target"
local words = require "moonpark.ngx.words"

local M = {}

local DEFAULT, LARGEST = 60, 65536 -- seconds; bytes of a datagram

local integer, misuse = words.integer, words.misuse

---@class moonpark.ngx.udp
---@field conn moonpark.packet|nil
---@field waiting boolean in a call
local Udp = {}
Udp.__index = Udp

function M.new() return setmetatable({ timeout = DEFAULT, waiting = false }, Udp) end

local function close(self)
  local conn = self.conn
  self.conn = nil
  if conn then conn:close() end
end

local function done(self, ok, ...)
  self.waiting = false
  if not ok then error((...), 0) end
  return ...
end

-- fn(self, ...), while which the socket is busy.
local function alone(self, fn, ...)
  self.waiting = true
  return done(self, pcall(call, fn, self, ...))
end

---------------------------------------------------------------------------------------------------
-- the peer

local function set_peer(self, address, host)
  local conn, err = dial(address, { local_address = self.from, timeout = self.timeout })
  if not conn then return nil, target.explain(err, host) end
  conn:set_wait_timeout(self.timeout)
  self.conn = conn
  local request = context.current()
  if request then request:on_end(self, close) end
  return 1
end

--- setpeername(host, port), setpeername("unix:/path") -> 1 | nil, err
function Udp:setpeername(...)
  local count, host, port = select("#", ...), ...
  if count ~= 1 and count ~= 2 then
    misuse(("ngx.socket.udp setpeername: expecting 2 or 3 arguments (including the object), but seen %d")
      :format(count + 1))
  end
  if type(host) ~= "string" and type(host) ~= "number" then
    misuse(("bad argument #1 to 'setpeername' (string expected, got %s)"):format(type(host)))
  end
  host = tostring(host)
  local number = count == 1 and 0 or integer(port)
  if not number then misuse(("bad argument #2 to 'setpeername' (number expected, got %s)"):format(type(port))) end
  if number < 0 or number > 65535 then return nil, ("bad port number: %d"):format(number) end
  if self.waiting then return nil, "socket busy" end
  close(self)
  local address, err = target.parse(host, number)
  if err then return nil, err end
  if not address then return nil, target.explain("no such host", host) end
  local path = address:match "^unix:(.*)$"
  return alone(self, set_peer, path and "unixgram:" .. path or "udp:" .. address, host)
end

--- bind(address) -> true | nil, "bad address": the local address of the next setpeername.
function Udp:bind(...)
  local host = ...
  if select("#", ...) ~= 1 then misuse(("expecting 2 arguments, but got %d"):format(select("#", ...) + 1)) end
  if type(host) ~= "string" then
    misuse(("bad argument #1 to 'bind' (string expected, got %s)"):format(type(host)))
  end
  local source = target.source(host, 0)
  if not source then return nil, "bad address" end
  self.from = "udp:" .. source
  return true
end

--- close() -> 1 | nil, err
function Udp:close()
  if self.waiting then return nil, "socket busy" end
  if not self.conn then return nil, "closed" end
  close(self)
  return 1
end

--- Milliseconds, for connecting and receiving; 0, and what is no positive number, stands for the default.
function Udp:settimeout(...)
  if select("#", ...) ~= 1 then
    misuse(("ngx.socket settimeout: expecting at least 2 arguments (including the object) but seen %d")
      :format(select("#", ...) + 1))
  end
  local n = integer((...)) or 0
  self.timeout = n > 0 and n / 1000 or DEFAULT
  if self.conn and not self.conn:is_closed() then self.conn:set_wait_timeout(self.timeout) end
end

---------------------------------------------------------------------------------------------------
-- datagrams

local function flat(array)
  local parts = {}
  for i, part in ipairs(array) do parts[i] = type(part) == "table" and flat(part) or part end
  return table.concat(parts)
end

-- The one datagram that send's argument is.
local function datagram(data)
  if type(data) ~= "table" then return tostring(sendable.plain(data)) end
  sendable.check(data)
  return flat(data)
end

local function send(self, data)
  local sent, err = self.conn:send(data)
  if not sent then return nil, words.of(err) end
  return 1
end

--- send(string, number, or table of these) -> 1 | nil, err
function Udp:send(...)
  sendable.one(select("#", ...))
  if self.waiting then return nil, "socket busy" end
  if not self.conn then return nil, "closed" end
  return alone(self, send, datagram((...)))
end

local function receive(self, size)
  local data, err = self.conn:recv(math.max(1, size))
  if not data then return nil, words.of(err) end
  return size > 0 and data or ""
end

--- receive([size]) -> one datagram | nil, err
function Udp:receive(size)
  if self.waiting then return nil, "socket busy" end
  if not self.conn then return nil, "closed" end
  local n = size == nil and LARGEST or integer(size)
  if not n then misuse(("bad argument #1 to 'receive' (number expected, got %s)"):format(type(size))) end
  return alone(self, receive, n >= 0 and math.min(n, LARGEST) or LARGEST)
end

return M

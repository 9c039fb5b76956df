-- SPDX-License-Identifier: MIT
-- udp.lua - ngx.socket.udp: a connected datagram socket.

local call = require("moonpark.in_task").call
local context = require "moonpark.ngx.context"
local dial = require("moonpark.net").dial
local words = require "moonpark.ngx.words"

local M = {}

local DEFAULT, LARGEST = 60, 65536

local misuse, word_of = words.misuse, words.of

local Udp = {}
Udp.__index = Udp

function M.new() return setmetatable({ timeout = DEFAULT }, Udp) end

local function close(self)
  local conn = self.conn
  self.conn = nil
  if conn then conn:close() end
end

local function set_peer(self, address, host)
  local conn, err = dial(address, { local_address = self.from, timeout = self.timeout })
  if not conn then
    if err == "no such host" then err = ("%s could not be resolved (3: Host not found)"):format(host) end
    return nil, word_of(err)
  end
  conn:set_wait_timeout(self.timeout)
  self.conn = conn
  local request = context.current()
  if request then request:on_end(self, close) end
  return 1
end

--- setpeername(host, port), setpeername("unix:/path") -> 1 | nil, err
function Udp:setpeername(host, port)
  if type(host) ~= "string" then
    misuse(("bad argument #1 to 'setpeername' (string expected, got %s)"):format(type(host)))
  end
  if self.conn then close(self) end
  local path = host:match "^unix:(.*)$"
  if path then return call(set_peer, self, "unixgram:" .. path, host) end
  port = tonumber(port)
  if not port then misuse "bad argument #2 to 'setpeername' (number expected)" end
  if port < 0 or port > 65535 then return nil, ("bad port number: %d"):format(port) end
  local bare = host:gsub("^%[(.*)%]$", "%1")
  local address = bare:find(":", 1, true) and ("udp:[%s]:%d") or "udp:%s:%d"
  return call(set_peer, self, address:format(bare, port), bare)
end

--- The local address of the next setpeername.
function Udp:bind(host)
  self.from = ("udp:%s:0"):format(host)
  return 1
end

local function flat(data)
  if type(data) ~= "table" then return tostring(data) end
  local parts = {}
  for i, part in ipairs(data) do parts[i] = flat(part) end
  return table.concat(parts)
end

local function send(self, data)
  local sent, err = self.conn:send(data)
  if not sent then return nil, word_of(err) end
  return 1
end

--- send(string, number, or table of these) -> 1 | nil, err
function Udp:send(data)
  local kind = type(data)
  if kind ~= "string" and kind ~= "number" and kind ~= "table" and kind ~= "nil" and kind ~= "boolean" then
    misuse(("bad argument #1 to 'send' (string, number, boolean, nil, or array table expected, got %s)"):format(kind))
  end
  if not self.conn then return nil, "closed" end
  return call(send, self, flat(data))
end

local function receive(self, size)
  local data, err = self.conn:recv(size)
  self.reading = false
  if not data then return nil, word_of(err) end
  return data
end

--- receive([size]) -> one datagram | nil, err
function Udp:receive(size)
  if not self.conn then return nil, "closed" end
  if self.reading then return nil, "socket busy" end
  self.reading = true
  return call(receive, self, math.min(tonumber(size) or 8192, LARGEST))
end

function Udp:close()
  if not self.conn then return nil, "closed" end
  close(self)
  return 1
end

function Udp:settimeout(ms)
  local n = tonumber(ms) or DEFAULT * 1000
  self.timeout = n > 0 and n / 1000 or DEFAULT
  if self.conn then self.conn:set_wait_timeout(self.timeout) end
end

return M

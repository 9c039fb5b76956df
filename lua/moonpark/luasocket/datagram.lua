-- SPDX-License-Identifier: MIT
-- datagram.lua - udp sockets as LuaSocket has them, over packet sockets. A socket is made when it gets an address or
-- first sends, because only then its family is known.

local core = require "moonpark.core"
local descriptors = require "moonpark.luasocket.descriptors"
local endpoint = require "moonpark.luasocket.endpoint"
local options = require "moonpark.luasocket.options"
local packet = require "moonpark.net.packet"
local waiting = require "moonpark.in_task"
local words = require "moonpark.luasocket.words"

local misuse = words.misuse

local M = {}

M.DATAGRAM = 8192 -- bytes that a receive takes without an argument

local call, word_of = waiting.call, words.of

local methods = {}

local function class_of(name)
  local title = ("udp{%s}"):format(name)
  return { __index = methods, title = title,
    __tostring = function(self) return ("%s: 0x%x"):format(title, self.address) end }
end

local unconnected, connected = class_of "unconnected", class_of "connected"

local function new(family)
  local self = { family = family or "unspec" }
  self.address = tonumber(("%p"):format(self))
  return setmetatable(self, unconnected)
end

local function check_class(self, wanted)
  local meta = getmetatable(self)
  if meta == wanted or wanted == nil and (meta == unconnected or meta == connected) then return end
  misuse(("bad argument #1 to '?' (%s expected)"):format((wanted or unconnected).title))
end

local function prepare(self, socket)
  if self.timeout then socket:set_wait_timeout(self.timeout) end
  for _, option in ipairs(self.wanted or {}) do socket:setoption(option[1], option[2]) end
  self.wanted = nil
  self.conn = socket
end

-- "udp:host:port" of the first host that fits -> address | nil, err
local function address_of(self, host, port)
  local number, wrong = endpoint.port(port)
  if not number then return nil, wrong end
  local hosts, err = endpoint.hosts(host, self.family)
  if not hosts then return nil, err end
  if self.family == "unspec" then self.family = hosts[1]:find(":", 1, true) and "inet6" or "inet4" end
  return "udp:" .. endpoint.join(hosts[1], number)
end

local function wants(self, name)
  for _, option in ipairs(self.wanted or {}) do
    if option[1] == name then return option[2] end
  end
end

local function open(self, address, peer)
  local socket, err, errno = packet.packet(address, { peer = peer, shared = false,
    reuseaddr = wants(self, "reuseaddr") == true, reuseport = wants(self, "reuseport") == true,
    broadcast = wants(self, "broadcast") == true })
  if not socket then return nil, word_of(err, errno) end
  prepare(self, socket)
  return 1
end

-- A socket that has only its family.
local function need(self, family)
  if self.conn then return 1 end
  if self.closed then return nil, "closed" end
  return open(self, family == "inet6" and "udp:[::]:0" or "udp:0.0.0.0:0")
end

local function set_name(self, host, port)
  local address, err = address_of(self, host, port)
  if not address then return nil, err end
  return open(self, address)
end

function methods:setsockname(host, port)
  check_class(self, unconnected)
  return call(set_name, self, host, port)
end

local function set_peer(self, host, port)
  local peer, err = address_of(self, host, port)
  if not peer then return nil, err end
  local from = self.conn and self.conn:local_address()
  if self.conn then self.conn:close() end
  self.conn = nil
  local ok, why = open(self, from or (peer:find "^udp:%[" and "udp:[::]:0" or "udp:0.0.0.0:0"), peer)
  if not ok then return nil, why end
  setmetatable(self, connected)
  return 1
end

local function forget_peer(self)
  local from = self.conn and self.conn:local_address()
  if self.conn then self.conn:close() end
  self.conn = nil
  setmetatable(self, unconnected)
  return open(self, from or "udp:0.0.0.0:0")
end

function methods:setpeername(host, port)
  check_class(self)
  if host == "*" then return call(forget_peer, self) end
  return call(set_peer, self, host, port)
end

local function shown(address)
  if not address then return nil, words.system(107) end
  return endpoint.split((address:gsub("^udp:", "")))
end

function methods:getsockname()
  check_class(self)
  if not self.conn then return nil, words.system(9) end
  return shown(self.conn:local_address())
end

function methods:getpeername()
  check_class(self, connected)
  return shown(self.conn and self.conn:peer_address())
end

function methods:getfamily() return self.family end

---------------------------------------------------------------------------------------------------
-- datagrams

local function receive(self, size)
  local ok, wrong = need(self, self.family)
  if not ok then return nil, wrong end
  local data, from, errno = self.conn:recv_from(size)
  if not data then return nil, word_of(from, errno) end
  return data, from
end

local function check_size(size)
  if size == nil then return M.DATAGRAM end
  if type(size) ~= "number" then
    misuse(("bad argument #2 to '?' (number expected, got %s)"):format(type(size)))
  end
  return math.max(1, size)
end

function methods:receive(size)
  check_class(self)
  local data, err = call(receive, self, check_size(size))
  if not data then return nil, err end
  return data
end

function methods:receivefrom(size)
  check_class(self, unconnected)
  local data, from = call(receive, self, check_size(size))
  if not data then return nil, from end
  local host, port = endpoint.split((from:gsub("^udp:", "")))
  return data, host, tonumber(port)
end

local function check_data(data)
  if type(data) == "number" then return tostring(data) end
  if type(data) == "string" then return data end
  misuse(("bad argument #2 to '?' (string expected, got %s)"):format(type(data)))
end

local function send_to(self, data, host, port)
  local address, wrong = address_of(self, host, port)
  if not address then
    return nil, wrong == "host or service not provided, or not known" and "Name or service not known" or wrong
  end
  local ok, err = need(self, self.family)
  if not ok then return nil, err end
  local sent, why, errno = self.conn:send_to(data, address)
  if not sent then return nil, word_of(why, errno) end
  return sent
end

function methods:sendto(data, host, port)
  check_class(self, unconnected)
  data = check_data(data)
  if type(host) ~= "string" then misuse("bad argument #3 to '?' (string expected, got no value)") end
  if port == nil then misuse("bad argument #4 to '?' (string expected, got no value)") end
  return call(send_to, self, data, host, port)
end

local function send(self, data)
  if not self.conn then return nil, "closed" end
  local sent, err, errno = self.conn:send(data)
  if not sent then return nil, word_of(err, errno) end
  return sent
end

function methods:send(data)
  check_class(self, connected)
  return call(send, self, check_data(data))
end

---------------------------------------------------------------------------------------------------
-- the rest

function methods:settimeout(value)
  value = tonumber(value)
  if value and value < 0 then value = nil end
  self.timeout = value
  if self.conn then self.conn:set_wait_timeout(value) end
  return 1
end

function methods:gettimeout() return self.timeout or -1, -1 end

function methods:setoption(name, value)
  local native, setting = options.parse("udp", name, value)
  if self.conn then return options.set(self.conn, native, setting) end
  if self.closed then return nil, "setsockopt failed" end
  self.wanted = self.wanted or {}
  table.insert(self.wanted, { native, setting })
  return 1
end

function methods:getoption(name)
  if not self.conn and not self.closed and name ~= "error" then
    local native = options.parse("udp", name, name == "linger" and { on = false, timeout = 0 } or nil)
    return wants(self, native)
  end
  return options.get("udp", self.conn, name)
end

function methods:close()
  if self.conn then self.conn:close() end
  self.conn, self.closed = nil, true
  return 1
end

function methods:getfd()
  local fd = self.conn and self.conn:fd()
  descriptors.put(fd, self)
  return fd or -1
end

function methods:setfd()
  if self.conn then
    local descriptor = self.conn:detach()
    if descriptor then descriptor:release() end
  end
  self.conn = nil
end

function methods.dirty() return false end

methods.class = "udp{unconnected}"

--- What select waits for; nil: that is no socket of ours.
function M.waited(socket)
  local meta = getmetatable(socket)
  return (meta == unconnected or meta == connected) and socket.conn or nil
end

M.now = core.now

function M.udp() return new() end
function M.udp4() return new "inet4" end
function M.udp6() return new "inet6" end

return M

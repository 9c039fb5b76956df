-- SPDX-License-Identifier: MIT
-- datagram.lua - udp and unix datagram sockets as LuaSocket has them, over packet sockets. A udp socket that was made
-- without a family is made when it gets an address or first sends, because only then its family is known.

local class = require "moonpark.luasocket.class"
local core = require "moonpark.core"
local descriptors = require "moonpark.luasocket.descriptors"
local endpoint = require "moonpark.luasocket.endpoint"
local options = require "moonpark.luasocket.options"
local timeouts = require "moonpark.luasocket.timeouts"
local waiting = require "moonpark.in_task"
local words = require "moonpark.luasocket.words"

local misuse = words.misuse

local M = {}

M.DATAGRAM = 8192 -- bytes that a receive takes without an argument

local call = waiting.call

local methods = {}

local states = { "unconnected", "connected" }
local classes = { udp = class.new("udp", states), unixdgram = class.new("unixdgram", states) }

local function new(kind, family)
  local self = class.object(classes[kind].unconnected)
  self.family = family
  return self
end

local function check_class(self, wanted)
  local own = type(self) == "table" and classes[self.kind] or classes.udp
  class.check(self, own[wanted or "unconnected"], not wanted and own.connected or nil)
end

-- What is "closed" of a stream is "refused" of datagrams: nobody is at the address.
local function word_of(err, errno)
  local word = words.of(err, errno)
  return errno and word == "closed" and "refused" or word
end

-- A socket of that family -> 1 | nil, err
local function open(self, family)
  local socket, err, errno = core.packet_new(family)
  if not socket then return nil, word_of(err, errno) end
  timeouts.give(self, socket)
  self.family, self.conn, self.closed = family, socket, nil
  return 1
end

-- The address of moonpark's, and a socket that fits it -> address | nil, err
local function prepare(self, host, port)
  if self.kind == "unixdgram" then
    local path, wrong = endpoint.unix(host)
    if not path then return nil, wrong end
    if not self.conn then return nil, words.system(9) end
    return "unixgram:" .. path
  end
  local number, wrong = endpoint.port(port)
  if not number then return nil, wrong end
  local hosts, err = endpoint.hosts(host, self.family)
  if not hosts then return nil, err end
  if not self.conn then
    local ok, why = open(self, hosts[1]:find(":", 1, true) and "inet6" or "inet4")
    if not ok then return nil, why end
  end
  return "udp:" .. endpoint.join(hosts[1], number)
end

local function named(self, fn, host, port)
  local address, wrong = prepare(self, host, port)
  if not address then return nil, wrong end
  local fine, ok, err, errno = pcall(fn, self.conn, address)
  if not fine then return nil, words.of "no such host" end -- no numeric address after all
  if ok then return 1 end
  if self.kind == "unixdgram" then self:close() end
  return nil, words.of(err, errno)
end

local function check_text(value, position)
  if type(value) == "string" or type(value) == "number" then return tostring(value) end
  misuse(("bad argument #%d to '?' (string expected, got %s)"):format(position, value == nil and "no value"
    or type(value)))
end

local function check_address(self, host, port, position)
  host = check_text(host, position)
  if self.kind == "udp" then port = check_text(port, position + 1) end
  return host, port
end

function methods:setsockname(host, port)
  check_class(self, "unconnected")
  host, port = check_address(self, host, port, 2)
  local ok, err = call(named, self, core.packet_bind, host, port)
  if ok then return 1 end
  return nil, err
end

local function forget_peer(self)
  if self.conn then core.packet_connect(self.conn, nil) end
  setmetatable(self, classes.udp.unconnected)
  return 1
end

function methods:setpeername(host, port)
  check_class(self)
  if self.kind == "udp" and host == "*" then return forget_peer(self) end
  host, port = check_address(self, host, port, 2)
  local ok, err = call(named, self, core.packet_connect, host, port)
  if not ok then return nil, err end
  setmetatable(self, classes[self.kind].connected)
  return 1
end

local function shown(self, address, errno)
  if not address then return nil, words.system(errno or 107) end
  if self.kind == "unixdgram" then return (address:gsub("^[^:]*:", "")) end
  return endpoint.split(address:gsub("^udp:", ""), self.family)
end

function methods:getsockname()
  check_class(self)
  if not self.conn then return nil, words.system(9) end
  local address, _, errno = self.conn:local_address()
  return shown(self, address, errno)
end

function methods:getpeername()
  check_class(self, "connected")
  if not self.conn then return nil, words.system(9) end
  local address, _, errno = self.conn:peer_address()
  return shown(self, address, errno)
end

function methods:getfamily() return self.family == "inet6" and "inet6" or "inet4" end

---------------------------------------------------------------------------------------------------
-- datagrams

local function receive(self, size)
  if not self.conn then return nil, "closed" end
  local data, from, errno = self.conn:recv_from(size)
  if not data then return nil, word_of(from, errno) end
  return data, from
end

local function check_size(size)
  if size == nil then return M.DATAGRAM end
  local n = tonumber(size)
  if not n then misuse(("bad argument #2 to '?' (number expected, got %s)"):format(type(size))) end
  return math.floor(n)
end

function methods:receive(size)
  check_class(self)
  local n = check_size(size)
  local data, err = call(receive, self, math.max(1, n))
  if not data then return nil, err end
  return n < 1 and "" or data
end

function methods:receivefrom(size)
  check_class(self, "unconnected")
  local n = check_size(size)
  local data, from = call(receive, self, math.max(1, n))
  if not data then return nil, from end
  if n < 1 then data = "" end
  if self.kind == "unixdgram" then return data, (from:gsub("^unixgram:", "")) end
  local host, port = endpoint.split(from:gsub("^udp:", ""), self.family)
  return data, host, tonumber(port)
end

local function send_to(self, data, host, port)
  if self.kind == "udp" then
    if not endpoint.is_numeric(host) or not tonumber(port) then return nil, "Name or service not known" end
    if not self.conn and self.family ~= "unspec" then return nil, "refused" end
  end
  local address, wrong = prepare(self, host, port)
  if not address then return nil, wrong end
  local sent, why, errno = self.conn:send_to(data, address)
  if not sent then return nil, word_of(why, errno) end
  return sent
end

function methods:sendto(data, host, port)
  check_class(self, "unconnected")
  data = check_text(data, 2)
  host, port = check_address(self, host, port, 3)
  return call(send_to, self, data, host, port)
end

local function send(self, data)
  if not self.conn then return nil, "refused" end
  local sent, err, errno = self.conn:send(data)
  if not sent then return nil, word_of(err, errno) end
  return sent
end

function methods:send(data)
  check_class(self, "connected")
  return call(send, self, check_text(data, 2))
end

---------------------------------------------------------------------------------------------------
-- the rest

methods.settimeout, methods.gettimeout = timeouts.set, timeouts.get

local function fd_of(self) return self.conn and self.conn:fd() or -1 end

function methods:setoption(name, value)
  return options.apply(fd_of(self), options.parse(self.kind, name, value))
end

function methods:getoption(name) return options.get(self.kind, fd_of(self), name) end

function methods:close()
  if self.conn then self.conn:close() end
  self.conn, self.closed = nil, true
  return 1
end

function methods:getfd()
  local fd = fd_of(self)
  if fd >= 0 then descriptors.put(fd, self) end
  return fd
end

-- The object forgets its descriptor, which stays open.
function methods:setfd(fd)
  if type(fd) ~= "number" then
    misuse(("bad argument #2 to '?' (number expected, got %s)"):format(fd == nil and "no value" or type(fd)))
  end
  descriptors.release(self)
  self.closed = fd < 0
  if fd < 0 then return end
  local socket, err = descriptors.take(fd), nil
  if not socket then socket, err = core.from_fd(fd, "packet") end
  if not socket then misuse("setfd: " .. err) end
  timeouts.give(self, socket)
  self.conn = socket
end

function methods:dirty()
  check_class(self)
  return false
end

class.fill(classes.udp, methods)
methods.bind, methods.connect = methods.setsockname, methods.setpeername
methods.getpeername, methods.getfamily, methods.getoption = nil, nil, nil
class.fill(classes.unixdgram, methods)

--- What select waits for; nil: that is no socket of ours.
function M.waited(socket) return classes[class.kind(socket)] and socket.conn or nil end

local function opened(kind, family)
  local self = new(kind, family)
  local ok, err = open(self, family)
  if not ok then return nil, err end
  return self
end

function M.udp() return new("udp", "unspec") end
function M.udp4() return opened("udp", "inet4") end
function M.udp6() return opened("udp", "inet6") end
function M.unix() return opened("unixdgram", "unix") end

return M

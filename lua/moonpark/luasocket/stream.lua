-- SPDX-License-Identifier: MIT
-- stream.lua - tcp and unix stream sockets as LuaSocket has them: master, client and server objects with the same
-- methods, over net.bind, net.dial and connections.
--
-- An object has at most one of: `bound` (a socket, perhaps with an address), `listener`, `conn`. Timeouts and options
-- that were set before there was a connection are given to it then.

local bind = require "moonpark.net.bind"
local bytes = require "moonpark.luasocket.bytes"
local class = require "moonpark.luasocket.class"
local core = require "moonpark.core"
local descriptors = require "moonpark.luasocket.descriptors"
local dial = require("moonpark.net").dial
local endpoint = require "moonpark.luasocket.endpoint"
local ffi = require "ffi"
local options = require "moonpark.luasocket.options"
local task = require "moonpark.task"
local timeouts = require "moonpark.luasocket.timeouts"
local waiting = require "moonpark.in_task"
local words = require "moonpark.luasocket.words"

ffi.cdef "int moonpark_luasocket_shutdown(int, int) __asm__(\"shutdown\");"

local misuse = words.misuse

local M = {}

local BACKLOG, NO_READS = 32, 0

local current, now, call = core.current, core.now, waiting.call
local word_of = words.of

local methods = {}
for name, method in pairs(bytes.methods) do methods[name] = method end

local states = { "master", "client", "server" }
local classes = { tcp = class.new("tcp", states), unixstream = class.new("unixstream", states) }
bytes.add(classes.tcp.client)
bytes.add(classes.unixstream.client)

local function new(kind, family)
  local self = class.object(classes[kind].master)
  self.family = family or "unspec"
  return self
end

local function become(self, name) setmetatable(self, classes[self.kind][name]) end

local function check_class(self, wanted)
  local own = type(self) == "table" and classes[self.kind] or classes.tcp
  class.check(self, own[wanted])
end

-- The native object that answers about the socket.
local function inner(self) return self.conn or self.listener or self.bound end

local function fd_of(self)
  local native = inner(self)
  return native and native:fd() or -1
end

-- A socket of its family, with the options that were set before -> true | nil, err
local function open(self)
  local bound, err, errno = bind.socket(self.family)
  if not bound then return nil, word_of(err, errno) end
  self.bound = bound
  for _, setting in ipairs(self.wanted or {}) do options.apply(bound:fd(), setting) end
  return true
end

---------------------------------------------------------------------------------------------------
-- addresses

-- The moonpark addresses of a LuaSocket one -> list | nil, err
local function addresses(self, host, port)
  if self.kind == "unixstream" then
    local address, wrong = endpoint.unix(host)
    return address and { "unix:" .. address }, wrong
  end
  local number, wrong = endpoint.port(port)
  if not number then return nil, wrong end
  local hosts, err = endpoint.hosts(host, self.family)
  if not hosts then return nil, err end
  for i, one in ipairs(hosts) do hosts[i] = endpoint.join(one, number) end
  return hosts
end

local function check_host(host, position)
  if type(host) ~= "string" and type(host) ~= "number" then
    misuse(("bad argument #%d to '?' (string expected, got %s)"):format(position, host == nil and "no value"
      or type(host)))
  end
  return tostring(host)
end

local function check_address(self, host, port)
  host = check_host(host, 2)
  if self.kind == "tcp" then port = check_host(port, 3) end
  return host, port
end

local function family_of(self, address)
  return self.kind == "unixstream" and "unix" or address:find("^%[") and "inet6" or "inet4"
end

local function shown(self, address, errno)
  if not address then return nil, words.system(errno or 9) end
  if self.kind == "unixstream" then return (address:gsub("^unix:", "")) end
  return endpoint.split(address, self.family)
end

function methods:getsockname()
  local native = inner(self)
  if not native then return nil, words.system(9) end
  local address, _, errno = native:local_address()
  return shown(self, address, errno)
end

function methods:getpeername()
  if self.conn then
    local address, _, errno = self.conn:peer_address()
    return shown(self, address, errno)
  end
  return nil, words.system(inner(self) and 107 or 9)
end

function methods:getfamily() return self.family == "unspec" and "inet4" or self.family end

---------------------------------------------------------------------------------------------------
-- timeouts and options

methods.settimeout, methods.gettimeout = timeouts.set, timeouts.get

-- What was set before there was a connection: ours have some options by default, and a failed connect takes the socket.
local function prepare(self, native)
  timeouts.give(self, native)
  if not self.wanted then return end
  local fd = native:fd()
  for _, setting in ipairs(self.wanted) do options.apply(fd, setting) end
  self.wanted = nil
end

function methods:setoption(name, value)
  local setting = options.parse(self.kind, name, value)
  local ok, err = options.apply(fd_of(self), setting)
  if ok and not self.conn then
    self.wanted = self.wanted or {}
    table.insert(self.wanted, setting)
  end
  if not ok then return nil, err end
  return 1
end

function methods:getoption(name)
  local dialling = self.connecting or self.failed
  if name == "error" and dialling and dialling.done and not dialling.ok then
    self.connecting, self.failed, self.refused = nil, nil, true
    return dialling.err
  end
  if name == "error" and self.refused and not self.closed and not inner(self) then return nil end
  return options.get(self.kind, fd_of(self), name)
end

---------------------------------------------------------------------------------------------------
-- making connections

-- The connection is the object's.
local function take(self, conn)
  prepare(self, conn)
  bytes.gain(self, conn)
  self.conn = conn
  become(self, "client")
end

local function first_of(list, fn)
  local err, errno
  for i, address in ipairs(list) do
    local found, why, number = fn(address)
    if found then return found, address end
    if i == 1 then err, errno = why, number end
  end
  return nil, err, errno
end

-- Connects to one of the addresses: from the socket that there is, if there is one.
local function reach(self, list, deadline)
  return first_of(list, function(address)
    local left = deadline and math.max(0, deadline - now())
    local bound = self.bound
    if not bound then return dial(address, { timeout = left }) end
    self.bound = nil
    return bound:connect(address, left)
  end)
end

local function connect(self, host, port, timeout)
  local list, wrong = addresses(self, host, port)
  if not list then return nil, wrong end
  local conn, err, errno = reach(self, list, timeout and now() + timeout)
  if conn and self.closed then conn:close() end
  if self.closed then return nil, "closed" end
  if not conn then
    if self.family ~= "unspec" and not self.bound then open(self) end -- it may be tried again
    return nil, word_of(err, errno)
  end
  if self.family == "unspec" then self.family = family_of(self, (conn:peer_address())) end
  take(self, conn)
  self.told = true
  return 1
end

-- With a timeout of 0 somebody else connects; select, or a second connect, tells when it is done.
local function connect_later(self, host, port)
  local dialling = { event = core.event() }
  self.connecting = dialling
  task.go_daemon(function()
    dialling.ok, dialling.err = connect(self, host, port, nil)
    dialling.done = true
    dialling.event:set()
  end)
  become(self, "client")
  core.yield() -- on this machine it may be done soon
  return nil, "timeout"
end

local function outcome(self)
  local dialling = self.connecting
  if not dialling.done then return nil, "Operation already in progress" end
  self.connecting = nil
  self.told = false
  if dialling.ok then return 1 end
  self.refused = true
  return nil, dialling.err
end

function methods:connect(host, port)
  host, port = check_address(self, host, port)
  if self.connecting then return outcome(self) end
  if self.conn then
    local told = self.told -- as connect(2): it succeeds once more
    self.told = false
    if told then return 1 end
    return nil, "already connected"
  end
  if self.listener then
    become(self, "client")
    return nil, "already connected"
  end
  if self.closed and self.family == "unix" then return nil, "closed" end
  self.closed = nil
  local timeout = timeouts.patience(self)
  local ok, err
  if timeout == 0 and current() and self.kind == "tcp" then ok, err = connect_later(self, host, port)
  else ok, err = call(connect, self, host, port, timeout ~= 0 and timeout or nil) end
  if ok then return 1 end
  if self.kind == "unixstream" then self:close() else become(self, "client") end
  return nil, err
end

methods.setpeername = methods.connect

-- One of the addresses becomes the socket's; it may be made anew for another family.
local function bind_to(self, host, port)
  local list, wrong = addresses(self, host, port)
  if not list then return nil, wrong end
  local found, err, errno = first_of(list, function(address)
    local family = family_of(self, address)
    if not self.bound then
      if self.kind == "unixstream" then return nil, "closed", 9 end
      self.family = family
      local ok, why = open(self)
      if not ok then return nil, why end
    end
    return self.bound:bind(address)
  end)
  if found then return 1 end
  return nil, word_of(err, errno)
end

function methods:bind(host, port)
  check_class(self, "master")
  host, port = check_address(self, host, port)
  local ok, err = call(bind_to, self, host, port)
  if ok then return 1 end
  if self.kind == "unixstream" then self:close() end
  return nil, err
end

methods.setsockname = methods.bind

function methods:listen(backlog)
  check_class(self, "master")
  if not self.bound then return nil, words.system(9) end
  local listener, err, errno = self.bound:listen(tonumber(backlog) or BACKLOG)
  if not listener then return nil, word_of(err, errno) end
  self.bound, self.listener = nil, listener
  prepare(self, listener)
  become(self, "server")
  return 1
end

function methods:accept()
  check_class(self, "server")
  if not self.listener then return nil, "closed" end
  local conn, err, errno = call(self.listener.accept, self.listener)
  if not conn then return nil, word_of(err, errno) end
  local client = new(self.kind, self.family)
  take(client, conn)
  return client
end

---------------------------------------------------------------------------------------------------
-- the rest

local ways = { both = true, send = true, receive = true }

function methods:shutdown(way)
  bytes.check(self)
  way = way or "both"
  if not ways[way] then misuse(("bad argument #2 to '?' (invalid option '%s')"):format(tostring(way))) end
  if not self.conn then return 1 end
  if way ~= "receive" then self.conn:close_write() end
  if way ~= "send" then ffi.C.moonpark_luasocket_shutdown(self.conn:fd() or -1, NO_READS) end
  return 1
end

function methods:close()
  local native = inner(self)
  bytes.lose(self)
  if native then native:close() end
  self.conn, self.listener, self.bound, self.closed = nil, nil, nil, true
  return 1
end

function methods:dirty()
  return self.conn ~= nil and (self.conn:buffered() or 0) > 0
end

function methods:getfd()
  local fd = fd_of(self)
  if fd >= 0 then descriptors.put(fd, self) end
  return fd
end

-- The object forgets its descriptor, which stays open; what has another object's number takes that over.
function methods:setfd(fd)
  if type(fd) ~= "number" then
    misuse(("bad argument #2 to '?' (number expected, got %s)"):format(fd == nil and "no value" or type(fd)))
  end
  bytes.lose(self)
  descriptors.release(self)
  self.closed = fd < 0
  if fd < 0 then return end
  local native = descriptors.take(fd)
  if not native then
    local conn, err = core.from_fd(fd, "connection")
    native = conn or core.from_fd(fd, "listener")
    if not native then misuse("setfd: " .. err) end
  end
  prepare(self, native)
  if native:is_listener() then
    self.listener = native
    return
  end
  bytes.gain(self, native)
  self.conn = native
end

class.fill(classes.tcp, methods)
methods.getfamily, methods.getoption, methods.getpeername, methods.gettimeout = nil, nil, nil, nil
class.fill(classes.unixstream, methods)

--- A socket around a connection of moonpark's.
---@param conn moonpark.connection
---@return table
function M.of(conn)
  local self = new("tcp", "inet4")
  take(self, conn)
  return self
end

--- The connection behind a socket; nil: it has none.
---@param socket table
---@return moonpark.connection|nil
function M.connection(socket) return socket.conn end

--- What select waits for: the socket's connection or listener, or the event of a connect that is under way.
function M.waited(socket)
  if classes[class.kind(socket)] then return socket.conn or socket.listener, socket.connecting end
end

local function opened(kind, family)
  local self = new(kind, family)
  local ok, err = open(self)
  if not ok then return nil, err end
  return self
end

function M.tcp() return new "tcp" end
function M.tcp4() return opened("tcp", "inet4") end
function M.tcp6() return opened("tcp", "inet6") end
function M.unix() return opened("unixstream", "unix") end

return M

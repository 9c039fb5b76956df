-- SPDX-License-Identifier: MIT
-- stream.lua - tcp and unix stream sockets as LuaSocket has them: master, client and server objects with one table of
-- methods, over net.bind, net.dial and connections.
--
-- An object has at most one of: `bound` (an address, no more), `listener`, `conn`. Timeouts and options that were set
-- before there was a connection are given to it then.

local bind = require("moonpark.net.bind").bind
local core = require "moonpark.core"
local descriptors = require "moonpark.luasocket.descriptors"
local dial = require("moonpark.net").dial
local endpoint = require "moonpark.luasocket.endpoint"
local options = require "moonpark.luasocket.options"
local waiting = require "moonpark.in_task"
local words = require "moonpark.luasocket.words"

local misuse = words.misuse

local M = {}

local LONGEST = 2 ^ 52 -- bytes of a line or of a whole stream: LuaSocket has no limit
local BACKLOG = 32

local current, now, call, loop = core.current, core.now, waiting.call, waiting.loop
local word_of = words.of

local methods = {}

-- The three classes of a kind: they have the same methods, and differ in name.
local function classes_of(kind)
  local class = {}
  for _, name in ipairs { "master", "client", "server" } do
    local title = ("%s{%s}"):format(kind, name)
    local meta = { __index = methods, kind = kind, title = title }
    function meta.__tostring(self) return ("%s: 0x%x"):format(title, self.address) end
    class[name] = meta
  end
  return class
end

local classes = { tcp = classes_of "tcp", unix = classes_of "unix" }
local clients = { [classes.tcp.client] = true, [classes.unix.client] = true }

local function address_of(object) return tonumber(("%p"):format(object)) end

local function new(kind, family)
  local self = { kind = kind, family = family or "unspec", received = 0, sent = 0, since = now() }
  self.address = address_of(self)
  return setmetatable(self, classes[kind].master)
end

local function become(self, name) setmetatable(self, classes[self.kind][name]) end

local function check_class(self, wanted)
  local meta = getmetatable(self)
  local title = type(meta) == "table" and meta.title
  if title and title:match "{(.*)}" == wanted then return end
  misuse(("bad argument #1 to '?' (%s{%s} expected)"):format(type(self) == "table" and self.kind or "tcp", wanted))
end

---------------------------------------------------------------------------------------------------
-- addresses

-- The moonpark addresses of a LuaSocket one -> list | nil, err
local function addresses(self, host, port)
  if self.kind == "unix" then return { "unix:" .. host } end
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
  host = check_host(host, 1)
  if self.kind == "tcp" then port = check_host(port, 2) end
  return host, port
end

local function note_family(self, address)
  if self.family == "unspec" then self.family = address:find("^%[") and "inet6" or "inet4" end
end

-- The native object that answers about the socket.
local function inner(self) return self.conn or self.listener or self.bound end

local function shown(self, address, _, errno)
  if not address then return nil, errno and words.system(errno) or words.system(9) end
  if self.kind == "unix" then return (address:gsub("^unix:", "")) end
  return endpoint.split(address)
end

function methods:getsockname()
  local native = inner(self)
  if not native then return nil, words.system(9) end
  return shown(self, native:local_address())
end

function methods:getpeername()
  if self.conn then return shown(self, self.conn:peer_address()) end
  return nil, words.system(inner(self) and 107 or 9)
end

function methods:getfamily() return self.family == "unspec" and "inet4" or self.family end

---------------------------------------------------------------------------------------------------
-- timeouts and options

-- What was set before there was a connection.
local function prepare(self, conn)
  if self.block then conn:set_wait_timeout(self.block) end
  if self.total then conn:set_timeout(self.total) end
  for _, option in ipairs(self.wanted or {}) do conn:setoption(option[1], option[2]) end
  self.wanted = nil
end

function methods:settimeout(value, mode)
  if value ~= nil and not tonumber(value) then
    misuse(("bad argument #2 to '?' (number expected, got %s)"):format(type(value)))
  end
  local asked = tonumber(value) or -1
  value = asked >= 0 and asked or nil
  local native = self.conn or self.listener
  mode = mode or "b"
  if mode == "b" then
    self.block, self.asked = value, asked
    if native then native:set_wait_timeout(value) end
  elseif mode == "t" or mode == "r" then
    self.total = value
    if native then native:set_timeout(value) end
  else
    misuse("bad argument #3 to '?' (invalid timeout mode)")
  end
  return 1
end

function methods:gettimeout() return self.asked or -1, self.total or -1 end

function methods:setoption(name, value)
  local native, setting = options.parse("tcp", name, value)
  local holder = self.conn or self.listener
  if holder then return options.set(holder, native, setting) end
  if self.closed then return nil, "setsockopt failed" end
  self.wanted = self.wanted or {}
  table.insert(self.wanted, { native, setting })
  return 1
end

function methods:getoption(name)
  local holder = self.conn or self.listener
  if holder or self.closed then return options.get("tcp", holder, name) end
  local native = options.parse("tcp", name, name == "linger" and { on = false, timeout = 0 } or nil)
  for _, option in ipairs(self.wanted or {}) do
    if option[1] == native then return option[2] end
  end
  return nil, "getsockopt failed"
end

local function wanted_option(self, name)
  for _, option in ipairs(self.wanted or {}) do
    if option[1] == name then return option[2] end
  end
end

---------------------------------------------------------------------------------------------------
-- making connections

-- The connection is the object's.
local function take(self, conn)
  prepare(self, conn)
  self.conn = conn
  become(self, "client")
end

-- Seconds that a connect may take, nil: as long as it needs.
local function patience(self)
  if self.block and self.total then return math.min(self.block, self.total) end
  return self.block or self.total
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

local function connect(self, host, port, timeout)
  local list, wrong = addresses(self, host, port)
  if not list then return nil, wrong end
  note_family(self, list[1])
  local deadline = timeout and now() + timeout
  local bound = self.bound
  local conn, err, errno = first_of(list, function(address)
    local left = deadline and math.max(0, deadline - now())
    if bound then
      self.bound = nil
      return bound:connect(address, left)
    end
    return dial(address, { timeout = left })
  end)
  become(self, "client")
  if not conn then return nil, word_of(err, errno) end
  take(self, conn)
  self.told = true
  return 1
end

-- With a timeout of 0 somebody else connects; select, or a second connect, tells when it is done.
local function connect_later(self, host, port)
  local core_go = require("moonpark.task").go_daemon
  local event = core.event()
  self.connecting = { event = event }
  core_go(function()
    local dialling = self.connecting
    local ok, err = connect(self, host, port, nil)
    dialling.done, dialling.ok, dialling.err = true, ok, err
    event:set()
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
  local timeout = patience(self)
  if timeout == 0 and current() then return connect_later(self, host, port) end
  return call(connect, self, host, port, timeout ~= 0 and timeout or nil)
end

methods.setpeername = methods.connect

local function bind_to(self, host, port)
  local list, wrong = addresses(self, host, port)
  if not list then return nil, wrong end
  note_family(self, list[1])
  local bound, err, errno = first_of(list, function(address)
    return bind(address, { reuseaddr = wanted_option(self, "reuseaddr") == true,
      reuseport = wanted_option(self, "reuseport") == true, v6only = wanted_option(self, "v6only") == true })
  end)
  if not bound then return nil, word_of(err, errno) end
  self.bound = bound
  return 1
end

function methods:bind(host, port)
  check_class(self, "master")
  host, port = check_address(self, host, port)
  return call(bind_to, self, host, port)
end

methods.setsockname = methods.bind

function methods:listen(backlog)
  check_class(self, "master")
  if not self.bound then
    local ok, err = bind_to(self, "*", 0)
    if not ok then return nil, err end
  end
  local listener, err, errno = self.bound:listen(backlog or BACKLOG)
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
-- bytes

local find, gsub = string.find, string.gsub

-- What a failed read has received, after the prefix.
local function partial(self, conn, prefix, err, errno, lines)
  local bytes = not conn:is_closed() and conn:read_buffered()
  if not bytes then return nil, word_of(err, errno), prefix or "" end
  self.received = self.received + #bytes
  if lines and find(bytes, "\r", 1, true) then bytes = gsub(bytes, "\r", "") end
  return nil, word_of(err, errno), prefix and prefix .. bytes or bytes
end

local function receive_line(self, conn, prefix)
  local line, err, errno = conn:read_until("\n", LONGEST)
  if not line then return partial(self, conn, prefix, err, errno, true) end
  self.received = self.received + #line + 1
  if find(line, "\r", 1, true) then line = gsub(line, "\r", "") end
  return prefix and prefix .. line or line, nil, nil
end

local function receive_all(self, conn, prefix)
  local bytes, err, errno = conn:read_all(LONGEST)
  if not bytes then return partial(self, conn, prefix, err, errno) end
  if bytes == "" then return nil, "closed", prefix or "" end
  self.received = self.received + #bytes
  return prefix and prefix .. bytes or bytes, nil, nil
end

local function receive_exactly(self, conn, n, prefix)
  if prefix then
    n = n - #prefix
    if n <= 0 then return prefix, nil, nil end
  end
  if n == 0 then -- waits for something, and takes nothing
    local ok, err, errno = conn:fill(1)
    if not ok then return nil, word_of(err, errno), "" end
    return "", nil, nil
  end
  local bytes, err, errno = conn:read_exactly(n)
  if not bytes then return partial(self, conn, prefix, err, errno) end
  self.received = self.received + n
  return prefix and prefix .. bytes or bytes, nil, nil
end

local function receive(self, pattern, prefix)
  local conn = self.conn
  if not conn then return nil, "closed", prefix or "" end
  local n = tonumber(pattern)
  if n then return receive_exactly(self, conn, math.floor(n), prefix) end
  if pattern == nil or find(pattern, "^%*l") then return receive_line(self, conn, prefix) end
  return receive_all(self, conn, prefix)
end

local function check_pattern(pattern)
  local n = tonumber(pattern)
  if n and n >= 0 then return end
  if not n and pattern ~= nil and type(pattern) ~= "string" then
    misuse(("bad argument #2 to '?' (string expected, got %s)"):format(type(pattern)))
  end
  if not n and (pattern == nil or type(pattern) == "string" and find(pattern, "^%*[la]")) then return end
  misuse("bad argument #2 to '?' (invalid receive pattern)")
end

-- A line and a number of bytes, without a prefix and in a task, are what clients ask for: they take the shortest way.
function methods:receive(pattern, prefix)
  local conn = self.conn
  if conn and prefix == nil and loop.runs then
    if pattern == nil or pattern == "*l" then
      local line, err, errno = conn:read_until("\n", LONGEST)
      if not line then return partial(self, conn, nil, err, errno, true) end
      self.received = self.received + #line + 1
      if find(line, "\r", 1, true) then line = gsub(line, "\r", "") end
      return line, nil, nil
    elseif type(pattern) == "number" and pattern >= 1 and pattern % 1 == 0 then
      local bytes, err, errno = conn:read_exactly(pattern)
      if not bytes then return partial(self, conn, nil, err, errno) end
      self.received = self.received + pattern
      return bytes, nil, nil
    end
  end
  if not clients[getmetatable(self)] then check_class(self, "client") end
  check_pattern(pattern)
  if prefix == "" then prefix = nil end
  if loop.runs then return receive(self, pattern, prefix) end
  return call(receive, self, pattern, prefix)
end

-- The part of data from i to j as string.sub counts, where i is at least 1.
local function part_of(data, i, j)
  local size = #data
  i, j = i or 1, j or -1
  if i < 0 then i = size + i + 1 end
  if j < 0 then j = size + j + 1 end
  if i < 1 then i = 1 end
  if j > size then j = size end
  return data:sub(i, j), i - 1
end

local function send(self, data, before)
  local conn = self.conn
  if not conn then return nil, "closed", before end
  local sent, err, errno, partly = conn:write(data)
  if sent then
    self.sent = self.sent + sent
    return before + sent, nil, nil
  end
  partly = partly or 0
  self.sent = self.sent + partly
  return nil, word_of(err, errno), before + partly
end

function methods:send(data, i, j)
  local conn = self.conn
  if conn and i == nil and j == nil and type(data) == "string" and loop.runs then return send(self, data, 0) end
  if not clients[getmetatable(self)] then check_class(self, "client") end
  local kind = type(data)
  if kind == "number" then data = tostring(data)
  elseif kind ~= "string" then
    misuse(("bad argument #2 to '?' (string expected, got %s)"):format(kind))
  end
  local before = 0
  if i or j then data, before = part_of(data, i, j) end
  if loop.runs then return send(self, data, before) end
  return call(send, self, data, before)
end

---------------------------------------------------------------------------------------------------
-- the rest

local ways = { both = true, send = true, receive = true }

function methods:shutdown(way)
  way = way or "both"
  if not ways[way] then misuse(("bad argument #2 to '?' (invalid option '%s')"):format(tostring(way))) end
  if self.conn and way ~= "receive" then self.conn:close_write() end
  return 1
end

function methods:close()
  local native = inner(self)
  if native then native:close() end
  self.conn, self.listener, self.bound, self.closed = nil, nil, nil, true
  return 1
end

function methods:dirty()
  return self.conn ~= nil and (self.conn:buffered() or 0) > 0
end

function methods:getfd()
  local native = inner(self)
  local fd = native and native:fd()
  descriptors.put(fd, self)
  return fd or -1
end

function methods:setfd(fd)
  if self.conn then
    local descriptor = self.conn:detach()
    if descriptor then descriptor:release() end
  end
  self.conn = nil
  if type(fd) == "number" and fd >= 0 then
    local conn, err = core.from_fd(fd, "connection")
    if not conn then misuse("setfd: " .. err) end
    take(self, conn)
  end
end

function methods:getstats()
  check_class(self, "client")
  return self.received, self.sent, now() - self.since
end

function methods:setstats(received, sent, age)
  check_class(self, "client")
  self.received, self.sent = received or self.received, sent or self.sent
  if age then self.since = now() - age end
  return 1
end

methods.class = "tcp{client}"

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
  if clients[getmetatable(socket)] or getmetatable(socket) and getmetatable(socket).title then
    return socket.conn or socket.listener, socket.connecting
  end
end

function M.tcp() return new "tcp" end
function M.tcp4() return new("tcp", "inet4") end
function M.tcp6() return new("tcp", "inet6") end
function M.unix() return new("unix", "unix") end

return M

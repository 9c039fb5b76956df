-- SPDX-License-Identifier: MIT
-- tcp.lua - ngx.socket.tcp: cosockets over connections. Timeouts are of each wait. One task reads and one writes at a
-- time; another one gets "socket busy reading" or "socket busy writing".

local in_task = require "moonpark.in_task"
local context = require "moonpark.ngx.context"
local dial = require("moonpark.net").dial
local pool = require "moonpark.ngx.pool"
local receive_until = require "moonpark.ngx.receive_until"
local words = require "moonpark.ngx.words"

local M = {}

local LONGEST = 2 ^ 52
local DEFAULT = 60 -- seconds: lua_socket_connect_timeout and its like

local call, loop, misuse, word_of = in_task.call, in_task.loop, words.misuse, words.of

---@class moonpark.ngx.tcp
local Tcp = {}
Tcp.__index = Tcp
M.class = Tcp

local function close(self)
  local conn = self.conn
  self.conn = nil
  if conn then
    conn:close()
    pool.closed(self.pool)
  end
  self.pool = nil
end

--- A socket that is not connected.
---@return moonpark.ngx.tcp
function M.new()
  return setmetatable({ connect_timeout = DEFAULT, send_timeout = DEFAULT, read_timeout = DEFAULT }, Tcp)
end

---------------------------------------------------------------------------------------------------
-- connecting

local function apply_timeouts(self, conn)
  conn:set_wait_timeout(self.read_timeout, "r")
  conn:set_wait_timeout(self.send_timeout, "w")
end

local function take(self, conn, from, used)
  self.conn, self.pool, self.used = conn, from, used
  self.reading, self.writing = false, false
  apply_timeouts(self, conn)
  local request = context.current()
  if request then request:on_end(self, close) end
  return 1
end

-- How ngx_lua says that a name has no address.
local function explained(err, host)
  if err == "no such host" then return ("%s could not be resolved (3: Host not found)"):format(host) end
  if err == "server failure" then return ("%s could not be resolved (2: Server failure)"):format(host) end
  return word_of(err)
end

local function connect(self, address, host, options)
  local entry, from, err = pool.take(self.pool_name, options, self.connect_timeout)
  if entry then return take(self, entry.conn, from, entry.used) end
  if not from then return nil, err end
  local conn, why = dial(address, { timeout = self.connect_timeout })
  if not conn then
    pool.closed(from)
    return nil, explained(why, host)
  end
  return take(self, conn, from, 0)
end

local known = { pool = "string", pool_size = "number", backlog = "number" }

local function check_options(options)
  if options == nil then return {} end
  if type(options) ~= "table" then
    misuse(("bad argument #3 to 'connect' (table expected, got %s)"):format(type(options)))
  end
  for name, kind in pairs(known) do
    local value = options[name]
    if value ~= nil and type(value) ~= kind and not (kind == "string" and type(value) == "number") then
      misuse(("bad \"%s\" option type: %s"):format(name, type(value)))
    end
  end
  return options
end

-- -> address, host, options, the name of its pool
local function read_target(host, port, options)
  if type(host) ~= "string" then
    misuse(("bad argument #1 to 'connect' (string expected, got %s)"):format(type(host)))
  end
  if host:find "^unix:" then return host, host, check_options(port), host end
  port = tonumber(port)
  if not port then misuse "bad argument #2 to 'connect' (number expected)" end
  if port < 0 or port > 65535 then return nil, ("bad port number: %d"):format(port) end
  host = host:gsub("^%[(.*)%]$", "%1")
  local address = host:find(":", 1, true) and ("[%s]:%d"):format(host, port) or ("%s:%d"):format(host, port)
  return address, host, check_options(options), ("%s:%d"):format(host, port)
end

--- connect(host, port[, options]), connect("unix:/path"[, options]) -> 1 | nil, err
function Tcp:connect(host, port, options)
  if self.reading then return nil, "socket busy reading" end
  if self.writing then return nil, "socket busy writing" end
  if self.connecting then return nil, "socket busy connecting" end
  local address, where, checked, name = read_target(host, port, options)
  if not address then return nil, where end
  close(self)
  self.pool_name = checked.pool and tostring(checked.pool) or name
  self.pool_size = checked.pool_size
  self.connecting = true
  local ok, err = call(connect, self, address, where, checked)
  self.connecting = false
  if ok then return ok end
  return nil, err
end

function Tcp:getreusedtimes()
  if not self.conn then return nil, "closed" end
  return self.used
end

--- setkeepalive([timeout in ms[, size]]) -> 1 | nil, err. The socket is closed for its user then.
function Tcp:setkeepalive(timeout, size)
  local conn = self.conn
  if not conn then return nil, "closed" end
  if self.reading then return nil, "socket busy reading" end
  if self.writing then return nil, "socket busy writing" end
  if (conn:buffered() or 0) > 0 then return nil, "unread data in buffer" end
  if not conn:is_quiet() then
    conn:set_wait_timeout(0, "r")
    local data = conn:read(1)
    apply_timeouts(self, conn)
    if not data then
      close(self)
      return nil, "closed"
    end
    conn:unread(data)
    return nil, "connection in dubious state"
  end
  local ms = tonumber(timeout) or DEFAULT * 1000
  conn:set_wait_timeout(nil)
  self.conn = nil
  pool.give(self.pool_name, conn, self.used + 1, ms > 0 and ms / 1000 or nil, tonumber(size) or self.pool_size)
  self.pool = nil
  return 1
end

function Tcp:close()
  if not self.conn then return nil, "closed" end
  if self.reading then return nil, "socket busy reading" end
  if self.writing then return nil, "socket busy writing" end
  close(self)
  return 1
end

---------------------------------------------------------------------------------------------------
-- timeouts and options

local function seconds(ms)
  if ms == nil then return DEFAULT end
  local n = tonumber(ms)
  if not n then misuse(("bad argument #1 to 'settimeout' (number expected, got %s)"):format(type(ms))) end
  if n < 0 or n >= 2 ^ 31 then misuse "bad timeout value" end
  return n > 0 and n / 1000 or DEFAULT
end

--- Milliseconds, for connecting, sending and receiving.
function Tcp:settimeout(ms)
  local timeout = seconds(ms)
  self.connect_timeout, self.send_timeout, self.read_timeout = timeout, timeout, timeout
  if self.conn then apply_timeouts(self, self.conn) end
end

function Tcp:settimeouts(connecting, sending, reading)
  self.connect_timeout, self.send_timeout, self.read_timeout = seconds(connecting), seconds(sending), seconds(reading)
  if self.conn then apply_timeouts(self, self.conn) end
end

local option_names = { keepalive = { "keepalive", true }, reuseaddr = { "reuseaddr", true },
  ["tcp-nodelay"] = { "nodelay", true }, sndbuf = { "sndbuf" }, rcvbuf = { "rcvbuf" } }

function Tcp:setoption(name, value)
  local option = option_names[name]
  if not option then return nil, "unsupported option " .. tostring(name) end
  if not self.conn then return nil, "closed" end
  if option[2] then value = value == true or value == 1 end
  local ok, err = self.conn:setoption(option[1], value)
  if not ok then return nil, err end
  return true
end

function Tcp:getoption(name)
  local option = option_names[name]
  if not option then return nil, "unsupported option " .. tostring(name) end
  if not self.conn then return nil, "closed" end
  local value = self.conn:getoption(option[1])
  if option[2] then return value and 1 or 0 end
  return value
end

---------------------------------------------------------------------------------------------------
-- receiving

-- A read has failed: the partial data. Only after a timeout the connection goes on.
local function partial(self, conn, err, lines)
  local bytes = not conn:is_closed() and conn:read_buffered() or ""
  if lines and bytes:find("\r", 1, true) then bytes = bytes:gsub("\r", "") end
  if err ~= "timeout" and err ~= "canceled" and self.conn == conn then close(self) end
  return nil, word_of(err), bytes
end

local readers = {}

function readers.line(self, conn)
  local line, err = conn:read_until("\n", LONGEST)
  if not line then return partial(self, conn, err, true) end
  if line:find("\r", 1, true) then line = line:gsub("\r", "") end
  return line
end

function readers.all(self, conn)
  local bytes, err = conn:read_all(LONGEST)
  if not bytes then return partial(self, conn, err) end
  return bytes
end

function readers.exactly(self, conn, n)
  local bytes, err = conn:read_exactly(n)
  if not bytes then return partial(self, conn, err) end
  return bytes
end

function readers.any(self, conn, max)
  local bytes, err = conn:read(max)
  if not bytes then return partial(self, conn, err) end
  return bytes
end

local function done(self, ...)
  self.reading = false
  return ...
end

-- The frame around every read.
local function read(self, reader, argument)
  local conn = self.conn
  if not conn then return nil, "closed" end
  if self.reading then return nil, "socket busy reading" end
  self.reading = true
  if loop.runs then return done(self, reader(self, conn, argument)) end
  return done(self, call(reader, self, conn, argument))
end

local find, gsub = string.find, string.gsub

--- receive([size or "*l" or "*a"]) -> data | nil, err, partial
--- A line and a number of bytes take the shortest way.
function Tcp:receive(pattern)
  local conn = self.conn
  if conn and not self.reading and loop.runs then
    if pattern == nil or pattern == "*l" then
      self.reading = true
      local line, err = conn:read_until("\n", LONGEST)
      self.reading = false
      if not line then return partial(self, conn, err, true) end
      if find(line, "\r", 1, true) then line = gsub(line, "\r", "") end
      return line
    elseif type(pattern) == "number" and pattern >= 1 and pattern % 1 == 0 then
      self.reading = true
      local bytes, err = conn:read_exactly(pattern)
      self.reading = false
      if not bytes then return partial(self, conn, err) end
      return bytes
    end
  end
  if pattern == nil or pattern == "*l" then return read(self, readers.line) end
  if pattern == "*a" then return read(self, readers.all) end
  local n = tonumber(pattern)
  if not n then misuse(("bad argument #1 to 'receive' (bad pattern argument: %s)"):format(tostring(pattern))) end
  if n < 0 then misuse "bad argument #1 to 'receive' (bad pattern argument)" end
  if n == 0 and self.conn and not self.reading then return "" end
  return read(self, readers.exactly, math.floor(n))
end

--- receiveany(max) -> 1..max bytes | nil, err
function Tcp:receiveany(max)
  if not self.conn then return nil, "closed" end
  local n = tonumber(max)
  if not n then misuse "bad argument #1 to 'receiveany' (bad max argument)" end
  if n < 1 then misuse "bad argument #1 to 'receiveany' (bad max argument)" end
  return read(self, readers.any, n)
end

--- receiveuntil(pattern[, {inclusive =}]) -> an iterator: see receive_until.lua
function Tcp:receiveuntil(pattern, options)
  if type(pattern) ~= "string" and type(pattern) ~= "number" then
    misuse(("bad argument #1 to 'receiveuntil' (string expected, got %s)"):format(type(pattern)))
  end
  pattern = tostring(pattern)
  if pattern == "" then return nil, "pattern is empty" end
  if options ~= nil and type(options) ~= "table" then misuse "bad argument #2 to 'receiveuntil' (table expected)" end
  local inclusive = options and options.inclusive
  if inclusive ~= nil and type(inclusive) ~= "boolean" then
    misuse(("bad \"inclusive\" option value type: %s"):format(type(inclusive)))
  end
  local step = receive_until.new(pattern, inclusive == true, partial)
  return function(size)
    if size ~= nil and not tonumber(size) then misuse "bad argument #1 (number expected)" end
    return read(self, step, tonumber(size))
  end
end

---------------------------------------------------------------------------------------------------
-- sending

-- nil and booleans go as their names; write takes the rest as it is.
local function sendable(data)
  local kind = type(data)
  if kind == "string" or kind == "number" or kind == "table" then return data end
  if kind == "nil" or kind == "boolean" then return tostring(data) end
  misuse(("bad argument #1 to 'send' (string, number, boolean, nil, or array table expected, got %s)"):format(kind))
end

local function check_table(data)
  for _, value in ipairs(data) do
    local kind = type(value)
    if kind == "table" then check_table(value)
    elseif kind ~= "string" and kind ~= "number" then
      misuse(("bad argument #1 to 'send' (bad data type %s found)"):format(kind))
    end
  end
end

local function send(self, conn, data)
  local sent, err = conn:write(data)
  self.writing = false
  if sent then return sent end
  if err ~= "timeout" and err ~= "canceled" and self.conn == conn then close(self) end
  return nil, word_of(err)
end

--- send(string, number, or table of these and of tables) -> bytes | nil, err
function Tcp:send(data)
  data = sendable(data)
  local conn = self.conn
  if not conn then return nil, "closed" end
  if self.writing then return nil, "socket busy writing" end
  if type(data) == "table" then check_table(data) end
  self.writing = true
  if loop.runs then return send(self, conn, data) end
  return call(send, self, conn, data)
end

return M

-- SPDX-License-Identifier: MIT
-- tcp.lua - ngx.socket.tcp: cosockets over connections; here is how they connect, close, wait in pools, and are set.
-- Timeouts are of each wait. receive.lua and send.lua have the bytes, ssl.lua has TLS.

local context = require "moonpark.ngx.context"
local dial = require("moonpark.net").dial
local in_task = require "moonpark.in_task"
local pool = require "moonpark.ngx.pool"
local target = require "moonpark.ngx.target"
local words = require "moonpark.ngx.words"
local worker = require "moonpark.worker"

local M = {}

local DEFAULT = 60 -- seconds: lua_socket_connect_timeout and its like

local call, integer, misuse = in_task.call, words.integer, words.misuse

---@class moonpark.ngx.tcp
---@field conn moonpark.connection|nil nil: not connected
---@field place moonpark.ngx.place|nil in a pool
---@field session moonpark.ngx.session|nil of its TLS
---@field source string|nil the local address
---@field reading boolean|nil true: ask M.busy. nil: no, and nothing was read after self.iterator's last piece
---@field writing boolean true: ask M.busy
---@field connecting boolean or shaking hands
---@field read_closed boolean the peer's end has been read, or reading has failed; then `reading` is true
---@field write_closed boolean writing has failed; then `writing` is true
local Tcp = {}
Tcp.__index = Tcp
M.class = Tcp

--- A socket that is not connected.
---@return moonpark.ngx.tcp
function M.new()
  return setmetatable({ connect_timeout = DEFAULT, send_timeout = DEFAULT, read_timeout = DEFAULT,
    reading = false, writing = false }, Tcp)
end

---------------------------------------------------------------------------------------------------
-- states

local function close(self)
  local conn, place, session = self.conn, self.place, self.session
  self.conn, self.place, self.session = nil, nil, nil
  if session then session:leave() end
  if conn then conn:close() end
  pool.leave(place)
end
M.close = close

-- Is that side in use? An error may have been raised out of a call, so the flag alone does not say it.
local function in_use(self, flag, closed, side)
  if not self[flag] or self[closed] then return false end
  local conn = self.conn
  if self.connecting or conn and not conn:is_closed() and conn:is_busy(side) then return true end
  self[flag] = false
  return false
end

--- Why the socket cannot be used now: "socket busy ...", or nil.
---@param self moonpark.ngx.tcp
---@param reading boolean is the reading side needed?
---@param writing boolean
---@return string|nil
function M.busy(self, reading, writing)
  if self.connecting then return "socket busy connecting" end
  if reading and in_use(self, "reading", "read_closed", "r") then return "socket busy reading" end
  if writing and in_use(self, "writing", "write_closed", "w") then return "socket busy writing" end
end
local busy = M.busy

local function free(self, ...)
  self.connecting, self.reading, self.writing = false, false, false
  return ...
end

--- fn(self, ...) with both sides in use, as pcall calls it. They are free afterwards.
---@param self moonpark.ngx.tcp
---@param fn function
---@param ... any
---@return boolean ok
---@return any ...
function M.alone(self, fn, ...)
  self.connecting, self.reading, self.writing = true, true, true
  return free(self, pcall(call, fn, self, ...))
end

-- Is it closed for both sides?
local function is_closed(self) return not self.conn or self.read_closed and self.write_closed end

---------------------------------------------------------------------------------------------------
-- connecting

local function apply_timeouts(self)
  local conn = self.conn
  if not conn or conn:is_closed() then return end
  conn:set_wait_timeout(self.read_timeout, "r")
  conn:set_wait_timeout(self.send_timeout, "w")
end
M.apply_timeouts = apply_timeouts

local function take(self, conn, place, used, session)
  self.conn, self.place, self.used, self.session = conn, place, used, session
  apply_timeouts(self)
  local request = context.current()
  if request then request:on_end(self, close) end
  return 1
end

local function connect(self, to)
  local entry, place, err = pool.take(to.pool, to.pool_size, to.backlog, self.connect_timeout)
  if entry then return take(self, entry.conn, entry.place, entry.used, entry.session) end
  if err then return nil, err end
  self.place = place
  if to.err then return nil, to.err end
  if not to.address then return nil, target.explain("no such host", to.host) end
  local conn, why = dial(to.address, { timeout = self.connect_timeout, local_address = self.source })
  if not conn then return nil, target.explain(why, to.host) end
  return take(self, conn, place, 0)
end

--- connect(host, port[, options]), connect("unix:/path"[, options]) -> 1 | nil, err
function Tcp:connect(...)
  local to, err = target.read(select("#", ...), ...)
  if not to then return nil, err end
  err = busy(self, true, true)
  if err then return nil, err end
  close(self)
  self.pool_name, self.read_closed, self.write_closed = to.pool, false, false
  local ok, result, why = M.alone(self, connect, to)
  if ok and result then return result end
  close(self)
  if not ok then error(result, 0) end
  return nil, why
end

--- bind(address[, port]) -> true | nil, err: the local address of the next connections.
function Tcp:bind(...)
  local count, host, port = select("#", ...), ...
  if count ~= 1 and count ~= 2 then misuse(("expecting 2 or 3 arguments, but got %d"):format(count + 1)) end
  if type(host) ~= "string" then
    misuse(("bad argument #1 to 'bind' (string expected, got %s)"):format(type(host)))
  end
  local number = count == 1 and 0 or integer(port)
  if not number then return nil, "expecting port to be a number but got type: " .. type(port) end
  if number < 0 or number > 65535 then return nil, ("bad port number: %d"):format(number) end
  local source = target.source(host, number)
  if not source then return nil, "bad address" end
  self.source = source
  return true
end

--- How often the connection was taken from a pool -> integer | nil, "closed"
function Tcp:getreusedtimes()
  if is_closed(self) then return nil, "closed" end
  return self.used
end

--- close() -> 1 | nil, err
function Tcp:close()
  if self.connecting then return nil, "socket busy connecting" end
  if is_closed(self) then return nil, "closed" end
  local err = busy(self, true, true)
  if err then return nil, err end
  close(self)
  return 1
end

---------------------------------------------------------------------------------------------------
-- pools

local function peek(self)
  local conn = self.conn
  conn:set_wait_timeout(0, "r")
  local data, err = conn:read(1)
  apply_timeouts(self)
  return data, err
end

-- Why the connection cannot be kept, or nil.
local function unfit(self)
  local conn = self.conn
  if conn:is_closed() then return "closed" end
  if (conn:buffered() or 0) > 0 then return "unread data in buffer" end
  if conn:is_quiet() then return nil end
  local data, err = call(peek, self)
  if not data then return err ~= "timeout" and "closed" or nil end
  close(self)
  return "connection in dubious state"
end

local function count(value, name, argument)
  if value == nil then return nil end
  local number = integer(value)
  if number then return number end
  misuse(("bad argument #%d to '%s' (number expected, got %s)"):format(argument, name, type(value)))
end

--- setkeepalive([timeout in ms[, size]]) -> 1 | nil, err. The socket is closed for its user then.
function Tcp:setkeepalive(timeout, size)
  local ms, most = count(timeout, "setkeepalive", 1), count(size, "setkeepalive", 2)
  if self.connecting then return nil, "socket busy connecting" end
  if not self.conn or self.read_closed or self.write_closed then return nil, "closed" end
  local err = busy(self, true, true) or unfit(self)
  if err then return nil, err end
  if most and most <= 0 and not pool.exists(self.pool_name) then
    misuse(('bad argument #%d to \'setkeepalive\' (bad "pool_size" option value: %d)'):format(2, most))
  end
  if worker.is_draining() then
    close(self)
    return 1
  end
  local entry = { conn = self.conn, place = self.place, used = self.used + 1, session = self.session }
  entry.conn:set_wait_timeout(nil)
  self.conn, self.place, self.session = nil, nil, nil
  if entry.session then entry.session:keep() end
  ms = ms or DEFAULT * 1000
  pool.give(self.pool_name, entry, ms ~= 0 and ms / 1000 or nil, most)
  return 1
end

---------------------------------------------------------------------------------------------------
-- timeouts and options

local function seconds(ms)
  local n = integer(ms) or 0
  if n < 0 or n >= 2 ^ 31 then misuse "bad timeout value" end
  return n > 0 and n / 1000 or DEFAULT
end

--- Milliseconds, for connecting, sending and receiving; 0, and what is no number, stands for the default.
function Tcp:settimeout(...)
  if select("#", ...) ~= 1 then
    misuse(("ngx.socket settimeout: expecting 2 arguments (including the object) but seen %d")
      :format(select("#", ...) + 1))
  end
  local timeout = seconds((...))
  self.connect_timeout, self.send_timeout, self.read_timeout = timeout, timeout, timeout
  apply_timeouts(self)
end

--- settimeouts(connecting, sending, receiving), in milliseconds
function Tcp:settimeouts(...)
  if select("#", ...) ~= 3 then
    misuse(("ngx.socket settimeout: expecting 4 arguments (including the object) but seen %d")
      :format(select("#", ...) + 1))
  end
  local connecting, sending, reading = ...
  self.connect_timeout, self.send_timeout, self.read_timeout = seconds(connecting), seconds(sending), seconds(reading)
  apply_timeouts(self)
end

local options = { keepalive = { "keepalive", true }, reuseaddr = { "reuseaddr", true },
  ["tcp-nodelay"] = { "nodelay", true }, sndbuf = { "sndbuf" }, rcvbuf = { "rcvbuf" } }

-- -> the option | nil, err. Raises for a socket that never was connected.
local function find_option(self, name)
  if not self.pool_name then misuse "socket is never created nor connected" end
  if name == nil then return nil, 'missing the "option" argument' end
  if not options[name] then return nil, "unsupported option " .. tostring(name) end
  return options[name]
end

--- setoption(name, number or boolean) -> true | nil, err
function Tcp:setoption(name, value)
  local option, err = find_option(self, name)
  if name ~= nil and value == nil and self.pool_name then return nil, 'missing the "value" argument' end
  if not option then return nil, err end
  if type(value) == "boolean" then value = value and 1 or 0 end
  if type(value) ~= "number" then
    misuse(("bad argument #2 to 'setoption' (cannot convert '%s' to 'int')"):format(type(value)))
  end
  if not self.conn then return nil, "closed" end
  if option[2] then value = value ~= 0 else value = math.max(0, integer(value)) end
  local ok, why = self.conn:setoption(option[1], value)
  if not ok then return nil, why end
  return true
end

--- getoption(name) -> integer | nil, err
function Tcp:getoption(name)
  local option, err = find_option(self, name)
  if not option then return nil, err end
  if not self.conn then return nil, "closed" end
  local value, why = self.conn:getoption(option[1])
  if value == nil then return nil, why end
  if option[2] then return value and 1 or 0 end
  return value
end

return M

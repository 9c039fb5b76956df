-- SPDX-License-Identifier: MIT
-- receive.lua - receive, receiveany and receiveuntil of cosockets. One task reads at a time; another one gets "socket
-- busy reading". The end of the stream, and a failure, close the reading side alone.

local in_task = require "moonpark.in_task"
local receive_until = require "moonpark.ngx.receive_until"
local tcp = require "moonpark.ngx.tcp"
local words = require "moonpark.ngx.words"

local LONGEST = 2 ^ 52
local MOST = 2 ^ 20 -- bytes of one receiveany

local busy, call, integer, loop, misuse = tcp.busy, in_task.call, words.integer, in_task.loop, words.misuse
local Tcp = tcp.class

-- A read has failed: the partial data. Only after a timeout, and in a task that was cancelled, reading may go on.
local function partial(self, conn, err, lines)
  local bytes = not conn:is_closed() and conn:read_buffered() or ""
  if lines and bytes:find("\r", 1, true) then bytes = bytes:gsub("\r", "") end
  if err ~= "timeout" and err ~= "canceled" and self.conn == conn then self.read_closed, self.reading = true, true end
  return nil, words.of(err), bytes
end

local readers = {}

function readers.line(self, conn)
  local line, err = conn:receive_line(LONGEST)
  self.reading = false
  if not line then return partial(self, conn, err, true) end
  return line
end

function readers.all(self, conn)
  local bytes, err = conn:read_all(LONGEST)
  self.reading = false
  if not bytes then return partial(self, conn, err) end
  return bytes
end

function readers.exactly(self, conn, n)
  local bytes, err = conn:read_exactly(n)
  self.reading = false
  if not bytes then return partial(self, conn, err) end
  return bytes
end

function readers.any(self, conn, max)
  local bytes, err = conn:read(max)
  self.reading = false
  if not bytes then return partial(self, conn, err) end
  return bytes
end

-- nil, or why nothing can be read.
local function refusal(self)
  if self.connecting then return "socket busy connecting" end
  if not self.conn or self.read_closed then return "closed" end
  return busy(self, true, false)
end

-- Readers take the flag down themselves.
local function read(self, reader, argument)
  self.reading = true
  if loop.runs then return reader(self, self.conn, argument) end
  return call(reader, self, self.conn, argument)
end

---------------------------------------------------------------------------------------------------
-- receive

local function wrong(text) misuse(("bad argument #1 to 'receive' (%s)"):format(text)) end

-- What is no plain number of bytes.
local function receive(self, pattern)
  local err = refusal(self)
  if err then return nil, err end
  if pattern == nil or pattern == "*l" then return read(self, readers.line) end
  if pattern == "*a" then return read(self, readers.all) end
  local n = integer(pattern)
  if n then
    if n < 0 then wrong "bad pattern argument" end
    if n == 0 then return "" end
    return read(self, readers.exactly, math.min(n, LONGEST))
  end
  if type(pattern) ~= "string" or #pattern == 2 and pattern:find "^%*" then wrong "bad pattern argument" end
  wrong("bad pattern argument: " .. pattern)
end

--- receive([size or "*l" or "*a"]) -> data | nil, err, partial
--- A line and a number of bytes take the shortest way.
function Tcp:receive(pattern)
  local conn = self.conn
  if conn and not self.reading and loop.runs then
    if pattern == nil or pattern == "*l" then
      self.reading = true
      local line, err = conn:receive_line(LONGEST)
      self.reading = false
      if not line then return partial(self, conn, err, true) end
      return line
    elseif type(pattern) == "number" and pattern >= 1 and pattern % 1 == 0 and pattern < LONGEST then
      self.reading = true
      local bytes, err = conn:read_exactly(pattern)
      self.reading = false
      if not bytes then return partial(self, conn, err) end
      return bytes
    end
  end
  return receive(self, pattern)
end

--- receiveany(max) -> 1..max bytes | nil, err
function Tcp:receiveany(...)
  if select("#", ...) ~= 1 then
    misuse(("expecting 2 arguments (including the object), but got %d"):format(select("#", ...) + 1))
  end
  local err = refusal(self)
  if err then return nil, err end
  local n = integer((...))
  if not n or n <= 0 then misuse "bad argument #1 to 'receiveany' (bad max argument)" end
  return read(self, readers.any, math.min(n, MOST))
end

---------------------------------------------------------------------------------------------------
-- receiveuntil

-- The size that an iterator was called with; nil: no size.
local function piece_size(count, size)
  if count == 0 then return nil end
  if count > 1 then misuse(("expecting 0 or 1 arguments, but seen %d"):format(count)) end
  local n = integer(size)
  if not n then misuse(("bad argument #1 to '?' (number expected, got %s)"):format(type(size))) end
  return n > 0 and n or nil
end

--- receiveuntil(pattern[, {inclusive =}]) -> an iterator: see receive_until.lua
function Tcp:receiveuntil(...)
  local count, pattern, options = select("#", ...), ...
  if count < 1 or count > 2 then
    misuse(("expecting 2 or 3 arguments (including the object), but got %d"):format(count + 1))
  end
  if count == 2 and type(options) ~= "table" then
    misuse(("bad argument #2 to 'receiveuntil' (table expected, got %s)"):format(type(options)))
  end
  local inclusive = options and options.inclusive
  if inclusive ~= nil and type(inclusive) ~= "boolean" then
    misuse(("bad \"inclusive\" option value type: %s"):format(type(inclusive)))
  end
  if type(pattern) ~= "string" and type(pattern) ~= "number" then
    misuse(("bad argument #1 to 'receiveuntil' (string expected, got %s)"):format(type(pattern)))
  end
  pattern = tostring(pattern)
  if pattern == "" then return nil, "pattern is empty" end
  local step = receive_until.new(pattern, inclusive == true, partial)
  return function(...)
    local size = piece_size(select("#", ...), ...)
    local err = refusal(self)
    if err then return nil, err end
    if self.reading ~= nil then self.iterator = nil end -- somebody else has read
    return read(self, step, size)
  end
end

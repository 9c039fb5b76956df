-- SPDX-License-Identifier: MIT
-- bytes.lua - receive and send of LuaSocket's stream sockets, and their statistics.

local class = require "moonpark.luasocket.class"
local core = require "moonpark.core"
local waiting = require "moonpark.in_task"
local words = require "moonpark.luasocket.words"

local misuse = words.misuse

local LONGEST = 2 ^ 52 -- bytes of a line or of a whole stream: LuaSocket has no limit

local now, call, loop, word_of = core.now, waiting.call, waiting.loop, words.of

local clients = {} -- [metatable] = true: these have bytes
local tcp_client -- for the text of an error

local methods = {}

local function check_client(self)
  if not clients[getmetatable(self)] then class.check(self, tcp_client) end
end

local find, gsub, taken = string.find, string.gsub, core.bytes_taken

-- What a failed read has received, after the prefix.
local function partial(conn, prefix, err, errno, lines)
  local bytes = not conn:is_closed() and conn:read_buffered()
  if not bytes then return nil, word_of(err, errno), prefix or "" end
  if lines and find(bytes, "\r", 1, true) then bytes = gsub(bytes, "\r", "") end
  return nil, word_of(err, errno), prefix and prefix .. bytes or bytes
end

local function receive_line(conn, prefix)
  local line, err, errno = conn:receive_line(LONGEST)
  if not line then return partial(conn, prefix, err, errno, true) end
  return prefix and prefix .. line or line, nil, nil
end

local function receive_all(conn, prefix)
  local bytes, err, errno = conn:read_all(LONGEST)
  if not bytes then return partial(conn, prefix, err, errno) end
  if bytes == "" then return nil, "closed", prefix or "" end
  return prefix and prefix .. bytes or bytes, nil, nil
end

local function receive_exactly(conn, n, prefix)
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
  if not bytes then return partial(conn, prefix, err, errno) end
  return prefix and prefix .. bytes or bytes, nil, nil
end

local function receive(self, pattern, prefix)
  local conn = self.conn
  if not conn then return nil, "closed", prefix or "" end
  local n = tonumber(pattern)
  if n then return receive_exactly(conn, math.floor(n), prefix) end
  if pattern == nil or find(pattern, "^%*l") then return receive_line(conn, prefix) end
  return receive_all(conn, prefix)
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
  if conn and not prefix and loop.runs then
    if pattern == nil or pattern == "*l" then
      local line, err, errno = conn:receive_line(LONGEST)
      if line then return line, nil, nil end
      return partial(conn, nil, err, errno, true)
    elseif type(pattern) == "number" and pattern >= 1 and pattern % 1 == 0 then
      local bytes, err, errno = conn:read_exactly(pattern)
      if bytes then return bytes, nil, nil end
      return partial(conn, nil, err, errno)
    end
  end
  check_client(self)
  check_pattern(pattern)
  if prefix == "" then prefix = nil end
  if loop.runs then return receive(self, pattern, prefix) end
  return call(receive, self, pattern, prefix)
end

-- Numbers may be text, and lose their fraction.
local function place(value, position, default)
  if value == nil then return default end
  local n = type(value) ~= "boolean" and tonumber(value)
  if not n then misuse(("bad argument #%d to '?' (number expected, got %s)"):format(position, type(value))) end
  return n < 0 and math.ceil(n) or math.floor(n)
end

-- The part of data from i to j as string.sub counts, where i is at least 1.
local function part_of(data, i, j)
  local size = #data
  i, j = place(i, 3, 1), place(j, 4, -1)
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
  check_client(self)
  local kind = type(data)
  if kind == "number" then data = tostring(data)
  elseif kind ~= "string" then
    misuse(("bad argument #2 to '?' (string expected, got %s)"):format(kind))
  end
  local before = 0
  if i ~= nil or j ~= nil then data, before = part_of(data, i, j) end
  if loop.runs then return send(self, data, before) end
  return call(send, self, data, before)
end

---------------------------------------------------------------------------------------------------

-- The connection counts what it hands out; `received` is what is to be added.
local function received(self) return self.received + (self.conn and taken(self.conn) or 0) end

function methods:getstats()
  check_client(self)
  return received(self), self.sent, now() - self.since
end

function methods:setstats(got, sent, age)
  check_client(self)
  sent, got = tonumber(sent), tonumber(got)
  if got then self.received = self.received + got - received(self) end
  if sent then self.sent = sent end
  if tonumber(age) then self.since = now() - age end
  return 1
end

local M = { methods = methods }

--- Objects of that class have bytes.
---@param meta table
function M.add(meta)
  tcp_client = tcp_client or meta
  clients[meta] = true
end

--- The socket loses its connection, or gets one: what that has counted so far is not the socket's.
function M.lose(self)
  if self.conn then self.received = received(self) end
end

function M.gain(self, conn) self.received = self.received - taken(conn) end

function M.is_client(self) return clients[getmetatable(self)] == true end

M.check = check_client

return M

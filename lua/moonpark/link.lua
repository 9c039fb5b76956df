-- SPDX-License-Identifier: MIT
-- link.lua - messages over a unix stream: tables that JSON can carry, and descriptors beside them.
--
-- A message is four bytes (how many descriptors, and the text's length in three bytes, big-endian) and a JSON text.
-- The descriptors come with its first byte.

local cjson = require "moonpark.cjson" "cjson".new()
local core = require "moonpark.core"

cjson.encode_number_precision(14)
cjson.encode_sparse_array(false, 1)

local M = {}

local HEAD = 4
local PAUSE = 0.001     -- seconds
local MOST = 2 ^ 24 - 1 -- bytes of a text
local QUEUED = 67108864 -- bytes that wait for the other side to read

---@class moonpark.link
local Link = {}
Link.__index = Link

--- A link over that connection, which belongs to it.
---@param conn moonpark.connection
---@return moonpark.link
function M.new(conn)
  return setmetatable({ conn = conn, first = 1, last = 0, posted = core.event(), ending = false,
    queued = 0, within = false, writing = 0 }, Link)
end

local function framed(message, count)
  local text = cjson.encode(message)
  assert(#text <= MOST, "a message is too long")
  local n = #text
  return string.char(count, math.floor(n / 65536), math.floor(n / 256) % 256, n % 256) .. text
end

--- Puts a message into the queue, which flush sends. Never waits: another side that does not read while 64 MiB
--- gather loses the link. Raises for what JSON cannot carry.
---@param message table
---@param items? table of what send_fds takes; they must stay open until they have been sent
---@return true|nil
---@return string? err "closed"
function Link:post(message, items)
  local frame = framed(message, items and #items or 0)
  if self.ending or self.conn:is_closed() then return nil, "closed" end
  self.queued = self.queued + #frame
  if self.queued > QUEUED then
    self:close()
    return nil, "closed"
  end
  self.last = self.last + 1
  self[self.last] = { frame, items }
  self.posted:set()
  return true
end

local function write(conn, frame, items)
  if items then return conn:send_fds(frame, items) end
  return conn:write(frame)
end

-- The oldest that was posted; nil: there will be none.
local function next_posted(self)
  while self.first > self.last do
    if self.ending then return nil, "closed" end
    self.posted:clear()
    local ok, err = self.posted:wait()
    if not ok then return nil, err end
  end
  local entry = self[self.first]
  self[self.first] = nil
  self.first = self.first + 1
  self.queued = self.queued - #entry[1]
  return entry
end

--- Sends what is posted, until the link ends. For a task of its own.
---@return nil
---@return string err
function Link:flush()
  while true do
    local entry, err = next_posted(self)
    if not entry then return nil, err end
    local sent
    self.writing = self.writing + 1
    sent, err = write(self.conn, entry[1], entry[2])
    self.writing = self.writing - 1
    if not sent then
      self:close()
      return nil, err
    end
  end
end

--- Waits until all that was posted has been sent, by whichever task, or the link has ended.
function Link:sent()
  while (self.first <= self.last or self.writing > 0) and not self.conn:is_closed() do
    if not core.sleep(PAUSE) then return end
  end
end

--- Is nothing queued, and no message half-way in either direction?
---@return boolean
function Link:is_quiet() return self.first > self.last and self.writing == 0 and not self.within end

--- Nothing more is posted: flush returns when all is sent.
function Link:finish()
  self.ending = true
  self.posted:set()
end

-- Exactly n bytes: never more, because descriptors may come with the next one.
local function take(self, n, fds)
  local parts, left = {}, n
  while left > 0 do
    local bytes, list = self.conn:recv_fds(left)
    if not bytes then return nil, list end
    self.within = true
    for _, fd in ipairs(list) do fds[#fds + 1] = fd end
    parts[#parts + 1] = bytes
    left = left - #bytes
  end
  return table.concat(parts)
end

--- The next message. In one task at a time.
---@return table|nil message
---@return moonpark.descriptor[]|string fds or why there is none: "eof", "malformed message", ...
function Link:receive()
  local fds = {}
  local head, err = take(self, HEAD, fds)
  if not head then return nil, err end
  local count, high, middle, low = head:byte(1, HEAD)
  local text
  text, err = take(self, high * 65536 + middle * 256 + low, fds)
  if not text then return nil, err end
  self.within = false
  local ok, message = pcall(cjson.decode, text)
  if not ok or type(message) ~= "table" or count ~= #fds then return nil, "malformed message" end
  return message, fds
end

--- Ends it: nothing more is sent, and the other side sees the end.
function Link:close()
  self:finish()
  self.conn:close()
end

return M

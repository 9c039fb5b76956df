-- SPDX-License-Identifier: MIT
-- resp.lua - Redis' protocol: received bytes to requests, answers to bytes to send.
--
-- A request is an array of strings, "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", or one line of words, "GET k\r\n".
-- A reader keeps what has come of an incomplete request, at most LONGEST_REQUEST bytes, and continues
-- where it stopped. Answers are collected as pieces and sent with one write.

local byte, find, sub, concat = string.byte, string.find, string.sub, table.concat

local M = {}

local CR, LF, STAR, DOLLAR, ZERO, NINE = 13, 10, 42, 36, 48, 57
local LONGEST_BULK = 512 * 1024 * 1024
local LONGEST_REQUEST = LONGEST_BULK + 1024 * 1024
local MOST_WORDS = 1024 * 1024
local LONGEST_LINE = 64 * 1024
local MOST_KEPT = 64 * 1024 -- bytes that the tables of an idle connection may keep

---------------------------------------------------------------------------------------------------
-- lines

-- The number in the header line at `at` ("*12\r\n", "$5\r\n"), and where the line ends. nil if it is not
-- a number; false if the line is incomplete.
local function long_number(bytes, at)
  local last = find(bytes, "\r", at, true)
  if not last or last == #bytes then return false end
  local digits = sub(bytes, at + 1, last - 1)
  if byte(bytes, last + 1) ~= LF or #digits > 15 or not find(digits, "^%-?[1-9]%d*$") then return nil end
  return tonumber(digits), last + 1
end

-- Nearly every number has one or two digits.
local function number(bytes, at)
  local first, second, third = byte(bytes, at + 1), byte(bytes, at + 2), byte(bytes, at + 3)
  if third == LF and second == CR and first >= ZERO and first <= NINE then
    return first - ZERO, at + 3
  elseif third == CR and byte(bytes, at + 4) == LF and first > ZERO and first <= NINE and
    second >= ZERO and second <= NINE then
    return first * 10 + second - 11 * ZERO, at + 4
  end
  return long_number(bytes, at)
end

local escapes = { n = "\n", r = "\r", t = "\t", b = "\b", a = "\a" }

-- The quoted word that begins at `at`, and where its closing quote is; nil if there is none.
local function quoted(line, at)
  local quote, pieces = sub(line, at, at), {}
  at = at + 1
  while at <= #line do
    local c = sub(line, at, at)
    if c == quote then return concat(pieces), at end
    local hex = c == "\\" and quote == '"' and line:match("^x(%x%x)", at + 1)
    if hex then
      c, at = string.char(tonumber(hex, 16)), at + 3
    elseif c == "\\" and at < #line and (quote == '"' or sub(line, at + 1, at + 1) == "'") then
      c, at = sub(line, at + 1, at + 1), at + 1
      c = quote == '"' and escapes[c] or c
    end
    pieces[#pieces + 1] = c
    at = at + 1
  end
end

-- The words of a line, as a person types them: get "my key". nil if a quote is not closed, or closed in
-- the middle of a word.
local function words(line)
  local list, at = {}, find(line, "%S")
  while at do
    local pieces = {}
    while at <= #line and not find(line, "^%s", at) do
      local piece = sub(line, at, at)
      if piece == '"' or piece == "'" then
        piece, at = quoted(line, at)
        if not piece or find(line, "^%S", at + 1) then return nil end
      end
      pieces[#pieces + 1] = piece
      at = at + 1
    end
    list[#list + 1] = concat(pieces)
    at = find(line, "%S", at)
  end
  return list
end

---------------------------------------------------------------------------------------------------
-- requests

---@class resp.reader
---@field missing integer at least so many bytes are needed before next() can say more; 0: not known
local Reader = {}
Reader.__index = Reader

function M.reader()
  return setmetatable({
    bytes = "", at = 1, -- what was received, and its first byte that is not used yet
    args = {},          -- of the request that is being read; the table is reused for the next one
    count = 0,          -- how many of them have come
    want = 0,           -- how many there will be; 0: between two requests
    length = -1,        -- of the argument that is being read; -1: its header is still to come
    size = 0,           -- bytes in the arguments so far
    missing = 0,
  }, Reader)
end

--- Takes what was read from the connection.
function Reader:feed(bytes)
  if self.at > #self.bytes then
    self.bytes = bytes
  else
    self.bytes = sub(self.bytes, self.at) .. bytes
  end
  self.at, self.missing = 1, 0
end

-- What next() returns for a header line that is malformed (value is not false) or incomplete.
local function bad_header(self, at, value, wrong, too_long)
  if value ~= false then return nil, wrong end
  if #self.bytes - at >= LONGEST_LINE then return nil, too_long end
  self.at = at
  return nil
end

-- A request of one line.
local function inline(self, at)
  local last = find(self.bytes, "\n", at, true)
  if not last or last - at > LONGEST_LINE then
    self.at = at
    local too_long = #self.bytes - at >= LONGEST_LINE
    return nil, too_long and "too big inline request" or nil
  end
  self.at = last + 1
  local list = words(sub(self.bytes, at, last - 1))
  if not list then return nil, "unbalanced quotes in request" end
  if #list == 0 then return self:next() end
  return list, #list
end

-- The beginning of a request: how many arguments there will be, and where they begin.
local function open(self, at)
  local want, last = number(self.bytes, at)
  if not last or want > MOST_WORDS then
    return bad_header(self, at, want, "invalid multibulk length", "too big mbulk count string")
  end
  self.at, self.count, self.size = last + 1, 0, 0
  self.want = want > 0 and want or 0
  return true
end

-- All bytes are used, and it may be long until more come.
local function let_go(self)
  self.bytes, self.at = "", 1
  if self.size > MOST_KEPT or self.count > MOST_KEPT / 16 then self.args, self.count, self.size = {}, 0, 0 end
  return nil
end

--- The next request.
---@return string[]|nil args the table is used again by the call after this one
---@return integer|string|nil # how many there are; with nil: what is wrong, or nil: more bytes are needed
function Reader:next()
  local bytes = self.bytes
  while self.want == 0 do
    local mark = byte(bytes, self.at)
    if not mark then return let_go(self) end
    if mark ~= STAR then return inline(self, self.at) end
    local ok, err = open(self, self.at)
    if not ok then return nil, err end
  end
  local args, at, count, want, length = self.args, self.at, self.count, self.want, self.length
  while count < want do
    if length < 0 then
      local mark = byte(bytes, at)
      if mark and mark ~= DOLLAR then return nil, ("expected '$', got '%c'"):format(mark) end
      local value, last = number(bytes, at)
      if not last or value < 0 or value > LONGEST_BULK or self.size + value > LONGEST_REQUEST then
        self.count, self.length = count, -1
        return bad_header(self, at, value, "invalid bulk length", "too big bulk count string")
      end
      length, at = value, last + 1
      self.size = self.size + length
    end
    if at + length + 1 > #bytes then
      self.at, self.count, self.length = at, count, length
      self.missing = at + length + 1 - #bytes
      return nil
    end
    count = count + 1
    args[count] = sub(bytes, at, at + length - 1)
    at, length = at + length + 2, -1
  end
  self.at, self.want, self.count, self.length = at, 0, count, -1
  return args, want
end

---------------------------------------------------------------------------------------------------
-- answers

local PIECES_AT_ONCE = 200
local BIG = 1024 * 1024
local LONGEST_INTEGER = 24 -- bytes

---@class resp.answers
---@field size integer about how many bytes there are to send
local Answers = {}
Answers.__index = Answers

local headers = {} -- "$3\r\n" for short strings
for length = 0, 1023 do headers[length] = "$" .. length .. "\r\n" end

function M.answers() return setmetatable({ pieces = {}, n = 0, size = 0 }, Answers) end

local function put(self, piece)
  local n = self.n + 1
  self.pieces[n] = piece
  self.n = n
  self.size = self.size + #piece
end

Answers.put = put --- an answer that is already in the protocol's form

function Answers:status(text) put(self, "+" .. text .. "\r\n") end

function Answers:error(text) put(self, "-ERR " .. text:gsub("[\r\n]", " ") .. "\r\n") end

--- A number, or the text of one. Added as pieces, so that no string is made that would be garbage at once.
function Answers:integer(n)
  local pieces, last = self.pieces, self.n
  pieces[last + 1] = ":"
  pieces[last + 2] = n
  pieces[last + 3] = "\r\n"
  self.n = last + 3
  self.size = self.size + LONGEST_INTEGER
end

function Answers:array(length) put(self, "*" .. length .. "\r\n") end

--- A string of any bytes; nil for what does not exist. A number is sent as its text.
function Answers:bulk(value)
  if not value then return put(self, "$-1\r\n") end
  if type(value) == "number" then value = tostring(value) end
  local pieces, n, length = self.pieces, self.n, #value
  pieces[n + 1] = headers[length] or "$" .. length .. "\r\n"
  pieces[n + 2] = value
  pieces[n + 3] = "\r\n"
  self.n = n + 3
  self.size = self.size + length + 8
end

--- Writes everything: joined into one write if it is not too much, otherwise without copying it.
---@param conn moonpark.connection
---@return integer|nil
---@return string? err
function Answers:send(conn)
  local pieces, n, size = self.pieces, self.n, self.size
  if n == 0 then return 0 end
  self.n, self.size = 0, 0
  if size > MOST_KEPT then self.pieces = {} end
  if size <= BIG then return conn:write(concat(pieces, "", 1, n)) end
  local ok, err
  for i = 1, n, PIECES_AT_ONCE do
    ok, err = conn:write(unpack(pieces, i, math.min(i + PIECES_AT_ONCE - 1, n)))
    if not ok then break end
  end
  return ok, err
end

return M

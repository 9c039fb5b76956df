-- SPDX-License-Identifier: MIT
-- resp.lua - Redis' protocol: received bytes to requests, answers to bytes to send.
--
-- A request is an array of strings, "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", or one line of words, "GET k\r\n".
-- A reader looks at what the connection has received: of a request only its words become strings. Of an unfinished one
-- at most LONGEST_REQUEST bytes are kept. Answers are collected as pieces and sent with one write, unjoined: a string
-- that is made only to be sent costs as much as one that is kept.

local find, sub, concat = string.find, string.sub, table.concat

local M = {}

local STAR, DOLLAR = 42, 36
local LONGEST_BULK = 512 * 1024 * 1024
local LONGEST_REQUEST = LONGEST_BULK + 1024 * 1024
local MOST_WORDS = 1024 * 1024
local LONGEST_LINE = 64 * 1024
local MOST_KEPT = 64 * 1024 -- bytes that the tables of an idle connection may keep

---------------------------------------------------------------------------------------------------
-- lines

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
---@field needed integer so many bytes must be buffered before next() can say more
local Reader = {}
Reader.__index = Reader

-- Formats of conn:unpack: a request; its beginning; one of its arguments, and how long that is.
local REQUEST, OPENING, ARGUMENT, LENGTH = "'*'D('$'S)", "'*'D", "'$'S", "'$'D"

M.MOST_BUFFERED = LONGEST_BULK + 64 -- with its length and line ends

---@param conn moonpark.connection
function M.reader(conn)
  return setmetatable({
    conn = conn,
    at = 0,      -- the offset of the first buffered byte that was not used yet
    values = {}, -- requests that had come whole: of each the number of its arguments, then these
    filled = 0,  -- how many values
    used = 0,    -- how many of them belong to requests that next() has returned
    args = {},   -- of one request; the table is used again for the next one
    count = 0,   -- how many of them have come
    want = 0,    -- how many it will be; 0: it has not begun
    size = 0,    -- bytes in the arguments so far
    needed = 1,
  }, Reader)
end

-- So many bytes are needed from `at` on. What was used goes; if that fails, so will the next read.
local function wait(self, at, needed)
  if at > 0 then self.conn:skip(at) end
  self.at, self.needed = 0, needed
  return nil
end

-- What next() returns for a header line at `at` that is wrong or not complete.
local function bad_header(self, at, wrong, too_long)
  local conn = self.conn
  local last, held = conn:find("\r", at), conn:buffered() - at
  if last and last - at + 1 < held then return nil, wrong end
  if held > LONGEST_LINE then return nil, too_long end
  return wait(self, at, held + 1)
end

-- A request of one line.
local function inline(self, at)
  local conn = self.conn
  local last, held = conn:find("\n", at), conn:buffered() - at
  if not last or last - at > LONGEST_LINE then
    if held > LONGEST_LINE then return nil, "too big inline request" end
    return wait(self, at, held + 1)
  end
  self.at = last + 1
  local list = words(conn:peek(last - at, at))
  if not list then return nil, "unbalanced quotes in request" end
  if #list == 0 then return self:next() end
  return list, #list
end

-- All bytes are used: it may be long until the next ones come.
local function let_go(self)
  if self.size > MOST_KEPT or self.count > MOST_KEPT / 16 then self.args, self.values = {}, {} end
  self.count, self.size = 0, 0
  return wait(self, self.at, 1)
end

-- One more argument of the request that is being read. True, or what next() returns.
local function argument(self)
  local conn, at = self.conn, self.at
  local there, mark = conn:unpack("B", at)
  if not there then return wait(self, at, 1) end
  if mark ~= DOLLAR then return nil, ("expected '$', got '%c'"):format(mark) end
  local header, length = conn:unpack(LENGTH, at)
  if not header then return bad_header(self, at, "invalid bulk length", "too big bulk count string") end
  if length < 0 or length > LONGEST_BULK or self.size + length > LONGEST_REQUEST then
    return nil, "invalid bulk length"
  end
  local last, value = conn:unpack(ARGUMENT, at)
  if not last and type(value) == "string" then return nil, "expected CRLF behind a bulk" end
  if not last then return wait(self, at, value - at) end
  self.at, self.count, self.size = last, self.count + 1, self.size + length
  self.args[self.count] = value
  return true
end

-- The beginning of a request, and as many of its arguments as have come.
local function piecemeal(self)
  if self.want == 0 then
    local last, want = self.conn:unpack(OPENING, self.at)
    if not last then return bad_header(self, self.at, "invalid multibulk length", "too big mbulk count string") end
    if want > MOST_WORDS then return nil, "invalid multibulk length" end
    self.at, self.want, self.count, self.size = last, math.max(want, 0), 0, 0
  end
  while self.count < self.want do
    local fine, err = argument(self)
    if not fine then return nil, err end
  end
  local count = self.want
  self.want = 0
  if count == 0 then return self:next() end
  return self.args, count
end

-- What comes behind all requests that had come whole. What next() returns.
local function go_on(self)
  local conn, at = self.conn, self.at
  if self.want > 0 then return piecemeal(self) end
  local last, filled = conn:unpack_all(self.values, REQUEST, at)
  if last then
    self.used, self.filled = 0, filled
    self.at, self.size = last, self.size + last - at
    return self:next()
  end
  local there, mark = conn:unpack("B", at)
  if not there then return let_go(self) end
  if mark ~= STAR then return inline(self, at) end
  return piecemeal(self)
end

-- The request whose count is behind `used` values, whatever its length. What next() returns.
local function unusual(self, used, count)
  local values, args = self.values, self.args
  for i = 1, count do
    args[i] = values[used + 1 + i]
    if not args[i] then return nil, "invalid bulk length" end
  end
  self.used = used + 1 + math.max(count, 0)
  if count < 1 then return self:next() end
  return args, count
end

--- The next request.
---@return string[]|nil args the table is used again by the call after this one
---@return integer|string|nil # how many there are; with nil: what is wrong, or nil: more bytes are needed
function Reader:next()
  local used = self.used
  if used == self.filled then return go_on(self) end
  local values, args = self.values, self.args
  local count, name, first, second = values[used + 1], values[used + 2], values[used + 3], values[used + 4]
  if not (name and first and (count == 2 or (count == 3 and second))) then return unusual(self, used, count) end
  args[1], args[2], args[3] = name, first, second
  self.used = used + 1 + count
  return args, count
end

---------------------------------------------------------------------------------------------------
-- answers

local PIECES_AT_ONCE = 1000
local LONGEST_INTEGER = 24 -- bytes

---@class resp.answers
---@field size integer about how many bytes there are to send
local Answers = {}
Answers.__index = Answers

local CRLF = "\r\n"

local headers, behind = {}, {} -- "$3\r\n" for short strings; the same behind the end of another answer
for length = 0, 1023 do
  headers[length] = "$" .. length .. CRLF
  behind[length] = CRLF .. headers[length]
end

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
  pieces[last + 3] = CRLF
  self.n = last + 3
  self.size = self.size + LONGEST_INTEGER
end

function Answers:array(length) put(self, "*" .. length .. "\r\n") end

--- A string of any bytes; nil for what does not exist. A number is sent as its text.
function Answers:bulk(value)
  if not value then return put(self, "$-1\r\n") end
  if type(value) == "number" then value = tostring(value) end
  local pieces, n, length = self.pieces, self.n, #value
  if pieces[n] == CRLF and behind[length] then -- each piece costs something when it is sent
    pieces[n] = behind[length]
  else
    n = n + 1
    pieces[n] = headers[length] or "$" .. length .. CRLF
  end
  pieces[n + 1] = value
  pieces[n + 2] = CRLF
  self.n = n + 2
  self.size = self.size + length + 8
end

--- Writes everything, unjoined: with one write as long as it is not very much.
---@param conn moonpark.connection
---@return integer|nil
---@return string? err
function Answers:send(conn)
  local pieces, n, size = self.pieces, self.n, self.size
  if n == 0 then return 0 end
  self.n, self.size = 0, 0
  if size > MOST_KEPT then self.pieces = {} end
  if n <= PIECES_AT_ONCE then return conn:write(unpack(pieces, 1, n)) end
  local ok, err
  for i = 1, n, PIECES_AT_ONCE do
    ok, err = conn:write(unpack(pieces, i, math.min(i + PIECES_AT_ONCE - 1, n)))
    if not ok then break end
  end
  return ok, err
end

return M

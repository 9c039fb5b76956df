-- SPDX-License-Identifier: MIT
-- The tables of spec/wire/ against the real server: each case whole, a byte at a time, and twice in one piece. What
-- leaves the connection open is followed by one more request, whose answer shows that nothing is out of step. And
-- against the parser and the framing alone, where whatever was received ends at a page that must not be touched.

local ffi = require "ffi"
local moonpark = require "moonpark"
local edge = require "support.edge"
local http = require "support.http"
local lib = require("support.units").lib

local PROBE = "GET /probe HTTP/1.1\r\nHost: a\r\n\r\n"

-- "GET /path?query [body] {trailers}"
local function tell(req, res)
  local body = req:body()
  if not body then return end -- the server answers why
  local trailers, list = {}, req.x:trailers(req.serial)
  for i = 1, #list, 2 do trailers[#trailers + 1] = list[i] .. "=" .. list[i + 1] end
  res:send(("%s %s%s [%s]%s"):format(req.method, req.raw_path, req.target:match("%?.*$") or "", body,
    trailers[1] and " {" .. table.concat(trailers, ",") .. "}" or ""))
end

-- The server may have said all it has to say, and closed, before we have.
local function send_whole(conn, bytes) conn:write(bytes) end

local function send_bytes(conn, bytes)
  for i = 1, #bytes do
    if not conn:write(bytes:sub(i, i)) then return end
    moonpark.sleep(0.000001) -- a turn of the loop: the server reads it
  end
end

local function expect(conn, case, what)
  local statuses = case.answers or {}
  for i = 1, math.max(#statuses, case.says and #case.says or 0) do
    local answer = http.read_answer(conn, case.method)
    assert.equal(statuses[i] or 200, answer.status, what)
    if case.says and case.says[i] then assert.equal(case.says[i], answer.body, what) end
    local last = i == math.max(#statuses, case.says and #case.says or 0)
    assert.equal(case.closed and last and "close" or nil, answer.headers.connection ~= "keep-alive" and
      answer.headers.connection or nil, what)
  end
end

local function is_closed(conn, what)
  local data, err = conn:read()
  assert.is_nil(data, what)
  assert.is_truthy(err == "eof" or err == "connection reset by peer", what)
end

local function run(server, case, send, bytes, times)
  local conn = server:dial()
  send(conn, bytes)
  for time = 1, case.closed and 1 or times do
    expect(conn, case, ("%s, answer %d"):format(case[1], time))
  end
  if case.closed then
    is_closed(conn, case[1])
  else
    conn:write(PROBE)
    assert.equal("GET /probe []", http.read_answer(conn).body, case[1])
  end
  conn:close()
end

-- What would take long a byte at a time is long for its own sake.
local LONG = 4000

for _, name in ipairs { "framing", "refused" } do
  describe("on the wire, " .. name .. ":", function()
    after_each(http.stop_all)

    for _, case in ipairs(require("wire." .. name)) do
      it(case[1], function()
        local server = http.start(tell)
        local bytes = case[2]:gsub("HOST", "Host: a")
        run(server, case, send_whole, bytes, 1)
        if #bytes < LONG then run(server, case, send_bytes, bytes, 1) end
        run(server, case, send_whole, bytes .. bytes, 2)
      end)
    end
  end)
end

---------------------------------------------------------------------------------------------------
-- without server and socket: a reader of parser and framing, in few lines

local HEAD_MAX, BODY_MAX, TRAILERS_MAX = 16384, 67108864, 8192 -- the server's

local head, body = ffi.new("struct http_head"), ffi.new("struct http_body")
local used, data = ffi.new("size_t[1]"), ffi.new("struct http_span")

local Reader = {}
Reader.__index = Reader

-- Some more of the bytes; false where there are none.
function Reader:more()
  if self.at >= #self.bytes then return false end
  self.have = self.have .. self.bytes:sub(self.at + 1, self.at + self.step)
  self.at = self.at + self.step
  return true
end

function Reader:drop(n) self.have = self.have:sub(n + 1) end

-- Calls a parser of heads until it has one -> the head's bytes | nil where they end before | false, status; too_long
-- tells that of a head which is longer than `most`.
function Reader:parse(parser, most, too_long)
  while true do
    local n = math.min(#self.have, most)
    local got = parser(head, edge.place(self.have:sub(1, n)), n)
    if got < 0 then return false, lib.h1_parse_status(got) end
    if got > 0 then
      local bytes = self.have:sub(1, got)
      self:drop(got)
      return bytes
    end
    if #self.have >= most then return false, too_long(edge.place(self.have:sub(1, n)), n) end
    if not self:more() then return nil end
  end
end

local function text(bytes, span) return bytes:sub(span.at + 1, span.at + span.length) end

local function overlong(bytes, n) return lib.h1_parse_status(lib.h1_parse_overlong(bytes, n)) end
local function parse_trailers(_, bytes, n) return lib.h1_parse_trailers(bytes, n) end

function Reader:trailers()
  local bytes, status = self:parse(parse_trailers, TRAILERS_MAX, function() return 400 end)
  if not bytes then return bytes, status end
  lib.h1_trailer_taken(body)
  local list, field, at = {}, ffi.new("struct http_field"), ffi.new("size_t[1]")
  while lib.h1_parse_trailer(field, bytes, #bytes, at) == 1 and field.name.length > 0 do
    list[#list + 1] = text(bytes, field.name):lower() .. "=" .. text(bytes, field.value)
  end
  return list[1] and " {" .. table.concat(list, ",") .. "}" or ""
end

-- The body and what tell() writes behind it.
function Reader:body()
  local parts, trailers = {}, ""
  while true do
    local step = lib.h1_take(body, edge.place(self.have), #self.have, used, data)
    if step < 0 then return false, lib.h1_parse_status(step) end
    if step == lib.HTTP_BYTES then parts[#parts + 1] = text(self.have, data) end
    self:drop(tonumber(used[0]))
    if step == lib.HTTP_OVER then return ("[%s]%s"):format(table.concat(parts), trailers) end
    if step == lib.HTTP_TRAILER_NEXT then
      local status
      trailers, status = self:trailers()
      if not trailers then return trailers, status end
    elseif step == lib.HTTP_NEED and self.have == "" and not self:more() then
      return nil
    end
  end
end

-- One request -> what tell() says of it | nil where the bytes end | false, status; and: does the connection go on?
function Reader:request()
  local bytes, status = self:parse(lib.h1_parse_request, HEAD_MAX, overlong)
  if not bytes then return bytes, status end
  if head.content_length > BODY_MAX then return false, 413 end
  local query = head.has_query and "?" .. text(bytes, head.query) or ""
  local path = text(bytes, head.path)
  local line = text(bytes, head.method) .. " " .. (path ~= "" and path or "/") .. query .. " "
  local peer = ffi.new("struct http_peer")
  lib.h1_peer_of(peer, head, bytes)
  lib.h1_request_body(body, head)
  local told
  told, status = self:body()
  return told and line .. told, status, peer.keep_alive
end

-- What is answered to these bytes, `step` of which arrive at a time: statuses and texts, and is the connection closed?
local function read(bytes, step)
  local reader = setmetatable({ bytes = bytes, step = step, at = 0, have = "" }, Reader)
  local answers = {}
  while true do
    local told, status, goes_on = reader:request()
    if told == nil then return answers, false end
    answers[#answers + 1] = told or status
    if not told or not goes_on then return answers, true end
  end
end

-- What the case says that is answered.
local function expected(case)
  local answers = {}
  for i = 1, math.max(case.answers and #case.answers or 0, case.says and #case.says or 0) do
    local status = case.answers and case.answers[i] or 200
    answers[i] = status == 200 and case.says[i] or status
  end
  return answers
end

for _, name in ipairs { "framing", "refused" } do
  describe("at the end of memory, " .. name .. ":", function()
    for _, case in ipairs(require("wire." .. name)) do
      it(case[1], function()
        local bytes = case[2]:gsub("HOST", "Host: a")
        for _, step in ipairs { #bytes, 1, 2, 7 } do
          local answers, closed = read(bytes, step)
          assert.same({ expected(case), case.closed or false }, { answers, closed }, step .. " bytes at a time")
        end
      end)
    end
  end)
end

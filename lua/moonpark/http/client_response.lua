-- SPDX-License-Identifier: MIT
-- client_response.lua - a response that a client has received. With the last byte of its body the connection goes back
-- to the pool, or is closed.

local http_decode = require "moonpark.http.decode"
local http_fields = require "moonpark.http.fields"
local http_json = require "moonpark.http.json"
local http_set_cookie = require "moonpark.http.set_cookie"
local misuse = require "moonpark.http.misuse"
local whole_body = require "moonpark.http.whole_body"
local upstream = require "moonpark.http.upstream"
local check_bytes = require("moonpark.options").check_bytes

local M = {}

--- The default maximum of a body that is held in memory.
M.BODY_MAX = 67108864

---@class moonpark.http.answer
---@field status integer
---@field reason string
---@field version string "1.1" or "1.0"
---@field headers moonpark.http.fields answer.headers["content-type"]: any case
---@field url string where it came from, after redirects
---@field body string|nil nil if it streams
---@field connection moonpark.connection|nil after a 101, or a 2xx to a CONNECT: it belongs to you
local Answer = {}
Answer.__index = Answer

M.Answer = Answer

---@class moonpark.http.use: moonpark.http.upstream.use what a request has of the pool, until its answer's body was read
---@field keep boolean the request allows that the connection continues
---@field deadline number|nil
---@field upload moonpark.http.upload|false the request's body, which may still be on its way up
---@field begun boolean some of the answer has come
---@field framing string|nil of the answer's body: "none", "length", "chunks", "end"
---@field announced integer|nil bytes of it
---@field all_read boolean|nil there is no body, or an empty one
---@field decoder table|nil|false takes a coding off it
---@field decoded string|nil was decoded, and not asked for yet
---@field err string|nil why the body could not be read: so says every later read
---@field is_read boolean|nil a task is in a read of it

-- Does the request allow that another one follows on the connection?
local function is_reusable(use)
  if not use.entry or not use.keep then return false end
  if use.upload and not use.upload.done then return false end -- what follows would be taken for the rest of it
  return not use.deadline or use.entry.conn:set_deadline(nil)
end

--- Gives the connection back, or closes it; the request is over. Where that raises, for there is no memory, a broken
--- one can still be released.
---@param use moonpark.http.use
---@param broken boolean
function M.release(use, broken)
  upstream.put_back(use, broken or not is_reusable(use))
  upstream.leave(use)
  local upload = use.upload
  if upload and not upload.done then upload:stop() end
end

--- The connection, which is no longer the pool's.
---@param use moonpark.http.use
---@return moonpark.connection|nil
---@return string? err
---@return integer? errno
function M.take_connection(use)
  local conn = use.entry.conn
  local ok, err, errno = conn:set_deadline(nil)
  if not ok then
    M.release(use, true)
    return nil, err, errno
  end
  conn:set_timeout(nil)
  upstream.give_away(use)
  upstream.leave(use)
  return conn
end

-- The body's end: of what was read, or of a connection that has failed before it. What a failing read is told is the
-- request's own failure, where that ended the connection.
local function ending(use)
  if use.has_raised then error(use.err, 0) end
  return nil, use.err or "eof", use.errno
end

-- The first reason stays, whatever becomes of the request's body afterwards.
local function fail(use, err, errno)
  use.err, use.errno = err, errno
  M.release(use, true)
  return ending(use)
end

local function fail_reading(use, err, errno)
  if use.upload then
    local ran, _, why, number = pcall(use.upload.explain, use.upload, err, errno)
    if ran then err, errno = why, number else use.has_raised, err, errno = true, use.upload.raised, nil end
  end
  return fail(use, err, errno)
end

local function finish(self, use)
  if use.framing == "chunks" then rawset(self, "trailer", use.entry.reader:trailers()) end
  M.release(use, false)
end

-- Some of the body as it was sent.
local function read_raw(self, max)
  local use = self.use
  local entry = use.entry
  if not entry then return ending(use) end
  local data, err, errno = entry.reader:read(entry.conn, max)
  if data then return data end
  if err ~= "eof" then return fail_reading(use, err, errno) end
  finish(self, use)
  return nil, "eof"
end

-- Some of it as it was meant.
local function read_decoded(self)
  local use = self.use
  local decoder = use.decoder
  if use.err then return ending(use) end
  while true do
    local data, wrong = decoder:pull()
    if data then return data end
    if data == false then return fail(use, wrong) end
    local raw, err, errno = read_raw(self)
    if not raw then
      if err ~= "eof" then return nil, err, errno end
      if decoder:is_complete() or not use.pushed then return nil, "eof" end
      use.err = "unexpected eof"
      return nil, use.err
    end
    use.pushed = true
    decoder:push(raw)
  end
end

local function read_some(self, max)
  local use = self.use
  if not use.decoder then return read_raw(self, max) end
  local data = use.decoded
  use.decoded = nil
  if not data then
    local err, errno
    data, err, errno = read_decoded(self)
    if not data then return nil, err, errno end
  end
  if max and #data > max then
    use.decoded = data:sub(max + 1)
    return data:sub(1, max)
  end
  return data
end

-- Where there was no memory for what was read, the rest is not the rest of anything.
local function leave_read(use, ran, ...)
  use.is_read = false
  if ran then return ... end
  if (...) == "not enough memory" and not use.err then pcall(fail, use, (...)) end
  error((...), 0)
end

local function read_alone(self, max)
  local use = self.use
  use.is_read = true
  return leave_read(use, pcall(read_some, self, max))
end

-- Two tasks would each get a half of it, and take it for the whole.
local function check_reader(self)
  if self.use.is_read or rawget(self, "whole_body") == false then error("another task is reading this body", 3) end
end

--- Some of the body, as it comes. The connection is free again once it has said "eof". Once it has failed, it fails in
--- the same way. Raises while another task reads it.
---@param max? integer bytes at most; 65536
---@return string|nil data
---@return string? err "eof" at its end, "unexpected eof", "malformed message", "invalid encoding", "timeout", ...
---@return integer? errno
function Answer:read(max)
  check_bytes(max, 1)
  check_reader(self)
  return read_alone(self, max)
end

--- for piece in answer:chunks() do ... end; ends with the body and at any failure; then answer.body_error tells it.
---@param max? integer
---@return fun(): string|nil
function Answer:chunks(max)
  check_bytes(max, 1)
  return function()
    check_reader(self)
    local data, err = read_alone(self, max)
    if not data and err ~= "eof" then self.body_error = err end
    return data
  end
end

--- Gives up the rest of the body: closes the connection unless all of it has come.
---@return true
function Answer:close()
  local use = self.use
  if use and use.entry then
    use.err = "closed"
    M.release(use, true)
  end
  return true
end

local function refuse_excess(self) return fail(self.use, "too long") end

local function take_all(self, max)
  local use, entry = self.use, self.use.entry
  if not entry or use.decoder or use.framing ~= "length" then
    return whole_body.gather(self, max, refuse_excess, read_some)
  end
  if use.announced > max then return fail(use, "too long") end
  local data, err, errno = entry.reader:whole(entry.conn, max)
  if not data then return fail_reading(use, err, errno) end
  M.release(use, false)
  return data
end

local function take_all_alone(self, max) return leave_read(self.use, pcall(take_all, self, max)) end

--- Reads the whole body: what is left of it, where some was read before. It is kept: a second call returns it again,
--- and several tasks may ask for it at the same time. Once it has failed, it fails in the same way.
---@param max? integer bytes at most; 64 MiB
---@return string|nil
---@return string? err
---@return integer? errno
function Answer:read_all(max)
  check_bytes(max, 0)
  if rawget(self, "whole_body") == nil then check_reader(self) end
  return whole_body.once(self, "whole_body", take_all_alone, max or M.BODY_MAX)
end

--- The body as JSON.
---@return any value
---@return string? err
function Answer:json()
  local body = self.body
  if not body then
    local err, errno
    body, err, errno = self:read_all()
    if not body then return nil, err, errno end
  end
  local value = http_json.decode(body)
  if value == nil then return nil, "invalid JSON" end
  return value
end

--- The value of a field, of repeated ones all, joined by ", "; nil if there is none.
---@param name string any case
---@return string|nil
function Answer:header(name) return self.headers[name] end

--- The values of a field that may be repeated, in their order.
---@param name string any case
---@return string[]
function Answer:header_values(name)
  if type(name) ~= "string" then error(("header name must be a string, got %s"):format(type(name)), 2) end
  return http_fields.all(self.headers, name)
end

--- for name, value in answer:each_header() do ... end: in their order, names in lower case.
---@return fun(): string|nil, string|nil
function Answer:each_header() return http_fields.each(self.headers) end

--- The cookies that the server wants kept, one for each Set-Cookie field that is one (RFC 6265 5.2), in their order.
---@return moonpark.http.set_cookie[]
function Answer:cookies()
  local cookies = {}
  for _, value in ipairs(self:header_values("set-cookie")) do
    cookies[#cookies + 1] = http_set_cookie.parse(value)
  end
  return cookies
end

--- The fields after a chunked body, once it has been read.
---@return moonpark.http.fields
function Answer:trailers() return http_fields.received(rawget(self, "trailer") or {}) end

--- The answer, which is read piece by piece from now on. Where it has no body its connection is free at once. The
--- connection of one that is forgotten before its end is closed when it is collected.
---@param answer moonpark.http.answer
---@return moonpark.http.answer
function M.streams(answer)
  local use = answer.use
  if use.all_read then
    M.release(use, false)
    return answer
  end
  local guard = newproxy(true)
  getmetatable(guard).__gc = function() pcall(M.release, use, true) end
  answer.guard = guard -- which nothing else keeps
  return answer
end

-- Has the core taken the transfer codings off?
local function is_plain(codings) return not codings or codings:lower() == "chunked" or codings:lower() == "identity" end

--- An answer whose head the entry's reader has read.
---@param use moonpark.http.use
---@param status integer
---@param decode boolean
---@return moonpark.http.answer
function M.new(use, status, decode)
  local reader = use.entry.reader
  local reason, minor = reader:status_line()
  local list = reader:fields()
  local framing, announced, all_read = reader:framing()
  use.framing, use.announced, use.all_read = framing, announced, all_read
  if decode and not all_read then
    local fields = http_fields.received(list)
    local coding = fields["content-encoding"] -- of several fields all: such a body is packed twice
    use.decoder = coding and is_plain(fields["transfer-encoding"]) and http_decode.new(coding)
    if use.decoder then
      http_fields.remove(list, "content-encoding")
      http_fields.remove(list, "content-length")
    end
  end
  return setmetatable({ status = status, reason = reason, version = minor == 0 and "1.0" or "1.1",
    headers = http_fields.received(list), use = use }, Answer)
end

misuse.guard(Answer, "answer", "answer", "use")
misuse.check_names(Answer, "answers", { "status", "reason", "version", "headers", "url", "body", "connection", "use",
  "trailer", "body_error" }, { code = "status", status_code = "status", statusCode = "status", text = "body",
  content = "body" })

return M

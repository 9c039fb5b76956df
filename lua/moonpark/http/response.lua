-- SPDX-License-Identifier: MIT
-- response.lua - the response object of a handler. A whole response is one call into the core; a streamed one begins
-- with the first write.
--
-- A response may have one `transform`, which changes its body (http/compress.lua). It keeps no state of a response, so
-- one table serves all. Its functions:
--
--   whole(self, res, body, type) -> body              called by send; may set fields
--   begin(self, res, length, type) -> length, stream  called by begin; returns the new length, nil if it is unknown
--                                                     now, and an object that changes the pieces, nil for none
--   stream:piece(data) -> data                        called by each write; "": nothing to send yet
--   stream:last() -> data                             called by finish; returns the remaining bytes, or ""
--
--   unchanged(self, res, length, type)                called for a 304: sets the fields that the 200 would have;
--                                                     length: of its body, if known
--
-- It is not called if the body may not change: 204, 205, 206. A response that is cut off does not notify its stream:
-- the collector must be able to free what the stream holds.
--
-- Calls into the core are tail calls if possible, so that its errors name the script's line.

local core = require "moonpark.core"
local http_events = require "moonpark.http.events"
local http_fields = require "moonpark.http.fields"
local file_response = require "moonpark.http.file_response"
local http_json = require "moonpark.http.json"
local misuse = require "moonpark.http.misuse"
local mistakes = require "moonpark.http.response_misuse"
local raise_outside = require "moonpark.outside"

---@class moonpark.http.response
---@field status integer 200
---@field type string|nil the Content-Type; what is sent picks one if there is none
---@field request moonpark.http.request
---@field transform table|nil what changes the body on its way
local Response = {}
Response.status = 200

-- {x, serial, request, function or functions of after(), or false, fields or false, progress}: an array, as in
-- http/request.lua. progress: false; true, once an answer may have begun; of a handler that has not answered, what is
-- known about it (http/returned.lua).
local places = { x = 1, serial = 2, request = 3, fields = 5 }
local unspoken = mistakes.fields -- what may be nil

function Response.__index(self, name)
  local value = Response[name]
  if value ~= nil then return value end
  local place = places[name]
  if place then return rawget(self, place) or nil end
  if not unspoken[name] then mistakes.missing(Response, self, name) end
end

-- Set by scripts and by this library, without a second look.
local plain = { length = true, transform = true, stream = true, finish = true, abandon = true }

function Response.__newindex(self, name, value)
  if name == "fields" then rawset(self, 5, value or false)
  elseif plain[name] or value == nil then rawset(self, name, value)
  elseif name == "status" or name == "type" then
    mistakes.check_open(self, 2)
    rawset(self, name, value)
  else rawset(self, name, mistakes.assigned(Response, self, name, value)) end
end


local lower, check_open, put = http_fields.lower, mistakes.check_open, mistakes.put

local TEXT, JSON, HTML = "text/plain; charset=utf-8", "application/json", "text/html; charset=utf-8"

local fields_of = http_fields.of_response

---------------------------------------------------------------------------------------------------
-- fields

-- Fields that handlers cannot set, because they say where the message ends, or are written anyway.
local special = {
  ["content-type"] = function(self, value) self.type = value end,
  ["content-length"] = function(self, value)
    local length = tonumber(value)
    if value ~= nil and not (length and length >= 0 and length % 1 == 0) then
      error(("header 'Content-Length' must be a whole number of bytes, got %s"):format(tostring(value)), 3)
    end
    self.length = length
  end,
  ["transfer-encoding"] = function() error("header 'Transfer-Encoding' is set by the server", 3) end,
  ["connection"] = function(self, value)
    if value == nil then return end
    if tostring(value):lower() ~= "close" then error("header 'Connection' can only be set to 'close'", 3) end
    self.x:keep_alive(self.serial, false)
  end,
  ["date"] = function() end,
}

local function check_name(name)
  if type(name) ~= "string" then error(("header name must be a string, got %s"):format(type(name)), 3) end
end

local function check_value(name, value)
  local kind = type(value)
  if kind ~= "string" and kind ~= "number" then
    error(("header '%s' must be a string or number, got %s"):format(name, kind), 3)
  end
end

--- Sets a field, in place of those of that name. A value that would split the header raises when it is sent.
--- Content-Type is res.type; Content-Length is the length of a stream; Connection can only be "close"; Date is the
--- server's.
---@param name string
---@param value string|number|nil nil: removes it
---@return moonpark.http.response self
function Response:set(name, value)
  check_name(name)
  if value ~= nil then check_value(name, value) end
  check_open(self, 2, name)
  local own = special[lower[name]]
  if own then own(self, value)
  else http_fields.set(fields_of(self), name, value) end
  return self
end

--- Adds a field to those of that name.
---@param name string
---@param value string|number
---@return moonpark.http.response self
function Response:add(name, value)
  check_name(name)
  check_value(name, value)
  check_open(self, 2, name)
  local own = special[lower[name]]
  if own then own(self, value)
  else http_fields.add(fields_of(self), name, value) end
  return self
end

--- The field's value, or nil; the first if it is repeated.
---@param name string
---@return string|nil
function Response:get(name)
  check_name(name)
  name = lower[name]
  if name == "content-type" then return self.type end
  if name == "content-length" then return self.length and tostring(self.length) end
  local fields = self.fields
  return fields and http_fields.get(fields, name)
end

--- Adds a name to Vary, if it is not there: the response depends on that field.
---@param name string
---@return moonpark.http.response self
function Response:vary(name)
  check_name(name)
  local before = http_fields.joined(fields_of(self), "Vary")
  if not before then return self:set("Vary", name) end
  if before == "*" or http_fields.lists(before, name) then return self end
  return self:set("Vary", before .. ", " .. name)
end

--- Sets a cookie (RFC 6265). Raises if it would not be valid.
---@param name string
---@param value string|number
---@param options? moonpark.http.cookie.options
---@return moonpark.http.response self
function Response:cookie(name, value, options)
  return self:add("Set-Cookie", http_fields.format_cookie(name, value, options))
end

-- Fields that a page needs to see the response at all, and a log to name it, stay even if the handler fails.
local function is_kept(name, value)
  name = lower[name]
  local wanted = name == "vary" or name == "x-request-id" or name:find("^access%-control%-[%w%-]+$")
  return wanted and not tostring(value):find("[%z\1-\31\127]")
end

--- Calls fn(req, res) when the head of the response is about to be made, whatever makes it: fn may set fields. Each
--- function is called once, in the order in which they came; not if the response is reset.
---@param fn fun(req: moonpark.http.request, res: moonpark.http.response)
---@return moonpark.http.response self
function Response:before(fn)
  if type(fn) ~= "function" then error(("function expected, got %s"):format(type(fn)), 2) end
  local fns = self.preparing -- of a table in front of the response the response's own, too
  if not fns then
    fns = {}
    self.preparing = fns
  end
  fns[#fns + 1] = fn
  return self
end

--- Forgets what was prepared, except for Vary, X-Request-Id and the fields of CORS. Nothing may have been sent.
---@return moonpark.http.response self
function Response:reset()
  local before = rawget(self, 5) or rawget(self, "fields") or {} -- of a table in front of the response only its own
  self.fields, self.transform, self.type, self.length, self.status, self.preparing = nil, nil, nil, nil, nil, nil
  for i = 1, #before, 2 do
    if is_kept(before[i], before[i + 1]) then self:add(before[i], before[i + 1]) end
  end
  return self
end

---------------------------------------------------------------------------------------------------
-- whole responses

-- The body must not change if the status has none, or if the bytes are a part of another body.
local function may_change(status) return status ~= 204 and status ~= 205 and status ~= 206 and status ~= 304 end

local send = core.http_exchange_class.send

local function check_body(body)
  local kind = type(body)
  if kind ~= "string" and kind ~= "number" then error("body must be a string or number, got " .. kind, 4) end
end

-- The body as the transform sends it. Raises at the line of the caller's caller.
local function change(self, transform, body, kind)
  check_body(body)
  local status = self.status
  if may_change(status) then return transform:whole(self, body, self.type or kind) end
  if status == 304 then transform:unchanged(self, body ~= "" and #tostring(body) or self.length, self.type or kind) end
  return body
end

-- Calls the functions of before(), once: the head is about to be made.
local function prepare(self)
  local fns = self.preparing
  if not fns or fns.done then return end
  fns.done = true
  for i = 1, #fns do fns[i](self.request, self) end
end

---@private
Response.prepare = prepare

-- For a table in front of the response: fields that it does not have are the response's.
local function send_through(self, body, kind)
  prepare(self)
  local transform = self.transform
  if transform then body = change(self, transform, body, kind) end
  return send(self.x, self.serial, self.status, body, self.type or kind, self.fields)
end

local function send_now(self, body, kind)
  if not rawget(self, 1) then return send_through(self, body, kind) end
  if rawget(self, "preparing") then prepare(self) end
  self[6] = true
  local transform = rawget(self, "transform")
  if transform then body = change(self, transform, body, kind) end
  return send(self[1], self[2], rawget(self, "status") or 200, body, rawget(self, "type") or kind, self[5])
end

--- Sends the whole response. Raises if it was sent or has begun already, and if a field would split the header.
---@param body string|number|nil
---@param extra? nil a second value is a mistake, or left over from a call that returns more
---@return true|nil
---@return string? err
---@return integer? errno
function Response:send(body, extra)
  if extra ~= nil then mistakes.check_extra(self, "send", body, extra) end
  if body == nil then
    return send_now(self, "", self.status ~= 204 and TEXT or nil)
  end
  return send_now(self, body, TEXT)
end

local function check_text(data)
  local kind = type(data)
  if kind ~= "string" and kind ~= "number" then error(("data must be a string or number, got %s"):format(kind), 3) end
end

local function json_text(text, why)
  if not text then error(why, 3) end
  return text
end

local function text_of(self, value, extra)
  if extra ~= nil or value == nil then mistakes.check_json(self, value, extra) end
  return json_text(http_json.encode(value))
end

--- Sends a value as JSON. An empty table is {}; http.null is null. Raises for values that are not JSON: functions, NaN,
--- keys that are neither strings nor numbers, arrays with large holes, more than 100 levels.
---@param value any not nil
---@param extra? nil as of send
---@return true|nil
---@return string? err
---@return integer? errno
function Response:json(value, extra) return send_now(self, text_of(self, value, extra), JSON) end

--- Sends a list as JSON: an array even if it is empty.
---@param list table
---@return true|nil
---@return string? err
---@return integer? errno
function Response:json_list(list)
  if type(list) ~= "table" then error("json_list: list expected, got " .. type(list), 2) end
  return send_now(self, json_text(http_json.encode_list(list)), JSON)
end

--- Sends a page of HTML. See http.template for pages with values in them.
---@param page string
---@return true|nil
---@return string? err
---@return integer? errno
function Response:html(page) return send_now(self, page, HTML) end

--- Sends the client elsewhere.
---@param location string percent-encoded already; may be relative
---@param status? integer 302; 301, 303, 307, 308
---@return true|nil
---@return string? err
---@return integer? errno
function Response:redirect(location, status)
  mistakes.check_redirect(location, status)
  check_open(self, 2)
  put(self, "status", status or 302)
  self:set("Location", location)
  return send_now(self, "", TEXT)
end

--- Sends a plain response for a status: its reason as text. The router and the server call this function too, so
--- middleware can replace it: res.fail = function(self, status, text) ... end.
---@param status integer
---@param text? string
---@return true|nil
---@return string? err
---@return integer? errno
function Response:fail(status, text)
  if type(status) ~= "number" then
    error(("status must be a whole number from 200 to 999, got %s"):format(tostring(status)), 2)
  end
  if text == nil then text = http_fields.reason(status) end
  check_text(text)
  put(self, "status", status)
  return send_now(self, text .. "\n", TEXT)
end

-- The status that a client gets when its body could not be read.
local refusals = {
  ["too long"] = 413, ["too many fields"] = 413, ["too many parts"] = 413, ["part too long"] = 413,
  ["part head too long"] = 413, ["not a form"] = 415, ["not multipart"] = 415, ["timeout"] = 408,
}

--- Responds to a body that req:body, req:json and the like could not read: 413, 415, 408, or 400 with the error's text.
--- If a handler returns without a response after such a failure, the server does this.
---@param err string|nil what they have returned
---@return true|nil
---@return string? err
---@return integer? errno
function Response:refuse(err)
  err = err or "bad request"
  return self:fail(refusals[err] or 400, err)
end

---------------------------------------------------------------------------------------------------
-- streams

--- Has the response begun?
---@return boolean
function Response:is_begun() return self.x:phase(self.serial) ~= "unsent" end

-- What the stream makes of the data must be sent whole, or nothing can follow: the stream has already consumed it.
local function write_changed(self, stream, step, data)
  local changed = step(stream, data)
  if changed == "" then return true end
  return self.x:write(self.serial, changed)
end

local function leave(self, stream, ran, ...)
  stream.is_busy = nil
  if ran then return ... end
  pcall(self.x.abort, self.x, self.serial) -- raises if the request is over, and so does what has raised already
  return raise_outside(false, ...)
end

-- Other tasks run between the pieces of large data, and while the client does not read. None of them may use or end the
-- stream meanwhile: what it works in would be gone, or another response's. Raises at the line of the caller's caller.
local function write_through(self, stream, step, data)
  if stream.is_busy then error("another task is writing this response", 3) end
  local err, errno = self.x:failure(self.serial)
  if err then return nil, err, errno end
  stream.is_busy = true
  return leave(self, stream, pcall(write_changed, self, stream, step, data))
end

local function begin(self, length)
  prepare(self)
  mistakes.note_begin(self)
  length = length or self.length
  local transform = self.transform
  local stream
  if transform and may_change(self.status) then
    length, stream = transform:begin(self, length, self.type or TEXT)
  elseif transform and self.status == 304 then
    transform:unchanged(self, length, self.type or TEXT)
  end
  if not stream then return self.x:begin(self.serial, self.status, length, self.type or TEXT, self.fields) end
  local ok, err, errno = self.x:begin(self.serial, self.status, length, self.type or TEXT, self.fields)
  if ok then self.stream = stream end -- if it is refused, the current stream continues
  return ok, err, errno
end

--- Begins a response whose body follows by write(). The head leaves with the first bytes of the body.
---@param length? integer bytes, if they are known; then exactly as many must follow
---@return true|nil
---@return string? err
---@return integer? errno
function Response:begin(length)
  if not rawget(self, "transform") then return begin(self, length) end
  local ok, err, errno = raise_outside(pcall(begin, self, length))
  return ok, err, errno -- no tail call: raise_outside counts levels
end

-- Raises at the line of the caller's caller.
local function joined(...)
  local parts = { ... }
  for i = 1, select("#", ...) do
    local kind = type(parts[i])
    if kind ~= "string" and kind ~= "number" then error("data must be a string or number, got " .. kind, 3) end
  end
  return table.concat(parts)
end

--- Streams: each call sends what it is given, and waits while the client does not read. Raises after the response has
--- ended, and if more comes than was announced. After a failure the response is cut off, and later calls fail in the
--- same way.
---@param ... string|number
---@return true|nil
---@return string? err "timeout", "canceled", "connection reset by peer", ...
---@return integer? errno
function Response:write(...)
  local data, n = ..., select("#", ...)
  if n ~= 1 then data = joined(...) end
  if self.x:phase(self.serial) == "unsent" then
    check_text(data) -- before anything is sent
    local ok, err, errno = raise_outside(pcall(begin, self))
    if not ok then return nil, err, errno end
  end
  local stream = rawget(self, "stream")
  if not stream then return self.x:write(self.serial, data) end
  check_text(data)
  local ok, err, errno = write_through(self, stream, stream.piece, data)
  return ok, err, errno -- no tail call: write_through counts levels
end

--- Ends what was written; the server does this when the handler returns. Raises if less came than was announced.
---@return true|nil
---@return string? err
---@return integer? errno
function Response:finish()
  local stream = rawget(self, "stream")
  if stream then
    local ok, err, errno = write_through(self, stream, stream.last)
    self.stream = nil
    if not ok then return nil, err, errno end
  end
  return self.x:finish(self.serial)
end

--- Calls fn(req, res) when the response has finished or failed: for logs. res:sent() says which.
---@param fn fun(req: moonpark.http.request, res: moonpark.http.response)
---@return moonpark.http.response self
function Response:after(fn)
  if type(fn) ~= "function" then error(("function expected, got %s"):format(type(fn)), 2) end
  local others = self[4]
  if not others then self[4] = fn
  elseif type(others) == "function" then self[4] = { others, fn }
  else others[#others + 1] = fn end
  return self
end

--- The status that was sent (0: none), how many bytes of body, and why the response was cut off, if it was.
---@return integer status
---@return integer bytes
---@return string|nil err "timeout", "canceled"; "closed": by the server, as its handler has failed; ...
function Response:sent()
  local request = self.request
  if rawget(request, "hijacked") then
    return (rawget(request, "websocket") or rawget(request, "switched")) and 101 or 0, 0
  end
  local status, bytes = self.x:sent(self.serial)
  return status, bytes, (self.x:failure(self.serial))
end

Response.file = file_response.file
Response.events = http_events.events

--- Makes the connection a WebSocket; see docs/websocket.md.
---@overload fun(self: moonpark.http.response, options: moonpark.websocket.server.options|nil,
--- handler: fun(ws: moonpark.websocket)): true|nil, string?, integer?
---@param options? moonpark.websocket.server.options
---@param handler? fun(ws: moonpark.websocket)
---@return moonpark.websocket|nil ws true if there is a handler
---@return string? err
---@return integer? errno
function Response:websocket(options, handler)
  Response.websocket = require("moonpark.http.websocket_server").websocket
  return Response.websocket(self, options, handler)
end

misuse.guard(Response, "response", "res", "x")
mistakes.know("res", Response, {})

return { Response = Response, refusals = refusals, hint = mistakes.hint }

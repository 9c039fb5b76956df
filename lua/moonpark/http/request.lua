-- SPDX-License-Identifier: MIT
-- request.lua - the request that a handler gets. Method and path are there at once; everything else is made from the
-- bytes of the head when it is first used.
--
-- What every request has is kept in an array and is still found by name: {x, serial, method, raw_path, params | what
-- makes them | false, its two arguments, query, headers, cookies}; the last three are false until they are read. Most
-- requests never need a hash part, and a table without one costs half as much to make and to collect.

local http_fields = require "moonpark.http.fields"
local http_json = require "moonpark.http.json"
local http_multipart = require "moonpark.http.multipart"
local misuse = require "moonpark.http.misuse"
local mistakes = require "moonpark.http.response_misuse"
local option = require "moonpark.options"
local once = require("moonpark.http.whole_body").once
local raise_outside = require "moonpark.outside"
local url = require "moonpark.url"

---@class moonpark.http.request.tls
---@field version string "TLSv1.3"
---@field cipher string
---@field server_name string|nil what the client has asked for
---@field alpn string|nil
---@field resumed boolean
---@field verified boolean the client has shown a certificate, and it was verified
---@field certificate string|nil the client's, in DER

---@class moonpark.http.request
---@field method string "GET", ...; as it was sent
---@field path string decoded; begins with "/" ("*" of OPTIONS *)
---@field raw_path string as sent; below a mounted router the part after its prefix
---@field params table<string, string> what the router has found in the path, decoded
---@field target string as it was sent
---@field query table<string, string> the last value of each name; see queries()
---@field query_string string without the "?"; ""
---@field host string|nil of the Host field or the target, with its port
---@field version string "1.1" or "1.0"
---@field headers moonpark.http.fields req.headers["content-type"]: any case
---@field cookies table<string, string>
---@field scheme string "https" if it came over TLS, else "http"
---@field tls moonpark.http.request.tls|nil if it came over TLS
---@field address string|nil the client's, "127.0.0.1:50000"
---@field local_address string|nil where the client has connected to, "127.0.0.1:8080"
---@field body_error string|nil why the body could not be read, once that has failed
---@field user string|nil the user that http.basic_auth has admitted
---@field id string|nil what http.request_id has given it
---@field session moonpark.http.session|nil with http.sessions
local Request = {}

local check_bytes = option.check_bytes

local PIECE = 65536      -- the default maximum of read()
local BODY_MAX = 8388608 -- bytes that body() holds by default
local FORM_MAX = 1000    -- names of a form

-- [exchange] = true if its server speaks TLS
local secured = setmetatable({}, { __mode = "k" })

-- field = function(request) -> value: made when it is first read, and kept
local lazy = {}

local function take_target(self)
  local target, query, authority, minor, form = self.x:target(self.serial)
  self.target = target
  self.query_string = query or ""
  self.host = authority ~= "" and authority or nil
  self.version = minor == 0 and "1.0" or "1.1"
  self.target_form = form
end

for _, name in ipairs { "target", "query_string", "host", "version", "target_form" } do
  lazy[name] = function(self)
    take_target(self)
    return rawget(self, name)
  end
end

function lazy.path(self) return url.decode(self.raw_path) or self.raw_path end
function lazy.headers(self) return http_fields.of_request(self.x, self.serial) end
function lazy.query(self) return self.x:query(self.serial) end

function lazy.cookies(self) return self.x:cookies(self.serial) end
function lazy.scheme(self) return secured[self.x] and "https" or "http" end

function lazy.tls(self)
  if not secured[self.x] then return nil end
  local info = self.x:tls(self.serial)
  if info then info.certificate = self.x:client_certificate(self.serial) end
  return info
end

function lazy.address(self) return (self.x:peer(self.serial)) end

function lazy.local_address(self) return (self.x:local_address(self.serial)) end

-- Of http.sessions.
function lazy.session(self)
  local open = rawget(self, "open_session")
  return open and open(self)
end

-- Of the path that the router has seen: a mounted one sees another path afterwards. They take the place of what makes
-- them, so that a request whose params are read, and nothing else by name, needs no hash part for them.
local function params_of(self)
  local params = rawget(self, 5)
  if type(params) ~= "table" then
    params = params and params(rawget(self, 6), rawget(self, 7)) or {}
    rawset(self, 5, params)
  end
  return params
end

-- Where the array holds them. The later ones are false until they are first read.
local places = { x = 1, serial = 2, method = 3, raw_path = 4, query = 8, headers = 9, cookies = 10, id = 11 }

-- Scripts may set any other field, so that an unknown one is nil.
local FIELDS = { "method", "path", "raw_path", "params", "target", "query", "query_string", "host", "version",
  "headers", "cookies", "scheme", "tls", "address", "body_error", "user", "id", "target_form", "allowed", "hijacked" }
local FOREIGN = { args = "query", param = "params", url = "target", uri = "target", ip = "address",
  remote_addr = "address", remote_address = "address", get = "header", post = "form", files = "multipart",
  text = "body", protocol = "scheme" }
local names = misuse.names(Request, "requests", FIELDS, FOREIGN)
local seen = names.seen

local function made(self, name, place)
  local make = lazy[name]
  if not make then
    if not seen[name] then names:check(name, mistakes.log_of(self)) end
    return nil
  end
  local value = make(self)
  rawset(self, place, value)
  return value
end

function Request.__index(self, name)
  if name == "params" then return params_of(self) end
  local place = places[name]
  if place then return rawget(self, place) or made(self, name, place) end
  return Request[name] or made(self, name, name)
end

function Request.__newindex(self, name, value)
  if not seen[name] then names:own(name) end
  rawset(self, places[name] or name, value)
end

---------------------------------------------------------------------------------------------------
-- the head

--- The value of a field; if it is repeated, all values joined by ", "; nil if there is none.
---@param name string any case
---@return string|nil
function Request:header(name)
  if type(name) ~= "string" then error(("header name must be a string, got %s"):format(type(name)), 2) end
  return self.x:field(self.serial, name)
end

--- The values of a field that may be repeated, in their order.
---@param name string any case
---@return string[]
function Request:header_values(name)
  if type(name) ~= "string" then error(("header name must be a string, got %s"):format(type(name)), 2) end
  return http_fields.all(self.headers, name)
end

--- for name, value in req:each_header() do ... end: in their order, names in lower case.
---@return fun(): string|nil, string|nil
function Request:each_header() return http_fields.each(self.headers) end

--- Every name and value of the query in their order: {{name, value}, ...}.
---@return table[]
function Request:queries() return url.parse_form(self.query_string) end

--- The media type of the body in lower case, without its parameters; nil if none is given.
---@return string|nil
function Request:content_type()
  local value = self:header("content-type")
  return value and value:match("^%s*([^;%s]*)"):lower()
end

---------------------------------------------------------------------------------------------------
-- the body

-- If a handler does not respond after that, the server does: see Response:refuse.
local function spoilt(self, err, errno)
  self.body_error = err
  return nil, err, errno
end

-- What was read for a whole body that was never completed comes next.
local function take_held(self, max)
  local text, at = rawget(self, "body_held"), rawget(self, "body_at") or 1
  if not text then return nil end
  local is_last = #text - at < max
  local data = is_last and text:sub(at) or text:sub(at, at + max - 1) -- first: it takes memory
  if is_last then self.body_held = nil end
  self.body_at = not is_last and at + max or nil
  return data
end

-- Two tasks would each get half of the body, and take it for the whole.
local function check_reader(self)
  if rawget(self, "whole_body") == false or self.x:is_read(self.serial) then
    error("another task is reading this body", 3)
  end
end

local function got(self, data)
  if rawget(self, "body_error") then self.body_error = nil end
  return data
end

local function read_some(self, max)
  if rawget(self, "body_torn") then return spoilt(self, "not enough memory") end
  local data = take_held(self, max or PIECE)
  if data then return got(self, data) end
  local err, errno
  data, err, errno = self.x:read(self.serial, max)
  if data then return got(self, data) end
  if err ~= "eof" then self.body_error = err end
  return nil, err, errno
end

--- Some of the body, as it comes. Raises while another task reads it.
---@param max? integer bytes at most; 65536
---@return string|nil data
---@return string? err "eof" at its end, "too long", "malformed message", "unexpected eof", ...
---@return integer? errno
function Request:read(max)
  check_bytes(max, 1)
  check_reader(self)
  return read_some(self, max)
end

--- for piece in req:chunks() do ... end; ends with the body and at any failure; then req.body_error tells it.
---@param max? integer bytes of a piece at most; 65536
---@return fun(): string|nil
function Request:chunks(max)
  check_bytes(max, 1)
  return function()
    check_reader(self)
    return (read_some(self, max))
  end
end

-- Everything that is still to come, in pieces; or those that came, and why no more do.
local function gather(self, max)
  local first = take_held(self, math.huge)
  local pieces, total = { first }, first and #first or 0
  while total <= max do
    local data, err, errno = self.x:read(self.serial)
    if not data then return pieces, err ~= "eof" and err or nil, errno end
    total = total + #data
    pieces[#pieces + 1] = data
  end
  self.x:keep_alive(self.serial, false) -- it is not known how much is still to come
  return pieces, "too long"
end

-- If that fails, what has come is kept; if it raises for lack of memory, a piece may be lost.
local function take_pieces(self, max)
  self.body_torn = true
  local pieces, err, errno = gather(self, max)
  local text = table.concat(pieces)
  self.body_torn = nil
  if not err then return text end
  self.body_held = text ~= "" and text or nil
  return spoilt(self, err, errno)
end

local function take_body(self, max)
  if rawget(self, "body_torn") then return spoilt(self, "not enough memory") end
  local framing, announced, all_read = self.x:framing(self.serial)
  local held = rawget(self, "body_held")
  if all_read and not held then return "" end
  if framing == "length" and announced > max then return spoilt(self, "too long") end
  if framing ~= "length" or held then return take_pieces(self, max) end
  local body, err, errno = self.x:whole(self.serial, announced)
  if not body then return spoilt(self, err, errno) end
  return body
end

--- The whole body; "" if there is none. What was read piecemeal before is not in it. It is kept: a second call
--- returns it again, and several tasks may ask for it at the same time. A call that fails loses nothing: the next one
--- continues with what has come.
---@param max? integer bytes at most; 8 MiB
---@return string|nil body
---@return string? err "too long", "malformed message", "unexpected eof", "timeout", "canceled", ...
---@return integer? errno
function Request:body(max)
  check_bytes(max, 0)
  local kept = rawget(self, "whole_body")
  if kept then return kept end
  if kept == nil then check_reader(self) end
  local body, err, errno = once(self, "whole_body", take_body, max or BODY_MAX)
  if not body then return nil, err, errno end
  return got(self, body)
end

--- How many bytes of body were announced; 0 without one, nil if it comes in chunks.
---@return integer|nil
function Request:content_length()
  local framing, announced = self.x:framing(self.serial)
  if framing == "chunks" then return nil end
  return announced or 0
end

--- The body as JSON, whatever its Content-Type. null is http.null, in arrays and objects too.
---@param max? integer bytes at most; 8 MiB
---@return any value
---@return string? err "invalid JSON", or why the body could not be read
---@return integer? errno
function Request:json(max)
  check_bytes(max, 0)
  local body, err, errno = self:body(max)
  if not body then return nil, err, errno end
  local value = http_json.decode(body)
  if value == nil then return spoilt(self, "invalid JSON") end
  return value
end

local function read_form(self, max, parse)
  if self:content_type() ~= "application/x-www-form-urlencoded" then return spoilt(self, "not a form") end
  local body, err, errno = self:body(max)
  if not body then return nil, err, errno end
  local form
  form, err = parse(body, FORM_MAX)
  if not form then return spoilt(self, err) end
  return form
end

--- The names and values of a form in their order: {{name, value}, ...}.
---@param max? integer bytes at most; 8 MiB
---@return table[]|nil
---@return string? err "not a form": of another type than application/x-www-form-urlencoded; "too many fields", ...
---@return integer? errno
function Request:form_list(max)
  check_bytes(max, 0)
  return read_form(self, max, url.parse_form)
end

--- The body as a form: the last value of each name.
---@param max? integer bytes at most; 8 MiB
---@return table<string, string>|nil
---@return string? err as of form_list
---@return integer? errno
function Request:form(max)
  check_bytes(max, 0)
  return read_form(self, max, url.form_values)
end

--- for part in req:multipart() do ... end: the parts of a multipart/form-data body, as they come. A failure ends the
--- loop and is in req.body_error. A second loop continues where the first one stopped, and fails as that did. See
--- docs/http.md.
---@param options? moonpark.http.multipart.options
---@return fun(): moonpark.http.part|nil, string?, integer?
function Request:multipart(options)
  options = option.check("multipart", options, http_multipart.known)
  local boundary = http_multipart.boundary(self:header("content-type"))
  if not boundary then
    spoilt(self, "not multipart")
    return function() return nil, "not multipart" end
  end
  if not rawget(self, "body_parts") then
    self.body_parts = http_multipart.parts(function() return self:read() end, boundary, options, function(err)
      self.body_error = err
    end)
  end
  return self.body_parts
end

--- The fields after a chunked body, once it has been read.
---@return moonpark.http.fields
function Request:trailers() return http_fields.received(self.x:trailers(self.serial)) end

---------------------------------------------------------------------------------------------------
-- the connection

--- Has the client left? Then this request's waits are cancelled already.
---@return boolean
function Request:is_gone() return self.x:is_gone(self.serial) end

local function take(self)
  local conn, err, errno = self.x:hijack(self.serial)
  if conn == false then
    local ok
    ok, err, errno = self.x:flush()
    conn = ok and self.x:hijack(self.serial)
  end
  return conn, err, errno
end

--- Takes the connection away from the server: it is yours to read, write and close. No response may have begun, except
--- for a 2xx to CONNECT, after which the connection is the tunnel.
---@return moonpark.connection|nil
---@return string? err "closed", ...
---@return integer? errno
function Request:hijack()
  self.hijacked = false -- allocates now: once the connection is taken nothing may raise
  self.log_line, self.log_from = self.x:logged(self.serial)
  self.address = self.address -- is kept
  local conn, err, errno = raise_outside(pcall(take, self))
  if not conn then return nil, err, errno end
  self.hijacked = true
  return conn
end

--- Requests of that exchange come over TLS.
---@param x userdata
local function secure(x) secured[x] = true end

--- Has it come over TLS?
---@param req moonpark.http.request
---@return boolean
local function is_secure(req) return secured[req.x] == true end

misuse.guard(Request, "request", "req", "x")
mistakes.know("req", Request, FIELDS)

return { Request = Request, is_secure = is_secure, secure = secure }

-- SPDX-License-Identifier: MIT
-- http_request.lua - what a handler is told. Method and path are there at once; everything else is made of the bytes
-- of the head when it is asked for first.

local core = require "moonpark.core"
local http_fields = require "moonpark.http_fields"
local url = require "moonpark.url"

---@class moonpark.http.request
---@field method string "GET", ...; as it was sent
---@field path string decoded; begins with "/" ("*" of OPTIONS *)
---@field params table<string, string> what the router has found in the path
---@field target string as it was sent
---@field query table<string, string> the last value of each name; see queries()
---@field query_string string without the "?"; ""
---@field host string|nil of the Host field or the target, with its port
---@field version string "1.1" or "1.0"
---@field headers moonpark.http.fields req.headers["content-type"]: any case
---@field cookies table<string, string>
---@field address string|nil the client's, "127.0.0.1:50000"
local Request = {}

local BODY_MAX = 8388608 -- bytes that body() holds, where nothing else is said

-- field = function(request) -> value: made when it is read first, and kept
local lazy = {}

local function take_target(self)
  local target, query, authority, minor, form = self.x:target(self.serial)
  rawset(self, "target", target)
  rawset(self, "query_string", query or "")
  rawset(self, "host", authority ~= "" and authority or nil)
  rawset(self, "version", minor == 0 and "1.0" or "1.1")
  rawset(self, "form", form)
end

for _, name in ipairs { "target", "query_string", "host", "version", "form" } do
  lazy[name] = function(self)
    take_target(self)
    return rawget(self, name)
  end
end

function lazy.path(self)
  return url.decode(self.raw_path) or self.raw_path
end

function lazy.headers(self) return http_fields.received(self.x:fields(self.serial)) end
function lazy.query(self) return url.last_values(self:queries()) end
function lazy.cookies(self) return http_fields.cookies(self.x:field(self.serial, "cookie")) end
function lazy.address(self) return (self.x:peer(self.serial)) end
function lazy.params() return {} end

function Request.__index(self, name)
  local method = Request[name]
  if method then return method end
  local make = lazy[name]
  if not make then return nil end
  local value = make(self)
  rawset(self, name, value)
  return value
end

--- The value of a field, of repeated ones all, joined by ", "; nil where there is none.
---@param name string any case
---@return string|nil
function Request:header(name) return self.x:field(self.serial, name) end

--- Every name and value of the query in their order: {{name, value}, ...}.
---@return table[]
function Request:queries() return url.parse_form(self.query_string) end

--- Some of the body, as it comes.
---@param max? integer bytes at the most; 65536
---@return string|nil data
---@return string? err "eof" at its end, "too long", "malformed message", "unexpected eof", ...
---@return integer? errno
function Request:read(max)
  local data, err, errno = self.x:read(self.serial, max)
  if data then return data end
  if err ~= "eof" then rawset(self, "body_error", err) end
  return nil, err, errno
end

--- for piece in req:chunks() do ... end; ends with the body and at any failure; then req.body_error tells it.
---@param max? integer
---@return fun(): string|nil
function Request:chunks(max)
  return function() return (self:read(max)) end
end

local function gather(self, max)
  local pieces, total = {}, 0
  while true do
    local data, err, errno = self:read()
    if not data then
      if err ~= "eof" then return nil, err, errno end
      return table.concat(pieces)
    end
    total = total + #data
    if total > max then
      rawset(self, "body_error", "too long")
      return nil, "too long"
    end
    pieces[#pieces + 1] = data
  end
end

--- The whole body; "" where there is none. Read once: what was read piecemeal is not in it.
---@param max? integer bytes at the most; 8 MiB
---@return string|nil body
---@return string? err "too long", "malformed message", "unexpected eof", "timeout", "canceled", ...
---@return integer? errno
function Request:body(max)
  max = max or BODY_MAX
  local framing, announced, over = self.x:framing(self.serial)
  if over then return "" end
  if framing ~= "length" then return gather(self, max) end
  local body, err, errno
  if announced > max then err = "too long" else body, err, errno = self.x:whole(self.serial, max) end
  if body then return body end
  rawset(self, "body_error", err)
  return nil, err, errno
end

--- How many bytes of body were announced; 0 without one, nil where it comes in chunks.
---@return integer|nil
function Request:content_length()
  local framing, announced = self.x:framing(self.serial)
  if framing == "chunks" then return nil end
  return announced or 0
end

--- The body as JSON.
---@param max? integer
---@return any value
---@return string? err what is wrong with it, or why it could not be read
---@return integer? errno
function Request:json(max)
  local body, err, errno = self:body(max)
  if not body then return nil, err, errno end
  local ok, value = pcall(require("cjson.safe").decode, body)
  if ok and value ~= nil then return value end
  return nil, "invalid JSON"
end

--- The body as a form (application/x-www-form-urlencoded): the last value of each name.
---@param max? integer
---@return table<string, string>|nil
---@return string? err
---@return integer? errno
function Request:form(max)
  local body, err, errno = self:body(max)
  if not body then return nil, err, errno end
  return url.last_values(url.parse_form(body))
end

--- The fields behind a chunked body, once it has been read.
---@return moonpark.http.fields
function Request:trailers() return http_fields.received(self.x:trailers(self.serial)) end

--- Has the client left? Then this request's waits are cancelled already.
---@return boolean
function Request:is_gone() return self.x:is_gone(self.serial) end

--- Takes the connection away from the server: it is yours to read, write and close. No response may have begun.
---@return moonpark.connection|nil
---@return string? err "closed", ...
---@return integer? errno
function Request:hijack()
  local conn, err, errno = self.x:hijack(self.serial)
  if conn == false then
    local ok
    ok, err, errno = self.x:flush()
    conn = ok and self.x:hijack(self.serial)
  end
  if not conn then return nil, err, errno end
  rawset(self, "hijacked", true)
  return conn
end

local M = { Request = Request, core = core }

return M

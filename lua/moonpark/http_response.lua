-- SPDX-License-Identifier: MIT
-- http_response.lua - what a handler answers. A whole answer is one call into the core; what streams is begun by the
-- first write.

local core = require "moonpark.core"
local http_fields = require "moonpark.http_fields"

---@class moonpark.http.response
---@field status integer 200
---@field type string|nil the Content-Type; what is sent picks one where there is none
---@field request moonpark.http.request
---@field transform table|nil what changes the body on its way: see http_compress.lua
local Response = {}
Response.__index = Response
Response.status = 200

local TEXT, JSON = "text/plain; charset=utf-8", "application/json"

local function fields_of(self)
  local fields = rawget(self, "fields")
  if not fields then
    fields = {}
    self.fields = fields
  end
  return fields
end

--- Sets a field, in place of those of that name. What would split a header raises when it is sent.
---@param name string
---@param value string|number|nil nil: removes it
---@return moonpark.http.response self
function Response:set(name, value)
  if name:lower() == "content-type" then self.type = value
  else http_fields.set(fields_of(self), name, value) end
  return self
end

--- Adds a field beside those of that name.
---@param name string
---@param value string|number
---@return moonpark.http.response self
function Response:add(name, value)
  http_fields.add(fields_of(self), name, value)
  return self
end

--- The field's value, or nil.
---@param name string
---@return string|nil
function Response:get(name)
  if name:lower() == "content-type" then return self.type end
  return self.fields and http_fields.get(self.fields, name)
end

--- Has something been sent of it?
---@return boolean
function Response:is_begun() return self.x:phase(self.serial) ~= "unsent" end

local send = core.http_exchange_class.send

local function send_now(self, body, kind)
  local transform = self.transform
  if transform then body = transform:whole(self, body, kind) end
  return send(self.x, self.serial, self.status, body, self.type or kind, self.fields)
end

--- Sends the whole response.
---@param body string|number|nil
---@return true|nil
---@return string? err
---@return integer? errno
function Response:send(body) return send_now(self, body or "", TEXT) end

--- Sends a value as JSON.
---@param value any what lua-cjson encodes; raises on what it does not
---@return true|nil
---@return string? err
---@return integer? errno
function Response:json(value) return send_now(self, require("cjson").encode(value), JSON) end

--- Begins a response whose body follows by write().
---@param length? integer bytes, where they are known
---@return true|nil
---@return string? err
function Response:begin(length)
  if self.transform then length = self.transform:begin(self, length) end
  return self.x:begin(self.serial, self.status, length, self.type or TEXT, self.fields)
end

--- Streams: each call sends what it is given, and waits while the client does not read.
---@param ... string|number
---@return true|nil
---@return string? err
---@return integer? errno
function Response:write(...)
  if self.x:phase(self.serial) == "unsent" then
    local ok, err, errno = self:begin()
    if not ok then return nil, err, errno end
  end
  local data = select("#", ...) == 1 and (...) or table.concat({ ... })
  if self.transform then
    data = self.transform:piece(data)
    if data == "" then return true end
  end
  return self.x:write(self.serial, data)
end

--- The end of what was written. A handler that returns has it done.
---@return true|nil
---@return string? err
function Response:finish()
  if self.transform then
    local last = self.transform:last()
    if last ~= "" then
      local ok, err, errno = self.x:write(self.serial, last)
      if not ok then return nil, err, errno end
    end
  end
  return self.x:finish(self.serial)
end

--- Sends the client elsewhere.
---@param location string
---@param status? integer 302; 301, 303, 307, 308
---@return true|nil
---@return string? err
function Response:redirect(location, status)
  self.status = status or 302
  self:set("Location", location)
  return self:send("")
end

--- Sets a cookie (RFC 6265).
---@param name string
---@param value string
---@param options? {path?: string, domain?: string, max_age?: integer, expires?: number, secure?: boolean, http_only?: boolean, same_site?: "Strict"|"Lax"|"None"}
---@return moonpark.http.response self
function Response:cookie(name, value, options)
  return self:add("Set-Cookie", http_fields.format_cookie(name, value, options))
end

--- A plain answer for a status: its reason as text.
---@param status integer
---@param text? string
---@return true|nil
---@return string? err
function Response:fail(status, text)
  self.status = status
  return self:send((text or http_fields.reason(status)) .. "\n")
end

return { Response = Response }

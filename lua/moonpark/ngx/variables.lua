-- SPDX-License-Identifier: MIT
-- variables.lua - ngx.var: what nginx's variables say of the present request.

local core = require "moonpark.core"
local fields = require "moonpark.ngx.request_fields"
local ngx_path = require "moonpark.ngx.path"
local request = require "moonpark.ngx.request"
local words = require "moonpark.ngx.words"

local M = {}

local first, present, query_of = fields.first, request.present, request.query_of

local function split_address(address)
  address = address or ""
  if address:find "^unix:" then return "unix:", "" end
  local host, port = address:match "^%[?(.-)%]?:(%d+)$"
  return host or address, port
end

-- [name] = function(context) -> value
local vars = {}

---------------------------------------------------------------------------------------------------
-- the request line

function vars.uri(current)
  if not current.path then current.path = ngx_path.normalized(current.req.raw_path) or current.req.path end
  return current.path
end
vars.document_uri = vars.uri

function vars.request_uri(current)
  local target = current.req.target
  if target:find "^/" then return target end
  local rest = target:match "^%a[%w+.-]*://[^/?#]*(.*)$"
  return rest == "" and "/" or rest or target
end

function vars.args(current)
  local query = query_of(current)
  return (query ~= "" or current.args) and query or nil
end
vars.query_string = vars.args
function vars.is_args(current) return query_of(current) ~= "" and "?" or "" end
function vars.request_method(current) return current.method or current.req.method end
function vars.request(current)
  return ("%s %s HTTP/%s"):format(current.req.method, current.req.target, current.req.version)
end
function vars.server_protocol(current) return "HTTP/" .. current.req.version end

---------------------------------------------------------------------------------------------------
-- fields

function vars.host(current)
  local changed = current.changed and current.changed.host
  local host = changed and changed[1] or current.req.host
  return host and (host:gsub(":%d+$", ""):lower()) or ""
end
function vars.content_type(current) return first(current, "content-type") end
function vars.content_length(current)
  return first(current, "content-length") or current.body and current.body ~= "" and tostring(#current.body) or nil
end
function vars.http_cookie(current) return fields.joined(current, "cookie", "; ") end
function vars.http_x_forwarded_for(current) return fields.joined(current, "x-forwarded-for", ", ") end

-- Of Basic authentication.
function vars.remote_user(current)
  local text = first(current, "authorization")
  local encoded = text and text:match "^[Bb][Aa][Ss][Ii][Cc] +(%S+)"
  local decoded = encoded and require("moonpark.ngx.crypto").decode_base64(encoded)
  return decoded and decoded:match "^([^:]*):" or nil
end

---------------------------------------------------------------------------------------------------
-- the body, and what is sent

-- "" only if an empty one was announced.
function vars.request_body(current)
  local body = current.body
  if not body or body ~= "" then return body end
  return not current.changed and current.req:header "content-length" and "" or nil
end
function vars.request_length(current)
  return tostring(#request.req.raw_header() + #(current.body or ""))
end
function vars.status(current) return ("%03d"):format(current.status or current.settled and 200 or 0) end
function vars.body_bytes_sent(current) return tostring(select(2, current.res:sent()) or 0) end
vars.bytes_sent = vars.body_bytes_sent
function vars.request_completion() return "" end

---------------------------------------------------------------------------------------------------
-- the connection

function vars.scheme(current) return current.req.scheme end
function vars.https(current) return current.req.scheme == "https" and "on" or "" end
function vars.remote_addr(current) return (split_address(current.req.address)) end
function vars.remote_port(current) return (select(2, split_address(current.req.address))) end
function vars.server_addr(current) return (split_address(current.req.local_address)) end
function vars.server_port(current) return select(2, split_address(current.req.local_address)) or "" end
function vars.server_name() return "" end
function vars.binary_remote_addr(current)
  local host = split_address(current.req.address)
  local a, b, c, d = host:match "^(%d+)%.(%d+)%.(%d+)%.(%d+)$"
  return a and string.char(a, b, c, d) or host
end
function vars.pipe() return "." end
function vars.ssl_protocol(current) return current.req.tls and current.req.tls.version or nil end
function vars.ssl_cipher(current) return current.req.tls and current.req.tls.cipher or nil end
function vars.ssl_server_name(current) return current.req.tls and current.req.tls.server_name or nil end

---------------------------------------------------------------------------------------------------
-- the time, the process

function vars.request_time(current) return ("%.3f"):format(core.time() - current.began) end
function vars.msec() return ("%.3f"):format(core.time()) end
function vars.time_iso8601() return os.date("!%Y-%m-%dT%H:%M:%S+00:00") end
function vars.time_local() return os.date("!%d/%b/%Y:%H:%M:%S +0000") end
function vars.pid() return tostring(core.pid()) end
function vars.nginx_version() return "1.22.1" end
function vars.hostname()
  local file = io.open "/etc/hostname"
  local name = file and file:read "*l"
  if file then file:close() end
  return name
end
function vars.request_id(current)
  if not current.id then
    current.id = current.req.id or require("moonpark.ngx.crypto").md5(tostring(current) .. core.now() .. core.pid())
  end
  return current.id
end

---------------------------------------------------------------------------------------------------
-- by the rest of their names, which is in lower case

-- As it was sent: neither decoded nor without a value.
local function arg(current, name)
  for found, value in query_of(current):gmatch "([^&=]+)=([^&]*)" do
    if found:lower() == name then return value end
  end
end

-- With its quotes, if it has any.
local function cookie_in(text, name)
  for part in text:gmatch "[^;]+" do
    local found, value = part:match "^ *([^=]-) *= *(.*)$"
    if found and found:lower() == name then return value end
  end
end

local function cookie(current, name)
  for _, text in ipairs(fields.all(current, "cookie")) do
    local value = cookie_in(text, name)
    if value then return value end
  end
end

-- {pattern, fn(context, the rest of the name)}
local families = {
  { "^arg_(.+)$", arg },
  { "^http_(.+)$", function(current, name) return first(current, (name:gsub("_", "-"))) end },
  { "^cookie_(.+)$", cookie },
  { "^sent_http_(.+)$", function(current, name) return current.res:get((name:gsub("_", "-"))) end },
}

-- Those that may be set, and what they are until then.
local settable = { limit_rate = "0" }

local function read_var(_, name)
  local current = present "ngx.var"
  if type(name) ~= "string" then
    if type(name) == "number" then return nil end -- there are no captures
    words.misuse "bad variable name"
  end
  local read = vars[name]
  if read then return read(current) end
  name = name:lower()
  local own = current.vars and current.vars[name]
  if own ~= nil then return own end
  read = vars[name]
  if read then return read(current) end
  for _, family in ipairs(families) do
    local rest = name:match(family[1])
    if rest then return family[2](current, rest) end
  end
  return settable[name]
end

local function write_var(_, name, value)
  local current = present "ngx.var"
  if type(name) ~= "string" then words.misuse "bad variable name" end
  name = name:lower()
  if name == "args" then
    current.args = value ~= nil and tostring(value) or nil
    current.no_args = value == nil
    return
  end
  if vars[name] then words.misuse(('variable "%s" not changeable'):format(name)) end
  current.vars = current.vars or {}
  current.vars[name] = value ~= nil and tostring(value) or nil
end

M.var = setmetatable({}, { __index = read_var, __newindex = write_var, __metatable = false })

return M

-- SPDX-License-Identifier: MIT
-- request.lua - ngx.req and ngx.var: the present request, read by moonpark's.

local constants = require "moonpark.ngx.constants"
local context = require "moonpark.ngx.context"
local core = require "moonpark.core"
local escape = require "moonpark.ngx.escape"
local time = require "moonpark.ngx.time"
local words = require "moonpark.ngx.words"

local M = {}

local MOST = 100 -- fields and arguments, without a number

local method_names = {}
for name, number in pairs(constants.methods) do method_names[number] = name end

--- The present request's context; raises where there is none.
---@param name string what was asked
---@return moonpark.ngx.context
function M.present(name)
  local current = context.current()
  if not current or not current.req then
    words.misuse(("API disabled in the context of ngx.timer: %s needs a request (http.ngx)"):format(name))
  end
  return current
end

local present = M.present

---------------------------------------------------------------------------------------------------
-- ngx.req

local req = {}
M.req = req

function req.get_method() return present("ngx.req.get_method").method or context.current().req.method end

function req.set_method(number)
  local name = method_names[number]
  if not name then words.misuse "bad argument #1 to 'set_method' (unsupported HTTP method)" end
  present("ngx.req.set_method").method = name
end

function req.http_version() return tonumber(present("ngx.req.http_version").req.version) end

function req.start_time() return present("ngx.req.start_time").began end

function req.is_internal() return false end

-- Names of any case, and with underscores for dashes.
local any_case = { __index = function(self, name)
  return type(name) == "string" and rawget(self, (name:lower():gsub("_", "-"))) or nil
end }

local function add(list, name, value)
  local before = list[name]
  if before == nil then list[name] = value
  elseif type(before) == "table" then before[#before + 1] = value
  else list[name] = { before, value } end
end

-- What set_header has changed goes before what was sent: [name] = a value, a list, or false.
local function own_fields(current)
  current.changed = current.changed or {}
  return current.changed
end

--- get_headers([most[, raw names]]) -> fields[, "truncated"]
function req.get_headers(most, raw)
  local current = present "ngx.req.get_headers"
  local changed, found, count = current.changed or {}, {}, 0
  most = most or MOST
  for name, value in current.req:each_header() do
    local lower = name:lower()
    if changed[lower] == nil then
      count = count + 1
      if most > 0 and count > most then return raw and found or setmetatable(found, any_case), "truncated" end
      add(found, raw and name or lower, value)
    end
  end
  for name, value in pairs(changed) do
    if value then found[name] = value end
  end
  return raw and found or setmetatable(found, any_case)
end

function req.set_header(name, value)
  own_fields(present "ngx.req.set_header")[name:lower()] = value == nil and false
    or type(value) == "table" and value or tostring(value)
end

function req.clear_header(name) own_fields(present "ngx.req.clear_header")[name:lower()] = false end

-- One field's value, or nil.
local function field(current, name)
  local changed = current.changed and current.changed[name]
  if changed ~= nil then return changed and (type(changed) == "table" and changed[1] or changed) or nil end
  return current.req:header(name)
end

local function query_of(current) return current.args or current.req.query_string end

function req.get_uri_args(most, into)
  local args, err = escape.decode_args(query_of(present "ngx.req.get_uri_args"), most)
  if into then
    for name, value in pairs(args) do into[name] = value end
    args = into
  end
  return args, err
end

function req.set_uri_args(args)
  present("ngx.req.set_uri_args").args = type(args) == "table" and escape.encode_args(args) or tostring(args)
end

--- set_uri(path[, jump]): there are no locations to jump to.
function req.set_uri(path, jump)
  if type(path) ~= "string" or path == "" then
    words.misuse "bad argument #1 to 'set_uri' (attempt to use zero-length uri)"
  end
  if jump then words.misuse "ngx.req.set_uri(path, true) is not there on moonpark: there are no locations" end
  present("ngx.req.set_uri").path = path
end

---------------------------------------------------------------------------------------------------
-- the body

function req.read_body()
  local current = present "ngx.req.read_body"
  if current.body ~= nil then return end
  local body, err = current.req:body()
  current.body, current.body_error = body or false, err
end

function req.discard_body()
  local current = present "ngx.req.discard_body"
  if current.body == nil then current.body = "" end
end

--- nil: there is none, or it has not been read
function req.get_body_data()
  local body = present("ngx.req.get_body_data").body
  return body and body ~= "" and body or nil
end

--- Bodies are kept in memory.
function req.get_body_file() present "ngx.req.get_body_file" return nil end

function req.set_body_data(data) present("ngx.req.set_body_data").body = tostring(data) end

function req.init_body() present("ngx.req.init_body").body = "" end

function req.append_body(data)
  local current = present "ngx.req.append_body"
  current.body = (current.body or "") .. data
end

function req.finish_body() present "ngx.req.finish_body" end

function req.get_post_args(most)
  local current = present "ngx.req.get_post_args"
  if current.body == nil then words.misuse "no request body found; maybe you should turn on lua_need_request_body?" end
  if not current.body then return nil, current.body_error end
  return escape.decode_args(current.body, most)
end

--- raw_header([without the request line]): as it was received, but for the case of field names
function req.raw_header(bare)
  local current = present "ngx.req.raw_header"
  local lines = {}
  if not bare then
    lines[1] = ("%s %s HTTP/%s"):format(current.req.method, current.req.target, current.req.version)
  end
  for name, value in current.req:each_header() do lines[#lines + 1] = ("%s: %s"):format(name, value) end
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

for _, name in ipairs { "socket", "set_body_file", "get_original_addr", "set_uri_jump" } do
  req[name] = function() words.misuse(("ngx.req.%s is not there on moonpark"):format(name)) end
end

---------------------------------------------------------------------------------------------------
-- ngx.var

local function split_address(address)
  address = address or ""
  if address:find "^unix:" then return "unix:", "" end
  local host, port = address:match "^%[?(.-)%]?:(%d+)$"
  return host or address, port
end

local vars = {}

function vars.uri(current) return current.path or current.req.path end
vars.document_uri = vars.uri
function vars.request_uri(current) return current.req.target end
function vars.args(current)
  local query = query_of(current)
  return query ~= "" and query or nil
end
vars.query_string = vars.args
function vars.is_args(current) return query_of(current) ~= "" and "?" or "" end
function vars.host(current)
  local host = current.req.host
  return host and (host:gsub(":%d+$", ""):lower()) or ""
end
function vars.scheme(current) return current.req.scheme end
function vars.https(current) return current.req.scheme == "https" and "on" or "" end
function vars.request_method(current) return current.method or current.req.method end
function vars.request(current)
  return ("%s %s HTTP/%s"):format(current.req.method, current.req.target, current.req.version)
end
function vars.server_protocol(current) return "HTTP/" .. current.req.version end
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
function vars.content_type(current) return field(current, "content-type") end
function vars.content_length(current) return field(current, "content-length") end
function vars.request_body(current) return current.body or nil end
function vars.request_time(current) return ("%.3f"):format(core.time() - current.began) end
function vars.msec() return ("%.3f"):format(core.time()) end
function vars.time_iso8601() return os.date("!%Y-%m-%dT%H:%M:%S+00:00") end
function vars.time_local() return os.date("!%d/%b/%Y:%H:%M:%S +0000") end
function vars.pid() return tostring(core.pid()) end
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
function vars.status(current) return ("%03d"):format(current.status or 200) end
function vars.body_bytes_sent(current) return tostring(select(2, current.res:sent()) or 0) end
vars.bytes_sent = vars.body_bytes_sent
function vars.nginx_version() return "1.22.1" end
function vars.ssl_protocol(current) return current.req.tls and current.req.tls.version or nil end
function vars.ssl_cipher(current) return current.req.tls and current.req.tls.cipher or nil end
function vars.ssl_server_name(current) return current.req.tls and current.req.tls.server_name or nil end

-- {pattern, fn(current, the rest of the name)}
local families = {
  { "^arg_(.+)$", function(current, name)
    local value = escape.decode_args(query_of(current), 0)[name]
    if type(value) == "table" then value = value[1] end
    return value == true and "" or value and escape.escape_uri(value) or nil
  end },
  { "^http_(.+)$", function(current, name) return field(current, (name:gsub("_", "-"))) end },
  { "^cookie_(.+)$", function(current, name) return current.req.cookies[name] end },
  { "^sent_http_(.+)$", function(current, name) return current.res:get((name:gsub("_", "-"))) end },
}

local function read_var(_, name)
  local current = present "ngx.var"
  name = tostring(name)
  local own = current.vars and current.vars[name]
  if own ~= nil then return own end
  local read = vars[name]
  if read then return read(current) end
  for _, family in ipairs(families) do
    local rest = name:match(family[1])
    if rest then return family[2](current, rest) end
  end
  return nil
end

local function write_var(_, name, value)
  local current = present "ngx.var"
  if name == "args" then
    current.args = value and tostring(value) or ""
    return
  end
  if vars[name] then words.misuse(('variable "%s" not changeable'):format(name)) end
  current.vars = current.vars or {}
  current.vars[name] = value ~= nil and tostring(value) or nil
end

M.var = setmetatable({}, { __index = read_var, __newindex = write_var, __metatable = false })

M.now = time.now

return M

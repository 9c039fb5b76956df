-- SPDX-License-Identifier: MIT
-- response.lua - what a handler sends: ngx.say, print, header, status, flush, exit, redirect, eof.
--
-- Pieces are kept until there are many, or until flush, so that most responses leave whole, with their length.
-- ngx.exit ends the handler by an error of its own; code that catches it, by pcall, meets it again at its next output.

local constants = require "moonpark.ngx.constants"
local context = require "moonpark.ngx.context"
local fields = require "moonpark.ngx.request_fields"
local log = require "moonpark.ngx.log"
local request = require "moonpark.ngx.request"
local words = require "moonpark.ngx.words"

local M = {}

local present, any_case, add_value = request.present, request.any_case, request.add_value

local KEPT = 65536 -- bytes that are kept until they are sent

--- What ngx.exit raises.
M.EXIT = require("moonpark.ngx.thread").EXIT

local function current_of(name)
  local current = present(name)
  if current.exiting then error(M.EXIT, 0) end
  return current
end

---------------------------------------------------------------------------------------------------
-- fields and the status

-- The response's own functions would give a Content-Type to what has none.
local function prepare(res)
  res:prepare()
  if rawget(res, 1) then res[6] = true end
end

local function begin_untyped(res)
  prepare(res)
  return res.x:begin(res.serial, res.status, res.length, nil, res.fields)
end

--- Sends a body without a Content-Type.
function M.send_untyped(res, body)
  prepare(res)
  return res.x:send(res.serial, res.status, body, nil, res.fields)
end

local function is_untyped(current, res)
  local status = res.status
  return status == 204 or (current.untyped or status == 304) and not res.transform
end

-- The head leaves. In nginx it does with the first output; here it may wait for more, but is settled from then on.
local function begin(current)
  if current.begun then return true end
  local res = current.res
  current.begun, current.settled = true, true
  res.status = current.status or 200
  if is_untyped(current, res) then return begin_untyped(res) end
  return res:begin(current.req.method == "HEAD" and tonumber(current.length) or nil)
end

-- ngx.header.content_type is Content-Type.
local function field_name(name) return fields.safe_name((tostring(name):gsub("_", "-"))) end

-- The last of several.
local function one_of(value)
  if type(value) == "table" then value = value[#value] end
  if value == nil or value == "" then return nil end
  return fields.safe_value(value)
end

-- [name in lower case] = function(context, value): fields that are more than fields
local special = {
  ["content-type"] = function(current, value)
    local kind = one_of(value)
    current.res.type, current.untyped, current.typed = kind, kind == nil, true
  end,
  -- The server knows it, but of HEAD.
  ["content-length"] = function(current, value)
    local length = one_of(value)
    current.length = length and tostring(tonumber(length) or 0) or nil
  end,
  ["connection"] = function(current, value)
    if (one_of(value) or ""):lower() == "close" then current.res:set("Connection", "close") end
  end,
  ["transfer-encoding"] = function() end,
}

local function put(res, name, value, is_added)
  if not is_added then res:set(name, nil) end
  if type(value) ~= "table" then value = { value } end
  for _, one in ipairs(value) do
    if one ~= "" then res:add(name, fields.safe_value(one)) end
  end
end

local function set_header(_, name, value, is_added)
  local current = current_of "ngx.header"
  name = field_name(name)
  if name == "" then return end
  if current.settled then
    log.log(4, ("attempt to set ngx.header.%s after sending out response headers"):format(name))
    return
  end
  local own = special[name:lower()]
  if own then return own(current, value) end
  put(current.res, name, value, is_added)
end

--- add_header(name, value): of the module ngx.resp
function M.add_header(name, value)
  if value == nil then words.misuse "invalid header value" end
  set_header(nil, name, value, true)
end

-- nil until the handler has set it, or the head is settled.
local function type_of(current) return (current.typed or current.settled) and current.res.type or nil end

-- nil for no value, a list for several.
local function get_header(_, name)
  local current = present "ngx.header"
  local res = current.res
  name = tostring(name):gsub("_", "-"):lower()
  if name == "content-length" then return current.length end
  if name == "content-type" then return type_of(current) end
  local found, list = {}, res.fields or {}
  for i = 1, #list, 2 do
    if list[i]:lower() == name then add_value(found, name, list[i + 1]) end
  end
  return found[name]
end

M.header = setmetatable({}, { __index = get_header, __newindex = set_header, __metatable = false })

-- Those of the server's that nginx counts, too.
local function own_fields(current)
  local req = current.req
  local is_kept = req.version ~= "1.0" and (req:header "connection" or ""):lower() ~= "close"
  local found, count = { connection = is_kept and "keep-alive" or "close" }, 1
  local kind = type_of(current)
  if kind then found["content-type"], count = kind, 2 end
  return found, count
end

--- get_headers([most[, raw names]]) -> the fields that were set[, "truncated"]
function M.get_headers(most, raw)
  local current = present "ngx.resp.get_headers"
  local found, count = own_fields(current)
  local list, err = current.res.fields or {}, nil
  most = request.limit(most, "get_headers")
  for i = 1, #list, 2 do
    count = count + 1
    if most > 0 and count > most then
      err = "truncated"
      break
    end
    add_value(found, raw and list[i] or list[i]:lower(), list[i + 1])
  end
  if not raw then setmetatable(found, any_case) end
  if err then return found, err end
  return found
end

M.readers, M.writers = {}, {}

function M.readers.status()
  local current = present "ngx.status"
  return current.status or current.settled and 200 or 0
end

function M.writers.status(value)
  local current = current_of "ngx.status"
  local status = words.integer(value)
  if not status then words.misuse(("bad argument #1 to 'status' (number expected, got %s)"):format(type(value))) end
  if current.settled then
    log.log(4, "attempt to set ngx.status after sending out response headers")
    return
  end
  current.status = status ~= 0 and status or nil
end

function M.readers.headers_sent() return present("ngx.headers_sent").settled == true end

function M.readers.is_subrequest() return false end

---------------------------------------------------------------------------------------------------
-- output

local function send_kept(current)
  local out = current.out
  if not out or #out == 0 then return true end
  current.out, current.kept = {}, 0
  if current.req.method == "HEAD" then return true end
  return current.res:write(unpack(out))
end

-- The highest index of a list with holes; nil: it is no list.
local function last_of(list)
  local last = 0
  for key in pairs(list) do
    if type(key) ~= "number" or key < 1 or key % 1 ~= 0 then return nil end
    if key > last then last = key end
  end
  return last
end

local add

local function add_list(out, list)
  local last, n = last_of(list), 0
  if not last then return nil, "non-array table found" end
  for i = 1, last do
    local size, wrong = add(out, rawget(list, i), "bad data type %s found")
    if not size then return nil, wrong end
    n = n + size
  end
  return n
end

-- Adds the text of a value; tables are lists of values -> bytes | nil, what is wrong with it
function add(out, value, complaint)
  local kind = type(value)
  if kind == "string" then
    out[#out + 1] = value
    return #value
  end
  if kind == "table" then return add_list(out, value) end
  local is_null = kind == "userdata" and value == require("cjson").null
  if not (is_null or kind == "number" or kind == "boolean" or kind == "nil") then return nil, complaint:format(kind) end
  local text = is_null and "null" or tostring(value)
  out[#out + 1] = text
  return #text
end

local COMPLAINT = "string, number, boolean, nil, ngx.null, or array table expected, but got %s"

-- Adds all of them, or none -> bytes
local function add_all(out, name, ...)
  local before, n = #out, 0
  for i = 1, select("#", ...) do
    local size, wrong = add(out, (select(i, ...)), COMPLAINT)
    if not size then
      for j = #out, before + 1, -1 do out[j] = nil end
      words.misuse(("bad argument #%d to '%s' (%s)"):format(i, name, wrong))
    end
    n = n + size
  end
  return n
end

local function output(name, newline, ...)
  local current = current_of(name)
  if current.ended then return nil, "seen eof" end
  local out = current.out
  if not out then
    out = {}
    current.out, current.kept = out, 0
  end
  local n = add_all(out, name, ...)
  current.settled = true
  if newline then out[#out + 1], n = "\n", n + 1 end
  current.kept = current.kept + n
  if current.kept < KEPT and #out < 4096 then return 1 end
  local ok, err = begin(current)
  if ok then ok, err = send_kept(current) end
  if not ok then return nil, err end
  return 1
end

function M.say(...) return output("ngx.say", true, ...) end
function M.print(...) return output("ngx.print", false, ...) end

--- What has been said leaves now.
function M.flush()
  local current = current_of "ngx.flush"
  if current.ended then return nil, "seen eof" end
  if not current.settled then return nil, "nothing to flush" end
  local ok, err = begin(current)
  if ok then ok, err = send_kept(current) end
  if not ok then return nil, err end
  return 1
end

function M.send_headers()
  local current = current_of "ngx.send_headers"
  local ok, err = begin(current)
  if not ok then return nil, err end
  return 1
end

-- The rest leaves, and the response ends.
local function finish(current)
  if current.ended then return true end
  current.ended = true
  local res = current.res
  if current.begun then
    local ok, err = send_kept(current)
    if not ok then return nil, err end
    return res:finish()
  end
  local body = current.out and table.concat(current.out) or ""
  if current.req.method == "HEAD" and current.length then
    begin(current)
    return res:finish()
  end
  current.begun, current.settled = true, true
  res.status = current.status or 200
  if is_untyped(current, res) then return M.send_untyped(res, body) end
  return res:send(body)
end

M.finish = finish

function M.eof()
  local current = current_of "ngx.eof"
  if current.ended then return nil, "seen eof" end
  local ok, err = finish(current)
  if not ok then return nil, err end
  return 1
end

---------------------------------------------------------------------------------------------------
-- the end

local function leave(current)
  current.exiting = true
  error(M.EXIT, 0)
end

-- Codes that nginx has a page for.
local paged = {}
for _, range in ipairs { { 301, 303 }, { 307, 308 }, { 400, 406 }, { 408, 416 }, { 421, 421 }, { 429, 429 },
  { 494, 497 }, { 500, 505 }, { 507, 507 } } do
  for status = range[1], range[2] do paged[status] = true end
end

-- What the response is, if nothing of it has left.
local function settle_exit(current, status)
  if status == constants.HTTP_NO_CONTENT or status >= constants.HTTP_SPECIAL_RESPONSE then
    current.status, current.page = status, paged[status] and "page" or "empty"
  elseif status >= constants.HTTP_OK then current.status = current.status or status end
end

-- Codes with which nginx closes the connection, whatever was said.
local function closes(status)
  return status < 0 or status == constants.HTTP_CLOSE or status == 499 or status == constants.HTTP_REQUEST_TIMEOUT
    or status > 0 and status < constants.HTTP_OK
end

--- exit(status): from 200 on it is the response's, with a page for those from 300 on if nothing was said. A status that
--- was set before stays, unless this one is 204 or has a page.
function M.exit(status)
  local current = present "ngx.exit"
  if type(status) ~= "number" then
    words.misuse(("bad argument #1 to 'exit' (number expected, got %s)"):format(type(status)))
  end
  status = words.integer(status)
  if status == constants.AGAIN or status == constants.DONE then
    words.misuse "bad argument to 'ngx.exit': does not accept NGX_AGAIN or NGX_DONE"
  end
  current.cut = closes(status)
  if not current.settled then settle_exit(current, status) end
  leave(current)
end

local redirects = { [301] = true, [302] = true, [303] = true, [307] = true, [308] = true }

-- As ngx_lua prints what it does not take.
local function printable(text)
  return (text:gsub('[%z\1-\31"\\\127-\255]', function(c) return ("\\x%02X"):format(c:byte()) end))
end

local function check_redirect(uri, status)
  if type(uri) ~= "string" and type(uri) ~= "number" then
    words.misuse(("bad argument #1 to 'redirect' (string expected, got %s)"):format(type(uri)))
  end
  if status and not redirects[status] then
    words.misuse("only ngx.HTTP_MOVED_TEMPORARILY, ngx.HTTP_MOVED_PERMANENTLY, ngx.HTTP_PERMANENT_REDIRECT, "
      .. "ngx.HTTP_SEE_OTHER, and ngx.HTTP_TEMPORARY_REDIRECT are allowed")
  end
end

--- redirect(uri[, status])
function M.redirect(...)
  local current = current_of "ngx.redirect"
  local count, uri, status = select("#", ...), ...
  if count ~= 1 and count ~= 2 then words.misuse "expecting one or two arguments" end
  if count == 2 then
    local number = words.integer(status)
    if not number then
      words.misuse(("bad argument #2 to 'redirect' (number expected, got %s)"):format(type(status)))
    end
    status = number
  end
  check_redirect(uri, status)
  if current.settled then words.misuse "attempt to call ngx.redirect after sending out the headers" end
  uri = tostring(uri)
  local unsafe = uri:match "[%z\1-\8\10-\31\127]"
  if unsafe then
    words.misuse(('unsafe byte "0x%02x" in redirect uri "%s"'):format(unsafe:byte(), printable(uri)))
  end
  current.res:set("Location", uri)
  current.status, current.page = status or 302, "page"
  leave(current)
end

--- fn() is called, in a task, as soon as the client has gone.
function M.on_abort(fn)
  local current = present "ngx.on_abort"
  if type(fn) ~= "function" then
    words.misuse "bad argument #1 to 'on_abort' (Lua function expected)"
  end
  if current.abort then return nil, "duplicate call" end
  current.abort = fn
  current.watching = current.scope:go(current.watch, current)
  return 1
end

M.context = context

return M

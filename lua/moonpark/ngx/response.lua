-- SPDX-License-Identifier: MIT
-- response.lua - what a handler sends: ngx.say, print, header, status, flush, exit, redirect, eof.
--
-- Pieces are kept until there are many, or until flush, so that most responses leave whole, with their length.
-- ngx.exit ends the handler by an error of its own; code that catches it, by pcall, meets it again at its next output.

local constants = require "moonpark.ngx.constants"
local context = require "moonpark.ngx.context"
local log = require "moonpark.ngx.log"
local present = require("moonpark.ngx.request").present
local words = require "moonpark.ngx.words"

local M = {}

local KEPT = 65536 -- bytes that are kept until they are sent

--- What ngx.exit raises.
M.EXIT = setmetatable({}, { __tostring = function() return "ngx.exit" end })

local function current_of(name)
  local current = present(name)
  if current.exiting then error(M.EXIT, 0) end
  return current
end

---------------------------------------------------------------------------------------------------
-- fields and the status

-- The head leaves. In nginx it does with the first output; here it may wait for more, but is settled from then on.
local function begin(current)
  if current.begun then return true end
  current.begun, current.settled = true, true
  current.res.status = current.status or 200
  return current.res:begin()
end

-- ngx.header.content_type is Content-Type.
local function field_name(name) return (tostring(name):gsub("_", "-")) end

local function set_header(_, name, value)
  local current = current_of "ngx.header"
  name = field_name(name)
  if current.settled then
    log.log(4, ("attempt to set ngx.header.%s after sending out response headers"):format(name))
    return
  end
  local res = current.res
  if value == nil or type(value) == "table" then
    res:set(name, nil)
    for _, one in ipairs(value or {}) do res:add(name, tostring(one)) end
    return
  end
  if name:lower() == "content-length" then return end -- the server knows it
  res:set(name, tostring(value))
end

local function get_header(_, name)
  local current = present "ngx.header"
  return current.res:get(field_name(name))
end

M.header = setmetatable({}, { __index = get_header, __newindex = set_header, __metatable = false })

--- ngx.resp.get_headers() -> the fields that were set
function M.get_headers()
  local res, found = present("ngx.resp.get_headers").res, {}
  local fields = res.fields or {}
  for i = 1, #fields, 2 do
    local name, value = fields[i]:lower(), fields[i + 1]
    local before = found[name]
    if before == nil then found[name] = value
    elseif type(before) == "table" then before[#before + 1] = value
    else found[name] = { before, value } end
  end
  if res.type then found["content-type"] = res.type end
  return found
end

M.readers, M.writers = {}, {}

function M.readers.status() return present("ngx.status").status or 0 end

function M.writers.status(value)
  local current = current_of "ngx.status"
  if current.settled then
    log.log(4, "attempt to set ngx.status after sending out response headers")
    return
  end
  current.status = tonumber(value)
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

-- The text of a value; tables are lists of values.
local function add(out, value, name)
  local kind = type(value)
  if kind == "string" then
    out[#out + 1] = value
    return #value
  end
  if kind == "table" then
    local n = 0
    for _, one in ipairs(value) do n = n + add(out, one, name) end
    return n
  end
  if kind == "function" or kind == "thread" or kind == "userdata" and value ~= require("cjson").null then
    words.misuse(("bad argument #1 to '%s' (string, number, boolean, nil, ngx.null, or array table expected, got %s)")
      :format(name, kind))
  end
  local text = kind == "userdata" and "null" or tostring(value)
  out[#out + 1] = text
  return #text
end

local function output(name, newline, ...)
  local current = current_of(name)
  if current.ended then return nil, "seen eof" end
  local out = current.out
  if not out then
    out = {}
    current.out, current.kept = out, 0
  end
  current.settled = true
  local n = 0
  for i = 1, select("#", ...) do n = n + add(out, (select(i, ...)), name) end
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
  current.begun = true
  res.status = current.status or 200
  return res:send(current.out and table.concat(current.out) or "")
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

--- exit(status): from 200 on it is the response's, with a page for those from 300 on if nothing was said.
function M.exit(status)
  local current = present "ngx.exit"
  status = tonumber(status)
  if not status then words.misuse "bad argument #1 to 'exit' (number expected)" end
  if status == constants.ERROR then current.cut = true end
  if status >= 200 and not current.settled then
    current.status, current.page = status, status >= 300
  end
  leave(current)
end

local redirects = { [301] = true, [302] = true, [303] = true, [307] = true, [308] = true }

--- redirect(uri[, status])
function M.redirect(uri, status)
  local current = current_of "ngx.redirect"
  status = status or 302
  if not redirects[status] then
    words.misuse("only ngx.HTTP_MOVED_TEMPORARILY, ngx.HTTP_MOVED_PERMANENTLY, ngx.HTTP_PERMANENT_REDIRECT, "
      .. "ngx.HTTP_SEE_OTHER, and ngx.HTTP_TEMPORARY_REDIRECT are allowed")
  end
  if current.settled then words.misuse "attempt to call ngx.redirect after sending out the headers" end
  current.res:set("Location", tostring(uri))
  current.status, current.page = status, true
  leave(current)
end

--- fn() is called, in a task, when the client has gone.
function M.on_abort(fn)
  local current = present "ngx.on_abort"
  if type(fn) ~= "function" then words.misuse "bad argument #1 to 'on_abort' (Lua function expected)" end
  if current.abort then return nil, "duplicate call" end
  current.abort = fn
  return 1
end

M.context = context

return M

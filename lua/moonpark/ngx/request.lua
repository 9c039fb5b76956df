-- SPDX-License-Identifier: MIT
-- request.lua - ngx.req: the present request, read by moonpark's.

local constants = require "moonpark.ngx.constants"
local context = require "moonpark.ngx.context"
local escape = require "moonpark.ngx.escape"
local EXIT = require("moonpark.ngx.thread").EXIT
local fields = require "moonpark.ngx.request_fields"
local refusals = require("moonpark.http.response").refusals
local table_clear = require "table.clear"
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
  if type(number) ~= "number" then words.misuse "bad method number" end
  local name = method_names[number]
  if not name then words.misuse("unsupported HTTP method: " .. number) end
  present("ngx.req.set_method").method = name
end

function req.http_version() return tonumber(present("ngx.req.http_version").req.version) end

function req.start_time() return present("ngx.req.start_time").began end

function req.is_internal() return false end

-- Names of any case, and with underscores for dashes.
M.any_case = { __index = function(self, name)
  return type(name) == "string" and rawget(self, (name:lower():gsub("_", "-"))) or nil
end }

--- Adds a value to those of a name.
function M.add_value(list, name, value)
  local before = list[name]
  if before == nil then list[name] = value
  elseif type(before) == "table" then before[#before + 1] = value
  else list[name] = { before, value } end
end

local any_case, add = M.any_case, M.add_value

--- How many fields at most; 0: all.
---@param most any
---@param name string
---@return number
function M.limit(most, name)
  if most == nil or most == false then return MOST end
  if most == true then return 1 end
  if type(most) ~= "number" then
    words.misuse(("bad argument #1 to '%s' (number expected, got %s)"):format(name, type(most)))
  end
  return most
end

--- get_headers([most[, raw names]]) -> fields[, "truncated"]
function req.get_headers(most, raw)
  local current = present "ngx.req.get_headers"
  local changed, found, count = current.changed or {}, {}, 0
  most = M.limit(most, "get_headers")
  for name, value in current.req:each_header() do
    if changed[name] == nil then
      count = count + 1
      if most > 0 and count > most then return raw and found or setmetatable(found, any_case), "truncated" end
      add(found, name, value)
    end
  end
  for name, list in pairs(changed) do
    for _, value in ipairs(list or {}) do add(found, raw and list.name or name, value) end
  end
  return raw and found or setmetatable(found, any_case)
end

function req.set_header(name, value) fields.set(present "ngx.req.set_header", name, value) end

function req.clear_header(name) fields.set(present "ngx.req.clear_header", tostring(name)) end

function req.add_header(name, value) fields.add(present "ngx.req.add_header", name, value) end

--- The query, as it was sent or set.
---@param current moonpark.ngx.context
---@return string
function M.query_of(current)
  if current.no_args then return "" end
  return current.args or current.req.query_string
end

local query_of = M.query_of

--- get_uri_args([most[, table to fill]]) -> args[, "truncated"]
function req.get_uri_args(most, into)
  local current = present "ngx.req.get_uri_args"
  if into then table_clear(into) end
  local args, err = escape.decode_args(query_of(current), most)
  if into then
    for name, value in pairs(args) do into[name] = value end
    args = into
  end
  if err then return args, err end
  return args
end

function req.set_uri_args(args)
  local current, kind = present "ngx.req.set_uri_args", type(args)
  if kind ~= "string" and kind ~= "number" and kind ~= "table" then
    words.misuse(("bad argument #1 to 'set_uri_args' (string, number, or table expected, but got %s)"):format(kind))
  end
  current.args, current.no_args = kind == "table" and escape.encode_args(args) or tostring(args), nil
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

-- The handler ends, as in nginx: its client gets 413, 408 or 400, or nothing if it has cut the body off.
local function refuse(current, err)
  current.exiting, current.status, current.page = true, refusals[err] or 400, "page"
  current.cut = err == "unexpected eof"
  error(EXIT, 0)
end

function req.read_body()
  local current = present "ngx.req.read_body"
  if current.body ~= nil then return end
  local body, err = current.req:body()
  if not body then return refuse(current, err) end
  current.body = body
end

function req.discard_body()
  local current = present "ngx.req.discard_body"
  if current.body == nil then current.body, current.discarded = "", true end
end

--- nil: there is none, or it has not been read
function req.get_body_data()
  local body = present("ngx.req.get_body_data").body
  return body and body ~= "" and body or nil
end

--- Bodies are kept in memory.
function req.get_body_file() present "ngx.req.get_body_file" return nil end

-- The context, if its body may be changed: it has been read.
local function read_already(name)
  local current = present(name)
  if current.discarded then words.misuse "request body already discarded asynchronously" end
  if current.body == nil then words.misuse "request body not read yet" end
  return current
end

local function text_of(data, name)
  if type(data) ~= "string" and type(data) ~= "number" then
    words.misuse(("bad argument #1 to '%s' (string expected, got %s)"):format(name, data == nil and "no value"
      or type(data)))
  end
  return tostring(data)
end

local function replace_body(current, body)
  current.body, current.parts = body, nil
  fields.set(current, "Content-Length", #body)
end

function req.set_body_data(data)
  data = text_of(data, "set_body_data")
  replace_body(read_already "ngx.req.set_body_data", data)
end

--- init_body([bytes of a buffer])
function req.init_body(size)
  if size ~= nil then
    local number = words.integer(size)
    if not number then
      words.misuse(("bad argument #1 to 'init_body' (number expected, got %s)"):format(type(size)))
    end
    if number <= 0 then words.misuse(("bad size argument: %d"):format(number)) end
  end
  read_already("ngx.req.init_body").parts = {}
end

-- The pieces of the body that init_body has begun.
local function begun_parts(current)
  if not current.parts then words.misuse "request_body not initialized" end
  return current.parts
end

function req.append_body(data)
  data = text_of(data, "append_body")
  local parts = begun_parts(present "ngx.req.append_body")
  parts[#parts + 1] = data
end

function req.finish_body()
  local current = present "ngx.req.finish_body"
  replace_body(current, table.concat(begun_parts(current)))
end

function req.get_post_args(most)
  local current = present "ngx.req.get_post_args"
  if current.body == nil then words.misuse "no request body found; maybe you should turn on lua_need_request_body?" end
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

M.now = time.now

return M

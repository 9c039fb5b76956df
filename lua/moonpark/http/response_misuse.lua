-- SPDX-License-Identifier: MIT
-- response_misuse.lua - mistakes in answers: too late, too many arguments, fields that there are not. See misuse.lua.

local core = require "moonpark.core"
local file_response = require "moonpark.http.file_response"
local misuse = require "moonpark.http.misuse"

local M = {}

local phase = core.http_exchange_class.phase

--- The log of the server that a request, or response, is of.
---@param of moonpark.http.request|moonpark.http.response
---@return (fun(text: string))|nil
local function log_of(of) return file_response.logs[of.x] end
M.log_of = log_of

---------------------------------------------------------------------------------------------------
-- too late

--- Notes that an answer may begin now: from then on the core is asked.
---@param res moonpark.http.response
function M.note_begin(res)
  if rawget(res, 1) then res[6] = true end
end

--- Raises if the response has begun: what is set then would never be sent.
---@param res moonpark.http.response
---@param level integer as error's, in the function that calls this
---@param header? string the name of what is set
function M.check_open(res, level, header)
  if rawget(res, 6) ~= true and rawget(res, 1) then return end
  local ran, now = pcall(phase, res.x, res.serial)
  if ran and now == "unsent" then return end
  local what = header and ("header '%s' comes too late: "):format(header) or ""
  local why = not ran and "request has already finished" or now == "sent" and "response has already been sent"
    or "response has already begun"
  error(what .. why, level + 1)
end

--- Sets a field of an answer: if that is too late, sending the answer raises.
---@param res moonpark.http.response
---@param name "status"|"type"
---@param value any
function M.put(res, name, value)
  if rawget(res, 1) then rawset(res, name, value) else res[name] = value end
end

---------------------------------------------------------------------------------------------------
-- arguments

local function is_status(value) return type(value) == "number" and value >= 200 and value <= 599 and value % 1 == 0 end

-- A first argument that no call can be meant to have, with that second one.
local function mistake(name, first, extra)
  if first == nil then return ("%s: nil, %s"):format(name, tostring(extra)) end
  local kind = type(extra)
  if is_status(first) and (kind == "string" or kind == "table") then
    return ("%s takes no status: set res.status = %d before it, or use res:fail(%d, text)"):format(name, first, first)
  end
end

--- Looks at a second argument, which send and json do not have. What a call as text:gsub() returns besides is nothing
--- to speak of.
---@param res moonpark.http.response
---@param name string
---@param first any
---@param extra any
function M.check_extra(res, name, first, extra)
  local wrong = mistake(name, first, extra)
  if wrong then error(wrong, 3) end
  if type(extra) == "number" and not is_status(extra) then return end
  misuse.warn(("%s takes one value; the second, %s, is not sent; a status is set before, by res.status"):format(name,
    type(extra) == "table" and "a table" or tostring(extra)), log_of(res))
end

--- The same of json, whose value must not be nil.
---@param res moonpark.http.response
---@param value any
---@param extra any
function M.check_json(res, value, extra)
  local wrong = mistake("json", value, extra)
  if value == nil and extra == nil then wrong = "json: value expected, got nil; http.null is JSON's null" end
  if wrong then error(wrong, 4) end
  if extra ~= nil then M.check_extra(res, "json", value, extra) end
end

--- Raises at the line of the caller's caller.
---@param location any
---@param status any
function M.check_redirect(location, status)
  if type(location) ~= "string" then
    local order = type(location) == "number" and type(status) == "string"
    error(("redirect: location expected, got %s%s"):format(type(location),
      order and ": the status comes after it" or ""), 3)
  end
end

---------------------------------------------------------------------------------------------------
-- fields

local names

local FIELDS = { "status", "type", "request", "transform", "length", "x", "serial", "fields", "stream", "abandon" }
local FOREIGN = { body = "send", code = "status", statusCode = "status", status_code = "status", headers = "set",
  header = "set", content_type = "type", contentType = "type", mimetype = "type" }

local replaced = setmetatable({}, { __mode = "k" }) -- [fn] = a fail that looks whether fn has answered

-- Whatever is put in the place of res:fail must answer: otherwise the client would get an empty 200.
local function answering(Response, fn)
  local guarded = replaced[fn]
  if guarded then return guarded end
  local own = Response.fail
  function guarded(self, status, text)
    local ok, err, errno = fn(self, status, text)
    local x, serial = self.x, self.serial
    local hijacked = rawget(self.request, "hijacked")
    if hijacked or x:phase(serial) ~= "unsent" or x:failure(serial) then return ok, err, errno end
    misuse.warn(("the function set as res.fail has not answered for %s: the plain answer is sent"):format(
      tostring(status)), log_of(self), misuse.place_of(fn))
    return own(self, status, text)
  end
  replaced[fn] = guarded
  replaced[guarded] = guarded
  return guarded
end

--- What to set for a field that the script sets. Raises, at the line of the caller's caller, if it would hide a method.
---@param Response table
---@param res moonpark.http.response
---@param name any
---@param value any
---@return any
function M.assigned(Response, res, name, value)
  names = names or misuse.names(Response, "responses", FIELDS, FOREIGN)
  local method = Response[name]
  if type(method) ~= "function" then
    names:check(name, log_of(res))
    return value
  end
  if type(value) ~= "function" then
    error(("'%s' is a method: call it, res:%s(...); a %s cannot take its place"):format(name, name, type(value)), 3)
  end
  return name == "fail" and answering(Response, value) or value
end

--- The name of a response was read that it does not have.
---@param Response table
---@param res moonpark.http.response
---@param name any
function M.missing(Response, res, name)
  names = names or misuse.names(Response, "responses", FIELDS, FOREIGN)
  if not names.seen[name] then names:check(name, log_of(res)) end
end

---------------------------------------------------------------------------------------------------

local methods, fields = {}, {}

--- Notes the methods and fields of requests and responses, for hints.
---@param example "req"|"res"
---@param class table
---@param list string[]
function M.know(example, class, list)
  for name in pairs(class) do -- what is read without a call is probably the request's
    if example == "req" or not methods[name] then methods[name] = example end
  end
  for _, name in ipairs(list) do fields[name] = true end
end

for _, name in ipairs(FIELDS) do fields[name] = true end
M.fields = {}
for _, name in ipairs(FIELDS) do M.fields[name] = true end

--- The hint for a handler's error, as a line of its own; "" if there is none.
---@param err any
---@return string
function M.hint(err) return misuse.hint(err, methods, fields) end

return M

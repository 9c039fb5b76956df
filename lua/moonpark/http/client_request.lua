-- SPDX-License-Identifier: MIT
-- client_request.lua - a client's request: checks its options; makes its target, its body and its head (one string).

local addresses = require "moonpark.net.addresses"
local core = require "moonpark.core"
local http_json = require "moonpark.http.json"
local option = require "moonpark.options"
local proxies = require "moonpark.http.proxies"
local tls = require "moonpark.tls.conn"
local url = require "moonpark.url"

local M = {}

local function is_auth(value)
  return type(value) == "table" and type(value[1]) == "string" and type(value[2]) == "string" and #value == 2
end

-- Else they would be sent under the name "function: 0x7f...".
local function are_texts(values)
  if type(values) ~= "table" then return false end
  for name, value in pairs(values) do
    if type(name) ~= "string" and type(name) ~= "number" then return false end
    for _, one in ipairs(type(value) == "table" and value or { value }) do
      local kind = type(one)
      if kind ~= "string" and kind ~= "number" and kind ~= "boolean" and getmetatable(one) == nil then return false end
    end
  end
  return true
end

local of_texts = { are_texts, "must map names to texts, numbers, or lists of them" }

--- What a request may say.
M.known = {
  method = "string", url = "string", headers = "table", body = false, json = false, form = of_texts, query = of_texts,
  length = option.whole(0, 2 ^ 53), timeout = "seconds", connect_timeout = "seconds", head_timeout = "seconds",
  io_timeout = "seconds",
  redirects = "count", max_body = "count", max_head = "positive", unix = "string", stream = "boolean",
  proxy = { function(value) return value == false or type(value) == "string" end, "must be a string or false" },
  tls = tls.client, decode = "boolean", auth = { is_auth, "must be { name, password }" }, expect = "boolean",
  keep_alive = "boolean", upgrade = "string",
}

-- Asked for by options, because a mistake in them would make two requests of one; false: not at all.
local reserved = {
  ["content-length"] = "the option 'length'", ["transfer-encoding"] = "a body that is a function",
  ["connection"] = "the options 'keep_alive' and 'upgrade'", ["upgrade"] = "the option 'upgrade'",
  ["expect"] = "the option 'expect'", ["te"] = false, ["trailer"] = false, ["keep-alive"] = false,
  ["proxy-connection"] = false,
}

---------------------------------------------------------------------------------------------------
-- checking; errors are returned, and raised where the caller's line is known

local function add_one(list, name, value)
  local kind = type(value)
  if kind ~= "string" and kind ~= "number" then return ("invalid value of header '%s'"):format(name) end
  list[#list + 1] = name
  list[#list + 1] = tostring(value)
end

-- Adds the fields of a table {Name = value | {values}}; in order of names, so that a request is the same each time.
local function add_headers(list, seen, headers)
  local names = {}
  for name in pairs(headers) do
    if type(name) ~= "string" then return ("invalid header name '%s'"):format(tostring(name)) end
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local lower, value = name:lower(), headers[name]
    if reserved[lower] then return ("header '%s' is set by %s"):format(name, reserved[lower]) end
    if reserved[lower] == false then return ("header '%s' cannot be set"):format(name) end
    if not seen[lower] then
      for _, one in ipairs(type(value) == "table" and value or { value }) do
        local wrong = add_one(list, name, one)
        if wrong then return wrong end
      end
    end
  end
  for _, name in ipairs(names) do seen[name:lower()] = true end
end

local function is_callable_body(body)
  if type(body) == "function" then return true end
  if type(body) ~= "table" and type(body) ~= "userdata" then return false end
  local ok, read = pcall(function() return body.read end)
  return ok and type(read) == "function"
end

local function body_of(options)
  local body, kind = options.body, nil
  local several = body ~= nil and (options.json ~= nil and "json" or options.form and "form")
    or options.json ~= nil and options.form and "form"
  if several then
    return nil, nil, ("option '%s': there is a body already, of option '%s'"):format(several,
      body ~= nil and "body" or "json")
  end
  if options.json ~= nil then
    local text, why = http_json.encode(options.json)
    if not text then return nil, nil, "option 'json': " .. why end
    body, kind = text, "application/json"
  elseif options.form then
    body, kind = url.form(options.form), "application/x-www-form-urlencoded"
  end
  if type(body) == "number" then body = tostring(body) end
  if body ~= nil and type(body) ~= "string" and not is_callable_body(body) then
    return nil, nil, ("option 'body' must be a string, a function or an object with read(), not a %s"):format(
      type(body))
  end
  return body, kind
end

---@class moonpark.http.client.options
---@field url? string of request(); for get() and its like an argument
---@field method? string "GET", or "POST" if there is a body
---@field headers? table<string, string|number|string[]> Name = value, or a list of values
---@field query? table<string, any> added to the URL's
---@field body? string|function|table what is sent; a function: its pieces, until nil; or what has read()
---@field length? integer bytes of a body that is not a string; else it goes in chunks
---@field json? any is encoded
---@field form? table<string, any> is encoded
---@field timeout? number seconds for the whole, redirects included; no limit
---@field connect_timeout? number seconds; 30
---@field head_timeout? number seconds from the request's end to the end of the answer's head; no limit
---@field io_timeout? number seconds for each read and write; no limit
---@field redirects? integer that are followed; 5
---@field max_body? integer bytes of a body that is returned; 64 MiB
---@field max_head? integer bytes of the answer's head; 64 KiB
---@field proxy? string|false the environment's (http_proxy, https_proxy, no_proxy); false: none
---@field tls? boolean|moonpark.tls_context made by tls.client, for https; by default the system's authorities count
---@field unix? string the path of a unix socket, in place of the URL's host
---@field stream? boolean answer:read() gives the body
---@field decode? boolean false: a compressed body stays so
---@field auth? string[] {name, password}: basic
---@field expect? boolean the body waits for "100 Continue"
---@field keep_alive? boolean false: the connection is not kept
---@field upgrade? string a protocol; if the server switches to it, answer.connection is set

---@class moonpark.http.job a request that is under way, over all redirects
---@field client moonpark.http.client
---@field options table
---@field method string
---@field body string|function|table|nil
---@field kind string|nil the body's type
---@field target moonpark.url.parts
---@field foreign boolean a redirect has led to another origin
---@field bodiless boolean|nil a redirect has taken the body away
---@field expect boolean the body waits for "100 Continue"
---@field head string
---@field length integer|true|nil bytes of the body; true: nobody knows; nil: there is none
---@field deadline number|nil
---@field use moonpark.http.use|false of the pool, by the last exchange

local function merged(defaults, options)
  local all = {}
  for name, value in pairs(defaults) do all[name] = value end
  for name, value in pairs(options) do all[name] = value end
  return all
end

-- The fields that the caller has not set himself.
local function own_fields(job, list, seen)
  local options = job.options
  local function add(name, value)
    local lower = name:lower()
    if value and not seen[lower] then add_one(list, name, value) end
  end
  add("User-Agent", "moonpark/" .. core.version)
  add("Accept", "*/*")
  -- Part of a compressed body cannot be decoded, so no coding is accepted with a range.
  if options.decode ~= false and not seen["accept-encoding"] and not seen["range"] then
    job.decode = true
    add("Accept-Encoding", job.client.accepted)
  end
  if job.body ~= nil then add("Content-Type", job.kind) end
  if not job.foreign then add("Authorization", proxies.credentials(options.auth, job.target.user)) end
end

local announces_none = { POST = true, PUT = true, PATCH = true } -- a body is expected of these

-- Bytes of the body; true: nobody knows; nil: there is none.
local function length_of(job)
  local body = job.body
  if type(body) == "string" then return #body end
  if body ~= nil then return job.options.length or true end
  return announces_none[job.method] and 0 or nil
end

local private = { authorization = true, cookie = true, ["proxy-authorization"] = true, host = true }

local of_body = { ["content-type"] = true, ["content-encoding"] = true, ["content-language"] = true,
  ["content-location"] = true }

--- Writes the head of what is to be sent next. nil, or what is wrong with it.
---@param job moonpark.http.job
---@return string|nil
function M.write_head(job)
  local options, list, seen = job.options, {}, {}
  job.decode = false
  local headers = options.headers or {}
  local host = not job.foreign and proxies.find(headers, "host")
  add_one(list, "Host", host or job.target.authority)
  seen.host = true
  if job.foreign then
    for name in pairs(private) do seen[name] = true end
  end
  for name in pairs(job.bodiless and of_body or {}) do seen[name] = true end
  local wrong = add_headers(list, seen, headers) or add_headers(list, seen, job.client.headers)
  if wrong then return wrong end
  own_fields(job, list, seen)
  job.length = length_of(job)
  job.route = proxies.of(job.target, options, job.method)
  if not job.route.wrong then -- a URL, or a redirect, may name what is no host: dial would raise
    job.route.wrong = select(2, addresses.test(job.route.address))
  end
  if job.route.wrong then return job.route.wrong end
  if job.route.credentials then add_one(list, "Proxy-Authorization", job.route.credentials) end
  job.head, wrong = job.client.writer:request(job.method, job.route.target, list, job.length, job.expect,
    options.upgrade, options.keep_alive == false)
  return not job.head and wrong or nil
end

local function resolve(client, options)
  local text = options.url
  if type(text) ~= "string" then return nil, "option 'url' must be a string" end
  text = url.tolerate(text)
  local parts, wrong
  if client.base then parts, wrong = url.resolve(client.base, text) else parts, wrong = url.parse(text) end
  if not parts then return nil, wrong end
  if options.query then
    local joint = parts.path:find("?", 1, true) and "&" or "?"
    parts.path = parts.path .. joint .. url.form(options.query)
  end
  return parts
end

--- What is wrong with options that a client has for all of its requests; the others have passed M.known.
---@param options table
---@return string|nil
function M.fault_of_defaults(options)
  local wrong = add_headers({}, {}, options.headers or {})
  if wrong then return wrong end
  local _
  _, _, wrong = body_of(options)
  return wrong
end

local function fault_of_method(method)
  local is_lower = method and method:find "^%l+$"
  return is_lower and ("methods must be in upper case: %s"):format(method:upper()) or nil
end

--- The job; or nil, what is wrong, and whether that is for the caller to mend.
---@param client moonpark.http.client
---@param given moonpark.http.client.options
---@return moonpark.http.job|nil
---@return string? wrong
---@return boolean? misuse
function M.new(client, given)
  if type(given) ~= "table" then return nil, ("table of options expected, got %s"):format(type(given)), true end
  local wrong = option.complaint(given, M.known) or fault_of_method(given.method)
  if wrong then return nil, wrong, true end
  local options = merged(client.defaults, given)
  local body, kind
  body, kind, wrong = body_of(options)
  if wrong then return nil, wrong, true end
  local target
  target, wrong = resolve(client, options)
  if not target then return nil, wrong, type(options.url) ~= "string" end
  local job = { client = client, options = options, method = options.method or (body ~= nil and "POST" or "GET"),
    body = body, kind = kind, target = target, foreign = false, use = false,
    expect = body ~= nil and body ~= "" and options.expect or false, -- RFC 9110 10.1.1: not without content
    deadline = options.timeout and core.now() + options.timeout }
  wrong = M.write_head(job)
  if wrong then return nil, wrong, not job.route or not job.route.wrong end
  return job
end

return M

-- SPDX-License-Identifier: MIT
-- http_client.lua - requests: what is sent, where to, over which connection, and where a redirect leads.
--
-- A request is checked to its last byte, and written as one text, before anything of it is sent. All waits are the
-- connection's, so a deadline or a cancellation ends whichever is under way, and the connection with it.

local core = require "moonpark.core"
local http_answer = require "moonpark.http_answer"
local http_decode = require "moonpark.http_decode"
local http_json = require "moonpark.http_json"
local http_pool = require "moonpark.http_pool"
local http_route = require "moonpark.http_route"
local http_upload = require "moonpark.http_upload"
local net = require "moonpark.net"
local url = require "moonpark.url"

local M = {}

---@class moonpark.http.client
---@field defaults table
local Client = {}
Client.__index = Client

local HEAD_MAX = 65536
local REPLAY_WASTE = 65536 -- of a redirect's body, to keep the connection
local EXPECT_TIME = 1      -- seconds for "100 Continue"
local AT_ONCE = 16384      -- bytes of a body that are sent before the answer is awaited: buffers hold them

-- What a request may say; false: what its type is, is looked at where it is used.
local known = {
  method = "string", url = "string", headers = "table", body = false, json = false, form = "table", query = "table",
  length = "number", timeout = "number", connect_timeout = "number", head_timeout = "number", io_timeout = "number",
  redirects = "number", max_body = "number", max_head = "number", proxy = false, unix = "string", stream = "boolean",
  decode = "boolean", auth = "table", expect = "boolean", keep_alive = "boolean", upgrade = "string",
}
local of_clients = {
  max_connections = "number", max_per_host = "number", max_idle = "number", max_idle_per_host = "number",
  idle_timeout = "number", base_url = "string",
}

-- Asked for by options, because a mistake in them would make two requests of one.
local reserved = {
  ["content-length"] = "the option 'length'", ["transfer-encoding"] = "a body that is a function",
  ["connection"] = "the options 'keep_alive' and 'upgrade'", ["upgrade"] = "the option 'upgrade'",
  ["expect"] = "the option 'expect'", ["te"] = "nothing", ["trailer"] = "nothing", ["keep-alive"] = "nothing",
  ["proxy-connection"] = "nothing",
}

local idempotent = { GET = true, HEAD = true, PUT = true, DELETE = true, OPTIONS = true, TRACE = true }

---------------------------------------------------------------------------------------------------
-- checking; what is wrong is returned, and raised where the caller's line is known

local function check_options(options, more)
  for name, value in pairs(options) do
    local kind = known[name]
    if kind == nil then kind = more and more[name] end
    if kind == nil then return ("unknown option '%s'"):format(tostring(name)) end
    if kind and type(value) ~= kind then
      return ("option '%s' must be a %s, not a %s"):format(name, kind, type(value))
    end
    if kind == "number" and (value < 0 or value ~= value) then
      return ("option '%s' must be a number of at least 0"):format(name)
    end
  end
end

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
  if options.json ~= nil then
    local text, why = http_json.encode(options.json)
    if not text then return nil, nil, "option 'json': " .. why end
    body, kind = text, "application/json"
  elseif options.form then
    body, kind = url.form(options.form), "application/x-www-form-urlencoded"
  end
  if type(body) == "number" then body = tostring(body) end
  if body ~= nil and type(body) ~= "string" and not is_callable_body(body) then
    return nil, nil, ("option 'body' must be a string, a function or have read(), not a %s"):format(type(body))
  end
  return body, kind
end

---@class moonpark.http.client.options
---@field url string
---@field method? string "GET", or "POST" where there is a body
---@field headers? table<string, string|number|table> Name = value, or a list of values
---@field query? table added to the URL's
---@field body? string|function|table what is sent; a function: its pieces, until nil; or what has read()
---@field length? integer bytes of a body that is not a string; else it goes in chunks
---@field json? any is encoded
---@field form? table is encoded
---@field timeout? number seconds for the whole, redirects included; no limit
---@field connect_timeout? number seconds; 30
---@field head_timeout? number seconds from the request's end to the end of the answer's head; no limit
---@field io_timeout? number seconds for each read and write; no limit
---@field redirects? integer that are followed; 5
---@field max_body? integer bytes of a body that is returned; 64 MiB
---@field max_head? integer bytes of the answer's head; 64 KiB
---@field proxy? string|false the environment's (http_proxy, no_proxy); false: none
---@field unix? string the path of a unix socket, in place of the URL's host
---@field stream? boolean answer:read() gives the body
---@field decode? boolean false: a compressed body stays so
---@field auth? string[] {name, password}: basic
---@field expect? boolean the body waits for "100 Continue"
---@field keep_alive? boolean false: the connection is not kept
---@field upgrade? string a protocol; where it is taken up answer.connection is there

---@class moonpark.http.job a request that is under way, over all redirects
---@field client moonpark.http.client
---@field options table
---@field method string
---@field body string|function|table|nil
---@field kind string|nil the body's type
---@field target moonpark.url.parts
---@field foreign boolean a redirect has led to another origin
---@field bodiless boolean|nil a redirect has taken the body away
---@field head string
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
  -- A slice of a packed body cannot be unpacked, so who asks for a range is sent none.
  if options.decode ~= false and not seen["accept-encoding"] and not seen["range"] then
    job.decode = true
    add("Accept-Encoding", job.client.accepted)
  end
  if job.body ~= nil then add("Content-Type", job.kind) end
  if not job.foreign then add("Authorization", http_route.credentials(options.auth, job.target.user)) end
end

local function framing_fields(job, list)
  local body, options = job.body, job.options
  if type(body) == "string" then
    add_one(list, "Content-Length", #body)
  elseif body ~= nil and options.length then
    add_one(list, "Content-Length", ("%d"):format(options.length))
  elseif body ~= nil then
    add_one(list, "Transfer-Encoding", "chunked")
  elseif job.method == "POST" or job.method == "PUT" or job.method == "PATCH" then
    add_one(list, "Content-Length", 0)
  end
  if body ~= nil and options.expect then add_one(list, "Expect", "100-continue") end
  if options.upgrade then
    add_one(list, "Connection", "Upgrade")
    add_one(list, "Upgrade", options.upgrade)
  elseif options.keep_alive == false then
    add_one(list, "Connection", "close")
  end
end

local private = { authorization = true, cookie = true, ["proxy-authorization"] = true, host = true }

local of_body = { ["content-type"] = true, ["content-encoding"] = true, ["content-language"] = true,
  ["content-location"] = true }

-- Writes the head of what is to be sent next. nil, or what is wrong with it.
local function write_head(job)
  local options, list, seen = job.options, {}, {}
  job.decode = false
  local headers = options.headers or {}
  local host = not job.foreign and http_route.find(headers, "host")
  add_one(list, "Host", host or job.target.authority)
  seen.host = true
  if job.foreign then
    for name in pairs(private) do seen[name] = true end
  end
  for name in pairs(job.bodiless and of_body or {}) do seen[name] = true end
  local wrong = add_headers(list, seen, headers) or add_headers(list, seen, job.client.headers)
  if wrong then return wrong end
  own_fields(job, list, seen)
  framing_fields(job, list)
  job.route = http_route.of(job.target, options, job.method)
  if not job.route.wrong then -- a URL, or a redirect, may name what is no host: dial would raise
    job.route.wrong = select(2, net.check_address(job.route.address))
  end
  if job.route.wrong then return job.route.wrong end
  if job.route.credentials then add_one(list, "Proxy-Authorization", job.route.credentials) end
  job.head, wrong = job.client.writer:request(job.method, job.route.target, list)
  return not job.head and wrong or nil
end

-- Bytes that a target cannot hold, and that people write all the same.
local function encoded(text)
  return (text:gsub("[\128-\255\"<>\\^`{|}]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local function resolve(client, options)
  local text = options.url
  if type(text) ~= "string" then return nil, "option 'url' must be a string" end
  text = encoded(text)
  local parts, wrong
  if client.base then parts, wrong = url.resolve(client.base, text) else parts, wrong = url.parse(text) end
  if not parts then return nil, wrong end
  if options.query then
    local joint = parts.path:find("?", 1, true) and "&" or "?"
    parts.path = parts.path .. joint .. url.form(options.query)
  end
  return parts
end

-- The job; or nil, what is wrong, and whether that is for the caller to mend.
local function prepare(client, given)
  if type(given) ~= "table" then return nil, ("table of options expected, got %s"):format(type(given)), true end
  local wrong = check_options(given)
  if wrong then return nil, wrong, true end
  local options = merged(client.defaults, given)
  if options.proxy and type(options.proxy) ~= "string" then
    return nil, "option 'proxy' must be a string or false", true
  end
  local body, kind
  body, kind, wrong = body_of(options)
  if wrong then return nil, wrong, true end
  local target
  target, wrong = resolve(client, options)
  if not target then return nil, wrong, type(options.url) ~= "string" end
  local job = { client = client, options = options, method = options.method or (body ~= nil and "POST" or "GET"),
    body = body, kind = kind, target = target, foreign = false, use = false,
    deadline = options.timeout and core.now() + options.timeout }
  wrong = write_head(job)
  if wrong then return nil, wrong, not job.route or not job.route.wrong end
  return job
end

---------------------------------------------------------------------------------------------------
-- one exchange

local function connect(job, use)
  local options = job.options
  local timeout = options.connect_timeout or 30
  local left = job.deadline and job.deadline - core.now()
  if left and left <= 0 then return nil, "timeout" end
  local entry = use.pool:reserve(use.place)
  use.entry = entry
  local conn, err, errno = net.dial(job.route.address, { timeout = math.min(timeout, left or timeout) })
  if not conn then return nil, err, errno end
  entry.conn = conn
  return true
end

-- Only a body that is at hand can be sent twice.
local function is_replayable(job) return job.body == nil or type(job.body) == "string" end

local function read_head(job, use, continues)
  local options, entry = job.options, use.entry
  return entry.reader:head(entry.conn, job.method == "HEAD", options.max_head or HEAD_MAX, continues)
end

-- true: the body is wanted; false and a status: that is the answer already; nil, err.
local function await_continue(job, use)
  local conn = use.entry.conn
  conn:set_timeout(EXPECT_TIME)
  local status, err, errno = read_head(job, use, true)
  conn:set_timeout(job.options.io_timeout)
  if status == 100 or err == "timeout" then return true end
  if not status then return nil, err, errno end
  use.keep = false
  return false, status
end

-- Starts what may take long: it goes up while the answer is awaited.
local function upload(job, use, body, length)
  local options = job.options
  use.limits = { length = length, io = options.io_timeout, head = options.head_timeout, deadline = job.deadline }
  use.upload = http_upload.new()
  use.upload:start(use.entry.conn, body, use.limits)
  return true
end

-- Writes what is to be sent, or begins to. true; a status, where the answer came before the body; nil, err, errno.
local function send(job, use)
  local conn, body = use.entry.conn, job.body
  local text = type(body) == "string"
  if text and not job.options.expect then
    if #body <= AT_ONCE then return conn:write(job.head, body) end
    return upload(job, use, job.head .. body, #job.head + #body)
  end
  local ok, err, errno = conn:write(job.head)
  if not ok or body == nil then return ok, err, errno end
  if job.options.expect then
    local wanted, status, number = await_continue(job, use)
    if wanted == nil then return nil, status, number end
    if not wanted then return true, status end
  end
  return upload(job, use, body, text and #body or job.options.length)
end

-- A server may refuse a request before it has all of it, and close: what it has said meanwhile counts.
local function early_answer(job, use, err, errno)
  if err ~= "broken pipe" and err ~= "connection reset by peer" then return nil, err, errno end
  use.keep = false
  local status = read_head(job, use)
  if status then return status end
  return nil, err, errno
end

-- The head that comes while the body may still be on its way up. Who refuses wants no more of it; who accepts may be
-- answering what he has read so far.
local function answer_of_upload(job, use)
  local up = use.upload
  local status, err, errno = read_head(job, use)
  local set, why, number = up:head_read(use.entry.conn, use.limits)
  if status and not set then status, err, errno = nil, why, number end
  if not status then
    up:stop()
    return nil, err, errno
  end
  if status >= 300 and not up.done then
    use.keep = false
    up:stop()
  end
  return status
end

local function exchange(job, use)
  local conn, options = use.entry.conn, job.options
  if job.deadline then
    local set, why, number = conn:set_deadline(job.deadline)
    if not set then return nil, why, number end -- the descriptor could not be watched
  end
  conn:set_timeout(options.io_timeout)
  local ok, status, errno = send(job, use)
  if not ok then return early_answer(job, use, status, errno) end
  if type(status) == "number" then return status end
  if use.upload then return answer_of_upload(job, use) end
  if options.head_timeout then conn:set_timeout(options.head_timeout) end
  local err
  status, err, errno = read_head(job, use)
  if options.head_timeout then conn:set_timeout(options.io_timeout) end
  return status, err, errno
end

local stale = { ["eof"] = true, ["connection reset by peer"] = true, ["broken pipe"] = true }

-- On the pool's connection if there is one; once more on a new one where that turns out to be dead.
local function attempt(job, use)
  local options = job.options
  local repeatable = idempotent[job.method] and is_replayable(job)
  use.entry = not options.upgrade and job.method ~= "CONNECT" and use.pool:take(use.place, not repeatable) or false
  while true do
    if not use.entry then
      local ok, err, errno = connect(job, use)
      if not ok then return nil, err, errno end
    end
    local used = use.entry.used
    local status, err, errno = exchange(job, use)
    if status then return status end
    http_answer.drop(use)
    if use.upload then
      local _
      _, err, errno = use.upload:explain(err, errno)
    end
    if not (used and repeatable and stale[err]) then return nil, err == "eof" and "unexpected eof" or err, errno end
    use.keep, use.upload = options.keep_alive ~= false, false
  end
end

-- The answer to what the job's head says; its connection is still in use.
local function perform(job)
  local pool = job.client.pool
  local place = pool:place(job.route.key)
  local use = { pool = pool, place = place, entered = false, entry = false, upload = false,
    keep = job.options.keep_alive ~= false, deadline = job.deadline }
  job.use = use
  local ok, why = pool:enter(place, job.deadline)
  if not ok then return nil, why end
  use.entered = true
  local status, err, errno = attempt(job, use)
  if not status then
    http_answer.release(use, true)
    return nil, err, errno
  end
  local answer = http_answer.new(use, status, job.decode)
  local t = job.target
  answer.url = t.scheme .. "://" .. t.authority .. t.path
  return answer
end

---------------------------------------------------------------------------------------------------
-- redirects (RFC 9110 15.4)

local redirects = { [301] = true, [302] = true, [303] = true, [307] = true, [308] = true }

local function same_origin(a, b) return a.scheme == b.scheme and a.host == b.host and a.port == b.port end

-- Changes the job into the one that the answer asks for. false: the answer is the last one; nil, err.
local function follow(job, answer)
  local status, location = answer.status, answer.headers["location"]
  if not redirects[status] or not location or (job.options.redirects or 5) == 0 then return false end
  local becomes_get = status == 303 and job.method ~= "HEAD" or (status <= 302 and job.method == "POST")
  if not becomes_get and not is_replayable(job) then return false end
  local target, wrong = url.resolve(job.target, encoded(location:gsub(" ", "%%20")))
  if not target then return nil, "invalid redirect: " .. wrong end
  if becomes_get then job.method, job.body, job.kind, job.bodiless = "GET", nil, nil, true end
  if not same_origin(target, job.target) then job.foreign = true end
  if not job.foreign then target.user = target.user or job.target.user end
  job.target = target
  wrong = write_head(job)
  if wrong then return nil, wrong end
  return true
end

-- RFC 9112 6.3: behind the head of a 2xx a tunnel begins, whatever the head says of a body.
local function is_tunnel(job, status) return job.method == "CONNECT" and status >= 200 and status < 300 end

-- The connection speaks another protocol from here on: it is the caller's.
local function hand_over(job, answer)
  if answer.status == 101 and not job.options.upgrade then
    answer:close()
    return nil, "malformed message"
  end
  local conn, err, errno = http_answer.take_connection(answer.use)
  if not conn then return nil, err, errno end
  answer.connection = conn
  return answer
end

local function finish(job, answer)
  if answer.status == 101 or is_tunnel(job, answer.status) then return hand_over(job, answer) end
  if job.options.stream then return http_answer.streams(answer) end
  local body, err, errno = answer:read_all(job.options.max_body)
  if not body then return nil, err, errno end
  answer.body = body
  return answer
end

local function run(job)
  for _ = 0, job.options.redirects or 5 do
    local answer, err, errno = perform(job)
    if not answer then return nil, err, errno end
    local again, wrong = follow(job, answer)
    if again == false then return finish(job, answer) end
    if again then answer:read_all(REPLAY_WASTE) end
    answer:close()
    if not again then return nil, wrong end
  end
  return nil, "too many redirects"
end

-- What was raised, by a body or because there is no memory, takes its connection with it, and ends its turn.
local function finished(job, ok, ...)
  if ok then return ... end
  if job.use then http_answer.release(job.use, true) end
  error((...), 0)
end

local function start(client, options, level)
  local job, wrong, misuse = prepare(client, options)
  if job then return finished(job, pcall(run, job)) end
  if misuse then error("http: " .. wrong, level + 1) end
  return nil, wrong
end

---------------------------------------------------------------------------------------------------
-- clients

--- Sends a request and returns the answer, its body read unless it streams.
---
---@param options moonpark.http.client.options
---@return moonpark.http.answer|nil
---@return string? err "timeout", "canceled", "connection refused", "malformed message", "too many redirects", ...
---@return integer? errno
function Client:request(options)
  local answer, err, errno = start(self, options, 2)
  return answer, err, errno
end

--- Closes connections that wait for another request.
function Client:close_idle() self.pool:close_idle() end

--- The same, and keeps none from now on. Requests under way go on.
function Client:close() self.pool:close() end

--- How many connections are open, and how many of them are idle.
---@return {open: integer, idle: integer}
function Client:stats() return { open = self.pool.open, idle = self.pool.idle } end

local function with_method(method, address, options)
  local all = { method = method, url = address }
  for name, value in pairs(options or {}) do all[name] = value end
  return all
end

local shared

--- The client of http.get() and its like.
---@return moonpark.http.client
function M.default()
  shared = shared or M.client()
  return shared
end

--- http.request(options): as a client's, on the client that all share.
function M.request(options)
  local answer, err, errno = start(M.default(), options, 2)
  return answer, err, errno
end

-- No tail calls here: start() counts levels to the line of who called.

--- client:get(url, options) and its like, and http.get(url, options): request() with that method.
for _, name in ipairs { "get", "head", "post", "put", "delete", "patch", "options" } do
  local method = name:upper()
  Client[name] = function(self, address, options)
    local answer, err, errno = start(self, with_method(method, address, options), 2)
    return answer, err, errno
  end
  M[name] = function(address, options)
    local answer, err, errno = start(M.default(), with_method(method, address, options), 2)
    return answer, err, errno
  end
end

--- A client with connections and defaults of its own: what request() takes, and of the pool max_connections,
--- max_per_host, max_idle, max_idle_per_host, idle_timeout; base_url for URLs that are relative.
---@param options? table
---@return moonpark.http.client
function M.client(options)
  options = options or {}
  local wrong = check_options(options, of_clients)
  if wrong then error("http.client: " .. wrong, 2) end
  local base
  if options.base_url then
    base, wrong = url.parse(options.base_url)
    if not base then error("http.client: option 'base_url': " .. wrong, 2) end
  end
  local defaults = {}
  for name, value in pairs(options) do
    if not of_clients[name] and name ~= "headers" then defaults[name] = value end
  end
  return setmetatable({ pool = http_pool.new(options), defaults = defaults, headers = options.headers or {},
    base = base, accepted = http_decode.accepted(), writer = core.http_reader() }, Client)
end

return M

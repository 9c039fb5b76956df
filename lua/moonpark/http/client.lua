-- SPDX-License-Identifier: MIT
-- client.lua - the HTTP client: picks a connection, sends the request, reads the response, follows redirects.
--
-- A request is checked to its last byte, and its head written as one string (client_request.lua), before anything is
-- sent. Every wait is an operation of the connection, so a deadline or a cancellation ends it, and the connection too.

local core = require "moonpark.core"
local client_request = require "moonpark.http.client_request"
local client_response = require "moonpark.http.client_response"
local client_upload = require "moonpark.http.client_upload"
local http_decode = require "moonpark.http.decode"
local http_pool = require "moonpark.http.pool"
local misuse = require "moonpark.http.misuse"
local check_options = require("moonpark.options").check
local upstream = require "moonpark.http.upstream"
local url = require "moonpark.url"

local M = {}

---@alias moonpark.http.client.method fun(self: moonpark.http.client, url: string,
--- options?: moonpark.http.client.options): moonpark.http.answer|nil, string?, integer?

---@class moonpark.http.client
---@field private defaults table
---@field get moonpark.http.client.method
---@field head moonpark.http.client.method
---@field post moonpark.http.client.method
---@field put moonpark.http.client.method
---@field delete moonpark.http.client.method
---@field patch moonpark.http.client.method
---@field options moonpark.http.client.method
local Client = {}
Client.__index = Client

local REPLAY_WASTE = 65536 -- of a redirect's body, to keep the connection
local EXPECT_TIME = 1      -- seconds for "100 Continue"
local announces_body = { post = true, put = true, patch = true }
local AT_ONCE = 16384      -- bytes of a body that are sent before the answer is awaited: buffers hold them

--- What a client's requests say if they do not say otherwise, and what its pool keeps.
---@class moonpark.http.client.defaults: moonpark.http.client.options, moonpark.http.pool.options
---@field base_url? string for URLs that are relative

local of_pools = {
  max_connections = "positive", max_per_host = "positive", max_idle = "count", max_idle_per_host = "count",
  idle_timeout = "seconds", base_url = "string",
}
local of_clients = {} -- these, and what requests may say
for _, known in ipairs { of_pools, client_request.known } do
  for name, kind in pairs(known) do of_clients[name] = kind end
end

---------------------------------------------------------------------------------------------------
-- one exchange

local function connect(job, use)
  local options = job.options
  local timeout = options.connect_timeout or 30
  local left = job.deadline and job.deadline - core.now()
  if left and left <= 0 then return nil, "timeout" end
  return upstream.connect(use, job.route, math.min(timeout, left or timeout))
end

-- Only a body that is at hand can be sent twice.
local function is_replayable(job) return job.body == nil or type(job.body) == "string" end

local function read_head(job, use, continues)
  local options, entry = job.options, use.entry
  local status, err, errno =
    entry.reader:head(entry.conn, job.method == "HEAD", options.max_head or upstream.HEAD_MAX, continues)
  use.begun = use.begun or status ~= nil or upstream.has_begun(entry, err)
  return status, err, errno
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

-- Starts what may take long: it goes up while the answer is awaited. head: if it was not sent yet.
local function upload(job, use, head)
  local options = job.options
  use.limits = { length = job.length, io = options.io_timeout, head = options.head_timeout, deadline = job.deadline }
  use.upload = client_upload.new()
  use.upload:start(use.entry, head, job.body, use.limits)
  return true
end

-- Writes what is to be sent, or begins to. true; a status, where the answer came before the body; nil, err, errno.
local function send(job, use)
  local conn, reader, body = use.entry.conn, use.entry.reader, job.body
  if type(body) == "string" and not job.expect then
    if #body <= AT_ONCE then return reader:begin(conn, job.head, job.length, body) end
    return upload(job, use, job.head)
  end
  local ok, err, errno = reader:begin(conn, job.head, job.length)
  if not ok or body == nil then return ok, err, errno end
  if job.expect then
    local wanted, status, number = await_continue(job, use)
    if wanted == nil then return nil, status, number end
    if not wanted then return true, status end
  end
  return upload(job, use, nil)
end

-- A server may refuse a request before it has all of it, and close: what it has said meanwhile counts.
local function early_answer(job, use, err, errno)
  if err ~= "broken pipe" and err ~= "connection reset by peer" then return nil, err, errno end
  use.keep = false
  local patience = client_upload.break_off(use.entry.conn)
  if patience then use.entry.conn:set_timeout(patience) end
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

-- On the pool's connection if there is one; once more on a new one where that turns out to be dead.
local function attempt(job, use)
  local options = job.options
  local repeatable = upstream.idempotent[job.method] and is_replayable(job)
  if not options.upgrade and job.method ~= "CONNECT" then upstream.take(use, not repeatable) end
  while true do
    if not use.entry then
      local ok, err, errno = connect(job, use)
      if not ok then return nil, err, errno end
    end
    local status, err, errno = exchange(job, use)
    if status then return status end
    local kept = upstream.drop(use)
    if use.upload then
      local _
      _, err, errno = use.upload:explain(err, errno)
    end
    if not repeatable or use.begun or not upstream.was_dead(kept, err) then
      return nil, err == "eof" and "unexpected eof" or err, errno
    end
    use.keep, use.upload, use.begun = options.keep_alive ~= false, false, false
  end
end

-- The answer to what the job's head says; its connection is still in use.
local function perform_once(job)
  local pool = job.client.pool
  local place = pool:place(job.route.key)
  local use = { pool = pool, place = place, entered = false, entry = false, upload = false, begun = false,
    keep = job.options.keep_alive ~= false, deadline = job.deadline }
  job.use = use
  local ok, why = upstream.enter(use, job.deadline)
  if not ok then return nil, why end
  local status, err, errno = attempt(job, use)
  if not status then
    client_response.release(use, true)
    return nil, err, errno
  end
  local answer = client_response.new(use, status, job.decode)
  local t = job.target
  answer.url = t.scheme .. "://" .. t.authority .. t.path
  return answer
end

-- The same; once more without Expect where somebody on the way does not know it (RFC 9110 10.1.1).
local function perform(job)
  local answer, err, errno = perform_once(job)
  if not answer or answer.status ~= 417 or not job.expect or not is_replayable(job) then return answer, err, errno end
  answer:close()
  job.expect = false
  client_request.write_head(job)
  return perform_once(job)
end

---------------------------------------------------------------------------------------------------
-- redirects (RFC 9110 15.4)

local redirects = { [301] = true, [302] = true, [303] = true, [307] = true, [308] = true }

local function same_origin(a, b) return a.scheme == b.scheme and a.host == b.host and a.port == b.port end

-- Where the answer leads. nil and why nowhere: of two Locations others may take the other one; and RFC 9110 4.2.4 has
-- credentials in what came from somebody else taken for an attempt to hide the host.
local function location_of(job, answer)
  local all = answer:header_values("location")
  for i = 2, #all do
    if all[i] ~= all[1] then return nil, "several locations" end
  end
  if all[1] == "" then return nil, "empty location" end -- it would lead back here, again and again
  local target, wrong = url.resolve(job.target, url.tolerate(all[1], true))
  if target and target.user then return nil, "credentials in a URL" end
  return target, wrong
end

-- Changes the job into the one that the answer asks for. false: the answer is the last one; nil, err.
local function follow(job, answer)
  local status = answer.status
  if not redirects[status] or not answer.headers["location"] or (job.options.redirects or 5) == 0 then return false end
  local becomes_get = status == 303 and job.method ~= "HEAD" or (status <= 302 and job.method == "POST")
  if not becomes_get and not is_replayable(job) then return false end
  local target, wrong = location_of(job, answer)
  if not target then return nil, "invalid redirect: " .. wrong end
  if becomes_get then job.method, job.body, job.kind, job.bodiless, job.expect = "GET", nil, nil, true, false end
  if not same_origin(target, job.target) then job.foreign = true end
  if not job.foreign then target.user = job.target.user end
  job.target = target
  wrong = client_request.write_head(job)
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
  local conn, err, errno = client_response.take_connection(answer.use)
  if not conn then return nil, err, errno end
  answer.connection = conn
  return answer
end

local function finish(job, answer)
  if answer.status == 101 or is_tunnel(job, answer.status) then return hand_over(job, answer) end
  if job.options.stream then return client_response.streams(answer) end
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
  if job.use then client_response.release(job.use, true) end
  error((...), 0)
end

local function start(client, options, level)
  local job, wrong, is_misuse = client_request.new(client, options)
  if job then return finished(job, pcall(run, job)) end
  if is_misuse then error("http: " .. wrong, level + 1) end
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

-- What is wrong with the arguments of get() and its like; nil: nothing that request() does not find.
local function mistake(name, address, options, extra)
  if type(address) ~= "string" then
    local hint = ""
    if type(address) == "table" then
      hint = rawget(address, "router") and (": call it with a dot, http.%s(url)"):format(name)
        or ": http.request takes a table"
    end
    return ("http.%s: URL expected, got %s%s"):format(name, type(address), hint)
  end
  if options ~= nil and type(options) ~= "table" then
    local example = announces_body[name] and "body = text" or "timeout = 5"
    return ("http.%s: a table of options expected, got %s, as in http.%s(url, { %s })"):format(name, type(options),
      name, example)
  end
  if extra ~= nil then return ("http.%s takes a URL and a table of options, got a third value"):format(name) end
  for _, given in ipairs { "url", "method" } do
    if options and options[given] ~= nil then return ("http.%s: option '%s' is said already"):format(name, given) end
  end
end

-- Raises at the line of the caller's caller.
local function with_method(name, address, options, extra)
  local wrong = mistake(name, address, options, extra)
  if wrong then error(wrong, 3) end
  local all = { method = name:upper(), url = address }
  for option, value in pairs(options or {}) do all[option] = value end
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
---@param options moonpark.http.client.options
---@return moonpark.http.answer|nil
---@return string? err as client:request()
---@return integer? errno
function M.request(options)
  local answer, err, errno = start(M.default(), options, 2)
  return answer, err, errno
end

-- No tail calls here: start() counts levels to the line of who called.

--- client:get(url, options) and its like, and http.get(url, options): request() with that method.
for _, name in ipairs { "get", "head", "post", "put", "delete", "patch", "options" } do
  Client[name] = function(self, address, options, extra)
    local answer, err, errno = start(self, with_method(name, address, options, extra), 2)
    return answer, err, errno
  end
  M[name] = function(address, options, extra)
    local answer, err, errno = start(M.default(), with_method(name, address, options, extra), 2)
    return answer, err, errno
  end
end

--- A client with connections and defaults of its own: what request() takes, and of the pool max_connections,
--- max_per_host, max_idle, max_idle_per_host, idle_timeout; base_url for URLs that are relative.
---@param options? moonpark.http.client.defaults
---@return moonpark.http.client
function M.client(options)
  options = check_options("http.client", options, of_clients)
  local base, wrong
  if options.base_url then
    base, wrong = url.parse(options.base_url)
    if not base then error("http.client: option 'base_url': " .. wrong, 2) end
  end
  wrong = client_request.fault_of_defaults(options)
  if wrong then error("http.client: " .. wrong, 2) end
  local defaults = {}
  for name, value in pairs(options) do
    if not of_pools[name] and name ~= "headers" then defaults[name] = value end
  end
  return setmetatable({ pool = http_pool.new(options), defaults = defaults, headers = options.headers or {},
    base = base, accepted = http_decode.accepted(), writer = core.http_reader() }, Client)
end

misuse.guard(Client, "client", "client", "pool")
misuse.check_names(Client, "clients", { "pool", "defaults", "headers", "base", "accepted", "writer" })

return M

-- SPDX-License-Identifier: MIT
-- server.lua - workers, and the keeper that starts them. A worker is a task with an exchange: it takes one request
-- after another, from any connection, and sleeps, without a connection, while there are none.

local core = require "moonpark.core"
local draining = require "moonpark.draining"
local failures = require "moonpark.failures"
local net = require "moonpark.net"
local task = require "moonpark.task"
local handlers = require "moonpark.http.handler"
local http_router = require "moonpark.http.router"
local misuse = require "moonpark.http.misuse"
local returned = require "moonpark.http.returned"
local router_misuse = require "moonpark.http.router_misuse"
local server_misuse = require "moonpark.http.server_misuse"
local file_response = require "moonpark.http.file_response"
local check_options = require("moonpark.options").check
local http_request = require "moonpark.http.request"
local Request = http_request.Request
local http_response = require "moonpark.http.response"
local Response, refusals = http_response.Response, http_response.refusals
local hint = http_response.hint
local source = require "moonpark.net.source"
local tls_contexts = require "moonpark.tls.context"
local upgraded = require "moonpark.http.upgraded"
local watching = require "moonpark.watching"

local M = {}

---@class moonpark.http.server
local Server = {}
Server.__index = Server

local defaults = {
  max_head = 16384,
  max_body = 67108864,
  max_connections = 20000,
  max_requests = 0,
  idle_timeout = 60,
  head_timeout = 10,
  io_timeout = 60,
  request_timeout = 0,
}

local known = {
  address = "string", listener = "userdata|table", on_error = "function", on_listen = "function", connect = "boolean",
  workers = false, grace = "seconds",
  tls = { function(value) return type(value) == "table" end, "must be a context made by tls.server, or its options" },
  max_head = "count", max_body = "count", max_connections = "count", max_requests = "count",
  idle_timeout = "seconds", head_timeout = "seconds", io_timeout = "seconds", request_timeout = "seconds",
}

local IDLE_WORKERS = 256
local UNREAD_MAX = 262144 -- bytes of an unread body that are discarded to keep the connection
local GRACE = 5
local IDLE_PATIENCE = 5 -- seconds that a draining worker leaves to idle connections
local NEW_PATIENCE = 0.1 -- seconds that one that ends promptly leaves to connections that have not asked yet
local FIRST_PAUSE, LONGEST_PAUSE = 0.005, 1 -- seconds until starting workers is tried again after it failed

---------------------------------------------------------------------------------------------------
-- what goes wrong

-- What the handler has done about it is logged, once for each handler.
local function answer_silence(server, req, res)
  local mistake, warning
  if not req:is_gone() then mistake, warning = returned.silence(req, res) end
  if mistake then
    server.log(mistake)
    return res:fail(500)
  end
  if warning then server.log(warning) end
  return res:send("")
end

-- No response has begun.
local function answer_nothing(server, req, res)
  local late, curtailed = res.x:was_late(res.serial)
  if req:is_gone() and curtailed then return res.x:abort(res.serial) end
  if late and curtailed then return res:fail(503) end
  local err = rawget(req, "body_error")
  if err then return res:refuse(err) end
  return answer_silence(server, req, res)
end

-- The handler has returned before its response was complete.
local function settle(server, req, res)
  if res.x:phase(res.serial) == "unsent" then return answer_nothing(server, req, res) end
  local _, curtailed = res.x:was_late(res.serial)
  if not curtailed then return res:finish() end
  if res.abandon then res.abandon() end
  return res.x:abort(res.serial)
end

-- The handler failed: a client without a response gets one, one that has begun is cut off, and a whole one stands.
local function settle_failure(req, res, text)
  local phase = res.x:phase(res.serial)
  if phase == "sent" then return true end
  if phase ~= "unsent" then return res.x:abort(res.serial) end
  res:reset()
  local late, curtailed = res.x:was_late(res.serial)
  if req:is_gone() and curtailed then return res.x:abort(res.serial) end
  local err = rawget(req, "body_error")
  local status = late and curtailed and 503 or err and refusals[err] or 500
  if status == 500 and watching.shows(req, res, text) then return true end
  return res:fail(status)
end

-- A handler that gave up because its client had left, or its time was up, is not at fault.
local function is_excused(req, res, err)
  if not failures.is_cancellation(err) then return false end
  local late = res.x:was_late(res.serial)
  return late or req:is_gone()
end

-- The target; raw_path, which may be only the part below a mounted router, if the connection was taken over: then the
-- target is gone.
local function target_of(req) return rawget(req, "hijacked") and req.raw_path or req.target end

local function log_failure(server, req, err)
  local text = failures.traced(err) .. hint(err)
  server.log(("error in the handler for %s %s: %s"):format(req.method, target_of(req), text))
end

local function failed(server, req, res, err)
  if rawget(req, "hijacked") then
    req.websocket_failed = true
    return log_failure(server, req, err)
  end
  if not is_excused(req, res, err) then log_failure(server, req, err) end
  local ok, why = pcall(settle_failure, req, res, failures.traced(err))
  if ok then return end
  res.x:abort(res.serial) -- nothing was sent, and a handler that returns without a response would get 200
  server.log("error while answering that failure: " .. failures.text(why))
end

---------------------------------------------------------------------------------------------------
-- workers

-- A body that was not read to its end: a limited part of it is discarded, so that the connection can be kept.
local function discard_unread(x)
  local left = UNREAD_MAX
  while left > 0 do
    local data = x:discard()
    if not data then return end
    left = left - #data
  end
end

-- Does what the current request needs before the next one -> has its response been settled?
local function finish(server, what, x, req, res)
  if what == "flush" then x:flush()
  elseif what == "discard" then discard_unread(x)
  else
    local ok, err = xpcall(settle, failures.remember, server, req, res)
    if not ok then failed(server, req, res, err) end
    return true
  end
end

local function nth(after, i)
  if type(after) == "table" then return after[i] end
  return i == 1 and after or nil
end

local function run_after(server, fn, req, res)
  local ok, err = xpcall(fn, failures.remember, req, res)
  if not ok then server.log("error in a res:after function: " .. failures.traced(err)) end
end

-- Runs the functions of res:after, which are for logs: the response must have finished before. After a handler failed
-- it has, or was cut off, and then it must not be ended as if it were whole.
local function run_afterwards(server, x, req, res, ok)
  if ok and not rawget(req, "hijacked") and x:phase(res.serial) ~= "sent" then finish(server, "settle", x, req, res) end
  local i, fn = 1, nth(res[4], 1)
  while fn do
    run_after(server, fn, req, res)
    i = i + 1
    fn = nth(res[4], i) -- that one may have been added just now
  end
  return true
end

local take = core.http_exchange_class.take
local none = false -- a constant would make the tables copies of a template, which costs more

local function work(server, x)
  local handler, me = server.handler, core.current()
  server.workers[me] = true
  task.name_by(me, function() return x:describe() end)
  file_response.logs[x] = server.log
  if server.tls then http_request.secure(x) end
  server.upgraded:employs(x)
  local req, res
  local serial, method, path = take(x)
  while serial ~= nil do
    local settled
    if serial then
      req = setmetatable({ x, serial, method, path, none, none, none, none, none, none, none }, Request)
      res = setmetatable({ x, serial, req, none, none, none }, Response)
      local ok, err = xpcall(handler, returned.remember, req, res)
      if not ok then failed(server, req, res, err) end
      if res[4] then settled = run_afterwards(server, x, req, res, ok) end
    else
      settled = finish(server, method, x, req, res)
    end
    serial, method, path = take(x, settled)
  end
end

-- Logged once until it works again: the keeper retries again and again.
local function not_started(server, err)
  local told = server.lacks_workers
  server.lacks_workers = true
  if not told then server.log("cannot start a worker: " .. failures.text(err)) end
end

-- An error here is not the handler's (probably no memory): this worker and its connection end, the server does not.
local function worker(server)
  local joined, x = pcall(server.core.exchange, server.core)
  if not joined then
    server.start_failed = true
    return not_started(server, x)
  end
  local ok, err = xpcall(work, failures.remember, server, x)
  x:quit()
  if not ok then server.log("error in a worker: " .. failures.traced(err)) end
end

---------------------------------------------------------------------------------------------------
-- the keeper

-- The workers run and take waiting requests before the keeper checks again -> were all of them started?
local function start_workers(server, scope, n)
  server.start_failed = false
  for _ = 1, n do
    local ok, err = pcall(scope.go, scope, worker, server)
    if not ok then
      server.start_failed = true
      not_started(server, err)
      break
    end
  end
  core.yield()
  server.lacks_workers = server.start_failed
  return not server.start_failed
end

local function cut_off(server)
  server.core:close()
  server.upgraded:cut()
end

local function close_after(server, grace)
  if not server.ended:wait(grace) then cut_off(server) end
end

-- No new clients; requests that are here get their responses.
local function drain(server)
  server.drains = true
  server.core:drain()
  server.upgraded:drain()
end

local function stop_accepting(server, scope)
  drain(server)
  scope:go(close_after, server, GRACE)
end

local function keep(server, scope)
  local pause, pauses_until = FIRST_PAUSE, nil -- seconds, and when they are over
  local failure, number
  while true do
    local what, waiting, err, errno, seconds = server.core:keep(pauses_until and pauses_until - core.now())
    if what == "worker" then
      if start_workers(server, scope, waiting) then
        pause, pauses_until = FIRST_PAUSE, nil
      else
        pause, pauses_until = math.min(LONGEST_PAUSE, 2 * pause), core.now() + pause
      end
    elseif what == "accept" and seconds then
      server.log(("accept: %s; trying again in %g s"):format(err, seconds))
    elseif what == "accept" then
      failure, number = err, errno
      stop_accepting(server, scope)
    elseif what == "drained" then
      local ok, why = server.upgraded:wait()
      if not ok then return nil, why end
      if failure then return nil, failure, number end
      return true
    else
      return nil, waiting
    end
  end
end

local function close(server)
  cut_off(server)
  server.scope, server.upgraded.scope = nil, nil
  server.ended:set()
end

local function run(server)
  return task.scope(function(scope)
    server.scope, server.upgraded.scope = scope, scope
    local kept, ok, err, errno = pcall(keep, server, scope)
    close(server)
    if not kept then error(ok, 0) end
    return ok, err, errno
  end)
end

-- If memory ran out, run may have failed early: no client may be left waiting for a server that does not run.
local function ended(server, ok, ...)
  if ok then return ... end
  close(server)
  error((...), 0)
end

local function check_router(server, router)
  if http_router.is_empty(router) then server.log "the router has no routes: every request gets 404" end
  for _, text in ipairs(router_misuse.late(router)) do server.log(text) end
end

--- Serves until it is shut down. If its task is cancelled, it closes everything.
---@return true|nil
---@return string? err
---@return integer? errno
function Server:run()
  if self.scope then error("server is already running", 2) end
  if self.router then pcall(check_router, self, self.router) end -- without memory there is no warning
  return ended(self, pcall(run, self))
end

--- Shuts down: accepts no more connections, closes idle ones, and lets running requests finish. After `grace` seconds
--- their handlers are cancelled and the remaining connections are closed. Returns when everything is closed; at once if
--- one of its own handlers calls it. Harmless twice: the shorter grace applies.
---@param grace? number seconds; 5
---@return true|nil
---@return string? err "canceled": the waiting task was; the server continues to shut down
function Server:shutdown(grace)
  if grace ~= nil and (type(grace) ~= "number" or grace ~= grace) then
    error(("number of seconds expected, got %s"):format(tostring(grace)), 2)
  end
  drain(self)
  if not self.scope then
    cut_off(self)
    return true
  end
  self.scope:go(close_after, self, grace or GRACE)
  if self.workers[core.current()] then return true end
  return self.ended:wait()
end

-- The next program is to answer the next request of each client. Kept connections are closed at once: their clients
-- know that this may happen. A new one was made to ask something; but browsers open some for later.
local function wind_down_promptly(server, seconds, stopped)
  server.core:drain "new"
  server.upgraded:drain()
  if server.scope then server.ended:wait(NEW_PATIENCE) end
  server.core:drain "none"
  stopped()
  return server:shutdown(seconds - NEW_PATIENCE)
end

-- What a worker does when it drains: clients that have a connection open and are about to ask get an answer, the last
-- one there. Idle connections are closed after a part of the time.
local function wind_down(server, seconds, stopped)
  if stopped then return wind_down_promptly(server, seconds, stopped) end
  server.core:drain "all"
  server.upgraded:drain()
  if not server.scope then return cut_off(server) end
  local patience = math.min(seconds / 2, IDLE_PATIENCE)
  if server.ended:wait(patience) then return end
  return server:shutdown(seconds - patience)
end

--- Was it told to shut down?
---@return boolean
function Server:is_draining() return self.drains == true end

--- Cancels all handlers and closes all connections.
---@return true
function Server:close()
  cut_off(self)
  return true
end

--- Counts: connections, requests, refused, idle_workers, waiting.
---@return table<string, integer>
function Server:stats()
  local connections, requests, refused, idle, waiting = self.core:stats()
  return { connections = connections, requests = requests, refused = refused, idle_workers = idle, waiting = waiting }
end

--- The address at which it listens.
---@return string
function Server:address() return self.listening end

---------------------------------------------------------------------------------------------------
-- opening

local function limits_of(options)
  local function get(name)
    local value = options[name]
    if value == nil then value = defaults[name] end
    return value
  end
  return {
    head = get "max_head", body = get "max_body", connections = get "max_connections", requests = get "max_requests",
    idle = get "idle_timeout", opening = get "head_timeout", heading = get "head_timeout", moving = get "io_timeout",
    request = get "request_timeout", workers = IDLE_WORKERS, connect = options.connect,
  }
end

---@class moonpark.http.server.options
---@field address? string "127.0.0.1:8080", "unix:/path"
---@field listener? moonpark.listener instead of an address; it belongs to the server from then on
---@field max_head? integer bytes of a request's head; 16384; more: 431, or 414
---@field max_body? integer bytes of a body; 67108864; more: 413
---@field max_connections? integer at once; 20000; then the longest idle one is closed, or accepting pauses; as many
--- WebSockets are open beside them, and a further one is refused
---@field max_requests? integer on one connection; 0: any number
---@field idle_timeout? number seconds that a connection may wait for its next request; 60
---@field head_timeout? number seconds from the first byte of a head to its last; 10; then 408
---@field io_timeout? number seconds for each read and write of a body; 60
---@field request_timeout? number seconds from a complete head to the end of the response; 0: no limit
---@field connect? boolean the handler gets CONNECT requests; false: 405
---@field workers? integer|"auto" for http.serve: so many processes serve; see docs/workers.md
---@field tls? moonpark.tls_context|moonpark.tls.server.options a context made by tls.server, or its options: HTTPS
---@field on_error? fun(text: string) handlers' errors, failures of accept; standard error
---@field on_listen? fun(server: moonpark.http.server) for http.serve: called when it listens
---@field grace? number for http.serve: seconds that running requests get after SIGTERM or SIGINT; 10; 0: it leaves
--- those signals alone. With `workers`: what each worker gets to drain

local function check_tls(what, tls, level)
  if tls == nil or tls_contexts.is(tls, "server") then return end
  if getmetatable(tls) then
    error(what .. ": option 'tls' must be a context made by tls.server, or its options", level)
  end
  local ok, wrong = pcall(tls_contexts.check_server, tls, 0)
  if not ok then
    wrong = tostring(wrong):gsub("^.-:%d+: ", ""):gsub("^server: ", "")
    error(("%s: option 'tls': %s"):format(what, wrong), level)
  end
end

-- A client that offers other protocols only is refused in the handshake.
local function tls_context(tls)
  if tls == nil or tls_contexts.is(tls, "server") then return tls end
  local options = { alpn = { "http/1.1" } }
  for name, value in pairs(tls) do options[name] = value end
  return tls_contexts.server(options)
end

--- Raises for invalid arguments of http.server, at that level.
---@param what string
---@param handler any
---@param options moonpark.http.server.options
---@param level integer
function M.check(what, handler, options, level)
  local mistaken = server_misuse.of_handler(what, handler) or server_misuse.of_options(what, options)
  if mistaken then error(mistaken, level + 1) end
  options = check_options(what, options, known, level + 1)
  if not options.address and not options.listener then
    error(what .. ": address or listener expected, as in { address = \"127.0.0.1:8080\" }", level + 1)
  end
  check_tls(what, options.tls, level + 1)
  if not options.listener then
    local fine, wrong = net.check_address(options.address)
    if not fine then error(what .. ": " .. wrong, level + 1) end
  end
end

-- As it is called; a router's routes look at what their handlers return, and so does any other handler.
local function called(handler)
  local fn = handlers.function_of(handler)
  return http_router.is_router(handler) and fn or returned.handler(fn)
end

--- Opens a server that listens; run() serves. The arguments have passed M.check.
---@param handler fun(req: moonpark.http.request, res: moonpark.http.response)|table
---@param options moonpark.http.server.options
---@param fn? function what is called for the handler
---@return moonpark.http.server|nil
---@return string? err
---@return integer? errno
function M.new(handler, options, fn)
  local limits = limits_of(options)
  local listener = options.listener
  local context, wrong = tls_context(options.tls) -- first: nothing is served without a certificate
  if options.tls and not context then return nil, wrong end
  if not listener then
    local err, errno
    listener, err, errno = net.listen(options.address)
    if not listener then return nil, err, errno end
  end
  if context then core.tls_listen(listener, context.core) end
  local address = listener:address()
  local other = source.get()
  if other and not context then other.speaks_http(listener) end
  local server, err, errno = core.http_server(listener, limits)
  if not server then return nil, err, errno end
  local log = failures.log_to(options.on_error, "http")
  local made = setmetatable({ core = server, handler = watching.wrapped(fn or called(handler)), listening = address,
    log = log, router = http_router.is_router(handler) and handler or nil,
    ended = core.event(), tls = context, upgraded = upgraded.new(log, limits.connections),
    workers = setmetatable({}, { __mode = "k" }) }, Server)
  draining.add(made, wind_down)
  return made
end

misuse.guard(Server, "server", "server", "core")
misuse.check_names(Server, "servers", { "core", "handler", "listening", "log", "ended", "tls", "upgraded", "workers",
  "router", "scope", "lacks_workers", "start_failed", "drains" })

return M

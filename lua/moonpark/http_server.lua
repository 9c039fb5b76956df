-- SPDX-License-Identifier: MIT
-- http_server.lua - workers, and the keeper that starts them. A worker is a task with an exchange: it takes requests one
-- after another, whichever connection they come from, and sleeps without any while there are none.

local core = require "moonpark.core"
local failures = require "moonpark.failures"
local net = require "moonpark.net"
local task = require "moonpark.task"
local Request = require("moonpark.http_request").Request
local Response = require("moonpark.http_response").Response

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

local IDLE_WORKERS = 256

local function default_log(text) io.stderr:write("moonpark: ", text, "\n") end

-- The handler has returned: what it has left undone is done.
local function settle(req, res)
  local phase = res.x:phase(res.serial)
  if phase == "body" then return res:finish() end
  if phase == "unsent" and not req:is_gone() then return res:send("") end
end

-- The handler has failed: who waits is told, and who may not be told any more is cut off.
local function tell_failure(req, res)
  if rawget(req, "hijacked") or req:is_gone() then return end
  if res.x:phase(res.serial) ~= "unsent" then return res.x:abandon() end
  res.fields, res.transform, res.type = nil, nil, nil
  res:fail(500)
end

local function failed(server, req, res, err)
  if not (req:is_gone() and failures.is_cancellation(err)) then
    server.log(("error in the handler of %s %s: %s"):format(req.method, req.raw_path, failures.text(err)))
  end
  local ok, why = pcall(tell_failure, req, res)
  if not ok then server.log("error after that: " .. failures.text(why)) end
end

-- A body that was not read to its end: a little of it is thrown away, so that the connection can go on.
local UNREAD_MAX = 262144

local function drain(x, serial)
  local _, _, over = x:framing(serial)
  local left = UNREAD_MAX
  while not over and left > 0 do
    local data, err = x:read(serial)
    if not data then return err == "eof" end
    left = left - #data
  end
  return over
end

-- Whatever take() has found undone; what cannot be done closes the connection.
local function wind_up(server, x, req, res)
  local serial = res.serial
  local ok, err = pcall(settle, req, res)
  if not ok then failed(server, req, res, err) end
  x:flush() -- first: whoever sends still may be waiting for this
  if x:is_serial(serial) and x:unread(serial) and not drain(x, serial) then x:abandon() end
  if x:is_serial(serial) and x:phase(serial) ~= "sent" then x:abandon() end
  return x:take()
end

local take = core.http_exchange_class.take

local function work(server, handler)
  local scope = core.scope_open(false)
  local x = server.core:exchange()
  local serial, method, path = take(x)
  while serial do
    local req = setmetatable({ x = x, serial = serial, method = method, raw_path = path }, Request)
    local res = setmetatable({ x = x, serial = serial, request = req }, Response)
    local ok, err = xpcall(handler, failures.remember, req, res)
    if not ok then failed(server, req, res, err) end
    serial, method, path = take(x)
    if serial == false then serial, method, path = wind_up(server, x, req, res) end
  end
  scope:close()
end

local function keep(server, scope, handler)
  while true do
    local what, err, pause = server.core:keep()
    if what == "worker" then
      scope:go(work, server, handler)
    elseif what == "accept" then
      server.log(("accept: %s; trying again in %g s"):format(err, pause))
    elseif what == "drained" then
      return true
    else
      return nil, err
    end
  end
end

--- Stops: no new connections, idle ones close, running requests finish; after `grace` seconds they are cancelled.
---@param grace? number seconds; 5
function Server:shutdown(grace)
  self.core:drain()
  self.stopping:set()
  return self.ended:wait(grace or 5) or self:close()
end

--- Cancels what runs and closes all connections.
function Server:close()
  self.core:drain()
  self.core:close()
  return true
end

--- Counts: connections, requests, refused, idle_workers, waiting.
---@return table<string, integer>
function Server:stats()
  local connections, requests, refused, idle, waiting = self.core:stats()
  return { connections = connections, requests = requests, refused = refused, idle_workers = idle, waiting = waiting }
end

--- Where it listens.
---@return string
function Server:address() return self.listening end

local function limits_of(options)
  local function get(name)
    local value = options[name]
    if value == nil then value = defaults[name] end
    return value
  end
  return {
    head = get "max_head", body = get "max_body", connections = get "max_connections", requests = get "max_requests",
    idle = get "idle_timeout", heading = get "head_timeout", moving = get "io_timeout",
    request = get "request_timeout", workers = IDLE_WORKERS,
  }
end

--- A server that listens; run() serves.
---@param handler fun(req: moonpark.http.request, res: moonpark.http.response)
---@param options table see docs/http.md
---@return moonpark.http.server|nil
---@return string? err
---@return integer? errno
function M.new(handler, options)
  local listener = options.listener
  if not listener then
    local err, errno
    listener, err, errno = net.listen(options.address)
    if not listener then return nil, err, errno end
  end
  local address = listener:address()
  local server, err, errno = core.http_server(listener, limits_of(options))
  if not server then return nil, err, errno end
  return setmetatable({ core = server, handler = handler, listening = address, log = options.on_error or default_log,
    stopping = core.event(), ended = core.event() }, Server)
end

--- Serves until it is shut down.
---@return true|nil
---@return string? err
function Server:run()
  local ok, err = task.scope(function(scope)
    local ok, err = keep(self, scope, self.handler)
    self.core:close()
    return ok, err
  end)
  self.ended:set()
  return ok, err
end

return M

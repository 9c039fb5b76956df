-- SPDX-License-Identifier: MIT
-- upgraded.lua - the WebSockets and the event streams of a server: it says goodbye to them when it shuts down, and
-- waits for their handlers.

local core = require "moonpark.core"
local failures = require "moonpark.failures"

---@class moonpark.http.upgraded
---@field sockets table<moonpark.websocket, any> the task whose handler has it
---@field streams table<moonpark.http.events, fun(events: moonpark.http.events)> what ends it
local Upgraded = {}
Upgraded.__index = Upgraded

local of_exchange = setmetatable({}, { __mode = "k" }) -- [a worker's exchange] = its server's

local M = {}

local NORMAL, GOING_AWAY, FAILED = 1000, 1001, 1011

--- A server's sockets: none yet.
---@param log fun(text: string)
---@param most integer at once
---@return moonpark.http.upgraded
function M.new(log, most)
  return setmetatable({ sockets = {}, streams = setmetatable({}, { __mode = "k" }), count = 0, coming = 0, most = most,
    draining = false, gone = core.event(), log = log }, Upgraded)
end

--- Keeps a place for a socket that is being opened: that may take a while.
---@return boolean kept false: there are as many as may be
function Upgraded:reserve()
  if self.count + self.coming >= self.most then return false end
  self.coming = self.coming + 1
  return true
end

--- It has been opened, or not. Returns its arguments.
function Upgraded:release(...)
  self.coming = self.coming - 1
  return ...
end

--- The worker with that exchange is the server's.
function Upgraded:employs(x) of_exchange[x] = self end

--- Those of the server that the exchange's worker belongs to.
---@return moonpark.http.upgraded
function M.of(x) return of_exchange[x] end

--- A socket that the running task has, or another one.
function Upgraded:add(socket, task)
  self.sockets[socket] = task or core.current()
  self.count = self.count + 1
  if self.draining then socket[1]:say_close(GOING_AWAY) end
end

function Upgraded:remove(socket)
  if self.sockets[socket] == nil then return end
  self.sockets[socket] = nil
  self.count = self.count - 1
  if self.count == 0 then self.gone:set() end
end

--- The handler of a socket has returned, or failed.
function Upgraded:leave(socket, failed)
  self:remove(socket)
  if not socket:status() then socket:close(failed and FAILED or NORMAL) end
end

local function run(self, socket, fn)
  local ok, err = xpcall(fn, failures.remember, socket)
  if not ok then self.log("error in the handler of a WebSocket: " .. failures.traced(err)) end
  self:leave(socket, not ok)
end

--- Runs fn(socket) in a task of its own, which belongs to the server: scope is the one that it runs in.
function Upgraded:start(socket, fn) self:add(socket, self.scope:go(run, self, socket, fn)) end

-- Its client comes back, to the next server.
local function end_stream(self, events)
  if self.scope then self.scope:go(pcall, self.streams[events], events) end
end

--- An event stream has begun. Once the server shuts down, leave(events) is called.
---@param events moonpark.http.events
---@param leave fun(events: moonpark.http.events)
function Upgraded:add_stream(events, leave)
  self.streams[events] = leave
  if self.draining then end_stream(self, events) end
end

---@param events moonpark.http.events
function Upgraded:remove_stream(events) self.streams[events] = nil end

--- Tells all peers that the server goes away. Their handlers receive until they have closed, too. Event streams end.
function Upgraded:drain()
  self.draining = true
  for events in pairs(self.streams) do end_stream(self, events) end
  for socket in pairs(self.sockets) do socket[1]:say_close(GOING_AWAY) end
end

--- Closes those that are left, and cancels their handlers.
function Upgraded:cut()
  self.draining = true
  for socket, handler in pairs(self.sockets) do
    socket[1]:say_close(GOING_AWAY) -- if that can leave at once
    socket:abort()
    handler:cancel()
  end
end

--- Waits until every handler of one has ended.
---@return true|nil
---@return string? err "canceled"
function Upgraded:wait()
  while self.count > 0 do
    self.gone:clear()
    local ok, err = self.gone:wait()
    if not ok then return nil, err end
  end
  return true
end

return M

-- SPDX-License-Identifier: MIT
-- upstream.lua - one exchange's connection to a server: taken from a pool or dialled, then dropped, given back or given
-- away. Used by the client and the proxy.
--
-- A use is a table of the caller, which may add fields of its own: {pool =, place =, entry = false, entered = false,
-- ...}. Calling any of these functions twice is harmless.

local core = require "moonpark.core"
local net = require "moonpark.net"
local tls = require "moonpark.tls.conn"
local tunnel = require "moonpark.http.tunnel"

local M = {}

local PROTOCOL = "http/1.1" -- as ALPN names it

--- Bytes of a response's head.
M.HEAD_MAX = 65536

---@class moonpark.http.upstream.use what an exchange has of a pool
---@field pool moonpark.http.pool
---@field place table
---@field entry moonpark.http.pool.entry|false the connection
---@field entered boolean it is the exchange's turn

--- Methods whose requests may be sent again when their connection turns out to be dead (RFC 9110 9.2.2).
M.idempotent = { GET = true, HEAD = true, PUT = true, DELETE = true, OPTIONS = true, TRACE = true }

local ends = { ["eof"] = true, ["connection reset by peer"] = true, ["broken pipe"] = true }

--- Waits for the exchange's turn; leave() ends it.
---@param use moonpark.http.upstream.use
---@param deadline number|nil
---@return true|nil
---@return string? err "timeout", "canceled"
function M.enter(use, deadline)
  local ok, err = use.pool:enter(use.place, deadline)
  if not ok then return nil, err end
  use.entered = true
  return true
end

--- The exchange is over; its connection was dropped, or is no longer its own.
---@param use moonpark.http.upstream.use
function M.leave(use)
  if not use.entered then return end
  use.entered = false
  use.pool:leave(use.place)
end

--- Closes the connection; it remains the exchange's turn.
---@param use moonpark.http.upstream.use
---@return boolean|nil kept it was one of the pool's
function M.drop(use)
  local entry = use.entry
  use.entry = false
  if not entry then return nil end
  use.pool:drop(entry)
  return entry.used
end

--- Takes a connection that was kept, if there is one. sure: it must be as sure as can be that it carries a request.
---@param use moonpark.http.upstream.use
---@param sure boolean
---@return moonpark.http.pool.entry|false
function M.take(use, sure)
  use.entry = use.pool:take(use.place, sure) or false
  return use.entry
end

-- A server that has chosen another protocol would take a request for something else.
local function secure(conn, route, deadline)
  local secured, err, errno = tls.secure(conn, route.tls, route.name, deadline, PROTOCOL)
  if not secured then return nil, err, errno end
  local chosen = secured:tls()
  if not chosen or not chosen.alpn or chosen.alpn == PROTOCOL then return secured end
  secured:close()
  return nil, "the server has chosen another protocol than " .. PROTOCOL
end

-- Through a tunnel if there is a proxy, and with TLS over it. What fails has closed its connection.
local function dial(route, timeout)
  local deadline = core.now() + timeout
  local conn, err, errno = net.dial(route.address, { timeout = timeout })
  if conn and route.tunnel then conn, err, errno = tunnel.open(conn, route.tunnel, deadline) end
  if conn and route.tls then conn, err, errno = secure(conn, route, deadline) end
  return conn, err, errno
end

--- Makes a new connection.
---@param use moonpark.http.upstream.use
---@param route {address: string, tls?: moonpark.tls_context|true, name?: string, tunnel?: table} see http/proxies.lua
---@param timeout number seconds, for all of it
---@return moonpark.http.pool.entry|nil
---@return string? err
---@return integer? errno
function M.connect(use, route, timeout)
  local entry = use.pool:reserve(use.place)
  use.entry = entry
  local conn, err, errno = dial(route, timeout)
  if not conn then
    M.drop(use)
    return nil, err, errno
  end
  entry.conn = conn
  return entry
end

--- Had some of a response come when reading its head failed? What a connection has received before its end can still be
--- read.
---@param entry moonpark.http.pool.entry
---@param err string as the reader says
---@return boolean
function M.has_begun(entry, err)
  if err == "timeout" then return false end
  return not ends[err] or entry.conn:read(1) ~= nil
end

--- Is that the end of a connection, before an answer has come?
---@param err string
---@return boolean
function M.is_end(err) return ends[err] == true end

--- Has the exchange failed only because a connection that was kept had been dead? Then a request that may be repeated
--- is sent once more, on a new one.
---@param kept boolean|nil as drop() says
---@param err string
---@return boolean
function M.was_dead(kept, err) return kept and ends[err] or false end

--- Gives the connection back, or closes it where it is broken or has something left to say. Where that raises, for
--- there is no memory, it is still in use, and can be dropped.
---@param use moonpark.http.upstream.use
---@param broken boolean
function M.put_back(use, broken)
  local entry = use.entry
  if broken or not entry or not entry.reader:is_reusable(entry.conn) then
    M.drop(use)
    return
  end
  use.pool:put(entry)
  use.entry = false -- not before: put may raise
end

--- The connection is somebody else's from now on.
---@param use moonpark.http.upstream.use
function M.give_away(use)
  use.pool:give_away()
  use.entry = false
end

return M

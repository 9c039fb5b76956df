-- SPDX-License-Identifier: MIT
-- support/cosockets.lua - what the specs of cosockets share: servers in this process, sockets that are connected to
-- them, and every call that waits, with a peer that keeps it waiting.

local addresses = require "moonpark.net.addresses"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local ngx = require("moonpark.ngx").ngx
local support = require "support.net"

local M = { ngx = ngx, HOST = "127.0.0.1" }

--- Runs body(port), with a server there that calls handler(conn) for each connection; both have ended when it returns.
---@param handler fun(conn: moonpark.connection)
---@param body fun(port: integer)
function M.serving(handler, body)
  local listener = assert(net.listen(M.HOST .. ":0"))
  local serving = moonpark.go(listener.serve, listener, handler)
  local ok, err = xpcall(body, debug.traceback, tonumber(listener:address():match ":(%d+)$"))
  serving:cancel()
  listener:close()
  serving:join()
  if not ok then error(err, 0) end
end

--- A handler that does nothing until its connection is closed.
function M.silent(conn) while conn:read() do end end

--- A handler that never reads.
function M.deaf(conn)
  conn:setoption("rcvbuf", 4096)
  moonpark.sleep(100)
end

--- A socket that is connected there.
---@param port integer
---@param options? table of connect
---@param timeout? integer milliseconds; 5000
---@return moonpark.ngx.tcp
function M.connected(port, options, timeout)
  local sock = ngx.socket.tcp()
  sock:settimeout(timeout or 5000)
  if options then assert(sock:connect(M.HOST, port, options)) else assert(sock:connect(M.HOST, port)) end
  return sock
end

-- With a name service that does not answer.
local function without_names(body)
  local before = addresses.lookup
  addresses.lookup = function(_, deadline)
    local ok, err = moonpark.sleep(deadline and math.max(0, deadline - moonpark.now()) or 100)
    return nil, ok and "timeout" or err
  end
  local ok, err = xpcall(body, debug.traceback)
  addresses.lookup = before
  if not ok then error(err, 0) end
end

-- With a connection of a cosocket whose peer does that.
local function with_peer(handler)
  return function(call)
    return function(body)
      M.serving(handler, function(port)
        local sock = M.connected(port)
        body(sock, function() return call(sock, port) end)
        sock:close()
      end)
    end
  end
end

local to_silent, to_deaf = with_peer(M.silent), with_peer(M.deaf)
local MUCH = ("x"):rep(2 ^ 24)

--- [name of a call] = a function that calls body(sock, call) where call() would wait for ever.
---@type table<string, fun(body: fun(sock: moonpark.ngx.tcp, call: fun(): ...))>
M.waiting = {
  ["a look-up"] = function(body)
    without_names(function()
      local sock = ngx.socket.tcp()
      body(sock, function() return sock:connect("name.example", 80) end)
    end)
  end,
  connect = function(body)
    local listener, conns = support.clogged()
    local sock, port = ngx.socket.tcp(), tonumber(listener:address():match ":(%d+)$")
    body(sock, function() return sock:connect(M.HOST, port, { pool = "waiting", pool_size = 1, backlog = 0 }) end)
    for _, conn in ipairs(conns) do conn:close() end
    listener:close()
  end,
  ["a place in a pool"] = function(body)
    M.serving(M.silent, function(port)
      local options = { pool = "waiting", pool_size = 1, backlog = 1 }
      local holder, sock = M.connected(port, options), ngx.socket.tcp()
      body(sock, function() return sock:connect(M.HOST, port, options) end)
      sock:close()
      holder:close()
    end)
  end,
  sslhandshake = to_silent(function(sock) return sock:sslhandshake(nil, "host.example") end),
  send = to_deaf(function(sock) return sock:send(MUCH) end),
  ["send of a table"] = to_deaf(function(sock) return sock:send { MUCH, { MUCH } } end),
  ["receive of a line"] = to_silent(function(sock) return sock:receive() end),
  ["receive of bytes"] = to_silent(function(sock) return sock:receive(5) end),
  ["receive of all"] = to_silent(function(sock) return sock:receive "*a" end),
  receiveany = to_silent(function(sock) return sock:receiveany(5) end),
  receiveuntil = to_silent(function(sock) return sock:receiveuntil "--" () end),
  ["receiveuntil by pieces"] = to_silent(function(sock) return sock:receiveuntil "--" (5) end),
}

--- The names of those, in an order that stays the same.
M.calls = {}
for name in pairs(M.waiting) do table.insert(M.calls, name) end
table.sort(M.calls)

M.parked = support.parked

return M

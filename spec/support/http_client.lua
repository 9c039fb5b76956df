-- SPDX-License-Identifier: MIT
-- support/http_client.lua - who a client talks to in specs: our own server, or a script of bytes.
--
--   local server = peers.serve(handler)           server.url, server.address; server:stop()
--   local server = peers.scripted(function(conn, number) ... end)   the n-th connection is its to read and write
--   peers.request(conn)                           reads a request: its head, and its body where it is framed
--   local server = peers.in_front_of(target, options)   our own server with a proxy to that target; server.pool
--   peers.raw(server, bytes)                      all that comes for these bytes
--   peers.stop_all()                              in after_each

local http = require "moonpark.http"
local moonpark = require "moonpark"
local net = require "moonpark.net"

local M = {}

local PATIENCE = 20 -- seconds; nothing in these specs takes as long, so whoever does hangs

--- The request of a client that wants one answer.
M.GET = "GET / HTTP/1.1\r\nHost: me\r\nConnection: close\r\n\r\n"

local running, proxies = {}, {}

local function started(server)
  server.url = "http://" .. server.address
  running[#running + 1] = server
  return server
end

--- Our own server with that handler. What it logs is in server.log.
function M.serve(handler, options)
  local log = {}
  local all = { address = "127.0.0.1:0", on_error = function(text) log[#log + 1] = text end }
  for name, value in pairs(options or {}) do all[name] = value end
  local server = assert(http.server(handler, all))
  local task = moonpark.go(function() return server:run() end)
  return started { address = server:address(), log = log, server = server, stop = function()
    server:shutdown(2)
    task:join()
  end }
end

--- A listener whose connections are handed to script(connection, number), which closes them by returning. What it
--- raises is raised by stop().
function M.scripted(script, address)
  local listener = assert(net.listen(address or "127.0.0.1:0"))
  local server = { address = listener:address(), count = 0 }
  local failed
  local task = moonpark.go(function()
    return listener:serve(function(conn)
      server.count = server.count + 1
      conn:set_timeout(PATIENCE)
      script(conn, server.count)
    end, { on_error = function(text) failed = failed or text end })
  end)
  function server.stop()
    listener:close()
    task:join()
    assert(not failed, failed)
  end
  return started(server)
end

--- One that answers each request on each connection with the next of these texts, and closes behind the last.
function M.saying(...)
  local texts, at, heads = { ... }, 0, {}
  local server = M.scripted(function(conn)
    while at < #texts do
      local head = M.request(conn)
      if not head then return end
      heads[#heads + 1] = head
      at = at + 1
      conn:write(texts[at])
    end
  end)
  server.heads = heads
  return server
end

--- One that notes heads, and answers every request with that body.
function M.noting(body)
  local heads = {}
  local server = M.scripted(function(conn)
    while true do
      local head = M.request(conn)
      if not head then return end
      heads[#heads + 1] = head
      conn:write(M.ok(body or "x"))
    end
  end)
  server.heads = heads
  return server
end

--- A proxy; stop_all closes what it keeps.
function M.proxy_to(target, options)
  local proxy = http.proxy(target, options)
  proxies[#proxies + 1] = proxy
  return proxy
end

--- A server that passes everything on to that target, or what wrap(proxy), a handler, does. serving: its own options.
function M.in_front_of(target, options, wrap, serving)
  local proxy = M.proxy_to(target, options)
  local server = M.serve(wrap and wrap(proxy) or proxy, serving)
  server.pool = proxy.pool
  return server
end

--- A connection to the server.
function M.dial(server)
  local conn = assert(net.dial(server.address))
  conn:set_timeout(PATIENCE)
  return conn
end

--- All that comes for these bytes, up to the end.
function M.raw(server, bytes)
  local conn = M.dial(server)
  assert(conn:write(bytes))
  local got = assert(conn:read_all())
  conn:close()
  return got
end

--- The status of the first answer to these bytes.
function M.status_of(server, bytes) return tonumber(M.raw(server, bytes):match "^HTTP/1%.1 (%d+) ") end

--- Reads a request: its head with LF for line ends, and its body; nil at the end of the stream.
function M.request(conn)
  local head = conn:read_until("\r\n\r\n")
  if not head then return nil end
  head = head:gsub("\r\n", "\n") .. "\n"
  local length = head:match "\nContent%-Length: (%d+)\n"
  if length then return head, (conn:read_exactly(tonumber(length))) end
  if not head:find "\nTransfer%-Encoding: chunked\n" then return head, "" end
  local pieces = {}
  while true do
    local size = tonumber(conn:read_line(), 16)
    local piece = conn:read_exactly(size)
    conn:read_exactly(2)
    if size == 0 then return head, table.concat(pieces), pieces end
    pieces[#pieces + 1] = piece
  end
end

--- An answer with that body.
function M.ok(body, fields)
  return ("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s"):format(#body, fields or "", body)
end

--- Ends them all. What the client keeps to them is closed first: a script may be waiting for its next request.
function M.stop_all()
  while #proxies > 0 do table.remove(proxies):close() end
  http.close_idle()
  while #running > 0 do table.remove(running):stop() end
end

return M

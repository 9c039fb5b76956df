-- SPDX-License-Identifier: MIT
-- support/http_wire.lua - what the specs of the HTTP server share: requests as bytes, one connection to send them on.

local assert = require "luassert"
local http = require "support.http"

local GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
local function get(path) return ("GET %s HTTP/1.1\r\nHost: a\r\n\r\n"):format(path) end
local function post(length, body)
  return ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s"):format(length, body or "")
end

local function plain(_, res) res:send("ok") end

-- Serves with that handler, and runs body(conn, server) with one connection.
local function serving(handler, options, body)
  local server = http.start(handler, options)
  local conn = server:dial()
  body(conn, server)
  conn:close()
  server:stop()
end

local function status_of(conn, bytes, method)
  assert(conn:write(bytes))
  return http.read_answer(conn, method).status
end

local function is_closed(conn)
  local data, err = conn:read()
  assert.is_nil(data)
  assert.is_truthy(err == "eof" or err == "connection reset by peer", err)
end

return {
  GET = GET, get = get, post = post, plain = plain, serving = serving, status_of = status_of, is_closed = is_closed,
}

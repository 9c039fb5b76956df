-- SPDX-License-Identifier: MIT
-- life_http.lua - the stage of a life that serves HTTP: a request with a body, an answer that streams, a client that
-- leaves, a shutdown.
--
-- Each byte is a call to the system, so it is one request, and short. What a fault makes of an exchange is a refusal,
-- an error in the log, or a connection that ends early; never another answer.

local moonpark = require "moonpark"
local http = require "moonpark.http"
local net = require "moonpark.net"
local life_expect = require "hard.life_expect"

local WRONG, expect = life_expect.WRONG, life_expect.expect

local REQUEST = "POST / HTTP/1.0\r\nContent-Length:1\r\n\r\nb"

local function handler(req, res) assert(res:write(assert(req:read()))) end

-- The body behind a head that says 200. Another status: the fault was met, and told.
local function read_answer(conn)
  local line, err = conn:read_until "\r\n"
  if not line then error(err, 0) end
  local status = line:match "^HTTP/1%.1 (%d%d%d) "
  if not status then error(WRONG .. "no status line: " .. line, 0) end
  repeat line = assert(conn:read_until "\r\n") until line == ""
  if status ~= "200" then error("answered with " .. status .. ": not enough memory, or whatever the server met", 0) end
end

local function client(address)
  local conn = assert(net.dial(address, { timeout = 30 }))
  assert(conn:set_timeout(30))
  assert(conn:write(REQUEST))
  read_answer(conn)
  local rest, err = conn:read_all()
  if not rest then error(err, 0) end
  if rest == "" then error("eof", 0) end -- cut off
  expect("b", rest)
  conn:close()
end

-- Gone before it is answered.
local function leaver(address)
  local conn = assert(net.dial(address, { timeout = 30 }))
  assert(conn:write("G"))
  conn:close()
end

return function(host)
  local server = assert(http.server(handler, { address = host .. ":0", on_error = function() end }))
  local ok, err = pcall(moonpark.scope, function(scope)
    scope:go(server.run, server)
    local one = scope:go(pcall, client, server:address())
    local _, done, why = one:join()
    leaver(server:address())
    assert(server:shutdown(0))
    if not done then error(why, 0) end
  end)
  server:close()
  if not ok then error(err, 0) end
end

-- SPDX-License-Identifier: MIT
-- The HTTP server in lua-http on cqueues, with the routes of http_moonpark.lua.
--
-- usage: luajit http_lua_http.lua; prints "listening PORT" on stdout.

local http_headers = require "http.headers"
local http_server = require "http.server"
local cjson = require "cjson"

local function answer(stream, kind, body)
  local headers = http_headers.new()
  headers:append(":status", "200")
  headers:append("content-type", kind)
  headers:append("content-length", tostring(#body))
  stream:write_headers(headers, false)
  stream:write_chunk(body, true)
end

local function onstream(_, stream)
  local path = stream:get_headers():get(":path")
  if path == "/hello" then
    answer(stream, "text/plain; charset=utf-8", "Hello, World!")
  elseif path == "/json" then
    answer(stream, "application/json", cjson.encode { message = "Hello, World!" })
  else
    answer(stream, "text/plain; charset=utf-8", stream:get_body_as_string())
  end
end

local server = assert(http_server.listen { host = "127.0.0.1", port = 0, onstream = onstream })
assert(server:listen())
print("listening " .. select(3, server:localname()))
io.stdout:flush()
assert(server:loop())

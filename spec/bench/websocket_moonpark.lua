-- SPDX-License-Identifier: MIT
-- The WebSocket server on moonpark: echoes, or sends to all.
--
-- usage: luajit websocket_moonpark.lua [echo|all]; prints "listening PORT" on stdout.

local http = require "moonpark.http"
local group = http.group()

local function echo(ws)
  while true do
    local message, kind = ws:receive()
    if not message then break end
    if kind == "text" then ws:send(message) else ws:send_binary(message) end
  end
end

local function all(ws)
  group:add(ws)
  for message in ws:messages() do group:send_binary(message) end
end

local talk = arg[1] == "all" and all or echo

local function handle(_, res) res:websocket(nil, talk) end

assert(http.serve(handle, { address = "127.0.0.1:0", on_listen = function(server)
  print("listening " .. server:address():match(":(%d+)$"))
  io.stdout:flush()
end }))

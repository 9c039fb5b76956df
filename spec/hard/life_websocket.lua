-- SPDX-License-Identifier: MIT
-- hard/life_websocket.lua - a life of two WebSockets over a pair in memory: messages, fragments, compression, a group,
-- a close. What a fault makes of them is an error or a cut; never another message, nor a socket that goes on after one
-- that was torn.

local core = require "moonpark.core"
local http = require "moonpark.http"
local life_expect = require "hard.life_expect"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local websocket = require "moonpark.http.websocket"

local WRONG, expect = life_expect.WRONG, life_expect.expect

require "moonpark.http.group"

local AGREED = { out_bits = 9, in_bits = 9, level = 1, memory = 1, threshold = 8 }
local MESSAGES = { "a", "packed, packed, packed", "", "packed, packed, again" }

-- In the task: stacks grow here, inside a C function, and no collection makes them small again.
local function grow_stack() return select("#", unpack({}, 1, 150)) end

local function over(conn, is_server, agreed)
  local socket, err = core.websocket(conn, websocket.limits {}, is_server, nil, agreed)
  if not socket then error(err, 0) end
  return websocket.of(socket)
end

local function echo(ws)
  grow_stack()
  while true do
    local message, kind = ws:receive()
    if not message and kind == "eof" then return end
    if not message then error(kind, 0) end
    if kind ~= "text" then error(WRONG .. "not a text", 0) end
    local ok, err = ws:send(message)
    if not ok then error(err, 0) end
  end
end

local function hear(ws, message)
  local got, err = ws:receive()
  if not got then error(err, 0) end
  expect(message, got)
end

local function talk(ws, other, group)
  for _, message in ipairs(MESSAGES) do
    assert(ws:send(message))
    hear(ws, message)
  end
  assert(ws:send_some("in pieces, ", "text", false))
  assert(ws:ping "p")
  assert(ws:send_some("in pieces", "text", true))
  hear(ws, "in pieces, in pieces")
  assert(group:add(other))
  assert(group:send "to all, to all, to all")
  hear(ws, "to all, to all, to all")
  assert(ws:close(4000, "done"))
  if ws:status() ~= 4000 then error(WRONG .. "closed with " .. ws:status(), 0) end
end

local function both(a, b, agreed)
  local server, client = over(a, true, agreed), over(b, false, agreed)
  local group = http.group()
  local ok, err = pcall(moonpark.scope, function(scope)
    scope:go(echo, server)
    talk(client, server, group)
  end)
  server:abort()
  client:abort()
  if not ok then error(err, 0) end
  if group:count() ~= 0 then error(WRONG .. "a member is left", 0) end
end

return function()
  grow_stack()
  for _, agreed in ipairs { false, AGREED } do
    local a, b = net.pipe()
    if not a then error(b, 0) end
    local ok, err = pcall(both, a, b, agreed or nil)
    a:close()
    b:close()
    if not ok then error(err, 0) end
  end
end

-- SPDX-License-Identifier: MIT
-- support/websocket.lua - the bytes of WebSockets for specs: frames written and read by hand, at the other end of ours.

local core = require "moonpark.core"
local websocket = require "moonpark.http.websocket"

local M = {}

M.CONTINUATION, M.TEXT, M.BINARY, M.CLOSE, M.PING, M.PONG = 0, 1, 2, 8, 9, 10
M.FIN, M.RSV1 = 128, 64

local function length_of(n)
  if n < 126 then return string.char(n), n end
  if n < 65536 then return string.char(126, math.floor(n / 256), n % 256) end
  local bytes = {}
  for i = 8, 1, -1 do bytes[i], n = string.char(n % 256), math.floor(n / 256) end
  return "\127" .. table.concat(bytes)
end

--- Masks text, or unmasks it.
function M.masked(text, key)
  return (text:gsub("()(.)", function(at, c)
    return string.char(bit.bxor(c:byte(), key:byte((at - 1) % 4 + 1)))
  end))
end

--- A frame. first: its first byte; key: four bytes, or nil: not masked.
function M.frame(first, payload, key)
  local length = length_of(#payload)
  if not key then return string.char(first) .. length .. payload end
  length = string.char(length:byte() + 128) .. length:sub(2)
  return string.char(first) .. length .. key .. M.masked(payload, key)
end

--- The next frame of a connection: its first byte, its payload, was it masked; or nil, err.
function M.read_frame(conn)
  local head, err = conn:read_exactly(2)
  if not head then return nil, err end
  local first, n = head:byte(1, 2)
  local is_masked = n >= 128
  n = n % 128
  if n >= 126 then
    local size = 0
    for _, byte in ipairs { assert(conn:read_exactly(n == 126 and 2 or 8)):byte(1, 8) } do size = size * 256 + byte end
    n = size
  end
  local key = is_masked and assert(conn:read_exactly(4)) or nil
  local payload = n > 0 and assert(conn:read_exactly(n)) or ""
  return first, key and M.masked(payload, key) or payload, is_masked
end

M.HANDSHAKE_KEY = "dGhlIHNhbXBsZSBub25jZQ=="

--- The lines of a client's handshake. changes: {name = value or false; line = the first one}.
function M.handshake(changes)
  local fields = { Host = "test", Upgrade = "websocket", Connection = "Upgrade",
    ["Sec-WebSocket-Key"] = M.HANDSHAKE_KEY, ["Sec-WebSocket-Version"] = "13" }
  local lines = { changes.line or "GET /chat HTTP/1.1" }
  for name, value in pairs(changes) do
    if name ~= "line" then fields[name] = value or nil end
  end
  for name, value in pairs(fields) do lines[#lines + 1] = name .. ": " .. value end
  return table.concat(lines, "\n")
end

--- The payload of a close frame.
function M.code(code, reason) return string.char(math.floor(code / 256), code % 256) .. (reason or "") end

--- One of our sockets over a connection, without a handshake.
function M.over(conn, is_server, options, agreed)
  local socket = assert(core.websocket(conn, websocket.limits(options or {}), is_server, nil, agreed))
  return websocket.of(socket)
end

return M

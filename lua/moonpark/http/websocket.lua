-- SPDX-License-Identifier: MIT
-- websocket.lua - WebSockets (RFC 6455) as scripts see them, and the options that both ends share. The handshakes are
-- in websocket_server.lua and websocket_client.lua.

local core = require "moonpark.core"
local misuse = require "moonpark.http.misuse"
local class = core.websocket_class

local M = {}

---@class moonpark.websocket
---@field subprotocol string|nil what both ends have agreed on
local Websocket = {} -- {the core's}
Websocket.__index = Websocket

M.Websocket = Websocket

--- Bounds, for both ends.
M.defaults = {
  max_message = 1048576, max_frame = math.huge, max_controls = 100, ping_interval = 30, ping_timeout = 20,
  send_timeout = 60, close_timeout = 5,
}

--- What both ends' options may say.
M.known = {
  max_message = "count", max_frame = "count", max_controls = "count", ping_interval = "seconds",
  ping_timeout = "seconds", send_timeout = "seconds", close_timeout = "seconds", compress = "boolean|table",
}

---@class moonpark.websocket.options
---@field max_message? integer bytes of a message that is received, inflated; 1 MiB; more: closed with 1009
---@field max_frame? integer bytes of a frame; no limit but max_message
---@field max_controls? integer pings, pongs and empty fragments a second; 100; more: closed with 1008; 0: any number
---@field ping_interval? number seconds without a sign of life, then a ping is sent; 30; 0: never
---@field ping_timeout? number seconds for the answer; 20; then the socket ends with "timeout"; 0: any time
---@field send_timeout? number seconds for each piece of a message to leave; 60
---@field close_timeout? number seconds for the peer's close frame; 5
---@field compress? boolean|moonpark.websocket.compress permessage-deflate; off

local not_set = setmetatable({}, { __index = M.defaults }) -- shared: nothing was set

--- The bounds of options that were checked.
---@param options table
---@return table
function M.limits(options)
  if next(options) == nil then return not_set end
  return setmetatable({
    max_message = options.max_message, max_frame = options.max_frame, max_controls = options.max_controls,
    ping_interval = options.ping_interval, ping_timeout = options.ping_timeout, send_timeout = options.send_timeout,
    close_timeout = options.close_timeout,
  }, getmetatable(not_set))
end

--- A WebSocket of the core's.
---@param socket userdata
---@param subprotocol string|nil
---@return moonpark.websocket
function M.of(socket, subprotocol)
  local self = setmetatable({ socket }, Websocket)
  if subprotocol then self.subprotocol = subprotocol end
  return self
end

local receive, receive_some = class.receive, class.receive_some
local send, send_binary, send_some = class.send, class.send_binary, class.send_some

--- The next message. A wait that ends without one loses nothing.
---@param timeout? number seconds; no limit
---@return string|nil message
---@return string kind "text", "binary"; or why there is none: "eof": the peer has closed; "closed": we have;
--- "unexpected eof": it was cut; "malformed message", "too long": the peer has broken the rules, or a limit, and was
--- told so; "timeout", "canceled", ...
---@return boolean|integer|nil errno
function Websocket:receive(timeout) return receive(self[1], timeout) end

--- Some of the next message, as it comes: a text may be cut within a character. "" may be the last piece.
---@param timeout? number seconds; no limit
---@return string|nil piece
---@return string kind "text", "binary"; or why there is none
---@return boolean|integer|nil last it ends the message; or errno
function Websocket:receive_some(timeout) return receive_some(self[1], timeout) end

--- for message, kind in ws:messages() do ... end: until the socket is over; ws:status() says how.
---@return fun(): string|nil, string|nil
function Websocket:messages()
  local socket = self[1]
  return function()
    local message, kind = receive(socket)
    if message then return message, kind end
  end
end

--- Sends a text, which must be UTF-8. Waits while the peer does not read. If the message leaves in part only, the
--- socket is over.
---@param text string|number
---@return true|nil
---@return string? err "closed", "eof", "timeout", "canceled", "broken pipe", ...
---@return integer? errno
function Websocket:send(text) return send(self[1], text) end

--- Sends bytes.
---@param bytes string|number
---@return true|nil
---@return string? err
---@return integer? errno
function Websocket:send_binary(bytes) return send_binary(self[1], bytes) end

--- Sends a part of a message, as a fragment. Nothing else but pings can be sent before the last.
---@param piece string
---@param kind "text"|"binary" of the message
---@param last boolean it ends the message
---@return true|nil
---@return string? err
---@return integer? errno
function Websocket:send_some(piece, kind, last)
  if kind ~= "text" and kind ~= "binary" then error('kind must be "text" or "binary"', 2) end
  return send_some(self[1], piece, kind == "binary", last)
end

--- Sends a ping, which leaves as soon as it can. The answer shows only in that the socket stays open.
---@param data? string at most 125 bytes
---@return true|nil
---@return string? err
---@return integer? errno
function Websocket:ping(data) return self[1]:ping(data) end

--- Closes: says so, and waits until the peer has said so, too. Messages that still come are dropped.
---@param code? integer 1000; 1001, 1003, 1008, 1011, ..., or your own: 3000 to 4999
---@param reason? string at most 123 bytes of UTF-8
---@return true|nil
---@return string? err "timeout": the peer did not answer, and was cut off; ...
---@return integer? errno
function Websocket:close(code, reason) return self[1]:close(code, reason) end

--- Cuts the connection, without a word.
function Websocket:abort() self[1]:cut() end

--- nil while it is open; then the code and the reason of the peer's close frame. 1005: it gave no code; 1006: there was
--- no such frame. If we have closed because of what it sent, the code that it was told.
---@return integer|nil code
---@return string|nil reason
function Websocket:status() return self[1]:status() end

--- May messages be sent?
---@return boolean
function Websocket:is_open() return self[1]:is_open() end

---@return string|nil address
---@return string? err
function Websocket:peer_address() return self[1]:address(true) end

---@return string|nil address
---@return string? err
function Websocket:local_address() return self[1]:address(false) end

function Websocket:__tostring() return tostring(self[1]) end

misuse.guard(Websocket, "WebSocket", "ws", 1)
misuse.check_names(Websocket, "WebSockets", { "subprotocol" })

return M

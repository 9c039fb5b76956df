-- SPDX-License-Identifier: MIT
-- core.lua - the module socket.core: what LuaSocket's own Lua files, and ours, are made on.

local core = require "moonpark.core"
local datagram = require "moonpark.luasocket.datagram"
local dns = require "moonpark.luasocket.dns"
local except = require "moonpark.luasocket.except"
local select_sockets = require "moonpark.luasocket.select"
local stream = require "moonpark.luasocket.stream"
local waiting = require "moonpark.in_task"

local misuse = require("moonpark.luasocket.words").misuse

local M = {
  _VERSION = "LuaSocket 3.0.0", -- as Debian's 3.1.0 says
  _SETSIZE = select_sockets.SETSIZE,
  _DATAGRAMSIZE = datagram.DATAGRAM,
  _SOCKETINVALID = -1,
  tcp = stream.tcp, tcp4 = stream.tcp4, tcp6 = stream.tcp6,
  udp = datagram.udp, udp4 = datagram.udp4, udp6 = datagram.udp6,
  select = select_sockets.select,
  dns = dns,
  newtry = except.newtry,
  protect = except.protect,
  gettime = core.time,
}

--- A connected socket. The family is "inet", "inet6" or "unspec", the default.
---@param host string
---@param port string|number
---@param local_host? string
---@param local_port? string|number
---@param family? string
---@return table|nil socket
---@return string? err
function M.connect(host, port, local_host, local_port, family)
  for i, value in ipairs { host == nil and false or host, port == nil and false or port } do
    if not value then misuse(("bad argument #%d to '?' (string expected, got no value)"):format(i)) end
  end
  local socket = family == "inet6" and stream.tcp6() or family == "inet" and stream.tcp4() or stream.tcp()
  if local_host then
    local ok, err = socket:bind(local_host, local_port or 0)
    if not ok then return nil, err end
  end
  local ok, err = socket:connect(host, port)
  if ok then return socket end
  socket:close()
  return nil, err
end

--- Negative: not at all.
---@param seconds number
function M.sleep(seconds)
  if type(seconds) ~= "number" then
    misuse(("bad argument #1 to 'sleep' (number expected, got %s)"):format(type(seconds)))
  end
  if seconds > 0 then waiting.call(core.sleep, seconds) end
end

--- What follows the first n of the others.
function M.skip(n, ...) return select(n + 1, ...) end

function M.__unload() return true end

return M

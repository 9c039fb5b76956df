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

local makers = { unspec = stream.tcp, inet = stream.tcp4, inet6 = stream.tcp6 }

local function check_text(value, position)
  if type(value) == "string" or type(value) == "number" then return end
  misuse(("bad argument #%d to '?' (string expected, got %s)"):format(position, value == nil and "no value"
    or type(value)))
end

local function check_number(value)
  local n = type(value) ~= "boolean" and tonumber(value)
  if n then return n end
  misuse(("bad argument #1 to '?' (number expected, got %s)"):format(value == nil and "no value" or type(value)))
end

--- A connected socket. The family is "inet", "inet6" or "unspec", the default.
---@param host string
---@param port string|number
---@param local_host? string
---@param local_port? string|number
---@param family? string
---@return table|nil socket
---@return string? err
function M.connect(host, port, local_host, local_port, family)
  check_text(host, 1)
  check_text(port, 2)
  if local_host ~= nil then check_text(local_host, 3) end
  family = family or "unspec"
  if not makers[family] then misuse(("bad argument #5 to '?' (invalid option '%s')"):format(tostring(family))) end
  local socket, wrong = makers[family]()
  if not socket then return nil, wrong end
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
  local n = check_number(seconds)
  if n > 0 then waiting.call(core.sleep, n) end
end

--- What follows the first n of the others.
function M.skip(n, ...)
  n = math.floor(check_number(n))
  if n < 0 then return n, ... end
  return select(n + 1, ...)
end

function M.__unload() return true end

return M

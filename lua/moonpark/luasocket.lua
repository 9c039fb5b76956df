-- SPDX-License-Identifier: MIT
-- luasocket.lua - a façade of LuaSocket 3.1: socket.core and socket.unix over moonpark.net. LuaSocket's own Lua files
-- (socket, socket.http, ltn12, ...) stay on top, unchanged; without them there is a small `socket`.

local function is_on_path(name)
  return package.searchpath(name, package.path) ~= nil
end

-- As LuaSocket's: a table of two makers that can be called itself.
local function load_unix()
  local stream = require("moonpark.luasocket.stream").unix
  local datagram = require("moonpark.luasocket.datagram").unix
  local module = { stream = stream, tcp = stream, dgram = datagram, udp = datagram }
  module.__call = function(self, ...) return self.stream(...) end
  return setmetatable(module, module)
end

local function missing(name)
  return function() error(("%s is not there on moonpark: see docs/luasocket.md"):format(name), 0) end
end

---@type moonpark.compat.facade
local M = {
  preload = {
    ["socket.core"] = function() return require "moonpark.luasocket.core" end,
    ["socket.unix"] = load_unix,
    ["socket.serial"] = missing "socket.serial",
  },
}

if not is_on_path "socket" then
  M.preload.socket = function() return require "moonpark.luasocket.small" end
end

return M

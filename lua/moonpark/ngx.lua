-- SPDX-License-Identifier: MIT
-- ngx.lua - a façade of OpenResty's ngx: libraries written for ngx_lua run on moonpark's tasks and connections.

local context = require "moonpark.ngx.context"
local core = require "moonpark.core"
local in_task = require "moonpark.in_task"
local tcp = require "moonpark.ngx.tcp"
local thread = require "moonpark.ngx.thread"
local udp = require "moonpark.ngx.udp"
require "moonpark.ngx.ssl"

local ngx = {}

local function connect(...)
  local socket = tcp.new()
  local ok, err = socket:connect(...)
  if not ok then return nil, err end
  return socket
end

ngx.socket = { tcp = tcp.new, stream = tcp.new, udp = udp.new, connect = connect }
ngx.thread = thread

--- Seconds; 0: lets others run.
function ngx.sleep(seconds)
  if type(seconds) ~= "number" then seconds = assert(tonumber(seconds), "bad argument #1 to 'sleep' (number expected)") end
  if seconds < 0 then error("invalid sleep duration \"" .. seconds .. "\"", 2) end
  in_task.call(core.sleep, seconds)
end

---@type moonpark.compat.facade
local M = {
  ngx = ngx,
  context = context,
  preload = {},
}

--- With `global`, ngx is a global.
function M.start(options)
  if options.global then rawset(_G, "ngx", ngx) end
end

return M

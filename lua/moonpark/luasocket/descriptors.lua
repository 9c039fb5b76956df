-- SPDX-License-Identifier: MIT
-- descriptors.lua - LuaSocket and LuaSec hand sockets to each other as numbers: `core.setfd(s, sock:getfd())`, then
-- `sock:setfd(-1)`. Here the connection behind a number is found, and passes to the one that takes it.

local M = {}

local held = setmetatable({}, { __mode = "v" }) -- [number] = the object that has it, with take_conn(self) -> connection

--- The object answers to that number from now on.
---@param fd integer|nil
---@param object table
function M.put(fd, object)
  if fd then held[fd] = object end
end

--- The connection with that number, which no longer belongs to the object that had it; nil: there is none.
---@param fd integer
---@return moonpark.connection|nil
function M.take(fd)
  local object = held[fd]
  local conn = object and object.conn
  if not conn or conn:is_closed() or conn:fd() ~= fd then return nil end
  held[fd] = nil
  object.conn = nil
  return conn
end

return M

-- SPDX-License-Identifier: MIT
-- descriptors.lua - LuaSocket and LuaSec hand sockets to each other as numbers: `core.setfd(s, sock:getfd())`, then
-- `sock:setfd(-1)`. Here the connection behind a number is found, and passes to the one that takes it.

local M = {}

local held = setmetatable({}, { __mode = "v" }) -- [number] = the object that has it

--- The object answers to that number from now on.
---@param fd integer|nil
---@param object table
function M.put(fd, object)
  if fd then held[fd] = object end
end

--- The connection or listener with that number, which no longer belongs to the object that had it; nil: there is none.
---@param fd integer
---@return moonpark.connection|moonpark.listener|nil
function M.take(fd)
  local object = held[fd]
  for _, place in ipairs { "conn", "listener" } do
    local native = object and object[place]
    if native and not native:is_closed() and native:fd() == fd then
      held[fd] = nil
      object[place] = nil
      return native
    end
  end
end

--- The object has no descriptor any more. One that it still had stays open, and belongs to the script.
---@param object table
function M.release(object)
  local native = object.conn or object.listener
  local descriptor = native and native:detach() or object.bound and object.bound.descriptor
  if descriptor then descriptor:release() end
  object.conn, object.listener, object.bound = nil, nil, nil
end

return M

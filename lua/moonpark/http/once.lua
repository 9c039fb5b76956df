-- SPDX-License-Identifier: MIT
-- once.lua - a body that is read once, even if several tasks ask for it at the same time.

local core = require "moonpark.core"

-- true: no task is in the middle of it any more; nil, err: the wait was ended.
local function await(object)
  local ended = rawget(object, "body_awaited")
  if not ended then
    ended = core.event()
    object.body_awaited = ended
  end
  return ended:wait()
end

-- To set a field that is there takes no memory.
local function leave(object, field, ran, value, err, errno)
  object[field] = ran and value or nil
  local ended = rawget(object, "body_awaited")
  if ended then
    object.body_awaited = nil
    ended:set()
  end
  if not ran then error(value, 0) end
  return value, err, errno
end

--- What the object has in the field; else what fn(object, ...) returns, which is kept there. The field is false while a
--- task is in there: others wait, and where that has failed they try for themselves.
---@generic T
---@param object table
---@param field string
---@param fn fun(object: table, ...): T|nil, string?, integer?
---@return T|nil
---@return string? err
---@return integer? errno
return function(object, field, fn, ...)
  while true do
    local value = rawget(object, field)
    if value then return value end
    if value == nil then break end
    local ok, err = await(object)
    if not ok then return nil, err end
  end
  object[field] = false
  return leave(object, field, pcall(fn, object, ...))
end

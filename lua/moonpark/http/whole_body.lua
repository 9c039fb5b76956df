-- SPDX-License-Identifier: MIT
-- whole_body.lua - reads a body into one string, up to a limit; only once, even if several tasks ask for it at the same
-- time.

local core = require "moonpark.core"

local M = {}

--- All that source:read() still gives. If that fails, what it has given is gone: so must the rest be.
---@generic T
---@param source T
---@param max integer bytes at the most
---@param refuse fun(source: T): nil, string is called if there is more than that, and its results are returned
---@param read? fun(source: T): string|nil, string?, integer? in place of its method
---@return string|nil
---@return string? err
---@return integer? errno
function M.gather(source, max, refuse, read)
  read = read or source.read
  local pieces, total = {}, 0
  while true do
    local data, err, errno = read(source)
    if not data then
      if err ~= "eof" then return nil, err, errno end
      return table.concat(pieces)
    end
    total = total + #data
    if total > max then return refuse(source) end
    pieces[#pieces + 1] = data
  end
end

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
function M.once(object, field, fn, ...)
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

return M

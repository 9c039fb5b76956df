-- SPDX-License-Identifier: MIT
-- handler.lua - http.ngx(fn): a handler in which `ngx` is the request.

local context = require "moonpark.ngx.context"
local core = require "moonpark.core"
local failures = require "moonpark.failures"
local response = require "moonpark.ngx.response"

local M = {}

local finish, EXIT = response.finish, response.EXIT

-- The handler has ended, by itself or by ngx.exit.
local function conclude(current, res)
  if current.cut then return current.begun and res:abort() or res:fail(500) end
  if current.page and not current.begun then
    current.begun, current.ended = true, true
    return res:fail(current.status)
  end
  return finish(current)
end

local function give_up(current, err)
  current:close()
  error(err, 0)
end

--- A handler that runs fn() with the request as ngx.
---@param fn fun()
---@param default_type? string the Content-Type of what sets none; "text/plain"
---@return fun(req: moonpark.http.request, res: moonpark.http.response)
function M.new(fn, default_type)
  if type(fn) ~= "function" then
    error(("bad argument #1 to 'ngx' (function expected, got %s)"):format(type(fn)), 2)
  end
  return function(req, res)
    local current = context.open "content"
    current.req, current.res, current.began = req, res, core.time()
    if res.type == nil then res.type = default_type or "text/plain" end
    local ok, err = xpcall(fn, failures.remember)
    if not ok and err ~= EXIT then return give_up(current, err) end
    conclude(current, res)
    if current.abort and req:is_gone() then current.abort() end
    current:close()
  end
end

return M

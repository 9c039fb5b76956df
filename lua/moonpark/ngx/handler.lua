-- SPDX-License-Identifier: MIT
-- handler.lua - http.ngx(fn): a handler in which `ngx` is the request.

local context = require "moonpark.ngx.context"
local core = require "moonpark.core"
local failures = require "moonpark.failures"
local ngx_path = require "moonpark.ngx.path"
local response = require "moonpark.ngx.response"
local task = require "moonpark.task"
local thread = require "moonpark.ngx.thread"

local M = {}

local finish, EXIT = response.finish, response.EXIT

-- A page of the server's, or none: it is text, whatever the handler has said of what it did not send.
local function send_page(current, res)
  current.begun, current.ended = true, true
  res.type = nil
  if current.page == "page" then return res:fail(current.status) end
  res.status = current.status
  return response.send_untyped(res, "")
end

-- The handler has ended, by itself or by ngx.exit.
local function conclude(current, res)
  if current.cut then return res.x:abort(res.serial) end
  if current.page and not current.begun then return send_page(current, res) end
  return finish(current)
end

-- The function of ngx.on_abort, in a task of the handler's scope: this is cancelled when the client goes, unless the
-- handler has ended before. What it raises is no failure of the handler.
local function watch(current)
  core.sleep(math.huge)
  if current.concluded and not current.req:is_gone() then return end
  local ok, err = task.shield(xpcall, current.abort, failures.remember)
  if not ok and err ~= EXIT then
    failures.log("error in an on_abort function: " .. failures.traced(err), "error", "ngx")
  end
end

-- Runs fn, and waits for its light threads -> whether it has ended by itself or by ngx.exit, or an error.
local function work(current, fn)
  return task.scope(function(scope)
    current.scope, current.watch = scope, watch
    local ok, err = xpcall(fn, failures.remember)
    if ok and not current.exiting then thread.wait_for_all(current) end
    thread.kill_all(current)
    current.concluded = true
    if current.watching then current.watching:cancel() end
    return ok or err == EXIT, err
  end)
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
    if ngx_path.is_doubtful(req.raw_path) and not ngx_path.normalized(req.raw_path) then return res:fail(400) end
    local current = context.open "content"
    current.req, current.res, current.began = req, res, core.time()
    if res.type == nil then res.type = default_type or "text/plain" end
    local ok, err = work(current, fn)
    if ok then conclude(current, res) end
    current:close()
    if not ok then error(err, 0) end
  end
end

return M

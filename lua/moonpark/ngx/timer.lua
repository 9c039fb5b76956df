-- SPDX-License-Identifier: MIT
-- timer.lua - ngx.timer: a daemon for each, so that the program ends without it. Then, and when the worker leaves, the
-- function is called with premature = true.

local context = require "moonpark.ngx.context"
local core = require "moonpark.core"
local failures = require "moonpark.failures"
local task = require "moonpark.task"
local words = require "moonpark.ngx.words"

local M = {}

local pending, running = 0, 0

local function run(premature, fn, ...)
  running = running + 1
  local request = context.open "timer"
  local ok, err = xpcall(fn, failures.remember, premature, ...)
  request:close()
  running = running - 1
  if not ok then error(err, 0) end
end

local function once(delay, fn, ...)
  local ok = core.sleep(delay)
  pending = pending - 1
  if ok then return run(false, fn, ...) end
  return task.shield(run, true, fn, ...)
end

local function repeatedly(delay, fn, ...)
  while core.sleep(delay) do task.go_daemon(run, false, fn, ...) end
  pending = pending - 1
  return task.shield(run, true, fn, ...)
end

local function check(delay, fn, name)
  if type(fn) ~= "function" or debug.getinfo(fn, "S").what == "C" then
    words.misuse(("bad argument #2 to '%s' (Lua function expected)"):format(name))
  end
  if type(delay) ~= "number" or delay < 0 then
    words.misuse(("bad argument #1 to '%s' (number expected)"):format(name))
  end
end

--- at(delay, fn, ...) -> 1
function M.at(delay, fn, ...)
  check(delay, fn, "at")
  pending = pending + 1
  task.go_daemon(once, delay, fn, ...)
  return 1
end

--- every(delay, fn, ...) -> 1
function M.every(delay, fn, ...)
  if delay == 0 then words.misuse "bad argument #1 to 'every' (delay cannot be zero)" end
  check(delay, fn, "every")
  pending = pending + 1
  task.go_daemon(repeatedly, delay, fn, ...)
  return 1
end

function M.pending_count() return pending end
function M.running_count() return running end

return M

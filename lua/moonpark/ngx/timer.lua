-- SPDX-License-Identifier: MIT
-- timer.lua - ngx.timer: a daemon for each, so that the program ends without it. Then, and when the worker leaves, the
-- function is called with premature = true.

local context = require "moonpark.ngx.context"
local core = require "moonpark.core"
local failures = require "moonpark.failures"
local log = require "moonpark.ngx.log"
local task = require "moonpark.task"
local words = require "moonpark.ngx.words"
local worker = require "moonpark.worker"

local M = {}

--- How many timers may wait, and how many functions of timers may run.
M.most_pending, M.most_running = 1024, 256

local pending, running = 0, 0

local function run(premature, fn, ...)
  if running >= M.most_running then
    log.log(1, ("%d running timers are not enough"):format(M.most_running))
    return
  end
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

-- -> seconds; negative ones are none
local function check(count, delay, fn, name)
  if count < 2 then
    words.misuse(("bad arguments to '%s' (expecting at least 2 arguments but got %d)"):format(name, count))
  end
  local seconds = tonumber(delay)
  if not seconds or seconds ~= seconds or seconds == math.huge then
    words.misuse(("bad argument #1 to '%s' (number expected, got %s)"):format(name, type(delay)))
  end
  if name == "every" and seconds == 0 then words.misuse "bad argument #1 to 'every' (delay cannot be zero)" end
  if type(fn) ~= "function" or debug.getinfo(fn, "S").what == "C" then
    words.misuse(("bad argument #2 to '%s' (Lua function expected)"):format(name))
  end
  return math.max(seconds, name == "every" and 0.001 or 0)
end

local function start(name, how, count, delay, fn, ...)
  local seconds = check(count, delay, fn, name)
  if seconds > 0 and worker.is_draining() then return nil, "process exiting" end
  if pending >= M.most_pending then return nil, "too many pending timers" end
  pending = pending + 1
  task.go_daemon(how, seconds, fn, ...)
  return 1
end

--- at(delay, fn, ...) -> 1 | nil, err
function M.at(...) return start("at", once, select("#", ...), ...) end

--- every(delay, fn, ...) -> 1 | nil, err
function M.every(...) return start("every", repeatedly, select("#", ...), ...) end

function M.pending_count() return pending end
function M.running_count() return running end

return M

-- SPDX-License-Identifier: MIT
-- stopping.lua - what SIGTERM and SIGINT do to a program while http.serve runs: its servers take no new connection, the
-- requests that are there have the servers' grace, http.serve returns, and the other tasks are cancelled.
--
--   the first signal                 drains; the program's status is then 0, or 1 if some task does not end
--   the second one                   ends the program at once, with status 128 + its number
--   one the script subscribes to     is the script's
--   in a worker                      the supervisor says when to drain: see worker/drain.lua

local core = require "moonpark.core"
local draining = require "moonpark.draining"
local ending = require "moonpark.ending"
local failures = require "moonpark.failures"
local task = require "moonpark.task"
local worker = require "moonpark.worker"
local worker_drain = require "moonpark.worker.drain"

local M = {}

M.GRACE = 10 -- seconds, if http.serve is not told

local SIGNALED, STUCK = 128, 1
local LATE = 1 -- second after the grace, when handlers were cancelled: one that goes on does not keep the program
local names = { "TERM", "INT" }

local served, count = {}, 0 -- [server] = {grace =, task = the one that serves}
local under_way = false
local watched = {} -- the names that this file watches itself

-- As the command's os.exit does: paths of unix listeners go, children are told.
local function exit(status)
  if draining.signals_of == "command" then os.exit(status) end
  core.stdout_flush()
  core.close_conns()
  core.process_signal_all "TERM"
  os.exit(status)
end

local function unwatch()
  for name in pairs(watched) do core.signal_unwatch(name) end
  watched = {}
end

-- Under plain luajit: once the tasks have ended the loop ends, and the script goes on behind it.
local function leave(reason, seconds)
  local left = ending.cancel_others(reason, core.now() + seconds)
  if not left then
    under_way = false
    worker_drain.went_on()
    return unwatch()
  end
  failures.log(ending.describe(reason, left, seconds))
  exit(STUCK)
end

-- All servers at once, each with its grace; then what comes after http.serve in the tasks that called it.
local function drain(reason)
  local tasks, longest = {}, 0
  for _, entry in pairs(served) do
    tasks[#tasks + 1] = entry.task
    longest = math.max(longest, entry.grace)
  end
  local deadline, shutdowns = core.now() + longest, worker_drain.call_functions(longest)
  for server, entry in pairs(served) do table.insert(shutdowns, task.go(server.shutdown, server, entry.grace)) end
  for _, each in ipairs(shutdowns) do each:await(math.max(0, deadline + LATE - core.now())) end
  for _, each in ipairs(tasks) do each:await(math.max(0, deadline - core.now())) end
  local finish = draining.leave or leave
  return finish(reason, math.max(1, deadline - core.now()))
end

-- Are there servers that do not shut down yet? If the script has seen to it itself, the signal is not for us.
local function any_serving()
  for server in pairs(served) do
    if not server:is_draining() then return true end
  end
  return false
end

-- Called on the loop's own stack, for a signal that the script has not subscribed to.
function draining.stop(name)
  if under_way then exit(SIGNALED + core.signal_number(name)) end
  if not any_serving() then return false end
  under_way = true
  local reason = "SIG" .. name
  core.go(function()
    core.current():name "drain"
    task.shield(drain, reason)
  end)
  return true
end

---------------------------------------------------------------------------------------------------
-- under plain luajit nobody else watches these signals

-- What the signal does to a process that does not catch it.
local function end_by(name)
  core.signal_unwatch(name)
  watched[name] = nil
  core.signal_default(name)
  core.raise(name)
end

local function received(number)
  for _, name in ipairs(names) do
    if core.signal_number(name) == number and watched[name] and not draining.stop(name) then end_by(name) end
  end
end

local function watch()
  if draining.signals_of ~= "script" then return end
  core.on_signal(received)
  for _, name in ipairs(names) do
    if not watched[name] and not core.signal_ignored(name) then watched[name] = core.signal_watch(name) end
  end
end

local function remove(server)
  served[server], count = nil, count - 1
  if count == 0 and not under_way then unwatch() end
end

local function removed(server, ok, ...)
  remove(server)
  if not ok then error((...), 0) end
  return ...
end

local function run(server, ready)
  if ready then ready(server) end
  return server:run()
end

--- Runs the server; meanwhile the first SIGTERM or SIGINT drains it.
---@param server moonpark.http.server
---@param grace number seconds; 0: those signals do what they do without this
---@param ready? fun(server: moonpark.http.server) called before, when signals drain the server already
---@return true|nil
---@return string? err
---@return integer? errno
function M.run(server, grace, ready)
  if grace == 0 or worker.is_worker() or draining.signals_of == "none" then return run(server, ready) end
  served[server], count = { grace = grace, task = core.current() }, count + 1
  watch()
  return removed(server, xpcall(run, failures.remember, server, ready))
end

return M

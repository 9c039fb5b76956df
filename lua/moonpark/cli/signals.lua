-- SPDX-License-Identifier: MIT
-- signals.lua - what signals do to a program that the command runs.
--
--   QUIT               prints the dump, closes all; status 2, as Go's
--   USR1               prints the dump
--   INT, TERM          drain what http.serve runs, status 0; else wind down, status 128 + signal; the second one ends
--                      at once
--   PIPE               winds down, status 141, however many come

local core = require "moonpark.core"
local draining = require "moonpark.draining"
local dump = require "moonpark.dump"
local shutdown = require "moonpark.cli.shutdown"

local M = {}

local QUIT = 2         -- the status of a SIGQUIT
local FLUSH = 1        -- seconds that the lines of the log have to be written before
local FAILED = 1       -- if a task does not end after the servers have drained
local SIGNALED = 128   -- + the signal's number, as a shell would say

local handlers = {}    -- [number] = fn(), called on the loop's own stack: they do not wait

local function print_dump()
  core.writer_flush(FLUSH)
  io.stderr:write(dump.dump())
end

local function status_of(name) return SIGNALED + core.signal_number(name) end

local function ends(name, grace)
  return function()
    local status = shutdown.status()
    if status then shutdown.leave(status ~= 0 and status or status_of(name)) end
    if not draining.stop(name) then shutdown.start("SIG" .. name, status_of(name), grace) end
  end
end

-- Nobody reads what we write. Each further line brings the signal again, those of tasks that wind down too.
local function watch_output(grace)
  M.on("PIPE", function() shutdown.start("SIGPIPE", status_of "PIPE", grace) end)
  core.end_by_pipe(function() shutdown.leave(shutdown.status() or status_of "PIPE") end)
end

--- From now on fn() is called when that signal arrives, on the loop's own stack.
---@param name string "INT"
---@param fn fun()
---@return fun()|nil before what was called so far
function M.on(name, fn)
  local number = core.signal_number(name)
  local before = handlers[number]
  handlers[number] = fn
  if not before then assert(core.signal_watch(name)) end
  return before
end

--- Watches. Whoever started us may want PIPE ignored: then it stays so. (INT too, for a shell's background job; but
--- luajit caught that one before us, so it is no longer known. Its handler must not be there again
--- while the Lua state closes.)
---@param grace number seconds
function M.watch(grace)
  draining.signals_of = "command"
  draining.leave = function(reason) shutdown.start(reason, 0, grace, FAILED) end
  core.on_signal(function(number)
    if handlers[number] then handlers[number]() end
  end)
  M.on("USR1", print_dump)
  M.on("QUIT", function()
    print_dump()
    shutdown.leave(QUIT)
  end)
  core.signal_default "INT"
  M.on("INT", ends("INT", grace))
  M.on("TERM", ends("TERM", grace))
  if not core.signal_ignored "PIPE" then watch_output(grace) end
end

return M

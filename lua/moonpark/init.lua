-- SPDX-License-Identifier: MIT
-- moonpark - network servers as plain Lua scripts: tasks, time, channels, locks, and the dump.
--
-- require "moonpark" replaces coroutine.resume and coroutine.wrap, so that generators inside a task may
-- wait; raises LuaJIT's JIT limits, which are too low for servers in the stock builds; and lets os.exit report
-- errors of tasks that nobody has joined.

if not jit then error("moonpark needs LuaJIT, and this is " .. _VERSION .. ": run the script with luajit", 0) end

local core = require "moonpark.core"
require("moonpark.coroutines").install()

if pcall(require, "jit.opt") then
  require("jit.opt").start("maxtrace=8000", "maxrecord=16000", "maxmcode=40960", "minstitch=3")
end

-- Tasks remember where they were started: to the first frame that is not of this directory, or all of
-- the call path if MOONPARK_TRACE is set.
local library = debug.getinfo(1, "S").source:match("^@(.*/)init%.lua$")
assert(core.trace_sites(library, (os.getenv("MOONPARK_TRACE") or "") ~= ""))

-- Errors of tasks that wait for a join are reported at the end, however the program ends. (The command has an os.exit
-- of its own.)
local failures, exit = require "moonpark.failures", os.exit
os.exit = function(...) -- luacheck: ignore 122
  failures.flush()
  return exit(...)
end

local task = require "moonpark.task"
local dump = require "moonpark.dump"
local limits = require "moonpark.limits"

---@class moonpark
---@field fs moonpark.fs
---@field http moonpark.http
---@field log moonpark.log
---@field net moonpark.net
---@field netpoll moonpark.netpoll
---@field process moonpark.process
---@field shared moonpark.shared
---@field systemd moonpark.systemd
---@field testing moonpark.testing
---@field tls moonpark.tls
---@field url moonpark.url
---@field worker moonpark.worker
---@field every fun(seconds: number, fn: fun(), options?: moonpark.every.options): moonpark.task
--- calls fn() every so many seconds
---@field once fun(fn: (fun(): any), options?: moonpark.once.options): (fun(): any), fun()
--- a value that is computed once, for all who ask meanwhile; and what forgets it
---@field pool fun(n: integer, items: any, fn: function, options?: moonpark.pool.options): table|nil, table|string?
--- calls fn for each item, n at a time
---@field retry fun(options: moonpark.retry.options, fn: function, ...: any): any
--- calls fn again if it fails
---@field locals table<any, any> the calling task's values; a task that it starts has the same ones
---@field _VERSION string
local M = {
  _VERSION = core.version,
  run = task.run,
  scope = task.scope,
  timeout = task.timeout,
  shield = task.shield,
  go_daemon = task.go_daemon,
  locals = task.locals,
  pool_of = require("moonpark.pool_of").new,
  dump = dump.dump,
  limits = limits.set,
}

--- Starts fn(...) as a task. Inside moonpark.run only.
---@type fun(fn: function, ...: any): moonpark.task
M.go = core.go

--- The same, and it runs at once, until its first wait; then the caller goes on. Where the caller cannot wait, as in a
--- callback of string.gsub, it is like go.
---@type fun(fn: function, ...: any): moonpark.task
M.go_now = core.go_now

--- The calling task, or nil outside tasks.
---@type fun(): moonpark.task|nil
M.current = core.current

--- Parks for that many seconds; 0 or less: lets the other tasks run once. Returns true, or nil and "canceled".
---@type fun(seconds: number): true|nil, string?
M.sleep = core.sleep

--- Lets every task that is ready run once. Returns true, or nil and "canceled".
---@type fun(): true|nil, string?
M.yield = core.yield

--- Seconds on the monotonic clock, which deadlines use.
---@type fun(): number
M.now = core.now

--- Seconds since 1970-01-01 UTC.
---@type fun(): number
M.time = core.time

---@class moonpark.channel
---@field send fun(self, value: any, timeout?: number): true|nil, string? "closed", "timeout", "canceled"
---@field recv fun(self, timeout?: number): any, string? nil and "closed", "timeout", "canceled"
---@field close fun(self): true receivers get the buffered values, then "closed"; senders fail at once
---@field iter fun(self): function, moonpark.channel for value in ch:iter(); ends when it is closed and empty
---@field is_closed fun(self): boolean
---@field package next fun(self): any for iter
---@operator len: integer

--- A channel. capacity: how many values it buffers; default 0.
---@type fun(capacity?: integer): moonpark.channel
M.chan = core.chan

--- Waits for the first of several things: {channel} receives, {channel, value} sends, {task} joins, {connection, "r"}
--- or "w" waits for readiness; `timeout = seconds`. Among ready ones it picks at random. Returns the number of the
--- case, then what was received, or true for a send and for readiness, or what the task's join returns, or nil and
--- "closed", "timeout", ... of that case; or nil and "timeout" or "canceled" if no case was ready.
---@type fun(cases: table): integer|nil, any, ...
M.select = task.select

---@class moonpark.mutex
---@field lock fun(self, timeout?: number): true|nil, string? "timeout", "canceled"; raises if this task has it
---@field try_lock fun(self): boolean
---@field unlock fun(self) raises if this task does not have it
---@field is_locked fun(self): boolean

--- Held by one task; waiters get it in the order they came.
---@type fun(): moonpark.mutex
M.mutex = core.mutex

---@class moonpark.semaphore
---@field acquire fun(self, timeout?: number): true|nil, string? "timeout", "canceled"
---@field release fun(self, n?: integer) gives n places back; 1
---@field count fun(self): integer places left

--- A semaphore with n places.
---@type fun(n: integer): moonpark.semaphore
M.semaphore = core.semaphore

---@class moonpark.event
---@field wait fun(self, timeout?: number): true|nil, string? "timeout", "canceled"
---@field set fun(self) wakes all waiting tasks; it stays set
---@field clear fun(self)
---@field is_set fun(self): boolean

--- An event, not set.
---@type fun(): moonpark.event
M.event = core.event

---@class moonpark.signals
---@field next fun(self, timeout?: number): string|nil, string? "HUP"; or nil and "closed", "timeout", "canceled"
---@field close fun(self): true its signals have their former action again; waiting tasks get "closed"
---@operator call: string|nil

--- Subscribes to signals by their POSIX names, with "SIG" or without: for name in moonpark.signals("HUP", "TERM") do
--- ... end. While it is open their default action is gone, and the command's own handling too. Raises for a name
--- that is unknown or a signal that cannot be caught. After os/signal's Notify of Go.
---@type fun(name: string, ...: string): moonpark.signals
M.signals = core.signals

-- In quotes: spec/tree/layers_spec.lua looks for what may be loaded here.
local modules = { ["fs"] = true, ["http"] = true, ["log"] = true, ["net"] = true, ["netpoll"] = true,
  ["process"] = true, ["shared"] = true, ["systemd"] = true, ["testing"] = true, ["tls"] = true, ["url"] = true,
  ["worker"] = true }

-- Functions in files of their names, loaded when they are asked for first.
local functions = { ["every"] = true, ["once"] = true, ["pool"] = true, ["retry"] = true }

--- Runs main in several processes; see docs/workers.md.
---@param options moonpark.workers.run.options|integer|"auto" or the count
---@param main fun(...: any): any
---@return any ...
function M.workers(options, main)
  return require("moonpark.workers").workers(options, main)
end

if (os.getenv "MOONPARK_LOG" or "") ~= "" or (os.getenv "MOONPARK_LOG_FORMAT" or "") ~= "" then
  require "moonpark.log"
end

if os.getenv "MOONPARK_WORKER" then
  require("moonpark.worker").join()
end

return setmetatable(M, {
  __index = function(self, name)
    if not modules[name] and not functions[name] then return nil end
    local module = require("moonpark." .. name)
    local value = functions[name] and module[name] or module
    rawset(self, name, value)
    return value
  end,
})

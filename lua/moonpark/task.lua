-- SPDX-License-Identifier: MIT
-- task.lua - tasks and structured concurrency on top of the core's primitives: run, go, join, scope,
-- timeout, shield.

local core = require "moonpark.core"
local failures = require "moonpark.failures"

local M = {}

local weak = { __mode = "k" }
local names = setmetatable({}, weak)   -- [task] = name
local reasons = setmetatable({}, weak) -- [task] = why it was cancelled
local waits = setmetatable({}, weak)   -- [task] = what it waits for, if the core does not know
local loggers = setmetatable({}, weak) -- [scope] = fn(connection, task) for failures of handlers
local main                             -- the running main task
local describe_deadlock                -- set by dump, which uses this file

---@class moonpark.task
---@field package await fun(self, ...)
---@field id fun(self): number a number that no other task of this process has
---@field status fun(self): "ready"|"running"|"parked"|"done"|"failed"
---@field is_canceled fun(self): boolean was it, or a scope that it has open, cancelled
---@field package is_awaited fun(self): boolean a join was waiting for it when it ended
---@field package results fun(self): true|nil, ... as join, once ended, else raises; the error stays unjoined
---@field package site fun(self): string[] where it was started, "file.lua:3", innermost frame first
local Task = core.task_class

---@class moonpark.scope
---@field package start fun(self, ...)
---@field package close fun(self, ...)
---@field package join fun(self, ...)
---@field package blame fun(self, ...)
---@field package blamed fun(self, ...)
---@field package deadline_in fun(self, ...)
---@field package hand_over fun(self, ...)
---@field is_canceled fun(self): boolean
---@field cancel fun(self) every wait of its body and its tasks returns nil, "canceled" from now on
local Scope = core.scope_class

local function check_function(fn, position, name)
  if type(fn) ~= "function" then
    error(("bad argument #%d to '%s' (function expected, got %s)"):format(position, name, type(fn)), 3)
  end
end

local function check_seconds(seconds, position, name, level)
  if type(seconds) ~= "number" or seconds ~= seconds then
    error(("bad argument #%d to '%s' (number of seconds expected, got %s)")
      :format(position, name, seconds ~= seconds and "NaN" or type(seconds)), level or 3)
  end
end

-- A dot for a colon leaves the object out. What C checks itself says the same.
local function not_self(what, self, name)
  error(("%s expected, got %s: methods take a colon, as in %s:%s(...)"):format(what, type(self), what, name), 4)
end

---------------------------------------------------------------------------------------------------
-- tasks

local parked, await = core.parked, Task.await

-- The token means: fetch the results, because they are many, or an error that is joined now.
local function joined(task, ok, ...)
  if ok ~= parked then return ok, ... end
  failures.claim(task)
  return task:results()
end

-- The arguments that await would refuse, at the line of join's caller.
local function check_join(self, timeout)
  if type(self) ~= "userdata" then not_self("task", self, "join") end
  if timeout ~= nil then check_seconds(timeout, 1, "join", 4) end
end

--- Waits until the task has ended.
---@param timeout? number seconds
---@return true|nil ok
---@return any ... its results; or its error and that error's traceback; or "timeout", "canceled"
function Task:join(timeout)
  if timeout ~= nil or type(self) ~= "userdata" then check_join(self, timeout) end
  return joined(self, await(self, timeout))
end

-- Of a select: the same, behind the number of the case.
local function selected(number, ...)
  local ok, task = ...
  if ok ~= parked then return number, ... end
  return number, joined(task, ok)
end

local select_one = core.select

--- See moonpark.select.
function M.select(cases) return selected(select_one(cases)) end

local cancel, id = Task.cancel, Task.id

local function check_task(self, name)
  if not pcall(id, self) then not_self("task", self, name) end
end

--- Cancels the task: from now on every wait of it returns nil, "canceled".
---@param reason? string for the dump
function Task:cancel(reason)
  check_task(self, "cancel")
  cancel(self) -- first, because keeping the reason needs memory
  if reason ~= nil and reasons[self] == nil then reasons[self] = tostring(reason) end
end

--- For reports.
function M.name_of(task)
  local name = names[task]
  if type(name) ~= "function" then return name end
  local ok, text = pcall(name)
  return ok and text or nil
end

--- Sets a name that changes: namer() is called when the name is needed.
function M.name_by(task, namer) names[task] = namer end

--- For reports: what the calling task waits for from now on, in the place of the object that it parks on. nil: the
--- object again.
---@param wait {describe: fun(self): string, string}|nil returns the operation, "lock", and what it is on
function M.waits_for(wait) waits[core.current()] = wait end

--- For reports: the operation a parked task is in, and what it is on.
---@param info table an entry of core.tasks()
---@return string|nil wait
---@return string|nil object
function M.wait_of(info)
  local wait = waits[info.task]
  if wait then return wait:describe() end
  return info.wait, info.object
end

--- Gives the task a name, or returns it.
---@param name? string
---@return string|nil
function Task:name(name)
  check_task(self, "name")
  if name ~= nil then names[self] = tostring(name) end
  return M.name_of(self)
end

--- The reason that was given for cancelling it.
---@return string|nil
function Task:cancel_reason()
  check_task(self, "cancel_reason")
  return reasons[self]
end

function Task:__tostring()
  check_task(self, "__tostring")
  local name = M.name_of(self)
  return ("task %d%s"):format(id(self), name and (" %q"):format(name) or "")
end

M.go = core.go

---------------------------------------------------------------------------------------------------
-- daemons

local daemons = setmetatable({}, weak) -- [task] = true

--- Starts fn(...) as a task for which moonpark.run does not wait: it serves the others. When they have ended, it is
--- cancelled, and run returns once it has ended as well.
---@param fn function
---@param ... any
---@return moonpark.task
function M.go_daemon(fn, ...)
  check_function(fn, 1, "go_daemon")
  if not core.is_running() then error("no loop is running: call it inside moonpark.run", 2) end
  local daemon = core.go_daemon(fn, ...)
  daemons[daemon] = true
  return daemon
end

-- The others have ended, so the loop has: the daemons are cancelled, and it goes on until they have ended, too.
local function end_daemons(state)
  while state == "ended" and next(daemons) do
    local ending = false
    for daemon in pairs(daemons) do
      daemons[daemon] = nil
      if daemon:status() == "parked" or daemon:status() == "ready" then
        core.recall(daemon)
        cancel(daemon)
        ending = true
      end
    end
    if not ending then break end
    state = core.go_on()
  end
  return state
end

---------------------------------------------------------------------------------------------------
-- values of a task

--- The calling task's values: moonpark.locals.user = "ada". A task that it starts has the same ones, as they are at
--- that time; what either changes later, the other does not see. Outside tasks there are none, and setting one raises.
M.locals = setmetatable({}, {
  __index = function(_, key) return core.get_local(key) end,
  __newindex = function(_, key, value)
    if not core.current() then error("moonpark.locals: must be set in a task (inside moonpark.run)", 2) end
    if key == nil or key ~= key then error("moonpark.locals: a key expected, got " .. tostring(key), 2) end
    core.set_local(key, value)
  end,
  __metatable = false,
})

local function main_failed()
  for _, info in ipairs(core.tasks()) do
    info.task:cancel("the main task failed")
  end
end

--- Replaces what happens to the other tasks when the main task fails: calls fn(), on the loop's own stack.
function M.on_main_failed(fn) main_failed = fn end

-- Of what scope:blamed() returns.
local function is_task(value) return type(value) == "userdata" end

-- Called for every task that failed, right after it ended.
core.on_ended(function(task, scope, connection)
  local _, err = task:results()
  local gave_up = task:is_canceled() and failures.is_cancellation(err)
  local log = connection and scope and loggers[scope] -- its scope may have been dropped with a generator
  if log then
    log(connection, task, gave_up)
  elseif gave_up then
    return
  elseif task == main then
    main_failed()
  elseif scope then
    local first = scope:blamed()
    scope:blame(task)
    scope:cancel()
    if is_task(first) and not failures.passes_on(err, first) then failures.keep(task) end
  else
    failures.keep(task)
  end
end)

---------------------------------------------------------------------------------------------------
-- scopes

local start_in = Scope.start

-- The arguments that start would refuse, at the line of go's caller.
local function check_go(self, fn)
  if type(self) ~= "userdata" then not_self("scope", self, "go") end
  error(("bad argument #1 to 'go' (function expected, got %s)"):format(type(fn)), 3)
end

--- Starts fn(...) as a task that ends before the scope does.
---@param fn function
---@param ... any
---@return moonpark.task
function Scope:go(fn, ...)
  if type(fn) ~= "function" or type(self) ~= "userdata" then check_go(self, fn) end
  return start_in(self, fn, ...)
end

--- For code that hands connections to tasks of this scope: log(connection, task, gave_up) is called when they
--- fail; gave_up: the task was cancelled, and nothing else went wrong.
function M.log_failures(scope, log) loggers[scope] = log end

-- The scope raises one error, and what else has failed is reported: a task after the body had, or the body after one of
-- its tasks had. What only passes the other's error on has been heard.
local function report_second(child, later, err)
  if is_task(child) then
    if not failures.is_cancellation(err) and not failures.passes_on(err, child) then
      failures.report(failures.traced(err), "error in a scope, after one of its tasks had failed")
    end
  elseif is_task(later) then
    failures.keep(later)
  end
end

local function leave_scope(scope, ok, ...)
  local child = scope:blamed()
  if not ok then scope:cancel() end
  scope:join()
  local later = scope:blamed()
  scope:close() -- first: what follows needs memory
  if ok then child = child or later else pcall(report_second, child, later, (...)) end
  if child then error(child == true and "not enough memory" or failures.raised(child), 0) end
  if not ok then error((...), 0) end
  return ...
end

--- Runs fn(scope). The tasks that it starts with scope:go have ended when this returns. The first error,
--- of fn or of a child, cancels all the others and is raised here.
---@param fn fun(scope: moonpark.scope): ...
---@return any ... what fn returned
function M.scope(fn)
  check_function(fn, 1, "scope")
  local scope = core.scope_open(false)
  return leave_scope(scope, xpcall(fn, failures.remember, scope))
end

local function leave_timeout(scope, ok, ...)
  local canceled = scope:is_canceled()
  local delivered = scope:close()
  if canceled and delivered and (ok or failures.is_cancellation((...))) then return nil, "timeout" end
  if not ok then error((...), 0) end
  return ...
end

--- Runs fn(...). After that many seconds every wait in it returns nil, "canceled", and this returns
--- nil, "timeout" once fn has returned.
---@param seconds number at most; 0 and less: the first wait already fails
---@param fn function
---@param ... any
---@return any ... fn's results, or nil, "timeout"
function M.timeout(seconds, fn, ...)
  check_seconds(seconds, 1, "timeout")
  check_function(fn, 2, "timeout")
  local scope = core.scope_open(false)
  scope:deadline_in(seconds)
  return leave_timeout(scope, xpcall(fn, failures.remember, ...))
end

local function leave_shield(scope, ok, ...)
  scope:close()
  if not ok then error((...), 0) end
  return ...
end

--- Runs fn(...) protected from cancelling: for work that must be finished, such as a farewell to a peer.
---@param fn function
---@param ... any
---@return any ... fn's results
function M.shield(fn, ...)
  check_function(fn, 1, "shield")
  local scope = core.scope_open(true)
  return leave_shield(scope, xpcall(fn, failures.remember, ...))
end

---------------------------------------------------------------------------------------------------
-- run

--- Why it was cancelled, for reports.
function M.reason_of(task) return reasons[task] end

local preludes = {}

--- runs: while run_main does. Cheaper to look at than to ask the core for the running task.
M.loop = { runs = false }

--- The main task, while it runs.
---@return moonpark.task|nil
function M.main() return main end

--- fn() is called in each main task, before what that runs.
---@param fn fun()
function M.before_main(fn) preludes[#preludes + 1] = fn end

--- Runs fn(...) as the main task until every task has ended, and returns how it ended.
---@param fn function
---@return "ended"|"deadlock"|"stopped" state
---@return moonpark.task main
function M.run_main(fn, ...)
  check_function(fn, 1, "run")
  if core.is_running() then error("moonpark.run: the loop is already running", 3) end
  local function start(...)
    main = core.current()
    names[main] = names[main] or "main"
    for i = 1, #preludes do preludes[i]() end
    return fn(...)
  end
  M.loop.runs = true
  local task, state = core.run(start, ...)
  main = nil
  state = end_daemons(state)
  M.loop.runs = false
  return state, task
end

local function finished(task, ok, ...)
  if not ok then error(failures.raised(task), 0) end
  return ...
end

--- fn() -> the text of a deadlock's report.
function M.describe_deadlocks_with(fn) describe_deadlock = fn end

--- Runs fn(...) as the main task and returns when all tasks have ended. An error of fn cancels the others
--- and is raised here with its traceback; so is a deadlock.
--- Called in a task, as in a script that the moonpark command runs, it calls fn(...) there: the loop runs already.
---@param fn function
---@param ... any
---@return any ... fn's results
function M.run(fn, ...)
  check_function(fn, 1, "run")
  if core.current() then return fn(...) end
  local state, task = M.run_main(fn, ...)
  if state == "deadlock" then
    local text = describe_deadlock()
    core.kill_all()
    failures.flush()
    error(text, 0)
  end
  failures.flush()
  return finished(task, task:results())
end

return M

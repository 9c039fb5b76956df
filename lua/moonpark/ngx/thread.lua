-- SPDX-License-Identifier: MIT
-- thread.lua - ngx.thread over tasks: a light thread runs at once until its first wait, and belongs to the task that
-- started it. A request waits for its light threads, unless it ends by ngx.exit or an error.

local context = require "moonpark.ngx.context"
local core = require "moonpark.core"
local failures = require "moonpark.failures"
local task = require "moonpark.task"
local words = require "moonpark.ngx.words"

local M = {}

local weak = { __mode = "k" }
local parents = setmetatable({}, weak) -- [light thread] = the task that started it; false: outside of tasks
local killed = setmetatable({}, weak) -- [light thread] = true
local settled = setmetatable({}, weak) -- [light thread] = true: it was waited for, or killed

local GONE = "already waited or killed"

--- What ends a request, as an error: see response.lua.
M.EXIT = setmetatable({}, { __tostring = function() return "ngx.exit" end })

local function check(thread)
  if parents[thread] ~= nil then return end
  if type(thread) == "thread" then
    words.misuse "bad argument #1 to 'wait' (attempt to wait on a coroutine that is not a user thread)"
  end
  words.misuse "bad argument #1 to 'wait' (lua thread expected)"
end

-- A task's error, as ngx_lua gives it to the parent.
local function joined(ok, ...)
  if not ok then return false, (...) end
  if (...) == M.EXIT then error(M.EXIT, 0) end -- the light thread has ended the request
  return true, ...
end

-- One that has ended by ngx.exit, or was killed, has not failed.
local function ended(ok, ...)
  if ok then return ... end
  if (...) == M.EXIT then return M.EXIT end
  error((...), 0)
end

local function body(fn, ...) return ended(xpcall(fn, failures.remember, ...)) end

local function has_ended(thread)
  local status = thread:status()
  return status == "done" or status == "failed"
end

--- spawn(fn, ...) -> a light thread
function M.spawn(fn, ...)
  if type(fn) ~= "function" or debug.getinfo(fn, "S").what == "C" then
    words.misuse "bad argument #1 to 'spawn' (Lua function expected)"
  end
  local parent, current = core.current() or false, context.current()
  local thread = core.go_now(body, fn, ...)
  parents[thread] = parent
  if current and current.req and not has_ended(thread) then
    current.threads = current.threads or {}
    table.insert(current.threads, thread)
  end
  return thread
end

-- What a wait for that light thread returns, after it. If the waiting one was killed meanwhile, the other goes on, and
-- the request waits for it.
local function waited(thread, ...)
  settled[thread] = has_ended(thread) or nil
  M.leave_if_killed()
  return joined(...)
end

local function selected(cases, number, ...)
  if number then return waited(cases[number][1], ...) end
  M.leave_if_killed()
  return nil, (...)
end

--- wait(thread, ...) -> true, results | false, error: of the first that ends
function M.wait(...)
  local count, cases, present = select("#", ...), {}, core.current() or false
  if count == 0 then words.misuse "bad argument #1 to 'wait' (at least one coroutine should be specified)" end
  for i = 1, count do
    local thread = (select(i, ...))
    check(thread)
    if parents[thread] ~= present then words.misuse "only the parent coroutine can wait on the thread" end
    if not settled[thread] and has_ended(thread) then return waited(thread, thread:join()) end
    if not settled[thread] then cases[#cases + 1] = { thread } end
  end
  if #cases == 0 then return nil, GONE end
  if #cases == 1 then return waited(cases[1][1], cases[1][1]:join()) end
  return selected(cases, task.select(cases))
end

local function end_thread(thread)
  killed[thread] = true
  thread:cancel "killed"
end

--- kill(thread) -> 1 | nil, err
function M.kill(thread)
  if type(thread) == "thread" then return nil, "not user thread" end
  if parents[thread] == nil then words.misuse "bad argument #1 to 'kill' (lua thread expected)" end
  if parents[thread] ~= (core.current() or false) then return nil, "killer not parent" end
  if settled[thread] then return nil, GONE end
  settled[thread] = true
  if has_ended(thread) then return nil, "already terminated" end
  end_thread(thread)
  return 1
end

--- Was the calling light thread killed?
function M.is_killed()
  local current = core.current()
  return current ~= nil and killed[current] == true
end

--- After a wait: a light thread that was killed runs no further.
function M.leave_if_killed()
  if M.is_killed() then error(M.EXIT, 0) end
end

-- coroutine.status takes light threads, too.
local status_of_coroutine = coroutine.status

local function status(thread)
  if parents[thread] == nil then return status_of_coroutine(thread) end
  if settled[thread] then return has_ended(thread) and "dead" or thread:is_canceled() and "dead" or "running" end
  return has_ended(thread) and "zombie" or "running"
end

--- Lets coroutine.status take light threads.
function M.install() coroutine.status = status end

--- The handler has ended: waits for its light threads, and for those that they start.
function M.wait_for_all(current)
  local threads = current.threads
  while threads and threads[1] do
    local thread = table.remove(threads)
    if not settled[thread] then
      settled[thread] = true
      local ok, result = thread:join()
      if ok and result == M.EXIT then return end
    end
  end
end

--- The request ends now.
function M.kill_all(current)
  for _, thread in ipairs(current.threads or {}) do
    if not has_ended(thread) then end_thread(thread) end
  end
  current.threads = nil
end

return M

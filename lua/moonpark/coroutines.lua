-- SPDX-License-Identifier: MIT
-- coroutines.lua - lets a generator inside a task call what waits.
--
-- A wait deep inside coroutine.wrap yields moonpark's private token to whoever resumed the generator.
-- The resume and wrap here recognise it, pass it upward to the task's own coroutine, and go back into
-- the generator with what the wait returned. Other yields pass untouched, so only real waits pay.

local core = require "moonpark.core"

local resume, create = coroutine.resume, coroutine.create
local parked, pass = core.parked, core.pass

-- Tail calls throughout: the caller of relay, and of what raises here and in pass, is the script.

local function relay(co, ok, first, ...)
  if first == parked and ok then
    return relay(co, resume(co, pass(first, ...)))
  end
  return ok, first, ...
end

-- coroutine.wrap itself would put the position of its caller in front of an error, which is this file.
local function relay_wrapped(co, ok, first, ...)
  if not ok then error(first, 2) end
  if first == parked then
    return relay_wrapped(co, resume(co, pass(first, ...)))
  end
  return first, ...
end

local M = {}

function M.resume(co, ...)
  if type(co) ~= "thread" then error("bad argument #1 to 'resume' (coroutine expected)", 2) end
  return relay(co, resume(co, ...))
end

function M.wrap(...)
  local fn = ...
  if type(fn) ~= "function" then
    local got = select("#", ...) == 0 and "no value" or type(fn)
    error(("bad argument #1 to 'wrap' (function expected, got %s)"):format(got), 2)
  end
  local co = create(fn)
  return function(...)
    return relay_wrapped(co, resume(co, ...))
  end
end

M.create = create

--- Puts both in place of the standard ones; a library that took those before keeps them, and a wait in
--- a generator that it resumes is then reported as an error.
function M.install()
  coroutine.resume, coroutine.wrap = M.resume, M.wrap
end

return M

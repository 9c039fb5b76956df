-- SPDX-License-Identifier: MIT
-- coroutines.lua - lets a generator inside a task call functions that wait.
--
-- A wait deep inside coroutine.wrap yields moonpark's private token to the code that resumed the generator.
-- The resume and wrap here recognise it, pass it upward to the task's own coroutine, and return into the
-- generator with the results of the wait. Other yields pass untouched, so only real waits cost time.

local core = require "moonpark.core"

local resume, create = coroutine.resume, coroutine.create
local parked, pass = core.parked, core.pass

-- Tail calls throughout: then errors raised here and in pass name the script's line.

local function relay(co, ok, ...)
  if (...) == parked and ok then
    return relay(co, resume(co, pass(...)))
  end
  return ok, ...
end

-- coroutine.wrap itself would prefix an error with the position of its caller, which is this file.
local function relay_wrapped(co, ok, ...)
  if not ok then error((...), 2) end
  if (...) == parked then
    return relay_wrapped(co, resume(co, pass(...)))
  end
  return ...
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

--- Replaces the standard functions. A library that saved those before keeps them, and a wait in a generator
--- that it resumes is reported as an error.
function M.install()
  coroutine.resume, coroutine.wrap, coroutine.yield = M.resume, M.wrap, core.yield_generator
end

return M

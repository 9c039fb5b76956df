-- SPDX-License-Identifier: MIT
-- coroutines.lua - lets a generator inside a task call what waits.
--
-- A wait deep inside coroutine.wrap yields moonpark's private token to whoever resumed the generator.
-- The resume and wrap here recognise it, pass it upward to the task's own coroutine, and go back into
-- the generator with what the wait returned. Other yields pass untouched, so only real waits pay.

local core = require "moonpark.core"

local resume, wrap, create = coroutine.resume, coroutine.wrap, coroutine.create
local parked, pass = core.parked, core.pass

local function relay(co, ok, first, ...)
  if first == parked and ok then
    return relay(co, resume(co, pass(first, ...)))
  end
  return ok, first, ...
end

local function relay_wrapped(generator, first, ...)
  if first == parked then
    return relay_wrapped(generator, generator(pass(first, ...)))
  end
  return first, ...
end

local M = {}

function M.resume(co, ...)
  return relay(co, resume(co, ...))
end

function M.wrap(fn)
  local generator = wrap(fn)
  return function(...)
    return relay_wrapped(generator, generator(...))
  end
end

M.create = create

--- Puts both in place of the standard ones; a library that took those before keeps them, and a wait in
--- a generator that it resumes is then reported as an error.
function M.install()
  coroutine.resume, coroutine.wrap = M.resume, M.wrap
end

return M

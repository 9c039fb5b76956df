-- SPDX-License-Identifier: MIT
-- pool_of.lua - moonpark.pool_of: a bounded pool of objects of any library, such as connections to a database.
--
-- An object is idle, or with one task. Those that want one while all are taken wait in the order in which they came.
-- An object whose user failed, was cancelled or timed out is closed, never given back: it may be in the middle of
-- something.

local check_options = require("moonpark.options").check
local core = require "moonpark.core"
local draining = require "moonpark.draining"
local failures = require "moonpark.failures"
local task = require "moonpark.task"

local M = {}

---@class moonpark.pool_of.options
---@field open fun(): any makes an object; or nil and why not. May wait
---@field check? fun(object: any): boolean is it still usable? Asked when it is taken; an error is logged, and means no
---@field close? fun(object: any) ends it; by default its method `close`
---@field max? integer objects at most; 10
---@field idle_timeout? number seconds without use until an object is closed; 60
---@field max_lifetime? number seconds until an object is not used again; none
---@field timeout? number seconds that a task waits for an object; none

---@class moonpark.pool_of.stats
---@field open integer objects that are open, or about to be
---@field idle integer of these, those that nobody has
---@field waiting integer tasks that wait for one

---@class moonpark.pool_of
---@field private options moonpark.pool_of.options
local Pool = {}
Pool.__index = Pool

local known = { open = "function", check = "function", close = "function", max = "positive", idle_timeout = "seconds",
  max_lifetime = "seconds", timeout = "seconds" }

local MAX, IDLE = 10, 60

local function close_object(object) object:close() end

local function log_failure(what, err) failures.log(("error in a pool's %s: %s"):format(what, failures.traced(err))) end

-- Closes it; not cut off by a cancellation. Its place stays taken until it is closed. An error is logged: the caller
-- may be a task that has nothing to do with this object.
local function end_object(self, entry)
  local ok, err = task.shield(xpcall, self.close_object, failures.remember, entry.object)
  if not ok then log_failure("close", err) end
end

local function is_old(self, entry, now)
  local lifetime = self.options.max_lifetime
  return lifetime ~= nil and now - entry.born >= lifetime
end

local function is_usable(self, entry)
  if is_old(self, entry, core.now()) then return false end
  local check = self.options.check
  if not check then return true end
  local ok, usable = xpcall(check, failures.remember, entry.object)
  if not ok then log_failure("check", usable) end
  return ok and usable and true or false
end

---------------------------------------------------------------------------------------------------
-- idle objects

-- The next that waits gets the entry, or the right to open one.
local function serve(self, entry)
  local waiter = table.remove(self.waiting, 1)
  if not waiter then return false end
  waiter.served, waiter.entry = true, entry
  waiter.event:set()
  return true
end

-- One place is free: the next that waits may open an object.
local function free_place(self)
  self.open = self.open - 1
  if self.is_over or #self.waiting == 0 then return end
  self.open = self.open + 1
  serve(self)
end

local function discard(self, entry)
  end_object(self, entry)
  free_place(self)
end

-- Takes one out that is due; or nil, and when the next one is.
local function take_due(self, now)
  local lifetime, soonest = self.options.max_lifetime or math.huge, math.huge
  for i, entry in ipairs(self.idle) do
    local due = math.min(entry.due, entry.born + lifetime)
    if now >= due then return table.remove(self.idle, i) end
    soonest = math.min(soonest, due)
  end
  return nil, soonest
end

-- A daemon closes what is idle for too long, while there is anything idle. A close may wait, and others take and give
-- meanwhile: the list is read anew after each.
local function watch(self)
  while #self.idle > 0 do
    local now = core.now()
    local entry, soonest = take_due(self, now)
    if entry then discard(self, entry)
    elseif not core.sleep(math.max(0.001, soonest - now)) then break end
  end
  self.watcher = nil
end

local function keep(self, entry)
  entry.due = core.now() + (self.options.idle_timeout or IDLE)
  table.insert(self.idle, entry)
  if not self.watcher then self.watcher = task.go_daemon(watch, self) end
end

---------------------------------------------------------------------------------------------------
-- taking and giving

-- The place of a new object is reserved already.
local function open_new(self)
  local ok, object, err, errno = pcall(self.options.open)
  if ok and object ~= nil and object ~= false then return { object = object, born = core.now() } end
  free_place(self)
  if not ok then error(object, 0) end
  return nil, err or "the pool's open returned nothing", errno
end

local function leave_queue(self, waiter)
  for i, one in ipairs(self.waiting) do
    if one == waiter then
      table.remove(self.waiting, i)
      return
    end
  end
end

local function give(self, entry, broken)
  if broken or self.is_over or is_old(self, entry, core.now()) then discard(self, entry)
  elseif not serve(self, entry) then keep(self, entry) end
end

-- For reports: see task.waits_for.
local function describe(wait)
  local pool = wait.pool
  return "with", ("pool (%d of %d open, %d waiting)"):format(pool.open, pool.max, #pool.waiting)
end

local function wait_in_queue(self, timeout)
  local waiter = { event = core.event() }
  table.insert(self.waiting, waiter)
  task.waits_for { pool = self, describe = describe }
  local ok, err = waiter.event:wait(timeout)
  task.waits_for(nil)
  if waiter.closed then return nil, "closed" end
  if ok then return waiter end
  if not waiter.served then
    leave_queue(self, waiter)
    return nil, err
  end
  if waiter.entry then give(self, waiter.entry) else free_place(self) end -- served and cancelled at once
  return nil, err
end

-- The entry, if it is usable. If not, a new object in its place: others that are idle are older, likely dead as well.
local function usable_or_new(self, entry)
  if is_usable(self, entry) then return entry end
  end_object(self, entry)
  return open_new(self)
end

local function take(self, timeout)
  if self.is_over then return nil, "closed" end
  if #self.idle > 0 then return usable_or_new(self, table.remove(self.idle)) end
  if self.open < self.max then
    self.open = self.open + 1
    return open_new(self)
  end
  local waiter, err = wait_in_queue(self, timeout or self.options.timeout)
  if not waiter then return nil, err end
  if waiter.entry then return usable_or_new(self, waiter.entry) end
  return open_new(self)
end

local function leave(self, entry, me, ok, ...)
  give(self, entry, not ok or me:is_canceled())
  if not ok then error((...), 0) end
  return ...
end

--- Runs fn(object) with an object of the pool, and gives it back. If fn raises, or its task is cancelled meanwhile, the
--- object is closed. The error is raised as it is.
---@param fn fun(object: any): ...
---@param timeout? number seconds to wait for an object; the pool's by default
---@return any ... fn's results; or nil and "timeout", "canceled", "closed", or why there is no object
---@return string? err
function Pool:with(fn, timeout)
  if type(fn) ~= "function" then
    error(("bad argument #1 to 'with' (function expected, got %s)"):format(type(fn)), 2)
  end
  if timeout ~= nil and (type(timeout) ~= "number" or timeout ~= timeout) then
    error(("bad argument #2 to 'with' (number of seconds expected, got %s)")
      :format(timeout ~= timeout and "NaN" or type(timeout)), 2)
  end
  local entry, err, errno = take(self, timeout)
  if not entry then return nil, err, errno end
  return leave(self, entry, core.current(), xpcall(fn, failures.remember, entry.object))
end

---@return moonpark.pool_of.stats
function Pool:stats() return { open = self.open, idle = #self.idle, waiting = #self.waiting } end

--- Closes what is idle, and everything else when it comes back. Tasks that wait for an object get "closed".
function Pool:close()
  self.is_over = true
  draining.remove(self)
  while #self.idle > 0 do discard(self, table.remove(self.idle)) end
  local watcher = self.watcher
  if watcher and watcher ~= core.current() then
    watcher:cancel()
    watcher:join()
  end
  while #self.waiting > 0 do
    local waiter = table.remove(self.waiting, 1)
    waiter.closed = true
    waiter.event:set()
  end
end

--- A pool. When the program drains, what is idle is closed.
---@param options moonpark.pool_of.options
---@return moonpark.pool_of
function M.new(options)
  options = check_options("pool_of", options, known, 2, 1)
  if not options.open then error("pool_of: option 'open' is needed: a function that makes an object", 2) end
  local self = setmetatable({ options = options, max = options.max or MAX, open = 0, idle = {}, waiting = {},
    close_object = options.close or close_object }, Pool)
  draining.add(self, function(pool)
    while #pool.idle > 0 do discard(pool, table.remove(pool.idle)) end
  end)
  return self
end

return M

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
local fifo = require "moonpark.fifo"
local task = require "moonpark.task"

local M = {}

---@class moonpark.pool_of.options
---@field open fun(): any makes an object; or nil and why not. May wait
---@field check? fun(object: any): boolean is it still usable? Asked when it is taken; an error is logged, and means no
---@field close? fun(object: any) ends it; by default its method `close`
---@field max? integer objects at most; 10
---@field idle_timeout? number seconds without use until an object is closed; 60
---@field max_lifetime? number seconds until an object is not used again, or up to a tenth less; none
---@field timeout? number seconds that a task waits for an object: in the queue, while it is checked, or opened; none
---@field close_timeout? number seconds that closing one may take, then its waits fail; 5

---@class moonpark.pool_of.stats
---@field open integer objects that are open, or about to be
---@field idle integer of these, those that nobody has
---@field waiting integer tasks that wait for one
---@field max integer

---@class moonpark.pool_of.entry
---@field object any
---@field dies number when it is too old
---@field due number|nil when it has been idle for too long
---@field owner moonpark.task|nil the task that has it
---@field place string|nil where it was taken, by take

---@class moonpark.pool_of
---@field private options moonpark.pool_of.options
local Pool = {}
Pool.__index = Pool

local known = { open = "function", check = "function", close = "function", max = "positive", idle_timeout = "seconds",
  max_lifetime = "seconds", timeout = "seconds", close_timeout = "seconds" }

local MAX, IDLE, CLOSE = 10, 60, 5

-- Objects of one age would be closed at one time, and opened anew at one time by everybody: each gives up a part of
-- its lifetime, up to a tenth. Multiples of the golden ratio spread evenly, and need no random numbers.
local GOLDEN, SPREAD = 0.61803398874989, 0.1
local made = core.pid()

local function lifetime_of(self)
  local lifetime = self.options.max_lifetime
  if not lifetime then return math.huge end
  made = made + 1
  return lifetime * (1 - SPREAD * (made * GOLDEN % 1))
end

local function close_object(object) object:close() end

-- Not those of a task that gives up: it was cancelled.
local function log_failure(what, err)
  if failures.is_cancellation(err) and core.current():is_canceled() then return end
  failures.log(("error in a pool's %s: %s"):format(what, failures.traced(err)))
end

-- Closes it; not cut off by a cancellation, but by its time: what the object waits for may never come. Its place stays
-- taken until it is closed. An error is logged: the caller may be a task that has nothing to do with this object.
local function end_object(self, entry)
  local seconds = self.options.close_timeout or CLOSE
  local ok, err = task.shield(xpcall, task.timeout, failures.remember, seconds, self.close_object, entry.object)
  if not ok then log_failure("close", err) end
end

-- fn's results, or nil and "timeout".
local function within(deadline, fn, ...)
  if not deadline then return fn(...) end
  return task.timeout(deadline - core.now(), fn, ...)
end

local function is_usable(self, entry, deadline)
  if core.now() >= entry.dies then return false end
  local check = self.options.check
  if not check then return true end
  local ok, usable = xpcall(within, failures.remember, deadline, check, entry.object)
  if not ok then log_failure("check", usable) end
  return ok and usable and true or false
end

---------------------------------------------------------------------------------------------------
-- who has how many

local function taken_by(self, entry, owner)
  entry.owner = owner
  self.held[owner] = (self.held[owner] or 0) + 1
end

local function released(self, entry)
  local owner = entry.owner
  entry.owner = nil
  local left = self.held[owner] - 1
  self.held[owner] = left > 0 and left or nil
  return left
end

---------------------------------------------------------------------------------------------------
-- idle objects

-- The next that waits gets the entry, or the right to open one.
local function serve(self, entry)
  local waiter = self.waiting:pop()
  if not waiter then return false end
  waiter.served, waiter.entry = true, entry
  waiter.event:set()
  return true
end

-- One place is free: the next that waits may open an object.
local function free_place(self)
  if not self.is_over and serve(self) then return end
  self.open = self.open - 1
end

local function discard(self, entry)
  end_object(self, entry)
  free_place(self)
end

local function close_idle(self)
  while #self.idle > 0 do discard(self, table.remove(self.idle)) end
end

-- Takes one out that is due; or nil, and when the next one is.
local function take_due(self, now)
  local soonest = math.huge
  for i, entry in ipairs(self.idle) do
    local due = math.min(entry.due, entry.dies)
    if now >= due then return table.remove(self.idle, i) end
    soonest = math.min(soonest, due)
  end
  return nil, soonest
end

-- A daemon closes what is idle for too long, while there is anything idle. A close may wait, and others take and give
-- meanwhile: the list is read anew after each.
local function watch(self)
  core.current():name "pool"
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
local function open_new(self, deadline)
  local entry, err, errno
  local function open()
    local object, why, number = self.options.open()
    if object ~= nil and object ~= false then entry = { object = object, dies = core.now() + lifetime_of(self) } end
    err, errno = why, number
  end
  local ok, raised, timeout = xpcall(within, failures.remember, deadline, open)
  if entry then return entry end
  free_place(self)
  if not ok then error(raised, 0) end
  if timeout then return nil, timeout end
  return nil, err or "the pool's open returned nothing", errno
end

local function give(self, entry, broken)
  released(self, entry)
  if broken or self.is_over or core.now() >= entry.dies then discard(self, entry)
  elseif not serve(self, entry) then
    if self.is_draining then discard(self, entry) else keep(self, entry) end
  end
end

-- For reports: see task.waits_for.
local function describe(wait)
  local pool = wait.pool
  return wait.name, ("pool (%d of %d open, %d waiting)"):format(pool.open, pool.max, pool.waiting.count)
end

local function wait_in_queue(self, name, deadline)
  local waiter = { event = core.event() }
  self.waiting:push(waiter)
  task.waits_for { pool = self, name = name, describe = describe }
  local ok, err = waiter.event:wait(deadline and math.max(0, deadline - core.now()))
  task.waits_for(nil)
  if waiter.closed then return nil, "closed" end
  if ok then return waiter end
  if not waiter.served then
    self.waiting:remove(waiter)
    return nil, err
  end
  if err == "timeout" then return waiter end -- both at once
  if not waiter.entry then free_place(self)
  elseif self.is_over then discard(self, waiter.entry)
  elseif not serve(self, waiter.entry) then keep(self, waiter.entry) end
  return nil, err
end

-- The entry, if it is usable. If not, a new object in its place: others that are idle are older, likely dead as well.
local function usable_or_new(self, entry, deadline)
  if is_usable(self, entry, deadline) then return entry end
  end_object(self, entry)
  return open_new(self, deadline)
end

local function find(self, name, deadline)
  if #self.idle > 0 then return usable_or_new(self, table.remove(self.idle), deadline) end
  if self.open < self.max then
    self.open = self.open + 1
    return open_new(self, deadline)
  end
  local waiter, err = wait_in_queue(self, name, deadline)
  if not waiter then return nil, err end
  if waiter.entry then return usable_or_new(self, waiter.entry, deadline) end
  return open_new(self, deadline)
end

-- The entry, which belongs to the calling task then.
local function take(self, name, timeout)
  local me = core.current()
  if not me then error(("pool:%s must be called in a task"):format(name), 3) end
  if timeout ~= nil and (type(timeout) ~= "number" or timeout ~= timeout) then
    local got = type(timeout) == "number" and "NaN" or type(timeout)
    local number = name == "with" and 2 or 1
    error(("bad argument #%d to '%s' (number of seconds expected, got %s)"):format(number, name, got), 3)
  end
  if self.is_over then return nil, "closed" end
  if self.held[me] == self.max then
    error(("pool:%s: this task has all objects of the pool (max = %d), and would wait for itself"):format(name,
      self.max), 3)
  end
  timeout = timeout or self.options.timeout
  local entry, err, errno = find(self, name, timeout and core.now() + timeout)
  if not entry then return nil, err, errno end
  taken_by(self, entry, me)
  return entry
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
  local entry, err, errno = take(self, "with", timeout)
  if not entry then return nil, err, errno end
  return leave(self, entry, entry.owner, xpcall(fn, failures.remember, entry.object))
end

---------------------------------------------------------------------------------------------------
-- take and give

-- Any that the task has taken, or nil. Asked anew after each that is closed: meanwhile others may be given back.
local function next_of(self, owner)
  for _, entry in pairs(self.taken) do
    if entry.owner == owner then return entry end
  end
end

local function has_ended(owner) return owner:status() == "done" or owner:status() == "failed" end

-- A daemon closes what its task has not given back by its end. An error of the task is still reported as one that
-- nobody joins.
local function watch_owner(self, owner)
  core.current():name "pool"
  failures.only_watched(owner)
  owner:await()
  if not has_ended(owner) then return end -- cancelled: nothing is left to watch
  self.watched[owner] = nil
  local is_leak = owner:status() == "done" and not owner:is_canceled()
  for entry in function() return next_of(self, owner) end do
    if is_leak then
      failures.log(("pool: a task has ended without giving back the object that it took at %s; it is closed")
        :format(entry.place))
    end
    self.taken[entry.object] = nil
    give(self, entry, true)
  end
end

--- Takes an object, for code whose use of it is not one function. It must be given back: when the calling task ends
--- before, the object is closed, and if the task was neither cancelled nor failed, that is reported.
---@param timeout? number seconds to wait for an object; the pool's by default
---@return any object or nil
---@return string? err "timeout", "canceled", "closed", or why there is no object
function Pool:take(timeout)
  local entry, err, errno = take(self, "take", timeout)
  if not entry then return nil, err, errno end
  local object, owner = entry.object, entry.owner
  if self.taken[object] then
    released(self, entry) -- without closing it: another task uses it
    free_place(self)
    error("pool:take: the pool's open has returned an object that is in use already", 2)
  end
  local caller = debug.getinfo(2, "Sl")
  entry.place = ("%s:%d"):format(caller.short_src, caller.currentline)
  self.taken[object] = entry
  if not self.watched[owner] then self.watched[owner] = task.go_daemon(watch_owner, self, owner) end
  return object
end

--- Gives back what take has returned. It is closed instead if it is broken, or the task is cancelled.
---@param object any
---@param broken? boolean it must not be used again
function Pool:give(object, broken)
  local entry = object ~= nil and self.taken[object]
  if not entry then
    error("pool:give: the object was not taken from this pool by take, or was given back already", 2)
  end
  local owner, me = entry.owner, core.current()
  if not me then error("pool:give must be called in a task", 2) end
  self.taken[object] = nil
  if self.held[owner] == 1 and self.watched[owner] then
    self.watched[owner]:cancel()
    self.watched[owner] = nil
  end
  give(self, entry, broken or owner:is_canceled() or me:is_canceled())
end

---@return moonpark.pool_of.stats
function Pool:stats() return { open = self.open, idle = #self.idle, waiting = self.waiting.count, max = self.max } end

--- Closes what is idle, and everything else when it comes back. Tasks that wait for an object get "closed".
function Pool:close()
  self.is_over = true
  draining.remove(self)
  close_idle(self)
  local watcher = self.watcher
  if watcher and watcher ~= core.current() then
    watcher:cancel()
    watcher:join()
  end
  for waiter in self.waiting.pop, self.waiting do
    waiter.closed = true
    waiter.event:set()
  end
end

local function drain(self)
  self.is_draining = true
  close_idle(self)
end

--- A pool. When the program drains, what is idle is closed, and the rest when it comes back.
---@param options moonpark.pool_of.options
---@return moonpark.pool_of
function M.new(options)
  options = check_options("pool_of", options, known, 2, 1)
  if not options.open then error("pool_of: option 'open' is needed: a function that makes an object", 2) end
  local self = setmetatable({ options = options, max = options.max or MAX, open = 0, idle = {}, waiting = fifo.new(),
    close_object = options.close or close_object, taken = {}, held = setmetatable({}, { __mode = "k" }),
    watched = setmetatable({}, { __mode = "k" }) }, Pool)
  draining.add(self, drain)
  return self
end

return M

-- SPDX-License-Identifier: MIT
-- watch.lua - watch mode: when a file of the program changes, its workers end and new ones start. What the supervisor
-- holds open meanwhile are the sockets, so that connections wait for the new code.
--
--   the program   when a file changes
--   starts        it is killed if it is young and has no socket yet, else it drains
--   serves        it drains, briefly
--   has ended     its failure, which was served, is no more
--
-- A new worker gets no socket before the old ones have stopped accepting: a connection that comes after the new code
-- serves never meets the old one.

local changes = require "moonpark.workers.changes"
local core = require "moonpark.core"
local stand_ins = require "moonpark.workers.stand_in"
local task = require "moonpark.task"

local M = {}

M.GRACE = 1 -- seconds in which old workers end what they do

local YOUNG = 1   -- seconds
local FIRST = 1   -- seconds that the other workers wait for the first, whose failure is enough
local SETTLED = 1 -- seconds after which a socket that new workers have not asked for is closed

---@class moonpark.workers.watch
local Watch = {}
Watch.__index = Watch

--- Watch mode of a supervisor.
---@param supervisor moonpark.workers.supervisor
---@param also string[] files and folders that count, beside those that the program loads
---@return moonpark.workers.watch
function M.new(supervisor, also)
  local self = setmetatable({ supervisor = supervisor, also = also, loaded = {}, stopped = core.event() }, Watch)
  self.stopped:set() -- there are none before the first
  return self
end

local function log(self, ...) self.supervisor:log((...):format(select(2, ...))) end

local function milliseconds(since) return math.floor((core.now() - since) * 1000 + 0.5) end

---------------------------------------------------------------------------------------------------
-- a new generation

-- The first worker tries the code; the others follow once it serves.
local function start_others(self, first, generation)
  first.settled:wait(FIRST)
  local supervisor = self.supervisor
  for number = 2, supervisor.options.count do
    if supervisor.generation ~= generation or supervisor.stopping or self.failed then return end
    supervisor:begin(number)
  end
end

local function start(self)
  self.failed, self.served, self.loaded = false, false, {}
  local supervisor = self.supervisor
  local first = supervisor:begin(1)
  if supervisor.options.count > 1 then self.scope:go(start_others, self, first, supervisor.generation) end
end

-- They have stopped accepting when the last of them has said so, has ended, or had its time.
local function watch_end(self, places)
  local deadline = core.now() + M.GRACE
  local stopped = self.stopped
  self.scope:go(function()
    for _, place in ipairs(places) do
      if place.worker then place.worker.stopped:wait(deadline - core.now()) end
    end
    stopped:set()
  end)
end

-- Has it hardly begun? Then there is nothing that it could end in order.
local function is_young(worker) return not worker.has_sockets and core.now() - worker.since < YOUNG end

local function end_old(self)
  local supervisor = self.supervisor
  local draining = {}
  for _, place in ipairs(supervisor.places) do
    if place.worker and not is_young(place.worker) then draining[#draining + 1] = place
    elseif not place.retired:is_set() then place:kill() end
  end
  self.stopped = core.event()
  watch_end(self, draining)
  local fresh = {}
  for _, place in ipairs(draining) do
    if not place.retired:is_set() then fresh[#fresh + 1] = place end
  end
  supervisor:retire(fresh)
end

--- Starts the program again.
---@param why string "app.lua changed"
---@param since number when that was; moonpark.now()
function Watch:restart(why, since)
  local supervisor = self.supervisor
  self.why, self.since = why, since
  supervisor:depose()
  supervisor.generation = supervisor.generation + 1
  self.leaving, self.stand_in = self.stand_in or self.leaving, nil
  if self.leaving then self.leaving:pause() end
  end_old(self)
  start(self)
  self.changes:renew() -- it waits, and another change may come meanwhile
end

-- The pages that wait for a change load themselves again.
local function tell_pages(self)
  if self.leaving then self.leaving:finish() end
  self.leaving = nil
end

---------------------------------------------------------------------------------------------------
-- what happens to workers

--- One is about to load a file.
---@param worker moonpark.workers.worker
---@param path string
function Watch:loads(worker, path)
  if worker.generation == self.supervisor.generation then table.insert(self.loaded, path) end
  self.changes:add(path, core.time() - (core.now() - worker.since))
end

--- May one have a socket? Waits until the older ones do not accept from it any more.
---@param worker moonpark.workers.worker
---@return boolean
function Watch:may_listen(worker)
  self.stopped:wait()
  return worker.generation == self.supervisor.generation and worker.state ~= "draining"
end

local function close_unused(self, generation)
  core.sleep(SETTLED)
  if self.supervisor.generation == generation and not self.failed then
    self.supervisor.sockets:close_before(generation)
  end
end

--- One serves.
---@param worker moonpark.workers.worker
function Watch:ready(worker)
  local generation = self.supervisor.generation
  if self.served or self.failed or worker.generation ~= generation then return end
  self.served = true
  if self.why then log(self, "restarted in %d ms: %s", milliseconds(self.since), self.why) end
  tell_pages(self)
  self.scope:go(close_unused, self, generation)
end

local function is_last(self, place)
  for _, other in ipairs(self.supervisor.places) do
    if other ~= place and other.generation == place.generation then return false end
  end
  return true
end

local function title_of(self, place)
  local name = self.supervisor.options.name
  if not place.failure then return name .. " has ended" end
  return name .. (self.served and " has failed" or " does not start")
end

local function say(self, place)
  local title = title_of(self, place)
  if self.why and not self.served then
    title = ("%s, %d ms after %s"):format(title, milliseconds(self.since), self.why)
  end
  log(self, "%s: waiting for a change", title)
end

local function is_wanted(self, place)
  if place.retired:is_set() or self.supervisor.stopping or self.failed then return false end
  return place.generation == self.supervisor.generation
end

--- One has ended. The first failure is the program's: its other workers end as well. It is not told before the old
--- workers have stopped accepting: whoever asks then gets the failure.
---@param place moonpark.workers.place
function Watch:ended(place)
  local supervisor = self.supervisor
  if not is_wanted(self, place) or not place.failure and not is_last(self, place) then return end
  self.stopped:wait()
  if not is_wanted(self, place) then return end
  self.failed = true
  if place.failure and not place.told then log(self, "%s", place.failure) end
  say(self, place)
  local others = {}
  for _, other in ipairs(supervisor.places) do
    if other ~= place and not other.retired:is_set() then others[#others + 1] = other end
  end
  supervisor:retire(others)
  self.stand_in = stand_ins.start(self.scope, supervisor.sockets:of_http(), { title = title_of(self, place),
    text = place.failure or "Its status is 0.", loaded = self.loaded }, function(text) log(self, "%s", text) end)
  tell_pages(self)
end

---------------------------------------------------------------------------------------------------

--- Starts the program, and starts it again after each change, until the task is cancelled.
function Watch:run()
  task.scope(function(scope)
    self.scope = scope
    self.changes = changes.new(scope, function(text) log(self, "%s", text) end)
    for _, path in ipairs(self.also) do self.changes:add_all(path) end
    start(self)
    while true do
      local path, since = self.changes:next()
      if not path then return end
      self:restart(path .. " changed", since)
    end
  end)
end

return M

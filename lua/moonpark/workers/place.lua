-- SPDX-License-Identifier: MIT
-- place.lua - a worker's number: one process fills it after another, as long as it is wanted.
--
-- A worker that dies is replaced: at once, then after a pause that grows while its successors die young. One whose
-- script has come to its end is not.

local core = require "moonpark.core"
local workers = require "moonpark.workers.worker"

local M = {}

local YOUNG = 5                        -- seconds
local FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5
local STARTS = 5 -- deaths in a row before any worker has been ready: then it is the script

---@class moonpark.workers.place
---@field number integer
---@field generation integer
---@field worker moonpark.workers.worker|nil
---@field failure string|nil why no worker could start
---@field trial boolean it was begun by who waits for its worker to be ready
---@field single boolean its worker has no successor
---@field told boolean|nil its worker has printed the failure
local Place = {}
Place.__index = Place

---@param number integer
---@param generation integer
---@param trial? boolean the first death before a worker is ready is the end
---@param single? boolean the first death is
---@return moonpark.workers.place
function M.new(number, generation, trial, single)
  return setmetatable({ number = number, generation = generation, trial = trial or false, single = single or false,
    settled = core.event(), retired = core.event() }, Place)
end

local function described(how, value)
  if how == "exited" then return ("ended with status %d"):format(value) end
  return ("was ended by SIG%s"):format(value)
end

local function give_up(self, text)
  self.failure = text
  return false
end

-- Waits before another one starts, for longer where the last one did not live for long -> is there to be another one?
local function pause(self, young)
  self.pause = young and math.min(LONGEST_PAUSE, self.pause * 2) or 0
  local text = self.pause > 0 and ("; another one starts in %g s"):format(self.pause) or "; another one starts"
  self.log(self.trouble .. text)
  self.retired:wait(self.pause)
  if young and self.pause == 0 then self.pause = FIRST_PAUSE / 2 end
  return not self.retired:is_set()
end

-- A worker has ended that was wanted. -> shall there be another one?
local function bury(self, worker, how, value)
  if how == "exited" and value == 0 then return false end
  self.trouble = ("worker %d (pid %d) %s"):format(self.number, worker.pid, described(how, value))
  if self.single then
    self.told = worker.failure ~= nil
    return give_up(self, worker.failure or self.trouble)
  end
  if worker.started:is_set() then
    self.deaths = 0
  else
    self.deaths = self.deaths + 1
    if self.trial or self.deaths >= STARTS and not self.served() then
      return give_up(self, worker.failure or self.trouble .. " before it was ready")
    end
  end
  return pause(self, core.now() - worker.since < YOUNG)
end

-- The system has no room for another process: that passes, and the other workers serve.
local function not_started(self, err)
  self.trouble = ("worker %d cannot be started: %s"):format(self.number, err)
  if self.trial or not self.served() then return give_up(self, self.trouble) end
  return pause(self, true)
end

--- Keeps a worker here until it is not wanted any more, or cannot start.
---@param context {words: string[], count: integer, user: string|nil, log: fun(text: string),
--- handle: fun(worker, message, fds), arrived: fun(worker), left: fun(worker), served: fun(): boolean} served: has any
--- worker been ready, ever? Then the others serve on, whatever became of the script
function Place:keep(context)
  self.deaths, self.pause, self.log, self.served = 0, 0, context.log, context.served
  local more
  repeat
    local worker, err = self.restored, nil
    self.restored = nil
    if not worker then
      worker, err = workers.start(context.words, self.number, context.count, self.generation, context.user)
    end
    if worker then
      worker.place, self.worker = self, worker
      context.arrived(worker)
      local how, value = worker:attend(context.handle)
      self.worker = nil
      context.left(worker)
      more = how and not self.retired:is_set() and bury(self, worker, how, value)
    else
      more = not self.retired:is_set() and not_started(self, err)
    end
  until not more
  self.settled:set()
end

--- Its worker serves now, or there will be none.
function Place:settle() self.settled:set() end

--- It begins with a worker that runs already.
---@param worker moonpark.workers.worker
function Place:take(worker)
  self.restored = worker
  if worker.state ~= "starting" then self:settle() end
end

--- The trial is over: from now on who dies is replaced.
function Place:accept() self.trial = false end

--- No further worker starts here; the one that runs has that many seconds.
---@param seconds number
---@param prompt? boolean
---@return boolean clean
function Place:retire(seconds, prompt)
  self.retired:set()
  local worker = self.worker
  return not worker or worker:drain(seconds, prompt)
end

--- The same at once.
function Place:kill()
  self.retired:set()
  if self.worker then self.worker:kill() end
end

return M

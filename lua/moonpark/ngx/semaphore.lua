-- SPDX-License-Identifier: MIT
-- semaphore.lua - the module ngx.semaphore.

local core = require "moonpark.core"
local in_task = require "moonpark.in_task"
local thread = require "moonpark.ngx.thread"
local words = require "moonpark.ngx.words"

local M = {}

local Semaphore = {}
Semaphore.__index = Semaphore

local function check_self(self)
  if getmetatable(self) ~= Semaphore then words.misuse "not a semaphore instance" end
end

---@param n? integer
function M.new(n)
  n = tonumber(n) or 0
  if not (n >= 0 and n < 2^31) then words.misuse "no negative number" end
  return setmetatable({ inner = core.semaphore(math.floor(n)), waiting = 0, woken = 0 }, Semaphore)
end

-- Some of the places go to tasks that wait; these count as `woken` until they run.
local function give(self, n)
  local before = self.inner:count()
  self.inner:release(n)
  self.woken = self.woken + n - (self.inner:count() - before)
end

-- -> ok, err, waited
local function acquire(self, seconds)
  if self.inner:count() > 0 then return self.inner:acquire() end
  self.waiting = self.waiting + 1
  local ok, err = self.inner:acquire(seconds)
  self.waiting = self.waiting - 1
  if ok then self.woken = self.woken - 1 end
  if ok and thread.is_killed() then give(self, 1) end -- between post and now
  return ok, err, true
end

--- wait(seconds) -> true[, nil: it has waited] | false, "timeout"; of 0 nil, "timeout"
function Semaphore:wait(timeout)
  check_self(self)
  local seconds = tonumber(timeout)
  if not seconds then words.misuse(("bad timeout (number expected, got %s)"):format(type(timeout))) end
  if seconds < 0 or seconds ~= seconds then words.misuse "no negative number" end
  if seconds == 0 and self.waiting > 0 then return nil, "timeout" end -- it overtakes nobody
  local ok, err, waited = in_task.call(acquire, self, seconds)
  thread.leave_if_killed()
  if ok and waited then return true, nil end
  if ok then return true end
  if seconds == 0 then return nil, err end
  return false, err
end

function Semaphore:post(n)
  check_self(self)
  n = tonumber(n) or 1
  if not (n >= 1 and n < 2^31) then words.misuse "positive number required" end
  give(self, math.floor(n))
  return true
end

--- Places left; where tasks wait, how many, negative.
function Semaphore:count()
  check_self(self)
  return self.inner:count() + self.woken - self.waiting
end

M.wait, M.post, M.count = Semaphore.wait, Semaphore.post, Semaphore.count

return M

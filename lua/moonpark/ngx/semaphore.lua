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
  return setmetatable({ inner = core.semaphore(math.floor(n)), waiting = 0 }, Semaphore)
end

--- wait(seconds) -> true | false, "timeout"; of 0 nil, "timeout"
function Semaphore:wait(timeout)
  check_self(self)
  local seconds = tonumber(timeout)
  if not seconds then words.misuse(("bad timeout (number expected, got %s)"):format(type(timeout))) end
  if seconds < 0 or seconds ~= seconds then words.misuse "no negative number" end
  self.waiting = self.waiting + 1
  local ok, err = in_task.call(self.inner.acquire, self.inner, seconds)
  self.waiting = self.waiting - 1
  if ok then return true end
  thread.leave_if_killed()
  if seconds == 0 then return nil, err end
  return false, err
end

function Semaphore:post(n)
  check_self(self)
  n = tonumber(n) or 1
  if not (n >= 1 and n < 2^31) then words.misuse "positive number required" end
  self.inner:release(math.floor(n))
  return true
end

--- Places left; where tasks wait, how many, negative.
function Semaphore:count()
  check_self(self)
  local left = self.inner:count()
  if left > 0 or self.waiting == 0 then return left end
  return -self.waiting
end

M.wait, M.post, M.count = Semaphore.wait, Semaphore.post, Semaphore.count

return M

-- SPDX-License-Identifier: MIT
-- semaphore.lua - the module ngx.semaphore.

local core = require "moonpark.core"
local in_task = require "moonpark.in_task"
local words = require "moonpark.ngx.words"

local M = {}

local Semaphore = {}
Semaphore.__index = Semaphore

---@param n? integer
function M.new(n)
  n = tonumber(n) or 0
  if n < 0 then error("no negative number", 2) end
  return setmetatable({ inner = core.semaphore(n), waiting = 0 }, Semaphore)
end

--- wait(seconds) -> true | false, "timeout"; of 0 nil, "timeout"
function Semaphore:wait(timeout)
  timeout = tonumber(timeout)
  if not timeout or timeout < 0 then words.misuse "value must be a number and not negative" end
  self.waiting = self.waiting + 1
  local ok, err = in_task.call(self.inner.acquire, self.inner, timeout)
  self.waiting = self.waiting - 1
  if ok then return true end
  if timeout == 0 then return nil, err end
  return false, err
end

function Semaphore:post(n)
  n = tonumber(n) or 1
  if n < 1 then error("positive number required", 2) end
  self.inner:release(n)
  return true
end

--- Places left; where tasks wait, how many, negative.
function Semaphore:count()
  local left = self.inner:count()
  if left > 0 or self.waiting == 0 then return left end
  return -self.waiting
end

return M

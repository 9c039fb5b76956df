-- SPDX-License-Identifier: MIT
-- beats.lua - ends workers whose loop does not go on. One that is stuck ends itself (--stuck, see docs/limits.md); one
-- that cannot, because its signals are blocked or it is stopped, is ended here, a little later.

local core = require "moonpark.core"
local failures = require "moonpark.failures"

local M = {}

local LOOKS = 1 -- seconds between two looks
local MERCY = 2 -- seconds beyond the limit, in which a worker ends itself

-- Has one task held its loop for too long?
local function look(worker, running, stuck)
  local now = core.now()
  if not running or running ~= worker.running then worker.running, worker.held_since = running, now end
  local held = now - worker.held_since
  if not running or held <= stuck + MERCY then return end
  failures.log(("worker %d (pid %d) is killed: a task has held its loop for %.0f s"):format(worker.number, worker.pid,
    held), "error", "workers")
  worker:kill()
end

--- Watches until its task is cancelled.
---@param memory moonpark.workers.memory
---@param workers fun(): moonpark.workers.worker[] those that there are now
---@param stuck number seconds
function M.watch(memory, workers, stuck)
  while core.sleep(LOOKS) do
    for _, worker in ipairs(workers()) do look(worker, memory:running(worker), stuck) end
  end
end

return M

-- SPDX-License-Identifier: MIT
-- workers.lua - a program on several processors: worker processes under a supervisor; see docs/workers.md.

local command = require "moonpark.workers.command"
local check_options = require("moonpark.options").check
local processors = require "moonpark.processors"
local task = require "moonpark.task"
local upgrade = require "moonpark.workers.upgrade"
local worker = require "moonpark.worker"

local M = {}

local MOST = 120 -- so many, twice, and their wakes: see supervisor.lua

--- How many workers a text or a number asks for.
---@param value any
---@return integer|nil
---@return string? wrong
function M.count(value)
  if value == "auto" then return math.min(MOST, processors.count()) end
  local n = tonumber(value)
  if n and n >= 1 and n <= MOST and n == math.floor(n) then return n end
  return nil, ("a number from 1 to %d, or auto, expected"):format(MOST)
end

--- Runs this program's workers until they have ended, in a task or not.
---@param options moonpark.workers.options count, grace, control
---@return integer|nil status for this process
---@return string? err
function M.supervise(options)
  local words, err = command.words()
  if not words then return nil, err end
  local given = { words = words }
  given.state, err = upgrade.inherited()
  if err then return nil, err end
  for name, value in pairs(options) do given[name] = value end
  local supervisor = require "moonpark.workers.supervisor" -- no worker needs it
  return task.run(supervisor.run, given)
end

---@class moonpark.workers.run.options
---@field count? integer|"auto" how many; "auto": one a processor
---@field grace? number seconds that a worker may take to drain; 30
---@field control? string the path of a unix socket that takes commands; none
---@field max_requests? integer HTTP requests after which a worker is replaced; no limit
---@field max_memory? number bytes of a worker from which on it is replaced; no limit
---@field user? string whom the workers run as

local known = {
  count = { function(value) return M.count(value) ~= nil end,
    ('must be a number from 1 to %d, or "auto"'):format(MOST) },
  grace = "seconds", control = "string", max_requests = "positive", max_memory = "number", user = "string",
}

--- Runs main in several worker processes: this process becomes their supervisor, and starts each with its own command
--- line; there, the same call runs main. Does not return in the supervisor: it ends the process when they have ended.
---@param options moonpark.workers.run.options|integer|"auto" or the count
---@param main fun(...: any): any
---@return any ... main's results, in a worker
function M.workers(options, main)
  if type(options) ~= "table" then options = { count = options } end
  options = check_options("workers", options, known, 2)
  if type(main) ~= "function" then
    error(("bad argument #2 to 'workers' (function expected, got %s)"):format(type(main)), 2)
  end
  if worker.is_worker() then return task.run(main) end
  local given = { count = M.count(options.count or "auto") }
  for name, value in pairs(options) do given[name] = given[name] or value end
  local status, err = M.supervise(given)
  if not status then error("workers: " .. err, 2) end
  os.exit(status, true)
end

return M

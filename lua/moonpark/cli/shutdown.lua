-- SPDX-License-Identifier: MIT
-- shutdown.lua - the end of a program. To wind down: cancel every task, wait for them for a grace period, close
-- everything that is still open.

local cancel_others = require("moonpark.ending").cancel_others
local describe_left = require("moonpark.ending").describe
local core = require "moonpark.core"
local failures = require "moonpark.failures"
local report = require "moonpark.cli.report"
local task = require "moonpark.task"

local M = {}

local exit = os.exit      -- scripts get M.leave
local ending              -- nil, or {reason, status, grace, if_not} once the program winds down
local last_wish           -- fn(): puts back what must not stay as it is, such as a terminal

--- Calls fn() before the process ends, however it ends; nil: nothing is left to be put back.
function M.on_end(fn) last_wish = fn end

--- The end: no task will join any more. When a process ends, the system closes its descriptors, but leaves the paths of
--- unix listeners, and children. If the program winds down, children have had their time.
function M.settle()
  if last_wish then last_wish() end
  last_wish = nil
  report.tell_main()
  failures.flush()
  core.stdout_flush()
  core.close_conns()
  core.process_signal_all(ending and "KILL" or "TERM")
end

--- os.exit, in order.
function M.leave(status, close)
  M.settle()
  exit(status, close)
end

--- Its status, once the program winds down.
---@return integer|nil
function M.status() return ending and ending.status end

-- Some do not listen. The process ends here.
local function give_up(left)
  report.fail(describe_left(ending.reason, left, ending.grace))
  M.leave(ending.if_not)
end

local function wait_for_others()
  local left = cancel_others(ending.reason, core.now() + ending.grace)
  if left then give_up(left) end
end

local function wind_down()
  core.current():name "shutdown"
  task.shield(wait_for_others)
end

--- Winds down, in a task of its own; for the loop's own stack too.
---@param reason string
---@param status integer
---@param grace number seconds
---@param if_not? integer the status if some tasks do not end; the same
function M.start(reason, status, grace, if_not)
  if ending then return end
  ending = { reason = reason, status = status, grace = grace, if_not = if_not or status }
  report.expect_end()
  core.go(wind_down)
end

return M

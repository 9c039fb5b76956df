-- SPDX-License-Identifier: MIT
-- reports.lua - what the workers answer when their supervisor asks all of them: their state, their dumps, a line's
-- results. What they say is theirs: it is passed on, and relied on for nothing.

local core = require "moonpark.core"
local task = require "moonpark.task"

local M = {}

local ANSWERS = 5 -- seconds that a worker may take to answer a question

--- What each worker answers, in order.
---@param workers moonpark.workers.worker[]
---@param message table
---@return {worker: moonpark.workers.worker, answer: table|nil, err: string|nil}[]
function M.ask_all(workers, message)
  local rows = {}
  task.scope(function(scope)
    for i, worker in ipairs(workers) do
      rows[i] = { worker = worker }
      scope:go(function()
        local question = {}
        for name, value in pairs(message) do question[name] = value end
        rows[i].answer, rows[i].err = worker:ask(question, ANSWERS)
      end)
    end
  end)
  return rows
end

--- One row a worker.
---@param workers moonpark.workers.worker[]
---@param load table[] the slots of the share
---@param leader moonpark.workers.worker|nil
---@return table[]
function M.state(workers, load, leader)
  local rows = {}
  for i, row in ipairs(M.ask_all(workers, { op = "status" })) do
    local worker, answer = row.worker, row.answer or {}
    local share = worker.slot and load[worker.slot] or {}
    rows[i] = { number = worker.number, pid = worker.pid, generation = worker.generation, state = worker.state,
      seconds = core.now() - worker.since, connections = share.open, accepted = share.accepted,
      requests = answer.requests, memory = tonumber(answer.memory), leads = worker == leader, silent = not row.answer }
  end
  return rows
end

--- Where every task of every worker is.
---@param workers moonpark.workers.worker[]
---@return string
function M.dump(workers)
  local parts = {}
  for _, row in ipairs(M.ask_all(workers, { op = "dump" })) do
    parts[#parts + 1] = ("worker %d, pid %d:\n%s"):format(row.worker.number, row.worker.pid,
      row.answer and tostring(row.answer.text) or ("it did not answer: %s\n"):format(tostring(row.err)))
  end
  return table.concat(parts, "\n")
end

--- Runs a line in one worker.
---@param workers moonpark.workers.worker[]
---@param code string
---@param number integer
---@return string|nil text
---@return string? err
function M.eval(workers, code, number)
  for _, worker in ipairs(workers) do
    if worker.number == number and worker.state == "ready" then
      local answer, err = worker:ask({ op = "eval", code = code }, ANSWERS)
      if not answer then return nil, err end
      return answer.text, answer.err
    end
  end
  return nil, ("no worker %d is ready"):format(number)
end

--- Passes a prompt's connection on to one worker.
---@param workers moonpark.workers.worker[]
---@param conn moonpark.connection
function M.attach(workers, conn, number)
  local chosen
  for _, worker in ipairs(workers) do
    if not number or worker.number == number then
      if worker.state == "ready" then chosen = worker break end
      if worker.state == "starting" then chosen = chosen or worker end -- it may never listen
    end
  end
  if not chosen then return nil, number and ("no worker %d runs"):format(number) or "no worker runs" end
  local descriptor, err = conn:detach()
  if not descriptor then return nil, err end
  chosen:post({ op = "attach" }, { descriptor })
  chosen.link:sent()
  descriptor:close()
  return true
end

return M

-- SPDX-License-Identifier: MIT
-- gate.lua - `moonpark --attachable`: the control socket of a program without workers, through which a prompt is
-- attached. It is the one of supervisors (workers/control.lua): for the same user and root alone.

local control = require "moonpark.workers.control"
local core = require "moonpark.core"
local dump = require "moonpark.dump"
local session = require "moonpark.repl.session"

local M = {}

-- What stands in for a supervisor.
local Program = {}
Program.__index = Program

function Program:status_of_program()
  return { pid = core.pid(), generation = 1, count = 0, words = self.words, workers = {} }
end

function Program.attach(_, conn, number)
  if number then return nil, "the program has no workers" end
  local descriptor, err = conn:detach()
  if not descriptor then return nil, err end
  conn, err = core.from_fd(descriptor, "connection")
  if not conn then return nil, err end
  session.start(conn)
  return true
end

function Program.dump() return dump.dump() end

local function no_workers() return nil, "the program has no workers: an attached prompt can do that" end
Program.reload, Program.eval = no_workers, no_workers

-- The answer comes before the end.
function Program:stop()
  core.go(function()
    core.attend()
    core.sleep(0)
    self.stop_program()
  end)
end
Program.ended = { wait = function() return true end }

--- Opens it, until the program ends. In a task.
---@param words string[] the command line
---@param stop fun() ends the program
---@return true|nil
---@return string? err
function M.open(words, stop)
  local gate, err = control.open()
  if not gate then return nil, err end
  local program = setmetatable({ words = words, stop_program = stop }, Program)
  core.go(function()
    core.attend()
    core.current():name "takes prompts"
    while true do
      local conn = gate.listener:accept()
      if not conn then return end
      core.go(function()
        core.attend()
        control.serve_one(program, conn)
        conn:close()
      end)
    end
  end)
  return true
end

return M

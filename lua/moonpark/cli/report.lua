-- SPDX-License-Identifier: MIT
-- report.lua - how the command reports failures, without its own frames.

local core = require "moonpark.core"
local failures = require "moonpark.failures"

local M = {}

local FLUSH = 1 -- seconds that the lines of the log have to be written before

local main       -- the main task
local told       -- its failure was printed, or need not be
local main_failure -- its text
local ending     -- the program ends: tasks were asked to give up

--- Tells whoever has typed the command what was wrong with that.
function M.say(text)
  core.writer_flush(FLUSH)
  io.stderr:write("moonpark: ", text, "\n")
end

--- Logs why the program ends.
function M.fail(text) failures.log(text) end

local function is_frame_of_command(line, site)
  if line == "started at:" then return true end
  for _, place in ipairs(site) do
    if line == "\t" .. place then return true end
  end
  return line:find "^\t[^\n]*moonpark/cli/%w+%.lua:%d+: in function" ~= nil
end

-- In watch mode require is another one: see worker/loads.lua.
local LOADS = "\t%[C%]: in function 'xpcall'\n\t[^\n]*worker/loads%.lua:%d+: in function [^\n]*"
local ADDRESS = "\t%[C%]: at 0x%x+\n(\t%[C%]: in function 'require')"

local function with_plain_require(text)
  local n
  text, n = text:gsub(LOADS, "\t[C]: in function 'require'")
  while n > 0 do text, n = text:gsub(ADDRESS, "%1") end
  return text
end

--- A failed task's error and traceback. The outermost frames are the command's own: nothing that the script's
--- author could use.
---@param task moonpark.task
---@return string
function M.describe(task)
  local lines, last, site = {}, 0, task:site()
  for line in (with_plain_require(failures.describe(task)) .. "\n"):gmatch "(.-)\n" do
    table.insert(lines, line)
    if not is_frame_of_command(line, site) then last = #lines end
  end
  return table.concat(lines, "\n", 1, last)
end

--- Whose failure ends the program.
function M.set_main(task) main = task end

--- From now on a task that gives up because it is canceled does what it was asked for.
function M.expect_end() ending = true end

-- A task that gave up because the program ends has done what it was asked for.
local function obeyed(err)
  return ending and main:is_canceled() and failures.is_cancellation(err)
end

--- The main task's failure, once.
function M.tell_main()
  if told or not main or main:status() ~= "failed" then return end
  local _, err = main:results()
  told = true
  if obeyed(err) then return end
  main_failure = M.describe(main)
  M.fail(main_failure)
end

--- What was reported of the main task, or nil.
---@return string|nil
function M.main_failure() return main_failure end

--- From now on a failure of the main task counts as reported.
function M.hush() told = true end

--- Has anything failed?
function M.failed() return told or failures.uncaught > 0 end

return M

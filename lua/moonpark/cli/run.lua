-- SPDX-License-Identifier: MIT
-- run.lua - runs a program: --compat, -e, -l and the script are the main task, then comes the prompt of -i.

local core = require "moonpark.core"
local dump = require "moonpark.dump"
local failures = require "moonpark.failures"
local limits = require "moonpark.limits"
local log_output = require "moonpark.log.output"
local report = require "moonpark.cli.report"
local shutdown = require "moonpark.cli.shutdown"
local signals = require "moonpark.cli.signals"
local task = require "moonpark.task"
local worker = require "moonpark.worker"
local worker_drain = require "moonpark.worker.drain"

local M = {}

local OK, FAILED, DEADLOCK = 0, 1, 3

local function load_script(path)
  if path == "-" then return loadfile() end
  local file, err = io.open(path)
  if not file then return nil, "cannot open the script: " .. err end
  local _, why = file:read(1) -- a folder can be opened
  file:close()
  if why then return nil, ("cannot open the script: %s: %s"):format(path, why) end
  return loadfile(path)
end

-- --compat socket,ngx,global
local function code_of_compat(value)
  local names, global = {}, false
  for name in value:gmatch "[^,%s]+" do
    if name == "global" then global = true else names[#names + 1] = ("%q"):format(name) end
  end
  return ('require("moonpark.compat").install({ %s }, { global = %s })'):format(table.concat(names, ", "),
    tostring(global))
end

-- -l name: as luajit's. -l name=module: the global, too.
local function code_of(step)
  if step.option == "-e" then return step.value end
  if step.option == "--compat" then return code_of_compat(step.value) end
  local name, module = step.value:match "^([^=]*)=(.*)$"
  return name and ("_G[%q] = require %q"):format(name, module) or ("require %q"):format(step.value)
end

--- The main task's parts, in their order. Nothing has run.
---@param program moonpark.cli.program
---@param script string|nil
---@return function[]|nil
---@return string? err
function M.load(program, script)
  local chunks = {}
  for _, step in ipairs(program.steps) do
    local chunk, err = loadstring(code_of(step), "=(command line)")
    if not chunk then return nil, err end
    table.insert(chunks, chunk)
  end
  if script then
    local chunk, err = load_script(script)
    if not chunk then return nil, err end
    table.insert(chunks, chunk)
  end
  return chunks
end

local function say_hello()
  io.stdout:write(("moonpark %s, %s, %s; Ctrl-C cancels the line, Ctrl-D exits\n"):format(core.version, jit.version,
    core.netpoll_name()))
end

-- At a terminal, Ctrl-C belongs to the prompt as long as there is one; and when the prompt ends, so does the program,
-- whatever is still running.
local function watch_terminal(prompt)
  local end_program
  end_program = signals.on("INT", function()
    if shutdown.status() or not prompt:interrupt() then end_program() end
  end)
  prompt:take_interrupts()
  shutdown.on_end(function() prompt:restore() end)
  log_output.interject_with(function(line) prompt:interject(line) end)
  failures.on_report(function(text, what) prompt:interject(("moonpark: %s: %s"):format(what, text)) end)
  signals.on("WINCH", function() prompt:resize() end)
  signals.on("CONT", function() prompt:continue() end)
end

local function say_attached(remote)
  local which = remote.number and (" (worker %d)"):format(remote.number) or ""
  io.stdout:write(("attached to process %d%s, moonpark %s: "):format(remote.pid, which, remote.version),
    "lines run in it; Ctrl-C cancels the line, Ctrl-D leaves\n")
end

local function run_prompt(grace, remote)
  local prompt = require("moonpark.repl").open { describe = report.describe, remote = remote }
  if prompt.terminal then
    if remote then say_attached(remote) else say_hello() end
    watch_terminal(prompt)
  end
  local why = prompt:run()
  log_output.interject_with(nil)
  prompt:close()
  if prompt.terminal and why == "eof" then shutdown.start("the input has ended", OK, grace) end
end

-- `moonpark attach` finds this process.
local function open_gate(program)
  local words = require("moonpark.workers.command").words() or {}
  local ok, err = require("moonpark.repl.gate").open(words, function()
    shutdown.start("stopped", OK, program.grace)
  end)
  if not ok then error(err, 0) end
end

local function main_task(chunks, program)
  report.set_main(core.current())
  if program.attachable and not worker.is_worker() then open_gate(program) end
  for i = 1, #chunks do chunks[i](unpack(arg)) end
  if program.interactive then run_prompt(program.grace, program.remote) end
end

-- A failure of the main task ends the program, without waiting for tasks that may never end.
local function watch_main(grace)
  task.on_main_failed(function()
    report.tell_main()
    shutdown.start("the main task failed", FAILED, grace)
  end)
end

local function report_deadlock()
  report.fail(dump.deadlock())
  report.tell_main()
  report.hush() -- what is killed now has not failed
  core.kill_all()
end

--- Runs them.
---@param chunks function[]
---@param program moonpark.cli.program
---@return integer status
function M.run(chunks, program)
  signals.watch(program.grace)
  worker_drain.leave_with(function() shutdown.start("drained", OK, program.grace) end)
  limits.show_on_signals()
  limits.set(program.limits)
  watch_main(program.grace)
  os.exit = shutdown.leave -- luacheck: ignore 122
  local locked = task.run_main(main_task, chunks, program) == "deadlock"
  if locked then report_deadlock() end
  report.tell_main()
  if report.main_failure() then worker.last_words(report.main_failure()) end
  if failures.not_served and not program.interactive and not (shutdown.status() or locked or report.failed()) then
    failures.report(failures.not_served, "http.serve")
  end
  shutdown.settle()
  return shutdown.status() or locked and DEADLOCK or report.failed() and FAILED or OK
end

return M

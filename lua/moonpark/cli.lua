-- SPDX-License-Identifier: MIT
-- cli.lua - the moonpark command: runs what its words ask for, and decides the exit status.
--
--   what happens                        what the command does                                  status
--   every task ends                                                                            0
--   a task's error is never joined      reports it once that is certain; continues             1
--   the main task raises                reports it, winds down                                 1
--   all tasks wait for one another      reports which task waits for what                      3
--   SIGQUIT                             prints the dump, closes everything                     2
--   SIGUSR1                             prints the dump, continues
--   SIGINT, SIGTERM                     winds down; the second one ends at once                128 + signal
--   SIGPIPE                             winds down                                             141
--
-- Its parts: cli/words.lua reads the command line, cli/run.lua runs programs, cli/serve.lua serves folders,
-- cli/shutdown.lua winds down, cli/report.lua reports failures, cli/signals.lua handles signals.

local core = require "moonpark.core"
local failures = require "moonpark.failures"
local options = require "moonpark.cli.options"
local report = require "moonpark.cli.report"
local run = require "moonpark.cli.run"
local words_of = require "moonpark.cli.words"
local loads = require "moonpark.worker.loads"
local worker = require "moonpark.worker"
local workers = require "moonpark.workers"
require "moonpark" -- for what it does to coroutines and to the JIT's limits

local M = {}

local OK, FAILED, USAGE = 0, 1, 2

local function wrong_usage(text, hint, command)
  report.say(text)
  if hint then report.say(hint) end
  report.say(("try 'moonpark %s--help'"):format(command and command.name .. " " or ""))
  return USAGE
end

---------------------------------------------------------------------------------------------------
-- programs

local actions = {
  help = function() return options.help() end,
  version = function() return ("moonpark %s, %s, %s\n"):format(core.version, jit.version, core.netpoll_name()) end,
}

local function stuck_of(program)
  local seconds = program.limits and program.limits.stuck
  return seconds and seconds > 0 and seconds or nil
end

-- This process runs nothing of the script.
local function supervise(program)
  local status, err = workers.supervise { count = program.workers or 1, name = program.name,
    watch = program.watch and (program.watch_also or {}), grace = program.grace_given,
    control = program.control, max_requests = program.max_requests, max_memory = program.max_memory,
    user = program.user, stuck = stuck_of(program) }
  if status then return status end
  report.say(err)
  return FAILED
end

-- In a worker: its supervisor starts it again when what it loads has changed.
local function watch_loads(script)
  loads.watch()
  require("moonpark.worker.pages").show()
  if script then loads.tell(script) end
end

local function run_program(words)
  local program, wrong, hint = words_of.program(words)
  if not program then return wrong_usage(wrong, hint) end
  if program.action then
    io.stdout:write(actions[program.action]())
    return OK
  elseif not program.script and #program.steps == 0 and not program.interactive then
    if words[1] then report.say "a script is missing: its name follows the options" end
    io.stderr:write(options.help())
    return USAGE
  end
  arg = words_of.shifted(words, program.script or #words + 1) -- luacheck: ignore 121
  if (program.workers or program.watch) and not worker.is_worker() then
    program.name = program.script and words[program.script] or "the program"
    return supervise(program)
  end
  if program.watch then watch_loads(program.script and words[program.script]) end
  local chunks, err = run.load(program, program.script and words[program.script])
  if not chunks then
    report.say(err)
    local is_missing = program.script == 1 and err:find("cannot open the script", 1, true)
    local meant = is_missing and words_of.command_meant(words[1], words[2])
    if meant then report.say(meant) end
    worker.last_words(err)
    return FAILED
  end
  io.stdout:setvbuf "line" -- a server's log is read while it runs
  return run.run(chunks, program)
end

---------------------------------------------------------------------------------------------------
-- commands

-- [name] = fn(arguments) -> status | nil, what is wrong, a hint. Each requires what it alone uses: a script starts in
-- a third of the time, and with it each of its workers.
local performers = {}

function performers.check(paths)
  if #paths == 0 then return nil, "check: a script expected" end
  local check = require "moonpark.check"
  local findings, unreadable = check.check(paths)
  local text = paths.options.json and require("cjson").encode or check.text
  for _, finding in ipairs(findings) do io.stdout:write(text(finding), "\n") end
  for _, why in ipairs(unreadable) do report.say("cannot read " .. why) end
  return #unreadable > 0 and USAGE or #findings > 0 and FAILED or OK
end

function performers.init(folders)
  local deployed, tcp = folders.options.deploy, folders.options.tcp
  if tcp and folders.options.http then return nil, "init: either --http or --tcp" end
  if deployed and #folders == 0 then folders[1] = "." end
  if #folders ~= 1 then return nil, "init: one folder expected" end
  local project = require "moonpark.project"
  local written, err, misuse = project.init(folders[1], tcp and "tcp" or "http", deployed)
  if misuse then return nil, err end
  if not written then
    report.say(err)
    return FAILED
  end
  io.stdout:write(project.next_steps(written, folders[1]))
  return OK
end

function performers.serve(arguments)
  if #arguments > 1 then return nil, "serve: one folder expected" end
  local count, unfit = arguments.options.workers, nil
  if count then count, unfit = workers.count(count) end
  if unfit then return nil, ("serve: --workers: %s, got '%s'"):format(unfit, arguments.options.workers) end
  local serve = require "moonpark.cli.serve"
  local serving, wrong = serve.prepare(arguments[1] or ".", arguments.options)
  if not serving then return nil, wrong end
  io.stdout:setvbuf "line"
  if count and not worker.is_worker() then return supervise { workers = count } end
  arg = { [0] = "serve" } -- luacheck: ignore 121
  return run.run({ serving }, { steps = {}, grace = serve.GRACE, limits = {} })
end

function performers.lapis(arguments)
  if #arguments > 1 then return nil, "lapis: one environment expected" end
  local count, unfit = arguments.options.workers, nil
  if count then count, unfit = workers.count(count) end
  if unfit then return nil, ("lapis: --workers: %s, got '%s'"):format(unfit, arguments.options.workers) end
  local lapis = require "moonpark.cli.lapis"
  local serving, wrong = lapis.prepare(arguments[1], arguments.options)
  if not serving then return nil, wrong end
  io.stdout:setvbuf "line"
  if not worker.is_worker() then
    count = count or require("moonpark.lapis").workers(arguments[1])
    if arguments.options.workers or count > 1 then return supervise { workers = count } end
  end
  arg = { [0] = "lapis" } -- luacheck: ignore 121
  return run.run({ serving }, { steps = {}, grace = lapis.GRACE, limits = {} })
end

for _, name in ipairs { "status", "reload", "stop", "dump", "eval" } do
  performers[name] = function(arguments)
    local wanted = name == "eval" and 1 or 0
    if #arguments ~= wanted then
      return nil, ("%s: %s expected"):format(name, wanted == 1 and "one line of code" or "no argument")
    end
    local text, err = require("moonpark.cli.control").perform(name, arguments.options, arguments[1])
    if not text then
      report.say(err)
      return FAILED
    end
    io.stdout:write(text)
    return OK
  end
end

function performers.attach(arguments)
  if #arguments > 1 then return nil, "attach: one program expected" end
  local given = arguments.options.worker
  local number = tonumber(given)
  if given and not number then return nil, ("attach: --worker: a number expected, got '%s'"):format(given) end
  local program = { steps = {}, grace = 0, limits = {}, interactive = true }
  local function connect()
    local path, err = require("moonpark.cli.control").path(arguments.options, arguments[1])
    if path then program.remote, err = require("moonpark.repl.remote").connect(path, number) end
    if program.remote then return end
    report.say(err)
    os.exit(FAILED)
  end
  return run.run({ connect }, program)
end

function performers.completion(shells)
  local shell = #shells == 1 and require("moonpark.cli.completion")[shells[1]]
  if not shell then return nil, "completion: bash, zsh or fish expected" end
  io.stdout:write(shell())
  return OK
end

local function perform(command, words)
  local arguments, wrong, hint = words_of.arguments(words, command)
  if not arguments then return wrong_usage(wrong, hint, command) end
  if arguments == "help" then
    io.stdout:write(options.command_help(command))
    return OK
  end
  local status
  status, wrong, hint = performers[command.name](arguments)
  return status or wrong_usage(wrong, hint, command)
end

-- In a container the program runs in a child of process 1: see process/init.h.
local function leave_process_1()
  local ok, err = core.process_init()
  if not ok then report.say("process 1 cannot start the program as a child, and runs it itself: " .. err) end
end

local function main(words)
  leave_process_1()
  local command = words_of.command(words)
  if command then return perform(command, words) end
  return run_program(words)
end

--- The whole command.
---@param words string[] as luajit's `arg`: [0] is the command itself
---@return integer status for os.exit
function M.main(words)
  local ok, status = xpcall(main, failures.text, words)
  if ok then return status end
  report.say(status)
  return FAILED
end

return M

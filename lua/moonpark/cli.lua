-- SPDX-License-Identifier: MIT
-- cli.lua - the moonpark command: reads its words, runs the script as the main task, and sees to it that
-- the process ends well: failures told, listeners closed, unix paths removed, the exit status right.
--
--   what happens                        what the command does                                  status
--   every task ends                                                                            0
--   a task's error is never joined      tells it when it is certain; goes on                   1
--   the main task raises                tells it, winds down                                   1
--   all tasks wait for one another      tells who waits for whom                               3
--   SIGQUIT                             prints the dump, closes all                            2
--   SIGUSR1                             prints the dump, goes on
--   SIGINT, SIGTERM, SIGPIPE            winds down; the second one ends at once                128 + signal
--
-- To wind down: cancel every task, wait for them for a grace period, close what is left.

local core = require "moonpark.core"
local dump = require "moonpark.dump"
local failures = require "moonpark.failures"
local task = require "moonpark.task"
require "moonpark" -- for what it does to coroutines and to the JIT's limits

local M = {}

local OK, FAILED, USAGE, DEADLOCK = 0, 1, 2, 3
local QUIT = 2            -- the status of a SIGQUIT, as Go's
local SIGNALED = 128      -- + the signal's number, as a shell would say
local GRACE = 5           -- seconds
local LISTED = 20         -- how many of the tasks that do not end are named

local exit = os.exit
local ending              -- nil, or {reason, status, grace} once the program winds down
local main                -- the main task
local told                -- its failure has been printed

local help = [==[
usage: moonpark [options] [script.lua [arguments]]

Runs the script as the main task of moonpark's loop, and ends when all tasks have ended.

options:
  -e code           runs the code; before the script, where there is one
  --grace seconds   how long tasks may take to end after SIGINT or SIGTERM (5)
  -v, --version     prints the versions and the poller in use
  -h, --help        prints this
  --                ends the options

signals:
  INT, TERM         end the program: all tasks are canceled, then listeners are
                    closed and unix paths removed; a second one ends it at once
  QUIT              prints what every task is doing and exits with status 2
  USR1              prints what every task is doing and goes on

exit status: 0; 1 after an uncaught error; 2 for wrong usage; 3 after a deadlock;
128 + the signal's number after a signal.
]==]

local function say(text) io.stderr:write("moonpark: ", text, "\n") end

---------------------------------------------------------------------------------------------------
-- the command line

local function seconds(word)
  local n = tonumber(word)
  return n and n >= 0 and n < math.huge and n or nil
end

-- Each option's reader: fn(command, value) -> true | nil, what is wrong with it
local valued = {
  ["-e"] = function(command, value)
    table.insert(command.code, value)
    return true
  end,
  ["--grace"] = function(command, value)
    command.grace = seconds(value)
    if command.grace then return true end
    return nil, ("--grace: a number of seconds expected, got '%s'"):format(value)
  end,
}

local plain = { ["-v"] = "version", ["--version"] = "version", ["-h"] = "help", ["--help"] = "help" }

-- "-ecode", "--grace=1" -> option, value
local function joined(word)
  if word:find "^%-e." then return "-e", word:sub(3) end
  local option, value = word:match "^(%-%-%w+)=(.*)$"
  if valued[option] then return option, value end
end

-- The option at words[i]. -> the index behind it | nil, what is wrong
local function read_option(command, words, i)
  local word = words[i]
  local option, value = joined(word)
  local behind = i + 1
  if valued[word] then
    option, value, behind = word, words[i + 1], i + 2
    if not value then return nil, ("option '%s' needs a value"):format(word) end
  end
  if option then
    local ok, wrong = valued[option](command, value)
    return ok and behind, wrong
  end
  if not plain[word] then return nil, ("unknown option '%s'"):format(word) end
  command.action = command.action or plain[word]
  return behind
end

-- -> {code = {text...}, script = index or nil, action, grace} | nil, what is wrong
local function read_words(words)
  local command = { code = {}, grace = GRACE }
  local i = 1
  while words[i] and words[i]:find "^%-" do
    if words[i] == "--" then
      i = i + 1
      break
    end
    if words[i] == "-" then return nil, "a script on the standard input is not supported" end
    local behind, wrong = read_option(command, words, i)
    if not behind then return nil, wrong end
    i = behind
  end
  command.script = words[i] and i
  return command
end

-- The global `arg` as luajit makes it: the script is 0, what stands before it has negative numbers.
local function shifted(words, script)
  local first, arg = 0, {}
  while words[first - 1] do first = first - 1 end
  for i = first, #words do arg[i - script] = words[i] end
  return arg
end

---------------------------------------------------------------------------------------------------
-- the program

local function load_script(path)
  local file, err = io.open(path)
  if not file then return nil, "cannot open the script: " .. err end
  file:close()
  return loadfile(path)
end

-- -> the main task's chunks, in their order | nil, why not
local function load_program(command, arg)
  local chunks = {}
  for _, code in ipairs(command.code) do
    local chunk, err = loadstring(code, "=(command line)")
    if not chunk then return nil, err end
    table.insert(chunks, chunk)
  end
  if command.script then
    local chunk, err = load_script(arg[0])
    if not chunk then return nil, err end
    table.insert(chunks, chunk)
  end
  return chunks
end

---------------------------------------------------------------------------------------------------
-- telling failures

local own_file = debug.getinfo(1, "S").short_src

local function is_frame_of_command(line, site)
  if line == "started at:" then return true end
  for _, place in ipairs(site) do
    if line == "\t" .. place then return true end
  end
  return line:match "^\t(.-):%d+: in function" == own_file
end

-- The outermost frames are the command's own: nothing that the script's author could use.
local function trimmed(text, site)
  local lines, last = {}, 0
  for line in (text .. "\n"):gmatch "(.-)\n" do
    table.insert(lines, line)
    if not is_frame_of_command(line, site) then last = #lines end
  end
  return table.concat(lines, "\n", 1, last)
end

-- A task that gave up because the program ends has done what it was asked for.
local function obeyed(err)
  return ending and main:is_canceled() and failures.is_cancellation(err)
end

local function tell_main()
  if told or not main or main:status() ~= "failed" then return end
  local _, err = main:results()
  told = true
  if not obeyed(err) then say(trimmed(failures.describe(main), main:site())) end
end

-- The end: nobody will join any more. The system closes what is open when a process ends, but it leaves
-- the paths of unix listeners, and children: those have had their time where the program winds down.
local function settle()
  tell_main()
  failures.flush()
  core.close_conns()
  core.process_signal_all(ending and "KILL" or "TERM")
end

local function leave(status, close)
  settle()
  exit(status, close)
end

---------------------------------------------------------------------------------------------------
-- winding down

local function others()
  local list, me = {}, core.current()
  for _, info in ipairs(core.tasks()) do
    if not rawequal(info.task, me) then table.insert(list, info) end
  end
  return list
end

local function describe(info)
  local name = task.name_of(info.task)
  return ("  task %d%s, %s%s"):format(info.id, name and (" %q"):format(name) or "",
    info.wait and "in " .. info.wait or info.state, info.site[1] and ", started at " .. info.site[1] or "")
end

-- Some do not listen. The process ends here.
local function give_up()
  local left = others()
  local lines = { ("%s: %d task%s not ended after %g s:"):format(ending.reason, #left,
    #left == 1 and " has" or "s have", ending.grace) }
  for i = 1, math.min(#left, LISTED) do table.insert(lines, describe(left[i])) end
  if #left > LISTED then table.insert(lines, "  ...") end
  say(table.concat(lines, "\n"))
  leave(ending.status)
end

-- Not by join, which would take errors that are to be told.
local function all_ended(list, deadline)
  for _, info in ipairs(list) do
    if not info.task:await(deadline - core.now()) then return false end
  end
  return true
end

-- Tasks may start others while they end: until none is left.
local function wait_for_others()
  local deadline = core.now() + ending.grace
  local left = others()
  while #left > 0 do
    for _, info in ipairs(left) do info.task:cancel(ending.reason) end
    if not all_ended(left, deadline) then return give_up() end
    left = others()
  end
end

local function wind_down()
  core.current():name "the end"
  task.shield(wait_for_others)
end

-- On the loop's own stack.
local function start_ending(reason, status, grace)
  if ending then return end
  ending = { reason = reason, status = status, grace = grace }
  core.go(wind_down)
end

---------------------------------------------------------------------------------------------------
-- signals

local function print_dump() io.stderr:write(dump.dump()) end

-- -> [number] = function, called on the loop's own stack: they do not wait
local function signal_handlers(grace)
  local handlers = {
    [core.signal_number "USR1"] = print_dump,
    [core.signal_number "QUIT"] = function()
      print_dump()
      leave(QUIT)
    end,
  }
  for _, name in ipairs { "INT", "TERM", "PIPE" } do
    local number = core.signal_number(name)
    handlers[number] = function()
      if ending then leave(ending.status) end
      start_ending("SIG" .. name, SIGNALED + number, grace)
    end
  end
  return handlers
end

-- Whoever started us may want PIPE ignored: then it stays so. (INT too, for a shell's background job; but
-- luajit has caught that one before we come, and nobody can tell any more.)
local function watched()
  local names = { "QUIT", "USR1", "INT", "TERM" }
  if not core.signal_ignored "PIPE" then table.insert(names, "PIPE") end
  return names
end

local function watch_signals(grace)
  local handlers = signal_handlers(grace)
  core.on_signal(function(number)
    if handlers[number] then handlers[number]() end
  end)
  for _, name in ipairs(watched()) do assert(core.signal_watch(name)) end
end

---------------------------------------------------------------------------------------------------
-- running

local function main_task(chunks)
  main = core.current()
  for i = 1, #chunks do chunks[i](unpack(arg)) end
end

-- A failure of the main task ends the program, without waiting for tasks that may never end.
local function watch_main(grace)
  task.on_main_failed(function()
    tell_main()
    start_ending("the main task failed", FAILED, grace)
  end)
end

local function run(chunks, grace)
  watch_signals(grace)
  watch_main(grace)
  os.exit = leave -- luacheck: ignore 122
  local locked = task.run_main(main_task, chunks) == "deadlock"
  if locked then
    say(dump.deadlock())
    tell_main()
    told = true -- what is killed now has not failed
    core.kill_all()
  end
  settle()
  return ending and ending.status or locked and DEADLOCK or (told or failures.uncaught > 0) and FAILED or OK
end

local function version()
  return ("moonpark %s, %s, %s\n"):format(core.version, jit.version, core.netpoll_name())
end

local function wrong_usage(text)
  say(text)
  say "try 'moonpark --help'"
  return USAGE
end

local function perform(command, words)
  if command.action == "help" then
    io.stdout:write(help)
    return OK
  elseif command.action == "version" then
    io.stdout:write(version())
    return OK
  elseif not command.script and #command.code == 0 then
    io.stderr:write(help)
    return USAGE
  end
  arg = shifted(words, command.script or #words + 1) -- luacheck: ignore 121
  local chunks, err = load_program(command, arg)
  if not chunks then
    say(err)
    return FAILED
  end
  io.stdout:setvbuf "line" -- a server's log is read while it runs
  return run(chunks, command.grace)
end

--- The whole command.
---@param words string[] as luajit's `arg`: [0] is the command itself
---@return integer status for os.exit
function M.main(words)
  local command, wrong = read_words(words)
  if not command then return wrong_usage(wrong) end
  local ok, status = xpcall(perform, failures.text, command, words)
  if ok then return status end
  say(status)
  return FAILED
end

return M

-- SPDX-License-Identifier: MIT
-- process.lua - child processes: spawn with pipes that are connections, and run to the end.
--
-- Each child that is not detached has a keeper: a task in the innermost scope that was open where it was spawned.
-- It waits for the child's end and reaps it; cancelled, it ends the child first. So a child never outlives its scope.

local core = require "moonpark.core"
local check_options = require("moonpark.options").check
require "moonpark.net" -- the pipes are connections, with all of its methods
local task = require "moonpark.task"

---@class moonpark.process
local M = {}

---@class moonpark.child
---@field stdin moonpark.connection|nil if "pipe" was asked for; close() is the end of its input
---@field stdout moonpark.connection|nil
---@field stderr moonpark.connection|nil
---@field pid fun(self): integer
---@field wait fun(self, timeout?: number): string|nil, integer|string, integer? "exited", status; "signaled", "KILL"
---@field kill fun(self, name?: string): true|nil, string?, integer? "TERM"; "no such process" once it has ended
---@field is_running fun(self): boolean

local GRACE = 5               -- seconds between TERM and KILL
local PAUSE = 0.01            -- before another try, if waiting itself failed
local MAX = 64 * 1024 * 1024  -- bytes that run() takes of each output
local LINGER = 0.1            -- seconds that run() still reads after a child that it has ended

---------------------------------------------------------------------------------------------------
-- the keeper

-- -> true once it has ended | nil, "canceled" or "timeout". Without memory it tries again.
local function await(kept, timeout)
  while true do
    local ended, err = core.process_await(kept, timeout)
    if ended or err == "canceled" or err == "timeout" then return ended, err end
    if not core.sleep(PAUSE) then core.yield() end
  end
end

-- One that is stopped takes TERM only when it continues.
local function end_it(kept, grace)
  local told = core.process_kill(kept, "TERM")
  core.process_kill(kept, "CONT")
  if not (told and await(kept, grace)) then
    repeat core.process_kill(kept, "KILL") until await(kept, 1)
  end
  core.process_kill_rest(kept)
end

-- Cancelled and ended at once: then the rest of its group is ended all the same.
local function watch(kept, grace)
  if not await(kept) then
    task.shield(end_it, kept, grace)
  elseif core.current():is_canceled() then
    core.process_kill_rest(kept)
  end
end

local function entitle(pid, program)
  core.current():name(("process %d: %s"):format(pid, program:match "[^/]*$"))
end

-- Errors here are of memory alone: then the child ends at once, and nothing of it is left all the same.
local function keep(kept, pid, program, grace)
  pcall(entitle, pid, program)
  if pcall(watch, kept, grace) then core.process_reap(kept) else core.process_kill_now(kept) end
end

---------------------------------------------------------------------------------------------------
-- what is asked for

local function is_boolean(b) return type(b) == "boolean" end
local function is_size(n) return type(n) == "number" and n >= 0 and n == math.floor(n) end
local function is_text(s) return type(s) == "string" end
local function is_path(s) return type(s) == "string" and s ~= "" and not s:find("\0", 1, true) end

local words = { inherit = true, pipe = true, null = true }
local is_listener = core.conn_class.is_listener

local function is_stream(v)
  if type(v) == "number" then return v >= 0 and v == math.floor(v) and v < 2 ^ 31 end
  if words[v] then return true end
  local ok, listens = pcall(is_listener, v)
  if not ok or listens then return false end
  local fd, err = v:fd()
  return fd ~= nil or err == "closed"
end

local function is_error_stream(v) return v == "stdout" or is_stream(v) end

local function is_environment(env)
  if type(env) ~= "table" then return false end
  for name, value in pairs(env) do
    if type(name) ~= "string" or name == "" or name:find("[=%z]") then return false end
    if value ~= false and (type(value) ~= "string" or value:find("\0", 1, true)) then return false end
  end
  return true
end

---@alias moonpark.process.stream "inherit"|"pipe"|"null"|integer|moonpark.connection

---@class moonpark.process.spawn.options
---@field stdin? moonpark.process.stream ours, a pipe (child.stdin), /dev/null, a descriptor or a connection; "inherit"
---@field stdout? moonpark.process.stream "inherit"
---@field stderr? moonpark.process.stream|"stdout" "stdout": the same place; "inherit"
---@field env? table<string, string|false> added to ours; false: removed
---@field clear_env? boolean the environment is `env` alone; false
---@field cwd? string the folder it starts in; ours
---@field group? boolean a process group of its own, which kill and its scope reach; false
---@field detach? boolean a session of its own, and no scope ends it; false
---@field helper? boolean started by a helper thread; true; false: the loop is blocked meanwhile
---@field grace? number seconds between TERM and KILL; 5

---@class moonpark.process.run.options
---@field stdin? string what it reads; nothing
---@field detach? nil cannot be used here
---@field stdout? moonpark.process.stream "pipe"
---@field stderr? moonpark.process.stream|"stdout" "stdout": the same place; "pipe"
---@field timeout? number seconds; no limit
---@field max? integer bytes of each output, beyond which it is killed; 64 MiB
---@field env? table<string, string|false> added to ours; false: removed
---@field clear_env? boolean the environment is `env` alone; false
---@field cwd? string the folder it starts in; ours
---@field group? boolean a process group of its own, which is ended with it; false
---@field helper? boolean started by a helper thread; true; false: the loop is blocked meanwhile
---@field grace? number seconds between TERM and KILL; 5

local stream_words = 'must be "inherit", "pipe", "null", a connection with a descriptor, or a descriptor'
local spawn_options = {
  stdin = { is_stream, stream_words },
  stdout = { is_stream, stream_words },
  stderr = { is_error_stream, stream_words .. ', or "stdout"' },
  env = { is_environment, "must be a table from names without '=' to strings or false, without zero bytes" },
  clear_env = { is_boolean, "must be a boolean" },
  cwd = { is_path, "must be a path" },
  group = { is_boolean, "must be a boolean" },
  detach = { is_boolean, "must be a boolean" },
  helper = { is_boolean, "must be a boolean" },
  grace = "seconds",
}

local run_options = {
  stdin = { is_text, "must be a string (the child's input)" },
  timeout = "seconds",
  max = { is_size, "must be a whole number of bytes" },
  detach = { function() return false end, "cannot be used with run" },
}
for name, kind in pairs(spawn_options) do run_options[name] = run_options[name] or kind end

local function check_argv(argv, name)
  if type(argv) ~= "table" then
    error(("bad argument #1 to '%s' (array of strings expected, got %s)"):format(name, type(argv)), 3)
  end
  if #argv == 0 then error(("bad argument #1 to '%s' (the array is empty: no program to start)"):format(name), 3) end
  for i = 1, #argv do
    local word = argv[i]
    if type(word) ~= "string" then
      error(("bad argument #1 to '%s' (word %d: string expected, got %s)"):format(name, i, type(word)), 3)
    end
    if word:find("\0", 1, true) then
      error(("bad argument #1 to '%s' (word %d contains a zero byte)"):format(name, i), 3)
    end
  end
end

-- -> {"NAME=value", ...}
local function environment(options)
  local list, env = {}, options.env or {}
  for _, entry in ipairs(options.clear_env and {} or core.process_environment()) do
    if env[entry:match "^[^=]*"] == nil then list[#list + 1] = entry end
  end
  for name, value in pairs(env) do
    if value then list[#list + 1] = name .. "=" .. value end
  end
  return list
end

---------------------------------------------------------------------------------------------------
-- spawn

-- Its keeper begins.
local function with_keeper(kept, child, program, grace)
  local ok, why = pcall(core.go_inside, keep, kept, child:pid(), program, grace or GRACE)
  if not ok then
    core.process_kill_now(kept)
    error(why, 0)
  end
  return child
end

local function spawn(argv, options, stdin, stdout, stderr)
  local kept, child, errno = core.process_spawn(argv, environment(options), options.cwd, stdin, stdout, stderr,
    options.group, options.detach, options.helper == false)
  if not kept then return nil, child, errno end
  if options.detach then return child end
  return with_keeper(kept, child, argv[1], options.grace)
end

--- A child of this process that an earlier program in it has started, before it called exec: as one that was spawned,
--- with a group of its own.
---@param pid integer
---@param program string its name, for reports
---@param grace? number seconds
---@return moonpark.child|nil
---@return string? err "no such process"
---@return integer? errno
function M.adopt(pid, program, grace)
  local kept, child, errno = core.process_adopt(pid)
  if not kept then return nil, child, errno end
  return with_keeper(kept, child, program, grace)
end

--- Starts a program, which is looked up in PATH. In a task only. The child belongs to the innermost scope that is
--- open, or to the one that this task was started in: that scope waits for its end, and ends it when cancelled.
--- After os/exec of Go; posix_spawn(3), pidfd_open(2).
---@param argv string[] the program and its arguments
---@param options? moonpark.process.spawn.options
---@return moonpark.child|nil
---@return string? err "no such file or directory", "permission denied", "too many open files", "canceled", ...
---@return integer? errno
function M.spawn(argv, options)
  check_argv(argv, "spawn")
  options = check_options("spawn", options, spawn_options, 2, 2)
  return spawn(argv, options, options.stdin or "inherit", options.stdout or "inherit", options.stderr or "inherit")
end

---------------------------------------------------------------------------------------------------
-- run

-- Broken off: the child is killed, and what the other tasks of the scope wait for is cancelled.
local function broken_off(scope, child, err, errno)
  if err ~= "canceled" then child:kill "KILL" end
  scope:cancel()
  return { nil, err, errno }
end

-- A child that does not read it all has its reasons, and "closed" is said when it has ended.
local function feed(scope, child, text)
  local written, err, errno = child.stdin:write(text)
  child.stdin:close()
  if written or err == "broken pipe" or err == "closed" then return { true } end
  return broken_off(scope, child, err, errno)
end

-- What comes is added to the output, up to its maximum. -> nil and why no more comes, "too long" included
local function read_into(output, stream)
  while true do
    local data, err, errno = stream:read()
    if not data then return nil, err, errno end
    local room = output.max - output.size
    output[#output + 1] = #data <= room and data or data:sub(1, room)
    output.size = output.size + math.min(#data, room)
    if #data > room then
      output.truncated = true
      return nil, "too long"
    end
  end
end

-- The run was cancelled, and the keeper ends the child: what it writes until then is read, too. Another process may
-- hold its pipe for ever.
local function read_last(output, child, stream)
  task.scope(function(scope)
    scope:go(function()
      child:wait()
      stream:set_read_deadline(core.now() + LINGER)
    end)
    read_into(output, stream)
  end)
end

local function collect(scope, child, stream, output)
  local _, err, errno = read_into(output, stream)
  if err == "canceled" then task.shield(read_last, output, child, stream) end
  local result = err == "eof" and { true } or broken_off(scope, child, err, errno)
  stream:close() -- not before the KILL: it would end by PIPE
  return result
end

-- -> the tasks that move its bytes, and what they have read, by the names of the streams
local function start_movers(scope, child, options)
  local movers, outputs = {}, {}
  if child.stdin then movers.stdin = scope:go(feed, scope, child, options.stdin) end
  for _, name in ipairs { "stdout", "stderr" } do
    local stream = child[name]
    if stream then
      outputs[name] = { size = 0, max = options.max or MAX }
      movers[name] = scope:go(collect, scope, child, stream, outputs[name])
    end
  end
  return movers, outputs
end

-- What a mover returned; nil if it failed and the scope will say how.
local function moved(movers, name)
  if not movers[name] then return { true } end
  local ok, got = task.shield(movers[name].join, movers[name])
  return ok and got or { nil, "canceled" }
end

-- How it ended, and what it has written.
local function result_of(how, value, outputs)
  local result = {}
  if how then result[how == "exited" and "code" or "signal"] = value end
  for name, output in pairs(outputs) do
    result[name] = table.concat(output)
    result.truncated = result.truncated or output.truncated
  end
  return result
end

-- How it went, once the outputs have ended.
local function outcome(child, movers, outputs)
  local out, err = moved(movers, "stdout"), moved(movers, "stderr")
  local broken = not (out[1] and err[1])
  local how, value, errno = child:wait()
  if child.stdin then child.stdin:close() end -- something it has started may hold the other end
  local fed = moved(movers, "stdin")
  if how and not broken and fed[1] then return result_of(how, value, outputs) end
  local why = { nil, how and "canceled" or value, not how and errno or nil }
  for _, got in ipairs { fed, err, out } do -- why it was broken off
    if got[2] and got[2] ~= "canceled" then why = got end
  end
  if not how then how, value = task.shield(child.wait, child) end -- its keeper ends it
  return nil, why[2], why[3], result_of(how, value, outputs)
end

local function run(argv, options)
  return task.scope(function(scope)
    local child, err, errno = spawn(argv, options, options.stdin and "pipe" or "null", options.stdout or "pipe",
      options.stderr or "pipe")
    if not child then return nil, err, errno end
    return outcome(child, start_movers(scope, child, options))
  end)
end

local function run_within(argv, options)
  local partial
  local result, err, errno = task.timeout(options.timeout, function()
    local whole, why, number, part = run(argv, options)
    partial = part or whole or nil
    return whole, why, number
  end)
  if result then return result end
  if partial and err == "timeout" then partial.timed_out = true end
  return nil, err, errno, partial
end

---@class moonpark.process.result
---@field code integer|nil its exit status; nil if a signal ended it
---@field signal string|nil that signal's name; nil if it exited
---@field stdout string|nil what it wrote; nil if the option sent it elsewhere
---@field stderr string|nil
---@field timed_out true|nil the option `timeout` ended it
---@field truncated true|nil an output was longer than the option `max`: it is cut there

--- Runs a program to its end, writing its input and reading both outputs at once. In a task only. Options: those of
--- spawn except detach; stdin is the text that it reads, or nothing; outputs are pipes unless something else is asked
--- for; timeout = seconds; max = bytes of each output, 64 MiB, beyond which it is killed. If it is ended before it has
--- ended by itself, the fourth result is what had come until then.
---@param argv string[] the program and its arguments
---@param options? moonpark.process.run.options
---@return moonpark.process.result|nil
---@return string? err why it could not be started; "timeout", "canceled", "too long"
---@return integer? errno
---@return moonpark.process.result? partial what came before it was ended; nil if it could not be started
function M.run(argv, options)
  check_argv(argv, "run")
  options = check_options("run", options, run_options, 2, 2)
  if options.timeout then return run_within(argv, options) end
  return run(argv, options)
end

return M

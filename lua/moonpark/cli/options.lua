-- SPDX-License-Identifier: MIT
-- options.lua - every option and command of the moonpark command, in one table. The help, the shell completions and the
-- specs that check the pages are made from it.

local M = {}

---@class moonpark.cli.option
---@field names string[]
---@field value? string the name of its value
---@field help string lines

---@type moonpark.cli.option[]
M.options = {
  { names = { "-e" }, value = "code", help = "runs the code, before the script if there is one" },
  { names = { "-l" }, value = "name[=module]", help = "requires the module, in order with the -e options; with '='\n"
    .. "its result is assigned to the global of that name" },
  { names = { "--compat" }, value = "names", help = "first puts façades in the place of other libraries, such as\n"
    .. "socket,ssl,ngx; with ',global' ngx is a global" },
  { names = { "-i" }, help = "then starts a prompt: reads lines and runs them on the loop" },
  { names = { "--attachable" }, help = "lets 'moonpark attach' open a prompt in the process (with --workers it\n"
    .. "always may)" },
  { names = { "--workers" }, value = "number", help = "runs the script in that many processes, or auto: one a\n"
    .. "processor; they share the listeners" },
  { names = { "--watch" }, help = "restarts the script when a file that it has loaded\nchanges" },
  { names = { "--watch-also" }, value = "path", help = "another file, or a folder, that counts for --watch" },
  { names = { "--grace" }, value = "seconds", help = "time for tasks to end after SIGINT or SIGTERM (default 5;\n"
    .. "30 for each worker's requests)" },
  { names = { "--max-requests" }, value = "number", help = "replaces a worker that has answered so many" },
  { names = { "--max-memory" }, value = "bytes", help = "replaces a worker that uses more, such as 512m" },
  { names = { "--user" }, value = "name", help = "workers run as that user; the supervisor listens" },
  { names = { "--control" }, value = "path", help = "where the control socket of --workers is" },
  { names = { "--slow" }, value = "seconds", help = "reports a task that has run for so long without waiting\n"
    .. "(default MOONPARK_SLOW, or 1 at a terminal; 0: none)" },
  { names = { "--limit" }, value = "seconds", help = "stops such a task, with an error (default 0: none)" },
  { names = { "--stuck" }, value = "seconds", help = "ends the process with status 70 if a task has run for\n"
    .. "so long without waiting (default 0: never)" },
  { names = { "--log" }, value = "levels", help = "what the log writes, such as debug or info,http=warn\n"
    .. "(default info)" },
  { names = { "-v", "--version" }, help = "prints the versions and the poller in use" },
  { names = { "-h", "--help" }, help = "prints this help" },
  { names = { "--" }, help = "ends the options" },
  { names = { "-" }, help = "runs standard input as the script" },
}

---@class moonpark.cli.command
---@field name string
---@field arguments string
---@field help string
---@field usage string the rest of what `moonpark NAME --help` prints
---@field words? string[] the arguments that it takes; without it, `files` is the kind of file
---@field files? "lua"|"folder"
---@field options? moonpark.cli.option[]

-- Which supervisor a command asks.
local which = {
  { names = { "--pid" }, value = "pid", help = "the supervisor's process, where several run" },
  { names = { "--control" }, value = "path", help = "its control socket, if it was started with one" },
}

local function asking(name, arguments, help, usage, more)
  local options = { unpack(which) }
  for _, option in ipairs(more or {}) do table.insert(options, option) end
  return { name = name, arguments = arguments, words = {}, help = help, usage = usage, options = options }
end

---@type moonpark.cli.command[]
M.commands = {
  { name = "check", arguments = "[options] script.lua ...", files = "lua",
    help = "looks for mistakes in scripts without running them",
    options = {
      { names = { "--json" }, help = "prints each finding as a line of JSON, for editors" },
    },
    usage = [[
Reports syntax errors, undefined globals, globals assigned in functions,
functions, methods and options that moonpark does not have, methods called with
'.', fields that are called, values of a wrong type, HTTP handlers that answer
nothing, loops that never wait or that a cancellation does not end, joins that
lose a task's error, and calls that block the whole loop. '-' is standard input.
Lines that end with the comment "moonpark: ignore" are skipped.

exit status: 0 if nothing was found, 1 if something was found, 2 for wrong
usage or a file that cannot be read.
]] },
  { name = "init", arguments = "[options] DIR", files = "folder",
    help = "creates a starter project: a server, its spec, a rockspec",
    options = {
      { names = { "--http" },
        help = "an HTTP server: routes, their spec, a log, JSON;\nthe default" },
      { names = { "--tcp" }, help = "a TCP server that answers lines" },
      { names = { "--deploy" },
        help = "adds what it takes to deploy the project: units\nfor systemd, a Dockerfile, a health check" },
    },
    usage = [[
Creates the folder if it does not exist ('.' is the current one). Existing
files are never overwritten: if there is one, nothing is written at all.

With --deploy, a folder that has a server.lua only gets the files to deploy
it. DIR is the current folder then if none is given.
]] },
  { name = "serve", arguments = "[options] [DIR]", files = "folder",
    help = "serves the files of a folder (default: the current one) over HTTP",
    options = {
      { names = { "--address" }, value = "address",
        help = "host:port or unix:/path (default 127.0.0.1:8080);\nport 0 picks a free one" },
      { names = { "--tls" },
        help = "speaks HTTPS, with a certificate for this machine\nthat it makes itself unless --cert names one" },
      { names = { "--cert" }, value = "file",
        help = "the certificate, and those between it and the\nauthority, in PEM" },
      { names = { "--key" }, value = "file", help = "its key in PEM, if it is not in the same file" },
      { names = { "--workers" }, value = "number",
        help = "serves in that many processes, or auto: one a\nprocessor" },
      { names = { "--no-listing" },
        help = "answers 404 for folders without an index.html,\ninstead of a list of their files" },
      { names = { "--listing" }, help = "lists them: the default" },
      { names = { "--hidden" }, help = "also serves files whose names begin with '.'" },
      { names = { "--follow" }, help = "also follows symbolic links that lead out of the\nfolder" },
      { names = { "--cache" }, value = "seconds",
        help = "how long clients may cache responses without\nasking again" },
      { names = { "--quiet" }, help = "does not log requests" },
    },
    usage = [[
Answers GET and HEAD, with ranges and conditional requests. If FILE.br or
FILE.gz exists next to FILE, clients that accept it get that one. 127.0.0.1 can
be reached from this machine only; with --address :8080 every host that can
reach this machine can read the folder.

Browsers warn of a certificate that the command has made itself: compare its
fingerprint with the one that is printed. Files that --cert and --key name are
read again when they change.

The first Ctrl-C (or SIGTERM) stops listening and gives running requests up to
five seconds to finish; the second one exits at once.
]] },
  { name = "lapis", arguments = "[options] [environment]", words = { "development", "production" },
    help = "serves the Lapis application of the current folder",
    options = {
      { names = { "--address" }, value = "address",
        help = "host:port or unix:/path (default: the port in\nconfig.lua, on 127.0.0.1)" },
      { names = { "--workers" }, value = "number",
        help = "serves in that many processes, or auto: one a\nprocessor (default: num_workers in config.lua)" },
    },
    usage = [[
Runs the application as it is, with its config.lua, and serves the files in
static/. The environment is one of config.lua's: LAPIS_ENVIRONMENT, or
development, by default. With code_cache = "off" each request loads the
application's modules anew.

Lapis and what it needs must be installed.
]] },
  asking("status", "[options]", "shows the workers of a program that was started with --workers", [[
One line a worker: its number, process, generation, state, the connections that
it has open and has accepted, the requests that it has answered, and the memory
of its Lua state.
]]),
  asking("reload", "[options]", "loads a program with workers again, without a lost connection", [[
New workers start beside the old ones. Once all of them listen, the old ones
finish what they do, and end. If a new one cannot start, the old ones stay, and
the error is printed. SIGHUP to the supervisor does the same.
]]),
  asking("stop", "[options]", "ends a program with workers once its requests are answered", [[
Waits until it has ended. SIGTERM to the supervisor does the same.
]]),
  asking("dump", "[options]", "prints what every task of every worker is doing", ""),
  asking("eval", "[options] CODE", "runs a line in a worker, as the prompt would", [[
The line runs in the live state of the script's process, as a task, and its
results are printed.
]], { { names = { "--worker" }, value = "number", help = "in which one (default 1)" } }),
  asking("attach", "[options] [NAME|PID]", "opens a prompt in a program that runs", [[
Of a program that was started with --workers or --attachable: its script's name
or the process that was started; neither is needed if only one is running. Lines run in
the live process, as tasks, and see its globals; what they print is shown here.
Ctrl-C cancels the line, Ctrl-D leaves: the program goes on.
]], { { names = { "--worker" }, value = "number", help = "in which worker (default: one that is ready)" } }),
  { name = "completion", arguments = "bash|zsh|fish", words = { "bash", "zsh", "fish" },
    help = "prints a completion script for a shell",
    usage = [[
bash:  eval "$(moonpark completion bash)"          in ~/.bashrc
zsh:   eval "$(moonpark completion zsh)"           in ~/.zshrc, after compinit
fish:  moonpark completion fish | source           in ~/.config/fish/config.fish
]] },
}

local HEAD = [==[
usage: moonpark [options] [script.lua [arguments]]
       moonpark command [arguments]

Runs the script as the main task of moonpark's loop, and exits when all tasks have ended.
]==]

local TAIL = [[
To run a script that is named like a command, write ./check, or put -- before it.

signals:
  INT, TERM         stop the program: all tasks are canceled, then listeners are
                    closed and unix paths removed; a second signal exits at once
  QUIT              prints what every task is doing and exits with status 2
  USR1              prints what every task is doing and continues; a second USR1
                    or QUIT shows where a task is that does not wait
  HUP, USR2         to a supervisor (--workers): loads the program again; becomes
                    the version of moonpark that is installed now

exit status: 0; 1 after an uncaught error; 2 for wrong usage; 3 after a deadlock;
70 after --stuck; 128 + the signal's number after a signal.
]]

local function entry(left, text)
  local lines = {}
  for line in (text .. "\n"):gmatch "(.-)\n" do
    table.insert(lines, ("  %-17s %s"):format(#lines == 0 and left or "", line))
  end
  if #left > 17 then lines[1] = "  " .. left .. "\n" .. (" "):rep(20) .. lines[1]:sub(#left + 4) end
  return table.concat(lines, "\n")
end

local function option_entry(option)
  local left = table.concat(option.names, ", ") .. (option.value and " " .. option.value or "")
  return entry(left, option.help)
end

--- What `moonpark --help` prints.
---@return string
function M.help()
  local lines = { HEAD, "options:" }
  for _, option in ipairs(M.options) do table.insert(lines, option_entry(option)) end
  table.insert(lines, "\ncommands:")
  for _, command in ipairs(M.commands) do
    table.insert(lines, entry(command.name .. " " .. command.arguments, command.help))
  end
  return table.concat(lines, "\n") .. "\n\n" .. TAIL
end

--- What `moonpark NAME --help` prints.
---@param command moonpark.cli.command
---@return string
function M.command_help(command)
  local lines = {}
  for _, option in ipairs(command.options or {}) do lines[#lines + 1] = option_entry(option) .. "\n" end
  if lines[1] then lines[#lines + 1] = "\n" end
  return ("usage: moonpark %s %s\n\n%s%s.\n\n%s%s"):format(command.name, command.arguments,
    command.help:sub(1, 1):upper(), command.help:sub(2), table.concat(lines), command.usage)
end

--- All names of options and all commands.
---@return string[] options
---@return string[] commands
function M.words()
  local options, commands = {}, {}
  for _, option in ipairs(M.options) do
    for _, name in ipairs(option.names) do table.insert(options, name) end
  end
  for _, command in ipairs(M.commands) do table.insert(commands, command.name) end
  return options, commands
end

return M

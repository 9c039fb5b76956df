-- SPDX-License-Identifier: MIT
-- cli_options.lua - what the moonpark command understands: one table, from which its help, the completion of shells
-- and the specs of the pages are made.

local M = {}

---@class moonpark.cli.option
---@field names string[]
---@field value? string what follows it
---@field help string lines

---@type moonpark.cli.option[]
M.options = {
  { names = { "-e" }, value = "code", help = "runs the code; before the script, where there is one" },
  { names = { "-l" }, value = "name[=module]", help = "requires the module, in its turn among the -e; with '=' the\n"
    .. "global of that name is what it returns" },
  { names = { "-i" }, help = "then reads lines and runs them: a prompt on the running loop" },
  { names = { "--grace" }, value = "seconds", help = "how long tasks may take to end after SIGINT or SIGTERM (5)" },
  { names = { "-v", "--version" }, help = "prints the versions and the poller in use" },
  { names = { "-h", "--help" }, help = "prints this" },
  { names = { "--" }, help = "ends the options" },
  { names = { "-" }, help = "runs the standard input as the script" },
}

---@class moonpark.cli.command
---@field name string
---@field arguments string
---@field help string
---@field usage string what `moonpark NAME --help` says more
---@field words? string[] what its argument may be; else files[1] says what kind of file
---@field files? "lua"|"folder"
---@field options? moonpark.cli.option[]

---@type moonpark.cli.command[]
M.commands = {
  { name = "check", arguments = "script.lua ...", files = "lua",
    help = "looks for mistakes in scripts, without running them",
    usage = [[
Tells syntax errors, globals that nobody defines or that a function assigns,
functions that a moonpark module does not have, methods called with '.', and
calls that make the whole loop wait. '-' is the standard input. A line that
ends with the comment "moonpark: ignore" is left out.

exit status: 0 where nothing was found, 1 where something was, 2 for wrong
usage or a file that cannot be read.
]] },
  { name = "init", arguments = "DIR", files = "folder",
    help = "writes a project to start from: a server, its spec, a rockspec",
    usage = [[
Makes the folder where there is none ('.' is this one). What is there already
is never overwritten: then nothing is written at all.
]] },
  { name = "serve", arguments = "[options] [DIR]", files = "folder",
    help = "serves a folder's files over HTTP; without DIR, this one's",
    options = {
      { names = { "--address" }, value = "address",
        help = "host:port or unix:/path (127.0.0.1:8080); port 0: a free one" },
      { names = { "--listing" }, help = "folders without an index.html are answered by\na page of their names" },
      { names = { "--hidden" }, help = "files whose names begin with '.' too" },
      { names = { "--follow" }, help = "symbolic links that lead out of the folder too" },
      { names = { "--cache" }, value = "seconds",
        help = "clients may keep what they get that long\nwithout asking again" },
      { names = { "--quiet" }, help = "no line for each request" },
    },
    usage = [[
Answers GET and HEAD: ranges, conditional requests, FILE.br and FILE.gz beside
FILE for clients that accept them. Only this machine can reach 127.0.0.1; with
--address :8080 everybody who reaches this machine can read the folder.

The first Ctrl-C (SIGTERM) stops listening and lets running requests finish,
for five seconds at the most; the second one ends it at once.
]] },
  { name = "completion", arguments = "bash|zsh|fish", words = { "bash", "zsh", "fish" },
    help = "prints a script that completes this command's words",
    usage = [[
bash:  eval "$(moonpark completion bash)"          in ~/.bashrc
zsh:   eval "$(moonpark completion zsh)"           in ~/.zshrc, after compinit
fish:  moonpark completion fish | source           in ~/.config/fish/config.fish
]] },
}

local HEAD = [==[
usage: moonpark [options] [script.lua [arguments]]
       moonpark command [arguments]

Runs the script as the main task of moonpark's loop, and ends when all tasks have ended.
]==]

local TAIL = [[
A script whose name is a command's runs as ./check, or after --.

signals:
  INT, TERM         end the program: all tasks are canceled, then listeners are
                    closed and unix paths removed; a second one ends it at once
  QUIT              prints what every task is doing and exits with status 2
  USR1              prints what every task is doing and goes on

exit status: 0; 1 after an uncaught error; 2 for wrong usage; 3 after a deadlock;
128 + the signal's number after a signal.
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

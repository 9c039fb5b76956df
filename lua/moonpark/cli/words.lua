-- SPDX-License-Identifier: MIT
-- words.lua - reads the words of the command line.
--
-- Only the first word decides whether it is one of the commands (check, init, ...): the files in the folder do not
-- matter, so the same line always means the same. To run a script of such a name, write ./check, or put -- before it.

local limits = require "moonpark.limits"
local options = require "moonpark.cli.options"
local spelling = require "moonpark.spelling"
local workers = require "moonpark.workers"

local M = {}

local GRACE = 5 -- seconds

---@class moonpark.cli.program
---@field steps {option: "-e"|"-l"|"--compat", value: string}[] in their order
---@field script? integer the script's place among the words
---@field interactive? boolean
---@field action? "help"|"version"
---@field grace number seconds
---@field grace_given? number the same, if it was asked for
---@field workers? integer
---@field attachable? boolean
---@field remote? moonpark.repl.remote
---@field watch? boolean
---@field watch_also? string[]
---@field control? string
---@field max_requests? integer
---@field max_memory? number bytes
---@field user? string
---@field limits {slow?: number, limit?: number, stuck?: number} seconds

local function seconds(word)
  local n = tonumber(word)
  return n and n >= 0 and n < math.huge and n or nil
end

local function add_step(option)
  return function(program, value)
    table.insert(program.steps, { option = option, value = value })
    return true
  end
end

-- fn(program, value): parse(value) -> what the program's field gets | nil, what was expected
local function read(field, parse)
  return function(program, value)
    local wrong
    program[field], wrong = parse(value)
    if program[field] then return true end
    return nil, ("--%s: %s, got '%s'"):format(field:gsub("_", "-"), wrong, value)
  end
end

local function whole(value)
  local n = value:find "^%d+$" and tonumber(value)
  return n and n >= 1 and n or nil, "a whole number of at least 1 expected"
end

local units = { [""] = 1, k = 2 ^ 10, m = 2 ^ 20, g = 2 ^ 30 }

local function bytes(value)
  local number, unit = value:match "^(%d+)([kmg]?)$"
  local n = number and tonumber(number) * units[unit]
  return n and n >= 1 and n or nil, "bytes expected, such as 512m"
end

local function text(value) return value ~= "" and value or nil, "a name expected" end

local function add_limit(name, option)
  return function(program, value)
    local wrong = limits.complaint(tonumber(value))
    program.limits[name] = tonumber(value)
    return not wrong, wrong and ("%s: %s, got '%s'"):format(option, wrong, value)
  end
end

-- Each option's reader: fn(program, value) -> true | nil, what is wrong with it
local valued = {
  ["-e"] = add_step "-e",
  ["-l"] = add_step "-l",
  ["--compat"] = add_step "--compat",
  ["--workers"] = read("workers", workers.count),
  ["--max-requests"] = read("max_requests", whole),
  ["--max-memory"] = read("max_memory", bytes),
  ["--user"] = read("user", text),
  ["--control"] = read("control", text),
  ["--slow"] = add_limit("slow", "--slow"), ["--slice"] = add_limit("slow", "--slice"), -- its earlier name
  ["--limit"] = add_limit("limit", "--limit"), ["--stuck"] = add_limit("stuck", "--stuck"),
  ["--log"] = function(_, value)
    local wrong = require("moonpark.log").ask(value)
    return not wrong, wrong and "--log: " .. wrong
  end,
  ["--watch-also"] = function(program, value)
    program.watch_also = program.watch_also or {}
    table.insert(program.watch_also, value)
    if value ~= "" then return true end
    return nil, "--watch-also: a file or a folder expected"
  end,
  ["--grace"] = function(program, value)
    program.grace = seconds(value)
    program.grace_given = program.grace
    if program.grace then return true end
    return nil, ("--grace: a number of seconds expected, got '%s'"):format(value)
  end,
}

local function act(action)
  return function(program) program.action = program.action or action end
end

local plain = {
  ["-i"] = function(program) program.interactive = true end,
  ["--attachable"] = function(program) program.attachable = true end,
  ["--watch"] = function(program) program.watch = true end,
  ["-v"] = act "version", ["--version"] = act "version",
  ["-h"] = act "help", ["--help"] = act "help",
}

-- "-ecode", "--grace=1" -> option, value
local function joined(word)
  local short = word:match "^%-%a"
  if valued[short] and #word > 2 then return short, word:sub(3) end
  local option, value = word:match "^(%-%-[%w-]+)=(.*)$"
  if valued[option] then return option, value end
end

-- What may help with an option that is none, or nil.
local function hint(word, names)
  if not names and word:find "^%-[jOb]" then
    return ("is it an option of LuaJIT? luajit %s \"$(command -v moonpark)\" ..."):format(word)
  end
  local meant = spelling.nearest(word:match "^[^=]*", names or (options.words()))
  return meant and ("did you mean '%s'?"):format(meant)
end

local function unknown(word, names) return nil, ("unknown option '%s'"):format(word), hint(word, names) end

-- The option at words[i]. -> the index after it | nil, what is wrong, a hint
local function read_option(program, words, i)
  local word = words[i]
  if plain[word] then
    plain[word](program)
    return i + 1
  end
  local option, value = joined(word)
  local behind = i + 1
  if valued[word] then
    option, value, behind = word, words[i + 1], i + 2
    if not value then return nil, ("option '%s' needs a value"):format(word) end
  end
  if not option then return unknown(word) end
  local ok, wrong = valued[option](program, value)
  return ok and behind, wrong
end

-- Options that do not go together -> nil, what is wrong
local function check_together(program, words)
  for _, field in ipairs { "max_requests", "max_memory", "user", "control" } do
    if program[field] and not program.workers and not (program.watch and not field:find "^max") then
      return nil, ("--%s needs --workers"):format((field:gsub("_", "-")))
    end
  end
  if program.watch_also and not program.watch then return nil, "--watch-also needs --watch" end
  if not program.watch then return true end
  if program.max_requests or program.max_memory then
    return nil, "--watch does not go with --max-requests or --max-memory"
  end
  if program.interactive then return nil, "--watch does not go with -i" end
  if words[program.script] == "-" then return nil, "--watch needs a script that is a file" end
  return true
end

--- The words of `moonpark [options] [script [arguments]]`.
---@param words string[]
---@return moonpark.cli.program|nil
---@return string? wrong
---@return string? hint
function M.program(words)
  local program = { steps = {}, grace = GRACE, limits = {} }
  local i = 1
  while words[i] and words[i]:find "^%-." do
    if words[i] == "--" then
      i = i + 1
      break
    end
    local behind, wrong, help = read_option(program, words, i)
    if not behind then return nil, wrong, help end
    i = behind
  end
  program.script = words[i] and i
  local fits, wrong = check_together(program, words)
  return fits and program or nil, wrong
end

--- The command that the first word names, or nil.
---@param words string[]
---@return moonpark.cli.command|nil
function M.command(words)
  local first = words[1] == "--attach" and "attach" or words[1]
  for _, command in ipairs(options.commands) do
    if command.name == first then return command end
  end
end

-- What other programs have commands for.
local elsewhere = {
  help = "'moonpark --help' prints the help", version = "'moonpark --version' prints the version",
  test = "specs are run by busted: busted --lua=luajit --helper=moonpark.testing",
  run = "a script is run by its name alone: moonpark %s", repl = "'moonpark -i' starts a prompt",
}
elsewhere.start, elsewhere.exec, elsewhere.shell = elsewhere.run, elsewhere.run, elsewhere.repl

--- The command that may be meant by the name of a script that is not there, as a hint; or nil.
---@param word string
---@param behind? string the word after it
---@return string|nil
function M.command_meant(word, behind)
  if elsewhere[word] then return (elsewhere[word]:gsub("%%s", function() return behind or "script.lua" end)) end
  local names = {}
  for i, command in ipairs(options.commands) do names[i] = command.name end
  local meant = spelling.nearest(word, names)
  return meant and ("did you mean the command '%s'?"):format(meant)
end

-- What other servers' commands call their addresses.
local ports, hosts = { ["--port"] = true, ["-p"] = true }, { ["--host"] = true, ["--listen"] = true, ["--bind"] = true }

-- A hint for such an option, or nil: the port is a part of the address.
local function address_meant(command, word, value)
  local name, own = word:match "^(%-%-?[%w-]+)=?(.*)$"
  if not ports[name] and not hosts[name] then return nil end
  for _, option in ipairs(command.options or {}) do
    if option.names[1] == "--address" then
      local port = own ~= "" and own or value
      port = port and port:match "^%d+$" or "8080"
      return ports[name] and ("the option is --address :%s"):format(port) or "the option is --address host:port"
    end
  end
end

-- The command's option at words[i] goes into `given`, by its name without "--". -> the index after it | nil, what is
-- wrong, a hint
local function read_own_option(command, given, words, i)
  local name, value = words[i]:match "^(%-%-[%w-]+)=(.*)$"
  name = name or words[i]
  local names = { "--help" }
  for _, option in ipairs(command.options or {}) do
    table.insert(names, option.names[1])
    if option.names[1] == name and option.value then
      value = value or words[i + 1]
      if not value then return nil, ("option '%s' needs a value"):format(name) end
      given[name:sub(3)] = value
      return words[i]:find "=" and i + 1 or i + 2
    elseif option.names[1] == words[i] then
      given[name:sub(3)] = true
      return i + 1
    end
  end
  local _, wrong, help = unknown(words[i], command.options and names)
  return nil, wrong, address_meant(command, words[i], words[i + 1]) or help
end

--- The words of `moonpark NAME ...`: its arguments and, under `options`, its options; or that help is wanted.
---@param words string[]
---@param command moonpark.cli.command
---@return string[]|"help"|nil
---@return string? wrong
---@return string? hint
function M.arguments(words, command)
  local arguments, i = { options = {} }, 2
  while words[i] do
    local word = words[i]
    if word == "--" then
      for at = i + 1, #words do table.insert(arguments, words[at]) end
      return arguments
    end
    if word == "-h" or word == "--help" then return "help" end
    if word:find "^%-." then
      local behind, wrong, help = read_own_option(command, arguments.options, words, i)
      if not behind then return nil, wrong, help end
      i = behind
    else
      table.insert(arguments, word)
      i = i + 1
    end
  end
  return arguments
end

--- The global `arg` as luajit makes it: the script is 0, words before it have negative numbers.
function M.shifted(words, script)
  local first, arg = 0, {}
  while words[first - 1] do first = first - 1 end
  for i = first, #words do arg[i - script] = words[i] end
  return arg
end

return M

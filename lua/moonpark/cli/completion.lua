-- SPDX-License-Identifier: MIT
-- completion.lua - completion scripts for bash, zsh and fish. They are made from the table of options, so they are
-- always complete.

local options = require "moonpark.cli.options"

local M = {}

-- Options that a word follows which only the user knows.
local function valued()
  local list = {}
  for _, option in ipairs(options.options) do
    if option.value then table.insert(list, option.names[1]) end
  end
  return list
end

local function fill(template, values)
  return (template:gsub("@(%u+)@", function(name) return assert(values[name], name) end))
end

---------------------------------------------------------------------------------------------------
-- bash

local BASH = [[
# moonpark: completion for bash
_moonpark_files() {
  local IFS=$'\n'
  compopt -o filenames 2>/dev/null
  COMPREPLY=($(compgen -f -X '!*.lua' -- "$1") $(compgen -d -- "$1"))
}

_moonpark_any() {
  local IFS=$'\n'
  compopt -o filenames 2>/dev/null
  COMPREPLY=($(compgen -f -- "$1"))
}

_moonpark() {
  local word="${COMP_WORDS[COMP_CWORD]}" i
  COMPREPLY=()
  case "${COMP_WORDS[COMP_CWORD-1]}" in
    @VALUED@) return ;;
  esac
  if [ "$COMP_CWORD" -gt 1 ]; then
    case "${COMP_WORDS[1]}" in
@CASES@
    esac
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "${COMP_WORDS[i]}" in
      --) break ;;
      @VALUED@) i=$((i + 1)) ;;
      -?*) ;;
      *) COMPREPLY=($(compgen -f -- "$word")); compopt -o filenames 2>/dev/null; return ;;
    esac
  done
  case "$word" in
    -*) COMPREPLY=($(compgen -W '@OPTIONS@' -- "$word")); return ;;
  esac
  _moonpark_files "$word"
  if [ "$COMP_CWORD" -eq 1 ]; then COMPREPLY+=($(compgen -W '@COMMANDS@' -- "$word")); fi
}
complete -F _moonpark moonpark
]]

-- The names of a command's own options.
local function own_options(command)
  local names = {}
  for i, option in ipairs(command.options or {}) do names[i] = option.names[1] end
  return names
end

-- Those whose value is a file's name.
local function file_options(command)
  local names = {}
  for _, option in ipairs(command.options or {}) do
    if option.value == "file" then names[#names + 1] = option.names[1] end
  end
  return names
end

local function bash_case(command)
  local reply = '_moonpark_files "$word"'
  if command.files == "folder" then reply = 'COMPREPLY=($(compgen -d -- "$word"))' end
  if command.words then
    reply = ("COMPREPLY=($(compgen -W '%s' -- \"$word\"))"):format(table.concat(command.words, " "))
  end
  local own = own_options(command)
  if own[1] then
    reply = ("case \"$word\" in -*) COMPREPLY=($(compgen -W '%s' -- \"$word\")) ;; *) %s ;; esac"):format(
      table.concat(own, " "), reply)
  end
  local of_files = file_options(command)
  if of_files[1] then
    reply = ('case "${COMP_WORDS[COMP_CWORD-1]}" in %s) _moonpark_any "$word" ;; *) %s ;; esac'):format(
      table.concat(of_files, " | "), reply)
  end
  return ("      %s) %s; return ;;"):format(command.name, reply)
end

function M.bash()
  local names, commands = options.words()
  local cases = {}
  for i, command in ipairs(options.commands) do cases[i] = bash_case(command) end
  return fill(BASH, { VALUED = table.concat(valued(), " | "), CASES = table.concat(cases, "\n"),
    OPTIONS = table.concat(names, " "), COMMANDS = table.concat(commands, " ") })
end

---------------------------------------------------------------------------------------------------
-- zsh

local ZSH = [[
#compdef moonpark
# moonpark: completion for zsh
_moonpark() {
  local -a commands
  commands=(
@COMMANDS@
  )
  case "$words[2]" in
@CASES@
  esac
  _arguments -S \
@OPTIONS@
    '1: :{ _describe command commands; _files -g "*.lua" }' \
    '*:file:_files'
}
# Read as a file of $fpath this is the function itself.
if [ "${funcstack[1]}" = _moonpark ]; then _moonpark "$@"; else compdef _moonpark moonpark; fi
]]

local function one_line(text) return (text:gsub("\n", " ")) end

local function zsh_quote(text) return (text:gsub("'", "'\\''"):gsub("[%[%]:]", "\\%0")) end

local function zsh_option(option)
  local lines = {}
  for _, name in ipairs(option.names) do
    if name:find "^%-%-?%a" then
      lines[#lines + 1] = ("    '*%s[%s]%s' \\"):format(name, zsh_quote(one_line(option.help)),
        option.value and ":" .. zsh_quote(option.value) .. ":" or "")
    end
  end
  return table.concat(lines, "\n")
end

local function zsh_own(command)
  local words = { "shift words; (( CURRENT-- )); _arguments" }
  for _, option in ipairs(command.options) do
    words[#words + 1] = ("'%s[%s]%s'"):format(option.names[1], zsh_quote(one_line(option.help)),
      option.value and ":" .. zsh_quote(option.value) .. ":" .. (option.value == "file" and "_files" or "") or "")
  end
  words[#words + 1] = "'*:folder:_files -/'"
  return table.concat(words, " ")
end

local function zsh_case(command)
  local what = own_options(command)[1] and zsh_own(command)
    or command.words and "_values '' " .. table.concat(command.words, " ")
    or command.files == "folder" and "_files -/" or "_files -g '*.lua'"
  return ("    %s) %s; return ;;"):format(command.name, what)
end

function M.zsh()
  local commands, cases, lines = {}, {}, {}
  for i, command in ipairs(options.commands) do
    commands[i] = ("    '%s:%s'"):format(command.name, zsh_quote(command.help))
    cases[i] = zsh_case(command)
  end
  for _, option in ipairs(options.options) do
    local text = zsh_option(option)
    if text ~= "" then lines[#lines + 1] = text end
  end
  return fill(ZSH, { COMMANDS = table.concat(commands, "\n"), CASES = table.concat(cases, "\n"),
    OPTIONS = table.concat(lines, "\n") })
end

---------------------------------------------------------------------------------------------------
-- fish

local function fish_quote(text) return "'" .. one_line(text):gsub("['\\]", "\\%0") .. "'" end

local function fish_option(option)
  local line = "complete -c moonpark -n __fish_use_subcommand"
  for _, name in ipairs(option.names) do
    local long, short = name:match "^%-%-([%a-]+)$", name:match "^%-(%a)$"
    if long then line = line .. " -l " .. long elseif short then line = line .. " -s " .. short else return nil end
  end
  return line .. (option.value and " -x" or "") .. " -d " .. fish_quote(option.help)
end

local function fish_arguments(command)
  local line = ("complete -c moonpark -n '__fish_seen_subcommand_from %s'"):format(command.name)
  if command.words then return line .. " -f -a " .. fish_quote(table.concat(command.words, " ")) end
  if command.files == "folder" then return line .. " -f -a '(__fish_complete_directories)'" end
  return line .. " -k -a '(__fish_complete_suffix .lua)'"
end

local function fish_own(command, option)
  local line = ("complete -c moonpark -n '__fish_seen_subcommand_from %s' -l %s"):format(command.name,
    option.names[1]:sub(3))
  local kind = option.value == "file" and " -r -F" or option.value and " -x" or ""
  return line .. kind .. " -d " .. fish_quote(option.help)
end

function M.fish()
  local lines = { "# moonpark: completion for fish",
    "complete -c moonpark -n __fish_use_subcommand -k -a '(__fish_complete_suffix .lua)'" }
  for _, option in ipairs(options.options) do lines[#lines + 1] = fish_option(option) end
  for _, command in ipairs(options.commands) do
    for _, option in ipairs(command.options or {}) do lines[#lines + 1] = fish_own(command, option) end
    lines[#lines + 1] = ("complete -c moonpark -n __fish_use_subcommand -a %s -d %s"):format(command.name,
      fish_quote(command.help))
    lines[#lines + 1] = fish_arguments(command)
  end
  return table.concat(lines, "\n") .. "\n"
end

return M

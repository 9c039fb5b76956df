-- SPDX-License-Identifier: MIT
-- support/terminal.lua - runs the moonpark command at a terminal of its own: script(1) makes a pseudo-terminal.
--
--   local child = terminal.start(terminal.command "-i", { MOONPARK_EDITING = "off" })
--   child:expect "> "            what it shows; a line ends with "\r\n"
--   child:write "1 + 1\n"        what is typed; "\3" is Ctrl-C, "\4" is Ctrl-D
--   local status, shown = child:wait()

local ffi = require "ffi"
local process = require "support.process"

local M = {}

local function quote(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

--- Which libraries for line editing the system has.
---@return table<string, boolean> by the names that MOONPARK_EDITING knows
function M.editors()
  return { readline = pcall(ffi.load, "libreadline.so.8"), edit = pcall(ffi.load, "libedit.so.2"), off = true }
end

--- The command, as a word of the shell's language.
---@param ... string its arguments
---@return string
function M.command(...)
  local words = process.moonpark(...)
  for i, word in ipairs(words) do words[i] = quote(word) end
  return table.concat(words, " ")
end

--- Starts a shell command at a terminal that has no colours and no cursor to move, so that what it shows is plain text.
---@param command string
---@param env? table<string, string|false>
---@return process.child
function M.start(command, env)
  local all = { TERM = "dumb", INPUTRC = "/dev/null", SHELL = "/bin/sh", HOME = "/nonexistent", XDG_STATE_HOME = false }
  for name, value in pairs(env or {}) do all[name] = value end
  return process.start({ "script", "-qefc", command, "/dev/null" }, { stdin = true, env = all })
end

return M

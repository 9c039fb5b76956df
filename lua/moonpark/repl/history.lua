-- SPDX-License-Identifier: MIT
-- history.lua - the lines that were typed at the prompt, in a file that only its owner can read.
--
-- Each line is appended as it is typed, so that nothing is lost however the process ends, and two prompts at once do
-- not overwrite each other's. The file is cut when it is read.

local ffi = require "ffi"

ffi.cdef [[
int moonpark_mkdir(const char *path, unsigned mode) __asm__("mkdir");
unsigned moonpark_umask(unsigned mask) __asm__("umask");
]]

local M = {}

local KEPT = 1000 -- lines

-- Runs fn; only the owner can read the files that it makes.
local function privately(fn, ...)
  local before = ffi.C.moonpark_umask(63) -- 077
  local result = fn(...)
  ffi.C.moonpark_umask(before)
  return result
end

--- Its path: $XDG_STATE_HOME/moonpark/history, or ~/.local/state/moonpark/history; nil if there is no home.
---@return string|nil
function M.path()
  local state, home = os.getenv "XDG_STATE_HOME", os.getenv "HOME"
  if state and state:find "^/" then return state .. "/moonpark/history" end
  if home and home:find "^/" then return home .. "/.local/state/moonpark/history" end
end

local function make_folders(path)
  for folder in path:gmatch "()/" do
    if folder > 1 then ffi.C.moonpark_mkdir(path:sub(1, folder - 1), 448) end -- 0700; it may be there
  end
end

local function write(path, mode, lines)
  local file = privately(io.open, path, mode)
  if not file then return false end
  file:write(table.concat(lines, "\n"), "\n")
  return file:close()
end

-- In one step: a prompt that starts meanwhile reads the old file or the new one.
local function rewrite(path, lines)
  local beside = path .. ".new"
  if write(beside, "w", lines) then os.rename(beside, path) end
end

--- The last lines of the file, oldest first; none if there is no file yet.
---@param path string
---@return string[]
function M.load(path)
  local lines = {}
  local file = io.open(path)
  if not file then return lines end
  for line in file:lines() do lines[#lines + 1] = line end
  file:close()
  if #lines <= 2 * KEPT then return lines end
  lines = { unpack(lines, #lines - KEPT + 1) }
  rewrite(path, lines)
  return lines
end

--- Adds a line. A file that cannot be written costs the history, nothing else.
---@param path string
---@param line string
function M.add(path, line)
  if write(path, "a", { line }) then return end
  make_folders(path)
  write(path, "a", { line })
end

return M

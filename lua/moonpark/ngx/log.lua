-- SPDX-License-Identifier: MIT
-- log.lua - ngx.log: lines on standard error, with the script's place. MOONPARK_NGX_LOG is the lowest level that is
-- written: "warn" by default.

local core = require "moonpark.core"
local failures = require "moonpark.failures"
local words = require "moonpark.ngx.words"

local M = {}

local names = { [0] = "stderr", "emerg", "alert", "crit", "error", "warn", "notice", "info", "debug" }
local levels = { err = 4 }
for i = 0, 8 do levels[names[i]] = i end

-- What moonpark.log calls them.
local ours = { [0] = "error", "error", "error", "error", "error", "warn", "info", "info", "debug" }

local wanted = levels[os.getenv "MOONPARK_NGX_LOG" or ""] or levels.warn

M.levels = { STDERR = 0, EMERG = 1, ALERT = 2, CRIT = 3, ERR = 4, WARN = 5, NOTICE = 6, INFO = 7, DEBUG = 8 }

-- "file.lua:3" of the first frame that is not ours
local function place()
  local level = 3
  local frame = debug.getinfo(level, "Sl")
  while frame and frame.what ~= "C" and core.is_own(frame.source:sub(2)) do
    level = level + 1
    frame = debug.getinfo(level, "Sl")
  end
  return frame and ("%s:%d"):format(frame.short_src, frame.currentline) or "?"
end

local printed = { string = true, number = true, boolean = true, ["nil"] = true }

-- What is wrong with a value that cannot be logged, or nil. ngx.null can.
local function complaint(value)
  local kind = type(value)
  if printed[kind] or kind == "userdata" and value == require("cjson").null then return nil end
  if kind ~= "table" then return ("string, number, boolean, or nil expected, got %s"):format(kind) end
  local meta = getmetatable(value)
  if type(meta) == "table" and meta.__tostring then return nil end
  return "expected table to have __tostring metamethod"
end

--- What print and log write of values.
---@return string
function M.joined(...)
  local parts = {}
  for i = 1, select("#", ...) do
    local value = (select(i, ...))
    local wrong = complaint(value)
    if wrong then words.misuse(("bad argument #%d to 'log' (%s)"):format(i + 1, wrong)) end
    parts[i] = type(value) == "userdata" and "null" or tostring(value)
  end
  return table.concat(parts)
end

local function level_of(...)
  local level = words.integer((...))
  if not level then
    local got = select("#", ...) == 0 and "no value" or type((...))
    words.misuse(("bad argument #1 to 'log' (number expected, got %s)"):format(got))
  end
  if not names[level] then words.misuse(("bad argument #1 to 'log' (bad log level: %d)"):format(level)) end
  return level
end

local function log(level, ...)
  if level > wanted then return end
  failures.log(("[%s] %s: %s"):format(names[level], place(), M.joined(...)), ours[level], "ngx")
end

--- log(level, ...)
function M.log(...) log(level_of(...), select(2, ...)) end

--- The level that is written, and its change: of the module ngx.errlog.
function M.get_sys_filter_level() return wanted end
function M.set_filter_level(level) wanted = level end

return M

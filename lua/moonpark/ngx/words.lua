-- SPDX-License-Identifier: MIT
-- words.lua - failures as ngx_lua words them, and misuse at the script's line.

local core = require "moonpark.core"

local M = {}

local words = { eof = "closed", ["connection reset by peer"] = "connection reset by peer", ["broken pipe"] = "broken pipe" }

--- The word for a failure of moonpark's.
---@param err string
---@return string
function M.of(err) return words[err] or err end

--- Raises at the script's line: the first that is not one of ours.
---@param text string
function M.misuse(text)
  local level = 2
  local frame = debug.getinfo(level, "S")
  while frame and frame.what ~= "C" and core.is_own(frame.source:sub(2)) do
    level = level + 1
    frame = debug.getinfo(level, "S")
  end
  error(text, level)
end

--- A table whose missing fields raise by name, with the nearest one that is there.
---@param title string
---@param fields table
---@param absent? table<string, string> [name] = why it is not there
---@return table
function M.guarded(title, fields, absent)
  local spelling = require "moonpark.spelling"
  return setmetatable(fields, { __index = function(_, name)
    if type(name) ~= "string" then return nil end
    local why = absent and absent[name]
    if why then return function() M.misuse(("%s.%s is not there on moonpark: %s"):format(title, name, why)) end end
    return nil, spelling
  end })
end

return M

-- SPDX-License-Identifier: MIT
-- command.lua - how this process was started: a worker is started in the same way, and finds in its environment that it
-- is one.

local core = require "moonpark.core"

local M = {}

--- This process's words, as the system was given them.
---@return string[]|nil
---@return string? err
function M.words()
  local file, err = io.open("/proc/self/cmdline", "rb")
  if not file then return nil, err end
  local text = file:read "*a"
  file:close()
  local words = {}
  for word in text:gmatch "([^%z]*)%z" do words[#words + 1] = word end
  if #words == 0 then return nil, "no command line" end
  return words
end

--- What a worker finds in its environment.
---@param number integer
---@param count integer
---@param generation integer
---@param user? string whom it runs as
---@return table<string, string|false>
function M.environment(number, count, generation, user)
  return {
    MOONPARK_WORKER = ("%d %d %d %d %s"):format(number, count, generation, core.pid(), user or ""),
    NOTIFY_SOCKET = false, WATCHDOG_USEC = false, WATCHDOG_PID = false, -- systemd watches the supervisor
  }
end

return M

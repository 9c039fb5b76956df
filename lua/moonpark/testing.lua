-- SPDX-License-Identifier: MIT
-- testing.lua - busted --helper=moonpark.testing: each `it` runs as a task.
local moonpark = require "moonpark"

local M = {}

local ok, busted = pcall(require, "busted")
if ok then
  local wrapped = setmetatable({}, { __mode = "k" })
  busted.subscribe({ "test", "start" }, function(element)
    if not wrapped[element] then
      wrapped[element] = true
      local run = element.run
      element.run = function(...) return moonpark.run(run, ...) end
    end
    return nil, true
  end)
end

return M

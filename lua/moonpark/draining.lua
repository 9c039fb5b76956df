-- SPDX-License-Identifier: MIT
-- draining.lua - who must stop taking new work when the program drains: servers say so when they open.

local M = {}

--- Who watches SIGTERM and SIGINT: "script", nobody but the script; "command", which asks stop() first; "none": servers
--- leave them alone, because a run of tests is not ended by the servers in it.
---@type "script"|"command"|"none"
M.signals_of = "script"

--- Does the program drain because of that signal? Then it ends afterwards. http/stopping.lua replaces this once it is
--- loaded.
---@param name string "TERM"
---@return boolean
function M.stop(name) -- luacheck: ignore 212
  return false
end

--- Ends the program after such a drain: cancels the tasks that are left, and has that many seconds. The command's, if
--- that runs the program.
---@type fun(reason: string, seconds: number)|false
M.leave = false

local drains = setmetatable({}, { __mode = "k" }) -- [object] = fn(object, seconds, stopped)

--- From now on fn(object, seconds, stopped) is called when the program drains: it waits until that is over, or the
--- seconds are. stopped: nil; or what comes next is not for this program, and fn calls it when it takes nothing more.
--- An object that was collected is forgotten.
---@param object any
---@param fn fun(object: any, seconds: number, stopped: fun()|nil)
function M.add(object, fn) drains[object] = fn end

---@param object any
function M.remove(object) drains[object] = nil end

--- All of them.
---@return {object: any, drain: fun(object: any, seconds: number, stopped: fun()|nil)}[]
function M.list()
  local list = {}
  for object, fn in pairs(drains) do list[#list + 1] = { object = object, drain = fn } end
  return list
end

return M

-- SPDX-License-Identifier: MIT
-- thread.lua - ngx.thread over tasks: a light thread runs at once until its first wait.

local core = require "moonpark.core"
local task = require "moonpark.task"
local words = require "moonpark.ngx.words"

local M = {}

local mark = setmetatable({}, { __mode = "k" }) -- [task] = true: a light thread that was not waited for

local function check(thread)
  if mark[thread] == nil then words.misuse("bad argument #1 to 'wait' (a light thread expected)") end
end

-- A task's error, as ngx_lua gives it to the parent.
local function joined(ok, ...)
  if ok then return true, ... end
  return false, (...)
end

--- spawn(fn, ...) -> a light thread
function M.spawn(fn, ...)
  if type(fn) ~= "function" then
    words.misuse(("bad argument #1 to 'spawn' (function expected, got %s)"):format(type(fn)))
  end
  local thread = core.go_now(fn, ...)
  mark[thread] = "alive"
  return thread
end

--- wait(thread, ...) -> true, results | false, error: of the first that ends
function M.wait(...)
  local cases = {}
  for i = 1, select("#", ...) do
    local thread = (select(i, ...))
    check(thread)
    if mark[thread] == "waited" then
      if select("#", ...) == 1 then return nil, "already waited or killed" end
    else cases[#cases + 1] = { thread } end
  end
  if #cases == 1 then
    mark[cases[1][1]] = "waited"
    return joined(cases[1][1]:join())
  end
  local function took(number, ...)
    if not number then return nil, (...) end
    mark[cases[number][1]] = "waited"
    return joined(...)
  end
  return took(task.select(cases))
end

--- kill(thread) -> 1 | nil, err
function M.kill(thread)
  check(thread)
  local status = thread:status()
  if mark[thread] == "waited" then return nil, "already waited or killed" end
  if status == "done" or status == "failed" then return nil, "already terminated" end
  if thread == core.current() then return nil, "killer not parent" end
  mark[thread] = "waited"
  thread:cancel "killed"
  return 1
end

return M

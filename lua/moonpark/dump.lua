-- SPDX-License-Identifier: MIT
-- dump.lua - reports for people: every task, where it is parked, on what, since when, and which task
-- started it; and the report of a deadlock.

local core = require "moonpark.core"
local failures = require "moonpark.failures"
local task = require "moonpark.task"

local M = {}

local MINUTE, HOUR, DAY = 60, 3600, 86400
local NEVER = 36500 * DAY -- a deadline so far away was meant to be none

local function seconds(s)
  if s < 1 then s = math.floor(s * 1000 + 0.5) / 1000 end -- no 1.2e-05
  if s >= MINUTE - 0.05 then s = math.floor(s + 0.5) end -- no 60 s, and a deadline set just now is whole
  if s < MINUTE then return ("%.3g s"):format(s) end
  if s < HOUR then return ("%d min %d s"):format(s / MINUTE, s % MINUTE) end
  if s < DAY then return ("%d h %d min"):format(s / HOUR, s % HOUR / MINUTE) end
  return ("%d d %d h"):format(s / DAY, s % DAY / HOUR)
end

--- When a deadline is: "in 5 s", or "5 s ago" while a task keeps the loop from acting on it.
---@param deadline number on moonpark.now()'s clock
---@return string|nil # nil: never
function M.when(deadline)
  local left = deadline - core.now()
  if left >= NEVER then return nil end
  return left < 0 and seconds(-left) .. " ago" or "in " .. seconds(left)
end

local function title(info)
  local name = task.name_of(info.task)
  return ("task %d%s"):format(info.id, name and (" %q"):format(name) or "")
end

-- What a task waits on, in words. A mutex is held by a task, which may have ended and will never let go; a task that is
-- joined has its name.
local function object_of(object, alive)
  local held, id = object:match "^(.-)task (%d+)$"
  if held ~= "" and held ~= "mutex held by " then return object end
  local other = alive[tonumber(id)]
  return held .. (other and title(other) or ("task %s, which has ended"):format(id))
end

-- Tasks in the order in which they were started.
local function in_order()
  local tasks = core.tasks()
  table.sort(tasks, function(a, b) return a.id < b.id end)
  return tasks
end

-- [id] = info
local function by_id(tasks)
  local alive = {}
  for _, info in ipairs(tasks) do alive[info.id] = info end
  return alive
end

local function state_of(info, now, alive)
  if info.state == "running" then return "running" end
  local wait, object = task.wait_of(info)
  if info.state == "ready" then return ("ready after %s"):format(wait) end
  local text = ("parked in %s"):format(wait)
  if object then text = text .. " on " .. object_of(object, alive) end
  text = text .. (", %s"):format(seconds(now - info.since))
  local when = info.deadline and M.when(info.deadline)
  return when and ("%s, deadline %s"):format(text, when) or text
end

--- One line: which task, and where it is parked, on what, since when, until when.
---@param info table an entry of core.tasks()
---@return string
function M.line(info) return title(info) .. " " .. state_of(info, core.now(), by_id(core.tasks())) end

local function cancellation(info)
  if not info.canceled then return "" end
  local reason = task.reason_of(info.task)
  return reason and (", canceled (%s)"):format(reason) or ", canceled"
end

-- debug.traceback without its own title, indented.
local function indented(traceback)
  return (traceback:gsub("^[^\n]*\n?", ""):gsub("\t", "    "))
end

local function parked_at(info)
  local lines = {}
  if info.state == "running" then
    lines[1] = indented(debug.traceback("", 3):gsub("^\n", ""))
  else
    if info.parked then
      lines[1] = indented(debug.traceback(info.parked))
      lines[2] = "    (a generator, resumed by)"
    end
    lines[#lines + 1] = indented(debug.traceback(info.thread))
  end
  return table.concat(lines, "\n")
end

local function created_by(info)
  if info.creator == 0 then return "  started by moonpark.run" end
  local at = #info.site > 0 and "\n    " .. table.concat(info.site, "\n    ") or ""
  return ("  started by task %d at%s"):format(info.creator, at)
end

local function entry(info, now, alive)
  return ("%s %s%s\n%s\n%s"):format(title(info), state_of(info, now, alive), cancellation(info), parked_at(info),
    created_by(info))
end

local function failed(ended)
  return ("%s failed and has not been joined\n    %s"):format(tostring(ended),
    (failures.describe(ended):gsub("\t", "    "):gsub("\n", "\n    ")))
end

--- Text of every task: name, where it is parked, on what, since when, its deadline, both tracebacks. After them the
--- failed tasks that were not joined, with their errors.
---@return string
function M.dump()
  local tasks, now, lines = in_order(), core.now(), {}
  local alive = by_id(tasks)
  for _, info in ipairs(tasks) do lines[#lines + 1] = entry(info, now, alive) end
  table.insert(lines, 1, ("moonpark: %d task%s"):format(#tasks, #tasks == 1 and "" or "s"))
  for _, ended in ipairs(failures.unjoined()) do lines[#lines + 1] = failed(ended) end
  return table.concat(lines, "\n\n") .. "\n"
end

--- The line of a traceback for the innermost frame that is the script's own.
---@param info table an entry of core.tasks()
---@return string "app.lua:7: in function <app.lua:3>", or "?"
function M.first_line(info)
  local thread, level = info.parked or info.thread, 0
  local frame = debug.getinfo(thread, level, "S")
  while frame and (frame.what == "C" or core.is_own(frame.source:sub(2))) do
    level = level + 1
    frame = debug.getinfo(thread, level, "S")
  end
  return debug.traceback(thread, "", frame and level or 0):match("\n%s+([^\n]+)") or "?"
end

local function waits(info, alive)
  local wait, object = task.wait_of(info)
  local on = object and (" on " .. object_of(object, alive)) or ""
  return ("  %s waits in %s%s\n    at %s"):format(title(info), wait or "?", on, M.first_line(info))
end

--- Which task waits for what. Only meaningful when nothing outside can wake any task.
---@return string
function M.deadlock()
  local tasks, lines = in_order(), {}
  local alive = by_id(tasks)
  for _, info in ipairs(tasks) do lines[#lines + 1] = waits(info, alive) end
  table.insert(lines, 1, ("deadlock: %s parked, and nothing outside can wake %s"):format(
    #tasks == 1 and "the only task is" or ("all %d tasks are"):format(#tasks),
    #tasks == 1 and "it" or "any of them"))
  return table.concat(lines, "\n")
end

task.describe_deadlocks_with(M.deadlock)

return M

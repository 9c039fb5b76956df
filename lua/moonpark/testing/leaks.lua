-- SPDX-License-Identifier: MIT
-- leaks.lua - which tasks, connections, files, pollDescs, subscriptions to signals, detached processes, locks and
-- receivers of moonpark.shared exist, to whom each belongs, and which are left behind.
--
-- Things made while a test runs are the test's and have no owner here. Things that `setup` makes belong to its block,
-- and so do those that the block's tasks make: a server from `setup` may accept connections during a test.

local core = require "moonpark.core"
local dump = require "moonpark.dump"
local shared = require("moonpark.shared.client").default

local M = {}

local function shared_kind(name, of)
  return { name = name, list = function() return shared:list(of) end, close = function(id) shared:finish(of, id) end }
end

-- All but tasks, in the order of reports. list() -> what is there; close(id) ends that one.
local kinds = {
  { name = "connection", list = core.conns, close = core.close_conn },
  { name = "file", list = core.files, close = core.close_file },
  { name = "pollDesc", list = core.polls, close = core.close_poll },
  { name = "subscription", list = core.signal_subscriptions, close = core.signal_unsubscribe },
  { name = "process", plural = "processes", list = core.process_detached, close = core.process_end_detached },
  shared_kind("shared lock", "lock"),
  shared_kind("shared receiver", "receiver"),
}

local owners = { task = {} } -- [kind][id] = whose it is
for _, kind in ipairs(kinds) do owners[kind.name] = {} end

---@class moonpark.testing.thing
---@field kind "task"|"connection"|"file"|"pollDesc"|"subscription"|"process"|"shared lock"|"shared receiver"
---@field id number
---@field info table an entry of core.tasks(), or of the kind's list
---@field owner any the block whose it is; nil: the test's

local function add(things, kind, infos)
  for _, info in ipairs(infos) do
    local owner = owners[kind][info.id] or owners.task[info.creator]
    owners[kind][info.id] = owner
    things[#things + 1] = { kind = kind, id = info.id, info = info, owner = owner }
  end
end

-- A task has a higher id than the one that started it, so owners are known in time.
local function tasks()
  local infos, things = core.tasks(), {}
  table.sort(infos, function(a, b) return a.id < b.id end)
  add(things, "task", infos)
  return things
end

local function everything()
  local things = tasks()
  for _, kind in ipairs(kinds) do add(things, kind.name, kind.list()) end
  return things
end

local function filter(things, owner)
  local left = {}
  for _, thing in ipairs(things) do
    if thing.owner == nil or thing.owner == owner then left[#left + 1] = thing end
  end
  return left
end

--- Everything without an owner becomes that owner's.
---@param owner any
function M.adopt(owner)
  for _, thing in ipairs(everything()) do
    if thing.owner == nil then owners[thing.kind][thing.id] = owner end
  end
end

--- Everything without an owner, and everything of that owner.
---@param owner any nil: none
---@return moonpark.testing.thing[]
function M.left(owner) return filter(everything(), owner) end

--- The same, tasks alone.
function M.left_tasks(owner)
  return core.stats().tasks > 0 and filter(tasks(), owner) or {}
end

--- The same for detached processes only, which cannot be waited for.
---@return moonpark.testing.thing[]
function M.left_processes(owner)
  local things = {}
  add(things, "process", core.process_detached())
  return filter(things, owner)
end

--- Drops what no test has to: connections that HTTP clients keep for their next request, and values of shared.once.
function M.forget_kept()
  shared:forget_all()
  local pool = package.loaded["moonpark.http.pool"]
  if pool then pool.close_all_idle() end
end

---------------------------------------------------------------------------------------------------
-- reports

-- The innermost frame that is not moonpark's own.
local function place(site)
  for _, frame in ipairs(site) do
    if not core.is_own(frame) then return frame end
  end
  return site[#site] or "an unknown place"
end

local function timers_of(info)
  local due = {}
  for _, name in ipairs { "read_deadline", "write_deadline" } do
    local when = info[name] and dump.when(info[name])
    if when then due[#due + 1] = name:gsub("_", " ") .. " " .. when end
  end
  return due
end

local describe = {
  task = function(info) return ("%s\n    started at %s"):format(dump.line(info), place(info.site)) end,
  pollDesc = function(info)
    return ("pollDesc of descriptor %d\n    opened at %s"):format(info.fd, place(info.site))
  end,
  file = function(info)
    return ("%s, descriptor %d\n    opened at %s"):format(info.text, info.fd, place(info.site))
  end,
  subscription = function(info) return ("%s\n    subscribed to at %s"):format(info.text, place(info.site)) end,
  ["shared lock"] = function(info) return info.text end,
  ["shared receiver"] = function(info) return info.text end,
  process = function(info) return ("%s\n    started at %s"):format(info.text, place(info.site)) end,
  connection = function(info)
    local parts = timers_of(info)
    if info.fd >= 0 then table.insert(parts, 1, ("descriptor %d"):format(info.fd)) end
    table.insert(parts, 1, info.text)
    return ("%s\n    opened at %s"):format(table.concat(parts, ", "), place(info.site))
  end,
}

local function timer_count(thing)
  if thing.kind == "task" then return thing.info.deadline and 1 or 0 end
  return thing.kind == "connection" and #timers_of(thing.info) or 0
end

local function counted(n, noun, plural)
  return n > 0 and ("%d %s"):format(n, n == 1 and noun or plural or noun .. "s") or nil
end

local function headline(things)
  local n, timers = {}, 0
  for _, thing in ipairs(things) do
    n[thing.kind] = (n[thing.kind] or 0) + 1
    timers = timers + timer_count(thing)
  end
  local parts = { counted(n.task or 0, "task") }
  for _, kind in ipairs(kinds) do parts[#parts + 1] = counted(n[kind.name] or 0, kind.name, kind.plural) end
  parts[#parts + 1] = counted(timers, "timer")
  return table.concat(parts, ", ")
end

--- Each thing by name, with the place where it was made.
---@param who string who has left them: "the test"
---@param things moonpark.testing.thing[]
---@return string
function M.report(who, things)
  local lines = { ("%s left behind: %s"):format(who, headline(things)) }
  for _, thing in ipairs(things) do lines[#lines + 1] = "  " .. describe[thing.kind](thing.info) end
  return table.concat(lines, "\n")
end

--- If nothing exists that could account for them: counts that are not 0, as text; otherwise nil.
---@return string|nil
function M.unaccounted()
  if #everything() > 0 then return nil end
  local stats, wrong = core.stats(), {}
  for _, name in ipairs { "tasks", "outside", "waiters", "polls", "timers" } do
    if stats[name] ~= 0 then wrong[#wrong + 1] = ("%s: %d"):format(name, stats[name]) end
  end
  return wrong[1] and "nothing is left, yet the loop counts " .. table.concat(wrong, ", ") or nil
end

---------------------------------------------------------------------------------------------------
-- ending what is left

local function close(things)
  for _, kind in ipairs(kinds) do
    for _, thing in ipairs(things) do
      if thing.kind == kind.name then kind.close(thing.id) end
    end
  end
end

--- Ends it all: tasks are cancelled, descriptors closed, and tasks that continue nevertheless are killed. Outside
--- the loop only.
---@param owner any as for left
---@param settle fun() lets tasks continue for a while
function M.finish(owner, settle)
  for _, thing in ipairs(M.left_tasks(owner)) do thing.info.task:cancel("left behind by a test") end
  settle()
  close(M.left(owner))
  settle()
  for _, thing in ipairs(M.left_tasks(owner)) do core.kill(thing.info.task) end
  close(M.left(owner))
end

return M

-- SPDX-License-Identifier: MIT
-- failures.lua - what happens to a task's error: it goes to the task that joins, and without a join it is reported.
--
-- A failed task's handle is held weakly here. Before the loop blocks, garbage is collected once, and failures whose
-- handle is gone are reported: they can no longer be joined. Those whose handle is kept are reported after a second,
-- because perhaps no task ever joins; at the end of a run all others are.

local core = require "moonpark.core"

local M = {}

local PATIENCE = 1 -- seconds to wait for a join
local PATIENCE_TO_WRITE = 0.02 -- seconds: for the order with what the script writes, unless lines are waiting already
local MOMENT = 1e-6 -- seconds; the loop counts whole ns, and may call back a fraction of one early

local reporter, only_at_end
-- The oldest first. [i] = {box = the handle, held weakly; text = what to report; due = when; awaited = a join takes it
-- as soon as its task runs; claimed = it was joined; told = it was reported}. Those before `first` are claimed, those
-- before `pending` are claimed or awaited, and stay so.
local kept, first, pending, count = {}, 1, 1, 0 -- count: of those that are not claimed
local unjoined = setmetatable({}, { __mode = "k" }) -- [task] = such an entry
local traces = setmetatable({}, { __mode = "k" }) -- [task] = {err = value, trace = text}
local watched = setmetatable({}, { __mode = "k" }) -- [task] = true: what waits for its end takes no errors
local holds_weakly = { __mode = "v" } -- of such an entry: an error that knows its task would keep both for ever
local last_collection, collection_cost = 0, 0

--- How many errors were reported as uncaught since the start.
M.uncaught = 0

local function word(value)
  return type(value) == "string" and ("%q"):format(value) or type(value) == "table" and "{...}" or tostring(value)
end

local FIELDS = 8 -- of an error that is a table

local function pair(key, value)
  local name = type(key) == "string" and key:find "^[%a_][%w_]*$" and key or ("[%s]"):format(word(key))
  return ("%s = %s"):format(name, word(value))
end

-- What a table without a metatable says: its address would tell nobody what has failed.
local function shown(err)
  local parts, named = {}, {}
  for i = 1, #err do parts[i] = word(err[i]) end
  for key, value in next, err do
    if not (type(key) == "number" and parts[key]) then named[#named + 1] = pair(key, value) end
  end
  table.sort(named)
  for _, text in ipairs(named) do parts[#parts + 1] = text end
  if #parts == 0 then return "{}" end
  local left = #parts - FIELDS
  return ("{ %s%s }"):format(table.concat(parts, ", ", 1, math.min(#parts, FIELDS)),
    left > 0 and (", and %d more"):format(left) or "")
end

---@param err any
---@return string # the error as text; never raises, whatever its __tostring does
function M.text(err)
  local plain = type(err) == "table" and getmetatable(err) == nil
  local ok, text = pcall(plain and shown or tostring, err)
  return ok and text or ("(error object whose __tostring failed: " .. type(err) .. ")")
end

--- Is this the error of a task that gave up because it was cancelled? assert(conn:read()) raises the
--- word itself; an assertion library wraps it into an object.
function M.is_cancellation(err)
  -- find needs no memory, as sub would
  return (type(err) == "string" or type(err) == "table") and M.text(err):find("canceled", -8, true) ~= nil
end

--- Keeps the traceback of an error that this task is about to raise.
---@param err any
---@param trace string as debug.traceback's
function M.remember_trace(err, trace)
  local task = core.current()
  if task then traces[task] = setmetatable({ err = err, trace = trace }, holds_weakly) end
end

local function remember(err)
  local task = core.current()
  local before = task and traces[task]
  if task and not (before and rawequal(before.err, err)) then
    M.remember_trace(err, (debug.traceback("", 3):gsub("^\n", "")))
  end
  return err
end

local find = string.find

--- A message handler for xpcall: keeps the traceback of an error that is raised again further up.
--- After a stack overflow there is hardly room for the handler itself: it does nothing then.
function M.remember(err)
  if type(err) == "string" and find(err, "stack overflow", 1, true) then return err end
  return (remember(err))
end

--- The traceback that has been remembered for this error in this task, or nil.
---@param err any
---@return string|nil
function M.trace_of(err)
  local task = core.current()
  local remembered = task and traces[task]
  return remembered and rawequal(remembered.err, err) and remembered.trace or nil
end

--- The error and, where it has been remembered in this task, its traceback, as one text.
function M.traced(err)
  local task = core.current()
  local remembered = task and traces[task]
  if not (remembered and rawequal(remembered.err, err)) then return M.text(err) end
  return M.text(err) .. "\n" .. remembered.trace
end

--- "started at" lines from a site array.
function M.started_at(site)
  if not site or #site == 0 then return "" end
  return "\nstarted at:\n\t" .. table.concat(site, "\n\t")
end

--- The error, its traceback and where its task was started, as one text.
---@param task userdata an ended task
function M.describe(task)
  local _, err, trace = task:results()
  local remembered = traces[task]
  if remembered and rawequal(remembered.err, err) then trace = remembered.trace end
  local text = M.text(err)
  if trace then text = text .. "\n" .. trace end
  return text .. M.started_at(task:site())
end

--- The value to raise in another task for a child's error: strings get the child's traceback.
function M.raised(task)
  local _, err = task:results()
  return type(err) == "string" and M.describe(task) or err
end

--- Does an error only pass on that of an ended task: is it the same value, or a text that contains it?
---@param err any
---@param task userdata
---@return boolean
function M.passes_on(err, task)
  local _, its = task:results()
  if rawequal(err, its) then return true end
  local text = M.text(its)
  return text ~= "" and M.text(err):find(text, 1, true) ~= nil
end

--- Reports an error that nothing else will ever take.
---@param text string
---@param what string what it is an error in
function M.report(text, what)
  M.uncaught = M.uncaught + 1
  if reporter then return reporter(text, what) end
  M.log(what .. ": " .. text)
end

local stderr, say = core.writer_standard(2), nil

--- Writes a line for whoever runs the program: once moonpark.log is loaded, in the form that it has.
---@param text string
---@param level? moonpark.log.level "error" by default
---@param name? string of a logger: the part of moonpark that says it
function M.log(text, level, name)
  if say then return say(text, level, name) end
  stderr:put(text, PATIENCE_TO_WRITE, "moonpark: ")
end

--- From now on fn(text, level, name) writes these lines.
function M.log_with(fn) say = fn end

--- The log of a server: its on_error, if it has one. If that raises, both errors are written, and the server goes on.
---@param on_error? fun(text: string)
---@param name? string of the logger
---@return fun(text: string)
function M.log_to(on_error, name)
  if not on_error then return function(text) M.log(text, "error", name) end end
  return function(text)
    local ok, err = pcall(on_error, text)
    if not ok then M.log(text .. "\nerror in on_error: " .. M.text(err)) end
  end
end

--- Why an http.serve of the main task has not served, or false. The command says it where the main task returned after
--- it as if all had been well.
---@type string|false
M.not_served = false

--- Replaces where uncaught errors are written: fn(text, what it is).
--- at_end: those whose handle is kept are reported by flush() alone.
---@param fn fun(text: string, what: string)
---@param at_end? boolean
function M.on_report(fn, at_end) reporter, only_at_end = fn, at_end end

local function next_due()
  while kept[first] and kept[first].claimed do first = first + 1 end
  while kept[pending] and (kept[pending].awaited or kept[pending].claimed) do pending = pending + 1 end
  return kept[pending] and kept[pending].due
end

-- The loop calls back before it blocks while there is anything to report, and when the oldest has waited long enough.
local function watch() core.watch_idle(count > 0, not only_at_end and next_due() or nil) end

--- A task that is not going to take its error waits for the end of that one.
---@param task moonpark.task
function M.only_watched(task) watched[task] = true end

--- Remembers a task that ended with an error which no task has taken yet.
function M.keep(task)
  local failure = { box = setmetatable({ task }, { __mode = "v" }), text = M.describe(task),
    due = core.now() + PATIENCE, awaited = task:is_awaited() and not watched[task] }
  unjoined[task] = failure
  kept[#kept + 1] = failure
  count = count + 1
  watch()
end

--- Its error was taken by a join.
function M.claim(task)
  local failure = unjoined[task]
  if not failure then return end
  unjoined[task] = nil
  if failure.told then
    M.uncaught = M.uncaught - 1
    return
  end
  failure.claimed = true
  count = count - 1
  if count == 0 then kept, first, pending = {}, 1, 1 end
  watch()
end

--- Failed tasks that were not joined so far, the oldest first.
---@return moonpark.task[]
function M.unjoined()
  local tasks = {}
  for task in pairs(unjoined) do tasks[#tasks + 1] = task end
  table.sort(tasks, function(a, b) return a:id() < b:id() end)
  return tasks
end

local function report_if(is_due, what)
  local left = {}
  for i = first, #kept do
    local failure = kept[i]
    if not failure.claimed and is_due(failure) then
      failure.told = true
      M.report(failure.text, what)
    elseif not failure.claimed then
      left[#left + 1] = failure
    end
  end
  kept, first, pending, count = left, 1, 1, #left
  watch()
end

local function report_unreachable()
  collectgarbage()
  collectgarbage() -- objects that a finalizer held are freed only now
  report_if(function(failure) return failure.box[1] == nil end, "uncaught error in a task")
end

--- Reports failures that can no longer be joined.
function M.collect()
  if count > 0 then report_unreachable() end
end

-- A full collection costs time in proportion to the heap: at most a twentieth of the time is spent on it.
core.on_idle(function(blocks)
  local now = core.now()
  if not only_at_end and (next_due() or math.huge) <= now + MOMENT then
    report_if(function(failure) return failure.due <= now + MOMENT and not failure.awaited end,
      "error in a task that has not been joined")
  end
  if not blocks then return end
  if count == 0 or now - last_collection < 20 * collection_cost then return end
  report_unreachable()
  last_collection = core.now()
  collection_cost = last_collection - now
end)

--- The run has ended: no task will join any more.
function M.flush()
  report_if(function() return true end, "uncaught error in a task")
  unjoined = setmetatable({}, { __mode = "k" })
end

return M

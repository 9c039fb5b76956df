-- SPDX-License-Identifier: MIT
-- busted.lua - turns busted's functions into tasks: it, before_each, after_each, setup, teardown, finally.
--
--   made in                    is checked, and ended, after
--   it, before_each, finally   the last after_each of that test, or the test if there is none
--   setup, lazy_setup          the block (describe or file) that contains it
--
-- busted publishes an event before a test or block; the functions are replaced then, or as soon as the block's
-- body has said which ones there are. Errors of a function reach busted unchanged, and `getTrace` of the file, which
-- busted asks for an error's place, gives the place inside the task.

local core = require "moonpark.core"
local draining = require "moonpark.draining"
local failures = require "moonpark.failures"
local leaks = require "moonpark.testing.leaks"
local limits_of_tasks = require "moonpark.limits"
local run = require "moonpark.testing.run"

local M = {}

local busted
local wrapped = setmetatable({}, { __mode = "k" }) -- [element or block] = true
local limits = setmetatable({}, { __mode = "k" })  -- [block] = seconds, or false: none
local default_limit
local block       -- whose body runs
local current     -- {owner =}: of what is made by the function that runs; nil: none runs
local test = {}   -- {element =, failed =, limit =}: the test that runs, from its before_each to its after_each
local raised      -- {err =, trace =}: the last error handed to busted
local undo = {}   -- [i] = {fn =, owner =}: what else ends with a test or block

---------------------------------------------------------------------------------------------------
-- time limits

local function limit_of(element)
  if test.limit ~= nil then return test.limit or nil end
  while element do
    if limits[element] ~= nil then return limits[element] or nil end
    element = busted.parent(element)
  end
  return default_limit or nil
end

--- For testing.timeout. False if busted runs neither a test nor a block's body.
---@param seconds number|false
function M.set_timeout(seconds)
  if current then
    if not current.owner then test.limit = seconds end
    return run.set_limit(seconds or nil)
  end
  if block then limits[block] = seconds end
  return block ~= nil
end

---------------------------------------------------------------------------------------------------
-- errors

local function place_of(element)
  local trace = element.trace or {}
  return { short_src = trace.short_src, currentline = trace.currentline, traceback = "" }
end

local function throw(err, trace)
  raised = { err = err, trace = trace }
  error(err, 0)
end

-- Fails the test as an assertion would.
local function fail(element, text)
  local _, failure = pcall(busted.fail, text, 0)
  throw(failure, place_of(element))
end

-- busted asks this of a file to learn where an error came from.
local function tell_traces(file)
  local get_trace = file.getTrace
  if not get_trace then return end
  file.getTrace = function(name, info)
    if raised and rawequal(info.message, raised.err) then
      for key, value in pairs(raised.trace) do info[key] = value end
    end
    return get_trace(name, info)
  end
end

local function uncaught_text(reports)
  local lines = {}
  for _, text in ipairs(reports) do lines[#lines + 1] = "uncaught error in a task: " .. text end
  return table.concat(lines, "\n\n")
end

local function is_failure(err)
  return type(err) == "table" and (debug.getmetatable(err) or {}).__type == "failure" and type(err.message) == "string"
end

-- A failed test's error, followed by what else went wrong, which is often the cause. An error that is not text
-- stays as it is.
local function with_uncaught(err, reports)
  if #reports == 0 then return err end
  local text = "\n\nmeanwhile: " .. uncaught_text(reports)
  if type(err) == "string" then return err .. text end
  if is_failure(err) then return setmetatable({ message = err.message .. text }, debug.getmetatable(err)) end
  io.stderr:write(text, "\n")
  return err
end

--- For testing.uncaught.
function M.uncaught()
  failures.flush()
  return run.take_reports()
end

---------------------------------------------------------------------------------------------------
-- after a function of busted's

local function settle_down(owner)
  run.settle(function() return leaks.left_tasks(owner) end)
  run.wait_for_kernel(function() return leaks.left_processes(owner) end)
end

local function undo_all(owner)
  local kept = {}
  for i = #undo, 1, -1 do
    local last = undo[i]
    if last.owner == nil or last.owner == owner then last.fn() else table.insert(kept, 1, last) end
  end
  undo = kept
end

--- fn() is called when the test or block has ended that now runs.
---@return boolean # false: none runs
function M.at_end(fn)
  if not current then return false end
  undo[#undo + 1] = { fn = fn, owner = current.owner }
  return true
end

-- Ends what a test has left, or a block. What is to be said about it, or nil; and uncaught errors.
local function clean(who, owner)
  core.clock_thaw()
  leaks.forget_kept()
  settle_down(owner)
  failures.flush()
  local reports, left = run.take_reports(), leaks.left(owner)
  local leak = #left > 0 and leaks.report(who, left) or nil
  if leak then leaks.finish(owner, function() settle_down(owner) end) end
  undo_all(owner)
  failures.flush()
  run.take_reports() -- what was ended by force complains about that
  core.check()
  return leak or leaks.unaccounted(), reports
end

-- What the function itself said comes first; a test that failed half-way is not blamed for what it left.
local function verdict(element, outcome, reports, leak)
  if outcome.gave_up then fail(element, with_uncaught(outcome.err, reports)) end
  if not outcome.ok then throw(with_uncaught(outcome.err, reports), outcome.trace) end
  local texts = {}
  if #reports > 0 then texts[1] = uncaught_text(reports) end
  texts[#texts + 1] = leak
  if texts[1] then fail(element, table.concat(texts, "\n\n")) end
end

-- Where what was made stays.
local function pass_on(element, outcome)
  failures.collect()
  verdict(element, outcome, run.take_reports())
end

local function full_name(element)
  local names = {}
  while element and element.descriptor ~= "file" do
    table.insert(names, 1, element.name)
    element = busted.parent(element)
  end
  return table.concat(names, " ")
end

local function end_test(element, outcome)
  local it, failed = test.element, test.failed
  test = {}
  local leak, reports = clean(it and ("the test '%s'"):format(full_name(it)) or "before_each", nil)
  verdict(outcome.ok and it or element, outcome, reports, not failed and leak or nil)
end

---------------------------------------------------------------------------------------------------
-- the kinds of functions

local function has_after_each(element)
  local parent = busted.parent(element)
  while parent do
    if parent.after_each and #parent.after_each > 0 then return true end
    parent = busted.parent(parent)
  end
  return false
end

local function is_last_after_each(element)
  local parent = busted.parent(element)
  return parent.after_each[#parent.after_each] == element and not has_after_each(parent)
end

local after = {}

local function go_on_or_end(goes_on, element, outcome)
  if not outcome.ok then test.failed = true end
  if goes_on then return pass_on(element, outcome) end
  end_test(element, outcome)
end

function after.before_each(element, outcome)
  go_on_or_end(outcome.ok or has_after_each(element), element, outcome)
end

function after.it(element, outcome)
  go_on_or_end(element.has_finally or has_after_each(element), element, outcome)
end

function after.finally(element, outcome)
  go_on_or_end(has_after_each(element), element, outcome)
end

function after.after_each(element, outcome)
  go_on_or_end(not is_last_after_each(element), element, outcome)
end

function after.strict_setup(element, outcome)
  leaks.adopt(busted.parent(element))
  pass_on(element, outcome)
end

after.lazy_setup = after.strict_setup
after.strict_teardown = pass_on
after.lazy_teardown = pass_on

local of_block = { strict_setup = true, lazy_setup = true, strict_teardown = true, lazy_teardown = true }

-- `setup` stands for strict_setup; its name then says so.
local function name_of(kind, element)
  if of_block[kind] then return element.name or kind end
  return kind .. (element.name and " " .. element.name or "")
end

local function run_element(kind, element, fn)
  current = { owner = of_block[kind] and busted.parent(element) or nil }
  local outcome = run.call(name_of(kind, element), limit_of(element), fn)
  current = nil
  after[kind](element, outcome)
end

---------------------------------------------------------------------------------------------------
-- putting them in busted's place

local function wrap(kind, element)
  local fn = element.run
  if wrapped[element] or type(fn) ~= "function" then return end
  wrapped[element] = true
  local function run_it() return run_element(kind, element, fn) end
  element.run = setfenv(run_it, getfenv(fn)) -- busted looks at the environment
end

-- All functions of a block whose body has run.
local function wrap_all(parent)
  for kind in pairs(after) do
    for _, element in ipairs(parent[kind] or {}) do wrap(kind, element) end
  end
end

local function wrap_body(parent, body)
  return function(...)
    block = parent
    body(...)
    block = nil
    wrap_all(parent)
  end
end

-- A file's function is the __call of a table.
local function wrap_block(parent)
  if wrapped[parent] then return end
  wrapped[parent] = true
  local meta = type(parent.run) == "table" and getmetatable(parent.run)
  if meta then
    tell_traces(parent.run)
    meta.__call = wrap_body(parent, meta.__call)
  else
    parent.run = wrap_body(parent, parent.run)
  end
end

local function wrap_finally(element)
  local set = element.env.finally
  element.has_finally = false
  element.env.finally = function(fn)
    element.has_finally = fn ~= nil
    set(fn and function() return run_element("finally", element, fn) end)
  end
end

-- Results of tests are busted's, and lost if the process is ended: those so far are kept as text.
local tally = { success = 0, failed = {} }
local LISTED = 20

local function count_result(element, status)
  if status == "success" then tally.success = tally.success + 1 end
  if status ~= "failure" and status ~= "error" then return end
  local trace = element.trace or {}
  table.insert(tally.failed, ("%s (%s:%d)"):format(full_name(element), trace.short_src or "?", trace.currentline or 0))
end

function run.so_far()
  local failed = { unpack(tally.failed, 1, LISTED) }
  if #tally.failed > LISTED then failed[#failed + 1] = "..." end
  if #failed > 0 then table.insert(failed, 1, "") end
  return ("\nmoonpark.testing: before it %d passed, %d failed%s"):format(tally.success, #tally.failed,
    table.concat(failed, "\n  "))
end

local function end_block(parent)
  local leak, reports = clean(name_of(parent.descriptor, parent), parent)
  verdict(parent, { ok = true }, reports, leak)
end

local function on(descriptor, moment, fn)
  busted.subscribe({ descriptor, moment }, function(element)
    fn(element)
    return nil, true
  end, moment == "start" and { priority = 1 } or nil)
end

--- Subscribes to busted's events.
---@param limit number|false seconds a test may take if nobody says otherwise
function M.install(limit)
  busted, default_limit = require "busted", limit
  core.trace_conns(true)
  limits_of_tasks.share_profiler() -- it interrupts tests that compute without end
  draining.signals_of = "none"
  for _, descriptor in ipairs { "describe", "file" } do
    on(descriptor, "start", wrap_block)
    on(descriptor, "end", end_block)
  end
  on("suite", "start", wrap_all)
  on("suite", "end", end_block)
  busted.subscribe({ "test", "end" }, function(element, _, status)
    count_result(element, status)
    return nil, true
  end)
  on("test", "start", function(element)
    test.element = element
    if element.env then wrap_finally(element) end
  end)
end

return M

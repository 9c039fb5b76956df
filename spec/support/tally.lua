-- SPDX-License-Identifier: MIT
-- support/tally.lua - a busted output handler: prints what failed, and keeps count in a file.
--
-- The file (MOONPARK_TALLY) gets a line when a test begins and one when it has ended, unbuffered, and "end"
-- after the last: whoever reads it after a crash knows what had passed, and which test was running.
--
-- SPEC_LEFT_OUT is a file that says what cannot run where this runs: it returns { [spec file] = { [part of a test's
-- full name] = reason } }. Such tests are pending, and told with the reason; what is in there and no test is an error.

local busted = require "busted"
local full_name = require("busted.outputHandlers.base")().getFullName

local file = assert(io.open(assert(os.getenv "MOONPARK_TALLY", "MOONPARK_TALLY is not set"), "a"))
file:setvbuf("no")

local running -- the test between its start and its end
local broken  -- something of it failed

local function note(what, element)
  file:write(what, "\t", element and (full_name(element):gsub("%s+", " ")) or "", "\n")
end

local function show(kind, element, message, trace)
  trace = trace or element.trace or {}
  io.stdout:write(("\n%s: %s\n%s\n%s\n"):format(kind, full_name(element), tostring(message), trace.traceback or ""))
  io.stdout:flush()
end

-- Busted goes on with its other handlers when one returns nil, true.
local function on(event, handler)
  busted.subscribe(event, function(...)
    handler(...)
    return nil, true
  end)
end

---------------------------------------------------------------------------------------------------
-- what is left out

local left_out = os.getenv "SPEC_LEFT_OUT" and dofile(os.getenv "SPEC_LEFT_OUT") or {}
local here = {} -- of the spec file that runs: how many tests each part has left out

local function enter(spec)
  here = {}
  for part in pairs(left_out[spec.name] or {}) do here[part] = 0 end
end

local function leave(spec)
  for part, tests in pairs(here) do
    print(("\nleft out, %d: %s: %s"):format(tests, part, left_out[spec.name][part]))
    if tests == 0 then
      print(("FAILED: there is no such test in %s"):format(spec.name))
      note("error", spec)
    end
  end
end

local function skip(element)
  for part in pairs(here) do -- a test may be left out for two reasons: both have one
    if full_name(element):find(part, 1, true) then
      here[part] = here[part] + 1
      element.run = function() element.env.pending "left out" end
    end
  end
end

local function failed(kind)
  return function(element, _, message, trace)
    show(kind, element, message, trace)
    -- What fails outside of a test (a file that does not load, a teardown, a leak found later) counts too.
    if element == running then broken = true else note("error", element) end
  end
end

local function subscribe()
  on({ "test", "start" }, function(element)
    running, broken = element, false
    note("start", element)
    skip(element)
  end)
  on({ "failure" }, failed("FAILED"))
  on({ "error" }, failed("ERROR"))
  on({ "test", "end" }, function(element, _, status)
    note(broken and "failure" or status, element)
    running = nil
  end)
  on({ "file", "start" }, enter)
  on({ "file", "end" }, leave)
  on({ "suite", "end" }, function() note("end") end)
end

return function() return { subscribe = subscribe } end

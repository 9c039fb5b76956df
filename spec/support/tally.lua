-- SPDX-License-Identifier: MIT
-- support/tally.lua - a busted output handler: prints what failed, and keeps count in a file.
--
-- The file (MOONPARK_TALLY) gets a line when a test begins and one when it has ended, unbuffered, and "end"
-- after the last: whoever reads it after a crash knows what had passed, and which test was running.

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
  end)
  on({ "failure" }, failed("FAILED"))
  on({ "error" }, failed("ERROR"))
  on({ "test", "end" }, function(element, _, status)
    note(broken and "failure" or status, element)
    running = nil
  end)
  on({ "suite", "end" }, function() note("end") end)
end

return function() return { subscribe = subscribe } end

-- SPDX-License-Identifier: MIT
-- Every system call and every allocation of a short server life fails once: see sweep.lua and life.lua. Of the lives
-- on top of HTTP (life_app.lua) it is every fourth, for they are longer. That takes eleven minutes: without WHOLE=1, it
-- is a third of all these. Needs the hard build.

local core = require "moonpark.core"
local moonpark = require "moonpark"
local testing = require "moonpark.testing"
local process = require "support.process"

local PARTS = 8     -- processes that share a sweep: a life mostly waits
local EVERY = 4     -- of several failures in a row, every fourth beginning is tried
local AT_LEAST = { syscall = 200, alloc = 250 } -- calls in a life: fewer would mean that it fell short
local SPARSE = os.getenv "WHOLE" and 1 or 3
local APP_PARTS = 2
local APP_EVERY = { syscall = 4, alloc = 2 }
local APP_AT_LEAST = { client = 350, proxy = 250, app = 600, shutdown = 60, websocket = 60 }

testing.timeout(400)

-- Of every `every` calls one fails, in so many processes -> how many lives that were.
local function run_parts(env, processes, every, kind, times)
  local ended, lives = {}, 0
  moonpark.scope(function(scope)
    for part = 1, processes do
      scope:go(function()
        ended[part] = process.run({ process.interpreter, process.root .. "/spec/hard/sweep.lua", kind, part,
          processes * every, times }, { env = env })
      end)
    end
  end)
  for _, child in ipairs(ended) do
    assert.equal(0, child.status, child.out .. child.err)
    lives = lives + tonumber(child.out:match("(%d+) lives"))
  end
  return lives
end

local function sweep(poller, kind, times)
  local every = SPARSE * (times == 1 and 1 or EVERY)
  local lives = run_parts({ MOONPARK_POLLER = poller }, PARTS, every, kind, times)
  assert.is_true(lives >= AT_LEAST[kind] / every - 1, lives .. " lives")
end

local function sweep_app(poller, stage, kind, times)
  local every = SPARSE * APP_EVERY[kind] * (times == 1 and 1 or EVERY)
  local lives = run_parts({ MOONPARK_POLLER = poller, SWEEP_STAGE = stage }, APP_PARTS, every, kind, times)
  assert.is_true(lives >= APP_AT_LEAST[stage] / every - 1, lives .. " lives")
end

describe("a short server life in the hard build", function()
  it("has failures to choose from", function()
    assert.is_table(core.hard, "MODE=hard is needed")
  end)

  for _, poller in ipairs { "epoll", "poll" } do
    describe("over " .. poller, function()
      after_each(process.stop_all)

      it("survives the failure of any system call", function() sweep(poller, "syscall", 1) end)

      it("survives the failure of any ten system calls in a row", function() sweep(poller, "syscall", 10) end)

      it("survives the failure of any allocation, LuaJIT's included", function() sweep(poller, "alloc", 1) end)

      it("survives the failure of any two, four and twelve allocations in a row", function()
        for _, times in ipairs { 2, 4, 12 } do sweep(poller, "alloc", times) end
      end)
    end)
  end
end)

describe("on top of HTTP, in the hard build,", function()
  after_each(process.stop_all)

  for _, poller in ipairs { "epoll", "poll" } do
    for stage, what in pairs { client = "a client and its pool", proxy = "a reverse proxy",
      app = "a router with middleware, uploads, files and events", shutdown = "a shutdown under a request",
      websocket = "two WebSockets" } do
      it(what .. " survives failing calls over " .. poller, function()
        for _, times in ipairs { 1, 4 } do sweep_app(poller, stage, "syscall", times) end
        for _, times in ipairs { 1, 2, 12 } do sweep_app(poller, stage, "alloc", times) end
      end)
    end
  end
end)

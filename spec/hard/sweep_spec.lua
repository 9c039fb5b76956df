-- SPDX-License-Identifier: MIT
-- Every system call and every allocation of a short server life fails once: see sweep.lua and life.lua.
-- Needs the hard build.

local core = require "moonpark.core"
local moonpark = require "moonpark"
local testing = require "moonpark.testing"
local process = require "support.process"

local PARTS = 8     -- processes that share a sweep: a life mostly waits
local EVERY = 4     -- of several failures in a row, every fourth beginning is tried
local AT_LEAST = { syscall = 200, alloc = 250 } -- calls in a life: fewer would mean that it fell short

testing.timeout(400)

local function part_of_sweep(poller, kind, part, times)
  local parts = times == 1 and PARTS or PARTS * EVERY
  return process.run({ process.interpreter, process.root .. "/spec/hard/sweep.lua", kind, part, parts, times },
    { env = { MOONPARK_POLLER = poller } })
end

local function sweep(poller, kind, times)
  local ended = {}
  moonpark.scope(function(scope)
    for part = 1, PARTS do
      scope:go(function() ended[part] = part_of_sweep(poller, kind, part, times) end)
    end
  end)
  local lives = 0
  for _, child in ipairs(ended) do
    assert.equal(0, child.status, child.out .. child.err)
    lives = lives + tonumber(child.out:match("(%d+) lives"))
  end
  assert.is_true(lives >= AT_LEAST[kind] / (times == 1 and 1 or EVERY), lives .. " lives")
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

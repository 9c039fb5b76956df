-- SPDX-License-Identifier: MIT
-- What moonpark.testing does about moonpark.shared: locks and receivers that a test leaves are named and ended, values
-- are forgotten.

local process = require "support.process"
local testing = require "moonpark.testing"

local BUSTED = arg and arg[0] or "/usr/bin/busted"

local function run(text)
  local folder = testing.tempdir()
  for name, content in pairs { ["config.lua"] = "return {}\n", ["a_spec.lua"] = text } do
    local file = assert(io.open(folder .. "/" .. name, "w"))
    file:write(content)
    file:close()
  end
  local ended = process.run({ process.interpreter, BUSTED, "-f", "config.lua", "-o", "plainTerminal",
    "--helper=moonpark.testing", "a_spec.lua" }, { cwd = folder })
  return ended.out .. ended.err
end

describe("moonpark.testing", function()
  after_each(process.stop_all)

  it("names the locks and receivers of moonpark.shared that a test leaves, and ends them", function()
    local said = run [[
      local shared = require("moonpark").shared
      it("leaves a lock", function() shared.lock "x" end)
      it("leaves a receiver", function() shared.channel("news"):subscribe() end)
      it("finds nothing of that", function()
        shared.lock("x", 0):unlock()
        assert.equal(0, shared.channel("news"):publish(1))
      end)
    ]]
    assert.matches("1 success", said)
    assert.matches("2 failures", said)
    assert.matches("the test 'leaves a lock' left behind: 1 shared lock\n +shared lock \"x\", by task %d+", said)
    assert.matches("the test 'leaves a receiver' left behind: 1 shared receiver\n +receiver of shared channel \"news\"",
      said)
  end)

  it("leaves to a block what `setup` has locked", function()
    assert.matches("1 success[^\n]* / 0 failures / 0 errors", run [[
      local shared = require("moonpark").shared
      describe("a block", function()
        local held
        setup(function() held = shared.lock "x" end)
        teardown(function() held:unlock() end)
        it("keeps it", function() end)
      end)
    ]])
  end)

  it("forgets after each test what shared.once keeps", function()
    assert.matches("2 success[^\n]* / 0 failures / 0 errors", run [[
      local shared = require("moonpark").shared
      for i = 1, 2 do
        it("computes", function() assert.equal(i, shared.once("x", function() return i end)) end)
      end
    ]])
  end)
end)

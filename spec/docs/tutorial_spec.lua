-- SPDX-License-Identifier: MIT
-- tutorial_spec.lua - docs/tutorial.md, step by step: its files are written, its commands run, and what they print is
-- what the page shows.

local page = require "support.page"
local process = require "support.process"
local testing = require "moonpark.testing"

describe("docs/tutorial.md:", function()
  testing.timeout(120)
  local reader

  setup(function() reader = page.reader(testing.tempdir()) end)

  teardown(function() reader:stop() end)

  local failed
  for _, section in ipairs(page.sections "docs/tutorial.md") do
    it(section.title, function()
      if failed then return pending("a step before it has failed: " .. failed) end
      failed = section.title
      reader:follow(section)
      failed = nil
    end)
  end

  it("has ended all that it has started", function() assert.is_true(reader.program == nil) end)

  teardown(process.stop_all)
end)

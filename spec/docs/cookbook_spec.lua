-- SPDX-License-Identifier: MIT
-- cookbook_spec.lua - each recipe of docs/cookbook.md: its files are written, its commands run, and what they print is
-- what the page shows.

local page = require "support.page"
local process = require "support.process"
local servers = require "support.servers"
local testing = require "moonpark.testing"

local recipes = page.sections "docs/cookbook.md"

-- What a recipe needs besides moonpark: title = function() -> true, or nil and what is missing
local needs = {
  ["Redis, with a pool"] = function()
    local client = process.run({ process.interpreter, "-e", 'assert(package.searchpath("redis", package.path))' })
    if client.status ~= 0 then return nil, "lua-redis is not installed" end
    return servers.redis()
  end,
}

local missing = {}
for title, look in pairs(needs) do
  local _, why = look()
  missing[title] = why
end

describe("docs/cookbook.md:", function()
  testing.timeout(60)
  local reader

  before_each(function() reader = page.reader(testing.tempdir()) end)

  after_each(function()
    reader:stop()
    process.stop_all()
  end)

  teardown(servers.stop)

  for _, recipe in ipairs(recipes) do
    it(recipe.title, function()
      if missing[recipe.title] then return pending(missing[recipe.title]) end
      reader:follow(recipe)
      local scripts = process.run("find . -name '*.lua' | sort | xargs", { cwd = reader.folder }).out:gsub("%s+$", "")
      local words = {}
      for script in scripts:gmatch "%S+" do words[#words + 1] = script end
      local checked = process.run(process.moonpark("check", unpack(words)), { cwd = reader.folder })
      assert.same({ 0, "" }, { checked.status, checked.out .. checked.err })
    end)
  end

  it("has at least twenty recipes, and those that need something", function()
    assert.is_true(#recipes >= 20)
    local titles = {}
    for _, recipe in ipairs(recipes) do titles[recipe.title] = true end
    for title in pairs(needs) do assert.is_true(titles[title], title) end
  end)
end)

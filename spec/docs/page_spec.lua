-- SPDX-License-Identifier: MIT
-- page_spec.lua - support/page.lua: a page that shows something else than what happens is found out, with its line.

local page = require "support.page"
local process = require "support.process"
local testing = require "moonpark.testing"

describe("a page", function()
  local reader

  before_each(function() reader = page.reader(testing.tempdir()) end)

  after_each(function()
    reader:stop()
    process.stop_all()
  end)

  -- Follows a page with these lines. -> true, or false and the complaint
  local function follow(...)
    local section = page.sections("page.md", table.concat({ "## One", ... }, "\n") .. "\n")[1]
    return pcall(reader.follow, reader, section)
  end

  local function shows(command, ...)
    return (follow("```console", "$ " .. command, table.concat({ ... }, "\n"), "```"))
  end

  it("shows what is printed, and all of it", function()
    assert.is_true(shows("printf 'a\\nb\\n'", "a", "b"))
    assert.is_false(shows("printf 'a\\nb\\n'", "a"))
    assert.is_false(shows("printf 'a\\n'", "a", "b"))
    assert.is_false(shows("printf 'a\\nb\\n'", "a", "c"))
    assert.is_false(shows("echo wrong >&2", "right"))
  end)

  it("leaves out lines and words", function()
    assert.is_true(shows("seq 5", "1", "...", "5"))
    assert.is_true(shows("seq 5", "1", "..."))
    assert.is_true(shows("echo one two three", "one ... three"))
    assert.is_false(shows("seq 5", "1", "...", "6"))
    assert.is_false(shows("seq 5", "1", "...", "4"))
    assert.is_false(shows("echo one two three", "one ... four"))
  end)

  it("has other times and ports, and no other numbers", function()
    assert.is_true(shows("echo 2026-01-02T03:04:05.678Z 127.0.0.1:40001 0.25",
      "2025-11-29T09:30:00Z 127.0.0.1:51234 1.5"))
    assert.is_false(shows("echo 7", "8"))
  end)

  it("has objects in any order of their fields", function()
    assert.is_true(shows([[echo '{"a":1,"b":[0.5]}']], [[{"b":[0.7],"a":1}]]))
    assert.is_false(shows([[echo '{"a":1,"b":[0.5]}']], [[{"b":[0.7],"a":2}]]))
    assert.is_false(shows([[echo '{"a":1,"b":2}']], [[{"a":1}]]))
  end)

  it("names its line", function()
    local _, complaint = follow("", "```console", "$ echo a", "b", "```")
    assert.equal("page.md:5: the page shows\n  b\nbut this is what was printed:\na\n", complaint)
  end)

  it("writes files, and changes them at one place", function()
    -- -> the file afterwards, or nil where the page cannot be followed
    local function change(how)
      local ok = follow("```lua", "-- a.lua", "one", "two", "```", how, "```lua", "-- a.lua", "new", "```")
      return ok and process.run({ "cat", "a.lua" }, { cwd = reader.folder }).out or nil
    end
    assert.equal("-- a.lua\nnew\none\ntwo\n", change "<!-- before: one -->")
    assert.equal("-- a.lua\none\nnew\n", change "<!-- in place of: two -->")
    assert.is_nil(change "<!-- before: three -->")
  end)

  it("has programs that run on until they are interrupted", function()
    local background, from = "```console in the background", "```console from the background"
    local command = [[$ moonpark -e 'print "ready"' -e 'print(require "moonpark".sleep(60))']]
    assert.is_true((follow(background, command, "ready", "```", from, "^C", "nil\tcanceled", "```")))
    assert.is_false((follow(background, command, "other", "```")))
    assert.is_false((follow(background, command, "ready", "^C", "true", "```")))
    assert.is_false((follow(from, "ready", "```")))
  end)
end)

-- SPDX-License-Identifier: MIT
-- failure_text_spec.lua - where a failure happened, from its text; the lines of source around that.

local failure_text = require "moonpark.failure_text"
local process = require "support.process"

describe("the text of a failure", function()
  local folder
  before_each(function() folder = process.run("mktemp -d").out:match "%S+" end)
  after_each(function() process.run({ "rm", "-rf", folder }) end)

  local function file(name, lines)
    local path = folder .. "/" .. name
    local out = assert(io.open(path, "wb"))
    out:write(table.concat(lines, "\n"), "\n")
    out:close()
    return path
  end

  local numbered = {}
  for i = 1, 12 do numbered[i] = "line " .. i end

  it("is a message and a traceback, whose lines begin with places or not", function()
    local read = failure_text.read("a.lua:3: no\nand why\nstack traceback:\n\ta.lua:3: in main chunk\n\t[C]: in ?", {})
    assert.equal("a.lua:3: no\nand why", read.message)
    assert.same({ { text = "a.lua:3: in main chunk", place = "a.lua:3" }, { text = "[C]: in ?" } }, read.trace)
    assert.is_nil(read.place)
    assert.is_nil(read.excerpt)
  end)

  it("leads to the lines around the one that failed, also at both ends of the file", function()
    local path = file("a.lua", numbered)
    for line, bounds in pairs { [1] = { 1, 5 }, [6] = { 2, 10 }, [12] = { 8, 13 } } do
      local read = failure_text.read(("%s:%d: no"):format(path, line), { path })
      assert.equal(("%s:%d"):format(path, line), read.place)
      assert.same({ bounds[1], line, bounds[2] - bounds[1] + 1 },
        { read.excerpt.first, read.excerpt.line, #read.excerpt.lines })
      assert.equal("line " .. line, read.excerpt.lines[line - read.excerpt.first + 1])
    end
    assert.is_nil(failure_text.read(path .. ":99: no", { path }).excerpt)
  end)

  it("leads to the file with the syntax error, not to the one that has required it", function()
    local path = file("a.lua", numbered)
    local read = failure_text.read(("error loading module 'a' from file '%s':\n\t%s:7: unexpected symbol"):format(path,
      path), { "app.lua", path })
    assert.equal(path .. ":7", read.place)
  end)

  it("leads to the first place that was loaded, and through names that LuaJIT has shortened", function()
    local path = file("a.lua", numbered)
    local short = "..." .. path:sub(-12)
    local text = ("[string \"x\"]:1: no\nstack traceback:\n\t%s:5: in main chunk"):format(short)
    local read = failure_text.read(text, { path })
    assert.equal(path .. ":5", read.place)
    assert.equal(path .. ":5", read.trace[1].place)
  end)

  it("never leads to a file that was not loaded", function()
    local path = file("secret", numbered)
    assert.is_nil(failure_text.read(path .. ":1: no", { folder .. "/a.lua" }).excerpt)
    assert.is_nil(failure_text.read("..." .. path:sub(-5) .. ":1: no", { folder .. "/a.lua" }).excerpt)
  end)
end)

-- SPDX-License-Identifier: MIT
-- show_spec.lua - values as the prompt of moonpark -i prints them.

local show_of = require "moonpark.repl.show"
local show, results = show_of.show, show_of.results

local function range(n)
  local list = {}
  for i = 1, n do list[i] = i end
  return list
end

local function count_lines(text) return select(2, (text .. "\n"):gsub("\n", "")) end

describe("the prompt shows", function()
  it("a string as it is, a number, a boolean and nil as tostring has them", function()
    assert.same({ "a\n\"b\"", "1.5", "true", "nil" }, { show "a\n\"b\"", show(1.5), show(true), show(nil) })
  end)

  it("a list by its entries, others by sorted keys", function()
    assert.equal("{}", show {})
    assert.equal('{ 1, "a", true }', show { 1, "a", true })
    assert.equal('{ 1, [3] = 3, a = 1, b = 2, ["c d"] = 3, [true] = 4 }',
      show { 1, [3] = 3, b = 2, a = 1, ["c d"] = 3, [true] = 4 })
  end)

  it("strings in tables quoted, their control characters escaped, long ones cut between characters", function()
    assert.equal([[{ "a\"b\\c\n\t\0\27" }]], show { "a\"b\\c\n\t\0\27" })
    local text = show { ("ü"):rep(100) }
    assert.equal('{\n  "' .. ("ü"):rep(60) .. '"... (200 bytes)\n}', text)
    assert.equal('{\n  "' .. "x" .. ("ü"):rep(59) .. '"... (201 bytes)\n}', show { "x" .. ("ü"):rep(100) })
  end)

  it("tables in tables to a depth of 3", function()
    assert.equal("{ { { {...} } } }", show { { { { 1 } } } })
    assert.equal("{ { { {} } } }", show { { { {} } } })
  end)

  it("a table that contains itself, and one twice that is no cycle", function()
    local t = {}
    t.self, t.list = t, { t }
    assert.equal("{ list = { <cycle> }, self = <cycle> }", show(t))
    local shared = { 1 }
    assert.equal("{ { 1 }, { 1 } }", show { shared, shared })
  end)

  it("what does not fit a line on several, indented", function()
    assert.equal('{\n  a = "' .. ("x"):rep(80) .. '",\n  b = {}\n}', show { a = ("x"):rep(80), b = {} })
  end)

  it("all of a module of moonpark's, with the parts that are loaded when they are used first", function()
    local module = package.loaded["moonpark.http"]
    package.loaded["moonpark.http"] = nil
    local fresh = require "moonpark.http"
    local text = show(fresh)
    package.loaded["moonpark.http"] = module
    assert.matches("\n  get = function: ", text, 1, true)
    assert.matches("\n  sessions = <loaded when it is used>,", text, 1, true)
    assert.is_nil(rawget(fresh, "sessions"))
    assert.is_nil(text:find("...", 1, true))
  end)

  it("so much of a huge table that it stays short", function()
    assert.matches("22,\n?%s*23,\n?%s*24,\n?%s*%.%.%.\n?%s*}$", show(range(100000)))
    local wide = {}
    for i = 1, 24 do
      wide[i] = {}
      for j = 1, 24 do wide[i][j] = range(24) end
    end
    assert.is_true(count_lines(show(wide)) < 130)
    local keys = {}
    for i = 1, 5000 do keys["k" .. i] = i end
    assert.is_true(count_lines(show(keys)) < 30)
  end)

  it("what has a __tostring by it, whatever that does", function()
    assert.equal("mine", show(setmetatable({ 1 }, { __tostring = function() return "mine" end })))
    assert.equal("<table whose __tostring failed>", show(setmetatable({}, { __tostring = error })))
    assert.equal("<table whose __tostring failed>", show(setmetatable({}, { __tostring = function() return {} end })))
    assert.is_true(#show(setmetatable({}, { __tostring = function() return ("x"):rep(1e6) end })) < 1000)
  end)

  it("several results without the nils at the end, if the first is a value", function()
    assert.equal("1", results(1, nil, nil))
    assert.equal("1\tnil\tx", results(1, nil, "x", nil))
    assert.equal("false", results(false, nil))
    assert.equal("nil\tclosed\tnil", results(nil, "closed", nil))
    assert.equal("nil\tnil", results(nil, nil))
    assert.equal("", results())
  end)

  it("a table without asking its __index, __pairs or __len", function()
    local function fail() error "asked" end
    assert.equal("{ 1, a = 2 }", show(setmetatable({ 1, a = 2 }, { __index = fail, __pairs = fail, __len = fail })))
    assert.equal("{ 1 }", show(setmetatable({ 1 }, { __metatable = fail })))
  end)
end)

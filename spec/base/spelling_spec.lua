-- SPDX-License-Identifier: MIT
-- spelling_spec.lua - the nearest of some words, beside the Lua module that does the same.

local ffi = require "ffi"
local spelling = require "moonpark.spelling"
local units = require "support.units"
local lib = units.lib

local function nearest(word, words)
  local s = ffi.new "struct spelling"
  lib.spelling_begin(s, word)
  for _, each in ipairs(words) do lib.spelling_try(s, each) end
  return s.nearest ~= nil and ffi.string(s.nearest) or nil
end

describe("the nearest word", function()
  it("is the one with the fewest letters inserted, deleted, replaced or swapped", function()
    local words = { "backlog", "keepalive", "nodelay", "reuseport" }
    for _, wrong in ipairs { "nodealy", "nodely", "nodelayy", "no_delay", "nodelax" } do
      assert.equal("nodelay", nearest(wrong, words))
    end
    for _, wrong in ipairs { "", "x", "delay", ("nodelay"):rep(10), "no delay at all" } do
      assert.is_nil(nearest(wrong, words), wrong)
    end
    assert.is_nil(nearest("nodelay", { ("nodelay"):rep(10) }))
  end)

  it("takes no notice of case", function()
    assert.equal("HUP", nearest("hup", { "INT", "HUP", "USR1" }))
    assert.equal("USR2", nearest("urs2", { "INT", "HUP", "USR1", "USR2" }))
  end)

  it("is the one that moonpark.spelling finds", function()
    local random = 7
    local function letter()
      random = random * 48271 % 2147483647
      return string.char(("a"):byte() + random % 3)
    end
    local function word()
      local letters = {}
      for i = 1, 3 + letter():byte() % 3 do letters[i] = letter() end
      return table.concat(letters)
    end
    for _ = 1, 2000 do
      local words, wrong = { word(), word(), word(), word() }, word()
      table.sort(words)
      assert.equal(spelling.nearest(wrong, words), nearest(wrong, words))
    end
  end)
end)

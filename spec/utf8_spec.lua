-- SPDX-License-Identifier: MIT
-- utf8_spec.lua - which bytes are UTF-8, held to a table that is written down from RFC 3629.

local utf8 = require "moonpark.utf8"

-- Every sequence of bytes of the RFC's syntax, as the ranges of its bytes (section 4).
local syntax = {
  { { 0x00, 0x7F } },
  { { 0xC2, 0xDF }, { 0x80, 0xBF } },
  { { 0xE0, 0xE0 }, { 0xA0, 0xBF }, { 0x80, 0xBF } },
  { { 0xE1, 0xEC }, { 0x80, 0xBF }, { 0x80, 0xBF } },
  { { 0xED, 0xED }, { 0x80, 0x9F }, { 0x80, 0xBF } },
  { { 0xEE, 0xEF }, { 0x80, 0xBF }, { 0x80, 0xBF } },
  { { 0xF0, 0xF0 }, { 0x90, 0xBF }, { 0x80, 0xBF }, { 0x80, 0xBF } },
  { { 0xF1, 0xF3 }, { 0x80, 0xBF }, { 0x80, 0xBF }, { 0x80, 0xBF } },
  { { 0xF4, 0xF4 }, { 0x80, 0x8F }, { 0x80, 0xBF }, { 0x80, 0xBF } },
}

local function matches(ranges, text, at, count)
  for i = 1, count do
    local b = text:byte(at + i - 1)
    if not b or b < ranges[i][1] or b > ranges[i][2] then return false end
  end
  return true
end

-- Character by character, each one of the table's rows; with `cut` the last may lack bytes.
local function is_text(text, cut)
  local at = 1
  while at <= #text do
    local length
    for _, ranges in ipairs(syntax) do
      if matches(ranges, text, at, #ranges) then length = #ranges end
      if cut and #text - at + 1 < #ranges and matches(ranges, text, at, #text - at + 1) then length = #ranges end
    end
    if not length then return false end
    at = at + length
  end
  return true
end

describe("UTF-8", function()
  -- What is at the edges of the ranges, and in them.
  local bytes = { 0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED,
    0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF }

  local function each(depth, prefix, fn)
    if depth == 0 then return end
    for _, b in ipairs(bytes) do
      local text = prefix .. string.char(b)
      fn(text)
      each(depth - 1, text, fn)
    end
  end

  it("is what the RFC's syntax allows, and begins as it does", function()
    each(4, "", function(text)
      assert(utf8.is_valid(text) == is_text(text), ("%q"):format(text))
      assert(utf8.is_valid(text, true) == is_text(text, true), ("cut: %q"):format(text))
    end)
  end)

  it("is asked of whole texts", function()
    assert.is_true(utf8.is_valid "")
    assert.is_true(utf8.is_valid "plain\n\0")
    assert.is_true(utf8.is_valid "grün 日本 😀!")
    for _, text in ipairs { "a\255", "\195", "\195(", "gr\252n", "\237\160\128", "\244\144\128\128", "x\128" } do
      assert.is_false(utf8.is_valid(text), text)
    end
    assert.is_true(utf8.is_valid("日本\230", true))
    assert.is_true(utf8.is_valid("\240\159\152", true))
    assert.is_false(utf8.is_valid("\240\159(", true))
    assert.is_false(utf8.is_valid "\240\159\152")
  end)

  it("is made of what is none, byte by byte", function()
    assert.equal("grün 日本", utf8.mended "grün 日本")
    assert.equal("gr\239\191\189n", utf8.mended "gr\252n")
    assert.equal("a\239\191\189\239\191\189(ü", utf8.mended "a\240\159(ü")
    assert.equal("\239\191\189", utf8.mended "\195")
    each(3, "x", function(text)
      local mended = utf8.mended(text)
      assert(utf8.is_valid(mended))
      if utf8.is_valid(text) then assert(mended == text) end
    end)
  end)
end)

-- SPDX-License-Identifier: MIT
-- http_form_spec.lua - percent-encoding, queries, forms and cookies, compared with Lua's patterns
-- (support/form_model.lua).

local core = require "moonpark.core"
local edge = require "support.edge"
local ffi = require "ffi"
local form_model = require "support.form_model"
local units = require "support.units"
local lib = units.lib

describe("http_form_decode", function()
  local function decoded(bytes, plus)
    local to = ffi.new("char[?]", #bytes + 1)
    local at = edge.place(bytes)
    local n = tonumber(lib.http_form_decode(to, at, #bytes, plus or false))
    assert.equal(n, tonumber(lib.http_form_decode(at, at, #bytes, plus or false)))
    if n < 0 then return nil end
    assert.equal(ffi.string(to, n), ffi.string(at, n))
    return ffi.string(to, n)
  end

  it("decodes two hexadecimal digits of either case", function()
    assert.equal("aAz/\0\255%", decoded "%61%41z%2f%00%fF%25")
    assert.equal("", decoded "")
  end)

  it("decodes once", function() assert.equal("%41", decoded "%2541") end)

  it("decodes a plus as a space in forms only", function()
    assert.equal("a b+", decoded("a+b%2b", true))
    assert.equal("a+b", decoded "a+b")
  end)

  it("refuses a percent sign without two digits", function()
    for _, bytes in ipairs { "%", "%4", "a%", "%4g", "%g4", "%%41", "%-1" } do assert.is_nil(decoded(bytes)) end
  end)
end)

describe("a query or form", function()
  it("is split at '&' and the first '=' of each part", function()
    assert.same({ { "a", "1" }, { "b", "" }, { "c", "x=y" }, { "", "z" } }, core.form_pairs "a=1&b&&c=x=y&=z&")
    assert.same({ a = "2", b = "" }, core.form_values "a=1&b=&a=2")
    assert.same({}, core.form_values "")
    assert.same({}, core.form_pairs "&&&")
  end)

  it("is decoded, part by part; what cannot be stays as it is", function()
    assert.same({ ["a&b"] = "c=d e", ["100%"] = "%zz" }, core.form_values "a%26b=c%3Dd+e&100%=%zz")
    local long = ("%41"):rep(1000)
    assert.same({ [("A"):rep(1000)] = long .. "%" }, core.form_values(long .. "=" .. long .. "%"))
  end)

  it("has as many pairs as are allowed, or none", function()
    assert.same({ a = "2" }, core.form_values("a=1&a=2", 2))
    assert.same({ nil, "too many fields" }, { core.form_values("a=1&a=2", 1) })
    assert.same({ nil, "too many fields" }, { core.form_pairs("a=1&a=2", 1) })
  end)
end)

describe("a Cookie field", function()
  it("has the first value of each name, without blanks and quotes around it", function()
    assert.same({ a = "1", b = "x y", c = "", d = 'e"' },
      core.http_cookies 'a=1; b = "x y" ;a=2;c=;\t d=e" ; =f; g h=i; j')
    assert.same({ a = "", b = '"', c = "=" }, core.http_cookies 'a="";b=";c==')
    assert.same({}, core.http_cookies "")
  end)
end)

describe("a long random run of texts", function()
  local random = units.random(11)
  local alphabet = { "a", "b", "=", "&", ";", "%", "%4", "%41", "%zz", "+", " ", "\t", '"', "\0", "\255", "%26", "%3d" }

  it("is understood as by the patterns", function()
    for _ = 1, 5000 do
      local parts = {}
      for i = 1, random(20) do parts[i] = alphabet[random(#alphabet)] end
      local text = table.concat(parts)
      assert.same(form_model.pairs(text), core.form_pairs(text))
      assert.same(form_model.values(text), core.form_values(text))
      assert.same(form_model.cookies(text), core.http_cookies(text))
      assert.equal(form_model.decode(text), core.percent_decode(text))
      assert.equal(form_model.decode(text, true), core.percent_decode(text, true))
    end
  end)
end)

-- SPDX-License-Identifier: MIT
-- memo_spec.lua - what a function has made of texts, remembered.

local memo = require "moonpark.memo"

describe("what a function has made of texts", function()
  local calls, upper

  before_each(function()
    calls = 0
    upper = memo.new(function(text)
      calls = calls + 1
      return text:upper()
    end)
  end)

  it("is made once of each", function()
    assert.same({ "A", "B", "A", "B" }, { upper.a, upper.b, upper.a, upper.b })
    assert.equal(2, calls)
  end)

  it("is kept neither of long texts nor of ever more of them", function()
    local long = ("x"):rep(257)
    assert.equal(long:upper(), upper[long])
    assert.is_truthy(upper[long])
    assert.equal(2, calls)
    for i = 1, 10000 do assert.equal("T" .. i, upper["t" .. i]) end
    collectgarbage()
    local before = collectgarbage "count"
    for i = 1, 10000 do assert.is_truthy(upper[("t"):rep(200) .. i]) end
    collectgarbage()
    assert.is_true(collectgarbage "count" - before < 200)
  end)

  it("may be false", function()
    local is_short = memo.new(function(text)
      calls = calls + 1
      return #text < 3
    end)
    assert.same({ false, false, true }, { is_short.long, is_short.long, is_short.s })
    assert.equal(2, calls)
  end)
end)

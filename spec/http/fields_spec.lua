-- SPDX-License-Identifier: MIT
-- fields_spec.lua - header fields, cookies, dates and lists with weights.

local fields = require "moonpark.http.fields"
local http_conditions = require "moonpark.http.conditions"
local http_multipart = require "moonpark.http.multipart"

describe("received fields", function()
  local received = fields.received { "host", "a", "x-list", "1", "accept", "b", "x-list", "2" }

  it("are found by any case of their name; repeated ones are joined", function()
    assert.same({ "a", "1, 2", nil }, { received.Host, received["X-LIST"], received.none })
    assert.equal("1, 2", received["X-LIST"])
    assert.is_nil(received[1])
  end)

  it("are listed in their order", function()
    local names = {}
    for name, value in fields.each(received) do names[#names + 1] = name .. "=" .. value end
    assert.same({ "host=a", "x-list=1", "accept=b", "x-list=2" }, names)
    assert.same({ "1", "2" }, fields.all(received, "X-List"))
    assert.same({}, fields.all(received, "none"))
  end)
end)

describe("fields to send", function()
  it("are a flat list, changed by any case of their name", function()
    local list = {}
    fields.add(list, "A", 1)
    fields.add(list, "b", "2")
    fields.add(list, "a", "3")
    assert.same({ "1", "2", nil }, { fields.get(list, "a"), fields.get(list, "B"), fields.get(list, "c") })
    fields.set(list, "a", "4")
    assert.same({ "b", "2", "a", "4" }, list)
    fields.set(list, "B", nil)
    assert.same({ "a", "4" }, list)
  end)
end)

describe("lists with weights", function()
  it("count 1 where no weight is given", function()
    assert.same({ gzip = 1, br = 0.5, ["*"] = 0 }, fields.weights "GZIP, br;q=0.5 , *;q=0")
    assert.same({}, fields.weights(nil))
    assert.same({ a = 0.123 }, fields.weights " , a ; Q=0.123,,")
  end)

  it("count 0 where the weight is none", function()
    for _, q in ipairs { "", "2", "-1", "1.5", "x", "0.1234", "1e0", "nan", "0x1" } do
      assert.same({ a = 0 }, fields.weights("a;q=" .. q), q)
    end
  end)

  it("are searched by any case", function()
    assert.is_true(fields.lists("a, No-Transform ,b", "no-transform"))
    assert.is_false(fields.lists("no-transformer", "no-transform"))
    assert.is_false(fields.lists(nil, "a"))
  end)
end)

describe("an Accept-Encoding field", function()
  local cases = {
    { nil, "gzip", 0 }, { "", "gzip", 0 }, { "gzip", "gzip", 1 }, { "GZip", "gzip", 1 }, { "x-gzip", "gzip", 1 },
    { "br;q=0.5, gzip", "br", 0.5 }, { "gzip;q=0", "gzip", 0 }, { "gzip; q=0.001", "gzip", 0.001 }, { "*", "br", 1 },
    { "*;q=0.2, br", "gzip", 0.2 }, { "*, gzip;q=0", "gzip", 0 }, { "gzipped", "gzip", 0 },
    { "gzip;q=9", "gzip", 0 }, { "gzip;q=x", "gzip", 0 }, { "x-br", "br", 0 },
  }
  for _, case in ipairs(cases) do
    local text = case[1] and ("%q"):format(case[1]) or "that is not there"
    it(("%s wants %s: %g"):format(text, case[2], case[3]), function()
      assert.equal(case[3], fields.coding_weight(fields.weights(case[1]), case[2]))
    end)
  end
end)

it("every status has a reason, if only 'Unknown'", function()
  assert.same({ "OK", "Not Found", "Unknown" }, { fields.reason(200), fields.reason(404), fields.reason(599) })
end)

describe("long runs of blanks", function()
  local blanks = (" "):rep(15000)

  -- In processor time, which a busy machine hardly changes: what looked at them again and again took a second each.
  local function is_quick(fn)
    local began = os.clock()
    for i = 1, 20 do
      fn()
      assert.is_true(os.clock() - began < 5, ("%d rounds took %.1f s"):format(i, os.clock() - began))
    end
  end

  it("cost no more than other bytes: a head is as long as its client likes", function()
    is_quick(function() assert.equal("b" .. blanks .. "c", fields.cookies("a=b" .. blanks .. "c").a) end)
    is_quick(function() assert.is_nil(next(fields.cookies(blanks))) end)
    is_quick(function() assert.is_false(fields.lists("b" .. blanks .. "c", "b")) end)
    is_quick(function() assert.is_nil(http_conditions.ranges("bytes=0-1,5" .. blanks .. "c", 100)) end)
    is_quick(function()
      assert.is_nil(http_multipart.boundary("multipart/form-data; boundary=x" .. blanks .. "y"))
    end)
  end)

  it("are trimmed", function()
    assert.same({ "", "", "a", "a b" }, { fields.trim(""), fields.trim(" \t "), fields.trim(" a"),
      fields.trim("a b\t ") })
  end)
end)

-- SPDX-License-Identifier: MIT
-- What a request's fields ask of a file: verdicts by table.

local conditions = require "moonpark.http.conditions"

local ETAG, OTHER = '"a-1"', '"b"'
local MODIFIED = 784111777 -- Sun, 06 Nov 1994 08:49:37 GMT
local THEN, BEFORE, AFTER = "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:36 GMT",
  "Sun, 06 Nov 1994 08:49:38 GMT"

describe("a condition (RFC 9110 13)", function()
  local cases = {
    { "none", {}, nil },
    { "If-None-Match of the same tag", { if_none_match = ETAG }, 304 },
    { "If-None-Match of a weak one", { if_none_match = "W/" .. ETAG }, 304 },
    { "If-None-Match of a list that has it", { if_none_match = OTHER .. " , W/" .. ETAG }, 304 },
    { "If-None-Match of anything", { if_none_match = " * " }, 304 },
    { "If-None-Match of another", { if_none_match = OTHER }, nil },
    { "If-None-Match without quotes", { if_none_match = "a-1" }, nil },
    { "If-None-Match goes before If-Modified-Since", { if_none_match = OTHER, if_modified_since = AFTER }, nil },
    { "If-Modified-Since of that second", { if_modified_since = THEN }, 304 },
    { "If-Modified-Since of later", { if_modified_since = AFTER }, 304 },
    { "If-Modified-Since of earlier", { if_modified_since = BEFORE }, nil },
    { "If-Modified-Since that is no date", { if_modified_since = "yesterday" }, nil },
    { "If-Modified-Since of that second in RFC 850's form", { if_modified_since = "Sunday, 06-Nov-94 08:49:37 GMT" },
      304 },
    { "If-Modified-Since of that second in asctime's form", { if_modified_since = "Sun Nov  6 08:49:37 1994" }, 304 },
    { "If-Modified-Since of earlier in asctime's form", { if_modified_since = "Sun Nov  6 08:49:36 1994" }, nil },
    { "If-Modified-Since of two dates", { if_modified_since = THEN .. ", " .. AFTER }, nil },
    { "If-Modified-Since of a day that does not exist", { if_modified_since = "Fri, 99 Jan 2021 99:99:99 GMT" }, nil },
    { "If-Match of the same tag", { if_match = ETAG }, nil },
    { "If-Match of a list that has it", { if_match = OTHER .. "," .. ETAG }, nil },
    { "If-Match of anything", { if_match = "*" }, nil },
    { "If-Match of another", { if_match = OTHER }, 412 },
    { "If-Match of a weak one: only strong ones count", { if_match = "W/" .. ETAG }, 412 },
    { "If-Match goes before If-Unmodified-Since", { if_match = ETAG, if_unmodified_since = BEFORE }, nil },
    { "If-Unmodified-Since of that second", { if_unmodified_since = THEN }, nil },
    { "If-Unmodified-Since of earlier", { if_unmodified_since = BEFORE }, 412 },
    { "If-Unmodified-Since of earlier in RFC 850's form", { if_unmodified_since = "Sunday, 06-Nov-94 08:49:36 GMT" },
      412 },
    { "If-Unmodified-Since of earlier in asctime's form", { if_unmodified_since = "Sun Nov  6 08:49:36 1994" }, 412 },
    { "If-Unmodified-Since of two dates", { if_unmodified_since = BEFORE .. ", " .. BEFORE }, nil },
    { "If-Unmodified-Since of a day that does not exist", { if_unmodified_since = "Wed, 31 Feb 1990 00:00:00 GMT" },
      nil },
    { "If-Unmodified-Since that is no date", { if_unmodified_since = "x" }, nil },
    { "a failed If-Match goes before If-None-Match", { if_match = OTHER, if_none_match = ETAG }, 412 },
    { "a good If-Match leaves it to If-None-Match", { if_match = ETAG, if_none_match = ETAG }, 304 },
  }
  for _, case in ipairs(cases) do
    it(case[1] .. ": " .. (case[3] or "go on"), function()
      assert.equal(case[3], conditions.check(case[2], ETAG, MODIFIED))
    end)
  end

  local if_ranges = {
    { "none", nil, true }, { "the same tag", ETAG, true }, { "another tag", OTHER, false },
    { "a weak tag", "W/" .. ETAG, false }, { "that date", THEN, true }, { "an earlier date", BEFORE, false },
    { "a later date: only the same will do", AFTER, false }, { "nonsense", "x", false },
    { "two tags", ETAG .. ", " .. ETAG, false }, { "that date twice", THEN .. ", " .. THEN, false },
    { "a weak tag in small letters", "w/" .. ETAG, false }, { "a tag without quotes", "a-1", false },
    { "a tag with something behind it", ETAG .. "x", false }, { "anything", "*", false },
    { "that date in RFC 850's form", "Sunday, 06-Nov-94 08:49:37 GMT", true },
    { "that date in asctime's form", "Sun Nov  6 08:49:37 1994", true },
    { "another date in RFC 850's form", "Sunday, 06-Nov-94 08:49:36 GMT", false },
    { "another date in asctime's form", "Sun Nov  6 08:49:38 1994", false },
  }
  for _, case in ipairs(if_ranges) do
    it(("If-Range of %s: %s"):format(case[1], case[3] and "the range" or "the whole"), function()
      assert.equal(case[3], conditions.range_holds(case[2], ETAG, MODIFIED))
    end)
  end

  it("If-Range of a date that may be another version's: the whole, until its second is over", function()
    for now, holds in pairs { [MODIFIED - 1] = false, [MODIFIED] = false, [MODIFIED + 0.999] = false,
      [MODIFIED + 1] = true } do
      assert.equal(holds, conditions.range_holds(THEN, ETAG, MODIFIED, now))
      assert.is_true(conditions.range_holds(ETAG, ETAG, MODIFIED, now))
    end
  end)
end)

describe("a Range field (RFC 9110 14)", function()
  local many = {}
  for i = 1, 17 do many[i] = ("%d-%d"):format(2 * i, 2 * i) end
  local function first(n) return "bytes=" .. table.concat(many, ",", 1, n) end

  local cases = {
    { "bytes=0-0", 10, { { 0, 0 } } },
    { "bytes=0-9", 10, { { 0, 9 } } },
    { "bytes=0-99", 10, { { 0, 9 } } },
    { "bytes=3-", 10, { { 3, 9 } } },
    { "bytes=-3", 10, { { 7, 9 } } },
    { "bytes=-99", 10, { { 0, 9 } } },
    { "BYTES=1-2", 10, { { 1, 2 } } },
    { "bytes= 1-2 , ,\t4-5 ", 10, { { 1, 2 }, { 4, 5 } } },
    { "bytes=4-5,1-2", 10, { { 4, 5 }, { 1, 2 } } },
    { "bytes=1-2,50-", 10, { { 1, 2 } } },
    { "bytes=0-99999999999999999999999999", 10, { { 0, 9 } } },
    { "bytes=10-", 10, "none" },
    { "bytes=99999999999999999999999999-", 10, "none" },
    { "bytes=-0", 10, "none" },
    { "bytes=10-,-0", 10, "none" },
    { "bytes=0-", 0, nil },
    { "bytes=-1", 0, nil },
    { "bytes=2-1", 10, nil },
    { "bytes=-", 10, nil },
    { "bytes=", 10, nil },
    { "bytes=,", 10, nil },
    { "bytes=a-b", 10, nil },
    { "bytes=1", 10, nil },
    { "bytes=1-2-3", 10, nil },
    { "bytes=+1-2", 10, nil },
    { "bytes=1 - 2", 10, nil },
    { "bytes=0x1-2", 10, nil },
    { "bytes=1-2;4-5", 10, nil },
    { "items=1-2", 10, nil },
    { "bytes 1-2", 10, nil },
    { "bytes=0-4,4-5", 10, nil },
    { "bytes=5-,-3", 10, nil },
    { "bytes=4-5,0-9", 10, nil },
    { first(17), 100, nil },
  }
  for _, case in ipairs(cases) do
    local says = type(case[3]) == "table" and "parts" or case[3] and "416" or "ignored"
    it(("%q of %d bytes: %s"):format(case[1], case[2], says), function()
      assert.same(case[3], conditions.ranges(case[1], case[2]))
    end)
  end

  it("may ask for sixteen parts", function() assert.equal(16, #conditions.ranges(first(16), 100)) end)
  it("that is not there is ignored", function() assert.is_nil(conditions.ranges(nil, 10)) end)
end)

-- SPDX-License-Identifier: MIT
-- date_spec.lua - dates of header fields, as RFC 9110 5.6.7 has them.

local http_date = require "moonpark.http.date"
local http_fields = require "moonpark.http.fields"

local SUNDAY = 784111777 -- Sun, 06 Nov 1994 08:49:37 GMT
local NOW = 1764288000   -- Fri, 28 Nov 2025 00:00:00 GMT
local DAY = 86400

describe("a date", function()
  it("is written in one form, whatever the user's language", function()
    assert.equal("Sun, 06 Nov 1994 08:49:37 GMT", http_date.format(SUNDAY))
    assert.equal("Sun, 06 Nov 1994 08:49:37 GMT", http_date.format(SUNDAY + 0.9))
    assert.equal("Wed, 31 Dec 1969 23:59:59 GMT", http_date.format(-1))
  end)

  it("is read in three forms", function()
    for _, text in ipairs { "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
      "Sun Nov  6 08:49:37 1994",
      "Sun Nov 06 08:49:37 1994" } do
      assert.equal(SUNDAY, http_date.parse(text, NOW), text)
    end
    assert.equal(SUNDAY + 10 * DAY, http_date.parse "Wed Nov 16 08:49:37 1994")
  end)

  it("is read as it was written, on each day of some centuries", function()
    local long = { Sun = "Sunday", Mon = "Monday", Tue = "Tuesday", Wed = "Wednesday", Thu = "Thursday", Fri = "Friday",
      Sat = "Saturday" }
    for seconds = -DAY * 365 * 100, DAY * 365 * 300, DAY + 86399 do
      local text = http_date.format(seconds)
      assert.equal(seconds, http_date.parse(text), text)
      local name, day, month, year, time = text:match("^(%a+), (%d+) (%a+) (%d+) (%S+)")
      local asctime = ("%s %s %2d %s %s"):format(name, month, tonumber(day), time, year)
      assert.equal(seconds, http_date.parse(asctime), asctime)
      local old = ("%s, %s-%s-%s %s GMT"):format(long[name], day, month, year:sub(3), time)
      assert.equal(seconds, http_date.parse(old, seconds - DAY * 365 * 49), old) -- in 49 years
      assert.equal(seconds, http_date.parse(old, seconds + DAY * 365 * 49), old) -- 49 years ago
    end
  end)

  it("of a year with two digits is at most 50 years later, else the latest one that is past", function()
    local cases = { -- now is 28 Nov 2025
      { "Thursday, 28-Nov-75 00:00:00 GMT", 3342124800 }, -- in 50 years to the second
      { "Friday, 28-Nov-75 00:00:01 GMT", 186364801 },    -- 1975
      { "Friday, 28-Nov-25 00:00:00 GMT", NOW }, { "Sunday, 29-Nov-26 00:00:00 GMT", NOW + 366 * DAY },
      { "Saturday, 01-Jan-00 00:00:00 GMT", 946684800 }, { "Friday, 31-Dec-99 23:59:59 GMT", 946684799 },
      { "Tuesday, 29-Feb-00 00:00:00 GMT", 951782400 },
    }
    for _, case in ipairs(cases) do assert.equal(case[2], http_date.parse(case[1], NOW), case[1]) end
    local in_2099 = 4083955200 -- 1 Jun 2099: the next century is nearer than 50 years
    assert.equal("Sat, 01 Jan 2101 00:00:00 GMT", http_date.format(http_date.parse("Saturday, 01-Jan-01 00:00:00 GMT",
      in_2099)))
  end)

  it("that does not exist is none", function()
    for _, text in ipairs { "Fri, 99 Jan 2021 99:99:99 GMT", "Sun, 00 Nov 1994 08:49:37 GMT",
      "Thu, 31 Nov 1994 08:49:37 GMT",
      "Wed, 29 Feb 1995 08:49:37 GMT", "Thu, 29 Feb 1900 00:00:00 GMT", "Sun, 06 Nov 1994 24:00:00 GMT",
      "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 1994 08:49:61 GMT", "Sun, 06 Nov 1994 08:49:60 GMT",
      "Sun, 06 Nov 1994 23:59:61 GMT", "Mon, 06 Nov 1994 08:49:37 GMT", "Xyz, 06 Nov 1994 08:49:37 GMT",
      "Sat, 01 Jan 0000 00:00:00 GMT", "Sun, 06 Nob 1994 08:49:37 GMT", "Monday, 06-Nov-94 08:49:37 GMT",
      "Wednesday, 29-Feb-95 08:49:37 GMT", "Sunday, 06-Nov-94 24:49:37 GMT", "Sunday, 00-Nov-94 08:49:37 GMT",
      "Mon Nov  6 08:49:37 1994", "Thu Nov 31 08:49:37 1994", "Sun Nov  0 08:49:37 1994",
      "Sun Nov  6 08:49:60 1994" } do
      assert.is_nil(http_date.parse(text), text)
    end
    assert.equal(951782400, http_date.parse "Tue, 29 Feb 2000 00:00:00 GMT")
  end)

  it("may have a leap second, at the end of its day", function()
    assert.equal(1483228800, http_date.parse "Sat, 31 Dec 2016 23:59:60 GMT")
    assert.equal(1483228800, http_date.parse("Saturday, 31-Dec-16 23:59:60 GMT", NOW))
    assert.equal(1483228800, http_date.parse "Sat Dec 31 23:59:60 2016")
  end)

  it("in other words is none", function()
    for _, text in ipairs { "", "yesterday", "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:37",
      "Sun, 6 Nov 1994 08:49:37 GMT",
      "Sun, 06 Nov 94 08:49:37 GMT", "sun, 06 nov 1994 08:49:37 gmt", "Sun, 06 Nov 1994 8:49:37 GMT",
      " Sun, 06 Nov 1994 08:49:37 GMT",
      "Sun, 06 Nov 1994 08:49:37 GMT ", "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
      "Sun, 06 Nov 1994 08:49:37 +0000", "06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-1994 08:49:37 GMT",
      "Sun, 06-Nov-94 08:49:37 GMT",
      "Sunday, 6-Nov-94 08:49:37 GMT", "Sun Nov 6 08:49:37 1994", "Sun Nov  6 08:49:37 94",
      "Sun Nov  6 08:49:37 1994 GMT",
      "Sun Nov   6 08:49:37 1994", "784111777", "1994-11-06T08:49:37Z" } do
      assert.is_nil(http_date.parse(text), text)
    end
    assert.is_nil(http_date.parse(nil))
  end)

  it("of a cookie is one that browsers read", function()
    local function expires(seconds) return http_fields.format_cookie("a", "b", { expires = seconds }) end
    assert.equal("a=b; Expires=Thu, 01 Jan 1970 00:00:00 GMT", expires(0))
    assert.equal("a=b; Expires=Mon, 01 Jan 1601 00:00:00 GMT", expires(-11644473600))
    assert.equal("a=b; Expires=Fri, 31 Dec 9999 23:59:59 GMT", expires(253402300799.5))
    for _, seconds in ipairs { -11644473601, 253402300800, 0 / 0, math.huge, -math.huge } do
      assert.error_matches(function() expires(seconds) end, "cookie option 'expires' must be seconds since 1970")
    end
  end)
end)

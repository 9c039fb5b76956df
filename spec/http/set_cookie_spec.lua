-- SPDX-License-Identifier: MIT
-- set_cookie_spec.lua - http/set_cookie.lua: Set-Cookie fields as clients read them (RFC 6265 5.2).

local set_cookie = require "moonpark.http.set_cookie"

-- A cookie in one line, attributes in the order of their names.
local function shown(field)
  local cookie = set_cookie.parse(field)
  if not cookie then return nil end
  local names, parts = {}, { cookie.name .. "=" .. cookie.value }
  for name in pairs(cookie) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    if name ~= "name" and name ~= "value" and cookie[name] then
      parts[#parts + 1] = name .. "=" .. tostring(cookie[name])
    end
  end
  return table.concat(parts, " ")
end

describe("a Set-Cookie field", function()
  it("is a name and a value, without the blanks around them", function()
    assert.equal("a=b", shown "a=b")
    assert.equal("a=b c", shown " a\t= b c ")
    assert.equal("a=", shown "a=")
    assert.equal("a=b=c", shown "a=b=c")
    assert.equal('a="b c"', shown 'a="b c"')
    assert.equal("a=b,c=d", shown "a=b,c=d")
    assert.equal('a="b', shown 'a="b;c"')
    assert.same({ name = "a", value = "b", secure = false, http_only = false }, set_cookie.parse "a=b")
  end)

  it("is none without a name or a '='", function()
    for _, field in ipairs { "", "a", "=b", " = b", "; Path=/", "a; b=c", ";a=b" } do
      assert.is_nil(shown(field), field)
    end
  end)

  it("has attributes, in any case and order", function()
    assert.equal("a=b domain=x.example expires=784111777 http_only=true max_age=-5 path=/p same_site=None secure=true",
      shown("a=b;SECURE;httponly ; max-age = -5; PATH=/p;domain=.X.example;samesite=NONE;"
        .. "expires=Sun, 06-Nov-94 08:49:37 GMT"))
    assert.equal("a=b http_only=true secure=true", shown "a=b; Secure=no; HttpOnly=; Unknown=1;;")
  end)

  it("leaves out an attribute that says nothing", function()
    for _, attribute in ipairs { "Max-Age=", "Max-Age=1.5", "Max-Age=+5", "Max-Age=5x", "Max-Age=-", "Expires=never",
      "Expires", "Domain=", "Domain=.", "Path=x", "Path", "SameSite=x", "SameSite" } do
      assert.equal("a=b", shown("a=b; " .. attribute), attribute)
    end
    assert.equal("a=b domain=x expires=0 max_age=5 same_site=Lax", shown("a=b; Max-Age=5; Max-Age=x; Domain=x; Domain=;"
      .. "SameSite=Lax; SameSite=; Expires=1 Jan 1970 00:00:00; Expires=x"))
  end)

  it("has the last of an attribute that is repeated; a path that is none takes the one before away", function()
    assert.equal("a=b max_age=2 path=/q", shown "a=b; Max-Age=1; Path=/p; Max-Age=2; Path=/q")
    assert.equal("a=b", shown "a=b; Path=/p; Path=")
  end)
end)

describe("the date of a cookie", function()
  it("may be written in many ways", function()
    for _, text in ipairs { "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
      "Sun Nov  6 08:49:37 1994",
      "06 Nov 94 8:49:37", "1994 November 6 08:49:37", "08:49:37 6/nov/1994", "x 08:49:37abc y 06th Nov 1994",
      "[6]Nov\\1994^08:49:37", "6_Nov_1994`08:49:37", "6{Nov|1994~08:49:37",
      "6 NOV 1994 08:49:37 -0800" } do
      assert.equal(784111777, set_cookie.parse_date(text), text)
    end
    assert.equal(0, set_cookie.parse_date "1 Jan 70 0:0:0")
    assert.equal(951782400, set_cookie.parse_date "29 Feb 2000 00:00:00")
    assert.equal(3155759999, set_cookie.parse_date "31 Dec 69 23:59:59")
    assert.equal(-11644473600, set_cookie.parse_date "1 Jan 1601 00:00:00")
  end)

  it("that does not exist, or lacks something, is none", function()
    for _, text in ipairs { "", "Sun, 06 Nov 1994", "06 Nov 08:49:37", "Nov 1994 08:49:37", "6 1994 08:49:37",
      "30 Feb 1996 08:49:37", "29 Feb 1900 00:00:00", "31 Apr 1996 08:49:37", "0 Nov 1994 08:49:37",
      "32 Dec 1994 00:00:00",
      "6 Nov 1994 24:00:00", "6 Nov 1994 08:60:00", "6 Nov 1994 08:49:60", "6 Nov 1600 08:49:37",
      "6 Nov 19945 08:49:37",
      "6 Nov 1994 08:49", "6 Nov 1994 08:49:377", "6 Now 1994 08:49:37" } do
      assert.is_nil(set_cookie.parse_date(text), text)
    end
  end)
end)

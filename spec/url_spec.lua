-- SPDX-License-Identifier: MIT
-- url_spec.lua - moonpark.url: percent-encoding, forms, the parts of a URL.

local url = require "moonpark.url"

describe("percent-encoding", function()
  it("leaves the unreserved characters as they are", function()
    assert.equal("AZaz09-._~", url.encode "AZaz09-._~")
    assert.equal("%20%2B%25%26%2F%3D%00%C3%A9", url.encode " +%&/=\0é")
    assert.equal("12", url.encode(12))
  end)

  it("is undone byte by byte, '+' being a space in forms alone", function()
    assert.equal("a b+é/", url.decode "a%20b+%c3%A9%2f")
    assert.equal("a b c", url.decode("a+b%20c", true))
    assert.equal("", url.decode "")
  end)

  it("is nil where two digits are missing", function()
    for _, text in ipairs { "%", "%1", "a%zz", "%4", "%%41", "%+1", "% 1" } do assert.is_nil(url.decode(text), text) end
  end)

  it("gives any bytes back", function()
    math.randomseed(4)
    for _ = 1, 200 do
      local bytes = {}
      for i = 1, math.random(0, 40) do bytes[i] = string.char(math.random(0, 255)) end
      local text = table.concat(bytes)
      assert.equal(text, url.decode(url.encode(text)))
      assert.same({ { "x", text } }, url.parse_form("x=" .. url.encode(text)))
    end
  end)
end)

describe("a form", function()
  it("is names and values in their order", function()
    assert.same({ { "a", "1" }, { "b", "" }, { "a", "x=y" }, { "", "z" } }, url.parse_form "a=1&b&&a=x=y&=z&")
    assert.same({}, url.parse_form "")
  end)

  it("keeps what cannot be decoded as it is", function()
    assert.same({ { "a", "%zz" }, { "100%", "b" } }, url.parse_form "a=%zz&100%=b")
  end)

  it("may be limited", function()
    assert.same({ nil, "too many fields" }, { url.parse_form("a&b&c", 2) })
    assert.equal(2, #url.parse_form("a&b", 2))
  end)

  it("is made of a table, names in order, lists as repeated names", function()
    assert.equal("a=1&b=x%20y&b=%26", url.form { b = { "x y", "&" }, a = 1 })
  end)

  it("has a last value of each name", function()
    assert.same({ a = "2", b = "" }, (url.form_values "a=1&b=&a=2"))
    assert.same({ nil, "too many fields" }, { url.form_values("a&a&a", 2) })
  end)
end)

describe("a URL", function()
  local function parts(text)
    local p, err = url.parse(text)
    if not p then return err end
    return table.concat({ p.scheme, p.user or "-", p.host, p.port, p.authority, p.path }, " ")
  end

  it("is taken apart", function()
    assert.equal("http - example.org 80 example.org /", parts "http://example.org")
    assert.equal("http - example.org 80 example.org /a?b", parts "HTTP://example.org:80/a?b#c")
    assert.equal("http - example.org 8080 example.org:8080 /?q", parts "http://example.org:8080?q")
    assert.equal("https u:p h 443 h /", parts "https://u:p@h/")
    assert.equal("http - ::1 8080 [::1]:8080 /", parts "http://[::1]:8080/")
  end)

  it("without a scheme says so, if the rest could be one", function()
    for _, text in ipairs { "x", "127.0.0.1:80/", "example.org", "example.org:8080/x?q", "localhost:80",
      "[::1]:80/" } do
      assert.equal("invalid URL: no scheme, such as http://", parts(text), text)
    end
  end)

  it("that is none says so", function()
    for _, text in ipairs { "", "//h/", "http:/h", "http://", "http://h:x/", "http://a b/", "http://h/\r\n",
      "http://[::1/", "http://h:1:2/", "http://[::1]80/", "http://[::1]x/", "http://h:+80/", "http://h:8 0/",
      "http://h:0x50/", "http://[::1%25lo]/", "http://[v1.a]/", "http://a]/", "http:\\\\h/", "http:/\\h/", "http:///h/",
      "http://@/", "http://u@/", "http:h" } do
      assert.equal("invalid URL", parts(text), text)
    end
    for _, host in ipairs { "a%20b", "a,b", "a..b", ("a"):rep(64), "%61", "good.example\\.evil.example",
      "a<b", "h\195\182st",
      "good.example\239\188\143.evil.example", "127.1", "0x7f.0.0.1", "010.0.0.1", "2130706433", "1.2.3.4.5", "*" } do
      assert.equal(("invalid host name: '%s'"):format(host), parts("http://" .. host .. "/"))
    end
    assert.equal("not a numeric address: '[::::]'", parts "http://[::::]/")
    assert.equal("unknown scheme 'ftp'", parts "ftp://h/")
    assert.equal("invalid port", parts "http://h:0/")
    assert.equal("invalid port", parts "http://h:65536/")
  end)

  it("may name who asks, in characters that nobody takes for something else", function()
    assert.equal("http u;v=1:p!$&'()*+,-._~%40%5C h 80 h /", parts "http://u;v=1:p!$&'()*+,-._~%40%5C@h/")
    assert.equal("http  h 80 h /", parts "http://@h/")
    for byte = 0, 255 do
      local c = string.char(byte)
      local fine = c:find "[%w%-%._~!$&'()*+,;=:]" ~= nil
      if not c:find "[/?#]" then
        for _, user in ipairs { c, "u" .. c, "u:" .. c .. "p" } do
          local found = parts("http://" .. user .. "@h/")
          assert.equal(fine and "http " .. user .. " h 80 h /" or "invalid URL", found)
        end
      end
    end
    for _, user in ipairs { "a@b", "@", "u:p@good.example", "%", "%4", "%zz", "u%", "%4%40", "[::1]",
      "\239\188\160" } do
      assert.equal("invalid URL", parts("http://" .. user .. "@h/"), user)
    end
  end)

  it("leads to a host, whatever that is called", function()
    assert.equal("unix.:80", url.parse("http://unix/a").address)
    assert.equal("UDP.:53", url.parse("http://UDP:53").address)
    assert.equal("udp:53", url.parse("http://udp:53").authority)
    assert.equal("unix.example:80", url.parse("http://unix.example").address)
  end)

  it("and a reference that some readers take for another host is none", function()
    local base = url.parse "http://a/b/c"
    for _, reference in ipairs { "/\\evil.example/", "\\/evil.example/", "\\\\evil.example/", "///evil.example/",
      "//\\evil.example/",
      "/\t/evil.example/", "http:evil.example", "http:\\\\evil.example", "//u\\@evil.example", "//[::1]80" } do
      assert.is_nil((url.resolve(base, url.tolerate(reference, true))), reference)
    end
  end)

  it("of people may have bytes that a target cannot: behind the authority they are encoded", function()
    assert.equal("http://h/%C3%B6%7C%22%3C%3E%5C%5E%60%7B%7D?%7C", url.tolerate "http://h/\195\182|\"<>\\^`{}?|")
    assert.equal("/a%7C%5C", url.tolerate "/a|\\")
    assert.equal("a b", url.tolerate "a b")
    assert.equal("a%20b", url.tolerate("a b", true))
    for _, text in ipairs { "http://u\\@h/", "http://a|b/", "//a\\b/", "/\\a\\b", "http://a b?" } do
      assert.equal(text, url.tolerate(text, true))
    end
  end)

  it("is found from a reference as RFC 3986 5.4 has it", function()
    local base = url.parse "http://a/b/c/d;p?q"
    local examples = {
      ["g"] = "/b/c/g", ["./g"] = "/b/c/g", ["g/"] = "/b/c/g/", ["/g"] = "/g", ["?y"] = "/b/c/d;p?y",
      ["g?y"] = "/b/c/g?y",
      [";x"] = "/b/c/;x", ["g;x"] = "/b/c/g;x", [""] = "/b/c/d;p?q", ["."] = "/b/c/", ["./"] = "/b/c/", [".."] = "/b/",
      ["../"] = "/b/", ["../g"] = "/b/g", ["../.."] = "/", ["../../"] = "/", ["../../g"] = "/g",
      ["../../../g"] = "/g", ["/./g"] = "/g", ["/../g"] = "/g", ["g."] = "/b/c/g.", ["..g"] = "/b/c/..g",
      ["./../g"] = "/b/g", ["./g/."] = "/b/c/g/", ["g/./h"] = "/b/c/g/h", ["g/../h"] = "/b/c/h", ["g#s"] = "/b/c/g",
      ["g?y/../x"] = "/b/c/g?y/../x",
    }
    for reference, path in pairs(examples) do
      local found = url.resolve(base, reference)
      assert.equal("a " .. path, found and found.host .. " " .. found.path, reference)
    end
    assert.equal("g /", (function(p) return p.host .. " " .. p.path end)(url.resolve(base, "//g")))
    assert.equal("https", url.resolve(base, "https://x/").scheme)
  end)
end)

describe("url.build()", function()
  it("makes a URL of its parts, encoding what is not written yet", function()
    assert.equal("https://example.org/", url.build { host = "example.org" })
    assert.equal("http://example.org:8080/a/b?c=1#top", url.build { scheme = "http", host = "example.org", port = 8080,
      path = "/a/b", query = "c=1", fragment = "top" })
    assert.equal("https://[::1]:8443/", url.build { host = "::1", port = 8443 })
    assert.equal("https://example.org/users/a%2Fb%20c/%25", url.build { host = "example.org", port = 443,
      path = { "users", "a/b c", "%" } })
    assert.equal("https://example.org/s?q=a%26b%20%C3%A9&tag=1&tag=2", url.build { host = "example.org", path = "s",
      query = { q = "a&b é", tag = { 1, 2 } } })
    assert.equal("https://ada:pw@example.org/", url.build { host = "example.org", user = "ada:pw" })
    assert.equal("https://example.org/#a%20%23b", url.build { host = "example.org", fragment = "a #b" })
  end)

  it("is the other way of parse()", function()
    for _, text in ipairs { "http://example.org/", "https://a:b@[2001:db8::1]:99/x/y?z=1&w",
      "http://a.example:81/?" } do
      assert.equal(text, url.build(assert(url.parse(text))))
    end
    local parts = url.parse "http://example.org/a?b=1"
    parts.query = { c = 2 }
    assert.equal("http://example.org/a?b=1&c=2", url.build(parts))
  end)

  it("refuses what would be read as something else", function()
    assert.same({ nil, "invalid path" }, { url.build { host = "a", path = { "users", ".." } } })
    assert.same({ nil, "unknown scheme 'ftp'" }, { url.build { scheme = "ftp", host = "a" } })
    for _, host in ipairs { "a/b", "a@b", "a b", "a:b", "a#", "a?", "" } do
      assert.is_nil((url.build { host = host }), host)
    end
    assert.is_nil((url.build { host = "evil.example", user = "good.example/" }))
    assert.is_nil((url.build { host = "a", path = "/a b" }))
    assert.error(function() url.build {} end)
    assert.error(function() url.build { host = "a", port = 0 } end)
  end)
end)

describe("url.resolve()", function()
  it("takes the base as a text, too", function()
    assert.equal("/c", url.resolve("http://example.org/a/b", "/c").path)
    assert.same({ nil, "invalid URL" }, { url.resolve("no url", "/c") })
  end)
end)

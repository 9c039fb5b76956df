-- SPDX-License-Identifier: MIT
-- addr_spec.lua - text to socket address and back; hosts that are names are told, not looked up.

local ffi = require "ffi"
local units = require "support.units"
local lib = units.lib

local AF_UNIX, AF_INET, AF_INET6 = 1, 2, 10

local function parse(text)
  local a = ffi.new("struct addr")
  ffi.fill(a, ffi.sizeof(a), 0xaa) -- what was there before must not matter
  local err = lib.addr_parse(a, text, #text)
  return a, err ~= nil and ffi.string(err) or nil
end

local function parsed(text)
  local a, err = parse(text)
  assert.is_nil(err)
  return a
end

local function format(a)
  local text = ffi.new("char[?]", ffi.C.ADDR_TEXT_MAX)
  ffi.fill(text, ffi.C.ADDR_TEXT_MAX, 0xaa)
  local n = tonumber(lib.addr_format(a, text))
  assert.equal(n, #ffi.string(text)) -- the length, and terminated there
  return ffi.string(text)
end

-- What addr_split tells: host, port, "name" and "dgram" where it is so; or nil and what is wrong.
local function split(text, n)
  local p = ffi.new("struct addr_parts")
  ffi.fill(p, ffi.sizeof(p), 0xaa)
  local err = lib.addr_split(p, text, n or #text)
  if err ~= nil then return nil, ffi.string(err) end
  return ffi.string(p.host, p.length), p.port, p.name and "name" or nil, p.dgram and "dgram" or nil
end

local function port(a) -- the same place in both families
  local bytes = ffi.cast("uint8_t *", a)
  return bytes[2] * 256 + bytes[3]
end

describe("addr", function()
  describe("reads", function()
    it("IPv4 with a port", function()
      local a = parsed "127.0.0.1:8080"
      assert.equal(AF_INET, a.any.sa_family)
      assert.equal(16, a.len)
      assert.equal(8080, port(a))
      assert.equal("\127\0\0\1", ffi.string(ffi.cast("char *", a["in"].sin_addr), 4))
      assert.is_false(a.wildcard)
    end)

    it("IPv6 in brackets with a port", function()
      local a = parsed "[::1]:443"
      assert.equal(AF_INET6, a.any.sa_family)
      assert.equal(28, a.len)
      assert.equal(443, port(a))
      assert.equal(("\0"):rep(15) .. "\1", ffi.string(a.in6.sin6_addr, 16))
      assert.is_false(a.wildcard)
    end)

    it("a port alone as every local address, IPv6 first", function()
      local a = parsed ":80"
      assert.equal(AF_INET6, a.any.sa_family)
      assert.equal(80, port(a))
      assert.is_true(a.wildcard)
      assert.equal("[::]:80", format(a))
    end)

    it("port 0, the highest port, and leading zeros", function()
      assert.equal(0, port(parsed "127.0.0.1:0"))
      assert.equal(65535, port(parsed "127.0.0.1:65535"))
      assert.equal(80, port(parsed "127.0.0.1:00080"))
    end)

    it("a unix path, with its terminating zero in the length", function()
      local a = parsed "unix:/run/x.sock"
      assert.equal(AF_UNIX, a.any.sa_family)
      assert.equal("/run/x.sock", ffi.string(a.un.sun_path))
      assert.equal(2 + 11 + 1, a.len)
    end)

    it("a relative unix path, and one with colons and spaces", function()
      assert.equal("x.sock", ffi.string(parsed("unix:x.sock").un.sun_path))
      assert.equal("a:b c", ffi.string(parsed("unix:a:b c").un.sun_path))
    end)

    it("an abstract unix name, exactly as long as it is", function()
      local a = parsed "unix:@name"
      assert.equal("\0name", ffi.string(a.un.sun_path, 5))
      assert.equal(2 + 5, a.len)
    end)

    it("a unix path of 107 bytes and no longer", function()
      local a = parsed("unix:/" .. ("p"):rep(106))
      assert.equal(2 + 108, a.len)
      assert.equal("unix:/" .. ("p"):rep(106), format(a))
    end)

    it("the zone of an IPv6 address: an interface by its name or its number", function()
      assert.equal(1, parsed("[fe80::1%lo]:80").in6.scope)
      assert.equal(1, parsed("[fe80::1%1]:80").in6.scope)
      assert.equal(99999, parsed("[fe80::1%99999]:80").in6.scope)
      assert.equal(2147483647, parsed("[fe80::1%2147483647]:80").in6.scope)
      assert.equal(1, parsed("udp:[ff02::1%lo]:80").in6.scope)
      assert.equal(0, parsed("[fe80::1]:80").in6.scope)
    end)

    it("the zone of an interface that is not there as a number that none has", function()
      for _, zone in ipairs { "nosuchif", ("i"):rep(15), "0", "4294967297", "2147483648", "00000000001" } do
        assert.equal(2147483647, parsed("[fe80::1%" .. zone .. "]:80").in6.scope)
      end
    end)

    it("datagram addresses behind 'udp:' and 'unixgram:', and says that they are", function()
      for _, text in ipairs { "udp:127.0.0.1:53", "udp::53", "udp:[::1]:53", "unixgram:/path", "unixgram:@name" } do
        assert.is_true(parsed(text).dgram)
      end
      for _, text in ipairs { "127.0.0.1:53", ":53", "[::1]:53", "unix:/path", "unix:@name" } do
        assert.is_false(parsed(text).dgram)
      end
      assert.is_true(parsed("udp::53").wildcard)
      assert.equal(53, port(parsed "udp:127.0.0.1:53"))
      assert.equal("/path", ffi.string(parsed("unixgram:/path").un.sun_path))
    end)

    it("'unixgram:' as a socket without a name", function()
      local a = parsed "unixgram:"
      assert.equal(AF_UNIX, a.any.sa_family)
      assert.equal(2, a.len)
      assert.is_true(a.dgram)
      assert.is_true(lib.addr_path(a) == nil)
    end)

    it("exactly the bytes it is given", function()
      local a = ffi.new("struct addr")
      assert.is_true(lib.addr_parse(a, "127.0.0.1:8080", 12) == nil)
      assert.equal("127.0.0.1:80", format(a))
    end)
  end)

  describe("takes apart", function()
    it("host and port, without brackets and kinds", function()
      assert.same({ "127.0.0.1", 80 }, { split "127.0.0.1:80" })
      assert.same({ "::1", 80 }, { split "[::1]:80" })
      assert.same({ "fe80::1%lo", 80 }, { split "[fe80::1%lo]:80" })
      assert.same({ "", 80 }, { split ":80" })
      assert.same({ "127.0.0.1", 53, nil, "dgram" }, { split "udp:127.0.0.1:53" })
      assert.same({ "", 53, nil, "dgram" }, { split "udp::53" })
    end)

    it("unix paths, whose port is -1", function()
      assert.same({ "/run/x", -1 }, { split "unix:/run/x" })
      assert.same({ "@name", -1 }, { split "unix:@name" })
      assert.same({ "/run/x", -1, nil, "dgram" }, { split "unixgram:/run/x" })
      assert.same({ "", -1, nil, "dgram" }, { split "unixgram:" })
    end)

    it("names, and says that they are to be looked up", function()
      for _, host in ipairs { "localhost", "LOCALHOST", "a", "a.b", "example.com.", "_dns._udp.example",
        "xn--caf-dma.fr", "1.2.3.a", "1a", "a-1", "-a-", "0xg", "0x1.a", "x", "a.0x1g" } do
        assert.same({ host, 80, "name" }, { split(host .. ":80") })
        assert.same({ host, 80, "name", "dgram" }, { split("udp:" .. host .. ":80") })
      end
    end)

    it("names of labels of up to 63 bytes, 253 bytes in all, and a trailing dot", function()
      local longest = (("l"):rep(63) .. "."):rep(3) .. ("m"):rep(61)
      assert.equal(253, #longest)
      for _, host in ipairs { longest, longest .. ".", ("a."):rep(126) .. "a", ("a."):rep(126) .. "a." } do
        assert.same({ host, 1, "name" }, { split(host .. ":1") })
      end
      assert.same({ nil, "host name too long" }, { split(longest .. "m:1") })
      assert.same({ nil, "host name too long" }, { split(longest .. "m.:1") })
      assert.same({ nil, "host name too long" }, { split(longest .. "..:1") })
    end)

    it("by bytes, whatever the user's language says is a letter", function()
      local before = os.setlocale()
      for _, locale in ipairs { "", "C.UTF-8", "de_DE.ISO-8859-1", "tr_TR.UTF-8" } do
        if os.setlocale(locale) then
          assert.same({ nil, "invalid host name" }, { split "caf\233:80" })
          assert.same({ "TITLE", 80, "name" }, { split "TITLE:80" })
        end
      end
      os.setlocale(before)
    end)

    it("exactly the bytes it is given", function()
      assert.same({ "localhost", 8, "name" }, { split("localhost:80", 11) })
      assert.same({ nil, "missing port" }, { split("localhost:80", 9) })
      assert.same({ nil, "missing port" }, { split("localhost:80", 0) })
    end)

    it("any bytes at all so that what it accepts reads again as the same", function()
      local random, kinds = units.random(11), { "", "", "udp:", "unix:", "unixgram:" }
      local pieces = { "[", "]", ":", ":", "%", ".", "127.0.0.1", "::1", "fe80::1", "lo", "80", "0", "65536", "a",
        "host", "0x7f", "-", "/", "@", " ", "\0", "\255", ("l"):rep(63), "1" }
      local seen = { refused = 0, name = 0, numeric = 0 }
      for _ = 1, 20000 do
        local words = { kinds[random(#kinds)] }
        for i = 1, random(6) do words[i + 1] = pieces[random(#pieces)] end
        if random(2) == 1 then words[#words + 1] = ":80" end
        local text = table.concat(words)
        local host, number, name, dgram = split(text)
        local a, err = parse(text)
        local kind = not host and "refused" or name or "numeric"
        seen[kind] = seen[kind] + 1
        if kind == "refused" then
          assert.equal(number, err)
        elseif kind == "name" then
          assert.equal("not a numeric address", err)
          assert.same({ host, number, name, dgram }, { split((dgram and "udp:" or "") .. host .. ":" .. number) })
        else
          assert.is_nil(err)
          assert.equal(dgram ~= nil, a.dgram)
          local again = parsed(format(a))
          assert.equal(ffi.string(a, a.len), ffi.string(again, again.len))
        end
      end
      for _, n in pairs(seen) do assert.is_true(n > 200) end
    end)
  end)

  describe("refuses", function()
    local refused = {
      ["missing port"] = { "", "127.0.0.1", "localhost", "udp:127.0.0.1", "udp:localhost", "udp:" },
      ["invalid port"] = { "127.0.0.1:", ":", "127.0.0.1:65536", "127.0.0.1:123456", "127.0.0.1:-1", "127.0.0.1:+1",
        "127.0.0.1: 1", "127.0.0.1:1 ", "127.0.0.1:0x50", "127.0.0.1:http", "127.0.0.1:8\n", "[::1]",
        "127.0.0.1:\226\152\186", "127.0.0.1:123456789", "udp:127.0.0.1:65536", "udp::" },
      ["missing ]"] = { "[::1:80", "[:80" },
      ["not a numeric address"] = { "localhost:80", "[127.0.0.1]:80", "[]:80", "[:::1]:80", "[g::1]:80",
        "[1:2:3:4:5:6:7:8:9]:80", "[" .. ("1"):rep(300) .. "]:80", "[localhost]:80", "[::1%]:80", "[%lo]:80", "[%]:80",
        "[::1%a b]:80", "[::1%a/b]:80", "[::1%\1]:80", "[::1%\255]:80", "[::1%" .. ("i"):rep(16) .. "]:80",
        "udp:localhost:80", "udp:[localhost]:80" },
      ["invalid host name"] = { "127.1:80", "127.0.0.0.1:80", "0177.0.0.1:80", "0x7f.0.0.1:80", "256.0.0.1:80",
        "127.0.0.01:80", "127.0.0.1.:80", " 127.0.0.1:80", "::1", "::1:80", "http://127.0.0.1:80", "tcp:127.0.0.1:80",
        "UNIX:/path:1", "*:80", "127.0.0.1%lo:80", "0x7f000001:80", "0X7F000001:80", "0x:80", "a.0x1.:80", "a.1:80",
        "2130706433:80", ".:80", "..:80", ".a:80", "a..b:80", "a..:80", "a b:80", "a\n:80", "a/b:80", "a@b:80",
        "caf\195\169:80", "a\127:80", ("l"):rep(64) .. ":80", "a." .. ("l"):rep(64) .. ".b:80", "udp:a b:80",
        "udp:127.1:53", ("1"):rep(200) .. ":80" },
      ["host name too long"] = { ("1"):rep(300) .. ":80", ("a."):rep(127) .. ":80:80", ("a."):rep(126) .. "aa:80",
        ("a."):rep(126) .. "aa.:80", "udp:" .. ("a."):rep(5000) .. "a:80" },
      ["missing unix path"] = { "unix:" },
      ["unix path too long"] = { "unix:/" .. ("p"):rep(107), "unix:@" .. ("p"):rep(107),
        "unixgram:/" .. ("p"):rep(107), "unixgram:@" .. ("p"):rep(107) },
      ["zero byte in address"] = { "127.0.0.1\0:80", "\0:80", "127.0.0.1:80\0", "unix:/a\0b", "unix:@a\0b",
        "unixgram:\0", "udp:127.0.0.1\0:80", "local\0host:80", "[fe80::1%lo\0]:80" },
    }
    for words, texts in pairs(refused) do
      it(("what it answers with %q"):format(words), function()
        for _, text in ipairs(texts) do
          local _, err = parse(text)
          assert.equal(words, err or ("accepted: " .. text))
        end
      end)
    end
  end)

  describe("writes", function()
    it("what it read", function()
      for _, text in ipairs { "127.0.0.1:0", "0.0.0.0:65535", "255.255.255.255:1", "[::1]:80", "[::]:0",
        "[2001:db8::1]:443", "[::ffff:127.0.0.1]:80", "unix:/run/x.sock", "unix:x", "unix:@name", "unix:@",
        "[1111:2222:3333:4444:5555:6666:7777:8888]:65535", "unix:@" .. ("n"):rep(106), "udp:127.0.0.1:53",
        "udp:[::1]:53", "udp:[fe80::1%lo]:53", "[fe80::1%lo]:80", "[fe80::1%2147483646]:80", "unixgram:", "unixgram:/x",
        "unixgram:@name", "unixgram:@", "unixgram:@" .. ("n"):rep(106) } do
        assert.equal(text, format(parsed(text)))
      end
    end)

    it("IPv6 in its shortest form", function()
      assert.equal("[2001:db8::1]:80", format(parsed "[2001:0DB8:0:0:0:0:0:1]:80"))
    end)

    it("an unnamed unix address as 'unix:'", function()
      local a = ffi.new("struct addr")
      a.any.sa_family, a.len = AF_UNIX, 2
      assert.equal("unix:", format(a))
    end)

    it("a unix path that fills its field without a zero", function()
      local a = ffi.new("struct addr")
      a.un.sun_family, a.len = AF_UNIX, 110
      ffi.copy(a.un.sun_path, ("p"):rep(108), 108)
      assert.equal("unix:" .. ("p"):rep(108), format(a))
    end)

    it("a unix path that fills its field, where the kernel counts a zero behind it", function()
      local a = ffi.new("struct addr")
      a.un.sun_family, a.len = AF_UNIX, 111
      ffi.copy(a.un.sun_path, ("p"):rep(108), 108)
      ffi.cast("char *", a)[110] = 0x7f -- what lies there is not the path's
      assert.equal("unix:" .. ("p"):rep(108), format(a))
    end)

    it("a zone without an interface as its number", function()
      assert.equal("[fe80::1%2147483647]:80", format(parsed "[fe80::1%nosuchif]:80"))
    end)

    it("the longest of all within its bound", function()
      local longest = format(parsed "udp:[1111:2222:3333:4444:5555:6666:7777:8888%4294967297]:65535")
      assert.equal("udp:[1111:2222:3333:4444:5555:6666:7777:8888%2147483647]:65535", longest)
    end)

    it("a family it does not know as 'unknown'", function()
      local a = ffi.new("struct addr")
      a.any.sa_family, a.len = 16, 12
      assert.equal("unknown", format(a))
    end)

    it("random addresses so that they read as themselves", function()
      local random, texts = units.random(5), {}
      for i = 1, 300 do
        local six, words = random(2) == 1, {}
        for k = 1, six and 8 or 4 do
          words[k] = six and ("%x"):format(random(3) == 1 and 0 or random(65536) - 1) or random(256) - 1
        end
        local host = table.concat(words, six and ":" or ".")
        texts[i] = (six and "[" .. host .. "]" or host) .. ":" .. random(65536) - 1
      end
      for _, text in ipairs(texts) do
        local a = parsed(text)
        local again = parsed(format(a))
        assert.equal(ffi.string(a, a.len), ffi.string(again, again.len))
      end
    end)
  end)

  describe("the wildcard", function()
    it("becomes 0.0.0.0 for hosts without IPv6 and stays a wildcard", function()
      local a = parsed ":80"
      lib.addr_wildcard4(a)
      assert.equal("0.0.0.0:80", format(a))
      assert.equal(16, a.len)
      assert.is_true(a.wildcard)
    end)

    it("stays a datagram's", function()
      local a = parsed "udp::53"
      lib.addr_wildcard4(a)
      assert.equal("udp:0.0.0.0:53", format(a))
      assert.is_true(a.dgram)
    end)

    it("means this machine to those who dial", function()
      local a = parsed ":80"
      lib.addr_loopback4(a)
      assert.equal("127.0.0.1:80", format(a))
    end)
  end)

  it("tells which path a unix listener leaves behind", function()
    assert.equal("/run/x.sock", ffi.string(lib.addr_path(parsed "unix:/run/x.sock")))
    assert.is_true(lib.addr_path(parsed "unix:@name") == nil)
    assert.is_true(lib.addr_path(parsed "127.0.0.1:80") == nil)
    local unnamed = ffi.new("struct addr")
    unnamed.any.sa_family, unnamed.len = AF_UNIX, 2
    assert.is_true(lib.addr_path(unnamed) == nil)
  end)
end)

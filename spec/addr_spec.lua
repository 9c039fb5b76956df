-- SPDX-License-Identifier: MIT
-- addr_spec.lua - text to socket address and back. Addresses are numeric.

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

    it("exactly the bytes it is given", function()
      local a = ffi.new("struct addr")
      assert.is_true(lib.addr_parse(a, "127.0.0.1:8080", 12) == nil)
      assert.equal("127.0.0.1:80", format(a))
    end)
  end)

  describe("refuses", function()
    local refused = {
      ["missing port"] = { "", "127.0.0.1", "localhost" },
      ["invalid port"] = { "127.0.0.1:", ":", "127.0.0.1:65536", "127.0.0.1:123456", "127.0.0.1:-1", "127.0.0.1:+1",
        "127.0.0.1: 1", "127.0.0.1:1 ", "127.0.0.1:0x50", "127.0.0.1:http", "127.0.0.1:8\n", "[::1]",
        "127.0.0.1:\226\152\186", "127.0.0.1:123456789" },
      ["missing ]"] = { "[::1:80", "[:80" },
      ["not a numeric address"] = { "localhost:80", "127.1:80", "127.0.0.0.1:80", "0177.0.0.1:80", "0x7f.0.0.1:80",
        "256.0.0.1:80", "127.0.0.1.:80", " 127.0.0.1:80", "::1", "::1:80", "[127.0.0.1]:80", "[]:80", "[::1%lo]:80",
        "[:::1]:80", "[g::1]:80", "[1:2:3:4:5:6:7:8:9]:80", ("1"):rep(300) .. ":80",
        "[" .. ("1"):rep(300) .. "]:80", "http://127.0.0.1:80", "tcp:127.0.0.1:80", "UNIX:/path:1", "*:80" },
      ["not a stream address"] = { "udp:127.0.0.1:53", "udp::53", "unixgram:/path", "udp:" },
      ["missing unix path"] = { "unix:" },
      ["unix path too long"] = { "unix:/" .. ("p"):rep(107), "unix:@" .. ("p"):rep(107) },
      ["zero byte in address"] = { "127.0.0.1\0:80", "\0:80", "127.0.0.1:80\0", "unix:/a\0b", "unix:@a\0b" },
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
        "[2001:db8::1]:443",         "[::ffff:127.0.0.1]:80", "unix:/run/x.sock", "unix:x", "unix:@name", "unix:@",
        "[1111:2222:3333:4444:5555:6666:7777:8888]:65535", "unix:@" .. ("n"):rep(106) } do
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

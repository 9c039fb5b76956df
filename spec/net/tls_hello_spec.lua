-- SPDX-License-Identifier: MIT
-- tls: what a stranger may say first. Each of these ends in words and an alert, or goes on as if nothing was said.

local core = require "moonpark.core"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local tls = require "moonpark.tls"
local certificates = require "support.tls"
local wire = require "support.tls_wire"

local UNEXPECTED, OVERFLOW, FAILURE, ILLEGAL, DECODE, VERSION = 10, 22, 40, 47, 50, 70
local UNRECOGNIZED, NO_PROTOCOL = 112, 120
local GOES_ON = "unexpected eof" -- the server has answered and waits for more: the end comes

-- What the server's handshake returns, and all that it has said, after these bytes and the end.
local function say(server, ...)
  local a, b = net.pipe()
  assert(core.tls_cover(b, server.core))
  local reader = moonpark.go(a.read_all, a)
  local task = moonpark.go(function()
    local ok, err = b:handshake()
    b:close()
    return ok, err
  end)
  for _, piece in ipairs { ... } do a:write(piece) end
  a:close_write()
  local _, ok, err = task:join()
  local _, said = reader:join()
  a:close()
  assert.is_nil(ok)
  return err, said or ""
end

local function hello(options) return wire.record(wire.HANDSHAKE, wire.hello(options)) end

-- The hello gets the server's hello in return.
local function goes_on(server, ...)
  local err, said = say(server, ...)
  assert.same({ GOES_ON, wire.HANDSHAKE }, { err, said:byte() })
end

-- The server refuses with this alert, and says nothing else; words: if they are ours, and not OpenSSL's.
local function refused(words, alert, server, ...)
  local err, said = say(server, ...)
  if words then assert.equal(words, err) else assert.matches("^handshake failure: ", err) end
  assert.same({ alert, alert and 7 or 0 }, { wire.alert(said), #said })
end

describe("a TLS server", function()
  local open, server = nil, certificates.server()

  before_each(function() open = tls.stats().open end)
  after_each(function()
    assert.equal(open, tls.stats().open)
    core.check()
  end)

  describe("that chooses certificates", function()
    local asked
    local choosing = certificates.server { choose = function(name)
      asked = name
      return nil
    end }
    before_each(function() asked = nil end)

    it("asks for names of hosts alone, as they are compared", function()
      for name, expected in pairs { ["other.example"] = "other.example", ["OTHER.Example"] = "other.example",
        ["other.example."] = "other.example", ["x_y.example"] = "x_y.example" } do
        goes_on(choosing, hello { name = name })
        assert.equal(expected, asked)
      end
    end)

    it("asks nobody what words mean that are no names, and addresses", function()
      for _, name in ipairs { "", ".", "..", ".other.example", "a..b", "127.0.0.1", "::1", "[::1]", "*.example", "a b",
        "../../etc/passwd", "a/b", "b\195\188cher.example", "x\r\nlog: y", "a:443", ("a"):rep(255) } do
        goes_on(choosing, hello { name = name })
        assert.is_nil(asked)
      end
      goes_on(choosing, hello())
      assert.is_nil(asked)
    end)

    it("knows its own names in any spelling", function()
      for _, name in ipairs { "HOST.example", "host.example.", "LOCALHOST" } do
        goes_on(choosing, hello { name = name })
        assert.is_nil(asked)
      end
    end)
  end)

  it("refuses names that are none in the protocol", function()
    for _, name in ipairs { "a\0b", "\0", "host.example\0", ("a"):rep(256), ("a."):rep(1000) } do
      refused(nil, UNRECOGNIZED, server, hello { name = name })
    end
    local function list(bytes) return hello { extra = wire.extension(0, bytes) } end
    for _, bytes in ipairs { "", wire.long "", wire.long "\0",
      wire.long("\0" .. wire.long "a" .. "\0" .. wire.long "b"),
      wire.long("\1" .. wire.long "a"), wire.long("\0\0\9a"), "\0\9" .. "\0" .. wire.long "a" } do
      refused(nil, DECODE, server, list(bytes))
    end
    refused(nil, ILLEGAL, server,
      hello { name = "a.example", extra = wire.server_name "b.example" })
  end)

  it("takes a protocol that it has, among whatever others, and refuses lists that are none", function()
    local speaks = certificates.server { alpn = { "http/1.1" } }
    local many = {}
    for i = 1, 900 do many[i] = "protocol-" .. i end
    for _, names in ipairs { { "http/1.1" }, { "\0\0", "http/1.1" }, { ("x"):rep(255), "http/1.1" },
      { "http/1.1", "http/1.1" } } do
      goes_on(speaks, hello { alpn = names })
    end
    for _, names in ipairs { { "h2" }, { "HTTP/1.1" }, { "http/1.1 " }, { "http/1" }, { "acme-tls/1" }, many } do
      refused("handshake failure: no shared protocol", NO_PROTOCOL, speaks, hello { alpn = names })
    end
    refused(nil, DECODE, speaks, hello { alpn = {} })
    for _, bytes in ipairs { "", "\0", wire.long "\9http/1.1", "\0\50\8http/1.1", wire.long "\8http/1.1" .. "x",
      wire.long("\0" .. "\8http/1.1") } do
      refused(nil, DECODE, speaks, hello { extra = wire.extension(16, bytes) })
    end
  end)

  it("refuses what is no hello of TLS 1.2 or 1.3", function()
    local sslv2 = "\x80\x2e\1\0\2\0\x15\0\0\0\x10" .. ("\1\0\x80"):rep(7) .. ("r"):rep(16)
    refused(nil, VERSION, server, sslv2)
    for version, alert in pairs { [0x0300] = FAILURE, [0x0301] = VERSION, [0x0302] = VERSION } do
      local old = wire.hello { version = 2 }
      old = old:sub(1, 4) .. wire.u16(version) .. old:sub(7)
      refused("handshake failure: unsupported version", alert, server, wire.record(wire.HANDSHAKE, old, version))
    end
    refused("handshake failure: not TLS", nil, server, "SSH-2.0-OpenSSH_9.2p1\r\n")
    refused("handshake failure: no shared cipher", FAILURE, server, hello { suites = "\0\1" })
  end)

  it("goes on with a hello that is cut into records and writes at any byte", function()
    local bytes = wire.hello { name = "host.example" }
    for n = 1, #bytes - 1 do
      goes_on(server, wire.record(wire.HANDSHAKE, bytes:sub(1, n)), wire.record(wire.HANDSHAKE, bytes:sub(n + 1)))
    end
    local single = {}
    for i = 1, #bytes do single[i] = wire.record(wire.HANDSHAKE, bytes:sub(i, i)) end
    goes_on(server, unpack(single))
    goes_on(server, table.concat(single))
  end)

  it("says unexpected eof of a hello that ends anywhere", function()
    local bytes = hello { name = "host.example" }
    for n = 0, #bytes - 1 do assert.equal(GOES_ON, (say(server, bytes:sub(1, n)))) end
  end)

  it("refuses empty records, of unknown types, too large ones, and others than a hello", function()
    local record, HANDSHAKE = wire.record, wire.HANDSHAKE
    refused(nil, UNEXPECTED, server, record(HANDSHAKE, ""):rep(1000) .. hello())
    refused(nil, OVERFLOW, server, record(HANDSHAKE, ("\1"):rep(16385)))
    refused(nil, ILLEGAL, server,
      record(HANDSHAKE, "\1\255\255\255" .. ("h"):rep(1000)))
    for _, kind in ipairs { 0, 19, wire.CHANGE_CIPHER, wire.DATA, 24, 25, 99, 255 } do
      refused(nil, UNEXPECTED, server, record(kind, wire.hello()))
      refused(nil, UNEXPECTED, server, record(kind, "\1"))
    end
    refused(nil, UNEXPECTED, server, record(HANDSHAKE, "\20\0\0\12" .. ("f"):rep(12)))
    for _, alert in ipairs { "\1\0", "\1\90", "\1\112", "\2\40", "\9\9", "\2", "" } do
      refused(nil, UNEXPECTED, server, record(wire.ALERT, alert):rep(100) .. hello())
    end
  end)

  -- What follows the hello, in the clear, where the server has answered: all of it is refused, and soon.
  local function then_refused(version, bytes)
    local err, said = say(server, hello { version = version }, bytes)
    assert.matches("^handshake failure: ", err)
    assert.equal(wire.HANDSHAKE, said:byte())
    assert.is_true(#said < 3000, #said)
  end

  it("refuses floods and nonsense that follow a hello of 1.3", function()
    local record = wire.record
    then_refused(3, record(wire.CHANGE_CIPHER, "\1"):rep(1000))
    then_refused(3, record(wire.CHANGE_CIPHER, "\2"))
    then_refused(3, record(wire.DATA, ""):rep(1000))
    then_refused(3, record(wire.DATA, ("x"):rep(100)))
    then_refused(3, record(wire.HANDSHAKE, wire.hello()))
  end)

  it("refuses floods and nonsense that follow a hello of 1.2", function()
    local record = wire.record
    then_refused(2, record(wire.ALERT, "\1\112"):rep(100))
    then_refused(2, record(wire.HANDSHAKE, ""):rep(1000))
    then_refused(2, record(wire.CHANGE_CIPHER, "\1"))
    then_refused(2, record(wire.DATA, "GET / HTTP/1.1\r\n\r\n"))
    then_refused(2, record(wire.HANDSHAKE, wire.hello { version = 2 }))
  end)
end)

-- SPDX-License-Identifier: MIT
-- tls: what a peer may say once the handshake is over, whichever side it is. A record that is wrong ends the connection
-- with words, and one alert; floods are bounded.

local core = require "moonpark.core"
local forge = require "support.tls_forge"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local tls = require "moonpark.tls"
local certificates = require "support.tls"
local wire = require "support.tls_wire"

local ALERT, HANDSHAKE, DATA = wire.ALERT, wire.HANDSHAKE, wire.DATA
local ALERT_BYTES = 24 -- of an alert that is encrypted

-- make(i), n times.
local function times(n, make)
  local all = {}
  for i = 1, n do all[i] = make(i) end
  return table.concat(all)
end

for _, case in ipairs { { name = "a client's", covers = certificates.server() },
  { name = "a server's", covers = certificates.client(), is_server = true } } do
  -- What one read of our end, or one of n bytes, returns after the bytes of make(peer) and the end, and how much it has
  -- said since the handshake.
  local function say(make, n)
    local a, b = net.pipe()
    assert(core.tls_cover(b, case.covers.core, "host.example"))
    local task = moonpark.go(function()
      assert(b:handshake())
      local bytes, err
      if n then bytes, err = b:read_exactly(n) else bytes, err = b:read() end
      b:close()
      return bytes, err
    end)
    local peer = forge.peer(a, case.is_server)
    local reader = moonpark.go(a.read_all, a)
    local writer = moonpark.go(function()
      a:write(make(peer))
      a:close_write()
    end)
    local _, bytes, err = task:join()
    local _, said = reader:join()
    writer:join()
    a:close()
    return bytes, err, #(said or "")
  end

  local function refuses(make)
    local bytes, err, said = say(make)
    assert.is_nil(bytes)
    assert.matches("^tls: ", err)
    assert.equal(ALERT_BYTES, said)
  end

  local function reads(expected, make) assert.equal(expected, (say(make, #expected))) end

  describe("of " .. case.name .. " records, a connection", function()
    local open
    before_each(function() open = tls.stats().open end)
    after_each(function()
      assert.equal(open, tls.stats().open)
      core.check()
    end)

    it("takes those that are whole, padded or not", function()
      reads("hello", function(p) return p:record(DATA, "hello") end)
      reads("hello", function(p) return p:record(DATA, "hello", 10000) end)
      reads(("x"):rep(16384), function(p) return p:record(DATA, ("x"):rep(16384)) end)
    end)

    it("says unexpected eof of one that is cut", function()
      for _, n in ipairs { 0, 1, 4, 5, 6, 100 } do
        local bytes, err = say(function(p) return p:record(DATA, ("x"):rep(100)):sub(1, n) end)
        assert.same({ nil, "unexpected eof" }, { bytes, err })
      end
    end)

    it("refuses those that are too long, without a type, of an unknown one, or not encrypted", function()
      refuses(function(p) return p:record(DATA, ("x"):rep(16385)) end)
      refuses(function() return "\23\3\3\255\255" .. ("x"):rep(65535) end)
      refuses(function() return "\23\3\3\0\5hello" end)
      refuses(function(p) return p:record(nil, "", 100) end)
      for _, kind in ipairs { 1, wire.CHANGE_CIPHER, 24, 99, 255 } do
        refuses(function(p) return p:record(kind, "\1") end)
      end
    end)

    it("takes some empty ones, and refuses a flood of them", function()
      reads("x", function(p) return times(30, function() return p:record(DATA, "") end) .. p:record(DATA, "x") end)
      refuses(function(p) return times(1000, function() return p:record(DATA, "") end) .. p:record(DATA, "x") end)
      refuses(function(p) return p:record(HANDSHAKE, "") end)
    end)

    it("takes a warning, and refuses a flood of them", function()
      reads("x", function(p) return p:record(ALERT, "\1\90") .. p:record(DATA, "x") end)
      refuses(function(p) return times(100, function() return p:record(ALERT, "\1\90") end) .. p:record(DATA, "x") end)
    end)

    it("ends with close_notify and with fatal alerts; alerts that are none are refused", function()
      local bytes, err = say(function(p) return p:record(ALERT, "\1\0") .. p:record(DATA, "x") end)
      assert.same({ nil, "eof" }, { bytes, err })
      bytes, err = say(function(p) return p:record(ALERT, "\2\40") .. p:record(DATA, "x") end)
      assert.same({ nil, "handshake failure: refused by the peer" }, { bytes, err })
      for _, alert in ipairs { "", "\1", "\1\0\1\0" } do refuses(function(p) return p:record(ALERT, alert) end) end
    end)

    it("follows as many key updates as there are, and answers no more than it must", function()
      for _, asks in ipairs { true, false } do
        local bytes, err, said = say(function(p)
          return times(3000, function() return p:key_update(asks) end) .. p:record(DATA, "x")
        end)
        assert.same({ "x" }, { bytes, err })
        assert.is_true(asks and said <= 3001 * 27 or said == ALERT_BYTES, said)
      end
    end)

    it("refuses key updates that are wrong, and what only a handshake has", function()
      for _, bytes in ipairs { "\24\0\0\1\2", "\24\0\0\0", "\24\0\0\2\0\0", "\24\0\0\1\0\24\0\0\1\0", wire.hello(),
        "\24\255\255\255" .. ("x"):rep(1000), "\0\0\0\0", "\20\0\0\32" .. ("x"):rep(32), "\11\0\0\4\0\0\0\0",
        "\13\0\0\11\0\0\8\0\13\0\4\0\2\4\3", "\2\0\0\1x", "\99\0\0\1x" } do
        refuses(function(p) return p:record(HANDSHAKE, bytes) .. p:record(DATA, "x") end)
      end
    end)
  end)
end

describe("a client's connection", function()
  local function ticket(bytes)
    local body = "\0\0\0\9" .. "aged" .. wire.short "n" .. wire.long(bytes) .. wire.long ""
    return "\4\0" .. wire.long(body)
  end

  it("takes whatever number of tickets", function()
    local a, b = net.pipe()
    assert(core.tls_cover(b, certificates.client().core, "host.example"))
    local task = moonpark.go(b.read, b)
    local peer = forge.peer(a, true)
    a:write(times(300, function() return peer:record(HANDSHAKE, ticket(("t"):rep(8000))) end), peer:record(DATA, "x"))
    assert.same({ true, "x" }, { task:join() })
    a:close()
    b:close()
  end)

  it("refuses tickets of clients, and those that are none", function()
    for is_server, covers in pairs { [true] = certificates.client(), [false] = certificates.server() } do
      local a, b = net.pipe()
      assert(core.tls_cover(b, covers.core, "host.example"))
      local task = moonpark.go(b.read, b)
      local peer = forge.peer(a, is_server)
      a:write(peer:record(HANDSHAKE, is_server and ticket "" or ticket "t"), peer:record(DATA, "x"))
      assert.matches("^tls: ", (select(3, task:join())))
      a:close()
      b:close()
    end
  end)
end)

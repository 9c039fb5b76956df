-- SPDX-License-Identifier: MIT
-- tls: connections over TLS do what connections do, on every transport; how they begin and end.

local behaviours = require "support.behaviours"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local support = require "support.net"
local tls = require "moonpark.tls"
local certificates = require "support.tls"

for _, transport in ipairs(support.transports) do
  local server, client = certificates.server(), certificates.client()
  local function pair()
    local a, b = transport.pair()
    return certificates.over(a, b, server, client)
  end

  describe("TLS over " .. transport.name, function()
    for _, behaviour in ipairs(behaviours) do
      it(behaviour.name, support.pair_of({ pair = pair }, behaviour.body))
    end

    it("sends large writes and small pieces whole, in both directions at once", support.pair_of({ pair = pair },
      function(a, b)
      local bytes, pieces = support.random_bytes(300000), {}
      for i = 1, 500 do pieces[i] = bytes:sub(i * 600 - 599, i * 600) end
      local writers = { moonpark.go(a.write, a, bytes), moonpark.go(b.write, b, unpack(pieces)) }
      local reader = moonpark.go(b.read_exactly, b, 300000)
      assert.is_true(bytes == a:read_exactly(300000))
      assert.is_true(bytes == select(2, reader:join()))
      for _, writer in ipairs(writers) do assert.same({ true, 300000 }, { writer:join() }) end
    end))

    it("sends a file, and copies", support.pair_of({ pair = pair }, function(a, b)
      local file = assert(io.open("Makefile", "rb"))
      local bytes = file:read(9000)
      file:close()
      local writer = moonpark.go(a.sendfile, a, "Makefile", 0, 9000)
      assert.equal(bytes, b:read_exactly(9000))
      assert.same({ true, 9000 }, { writer:join() })
      local c, d = net.pipe()
      local copy = moonpark.go(net.copy, c, b)
      a:write(bytes)
      a:close()
      assert.same({ true, 9000 }, { copy:join() })
      c:close()
      assert.equal(bytes, d:read_all())
      d:close()
    end))

    it("says which end has come: eof after close_notify, else unexpected eof", support.pair_of({ pair = pair },
      function(a, b)
      assert.same({ { true }, { true } }, { certificates.shake(a, b) })
      assert(a:write "last words")
      assert.is_true(a:close_write())
      assert.equal("last words", b:read_exactly(10))
      assert.same({ nil, "eof" }, { b:read() })
      assert(b:write "answer")
      assert.equal("answer", a:read_exactly(6))
      assert.same({ nil, "broken pipe", 32, 0 }, { a:write "more" })
    end))
  end)
end

describe("a TLS stream that is cut", function()
  it("ends with unexpected eof", function()
    local a, b = net.pipe()
    local c, d = net.pipe()
    certificates.over(a, d)
    local relays = { moonpark.go(net.copy, c, b), moonpark.go(net.copy, b, c) }
    assert.same({ { true }, { true } }, { certificates.shake(a, d) })
    a:write "x"
    assert.equal("x", d:read())
    b:close()
    c:close()
    assert.same({ nil, "unexpected eof" }, { d:read() })
    assert.same({ nil, "unexpected eof" }, { d:read() })
    for _, relay in ipairs(relays) do relay:join() end
    a:close()
    d:close()
  end)
end)

describe("net.listen and net.dial with tls", function()
  local function echo_server(options)
    local listener = assert(net.listen("127.0.0.1:0", { tls = certificates.server(options) }))
    local server = moonpark.go(listener.serve, listener, function(conn) support.echo(conn) end,
      { on_error = function(text) error(text) end })
    return listener, function()
      listener:close()
      server:join()
    end
  end

  it("speak TLS 1.3, and say what they have agreed on", function()
    local listener, stop = echo_server { alpn = { "h2", "http/1.1" } }
    local conn = assert(net.dial(listener:address(), { tls = certificates.client { alpn = { "http/1.1" } },
      server_name = "host.example", timeout = 5 }))
    assert.equal(5, conn:write "hello")
    assert.equal("hello", conn:read_exactly(5))
    assert.same({ version = "TLSv1.3", cipher = "TLS_AES_256_GCM_SHA384", server_name = "host.example",
      alpn = "http/1.1", resumed = false, verified = true }, conn:tls())
    assert.equal(0x30, conn:peer_certificate():byte())
    assert.matches("^tls 127%.0%.0%.1:%d+ to 127%.0%.0%.1:%d+$", tostring(conn))
    conn:close()
    stop()
  end)

  it("verify the address's host if no name is given", function()
    local listener, stop = echo_server()
    assert(net.dial(listener:address(), { tls = certificates.client() })):close()
    assert(net.dial(listener:address():gsub("127.0.0.1", "localhost"), { tls = certificates.client() })):close()
    stop()
  end)

  it("count what was done", function()
    local before = tls.stats()
    local listener, stop = echo_server()
    local conn = assert(net.dial(listener:address(), { tls = certificates.client() }))
    assert.equal(before.open + 2, tls.stats().open)
    conn:close()
    stop()
    assert.equal(before.open, tls.stats().open)
    assert.is_true(tls.stats().handshakes > before.handshakes)
  end)
end)

describe("connection:start_tls", function()
  it("goes on in TLS on both ends", function()
    local a, b = net.pipe()
    a:write "STARTTLS\n"
    assert.equal("STARTTLS", b:read_line())
    local other = moonpark.go(b.start_tls, b, certificates.server())
    assert.is_true(a:start_tls { context = certificates.client(), server_name = "host.example" })
    assert.same({ true, true }, { other:join() })
    a:write "secret"
    assert.equal("secret", b:read_exactly(6))
    a:close()
    b:close()
  end)

  it("refuses plain bytes that were received before it, and closes", function()
    local a, b = net.pipe()
    a:write "STARTTLS\ninjected"
    assert.equal("STARTTLS", b:read_line())
    assert.same({ nil, "plain bytes were received before TLS" }, { b:start_tls(certificates.server()) })
    assert.is_true(b:is_closed())
    a:close()
  end)

  it("raises for wrong options", function()
    local a, b = net.pipe()
    assert.has_error(function() a:start_tls {} end, "start_tls: option 'context' is needed")
    assert.has_error(function() a:start_tls { context = true } end,
      "start_tls: option 'server_name' is needed: whom the certificate must be for")
    assert.has_error(function() a:start_tls { contxt = true } end,
      "start_tls: unknown option 'contxt'; did you mean 'context'?")
    a:close()
    b:close()
  end)
end)

describe("a storm of handshakes", function()
  it("does not stop other tasks: few of them go on in one turn", function()
    local server, client = certificates.server(), certificates.client()
    local most, pairs_of, before = 0, {}, tls.stats().handshakes
    moonpark.scope(function(scope)
      for i = 1, 60 do
        local a, b = net.pipe()
        pairs_of[i] = { certificates.over(a, b, server, client) }
        scope:go(function() assert(a:handshake()) end)
        scope:go(function() assert(b:handshake()) end)
      end
      local last = before
      while last < before + 120 do
        moonpark.yield()
        local now = tls.stats().handshakes
        most, last = math.max(most, now - last), now
      end
    end)
    assert.is_true(most <= 20, most .. " in one turn")
    for _, both in ipairs(pairs_of) do
      both[1]:close()
      both[2]:close()
    end
  end)

  it("may be closed while they wait for their turn", function()
    local open, tasks = tls.stats().open, {}
    for i = 1, 20 do
      local a, b = certificates.over(net.pipe())
      tasks[2 * i - 1] = moonpark.go(a.handshake, a)
      tasks[2 * i] = moonpark.go(function()
        b:handshake()
        b:close()
        a:close()
      end)
      moonpark.go(function()
        for _ = 1, i % 5 do moonpark.yield() end
        b:close()
      end)
    end
    for _, task in ipairs(tasks) do task:join() end
    assert.equal(open, tls.stats().open)
  end)
end)

describe("a handshake", function()
  it("has ten seconds", function()
    support.with_frozen_clock(function()
      local silent, conn = net.pipe()
      local failed, began = tls.stats().failed, moonpark.now()
      assert(require("moonpark.core").tls_cover(conn, certificates.server().core))
      local reader = moonpark.go(function()
        local bytes, err = conn:read()
        return bytes, err, moonpark.now() - began
      end)
      moonpark.sleep(11)
      local _, bytes, err, took = reader:join()
      assert.same({ nil, "handshake timeout" }, { bytes, err })
      assert.is_true(took >= 10 and took < 10.5)
      assert.equal(failed + 1, tls.stats().failed)
      assert.same({ nil, "handshake timeout" }, { conn:read() })
      conn:close()
      silent:close()
    end)
  end)
end)

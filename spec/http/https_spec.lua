-- SPDX-License-Identifier: MIT
-- HTTP over TLS: http.serve and http.server with `tls`, https:// in the client and in the proxy's target.

local certificates = require "support.tls"
local ffi = require "ffi"
local http = require "moonpark.http"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local peers = require "support.http_client"
local server_of = require "support.http"
local tls = require "moonpark.tls"

ffi.cdef [[ int https_shutdown(int fd, int how) asm("shutdown"); ]]
local C, SHUT_WR = ffi.C, 1
local files = certificates.files

-- The certificate's options; an `https` server of host.example, localhost and 127.0.0.1.
local function identity(options)
  local all = { cert = files.host_crt, key = files.host_key }
  for name, value in pairs(options or {}) do all[name] = value end
  return all
end

local function serve(handler, options, more)
  local all = { tls = identity(options) }
  for name, value in pairs(more or {}) do all[name] = value end
  local server = peers.serve(handler, all)
  server.port = server.address:match ":(%d+)$"
  server.url = "https://" .. server.address
  return server
end

local function hello(_, res) return res:send "hello" end

local function about(req, res)
  local info = req.tls
  if not info then return res:json { scheme = req.scheme } end
  local certificate = info.certificate and tls.read_certificate(info.certificate)
  return res:json { scheme = req.scheme, version = info.version, cipher = info.cipher, alpn = info.alpn,
    server_name = info.server_name, resumed = info.resumed, verified = info.verified,
    client = certificate and certificate.subject }
end

describe("HTTP over TLS", function()
  local clients = {}

  -- A client that trusts the specs' authority; with more options of tls.client and of http.client.
  local function client_of(options, more)
    local all = { tls = certificates.client(options) }
    for name, value in pairs(more or {}) do all[name] = value end
    clients[#clients + 1] = http.client(all)
    return clients[#clients]
  end

  after_each(function()
    while #clients > 0 do table.remove(clients):close() end
    peers.stop_all()
  end)

  local function curl(url, ...)
    local words = { "curl", "-q", "-sS", "--noproxy", "*", "--max-time", "30", ... }
    words[#words + 1] = url
    return server_of.run(words)
  end

  describe("at the server", function()
    it("is what curl and the client speak, with many requests on one connection", function()
      local server = serve(hello)
      local r = curl(server.url .. "/a", "--cacert", files.ca_crt, server.url .. "/b", "-w", "%{num_connects}\n")
      assert.same({ 0, "hello1\nhello0\n", "" }, { r.status, r.out, r.err })
      local client = client_of()
      for _ = 1, 3 do assert.equal("hello", assert(client:get(server.url)).body) end
      assert.same({ open = 1, idle = 1 }, client:stats())
      client:close()
    end)

    it("takes a context as well as its options, and refuses what is neither", function()
      local server = peers.serve(hello, { tls = certificates.server() })
      assert.equal("hello", assert(client_of():get("https://" .. server.address)).body)
      for wrong, text in pairs {
        [{}] = "server: option 'tls': option 'cert' or 'certificates' is needed",
        [{ crt = "x" }] = "server: option 'tls': .*'crt'.*did you mean 'cert'",
        [certificates.client()] = "server: option 'tls' must be a context made by tls%.server, or its options",
        [true] = "server: option 'tls' must be a context made by tls%.server, or its options",
      } do
        local ok, err = pcall(http.server, hello, { address = "127.0.0.1:0", tls = wrong })
        assert.is_false(ok)
        assert.matches(text, err)
      end
    end)

    it("names the file and the reason at start, before it listens", function()
      local taken = assert(net.listen "127.0.0.1:0") -- who listens first would hear that it is in use
      for _, case in ipairs {
        { { cert = "/nowhere.crt" }, "^/nowhere%.crt: no such file or directory$" },
        { { cert = files.nothing_pem }, "nothing%.pem: " }, { { cert = files.broken_crt }, "broken%.crt: " },
        { { key = files.other_key }, "other%.key: " }, { { key = files.encrypted_key }, "encrypted%.key: " },
      } do
        local server, err = http.server(hello, { address = taken:address(), tls = identity(case[1]) })
        assert.is_nil(server)
        assert.matches(case[2], err)
        assert.is_nil(err:find "\n")
      end
      taken:close()
    end)

    it("tells handlers what the connection is", function()
      local server = serve(about)
      local client = client_of { alpn = { "http/1.1" } }
      local got = assert(client:get("https://localhost:" .. server.port)):json()
      assert.equal("https", got.scheme)
      assert.equal("TLSv1.3", got.version)
      assert.equal("localhost", got.server_name)
      assert.equal("http/1.1", got.alpn)
      assert.is_false(got.resumed)
      assert.is_nil(got.client)
      local plain = peers.serve(about)
      assert.same({ scheme = "http" }, assert(http.get(plain.url)):json())
    end)

    it("tells handlers that a session was resumed", function()
      local server = serve(about)
      local client = client_of()
      local first = assert(client:get(server.url, { keep_alive = false })):json()
      local second = assert(client:get(server.url)):json()
      assert.same({ false, true }, { first.resumed, second.resumed })
    end)

    it("asks for client certificates, and tells handlers whose", function()
      local server = serve(about, { client_certificates = "require", client_ca = files.ca_crt })
      local r = curl(server.url, "--cacert", files.ca_crt, "--cert", files.client_crt, "--key", files.client_key)
      assert.equal(0, r.status, r.err)
      assert.matches('a client', r.out, 1, true)
      local client = client_of { cert = files.client_crt, key = files.client_key }
      assert.equal("https", assert(client:get(server.url)):json().scheme)
      local stranger = client_of { cert = files.unknown_client_crt, key = files.unknown_client_key }
      local answer, err = stranger:get(server.url)
      assert.is_nil(answer)
      assert.is_string(err)
      assert.is_nil((client_of():get(server.url)))
      assert.equal(2, server.server:stats().requests)
    end)

    -- What arrives after a close would be answered with a reset, and the reason lost.
    it("lets a client that is refused read why, although it goes on to send", function()
      local server = serve(about, { client_certificates = "require", client_ca = files.ca_crt })
      local context, failed = certificates.client(), tls.stats().failed
      local conn = assert(net.dial(server.address, { tls = context, timeout = 20 }))
      while tls.stats().failed == failed do moonpark.yield() end
      for _ = 1, 5 do
        assert.equal(100000, conn:write(("x"):rep(100000)))
        for _ = 1, 10 do moonpark.yield() end
      end
      assert.same({ nil, "handshake failure: client certificate required" }, { conn:read() })
      assert.equal(1, server.server:stats().connections)
      conn:close()
      moonpark.timeout(20, function()
        while server.server:stats().connections > 0 do moonpark.sleep(0.001) end
      end)
      assert.equal(0, server.server:stats().connections)
      assert.equal(0, server.server:stats().requests)
    end)

    it("answers plain HTTP with 400 in plain text", function()
      local server = serve(hello)
      local r = curl("http://" .. server.address, "-i")
      assert.equal(0, r.status, r.err)
      assert.matches("^HTTP/1%.1 400 Bad Request\r\n.*This port speaks TLS: the address needs https://\n$", r.out)
      assert.equal(0, server.server:stats().requests)
      assert.equal("hello", curl(server.url, "--cacert", files.ca_crt).out)
    end)

    it("sends files, and parts of them", function()
      local folder = certificates.folder
      local server = serve(http.static(folder))
      local client = client_of()
      assert.equal(certificates.pem "ca_crt", assert(client:get(server.url .. "/ca.crt")).body)
      local part = assert(client:get(server.url .. "/ca.crt", { headers = { Range = "bytes=3-9" } }))
      assert.same({ 206, certificates.pem("ca_crt"):sub(4, 10) }, { part.status, part.body })
    end)

    it("sends a large file whole, and takes a large body", function()
      local bytes, path = ("0123456789abcdef"):rep(200000), os.tmpname()
      local file = assert(io.open(path, "wb"))
      file:write(bytes)
      file:close()
      local server = serve(function(req, res)
        if req.method == "POST" then return res:send(tostring(req:body() == bytes)) end
        return res:file(path)
      end)
      local client = client_of()
      assert.is_true(assert(client:get(server.url)).body == bytes)
      assert.equal("true", assert(client:post(server.url, { body = bytes })).body)
      os.remove(path)
    end)

    it("carries WebSockets", function()
      local server = serve(function(req, res)
        local ws = res:websocket()
        if not ws then return end
        for message in ws:messages() do ws:send(req.scheme .. " " .. message) end
      end)
      local ws = assert(http.websocket("wss://" .. server.address, { tls = certificates.client() }))
      assert(ws:send "hello")
      assert.equal("https hello", (assert(ws:receive())))
      ws:close()
      local refused, err = http.websocket("wss://" .. server.address)
      assert.is_nil(refused)
      assert.equal("unknown issuer", err)
    end)
  end)

  describe("at the client", function()
    it("is verified by default: by the system's authorities, for the URL's host", function()
      local server = serve(hello)
      assert.same({ nil, "unknown issuer" }, { http.get(server.url) })
      local other = serve(hello, { cert = files.other_crt, key = files.other_key })
      assert.same({ nil, "certificate is for other.example, not localhost" },
        { client_of():get("https://localhost:" .. other.port) })
      local expired = serve(hello, { cert = files.expired_crt, key = files.expired_key })
      assert.same({ nil, "certificate has expired" }, { client_of():get("https://localhost:" .. expired.port) })
      assert.equal(0, server.server:stats().requests + other.server:stats().requests)
      clients[#clients + 1] = http.client { tls = tls.client { insecure = true } }
      assert.equal("hello", assert(clients[#clients]:get(other.url)).body)
    end)

    it("offers http/1.1 unless its context offers something, and refuses another protocol", function()
      local server = serve(about)
      assert.equal("http/1.1", assert(client_of():get(server.url)):json().alpn)
      assert.same({ nil, "handshake failure: no shared protocol" }, { client_of { alpn = { "h2" } }:get(server.url) })
      for _, protocols in ipairs { { "h2", "http/1.1" }, { "http/1.1" } } do
        local two = peers.serve(about, { tls = certificates.server { alpn = protocols } })
        local answer, err = client_of { alpn = { "h2", "http/1.1" } }:get("https://" .. two.address)
        assert.same(protocols[2] and { nil, "the server has chosen another protocol than http/1.1" }
          or { "http/1.1" }, { answer and answer:json().alpn, err })
      end
      local silent = peers.serve(about, { tls = certificates.server() })
      assert.is_nil(assert(client_of():get("https://" .. silent.address)):json().alpn)
    end)

    it("takes a context for one request", function()
      local server = serve(hello)
      assert.equal("hello", assert(http.get(server.url, { tls = certificates.client() })).body)
      assert.same({ nil, "unknown issuer" }, { http.get(server.url) })
    end)

    it("says so if the server speaks no TLS", function()
      local plain = peers.serve(hello)
      local answer, err = client_of():get("https://" .. plain.address)
      assert.is_nil(answer)
      assert.equal("handshake failure: not TLS", err)
      plain.server:shutdown(0)
    end)

    -- Both names lead to the same address, by a unix socket.
    it("never uses a connection for another name than it was verified for", function()
      local path = os.tmpname()
      os.remove(path)
      local server = peers.serve(about, { address = "unix:" .. path, tls = identity() })
      local client = client_of(nil, { unix = path })
      assert.equal("host.example", assert(client:get "https://host.example/"):json().server_name)
      assert.same({ nil, "certificate is for host.example, not other.example" },
        { client:get "https://other.example/" })
      assert.equal("localhost", assert(client:get "https://localhost/"):json().server_name)
      assert.equal("host.example", assert(client:get "https://HOST.example/"):json().server_name)
      assert.same({ open = 2, idle = 2 }, client:stats())
      assert.equal(3, server.server:stats().requests)
    end)

    it("never uses a connection for another context than it was verified by", function()
      local server = serve(hello)
      local client, insecure = client_of(), tls.client { insecure = true }
      assert.equal("hello", assert(client:get(server.url, { tls = insecure })).body)
      assert.same({ nil, "unknown issuer" }, { client:get(server.url, { tls = tls.client() }) })
      assert.equal("hello", assert(client:get(server.url)).body)
      assert.same({ open = 2, idle = 2 }, client:stats())
      assert.equal("hello", assert(client:get(server.url, { tls = insecure })).body)
      assert.same({ open = 2, idle = 2 }, client:stats())
    end)

    it("goes through a proxy's tunnel: the certificate is the server's", function()
      local server = serve(about)
      local asked = {}
      local proxy = peers.scripted(function(conn)
        local head = peers.request(conn)
        asked[#asked + 1] = head:match "^[^\n]+"
        local target = assert(net.dial(server.address))
        assert(conn:write "HTTP/1.1 200 Connected\r\n\r\n")
        local back = moonpark.go(net.copy, conn, target)
        net.copy(target, conn)
        target:close_write()
        back:join()
        target:close()
      end)
      local client = client_of(nil, { proxy = proxy.url })
      for _ = 1, 2 do
        assert.equal("localhost", assert(client:get("https://localhost:" .. server.port)):json().server_name)
      end
      assert.same({ ("CONNECT localhost:%s HTTP/1.1"):format(server.port) }, asked)
      client:close()
    end)

    it("says what the proxy has answered", function()
      local proxy = peers.saying "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
      assert.same({ nil, "proxy answered 407" },
        { client_of():get("https://localhost:1", { proxy = proxy.url }) })
    end)

    -- Speaks TLS, and ends each connection after what answer(number) says; cut: without close_notify.
    local function ending(answer, cut)
      local context = certificates.server()
      return peers.scripted(function(conn, number)
        local fd = conn:fd()
        assert(conn:start_tls(context))
        peers.request(conn)
        assert(conn:write(answer(number)))
        if cut then assert(C.https_shutdown(fd, SHUT_WR) == 0) else conn:close_write() end
        conn:read()
      end)
    end

    it("retries if a kept connection has ended, with close_notify or without", function()
      for _, cut in ipairs { false, true } do
        local server = ending(function(number) return peers.ok(tostring(number)) end, cut)
        local client = client_of()
        for i = 1, 3 do assert.equal(tostring(i), assert(client:get("https://" .. server.address)).body) end
        client:close()
      end
    end)

    it("retries if a kept connection ends without close_notify as the request arrives", function()
      local context = certificates.server()
      local server = peers.scripted(function(conn, number)
        local fd = conn:fd()
        assert(conn:start_tls(context))
        peers.request(conn)
        assert(conn:write(peers.ok(tostring(number))))
        if not peers.request(conn) then return end
        assert(C.https_shutdown(fd, SHUT_WR) == 0)
        conn:read()
      end)
      local client = client_of()
      for i = 1, 3 do assert.equal(tostring(i), assert(client:get("https://" .. server.address)).body) end
      client:close()
    end)

    it("takes a body without a length as whole only if close_notify has come", function()
      for cut, expected in pairs { [false] = { "part" }, [true] = { nil, "unexpected eof" } } do
        local server = ending(function() return "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\npart" end, cut)
        local answer, err = client_of():get("https://" .. server.address)
        assert.same(expected, { answer and answer.body, err })
      end
    end)
  end)

  describe("in front", function()
    it("is what a proxy's target may speak", function()
      local target = serve(about)
      local front = peers.in_front_of("https://localhost:" .. target.port, { tls = certificates.client() })
      for _ = 1, 2 do
        local got = assert(http.get(front.url)):json()
        assert.same({ "https", "localhost" }, { got.scheme, got.server_name })
      end
      assert.equal(1, target.server:stats().connections)
    end)

    it("asks another target if one's certificate is not right, and its checks say so", function()
      local bad, good = serve(hello, { cert = files.other_crt, key = files.other_key }), serve(about)
      local heard, events = {}, {}
      local front = peers.in_front_of({ { url = "https://localhost:" .. bad.port, name = "bad" },
        { url = "https://localhost:" .. good.port, name = "good" } }, { tls = certificates.client(), passive = false,
        on_error = function(text) heard[#heard + 1] = text end })
      for _ = 1, 2 do assert.equal("localhost", assert(http.post(front.url, { body = "x" })):json().server_name) end
      assert.matches("^POST /: bad: .*; asking good$", heard[1])
      local checked = peers.proxy_to({ { url = "https://localhost:" .. bad.port, name = "bad" },
        { url = "https://localhost:" .. good.port, name = "good" } }, { tls = certificates.client(),
        check = { interval = 60 }, on_event = function(text) events[#events + 1] = text end })
      repeat moonpark.sleep(0.005) until events[1] and checked:targets()[2].state == "up"
      assert.equal("down", checked:targets()[1].state)
      assert.equal("bad is down: " .. heard[1]:match "bad: (.*);", events[1])
    end)

    it("answers 502 if the target's certificate is not right", function()
      local heard = {}
      local target = serve(hello, { cert = files.other_crt, key = files.other_key })
      local front = peers.in_front_of("https://localhost:" .. target.port,
        { tls = certificates.client(), on_error = function(text) heard[#heard + 1] = text end })
      assert.equal(502, assert(http.get(front.url)).status)
      assert.matches("certificate is for other.example, not localhost", heard[1], 1, true)
      assert.equal(0, target.server:stats().requests)
    end)

    it("is what a proxy tells its target of: X-Forwarded-Proto, Forwarded", function()
      for mode, expected in pairs { x = "X%-Forwarded%-Proto: https\n", standard = "Forwarded: [^\n]*proto=https" } do
        local target = peers.noting()
        local front = peers.in_front_of(target.url, { forwarded = mode }, nil, { tls = identity() })
        assert.equal(200, assert(client_of():get("https://" .. front.address)).status)
        assert.matches(expected, target.heads[1])
      end
    end)
  end)

  describe("in middleware", function()
    local STRICT = "strict-transport-security"

    it("has Strict-Transport-Security, which can be another or none; plain HTTP has none", function()
      local wanted = { { nil, "max-age=31536000" }, { { [STRICT] = "max-age=60" }, "max-age=60" },
        { { [STRICT] = false }, nil } }
      for i = 1, 3 do
        local secure = http.secure_headers(wanted[i][1])
        local function handler(req, res) return secure(req, res, function() return hello(req, res) end) end
        local server, plain = serve(handler), peers.serve(handler)
        assert.equal(wanted[i][2], assert(client_of():get(server.url)).headers[STRICT])
        assert.is_nil(assert(http.get(plain.url)).headers[STRICT])
      end
    end)

    it("is where redirect_to_https leads, by the request's host or the one that is named", function()
      local server = serve(function(req, res) return res:send(req.method .. " " .. req.target .. " " .. req:body()) end)
      local plain = peers.serve(http.redirect_to_https { port = tonumber(server.port) })
      local answer = assert(client_of():post(plain.url .. "/a%20b?c=d", { body = "x" }))
      assert.equal("POST /a%20b?c=d x", answer.body)
      for host, expected in pairs { ["me"] = "308 https://me:" .. server.port .. "/", ["me:80"] = "308 https://me:"
        .. server.port .. "/", ["evil.example@me"] = "400", ["a/b"] = "400", [""] = "400" } do
        local got = peers.raw(plain, ("GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"):format(host))
        local location = got:match "\r\n[Ll]ocation: ([^\r]*)"
        assert.equal(expected, got:match "^HTTP/1.1 (%d+)" .. (location and " " .. location or ""))
      end
    end)
  end)
end)

-- SPDX-License-Identifier: MIT
-- moonpark.http's client: what is sent, what comes back, and what goes wrong.

local core = require "moonpark.core"
local http = require "moonpark.http"
local http_decode = require "moonpark.http.decode"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local peers = require "support.http_client"
local process = require "support.process"
local support = require "support.net"

describe("http.request", function()
  after_each(peers.stop_all)

  it("sends a request as it was described", function()
    local server = peers.saying(peers.ok "hello")
    local answer = assert(http.request { url = server.url .. "/a?b=c#d",
      headers = { ["X-One"] = 1, Two = { "a", "b" } },
      query = { q = "x y" }, decode = false })
    assert.same({ 200, "OK", "1.1", "hello" }, { answer.status, answer.reason, answer.version, answer.body })
    assert.equal(server.url .. "/a?b=c&q=x%20y", answer.url)
    assert.equal(("GET /a?b=c&q=x%%20y HTTP/1.1\nHost: %s\nTwo: a\nTwo: b\nX-One: 1\nUser-Agent: moonpark/%s\n"
      .. "Accept: */*\n"):format(server.address, core.version), server.heads[1])
  end)

  it("sends bodies: text, JSON, forms, and what a function gives, piece by piece", function()
    local seen = {}
    local server = peers.scripted(function(conn)
      while true do
        local head, body, pieces = peers.request(conn)
        if not head then return end
        seen[#seen + 1] = { (head:match "^%u+"), head:match "\nContent%-Type: ([^\n]*)", body, pieces }
        conn:write(peers.ok "")
      end
    end)
    assert(http.post(server.url, { body = "text" }))
    assert(http.put(server.url, { json = { 1, 2 } }))
    assert(http.request { url = server.url, form = { a = "b c", d = { 1, 2 } } })
    local n = 0
    local function body()
      n = n + 1
      return n < 4 and ("x"):rep(n) or nil
    end
    assert(http.patch(server.url, { body = body }))
    n = 0
    assert(http.post(server.url, { body = body, length = 6 }))
    assert.same({
      { "POST", nil, "text" },
      { "PUT", "application/json", "[1,2]" },
      { "POST", "application/x-www-form-urlencoded", "a=b%20c&d=1&d=2" },
      { "PATCH", nil, "xxxxxx", { "x", "xx", "xxx" } },
      { "POST", nil, "xxxxxx" },
    }, seen)
    assert.equal(1, server.count)
  end)

  it("fails where a body is not as long as was said", function()
    local server = peers.scripted(function(conn) conn:read_all() end)
    local function of(text)
      local given
      return function()
        if given then return nil end
        given = true
        return text
      end
    end
    assert.same({ nil, "body is longer than its Content-Length" },
      { http.post(server.url, { body = of "abcd", length = 3 }) })
    assert.same({ nil, "body is shorter than its Content-Length" },
      { http.post(server.url, { body = of "ab", length = 3 }) })
  end)

  it("passes on what a body raises, closes the connection, and ends its turn", function()
    local server = peers.scripted(function(conn) conn:read_all() end)
    local client = http.client { max_connections = 1, max_per_host = 1, timeout = 30 }
    for _ = 1, 2 do
      local ok, err = pcall(client.post, client, server.url, { body = function() error("no more", 0) end })
      assert.same({ false, "no more" }, { ok, err })
      assert.same({ open = 0, idle = 0 }, client:stats())
    end
  end)

  it("gives headers by any case, repeated ones joined, and JSON decoded", function()
    peers.saying("") -- one that is never asked
    local server = peers.saying(peers.ok('{"a":[1]}', "X-A: 1\r\nx-a: 2\r\n"), peers.ok "{")
    local answer = assert(http.get(server.url))
    assert.equal("1, 2", answer.headers["X-a"])
    assert.equal("1, 2", answer:header "x-A")
    assert.same({ a = { 1 } }, answer:json())
    assert.same({ nil, "invalid JSON" }, { http.get(server.url):json() })
  end)

  it("tells repeated fields apart, and what Set-Cookie fields say", function()
    local server = peers.saying(peers.ok("", "Set-Cookie: a=1; Expires=Sun, 06 Nov 1994 08:49:37 GMT; Path=/x\r\n"
      .. "Warning: a, b\r\nset-cookie: b=\"2\"; HttpOnly; Secure; SameSite=lax\r\nWarning: c\r\nSet-Cookie: none\r\n"))
    local answer = assert(http.get(server.url))
    assert.same({ "a, b", "c" }, answer:header_values "WARNING")
    assert.same({}, answer:header_values "x-none")
    assert.same({
      { name = "a", value = "1", expires = 784111777, path = "/x", secure = false, http_only = false },
      { name = "b", value = '"2"', secure = true, http_only = true, same_site = "Lax" },
    }, answer:cookies())
    local names = {}
    for name in answer:each_header() do names[#names + 1] = name end
    assert.same({ "content-length", "set-cookie", "warning", "set-cookie", "warning", "set-cookie" }, names)
    assert.same({}, assert(http.get(peers.saying(peers.ok "").url)):cookies())
  end)

  it("takes and gives JSON as strictly as a server, whatever the script has set in cjson", function()
    local server = peers.saying(peers.ok "[NaN]", peers.ok "[NaN]")
    assert.same({ nil, "invalid JSON" }, { http.get(server.url):json() })
    local streamed = assert(http.get(server.url, { stream = true }))
    assert.same({ "[NaN]" }, { streamed:read_all() })
    for _, value in ipairs { { 0 / 0 }, { [1000] = 1 }, print } do
      assert.is_false(pcall(http.post, server.url, { json = value }))
    end
  end)

  it("knows where a body ends: by length, chunks, the connection, or none", function()
    local cases = {
      { "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc" },
      { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2;x=y\r\nbc\r\n0\r\nEtag: 7\r\n\r\n", "abc" },
      { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1  \r\na\r\n2 ; x\r\nbc\r\n0   \r\n\r\n", "abc" },
      { "HTTP/1.0 200 OK\r\n\r\nabc", "abc" },
      { "HTTP/1.1 200\r\n\r\n", "" },
      { "HTTP/1.1 204 No Content\r\n\r\n", "" },
      { "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "" },
    }
    for _, case in ipairs(cases) do
      local server = peers.saying(case[1])
      assert.equal(case[2], assert(http.get(server.url)).body)
    end
    local server = peers.saying("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", peers.ok "next")
    assert.equal("", assert(http.head(server.url)).body)
    assert.equal("next", assert(http.get(server.url)).body)
    assert.equal(1, server.count)
  end)

  it("skips 1xx answers, and tells trailers", function()
    local server = peers.saying("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
      .. "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 9\r\n\r\n")
    local answer = assert(http.get(server.url))
    assert.same({ "a", "9" }, { answer.body, answer:trailers()["x-sum"] })
  end)

  it("tells more trailers than a head may have fields", function()
    local server = peers.saying("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
      .. ("A: b\r\n"):rep(1000) .. "\r\n")
    assert.equal(("b, "):rep(999) .. "b", assert(http.get(server.url)):trailers().a)
  end)

  it("says what is wrong with an answer", function()
    local function chunked(bytes) return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" .. bytes end
    local cases = {
      { "", "unexpected eof" },
      { "HTTP/1.1 200 OK\r\nA: b\r\n", "unexpected eof" },
      { "SSH-2.0-OpenSSH\r\n\r\n", "malformed message" },
      { "HTTP/1.1 200 OK\nContent-Length: 0\n\n", "malformed message" },
      { "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "malformed message" },
      { "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "malformed message" },
      { "HTTP/1.1 101 Switching Protocols\r\n\r\n", "malformed message" },
      { "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc", "unexpected eof" },
      { chunked "5\r\nabc", "unexpected eof" },
      { chunked "1\r\na\r\n0\r\n", "unexpected eof" },
      { chunked "zz\r\n", "malformed message" },
      { ("HTTP/1.1 103 E\r\n\r\n"):rep(40), "malformed message" },
      { "HTTP/1.1 200 OK\r\nA: " .. ("a"):rep(5000) .. "\r\n\r\n", "too long", { max_head = 1000 } },
      { peers.ok "abcd", "too long", { max_body = 3 } },
      { chunked "4\r\nabcd\r\n0\r\n\r\n", "too long", { max_body = 3 } },
    }
    for _, case in ipairs(cases) do
      local server = peers.saying(case[1])
      local answer, err = http.get(server.url, case[3])
      assert.same({ nil, case[2] }, { answer, err }, case[1])
    end
  end)

  it("reads an answer that comes a byte at a time", function()
    local bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    local server = peers.scripted(function(conn)
      peers.request(conn)
      for i = 1, #bytes do
        conn:write(bytes:sub(i, i))
        moonpark.yield()
      end
    end)
    assert.equal("abc", assert(http.get(server.url)).body)
  end)

  it("refuses what would make two requests of one, before anything is sent", function()
    local server = peers.saying(peers.ok "")
    local function refused(pattern, options)
      options.url = options.url or server.url
      local ok, err = pcall(function() http.request(options) end)
      assert.is_false(ok)
      assert.matches("client_spec%.lua:%d+: http: " .. pattern, err)
    end
    refused("invalid header name 'a b'", { headers = { ["a b"] = "c" } })
    refused("invalid header name 'a:'", { headers = { ["a:"] = "c" } })
    refused("invalid value of header 'a'", { headers = { a = "b\r\nc: d" } })
    refused("invalid value of header 'a'", { headers = { a = "b\0" } })
    refused("invalid value of header 'Host'", { headers = { Host = "a\nb" } })
    refused("invalid method 'GET /'", { method = "GET /" })
    refused("header 'Content%-length' is set by", { headers = { ["Content-length"] = 1 } })
    refused("header 'TRANSFER%-ENCODING' is set by", { headers = { ["TRANSFER-ENCODING"] = "chunked" } })
    refused("header 'TE' cannot be set", { headers = { TE = "trailers" } })
    refused("unknown option 'foo'", { foo = 1 })
    refused("option 'timeout' must be a number", { timeout = "1" })
    refused("option 'body' must be", { body = true })
    assert.same({ nil, "invalid URL" }, { http.get("http://a/b c") })
    assert.same({ nil, "invalid host name: 'a|b'" }, { http.get("http://a|b/") })
    for _, user in ipairs { "u\\", "u<", "u>", "u v", "u@v", "u\195\182", "u|", "[::1]" } do
      assert.same({ nil, "invalid URL" }, { http.get("http://" .. user .. "@" .. server.address .. "/") }, user)
    end
    assert.same({ nil, "invalid URL" }, { http.get("http://a/\r\nHost: b") })
    assert.same({ nil, "unknown scheme 'ftp'" }, { http.get("ftp://a/") })
    assert.same({ nil, "invalid host name: 'a..b'" }, { http.get("http://a..b/") })
    assert.same({ nil, "invalid host name: '256.1.1.1'" }, { http.get("http://256.1.1.1/") })
    assert.equal(0, server.count)
  end)

  it("encodes what a target cannot hold", function()
    local server = peers.saying(peers.ok "")
    assert(http.get(server.url .. "/ä|\""))
    assert.matches("^GET /%%C3%%A4%%7C%%22 HTTP/1%.1\n", server.heads[1])
  end)

  it("sends who asks: from the URL, or by the option", function()
    local server = peers.saying(peers.ok "", peers.ok "")
    assert(http.get("http://me:a%40b@" .. server.address))
    assert(http.get(server.url, { auth = { "me", "pass" } }))
    assert.matches("\nAuthorization: Basic bWU6YUBi\n", server.heads[1])
    assert.matches("\nAuthorization: Basic bWU6cGFzcw==\n", server.heads[2])
  end)

  it("streams: pieces as they come, and the connection is kept after the last", function()
    local more = core.event()
    local server = peers.scripted(function(conn)
      peers.request(conn)
      conn:write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
      more:wait()
      conn:write("def")
      conn:read()
    end)
    local client = http.client()
    local answer = assert(client:get(server.url, { stream = true }))
    local got = {}
    while #table.concat(got) < 3 do got[#got + 1] = answer:read(2) end
    assert.same({ "abc", { open = 1, idle = 0 } }, { table.concat(got), client:stats() })
    more:set()
    for piece in answer:chunks() do got[#got + 1] = piece end
    assert.equal("abcdef", table.concat(got))
    assert.same({ nil, "eof" }, { answer:read() })
    assert.same({ open = 1, idle = 1 }, client:stats())
    client:close()
    assert.same({ open = 0, idle = 0 }, client:stats())
  end)

  it("closes the connection of a stream that is not read to its end", function()
    local server = peers.scripted(function(conn)
      peers.request(conn)
      conn:write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
      assert.is_nil((conn:read())) -- its end, or a reset where some bytes were not read
    end)
    local client = http.client()
    local answer = assert(client:get(server.url, { stream = true }))
    assert.is_true(answer:close())
    assert.same({ nil, "closed" }, { answer:read() })
    assert.same({ open = 0, idle = 0 }, client:stats())
  end)

  it("waits for 100 Continue where it is told to, and sends no body that is refused", function()
    local asked = {}
    local server = peers.scripted(function(conn, number)
      asked[number] = conn:read_until("\r\n\r\n")
      if number == 1 then
        conn:write("HTTP/1.1 100 Continue\r\n\r\n")
        assert.equal("body", conn:read_exactly(4))
        return conn:write(peers.ok "taken")
      end
      conn:write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
      assert.same({ nil, "eof" }, { conn:read() })
    end)
    assert.equal("taken", assert(http.post(server.url, { body = "body", expect = true, keep_alive = false })).body)
    assert.equal(413, assert(http.post(server.url, { body = "body", expect = true })).status)
    assert.matches("\r\nExpect: 100%-continue\r\n", asked[1])
  end)

  describe("that is answered with 417 (RFC 9110 10.1.1)", function()
    local FAILED = "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n"

    -- A server that knows no expectations: what it was sent, body included, as far as that came.
    local function innocent(answer)
      local seen = {}
      local server = peers.scripted(function(conn)
        local head = conn:read_until "\r\n\r\n"
        local expects = head:find "\r\nExpect: " ~= nil
        local body = not expects and conn:read_exactly(tonumber(head:match "\r\nContent%-Length: (%d+)") or 0)
        seen[#seen + 1] = { (head:match "^%S+"), expects, body }
        conn:write(expects and FAILED or answer or peers.ok "taken")
        if expects then assert.same({ nil, "eof" }, { conn:read() }) end
      end)
      return server, seen
    end

    it("is sent once more, without Expect", function()
      local server, seen = innocent()
      assert.equal("taken", assert(http.post(server.url, { body = "body", expect = true })).body)
      assert.same({ { "POST", true, false }, { "POST", false, "body" } }, seen)
      local client = http.client { max_connections = 1 }
      local answer = assert(client:put(server.url, { json = { 1 }, expect = true, stream = true }))
      assert.same({ "taken", { "PUT", false, "[1]" } }, { answer:read_all(), seen[4] })
      client:close()
    end)

    it("is sent no third time: the second 417 is the answer", function()
      local server, seen = innocent(FAILED)
      assert.equal(417, assert(http.post(server.url, { body = "body", expect = true })).status)
      assert.equal(2, #seen)
    end)

    it("is not sent again where its body is gone, and where nothing was expected", function()
      local server, seen = innocent(FAILED)
      local function body() error "nobody has asked for it" end
      assert.equal(417, assert(http.post(server.url, { body = body, length = 4, expect = true })).status)
      assert.equal(417, assert(http.post(server.url, { body = "body" })).status)
      assert.equal(417, assert(http.get(server.url, { expect = true })).status)
      assert.equal(417, assert(http.put(server.url, { body = "", expect = true })).status)
      assert.same({ { "POST", true, false }, { "POST", false, "body" }, { "GET", false, "" }, { "PUT", false, "" } },
        seen)
    end)

    it("keeps to its time over both", function()
      local server = peers.scripted(function(conn, number)
        conn:read_until "\r\n\r\n"
        if number == 1 then conn:write(FAILED) end
        conn:read_all()
      end)
      assert.same({ nil, "timeout" }, { http.post(server.url, { body = "b", expect = true, timeout = 0.1 }) })
    end)
  end)

  it("hears an answer that comes before its body is sent", function()
    local server = peers.scripted(function(conn)
      conn:read_until("\r\n\r\n")
      conn:write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
      conn:close_write()
      for _ = 1, 3 do conn:read() end
    end)
    local left = core.hard and 50 or 5000
    local answer, err = http.post(server.url, { body = function()
      left = left - 1
      return left > 0 and ("x"):rep(10000) or nil
    end })
    -- A reset may overtake the answer (RFC 9112 9.6): then there is none.
    if answer then assert.same({ 413, "big" }, { answer.status, answer.body })
    else assert.is_true(err == "connection reset by peer" or err == "broken pipe", err) end
  end)

  it("hands over a connection that changes its protocol", function()
    local server = peers.scripted(function(conn)
      assert.matches("\nUpgrade: echo\nConnection: Upgrade\n", (peers.request(conn)))
      conn:write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nhi ")
      support.echo(conn)
    end)
    local client = http.client()
    local answer = assert(client:get(server.url, { upgrade = "echo" }))
    assert.same({ 101, { open = 0, idle = 0 } }, { answer.status, client:stats() })
    answer.connection:write("there")
    assert.equal("hi there", answer.connection:read_exactly(8))
    answer.connection:close()
  end)

  it("hands over the tunnel that a 2xx to CONNECT begins, whatever its head says of a body", function()
    local lines = {}
    local server = peers.scripted(function(conn)
      lines[#lines + 1] = conn:read_until "\r\n\r\n":match "^[^\r]*"
      local refused = #lines == 2
      conn:write(refused and "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"
        or "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi ")
      support.echo(conn)
    end)
    local client = http.client()
    for _, options in ipairs { { url = server.url }, { url = "http://far/x" }, { url = "http://far:81/" } } do
      options.method, options.keep_alive = "CONNECT", false
      options.proxy = options.url ~= server.url and server.url
      local answer = assert(client:request(options))
      if answer.connection then
        assert.same({ 200, { open = 0, idle = 0 } }, { answer.status, client:stats() })
        answer.connection:write("there")
        assert.equal("hi there", answer.connection:read_exactly(8))
        answer.connection:close()
      else
        assert.same({ 403, "no" }, { answer.status, answer.body })
      end
    end
    assert.same({ ("CONNECT %s HTTP/1.1"):format(server.address), "CONNECT far:80 HTTP/1.1",
      "CONNECT far:81 HTTP/1.1" }, lines)
    client:close()
  end)

  it("asks for no coding where it asks for a range: a slice of a packed body is nothing", function()
    local server = peers.saying(peers.ok "")
    assert(http.get(server.url, { headers = { range = "bytes=1-2" } }))
    assert.is_nil(server.heads[1]:find "Accept%-Encoding")
  end)
end)

describe("a request's time", function()
  after_each(peers.stop_all)

  local function silent()
    return peers.scripted(function(conn) conn:read_all() end)
  end

  it("is limited as a whole, for the head, and for each read", function()
    local server = silent()
    for _, name in ipairs { "timeout", "head_timeout", "io_timeout" } do
      assert.same({ nil, "timeout" }, { http.get(server.url, { [name] = 0.02 }) })
    end
    assert.same({ nil, "timeout" }, { http.get(server.url, { timeout = 0 }) })
    local slow = peers.scripted(function(conn)
      peers.request(conn)
      conn:write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
      conn:read_all()
    end)
    assert.same({ nil, "timeout" }, { http.get(slow.url, { timeout = 0.02 }) })
    assert.same({ nil, "timeout" }, { http.get(slow.url, { io_timeout = 0.02 }) })
    local answer
    repeat answer = http.get(slow.url, { io_timeout = 0.02, stream = true }) until answer -- the head came in time
    local got = ""
    for piece in answer:chunks() do got = got .. piece end
    assert.same({ "abc", "timeout" }, { got, answer.body_error })
  end)

  it("is limited for the connection alone", function()
    local listener, queue = support.clogged()
    local url = "http://" .. listener:address()
    assert.same({ nil, "timeout" }, { http.get(url, { connect_timeout = 0.02 }) })
    assert.same({ nil, "timeout" }, { http.get(url, { timeout = 0.02 }) })
    for _, conn in ipairs(queue) do conn:close() end
    listener:close()
  end)

  it("ends with a cancellation, and its connection with it", function()
    local ended = core.event()
    local server = peers.scripted(function(conn)
      conn:read_until("\r\n\r\n")
      assert.same({ nil, "eof" }, { conn:read() })
      ended:set()
    end)
    local client, result = http.client(), nil
    local task = support.parked(function() result = { client:get(server.url) } end)
    task:cancel()
    task:join()
    assert.same({ nil, "canceled" }, result)
    assert.same({ open = 0, idle = 0 }, client:stats())
    assert.is_true(ended:wait())
  end)
end)

describe("a compressed answer", function()
  local ffi = require "ffi"
  local has_zlib, zlib = pcall(ffi.load, "libz.so.1")
  ffi.cdef [[
    struct http_spec_deflate { const uint8_t *next_in; unsigned avail_in; unsigned long total_in; uint8_t *next_out;
      unsigned avail_out; unsigned long total_out; const char *msg; void *state, *zalloc, *zfree, *opaque;
      int data_type; unsigned long adler, reserved; };
    int http_spec_deflate_init(struct http_spec_deflate *, int, int, int, int, int, const char *, int)
      asm("deflateInit2_");
    int http_spec_deflate(struct http_spec_deflate *, int) asm("deflate");
    int http_spec_deflate_end(struct http_spec_deflate *) asm("deflateEnd");
  ]]

  local function gzip(text)
    local z, out = ffi.new("struct http_spec_deflate"), ffi.new("uint8_t[?]", #text + 1000)
    assert(zlib.http_spec_deflate_init(z, 9, 8, 31, 8, 0, "1.2.11", ffi.sizeof(z)) == 0)
    z.next_in, z.avail_in = ffi.cast("const uint8_t *", text), #text
    z.next_out, z.avail_out = out, #text + 1000
    assert(zlib.http_spec_deflate(z, 4) == 1)
    zlib.http_spec_deflate_end(z)
    return ffi.string(out, z.total_out)
  end

  after_each(peers.stop_all)

  local function fetch(body, coding, options)
    local server = peers.saying(peers.ok(body, "Content-Encoding: " .. coding .. "\r\n"))
    local answer, err = http.get(server.url, options)
    return answer and answer.body, err, answer, server
  end

  it("is unpacked, and no longer says that it is packed", function()
    assert.is_true(has_zlib)
    local text = support.random_bytes(core.hard and 100 or 200000)
    local body, err, answer, server = fetch(gzip(text), "gzip")
    assert.is_true(body == text, err)
    assert.is_nil(answer.headers["content-encoding"])
    assert.is_nil(answer.headers["content-length"])
    assert.matches("\nAccept%-Encoding: gzip[^\n]*\n", server.heads[1])
    assert.equal("ab", (fetch(gzip("a") .. gzip("b"), "x-gzip"))) -- members follow each other
  end)

  it("stays as it is where that was said, and where the coding is unknown", function()
    local packed = gzip("abc")
    assert.equal(packed, (fetch(packed, "gzip", { decode = false })))
    assert.equal(packed, (fetch(packed, "gzip", { headers = { ["Accept-Encoding"] = "gzip" } })))
    assert.equal("abc", (fetch("abc", "rot13")))
    local twice = gzip(packed)
    assert.equal(twice, (fetch(twice, "gzip\r\nContent-Encoding: gzip")))
  end)

  it("is refused where it is broken, cut off, or unpacks to too much", function()
    local packed = gzip(("a"):rep(core.hard and 1000 or 10000000))
    assert.same({ nil, "too long" }, { (fetch(packed, "gzip", { max_body = 999 })), (select(2, fetch(packed, "gzip",
      { max_body = 999 }))) })
    assert.equal("invalid encoding", (select(2, fetch("not gzip at all", "gzip"))))
    assert.equal("unexpected eof", (select(2, fetch(packed:sub(1, -5), "gzip"))))
    assert.equal("", (fetch("", "gzip")))
  end)

  it("is asked for again once its library can be loaded", function()
    local result = process.run({ process.interpreter, "-e", [[
      local ffi = require "ffi"
      local load, decode = ffi.load, require "moonpark.http.decode"
      ffi.load = function() error("not enough memory", 0) end
      print(decode.accepted(), decode.new "gzip")
      ffi.load = load
      print(decode.accepted())
    ]] })
    assert.equal("nil\tnil\n" .. http_decode.accepted() .. "\n", result.out .. result.err)
  end)

  it("may be brotli", function()
    local brotli = ffi.load "libbrotlienc.so.1"
    ffi.cdef "int BrotliEncoderCompress(int, int, int, size_t, const uint8_t *, size_t *, uint8_t *);"
    local text, out, n = ("hello "):rep(100), ffi.new("uint8_t[1000]"), ffi.new("size_t[1]", 1000)
    assert(brotli.BrotliEncoderCompress(5, 22, 0, #text, ffi.cast("const uint8_t *", text), n, out) == 1)
    local packed = ffi.string(out, n[0])
    assert.equal(text, (fetch(packed, "br")))
    assert.equal("invalid encoding", (select(2, fetch("\255\255\255", "br"))))
    assert.equal("invalid encoding", (select(2, fetch(packed .. "more", "br"))))
    assert.equal("unexpected eof", (select(2, fetch(packed:sub(1, -3), "br"))))
  end)
end)

describe("the client's connections", function()
  it("leave nothing behind", function()
    local before = support.descriptors()
    local server = peers.serve(function(_, res) res:send "hello" end)
    assert.equal("hello", assert(http.get(server.url)).body)
    peers.stop_all()
    assert.equal(before, support.descriptors())
  end)

  it("may be to a unix socket", function()
    support.with_folder(function(folder)
      local path = folder .. "/s"
      local listener = assert(net.listen("unix:" .. path))
      peers.serve(function(req, res) res:send(req.host) end, { listener = listener })
      assert.equal("name", assert(http.get("http://name/", { unix = path })).body)
      peers.stop_all()
    end)
  end)
end)

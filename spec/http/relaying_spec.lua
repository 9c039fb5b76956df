-- SPDX-License-Identifier: MIT
-- http.proxy between two that talk: interim responses and expectations, hops that are counted, bodies that were read
-- before, and what either side sees where the other was cut off.

local core = require "moonpark.core"
local http = require "moonpark.http"
local moonpark = require "moonpark"
local peers = require "support.http_client"

local in_front_of, dial, raw, GET = peers.in_front_of, peers.dial, peers.raw, peers.GET

describe("http.proxy, between client and target", function()
  after_each(peers.stop_all)

  describe("interim responses", function()
    it("pass, without fields of the connection, as soon as they are there", function()
      local seen = core.event()
      local target = peers.scripted(function(conn)
        peers.request(conn)
        conn:write("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n")
        seen:wait()
        conn:write("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" .. peers.ok "ok")
      end)
      local conn = dial(in_front_of(target.url))
      conn:write(GET)
      assert.equal("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", conn:read_until "\r\n\r\n" .. "\r\n\r\n")
      seen:set()
      local rest = assert(conn:read_all())
      conn:close()
      assert.matches("^HTTP/1.1 102 [^\r]*\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n.*ok$", rest)
    end)

    it("do not reach HTTP/1.0 clients", function()
      local target = peers.saying("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" .. peers.ok "ok")
      local got = raw(in_front_of(target.url), "GET / HTTP/1.0\r\n\r\n")
      assert.matches("^HTTP/1.1 200 OK\r\n", got)
      assert.is_nil(got:find "103")
    end)

    it("without an end, or without an answer behind them, are a 502 and no reason to ask again", function()
      local endless = peers.saying(("HTTP/1.1 103 Early Hints\r\n\r\n"):rep(100))
      assert.matches("\r\n\r\nHTTP/1.1 502 ", raw(in_front_of(endless.url), GET))
      local target = peers.scripted(function(conn, number)
        peers.request(conn)
        if number == 1 then
          conn:write(peers.ok "first")
          peers.request(conn)
        end
        conn:write "HTTP/1.1 103 Early Hints\r\n\r\n"
      end)
      local server = in_front_of(target.url)
      assert.matches("first$", raw(server, GET))
      assert.matches("^HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 502 ", raw(server, GET))
      assert.equal(1, target.count)
    end)
  end)

  describe("Expect: 100-continue", function()
    local POST = "POST / HTTP/1.1\r\nHost: me\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"

    it("goes to the target, and its 100 comes back before the body goes", function()
      local heads = {}
      local target = peers.scripted(function(conn)
        heads[1] = conn:read_until "\r\n\r\n"
        conn:write "HTTP/1.1 100 Continue\r\n\r\n"
        conn:write(peers.ok(conn:read_exactly(3)))
        heads[2] = peers.request(conn)
        if heads[2] then conn:write(peers.ok "again") end
      end)
      local server = in_front_of(target.url)
      local conn = dial(server)
      conn:write(POST)
      assert.equal("HTTP/1.1 100 Continue", conn:read_until "\r\n\r\n")
      conn:write "abc"
      assert.matches("^HTTP/1.1 200 ", conn:read_until "\r\n\r\n")
      assert.equal("abc", conn:read_exactly(3))
      assert.matches("\r\nExpect: 100%-continue", heads[1])
      conn:write(GET)
      assert.matches("again$", conn:read_all())
      conn:close()
      assert.equal(1, target.count)
    end)

    it("lets the target refuse the body unseen; then neither connection goes on", function()
      local rest
      local target = peers.scripted(function(conn)
        conn:read_until "\r\n\r\n"
        conn:write(peers.ok("no", "X: y\r\n"):gsub("200 OK", "417 Expectation Failed"))
        rest = conn:read_all()
      end)
      local server = in_front_of(target.url)
      local got = raw(server, POST)
      assert.matches("^HTTP/1.1 417 .*\r\nConnection: close\r\n.*no$", got)
      peers.stop_all()
      assert.equal("", rest)
      assert.equal(0, server.pool.open)
    end)

    it("does not hold up a client that sends its body unasked, and is a 504 if nobody says anything", function()
      local target = peers.scripted(function(conn)
        local head = conn:read_until "\r\n\r\n"
        conn:write(peers.ok(conn:read_exactly(3) .. (head:find "Expect" and "!" or "")))
      end)
      assert.matches("\r\n\r\nabc!?$", raw(in_front_of(target.url), (POST:gsub("POST", "PUT")
        :gsub("Host: me", "%0\r\nConnection: close")) .. "abc"))
      local silent = peers.scripted(function(conn) conn:read_all() end)
      assert.matches("^HTTP/1.1 504 ", raw(in_front_of(silent.url, { io_timeout = 0.02 }), POST))
    end)
  end)

  describe("Max-Forwards", function()
    local function ask(method, hops, target_of)
      local target = peers.saying(peers.ok "")
      local got = raw(in_front_of(target.url), ("%s %s HTTP/1.1\r\nHost: me\r\nCookie: a=b\r\nMax-Forwards: %s\r\n"
        .. "Connection: close\r\n\r\n"):format(method, target_of or "/x", hops))
      return target.heads[1], got
    end

    it("of TRACE and OPTIONS is one less for the target", function()
      for _, method in ipairs { "TRACE", "OPTIONS" } do
        assert.matches("\nMax%-Forwards: 4\n", (ask(method, "5")))
        assert.matches("\nMax%-Forwards: 0\n", (ask(method, "1")))
        assert.matches("\nMax%-Forwards: 2147483646\n", (ask(method, ("9"):rep(400))))
      end
      assert.matches("\nMax%-Forwards: 0\n", (ask("GET", "0")))
    end)

    it("of 0 has the proxy answer: OPTIONS with what it takes, TRACE with the request but for its secrets", function()
      local head, got = ask("OPTIONS", "0")
      assert.is_nil(head)
      assert.matches("^HTTP/1.1 204 .*\r\nAllow: [%u, ]+\r\n", got)
      head, got = ask("TRACE", "0", "/x?y")
      assert.is_nil(head)
      assert.matches("^HTTP/1.1 200 .*\r\nContent%-Type: message/http\r\n\r\nTRACE /x%?y HTTP/1.1\r\n", got)
      assert.is_nil(got:find "a=b")
    end)

    it("that is no number is a 400", function()
      for _, bad in ipairs { "-1", "x", "1, 2", "", "1.5" } do
        local head, got = ask("OPTIONS", bad)
        assert.is_nil(head)
        assert.matches("^HTTP/1.1 400 ", got)
      end
    end)
  end)

  it("asks for the server as a whole where the client did: OPTIONS of a host without a path", function()
    local target = peers.saying(peers.ok "", peers.ok "", peers.ok "")
    local server = in_front_of(target.url)
    for i, pair in ipairs { { "http://me", "*" }, { "http://me/", "/" }, { "http://me?a", "/?a" } } do
      raw(server, "OPTIONS " .. pair[1] .. " HTTP/1.1\r\nHost: me\r\nConnection: close\r\n\r\n")
      assert.equal("OPTIONS " .. pair[2] .. " HTTP/1.1", target.heads[i]:match "^[^\n]*")
    end
  end)

  it("is told paths without the prefix that it is mounted at, with their query", function()
    local target = peers.saying(peers.ok "", peers.ok "", peers.ok "")
    local app = http.router()
    local server = in_front_of(target.url, nil, function(proxy)
      app:group("/v1"):mount("/api", proxy)
      return app
    end)
    for i, pair in ipairs { { "/v1/api/a%2fb?c=%20", "/a%2fb?c=%20" }, { "/v1/api", "/" }, { "/v1/%61pi/x", "/x" } } do
      raw(server, (GET:gsub("/", (pair[1]:gsub("%%", "%%%%")), 1)))
      assert.equal("GET " .. pair[2] .. " HTTP/1.1", target.heads[i]:match "^[^\n]*")
    end
  end)

  it("is called like a function, and says what a small answer had: status and bytes", function()
    local target = peers.saying(peers.ok "hello", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    local said = {}
    local server = in_front_of(target.url, nil, function(proxy)
      return function(req, res)
        res:after(function() said[#said + 1] = table.concat({ res:sent() }, " ") end)
        return proxy(req, res)
      end
    end)
    raw(server, GET)
    raw(server, (GET:gsub("GET", "HEAD")))
    peers.stop_all()
    assert.same({ "200 5", "200 0" }, said)
  end)

  describe("a body that was read before", function()
    local function reading(read)
      local got
      local target = peers.scripted(function(conn)
        got = { peers.request(conn) }
        conn:write(peers.ok "ok")
      end)
      local server = in_front_of(target.url, nil, function(proxy)
        return function(req, res)
          read(req)
          return proxy(req, res)
        end
      end)
      return server, function() return got end
    end
    local json = '{"a": 1}'
    local framed = { ("Content-Length: %d\r\n\r\n%s"):format(#json, json),
      ("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"):format(#json, json),
      ("Expect: 100-continue\r\nContent-Length: %d\r\n\r\n%s"):format(#json, json) }

    it("goes to the target as it is held", function()
      for _, read in ipairs { function(req) return req:body() end, function(req) return req:json() end } do
        for _, body in ipairs(framed) do
          local server, got = reading(read)
          assert.matches("ok$", raw(server, "POST / HTTP/1.1\r\nHost: me\r\nConnection: close\r\n" .. body))
          assert.equal(json, got()[2])
          assert.matches("\nContent%-Length: 8\n", got()[1])
          assert.is_nil(got()[1]:find "Expect")
          assert.is_nil(got()[1]:find "Transfer%-Encoding")
        end
      end
      local server, got = reading(function(req) return req:body() end)
      raw(server, "POST / HTTP/1.1\r\nHost: me\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
      assert.matches("\nContent%-Length: 0\n", got()[1])
      server, got = reading(function(req) return req:read() end)
      raw(server, "POST / HTTP/1.1\r\nHost: me\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
      assert.matches("\nContent%-Length: 0\n", got()[1])
    end)

    it("and is not held is an error of the handler's, not a request with a hole", function()
      for _, read in ipairs { function(req) req:read(2) end, function(req) for _ in req:chunks() do end end } do
        for _, body in ipairs { framed[1], framed[2] } do
          local server, got = reading(read)
          assert.matches("^HTTP/1.1 500 ", raw(server, "POST / HTTP/1.1\r\nHost: me\r\nConnection: close\r\n" .. body))
          assert.is_nil(got())
          assert.matches("http%.proxy: part of the body was already read", server.log[1])
        end
      end
    end)

    it("and was too long is refused as it is without a proxy", function()
      local server, got = reading(function(req) req:body(3) end)
      assert.matches("^HTTP/1.1 413 ", raw(server, "POST / HTTP/1.1\r\nHost: me\r\nConnection: close\r\n" .. framed[2]))
      assert.is_nil(got())
    end)
  end)

  describe("an answer that the target cuts off", function()
    local cut = { "Content-Length: 30000\r\n\r\nabc", "Content-Length: 9\r\n\r\nabc",
      "Transfer-Encoding: chunked\r\n\r\n5\r\nab", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
      "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nx\r\n", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n" }

    it("is cut off for the client, in one line of the log, and neither connection is kept", function()
      for _, text in ipairs(cut) do
        local lines = 0
        local target = peers.saying("HTTP/1.1 200 OK\r\n" .. text)
        local server = in_front_of(target.url, nil, function(proxy)
          return function(req, res)
            res:after(function() lines = lines + 1 end)
            return proxy(req, res)
          end
        end)
        local got = raw(server, "GET /x HTTP/1.1\r\nHost: me\r\n\r\n")
        assert.is_nil(got:match("\r\n\r\n(.*)$"):find("0\r\n\r\n", 1, true), text)
        assert.equal(got:match "Content%-Length: (%d+)", text:match "Content%-Length: (%d+)")
        assert.equal(0, server.pool.open)
        peers.stop_all()
        assert.equal(1, lines)
        assert.equal(1, #server.log)
        assert.matches("^GET /x: the response from [%d.:]+ was cut off: [%l ]+$", server.log[1])
      end
    end)

    it("is said to on_error in place of the log", function()
      local said = {}
      local target = peers.saying("HTTP/1.1 200 OK\r\n" .. cut[1])
      local server = in_front_of(target.url, { on_error = function(text) said[#said + 1] = text end })
      raw(server, GET)
      peers.stop_all()
      assert.same({ {}, 1 }, { server.log, #said })
    end)

    it("is cut off when the handler gives up waiting for it, and not ended", function()
      local over = core.event()
      local target = peers.scripted(function(conn)
        peers.request(conn)
        conn:write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        over:wait()
      end)
      local server = in_front_of(target.url, nil, function(proxy)
        return function(req, res)
          assert.same({ nil, "timeout" }, { moonpark.timeout(0.05, function() return proxy(req, res) end) })
        end
      end)
      local got = raw(server, "GET / HTTP/1.1\r\nHost: me\r\n\r\n")
      assert.matches("\r\n\r\n3\r\nabc\r\n$", got)
      over:set()
      assert.equal(0, server.pool.open)
      peers.stop_all()
      assert.equal(1, #server.log)
    end)

    it("and one that the client does not take leaves no clean end behind", function()
      local target = peers.scripted(function(conn)
        peers.request(conn)
        conn:write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        local piece = "10000\r\n" .. ("x"):rep(65536) .. "\r\n"
        for _ = 1, 1000 do
          if not conn:write(piece) then return end
        end
        conn:write "0\r\n\r\n"
      end)
      local ended = core.event()
      local server = in_front_of(target.url, nil, function(proxy)
        return function(req, res)
          res:after(function() ended:set() end)
          return proxy(req, res)
        end
      end, { io_timeout = 0.05 })
      local conn = dial(server)
      conn:write "GET / HTTP/1.1\r\nHost: me\r\n\r\n"
      assert.is_true(ended:wait(20))
      local got, last = 0, ""
      while true do
        local data = conn:read()
        if not data then break end
        got, last = got + #data, (last .. data):sub(-5)
      end
      conn:close()
      assert.is_true(got < 65536 * 1000)
      assert.not_equal("0\r\n\r\n", last)
      assert.equal(0, server.pool.open)
      peers.stop_all()
      assert.equal(1, #server.log)
      assert.matches("the client did not read the response: timeout$", server.log[1])
    end)
  end)

  describe("an upload that the client cuts off", function()
    it("is cut off for the target, in one line of the log, and neither connection is kept", function()
      for _, case in ipairs { { "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "3\r\nabc\r\n" },
        { "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n", "3\r\nabc\r\n" },
        { "Content-Length: 99999\r\n\r\nabc", "abc" } } do
        local body
        local come = core.event()
        local target = peers.scripted(function(conn)
          conn:read_until "\r\n\r\n"
          come:set()
          body = conn:read_all()
        end)
        local server = in_front_of(target.url)
        local conn = dial(server)
        conn:write("POST /up HTTP/1.1\r\nHost: me\r\n" .. case[1])
        come:wait()
        conn:close_write()
        conn:read_all()
        conn:close()
        peers.stop_all()
        assert.equal(case[2], body)
        assert.equal(0, server.pool.open)
        local why = case[1]:find "zz" and "malformed message" or "unexpected eof"
        assert.same({ "POST /up: the client's body was cut off: " .. why }, server.log)
      end
    end)

    it("cuts off an answer that has begun", function()
      local target = peers.scripted(function(conn)
        conn:read_until "\r\n\r\n"
        conn:write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        conn:read_all()
      end)
      local server = in_front_of(target.url)
      local conn = dial(server)
      conn:write "POST /up HTTP/1.1\r\nHost: me\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
      conn:read_until "abc\r\n"
      conn:write "zz\r\n"
      assert.equal("", conn:read_all())
      conn:close()
      peers.stop_all()
      assert.equal(0, server.pool.open)
      assert.same({ "POST /up: the client's body was cut off: malformed message" }, server.log)
    end)
  end)

  it("answers 502 if the target is gone when the end of a chunked body is written", function()
    local taken, ended = core.event(), core.event()
    local target = peers.scripted(function(conn)
      conn:read_until "1\r\nx\r\n"
      taken:set()
      ended:wait()
      conn:setoption("linger", 0)
      conn:close()
    end)
    local conn = dial(in_front_of(target.url))
    conn:write "POST / HTTP/1.1\r\nHost: me\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"
    taken:wait()
    conn:write "0\r\n\r\n" -- the proxy hears of this first, then of the reset
    ended:set()
    assert.matches("^HTTP/1.1 502 ", conn:read_until "\r\n\r\n")
    conn:close()
  end)

  it("lets a target be silent while a body goes up, behind an answer that has begun", function()
    local target = peers.scripted(function(conn)
      conn:read_until "\r\n\r\n"
      conn:write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
      conn:read_until "\r\n0\r\n\r\n"
      conn:write "3\r\ndef\r\n0\r\n\r\n"
      conn:read()
    end)
    local server = in_front_of(target.url, { io_timeout = 1 })
    local conn = dial(server)
    conn:write "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
    conn:read_until "abc\r\n"
    for _ = 1, 5 do
      moonpark.sleep(0.25)
      conn:write "1\r\na\r\n"
    end
    conn:write "0\r\n\r\n"
    assert.equal("3\r\ndef\r\n0", conn:read_until "\r\n\r\n")
    conn:close()
    peers.stop_all()
    assert.same({}, server.log)
    local quiet = peers.scripted(function(peer)
      peer:read_until "\r\n0\r\n\r\n"
      peer:write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
      peer:read()
    end)
    local time, got = 0.01
    repeat -- until the answer had begun before the time was over, which it may not have on a busy machine
      time = 2 * time
      server = in_front_of(quiet.url, { io_timeout = time })
      got = raw(server, "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        .. "1\r\na\r\n0\r\n\r\n")
    until not got:find "^HTTP/1.1 504 "
    assert.matches("was cut off: timeout$", server.log[1])
  end)
end)

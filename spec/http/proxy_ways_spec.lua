-- SPDX-License-Identifier: MIT
-- proxy_ways_spec.lua - what http.proxy carries between a client and a target besides heads and whole bodies: interim
-- responses, expectations, bodies that somebody has read before, and what is cut off on its way.

local core = require "moonpark.core"
local http = require "moonpark.http"
local moonpark = require "moonpark"
local peers = require "support.http_client"
local wire = require "support.http"

local proxy_to, dial, GET = peers.proxy_to, peers.dial, peers.GET

describe("http.proxy carries", function()
  after_each(peers.stop_all)

  local function statuses(text)
    local list = {}
    for status in text:gmatch "HTTP/1%.1 (%d+)" do list[#list + 1] = tonumber(status) end
    return list
  end

  local HINTS = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: X-Gone\r\nX-Gone: 1\r\n\r\n"

  describe("interim responses", function()
    it("to the client, one after another, without what concerns the connection", function()
      local target = peers.saying(HINTS .. HINTS .. "HTTP/1.1 102 Processing\r\n\r\n" .. peers.ok "ok")
      local conn = dial(peers.serve(proxy_to(target.url)))
      conn:write(GET)
      local got = conn:read_all()
      assert.same({ 103, 103, 102, 200 }, statuses(got))
      assert.matches("^HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP", got)
      assert.matches("\r\n\r\nok$", got)
      conn:close()
    end)

    it("a 100 that nobody has asked for among them, but not the second that was (RFC 9110 15.2)", function()
      local CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n"
      local conn = dial(peers.serve(proxy_to(peers.saying(CONTINUE .. HINTS .. peers.ok "ok").url)))
      conn:write(GET)
      assert.same({ 100, 103, 200 }, statuses(conn:read_all()))
      conn:close()
      local target = peers.scripted(function(peer)
        peer:read_until "\r\n\r\n"
        peer:write(CONTINUE, CONTINUE)
        peer:read_exactly(5)
        peer:write(CONTINUE, peers.ok "ok")
      end)
      conn = dial(peers.serve(proxy_to(target.url)))
      conn:write "POST / HTTP/1.1\r\nHost: me\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
      assert.equal("HTTP/1.1 100 Continue", conn:read_until "\r\n\r\n")
      conn:write "hello"
      assert.same({ 200 }, statuses(conn:read_all()))
      conn:close()
    end)

    it("at once, not with the response", function()
      local go_on = core.event()
      local target = peers.scripted(function(conn)
        peers.request(conn)
        conn:write(HINTS)
        go_on:wait()
        conn:write(peers.ok "ok")
      end)
      local conn = dial(peers.serve(proxy_to(target.url)))
      conn:write(GET)
      assert.matches("103 Early Hints", conn:read_until "\r\n\r\n")
      go_on:set()
      assert.same({ 200 }, statuses(conn:read_all()))
      conn:close()
    end)

    it("to no client of HTTP/1.0, and not for ever", function()
      local conn = dial(peers.serve(proxy_to(peers.saying(HINTS .. peers.ok "ok").url)))
      conn:write "GET / HTTP/1.0\r\nHost: me\r\n\r\n"
      assert.same({ 200 }, statuses(conn:read_all()))
      conn:close()
      conn = dial(peers.serve(proxy_to(peers.saying(HINTS:rep(40) .. peers.ok "ok").url)))
      conn:write(GET)
      local got = statuses(conn:read_all())
      assert.equal(502, got[#got])
      assert.is_true(#got <= 34)
      conn:close()
    end)

    it("once: a target that dies behind one is not asked again", function()
      local asked = 0
      local target = peers.scripted(function(conn, number)
        while peers.request(conn) do
          asked = asked + 1
          if number == 1 and asked == 2 then
            conn:write(HINTS)
            return
          end
          conn:write(peers.ok "ok")
        end
      end)
      local server = peers.serve(proxy_to(target.url))
      for _, expected in ipairs { { 200 }, { 103, 502 } } do
        local conn = dial(server)
        conn:write(GET)
        assert.same(expected, statuses(conn:read_all()))
        conn:close()
      end
      assert.equal(2, asked)
    end)
  end)

  describe("an expectation", function()
    local function post(length)
      return ("POST / HTTP/1.1\r\nHost: me\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"):format(length)
    end

    for _, length in ipairs { 5, 100000 } do
      it(("to the target, whose 100 lets the client go on: %d bytes"):format(length), function()
        local got, head
        local target = peers.scripted(function(conn)
          head = conn:read_until "\r\n\r\n"
          conn:write "HTTP/1.1 100 Continue\r\n\r\n"
          got = conn:read_exactly(length)
          conn:write(peers.ok "thanks")
        end)
        local conn = dial(peers.serve(proxy_to(target.url)))
        conn:write(post(length))
        assert.equal("HTTP/1.1 100 Continue", conn:read_until "\r\n\r\n")
        conn:write(("b"):rep(length))
        assert.equal(200, wire.read_answer(conn).status)
        assert.equal(("b"):rep(length), got)
        assert.matches("\r\nExpect: 100%-continue", head)
        conn:close()
      end)
    end

    it("to the target, whose refusal is the client's answer, without a 100", function()
      local target = peers.scripted(function(conn)
        conn:read_until "\r\n\r\n"
        conn:write "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno"
        conn:read_all()
      end)
      local conn = dial(peers.serve(proxy_to(target.url)))
      conn:write(post(5))
      local got = conn:read_all()
      assert.same({ 417 }, statuses(got))
      assert.matches("\r\nConnection: close\r\n", got)
      conn:close()
    end)

    it("that is answered gives the client its own time for the body", function()
      local target = peers.scripted(function(conn)
        conn:read_until "\r\n\r\n"
        conn:write("HTTP/1.1 100 Continue\r\n\r\n", HINTS)
        conn:read_exactly(5)
        conn:write(peers.ok "ok")
      end)
      local conn = dial(peers.serve(proxy_to(target.url, { io_timeout = 0.5 })))
      conn:write(post(5))
      assert.same({ 100, 103 }, statuses(conn:read_until "\r\n\r\n" .. conn:read_until "\r\n\r\n"))
      moonpark.sleep(0.6) -- longer than io_timeout
      conn:write "hello"
      assert.equal(200, wire.read_answer(conn).status)
      conn:close()
    end)

    it("that a target leaves open is a 504, whatever else it says", function()
      local over = core.event()
      local target = peers.scripted(function(conn)
        conn:read_until "\r\n\r\n"
        conn:write(HINTS)
        over:wait()
      end)
      local conn = dial(peers.serve(proxy_to(target.url, { io_timeout = 1 })))
      conn:write(post(5))
      assert.same({ 103, 504 }, statuses(conn:read_all()))
      conn:close()
      over:set()
    end)

    it("not, where the client has sent its body already", function()
      local head
      local target = peers.scripted(function(conn)
        head = peers.request(conn)
        conn:write(peers.ok "ok")
      end)
      local conn = dial(peers.serve(proxy_to(target.url)))
      conn:write(post(5), "hello")
      assert.equal(200, wire.read_answer(conn).status)
      assert.is_string(head)
      conn:close()
    end)
  end)

  describe("a body that was read before", function()
    local function through(reader, request, options)
      local body
      local target = peers.scripted(function(conn)
        local _
        _, body = peers.request(conn)
        conn:write(peers.ok "ok")
      end)
      local proxy = proxy_to(target.url, options)
      local server = peers.serve(function(req, res)
        reader(req)
        return proxy(req, res)
      end)
      local conn = dial(server)
      conn:write(request)
      local answer = wire.read_answer(conn)
      conn:close()
      return answer.status, body, server
    end

    local JSON = '{"a": 1}'
    local framed = {
      ["by its length"] = "Content-Length: 8\r\n\r\n" .. JSON,
      ["in chunks"] = "Transfer-Encoding: chunked\r\n\r\n3\r\n" .. JSON:sub(1, 3) .. "\r\n5\r\n" .. JSON:sub(4)
        .. "\r\n0\r\n\r\n",
    }
    for how, rest in pairs(framed) do
      for name, reader in pairs {
        ["req:body()"] = function(req) req:body() end, ["req:json()"] = function(req) req:json() end,
        ["two tasks"] = function(req)
          local other = moonpark.go(req.body, req)
          req:body()
          other:join()
        end,
      } do
        it(("%s, framed %s"):format(name, how), function()
          local status, body = through(reader, "POST / HTTP/1.1\r\nHost: me\r\nConnection: close\r\n"
            .. "Content-Type: application/json\r\n" .. rest)
          assert.equal(200, status)
          assert.equal(JSON, body)
        end)
      end
    end

    it("by a task that is still in the middle of it", function()
      local status, body = through(function(req) moonpark.go(req.body, req) moonpark.yield() end,
        "POST / HTTP/1.1\r\nHost: me\r\nConnection: close\r\n" .. framed["in chunks"])
      assert.equal(200, status)
      assert.equal(JSON, body)
    end)

    it("whole, or the proxy says that a part of it is gone", function()
      local status, body, server = through(function(req) req:read(3) end,
        "POST / HTTP/1.1\r\nHost: me\r\nConnection: close\r\n" .. framed["by its length"])
      assert.equal(500, status)
      assert.is_nil(body)
      assert.matches("part of the body was already read", server.log[1])
    end)

    it("in part, to no target: that raises at the line of whoever asks the proxy", function()
      local target = peers.saying(peers.ok "")
      local proxy = proxy_to(target.url)
      local server = peers.serve(function(req, res)
        req:read(3)
        proxy(req, res)
      end)
      local conn = dial(server)
      conn:write("POST / HTTP/1.1\r\nHost: me\r\nConnection: close\r\n" .. framed["in chunks"])
      assert.equal(500, wire.read_answer(conn).status)
      conn:close()
      assert.matches("proxy_ways_spec%.lua:%d+: http%.proxy: part of the body was already read", server.log[1])
      assert.equal(0, target.count)
    end)

    local function large(target, size)
      local body = ("x"):rep(size)
      local proxy = proxy_to(target.url, { io_timeout = 5 })
      local server = peers.serve(function(req, res)
        req:body(math.huge)
        return proxy(req, res)
      end)
      local answer = assert(http.post(server.url, { body = function()
        local piece = body
        body = nil
        return piece
      end }))
      server.stop() -- and the proxy is done with its connection
      assert.same({}, server.log)
      return answer, proxy.pool
    end

    it("to a target that refuses it without reading all of it", function()
      local over = core.event()
      local target = peers.scripted(function(conn)
        conn:read_until "\r\n\r\n"
        conn:write "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno!"
        over:wait()
      end)
      local answer, pool = large(target, core.hard and 300000 or 20000000)
      over:set()
      assert.same({ 413, "no!" }, { answer.status, answer.body })
      assert.equal(0, pool.open)
    end)

    it("to a target that answers with it while it comes", function()
      local size, framing = core.hard and 30000 or 20000000, nil
      local target = peers.serve(function(req, res)
        framing = req:header "content-length"
        res:begin(size)
        for piece in req:chunks() do res:write(piece) end
      end)
      local answer = large(target, size)
      assert.same({ 200, size, tostring(size) }, { answer.status, #answer.body, framing })
    end)

    it("through a table that stands before the request", function()
      local bodies = {}
      local target = peers.scripted(function(conn)
        while true do
          local head, body = peers.request(conn)
          if not head then return end
          bodies[#bodies + 1] = body
          conn:write(peers.ok "ok")
        end
      end)
      local proxy = proxy_to(target.url)
      local function before(req) return setmetatable({}, { __index = req }) end
      for _, handler in ipairs {
        function(req, res) req:body() return proxy(before(req), res) end,
        function(req, res) req = before(req) req:body() return proxy(req, res) end,
      } do
        local conn = dial(peers.serve(handler))
        conn:write("POST / HTTP/1.1\r\nHost: me\r\n", framed["in chunks"])
        assert.equal(200, wire.read_answer(conn).status)
        conn:close()
      end
      assert.same({ JSON, JSON }, bodies)
    end)

    it("and could not be: the client is told why, through such a table, too", function()
      local deaf = peers.scripted(function(conn) conn:read_all() end)
      local proxy = proxy_to(deaf.url)
      for _, rest in ipairs { "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
        "Transfer-Encoding: chunked\r\n\r\nzz\r\n" } do
        for _, reads in ipairs { false, true } do
          local conn = dial(peers.serve(function(req, res)
            req = setmetatable({}, { __index = req })
            if reads then req:body() end
            return proxy(req, res)
          end))
          conn:write("POST / HTTP/1.1\r\nHost: me\r\nConnection: close\r\n", rest)
          assert.same({ 400 }, statuses(conn:read_all()))
          conn:close()
        end
      end
    end)

    for how, first in pairs { ["Transfer-Encoding: chunked"] = "5\r\nhello\r\n", ["Content-Length: 5"] = "hello",
      ["Content-Length: 20000"] = "hello" } do
      it(("by another task at the same time: nobody takes the rest for all of it (%s)"):format(how), function()
        local got, reading = nil, core.event()
        local target = peers.scripted(function(conn) got = conn:read_all() end)
        local proxy = proxy_to(target.url)
        local server = peers.serve(function(req, res)
          moonpark.go(function() reading:set() req:read(3) end)
          reading:wait()
          return proxy(req, res)
        end)
        local conn = dial(server)
        conn:write("POST / HTTP/1.1\r\nHost: me\r\nConnection: close\r\n", how, "\r\n\r\n")
        reading:wait()
        conn:write(first, how:find "chunked" and "0\r\n\r\n" or ("x"):rep(tonumber(how:match "%d+") - 5))
        assert.same({ 500 }, statuses(conn:read_all()))
        conn:close()
        peers.stop_all()
        local length = tonumber(how:match "%d+")
        local body = (got or ""):match "\r\n\r\n(.*)$" or ""
        assert.is_true(#body < (length or math.huge) and not body:find "0\r\n\r\n$")
        assert.equal(1, #server.log)
        assert.matches("part of the body was already read", server.log[1])
      end)
    end

    it("none of it, of a request without one", function()
      assert.equal(200, (through(function(req) req:body() end, GET)))
    end)
  end)

  it("nothing for a handler that has answered already: that raises at its line, and no target is asked", function()
    local target = peers.saying(peers.ok "too late")
    local proxy = proxy_to(target.url)
    for how, answer in pairs {
      whole = function(_, res) res:send "first" end, begun = function(_, res) res:write "first" end,
    } do
      local server = peers.serve(function(req, res)
        answer(req, res)
        proxy:handle(req, res)
      end)
      local conn = dial(server)
      conn:write(GET)
      assert.matches("first", conn:read_all(), how)
      conn:close()
      local what = how == "whole" and "been sent" or "begun"
      assert.matches("proxy_ways_spec%.lua:%d+: response has already " .. what, server.log[1])
    end
    assert.equal(0, target.count)
  end)

  it("a request to a target below a mounted prefix without it, and with its query", function()
    local target = peers.saying(peers.ok "", peers.ok "", peers.ok "")
    local app = http.router():mount("/in/here", proxy_to(target.url .. "/app"))
    local server = peers.serve(app)
    for _, path in ipairs { "/in/here/a%20b?c=d", "/in/here", "/in/here/" } do
      local conn = dial(server)
      conn:write("GET ", path, " HTTP/1.1\r\nHost: me\r\nConnection: close\r\n\r\n")
      conn:read_all()
      conn:close()
    end
    assert.matches("^GET /app/a%%20b%?c=d HTTP", target.heads[1])
    assert.matches("^GET /app/ HTTP", target.heads[2])
    assert.matches("^GET /app/ HTTP", target.heads[3])
  end)

  it("OPTIONS for the whole server as that, and no further than Max-Forwards says", function()
    local target = peers.saying(peers.ok "", peers.ok "", peers.ok "", peers.ok "")
    local server = peers.serve(proxy_to(target.url .. "/app"))
    local function ask(line, fields)
      local conn = dial(server)
      conn:write(line, " HTTP/1.1\r\nHost: me\r\nConnection: close\r\n", fields or "", "\r\n")
      local got = conn:read_all()
      conn:close()
      return got
    end
    ask "OPTIONS http://me"
    assert.matches("^OPTIONS %* HTTP", target.heads[1])
    ask("OPTIONS http://me/", "Max-Forwards: 5\r\n")
    assert.matches("^OPTIONS /app/ HTTP.*\nMax%-Forwards: 4\n", target.heads[2])
    ask("GET /", "Max-Forwards: 5\r\n")
    assert.matches("\nMax%-Forwards: 5\n", target.heads[3])
    assert.matches("^HTTP/1.1 204 .*Allow: GET, ", ask("OPTIONS /", "Max-Forwards: 0\r\n"))
    assert.matches("^HTTP/1.1 200 .*TRACE / HTTP", ask("TRACE /", "Max-Forwards: 0\r\n"))
    ask("GET /", "Max-Forwards: 0\r\nVia: 1.0 fred, 1.1 a.b:80 (x (y))\r\nVia: 1.1 swallow (\r\n")
    assert.matches("\nMax%-Forwards: 0\n", target.heads[4])
    assert.matches("\nVia: 1.0 fred, 1.1 a.b:80 %(x %(y%)%), 1.1 moonpark\n", target.heads[4])
    assert.not_matches("swallow", target.heads[4])
  end)

  it("how many bytes it has sent to res:sent(), small answers included", function()
    for _, body in ipairs { "hello", ("x"):rep(40000) } do
      local target, sent = peers.saying(peers.ok(body)), nil
      local proxy = proxy_to(target.url)
      local server = peers.serve(function(req, res)
        res:after(function() sent = { res:sent() } end)
        return proxy(req, res)
      end)
      local conn = dial(server)
      conn:write(GET)
      conn:read_all()
      conn:close()
      assert.same({ 200, #body }, sent)
    end
  end)

  describe("the end of what is cut off", function()
    for how, said in pairs {
      ["by its length"] = "Content-Length: 10\r\n\r\nabc",
      ["in chunks"] = "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    } do
      for _, version in ipairs { "1.1", "1.0" } do
        it(("of an answer framed %s, to a client of HTTP/%s: one line in the log"):format(how, version), function()
          local target = peers.saying("HTTP/1.1 200 OK\r\n" .. said)
          local server = peers.serve(proxy_to(target.url))
          local conn = dial(server)
          conn:write("GET / HTTP/", version, "\r\nHost: me\r\nConnection: keep-alive\r\n\r\n")
          local head = conn:read_until "\r\n\r\n"
          local got, err = conn:read_all()
          assert.is_true(got == nil and err == "connection reset by peer" or head:find "Content%-Length: 10" ~= nil
            or got ~= nil and not got:find "0\r\n\r\n$" and head:find "chunked" ~= nil)
          conn:close()
          assert.equal(1, #server.log)
          assert.matches("^GET /: the response from [%d.:]+ was cut off: unexpected eof$", server.log[1])
        end)
      end
    end

    it("of an answer whose request was given up is not said to be the target's", function()
      local over = core.event()
      local target = peers.scripted(function(conn)
        peers.request(conn)
        conn:write "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
        over:wait()
      end)
      local proxy = proxy_to(target.url)
      local servers = { peers.serve(proxy, { request_timeout = 1 }), peers.serve(function(req, res)
        return moonpark.timeout(1, function() return proxy(req, res) end)
      end) }
      for _, server in ipairs(servers) do
        local conn = dial(server)
        conn:write(GET)
        assert.not_matches("0\r\n\r\n$", conn:read_all())
        conn:close()
        assert.same({ "GET /: the response was cut off: canceled" }, server.log)
      end
      over:set()
      assert.equal(0, proxy.pool.open)
    end)

    it("of a request's body, to the target: no last chunk, and nothing behind the gap", function()
      local got, err
      local come = core.event()
      local target = peers.scripted(function(conn)
        conn:read_until "\r\n\r\n"
        conn:read_until "hello"
        come:set()
        got, err = conn:read_all()
      end)
      local server = peers.serve(proxy_to(target.url))
      local conn = dial(server)
      conn:write "POST / HTTP/1.1\r\nHost: me\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
      come:wait()
      conn:close()
      peers.stop_all()
      assert.is_true(err == "connection reset by peer" or got == "\r\n")
      assert.same({ "POST /: the client's body was cut off: unexpected eof" }, server.log)
    end)
  end)

  it("an answer for as long as the request's body is on its way, however long the target is silent", function()
    local go_on = core.event()
    local target = peers.scripted(function(conn)
      conn:read_until "\r\n\r\n"
      conn:write "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst"
      conn:read_exactly(100000)
      conn:write "later"
      go_on:wait()
    end)
    local conn = dial(peers.serve(proxy_to(target.url, { io_timeout = 0.05 })))
    conn:write "POST / HTTP/1.1\r\nHost: me\r\nContent-Length: 100000\r\n\r\n"
    conn:read_until "first"
    for _ = 1, 10 do
      moonpark.sleep(0.02) -- longer than io_timeout in all
      conn:write(("x"):rep(10000))
    end
    assert.equal("later", conn:read_exactly(5))
    go_on:set()
    conn:close()
  end)
end)

-- SPDX-License-Identifier: MIT
-- http.proxy: what the target sees, what the client gets, and what becomes of either when the other fails.

local core = require "moonpark.core"
local http = require "moonpark.http"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local peers = require "support.http_client"
local support = require "support.net"

local in_front_of, raw, GET = peers.in_front_of, peers.raw, peers.GET

describe("http.proxy", function()
  after_each(peers.stop_all)

  -- At least n bytes of a chunked body, or what there is up to its last chunk.
  local function chunks(conn, n)
    local got = ""
    while #got < n do
      local size = tonumber(assert(conn:read_line()), 16)
      got = got .. assert(conn:read_exactly(size))
      assert(conn:read_exactly(2))
      if size == 0 then break end
    end
    return got
  end

  it("passes on what is meant for the target, says who asks, and nothing of the connection", function()
    local target = peers.saying(peers.ok("hello", "X-A: b\r\nConnection: X-Gone\r\nX-Gone: 1\r\nKeep-Alive: 5\r\n"
      .. "Date: today\r\n"))
    local server = in_front_of(target.url)
    local got = raw(server, "GET http://me/a/%2e?b=c HTTP/1.1\r\nHost: me\r\nConnection: close, x-secret\r\n"
      .. "X-Secret: 1\r\nX-Kept: 2\r\nTE: trailers\r\nKeep-Alive: 1\r\nProxy-Authorization: x\r\n"
      .. "X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n\r\n")
    assert.equal(("GET /a/%%2e?b=c HTTP/1.1\nHost: %s\nX-Kept: 2\nX-Forwarded-For: 9.9.9.9, 127.0.0.1\n"
      .. "X-Forwarded-Proto: http\nX-Forwarded-Host: me\nVia: 1.1 moonpark\n"):format(target.address), target.heads[1])
    assert.equal("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\nX-A: b\r\nDate: today\r\n\r\nhello", got)
  end)

  it("says who asks as it is told to, and which Host is meant", function()
    local target = peers.saying(peers.ok "", peers.ok "", peers.ok "")
    raw(in_front_of(target.url, { forwarded = "standard", host = "preserve" }), GET)
    raw(in_front_of(target.url, { forwarded = false, host = "other", via = false }), GET)
    raw(in_front_of(target.url .. "/base/", { forwarded = false }), "OPTIONS * HTTP/1.1\r\nHost: a\r\n"
      .. "Connection: close\r\n\r\n")
    assert.equal('GET / HTTP/1.1\nHost: me\nForwarded: for="127.0.0.1";proto=http;host="me"\nVia: 1.1 moonpark\n',
      target.heads[1])
    assert.equal("GET / HTTP/1.1\nHost: other\n", target.heads[2])
    assert.matches("^OPTIONS %* HTTP/1%.1\n", target.heads[3])
  end)

  describe("adds the fields of middleware to a target's answer:", function()
    -- What the client gets: the head's fields as name = values, joined by "|", and the body.
    local function through(answer, middleware, request)
      local target = peers.saying(answer)
      local function wrapped(proxy) return middleware(http.router()):mount("/", proxy) end
      local server = in_front_of(target.url, nil, wrapped)
      local got = raw(server, request or GET)
      local fields = {}
      for name, value in got:match "^(.-)\r\n\r\n":gmatch "\r\n([^:]+): ([^\r]*)" do
        name = name:lower()
        fields[name] = fields[name] and fields[name] .. "|" .. value or value
      end
      return fields, got:match "\r\n\r\n(.*)$", server
    end
    local function using(...)
      local all = { ... }
      return function(app)
        for _, fn in ipairs(all) do app:use(fn) end
        return app
      end
    end

    it("in place of its fields of the same name", function()
      local fields, body = through(peers.ok("x", "x-frame-options: NEVER\r\nX-Frame-Options: twice\r\nX-Its: 1\r\n"),
        using(http.secure_headers { ["X-Frame-Options"] = "DENY" }, http.cors { origins = { "http://a" } }),
        "GET / HTTP/1.1\r\nHost: me\r\nOrigin: http://a\r\nConnection: close\r\n\r\n")
      assert.same({ "DENY", "1", "http://a", "nosniff", "x" }, { fields["x-frame-options"], fields["x-its"],
        fields["access-control-allow-origin"], fields["x-content-type-options"], body })
    end)

    it("those of CORS in place of all of CORS", function()
      local fields = through(peers.ok("x", "Access-Control-Allow-Origin: http://b\r\n"
        .. "Access-Control-Allow-Credentials: true\r\nAccess-Control-Expose-Headers: X-Secret\r\n"),
        using(http.cors { origins = { "http://a" } }),
        "GET / HTTP/1.1\r\nHost: me\r\nOrigin: http://a\r\nConnection: close\r\n\r\n")
      assert.same({ "http://a" }, { fields["access-control-allow-origin"],
        fields["access-control-allow-credentials"], fields["access-control-expose-headers"] })
    end)

    it("beside its Vary and its cookies", function()
      local fields = through(peers.ok("x", "Vary: Accept\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\n"),
        using(function(_, res, next)
          res:vary("Origin"):cookie("c", "3"):cookie("d", "4")
          return next()
        end))
      assert.same({ "Accept|Origin", "a=1|b=2|c=3|d=4" }, { fields.vary, fields["set-cookie"] })
    end)

    it("those that are set as the head is made, too; a session's keeps the answer out of shared caches", function()
      local two = "Cache-Control: No-Store\r\ncache-control: x\r\n"
      for theirs, ours in pairs { [""] = "private", ["Cache-Control: public\r\n"] = "private",
        [two] = "private, no-store" } do
        local fields = through(peers.ok("x", theirs), using(http.sessions { keys = { ("k"):rep(32) } },
          function(req, _, next)
            req.session.user = "ada"
            return next()
          end))
        assert.equal(ours, fields["cache-control"])
        assert.matches("^__Host%-session=", fields["set-cookie"])
      end
    end)

    it("and never what frames it, or belongs to it", function()
      local own = "Content-Type: text/its\r\nDate: today\r\n"
      local fields, body = through(peers.ok("x", own), using(function(_, res, next)
        res.status, res.type, res.length = 404, "text/ours", 7
        res:set("Date", "tomorrow")
        return next()
      end))
      assert.same({ "text/its", "today", "1", "x" },
        { fields["content-type"], fields.date, fields["content-length"], body })
    end)

    it("with all that the target sends, however many there are", function()
      local many, count = {}, 60
      for i = 1, count do many[i] = ("X-%d: its\r\n"):format(i) end
      local fields = through(peers.ok("x", table.concat(many)), using(function(_, res, next)
        for i = 2, count, 2 do res:set("x-" .. i, "ours") end
        return next()
      end))
      for i = 1, count do assert.equal(i % 2 == 0 and "ours" or "its", fields["x-" .. i]) end
    end)

    it("but answers with 500 where one of them cannot be sent", function()
      local _, body, server = through(peers.ok "x", using(function(_, res, next)
        res:set("X-Split", "a\r\nB: c")
        return next()
      end))
      assert.equal("Internal Server Error\n", body)
      assert.matches("invalid value of header 'X-Split'", server.log[1], 1, true)
    end)
  end)

  it("keeps the target's connections", function()
    local target = peers.scripted(function(conn)
      while peers.request(conn) do conn:write(peers.ok "x") end
    end)
    local server = in_front_of(target.url)
    for _ = 1, 3 do assert.equal("x", assert(http.get(server.url)).body) end
    assert.equal(1, target.count)
  end)

  it("passes bodies both ways, however they are framed", function()
    local target = peers.serve(function(req, res)
      if req.query.chunked then
        for piece in req:chunks() do res:write(piece) end
      else
        res:send(req:body())
      end
    end)
    local server = in_front_of(target.url)
    for _, size in ipairs { 0, 1, 5000, core.hard and 5000 or 1000000 } do
      local body = support.random_bytes(size, size + 1)
      for _, path in ipairs { "/", "/?chunked=1" } do
        for _, pieces in ipairs { false, true } do
          local at = 1
          local answer = assert(http.post(server.url .. path, { body = not pieces and body or function()
            local piece = body:sub(at, at + 9999)
            at = at + 10000
            return piece ~= "" and piece or nil
          end }))
          assert.is_true(answer.body == body, ("%d bytes to %s"):format(size, path))
        end
      end
    end
  end)

  it("never sends a message with two framings, nor believes one", function()
    local target = peers.saying(peers.ok "",
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n")
    local server = in_front_of(target.url)
    local got = raw(server, "POST / HTTP/1.1\r\nHost: a\r\n"
      .. "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    assert.matches("^HTTP/1%.1 400 ", got)
    assert.equal(0, #target.heads)
    raw(server, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close, Content-Length, host, "
      .. "transfer-encoding\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    assert.matches("\nTransfer%-Encoding: chunked\n", target.heads[1])
    assert.is_nil(target.heads[1]:find "Content%-Length")
    assert.matches("^HTTP/1%.1 502 ", raw(server, GET))
  end)

  it("refuses a request whose hops cannot be told apart, and blames nobody else", function()
    local target = peers.saying(peers.ok "")
    local hops = {}
    for i = 1, 9 do hops[i] = "Connection: x-" .. i .. "\r\n" end
    local got = raw(in_front_of(target.url), "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
      .. table.concat(hops) .. "\r\n")
    assert.matches("^HTTP/1%.1 400 ", got)
    assert.equal(0, target.count)
  end)

  it("hears a target that refuses a large body without reading it", function()
    local over = core.event()
    local target = peers.scripted(function(conn)
      conn:read_until "\r\n\r\n"
      conn:write "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno!"
      over:wait()
    end)
    local server = in_front_of(target.url)
    local answer = assert(http.post(server.url, { body = function() return ("x"):rep(65536) end }))
    assert.same({ 413, "no!" }, { answer.status, answer.body })
    assert.equal(0, server.pool.open)
    over:set()
  end)

  it("gives a target its time from the end of a body, however long that takes", function()
    local target = peers.scripted(function(conn)
      while true do
        local head, body = peers.request(conn)
        if not head then return end
        conn:write(peers.ok(body))
      end
    end)
    local server = in_front_of(target.url, { io_timeout = 1 })
    local conn = assert(net.dial(server.address))
    conn:set_timeout(20)
    conn:write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
    moonpark.sleep(1.1)
    conn:write("1\r\nb\r\n0\r\n\r\n")
    assert.matches("^HTTP/1%.1 200 ", assert(conn:read_until("\r\n\r\n")))
    assert.equal("ab", conn:read_exactly(2))
    conn:close()
    assert.equal(1, server.pool.idle)
    local silent = peers.scripted(function(peer) peer:read_all() end)
    server = in_front_of(silent.url, { io_timeout = 0.02 })
    assert.equal(504, assert(http.post(server.url, { body = ("x"):rep(20000) })).status)
    local over = core.event()
    local deaf = peers.scripted(function() over:wait() end)
    server = in_front_of(deaf.url, { io_timeout = 0.02 })
    assert.equal(504, assert(http.post(server.url, { body = function() return ("x"):rep(65536) end })).status)
    over:set()
  end)

  it("lets no target answer a request that it has not been sent", function()
    local texts = { "HTTP/1.1 204 No Content\r\nContent-Length: 60\r\n\r\n", peers.ok "first" .. peers.ok "poison",
      "HTTP/1.1 304 Not Modified\r\n\r\n" .. peers.ok "poison" }
    for _, text in ipairs(texts) do
      local poisonous = peers.scripted(function(conn, number)
        peers.request(conn)
        conn:write(number == 1 and text or peers.ok "own")
        peers.request(conn)
      end)
      local front = in_front_of(poisonous.url)
      assert(http.get(front.url))
      assert.equal("own", assert(http.get(front.url)).body)
      assert.equal(2, poisonous.count)
    end
  end)

  it("reads the answer to what it has asked, whatever a script has made of req.method", function()
    local come, more, asked = core.event(), core.event(), {}
    local target = peers.scripted(function(conn, number)
      while true do
        local head = peers.request(conn)
        if not head then return end
        asked[#asked + 1] = head:match "^(%S+)"
        conn:write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
        come:set()
        if number == 1 then more:wait() end
        if asked[#asked] ~= "HEAD" then conn:write("answer") end
      end
    end)
    local proxy = peers.proxy_to(target.url)
    local server = peers.serve(function(req, res)
      req.method = req:header "x-http-method-override" or req.method
      return proxy(req, res)
    end)
    local answers = {}
    local first = moonpark.go(function()
      answers[1] = assert(http.get(server.url, { headers = { ["X-HTTP-Method-Override"] = "HEAD" } })).body
    end)
    come:wait()
    answers[2] = assert(http.get(server.url)).body
    more:set()
    first:join()
    assert.same({ "answer", "answer" }, answers)
    assert.same({ "GET", "GET" }, asked)
  end)

  it("answers HEAD, 204 and 304 without a body", function()
    local target = peers.saying("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n",
      "HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n")
    local server = in_front_of(target.url)
    assert.equal("5", assert(http.head(server.url)).headers["content-length"])
    assert.equal(204, assert(http.get(server.url)).status)
    assert.equal("x", assert(http.get(server.url)).headers["etag"])
    assert.equal(1, target.count)
  end)

  it("takes the body from a 205 of the target's, however it was framed", function()
    for _, message in ipairs { "Content-Length: 4\r\n\r\nbody",
      "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
      "Content-Length: 30000\r\n\r\n" .. ("body"):rep(7500), "Connection: close\r\n\r\nbody" } do
      local target = peers.saying("HTTP/1.1 205 Reset Content\r\n" .. message)
      local got = raw(in_front_of(target.url), "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
      assert.matches("^HTTP/1.1 205 Reset Content\r\n.*\r\nContent%-Length: 0\r\n.*\r\n\r\n$", got)
      assert.is_nil(got:find "body")
    end
  end)

  it("answers an HTTP/1.0 client with the connection's end where it has no length", function()
    local target = peers.saying "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    local got = raw(in_front_of(target.url), "GET / HTTP/1.0\r\n\r\n")
    assert.matches("\r\nConnection: close\r\n\r\nabc$", got)
    assert.is_nil(got:find "chunked")
  end)

  it("streams: the first piece arrives while the second is not yet there", function()
    local more = core.event()
    local target = peers.scripted(function(conn)
      peers.request(conn)
      conn:write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
      more:wait()
      conn:write("3\r\ndef\r\n0\r\n\r\n")
      conn:read()
    end)
    local answer = assert(http.get(in_front_of(target.url).url, { stream = true }))
    local got = ""
    while #got < 3 do got = got .. assert(answer:read()) end
    more:set()
    for piece in answer:chunks() do got = got .. piece end
    assert.equal("abcdef", got)
  end)

  it("answers while a request is still on its way up", function()
    local target = peers.serve(function(req, res)
      for piece in req:chunks() do res:write(piece:upper()) end
    end)
    local server = in_front_of(target.url)
    local conn = assert(net.dial(server.address))
    conn:set_timeout(20)
    conn:write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    assert.matches("^HTTP/1.1 200 OK\r\n", assert(conn:read_until("\r\n\r\n")) .. "\r\n")
    assert.equal("ABC", chunks(conn, 3))
    conn:write("0\r\n\r\n")
    assert.equal("", chunks(conn, 1))
    conn:close()
  end)

  it("answers 502 where the target does not, or not in HTTP, and 504 where it takes too long", function()
    local reasons = {}
    local function status(target, options)
      options = options or {}
      options.on_error = function(text) reasons[#reasons + 1] = text end
      return tonumber(raw(in_front_of(target, options), GET):match "^HTTP/1%.1 (%d+) ")
    end
    assert.equal(502, status(support.NOBODY))
    assert.equal(502, status(peers.saying("garbage\r\n\r\n").url))
    assert.equal(502, status(peers.saying("").url))
    local silent = peers.scripted(function(conn) conn:read_all() end)
    assert.equal(504, status(silent.url, { io_timeout = 0.02 }))
    assert.same({ "GET /: connection refused", "GET /: malformed message", "GET /: eof", "GET /: timeout" }, reasons)
  end)

  describe("without on_error, of what a target has not answered,", function()
    it("logs one line in ten seconds, and counts the others", function()
      local proxy = peers.proxy_to(support.NOBODY)
      local server = peers.serve(proxy)
      for _ = 1, 3 do assert.matches("^HTTP/1.1 502 ", raw(server, GET)) end
      assert.same({ ("GET /: %s: connection refused"):format(support.NOBODY) }, server.log)
      proxy.noted = proxy.noted - 9
      raw(server, GET)
      assert.equal(1, #server.log)
      proxy.noted = proxy.noted - 1
      raw(server, GET)
      assert.equal(("GET /: %s: connection refused (3 more were left out before)"):format(support.NOBODY),
        server.log[2])
      proxy.noted = proxy.noted - 10
      raw(server, GET)
      assert.equal(server.log[1], server.log[3])
    end)

    it("names the last target of several, and says why there was none", function()
      local server = peers.serve(peers.proxy_to { { url = support.NOBODY, name = "a" },
        { url = support.NOBODY, name = "b" } })
      raw(server, GET)
      assert.same({ "GET /: b: connection refused" }, server.log)
      local proxy = peers.proxy_to(support.NOBODY)
      proxy:remove(support.NOBODY)
      server = peers.serve(proxy)
      assert.matches("^HTTP/1.1 503 ", raw(server, GET))
      assert.same({ "GET /: no target can be asked" }, server.log)
    end)

    it("logs a timeout as well, and nothing if on_error does nothing", function()
      local silent = peers.scripted(function(conn) conn:read_all() end)
      local server = in_front_of(silent.url, { io_timeout = 0.02 })
      assert.matches("^HTTP/1.1 504 ", raw(server, GET))
      assert.same({ ("GET /: %s: timeout"):format(silent.url) }, server.log)
      server = in_front_of(support.NOBODY, { on_error = function() end })
      assert.matches("^HTTP/1.1 502 ", raw(server, GET))
      assert.same({}, server.log)
    end)
  end)

  it("cuts the client's answer off where the target's was", function()
    local target = peers.saying "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    local server = in_front_of(target.url)
    local got = raw(server, GET)
    assert.equal("abc", (got:match("\r\n\r\n(.*)$"):gsub("%x+\r\n(%l+)\r\n", "%1"))) -- and no last chunk
    assert.matches("was cut off: unexpected eof", server.log[1])
  end)

  it("cancels the target's work when the client goes away", function()
    local come, left = core.event(), core.event()
    local target = peers.scripted(function(conn)
      peers.request(conn)
      come:set()
      assert.same({ nil, "eof" }, { conn:read() })
      left:set()
    end)
    local server = in_front_of(target.url)
    local conn = assert(net.dial(server.address))
    conn:write("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    come:wait()
    conn:close()
    assert.is_true(left:wait(20))
    assert.same({}, server.log)
  end)

  it("cuts a request off where the client's was", function()
    local got
    local come = core.event()
    local target = peers.scripted(function(conn)
      local head = conn:read_until("\r\n\r\n")
      come:set()
      got = { head ~= nil, (conn:read_all()) }
    end)
    local server = in_front_of(target.url)
    local conn = assert(net.dial(server.address))
    conn:write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    come:wait()
    conn:close()
    peers.stop_all()
    assert.same({ true, "abc" }, { got[1], (got[2]:gsub("%x+\r\n(%l+)\r\n", "%1")) }) -- and no last chunk
  end)

  it("replaces a kept connection that has died, for requests that may be repeated", function()
    local target = peers.scripted(function(conn, number)
      peers.request(conn)
      conn:write(peers.ok(tostring(number)))
      peers.request(conn)
    end)
    local server = in_front_of(target.url)
    assert.equal("1", assert(http.get(server.url)).body)
    assert.equal("2", assert(http.get(server.url)).body)
    assert.equal(502, assert(http.post(server.url, { body = "x" })).status)
  end)

  it("asks no target again that has begun to answer", function()
    local target = peers.scripted(function(conn)
      peers.request(conn)
      conn:write(peers.ok "first")
      peers.request(conn)
      conn:write("HTTP/1.1 20")
      conn:setoption("linger", 0)
    end)
    local server = in_front_of(target.url)
    assert.equal("first", assert(http.get(server.url)).body)
    assert.equal(502, assert(http.get(server.url)).status)
    assert.equal(1, target.count)
  end)

  it("passes a WebSocket through, and keeps it out where it is told to", function()
    local target = peers.scripted(function(conn)
      local head = peers.request(conn)
      if not head:find "\nUpgrade: websocket\nConnection: Upgrade\n" then return conn:write(peers.ok "no") end
      conn:write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhi ")
      support.echo(conn)
    end)
    local answer = assert(http.get(in_front_of(target.url).url, { upgrade = "websocket" }))
    assert.equal(101, answer.status)
    answer.connection:write("there")
    assert.equal("hi there", answer.connection:read_exactly(8))
    answer.connection:close()
    local plain = in_front_of(target.url, { upgrade = false })
    assert.equal("no", assert(http.get(plain.url, { upgrade = "websocket", keep_alive = false })).body)
  end)

  it("reaches a target at a unix path", function()
    support.with_folder(function(folder)
      local listener = assert(net.listen("unix:" .. folder .. "/s"))
      peers.serve(function(_, res) res:send "unix" end, { listener = listener })
      assert.equal("unix", assert(http.get(in_front_of("unix:" .. folder .. "/s").url)).body)
      peers.stop_all()
    end)
  end)

  it("raises for a target or an option that it cannot mean", function()
    local function refused(pattern, ...)
      local args = { ... }
      local ok, err = pcall(function() http.proxy(unpack(args)) end)
      assert.is_false(ok)
      assert.matches("proxy_spec%.lua:%d+: http%.proxy: " .. pattern, err)
    end
    refused("option 'tls' must be true or a context made by tls.client", "https://a", { tls = {} })
    refused("invalid URL", "http://a b")
    refused("a target must not have a query", "http://a/?b")
    refused("a target must not have credentials", "http://b:c@a/")
    refused("a URL, a list of targets or a function expected, got nil", nil)
    refused("a list of targets expected, got a table without any", {})
    refused("unknown option 'x'", "http://a", { x = 1 })
    refused("option 'forwarded' must be", "http://a", { forwarded = "y" })
    refused("option 'io_timeout' must be a number of at least 0, not %-1", "http://a", { io_timeout = -1 })
    refused("option 'max_connections' must be a positive whole number, not 1.5", "http://a",
      { max_connections = 1.5 })
    refused("option 'max_idle' must be a whole number of at least 0, not NaN", "http://a", { max_idle = 0 / 0 })
    for _, upgrade in ipairs { {}, { 1 }, "a b", { "a,b" }, 1 } do
      refused("option 'upgrade' must be true, false, a protocol's name or a list of them", "http://a",
        { upgrade = upgrade })
    end
    for _, via in ipairs { true, "", "a b", "a\r\nb" } do
      refused("option 'via' must be a name or false", "http://a", { via = via })
    end
    refused("unknown option 'io_timout'; did you mean 'io_timeout'%?", "http://a", { io_timout = 1 })
    for _, host in ipairs { "a\r\nb", "a/b", "", 1 } do
      refused("option 'host' must be the name of a host, or 'preserve'$", "http://a", { host = host })
    end
  end)
end)

-- SPDX-License-Identifier: MIT
-- connect_spec.lua - CONNECT, to a server that is no proxy and to one that is.

local moonpark = require "moonpark"
local http = require "support.http"
local http_module = require "moonpark.http"
local wire = require "support.http_wire"

local GET, plain = wire.GET, wire.plain
local serving, status_of, is_closed = wire.serving, wire.status_of, wire.is_closed

local CONNECT = "CONNECT far.example:443 HTTP/1.1\r\nHost: far.example:443\r\n\r\n"

after_each(http.stop_all)

describe("CONNECT to a server that is no proxy", function()
  local function refused(handler)
    return function()
      serving(handler, nil, function(conn, server)
        assert.equal(200, status_of(conn, GET))
        conn:write(CONNECT .. "tunnel")
        local answer = http.read_answer(conn)
        assert.same({ 405, "close" }, { answer.status, answer.headers.connection })
        assert.matches("GET", answer.headers.allow)
        assert.is_nil(answer.headers.allow:find "CONNECT")
        is_closed(conn)
        assert.same({ 1, 1 }, { server.server:stats().requests, server.server:stats().refused })
      end)
    end
  end

  it("is answered with 405 and Allow, and the handler is not asked", refused(function(req, res)
    assert(req.method == "GET")
    res:send "ok"
  end))

  it("nor is a router, whatever its routes", refused(http_module.router():any("/", function(req, res)
    assert(req.method == "GET")
    res:send "ok"
  end):route("CONNECT", "/", function() error "asked" end)))

  it("is refused behind other requests, and in HTTP/1.0, too", function()
    serving(plain, nil, function(conn)
      conn:write(GET .. GET .. CONNECT)
      assert.same({ 200, 200, 405 }, { http.read_answer(conn).status, http.read_answer(conn).status,
        http.read_answer(conn).status })
      is_closed(conn)
    end)
    serving(plain, nil, function(conn)
      assert.equal(405, status_of(conn, "CONNECT a:1 HTTP/1.0\r\n\r\n"))
      is_closed(conn)
    end)
  end)

  it("is 400 where its target is none", function()
    serving(plain, nil, function(conn)
      assert.equal(400, status_of(conn, "CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n"))
    end)
  end)
end)

describe("CONNECT to a server with connect = true", function()
  -- All that is answered: the head, and what follows it.
  local function asked(handler, bytes)
    local head, rest
    serving(handler, { connect = true }, function(conn)
      conn:write(bytes or CONNECT)
      head = conn:read_until "\r\n\r\n" .. "\r\n"
      rest = conn:read_all()
    end)
    return head, rest
  end

  it("is for the handler, and for a router's route of that method at '/'", function()
    local function tell(req, res)
      res.status = 403
      res:send(req.method .. " " .. req.target .. " " .. req.raw_path .. " " .. req.host)
    end
    for _, handler in ipairs { tell, http_module.router():route("CONNECT", "/", tell) } do
      serving(handler, { connect = true }, function(conn)
        for _ = 1, 2 do -- what is no tunnel is a response like others
          conn:write(CONNECT)
          local answer = http.read_answer(conn)
          assert.same({ 403, "CONNECT far.example:443 / far.example:443" }, { answer.status, answer.body })
        end
      end)
    end
  end)

  it("has neither length nor coding nor body in a 2xx, and the connection ends", function()
    local ways = {
      function(res) res:send "body" end, function(res) res:send() end, function(res) res:json { 1 } end,
      function(res) res:write("bo", "dy") end, function(res) return res:begin(4) and res:write "body" end,
      function(res) res:begin() end, function() end, function(res) res:set("Content-Length", 4):write "body" end,
      function(res) res:file "spec/http/connect_spec.lua" end,
    }
    for i, way in ipairs(ways) do
      for _, status in ipairs { 200, 204, 205, 299 } do
        local head, rest = asked(function(_, res)
          res.status = status
          way(res)
          assert(select(2, res:sent()) == 0)
        end, CONNECT .. GET)
        assert.same({ i, status, "" }, { i, tonumber(head:match "^HTTP/1.1 (%d+) "), rest })
        for _, field in ipairs { "content-length", "transfer-encoding", "connection" } do
          assert.is_nil(head:lower():find("\r\n" .. field .. ":", 1, true), i .. head)
        end
      end
    end
  end)

  it("has the tunnel behind a 2xx: what the client has sent already is the first of it", function()
    for _, begin in ipairs { function(res) return res:begin() end, function(res) return res:send() end } do
      local head, rest = asked(function(req, res)
        res:set("X-Own", "1")
        assert(begin(res))
        local conn = assert(req:hijack())
        conn:write(conn:read_exactly(6):upper())
        conn:close()
      end, CONNECT .. "tunnel")
      assert.matches("^HTTP/1.1 200 OK\r\n.*X%-Own: 1\r\n", head)
      assert.equal("TUNNEL", rest)
    end
  end)

  it("may be hijacked first, as any request", function()
    local head, rest = asked(function(req)
      local conn = assert(req:hijack())
      conn:write("HTTP/1.1 200 OK\r\n\r\n", conn:read_exactly(6))
      conn:close()
    end, CONNECT .. "tunnel")
    assert.same({ "HTTP/1.1 200 OK\r\n", "tunnel" }, { head, rest })
  end)

  it("is hijacked behind the answers to earlier requests", function()
    serving(function(req, res)
      if req.method == "GET" then return res:send "first" end
      res:begin()
      local conn = req:hijack()
      conn:write "tunnel"
      conn:close()
    end, { connect = true }, function(conn)
      conn:write(GET .. CONNECT)
      assert.equal("first", http.read_answer(conn).body)
      assert.matches("^HTTP/1.1 200 OK\r\n", conn:read_until "\r\n\r\n")
      assert.equal("tunnel", conn:read_all())
    end)
  end)

  it("cannot be hijacked once another answer has begun, or after it was broken off", function()
    local messages = {}
    for i, status in ipairs { 301, 404 } do
      asked(function(req, res)
        res.status = status
        res:send "no"
        messages[i] = select(2, pcall(req.hijack, req))
      end, (CONNECT:gsub("\r\n\r\n$", "\r\nConnection: close%0")))
      assert.matches("response has already begun", messages[i])
    end
    serving(function(req, res)
      res:begin()
      res.x:abort(res.serial)
      messages[3] = { req:hijack() }
    end, { connect = true }, function(conn)
      conn:write(CONNECT)
      conn:read_all()
    end)
    assert.same({ nil, "closed" }, messages[3])
  end)

  it("is 400 where it announces a body: to some that is the first of the tunnel", function()
    for _, field in ipairs { "Content-Length: 3", "Transfer-Encoding: chunked" } do
      serving(plain, { connect = true }, function(conn)
        assert.equal(400, status_of(conn, CONNECT:gsub("\r\n\r\n$", "\r\n" .. field .. "%0") .. "0\r\n\r\n"))
        is_closed(conn)
      end)
    end
  end)

  it("is refused by http.proxy, which knows one target only, with 501", function()
    local proxy = http_module.proxy "127.0.0.1:1"
    serving(proxy, { connect = true }, function(conn) assert.equal(501, status_of(conn, CONNECT)) end)
    proxy:close()
  end)

  it("is a tunnel that curl goes through", function()
    local origin = http.start(plain)
    local server = http.start(function(req, res)
      local target = assert(moonpark.net.dial(req.target))
      res:begin()
      local client = assert(req:hijack())
      moonpark.net.relay(client, target)
      client:close()
      target:close()
    end, { connect = true })
    local r = http.run({ "curl", "-q", "-sS", "--noproxy", "", "-p", "-x", "http://" .. server.address,
      "http://" .. origin.address })
    assert.same({ "ok", "", 1 }, { r.out, r.err, server.server:stats().requests })
  end)
end)

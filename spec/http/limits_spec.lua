-- SPDX-License-Identifier: MIT
-- http_server: what is more than it takes, of bytes, time and connections.

local core = require "moonpark.core"
local moonpark = require "moonpark"
local http_module = require "moonpark.http"
local http = require "support.http"
local wire = require "support.http_wire"
local task_state = require "support.task_state"

local GET, get, post, plain = wire.GET, wire.get, wire.post, wire.plain
local serving, status_of, is_closed = wire.serving, wire.status_of, wire.is_closed

after_each(http.stop_all)

describe("limits of an HTTP server:", function()
  local function refuses(bytes, status, options, handler)
    return function()
      serving(handler or plain, options, function(conn)
        conn:write(bytes)
        local answer = http.read_answer(conn)
        assert.equal(status, answer.status)
        assert.equal("close", answer.headers.connection)
        is_closed(conn)
      end)
    end
  end

  it("a longer head is answered with 431", refuses("GET / HTTP/1.1\r\nX: " .. ("y"):rep(300), 431, { max_head = 256 }))

  it("a longer body that was announced is answered with 413", refuses(post(11), 413, { max_body = 10 }))

  local function chunked(n)
    return "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" .. ("1\r\nx\r\n"):rep(n) .. "0\r\n\r\n"
  end

  it("one that comes in chunks with 413, when the handler reads it", refuses(chunked(11), 413, { max_body = 10 },
    function(req) req:body() end))

  it("also when the handler reads it piece by piece", refuses(chunked(11), 413, { max_body = 10 },
    function(req) for _ in req:chunks() do end end))

  it("also when it raises the reason", function()
    serving(function(req) assert(req:body()) end, { max_body = 10 }, function(conn, server)
      assert.equal(413, status_of(conn, chunked(11)))
      server:take_log()
    end)
  end)

  it("a body may be of any length where max_body is math.huge", function()
    serving(function(req, res) res:send(req:body()) end, { max_body = math.huge }, function(conn)
      assert.equal(200, status_of(conn, post(3, "abc")))
      assert.equal(200, status_of(conn, chunked(3)))
    end)
  end)

  it("one that is no number, or negative, raises, and nothing listens", function()
    for name, bad in pairs { max_body = -1, max_head = "x", io_timeout = 0 / 0, idle_timeout = false } do
      local ok, err = pcall(function()
        local server = http_module.server(plain, { address = "127.0.0.1:0", [name] = bad })
        return server
      end)
      assert.is_false(ok)
      assert.matches(("^spec/http/limits_spec.lua:%%d+: http.server: option '%s' must be a [%%a ]*number of at least 0")
        :format(name), err)
    end
  end)

  it("nor does anything where the handler is none", function()
    for _, bad in ipairs { false, "x", {} } do
      assert.has_error(function() http_module.server(bad, { address = "127.0.0.1:0" }) end,
        "http.server: handler expected, got " .. type(bad)
          .. ', as in http.server(handler, { address = "127.0.0.1:8080" })')
    end
  end)

  local trailers = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: "
  it("trailers of more than 8192 bytes are answered with 413, and not read any further",
    refuses(trailers .. ("y"):rep(8192) .. "\r\n\r\n", 413, nil, function(req) req:body() end))

  it("trailers of as many bytes are taken", function()
    serving(function(req, res) res:send(req:body() .. #(req:trailers().x or "none")) end, nil, function(conn)
      conn:write(trailers .. ("y"):rep(8192 - 7) .. "\r\n\r\n")
      assert.equal("8185", http.read_answer(conn).body)
      assert.equal(200, status_of(conn, post(3, "abc")))
    end)
  end)

  it("trailers may be any number of fields within that, and a repeated one has all its values", function()
    local function tell(req, res)
      local body, fields = req:body(), req:trailers()
      local n = 0
      for _ in fields.x:gmatch "y" do n = n + 1 end
      res:send(body .. n)
    end
    serving(tell, nil, function(conn)
      for _, n in ipairs { 100, 101, 1364 } do -- 8192 bytes hold 1364 lines of six and an empty one
        conn:write(trailers .. "y\r\n" .. ("X: y\r\n"):rep(n - 1) .. "\r\n")
        assert.equal(tostring(n), http.read_answer(conn).body)
      end
    end)
  end)

  it("a body longer than what the handler takes is answered with 413, and the connection goes on", function()
    serving(function(req, res)
      local body = req:body(3)
      if body then res:send(body) end
    end, nil, function(conn)
      assert.equal(413, status_of(conn, post(4, "abcd")))
      assert.equal(200, status_of(conn, post(3, "abc")))
    end)
  end)

  it("a head that takes longer is answered with 408", refuses("GET / HT", 408, { head_timeout = 0.02 }))

  it("a body that takes longer is answered with 408", refuses(post(3, "a"), 408, { io_timeout = 0.02 },
    function(req) req:body() end))

  -- Waits until the server has taken the connection, and until it has none any more.
  local function outlives(server)
    while server.server:stats().connections == 0 do moonpark.sleep(0.001) end
    while server.server:stats().connections > 0 do moonpark.sleep(0.001) end
  end

  it("a client that does not read is cut off when a write takes longer, and the handler is told", function()
    local err
    serving(function(_, res)
      local ok
      repeat ok, err = res:write(("x"):rep(1000000)) until not ok
    end, { io_timeout = 0.02 }, function(conn, server)
      conn:write(GET)
      outlives(server)
      assert.equal("timeout", err)
      local all = conn:read_all() -- nil: a reset
      assert.is_nil(all and all:find("\r\n0\r\n\r\n$"))
    end)
  end)

  it("so is one whose answer was whole when its handler returned", function()
    serving(function(_, res) res:send(("x"):rep(20000000)) end, { io_timeout = 0.02 }, function(conn, server)
      conn:write(GET)
      outlives(server)
      assert.is_true(#(conn:read_all() or "") < 20000000)
    end)
  end)

  it("a connection without a request is closed after the idle time", function()
    serving(plain, { idle_timeout = 0.02 }, function(conn) is_closed(conn) end)
  end)

  it("so is one after a request", function()
    serving(plain, { idle_timeout = 0.02 }, function(conn)
      assert.equal(200, status_of(conn, GET))
      is_closed(conn)
    end)
  end)

  -- The bytes come, and only then the time is up; nobody has looked at either yet.
  local function meanwhile(conn, bytes, seconds)
    core.clock_freeze()
    conn:write(bytes)
    core.clock_advance(seconds)
    core.clock_thaw()
  end

  local function in_time(conn, rest, seconds)
    meanwhile(conn, rest, seconds)
    assert.equal(200, http.read_answer(conn).status)
    meanwhile(conn, "", seconds)
    is_closed(conn)
  end

  it("a request that came before the idle time was up is answered, however late it is looked at", function()
    serving(plain, { idle_timeout = 60 }, function(conn)
      assert.equal(200, status_of(conn, GET))
      in_time(conn, GET, 61)
    end)
  end)

  it("so is one whose head was whole before its time was up", function()
    serving(plain, { idle_timeout = 60, head_timeout = 60 }, function(conn, server)
      conn:write(GET:sub(1, 10))
      local other = server:dial()
      assert.equal(200, status_of(other, GET)) -- what had come before was read
      other:close()
      in_time(conn, GET:sub(11), 61)
    end)
  end)

  it("what has no whole head then is answered with 408", function()
    serving(plain, { head_timeout = 60 }, function(conn, server)
      conn:write(GET:sub(1, 10))
      local other = server:dial()
      assert.equal(200, status_of(other, GET))
      other:close()
      meanwhile(conn, GET:sub(11, 12), 61)
      assert.equal(408, http.read_answer(conn).status)
    end)
  end)

  it("after so many requests the connection is closed, and the last answer says so", function()
    serving(plain, { max_requests = 2 }, function(conn)
      assert(conn:write(GET .. GET .. GET))
      assert.is_nil(http.read_answer(conn).headers.connection)
      assert.equal("close", http.read_answer(conn).headers.connection)
      is_closed(conn)
    end)
  end)

  it("a further connection takes the place of the one that has been idle longest", function()
    serving(plain, { max_connections = 2 }, function(first, server)
      assert.equal(200, status_of(first, GET))
      local second = server:dial()
      assert.equal(200, status_of(second, GET))
      assert.equal(200, status_of(first, GET))
      local third = server:dial()
      assert.equal(200, status_of(third, GET))
      is_closed(second)
      assert.equal(200, status_of(first, GET))
      assert.equal(2, server.server:stats().connections)
      second:close()
      third:close()
    end)
  end)

  it("a further connection waits while all others have requests, and is served when one has not", function()
    local go_on, started = moonpark.event(), 0
    serving(function(req, res)
      started = started + 1
      if req.raw_path == "/wait" then go_on:wait() end
      res:send "x"
    end, { max_connections = 2 }, function(first, server)
      local second = server:dial()
      first:write(get "/wait")
      second:write(get "/wait")
      while started < 2 do moonpark.sleep(0.001) end
      local third = server:dial()
      third:write(GET)
      third:set_read_deadline(moonpark.now() + 0.02)
      assert.same({ nil, "timeout" }, { third:read() })
      third:set_read_deadline(nil)
      assert.equal(2, server.server:stats().connections)
      go_on:set()
      assert.equal(200, http.read_answer(third).status)
      for _, conn in ipairs { first, second } do assert.equal(200, http.read_answer(conn).status) end
      second:close()
      third:close()
    end)
  end)

  it("a further connection waits until one of those that have requests has ended", function()
    local started = 0
    serving(function()
      started = started + 1
      moonpark.sleep(3600)
    end, { max_connections = 1 }, function(first, server)
      first:write(GET)
      while started < 1 do moonpark.sleep(0.001) end
      local second = server:dial()
      second:write(GET)
      first:close()
      while started < 2 do moonpark.sleep(0.001) end
      second:close()
    end)
  end)

  describe("a request's time", function()
    it("is up: a handler that waits is answered for with 503", function()
      local err
      serving(function() err = select(2, moonpark.sleep(3600)) end, { request_timeout = 0.02 }, function(conn)
        assert.equal(503, status_of(conn, GET))
        assert.equal("canceled", err)
      end)
    end)

    it("is up: so is one that raises that", function()
      serving(function() assert(moonpark.sleep(3600)) end, { request_timeout = 0.02 }, function(conn)
        assert.equal(503, status_of(conn, GET))
        assert.equal(503, status_of(conn, GET))
      end)
    end)

    it("is up: what it answers nevertheless is sent", function()
      serving(function(_, res)
        moonpark.sleep(3600)
        res:fail(504)
      end, { request_timeout = 0.02 }, function(conn)
        assert.equal(504, status_of(conn, GET))
        assert.equal(504, status_of(conn, GET))
      end)
    end)

    it("is up: a response that has begun is cut off", function()
      serving(function(_, res)
        res:write("a")
        moonpark.sleep(3600)
      end, { request_timeout = 0.02 }, function(conn)
        conn:write(GET)
        local all = conn:read_all()
        assert.is_truthy(all:find("1\r\na\r\n", 1, true))
        assert.is_nil(all:find("0\r\n\r\n", 1, true))
      end)
    end)

    it("is up: a handler that pays no heed to that holds nobody up but the shutdown", function()
      local rounds, ended, stop = 0, 0, false
      local server = http.start(function(req, res)
        if req.raw_path == "/" then return res:send("ok") end
        while not stop do
          moonpark.yield()
          rounds = rounds + 1
        end
        ended = ended + 1
      end, { request_timeout = 0.001 })
      local conns, other = {}, server:dial()
      for i = 1, 20 do
        conns[i] = server:dial()
        conns[i]:write(get "/endless")
      end
      while server.server:stats().requests < 20 do moonpark.sleep(0.001) end
      for _ = 1, 20 do assert.equal(200, status_of(other, GET)) end
      assert.is_true(rounds > 20)
      assert.equal(0, ended)
      local stopping = moonpark.go(function() return server.server:shutdown(0) end)
      is_closed(other)
      other:close()
      assert.equal(0, ended)
      task_state.assert_waits(stopping) -- nothing can end it but itself
      stop = true
      assert.same({ true, true }, { stopping:join() })
      assert.equal(20, ended)
      for i = 1, 20 do
        local all = conns[i]:read_all() or "" -- nil: a reset
        assert.is_true(all == "" or all:find("^HTTP/1.1 503 ") ~= nil, all)
        conns[i]:close()
      end
    end)

    it("is another for the next one", function()
      serving(function(req, res)
        if req.raw_path == "/wait" then moonpark.sleep(0.05) end
        res:send("ok")
      end, { request_timeout = 3600 }, function(conn)
        for _ = 1, 3 do assert.equal(200, status_of(conn, get "/wait")) end
      end)
    end)
  end)
end)

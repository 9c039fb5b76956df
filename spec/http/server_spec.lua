-- SPDX-License-Identifier: MIT
-- http_server: what becomes of requests and connections, over TCP and by the bytes.

local core = require "moonpark.core"
local moonpark = require "moonpark"
local http_module = require "moonpark.http"
local http = require "support.http"
local wire = require "support.http_wire"
local support = require "support.net"

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
      local kind = type(bad) == "number" and "number of at least 0" or "number, not a " .. type(bad)
      assert.equal(("http.server: option '%s' must be a %s"):format(name, kind),
        err:match("^spec/http/server_spec.lua:%d+: (.*)"))
    end
  end)

  it("nor does anything where the handler is none", function()
    for _, bad in ipairs { false, "x", {} } do
      assert.has_error(function() http_module.server(bad, { address = "127.0.0.1:0" }) end,
        "http.server: a handler expected, got " .. type(bad))
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

  -- The request comes, and only then the time is up; nobody has looked at either yet.
  local function in_time(conn, rest, seconds)
    core.clock_freeze()
    conn:write(rest)
    core.clock_advance(seconds)
    core.clock_thaw()
    assert.equal(200, http.read_answer(conn).status)
    is_closed(conn)
  end

  it("a request that came before the idle time was up is answered, however late it is looked at", function()
    serving(plain, { idle_timeout = 1 }, function(conn)
      assert.equal(200, status_of(conn, GET))
      in_time(conn, GET, 2)
    end)
  end)

  it("so is one whose head was whole before its time was up", function()
    serving(plain, { idle_timeout = 0.02, head_timeout = 1 }, function(conn, server)
      conn:write(GET:sub(1, 10))
      local other = server:dial()
      assert.equal(200, status_of(other, GET)) -- what had come before was read
      other:close()
      in_time(conn, GET:sub(11), 2)
    end)
  end)

  it("what has no whole head then is answered with 408", function()
    serving(plain, { head_timeout = 1 }, function(conn, server)
      conn:write(GET:sub(1, 10))
      local other = server:dial()
      assert.equal(200, status_of(other, GET))
      other:close()
      core.clock_freeze()
      conn:write(GET:sub(11, 12))
      core.clock_advance(2)
      core.clock_thaw()
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
      assert.same({ 0, "parked" }, { ended, stopping:status() }) -- nothing can end it but itself
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

describe("an error in a handler", function()
  local function logs(handler, pattern)
    serving(handler, nil, function(conn, server)
      assert.equal(500, status_of(conn, GET))
      assert.is_truthy(server:take_log():find(pattern), pattern)
      assert.equal(500, status_of(conn, GET))
      server:take_log()
    end)
  end

  it("is answered with 500 and logged with its traceback, and the server lives", function()
    logs(function() error("a mistake") end,
      "GET /: spec/http/server_spec.lua:%d+: a mistake\nstack traceback:.*server_spec")
  end)

  it("may be a table", function() logs(function() error({}) end, "table: ") end)

  it("may be an object whose __tostring fails", function()
    logs(function() error(setmetatable({}, { __tostring = function() error "no" end })) end, "__tostring failed")
  end)

  it("may be nil", function() logs(function() error() end, "nil") end)

  it("may be a header that would split the response", function()
    logs(function(_, res) res:set("X", "a\r\nb"):send("") end, "invalid value of header 'X'")
  end)

  it("may be a header that frames the message", function()
    logs(function(_, res) res:set("Transfer-Encoding", "x"):send("") end, "Transfer%-Encoding is written by the server")
  end)

  it("may be a piece of a stream that is no text, even where there are others", function()
    logs(function(_, res) res:write("a", nil, "c") end, "server_spec.lua:%d+: text to write expected, got nil")
    logs(function(_, res) res:write({}) end, "server_spec.lua:%d+: text to write expected, got table")
  end)

  it("keeps nothing of a head that was refused", function()
    serving(function(_, res)
      pcall(res.send, res:set("A", "b"):set("X", "\n"), "")
      res.fields = nil
      res:send("fine")
    end, nil, function(conn)
      conn:write(GET)
      local answer = http.read_answer(conn)
      assert.same({ "fine" }, { answer.body, answer.headers.a })
    end)
  end)

  for version, fields in pairs { ["1.1"] = "Host: a", ["1.0"] = "X: y" } do
    it("after an HTTP/" .. version .. " response began cuts the connection, so that the client notices", function()
      serving(function(_, res)
        res:write("a")
        error("late")
      end, nil, function(conn, server)
        conn:write(("GET / HTTP/%s\r\n%s\r\n\r\n"):format(version, fields))
        local all, err = conn:read_all()
        if version == "1.0" then assert.equal("connection reset by peer", err)
        else assert.is_nil(all:find("0\r\n\r\n", 1, true)) end
        assert.is_truthy(server:take_log():find("late"))
      end)
    end)
  end

  it("after the response is complete is logged, and the response is sent", function()
    serving(function(_, res)
      res:send("whole")
      error("late")
    end, nil, function(conn, server)
      conn:write(GET)
      assert.is_truthy(conn:read_until("whole"))
      assert.is_truthy(server:take_log():find("late"))
    end)
  end)

  it("that writes less than it announced is one", function()
    serving(function(_, res)
      res:begin(3)
      res:write("ab")
    end, nil, function(conn, server)
      conn:write(GET)
      assert.is_truthy(conn:read_all():find("ab$"))
      assert.is_truthy(server:take_log():find("shorter than the Content%-Length"))
    end)
  end)

  it("in on_error as well is told on the standard error, and the server lives", function()
    local said = {}
    local stderr = io.stderr
    io.stderr = { write = function(_, ...) said[#said + 1] = table.concat({ ... }) end } -- luacheck: ignore
    serving(function() error("first") end, { on_error = function() error("second") end }, function(conn)
      assert.equal(500, status_of(conn, GET))
      assert.equal(500, status_of(conn, GET))
    end)
    io.stderr = stderr -- luacheck: ignore
    assert.is_truthy(said[1]:find("first.*second"))
  end)

  it("is none where the handler answers nothing: 200 and no body", function()
    serving(function() end, nil, function(conn)
      conn:write(GET)
      local answer = http.read_answer(conn)
      assert.same({ 200, "" }, { answer.status, answer.body })
    end)
  end)
end)

describe("requests of several connections that come together", function()
  -- Each connection has been served once; then all ask again before the server has a chance to run.
  local function ask_at_once(server, count)
    local conns = {}
    for i = 1, count do
      conns[i] = server:dial()
      conns[i]:write(GET)
      http.read_answer(conns[i])
    end
    for _, conn in ipairs(conns) do conn:write(GET) end
    return conns
  end

  it("are served by one worker, as long as their handlers do not wait", function()
    local workers, count = {}, 0
    local server = http.start(function(_, res)
      local me = core.current()
      if not workers[me] then workers[me], count = true, count + 1 end
      res:send "x"
    end)
    local conns = ask_at_once(server, 20)
    for _, conn in ipairs(conns) do
      http.read_answer(conn)
      conn:close()
    end
    assert.equal(1, count)
    server:stop()
  end)

  it("do not wait for each other's handlers", function()
    local go_on, waiting = moonpark.event(), 0
    local served = 0
    local server = http.start(function(_, res)
      served = served + 1
      if served > 20 then
        waiting = waiting + 1
        if waiting < 20 then go_on:wait() else go_on:set() end
      end
      res:send "x"
    end)
    local conns = ask_at_once(server, 20)
    for _, conn in ipairs(conns) do
      assert.equal("x", http.read_answer(conn).body)
      conn:close()
    end
    assert.equal(20, waiting)
    server:stop()
  end)

  it("are not served by a worker that was cancelled", function()
    local server = http.start(function(_, res)
      res:send "x"
      core.current():cancel()
    end)
    local first = server:dial()
    first:write(GET)
    assert.equal("x", http.read_answer(first).body)
    first:close()
    server:stop()

    local count = 0
    server = http.start(function(_, res)
      count = count + 1
      if count == 21 then core.current():cancel() end
      res:send(count == 21 and "x" or tostring(moonpark.sleep(0)))
    end)
    local conns = ask_at_once(server, 20)
    local answers = {}
    for i, conn in ipairs(conns) do
      local answer = conn:read_line()
      if answer then
        repeat local line = assert(conn:read_line()) until line == ""
        answer = conn:read_exactly(i == 1 and 1 or 4)
      end
      answers[i] = tostring(answer)
      conn:close()
    end
    assert.equal(("true "):rep(19), table.concat(answers, " ", 2) .. " ")
    server:stop()
  end)

  it("are all answered when the server shuts down at that moment", function()
    local server = http.start(function(_, res) res:send "x" end)
    local idle = server:dial()
    idle:write(GET)
    http.read_answer(idle)
    local conns = ask_at_once(server, 20)
    local shutdown = moonpark.go(server.server.shutdown, server.server)
    for _, conn in ipairs(conns) do
      local answer = http.read_answer(conn)
      assert.equal("x", answer.body)
      assert.equal("close", answer.headers.connection)
      assert.same({ nil, "eof" }, { conn:read() })
      conn:close()
    end
    assert.same({ nil, "eof" }, { idle:read() })
    idle:close()
    assert.same({ true, true }, { shutdown:join() })
    server:stop()
  end)
end)

describe("what a handler has written", function()
  it("leaves while it waits for something else", function()
    local go_on = moonpark.event()
    serving(function(_, res)
      res:send("at once")
      go_on:wait()
    end, nil, function(conn)
      conn:write(GET)
      assert.equal("at once", http.read_answer(conn).body)
      go_on:set()
    end)
  end)

  it("leaves so when no more than its head is written", function()
    local go_on = moonpark.event()
    serving(function(_, res)
      res:begin()
      go_on:wait()
    end, nil, function(conn)
      conn:write(GET)
      assert.is_truthy(conn:read_until("\r\n\r\n"))
      go_on:set()
      assert.equal("0", conn:read_line())
    end)
  end)

  it("to a request before it leaves while the next one's handler waits", function()
    local go_on = moonpark.event()
    serving(function(req, res)
      if req.raw_path == "/2" then go_on:wait() end
      res:send(req.raw_path)
    end, nil, function(conn)
      conn:write(get "/1" .. get "/2" .. get "/3")
      assert.equal("/1", http.read_answer(conn).body)
      go_on:set()
      assert.equal("/2", http.read_answer(conn).body)
      assert.equal("/3", http.read_answer(conn).body)
    end)
  end)

  it("to pipelined requests leaves in one write", function()
    serving(plain, nil, function(conn)
      conn:write(GET:rep(16))
      local data = conn:read()
      local _, count = data:gsub("HTTP/1.1 200", "")
      assert.equal(16, count)
    end)
  end)

  it("is complete, however much it is", function()
    local much = support.random_bytes(300000)
    serving(function(_, res) res:send(much) end, nil, function(conn)
      conn:write(GET .. GET)
      for _ = 1, 2 do assert.is_true(http.read_answer(conn).body == much) end
    end)
  end)

  it("streams to a client that reads slowly, and waits for it", function()
    local piece, writes = ("x"):rep(65536), 0
    serving(function(_, res)
      for _ = 1, 200 do
        assert(res:write(piece))
        writes = writes + 1
      end
    end, nil, function(conn)
      conn:write(GET)
      support.wait_until(moonpark.now() + 0.03)
      assert.is_true(writes < 200)
      assert.equal(200 * 65536, #http.read_answer(conn).body)
    end)
  end)

  it("may not be written to by two tasks at once", function()
    local message
    serving(function(_, res)
      res:begin(1e8)
      local other = moonpark.go(function() while res:write(("x"):rep(1e6)) do end end)
      support.settle()
      local ok, err = pcall(res.write, res, "y")
      message = not ok and err
      other:cancel()
      other:join()
      res.x:abort(res.serial)
    end, nil, function(conn)
      conn:write(GET)
      support.wait_until(moonpark.now() + 0.02)
      conn:read_all()
      assert.is_truthy(message:find("another task writes this response"))
    end)
  end)
end)

describe("a response that another task writes", function()
  -- What fn(res) raises while that task waits in the middle of a write; all that the client gets.
  local function meanwhile(fn)
    local message, all
    serving(function(_, res)
      local other = moonpark.go(function() while res:write(("x"):rep(1e6)) do end end)
      support.settle()
      local ok, err = pcall(fn, res)
      message = not ok and err
      other:cancel()
      other:join()
      res.x:abort(res.serial)
    end, nil, function(conn)
      conn:write(GET)
      support.wait_until(moonpark.now() + 0.02)
      all = conn:read_all()
    end)
    return message, all
  end

  it("may not be finished, which would put the end into the middle", function()
    local message, all = meanwhile(function(res) res:finish() end)
    assert.matches("another task writes this response", tostring(message))
    assert.is_nil(all:find("0\r\n\r\n", 1, true))
  end)

  it("may not get a file or what leads to it", function()
    assert.matches("another task writes", tostring(meanwhile(function(res) res.x:lead(res.serial, "--x") end)))
    assert.matches("another task writes", tostring(meanwhile(function(res)
      res.x:sendfile(res.serial, require("moonpark.core").http_file("/proc/self/exe"), 0, 10)
    end)))
  end)

  it("is cut off where its handler returns", function()
    local other
    serving(function(_, res)
      other = moonpark.go(function() return pcall(res.write, res, ("x"):rep(1e7)) end)
      support.settle()
    end, nil, function(conn)
      conn:write(GET)
      support.wait_until(moonpark.now() + 0.02)
      local all = conn:read_all()
      assert.is_true(#all < 1e7 and not all:find("0\r\n\r\n", 1, true))
      other:join()
    end)
  end)
end)

describe("answers", function()
  local function answers(version, fields, handler, method)
    local answer
    serving(handler, nil, function(conn)
      conn:write(("%s / HTTP/%s\r\n%s\r\n\r\n"):format(method or "GET", version, fields))
      answer = http.read_answer(conn, method)
      if not answer.headers.connection or answer.headers.connection == "keep-alive" then
        assert.equal(200, status_of(conn, "GET /again HTTP/1.1\r\nHost: a\r\n\r\n"))
      else
        is_closed(conn)
      end
    end)
    return answer
  end

  it("in HTTP/1.0 close the connection", function()
    assert.equal("close", answers("1.0", "X: y", plain).headers.connection)
  end)

  it("in HTTP/1.0 keep it where that is asked for, and say so", function()
    assert.equal("keep-alive", answers("1.0", "Connection: keep-alive", plain).headers.connection)
  end)

  it("that stream in HTTP/1.0 end with the connection", function()
    local answer = answers("1.0", "Connection: keep-alive", function(_, res) res:write("a", "b") end)
    assert.same({ "ab", "close", nil }, { answer.body, answer.headers.connection, answer.headers["content-length"] })
  end)

  it("to HEAD have no body, but its length", function()
    local answer = answers("1.1", "Host: a", plain, "HEAD")
    assert.equal("2", answer.headers["content-length"])
  end)

  it("to HEAD that stream have no body either", function()
    local answer = answers("1.1", "Host: a", function(req, res)
      if req.method == "HEAD" then res:write("a") else res:send("") end
    end, "HEAD")
    assert.equal("chunked", answer.headers["transfer-encoding"])
  end)

  for _, status in ipairs { 204, 304 } do
    it("with " .. status .. " have neither body nor length", function()
      local answer = answers("1.1", "Host: a", function(req, res)
        if req.raw_path == "/" then res.status = status end
        res:send("no")
      end)
      assert.same({ status, nil, nil },
        { answer.status, answer.headers["content-length"], answer.headers["transfer-encoding"] })
    end)
  end

  it("that say Connection: close themselves close it, and say it once", function()
    local answer = answers("1.1", "Host: a", function(_, res) res:set("Connection", "close"):send("") end)
    assert.same({ "close" }, answer.list.connection)
    local function closes(_, res) res:set("Connection", "close"):send("") end
    answer = answers("1.1", "Host: a\r\nConnection: close", closes)
    assert.same({ "close" }, answer.list.connection)
  end)
end)

describe("a body", function()
  local EXPECTS = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"

  it("is asked for when the handler reads it", function()
    serving(function(req, res) res:send(req:body()) end, nil, function(conn)
      conn:write(EXPECTS)
      assert.equal("HTTP/1.1 100 Continue\r\n", conn:read_until("\n") .. "\n")
      assert.equal("\r", conn:read_until("\n"))
      conn:write("abc")
      assert.equal("abc", http.read_answer(conn).body)
      assert.equal(200, status_of(conn, post(1, "x")))
    end)
  end)

  it("is not asked for before earlier requests are answered", function()
    serving(function(req, res) res:send(req.raw_path .. req:body()) end, nil, function(conn)
      conn:write(get "/first" .. EXPECTS)
      assert.equal("/first", http.read_answer(conn).body)
      assert.equal("HTTP/1.1 100 Continue\r", conn:read_until("\n"))
      assert.equal("\r", conn:read_until("\n"))
      conn:write("abc")
      assert.equal("/abc", http.read_answer(conn).body)
    end)
  end)

  it("is not asked for by a handler that does not read it: then the connection ends", function()
    serving(plain, nil, function(conn)
      conn:write(EXPECTS)
      local answer = http.read_answer(conn)
      assert.same({ 200, "close" }, { answer.status, answer.headers.connection })
      is_closed(conn)
    end)
  end)

  it("is not asked for where it came by itself", function()
    serving(function(req, res) res:send(req:body()) end, nil, function(conn)
      conn:write(EXPECTS .. "abc")
      local first = conn:read_line()
      if first == "HTTP/1.1 100 Continue" then -- it was late
        conn:read_line()
        first = conn:read_line()
      end
      assert.equal("HTTP/1.1 200 OK", first)
    end)
  end)

  it("that nobody reads is dropped, and the connection goes on", function()
    serving(plain, nil, function(conn)
      assert.equal(200, status_of(conn, post(5, "abcde")))
      conn:write(post(5, "ab"))
      assert.equal(200, http.read_answer(conn).status)
      conn:write("cde")
      assert.equal(200, status_of(conn, GET))
    end)
  end)

  it("that nobody reads and that is long ends the connection", function()
    serving(plain, nil, function(conn)
      conn:write(post(1e7, "a"))
      assert.equal("close", http.read_answer(conn).headers.connection)
      is_closed(conn)
    end)
  end)

  it("that is cut off fails the read with 'unexpected eof'", function()
    local err
    serving(function(req) err = select(2, req:body()) end, nil, function(conn)
      conn:write(post(5, "ab"))
      conn:close_write()
      assert.equal(400, http.read_answer(conn).status)
      assert.equal("unexpected eof", err)
    end)
  end)

  it("may be read by a task that outlives its handler: the read fails with 'closed'", function()
    local reader
    serving(function(req, res)
      reader = moonpark.go(function() return req:read() end)
      support.settle()
      res:send("done")
    end, nil, function(conn)
      conn:write(post(5))
      assert.equal("done", conn:read_all():match("done$"))
      assert.same({ true, nil, "closed" }, { reader:join() })
    end)
  end)
end)

-- SPDX-License-Identifier: MIT
-- http_server: what becomes of requests and connections, over TCP and by the bytes.

local core = require "moonpark.core"
local moonpark = require "moonpark"
local failures = require "moonpark.failures"
local http = require "support.http"
local process = require "support.process"
local wire = require "support.http_wire"
local support = require "support.net"

local GET, get, post, plain = wire.GET, wire.get, wire.post, wire.plain
local serving, status_of, is_closed = wire.serving, wire.status_of, wire.is_closed

after_each(http.stop_all)

describe("a coroutine.yield outside of any generator", function()
  -- Asks for paths, each on a connection of its own, of a server whose handlers yield.
  local SCRIPT = [[
    local moonpark = require "moonpark"
    local http = require "moonpark.http"
    local router = http.router()
    router:get("/caught", function(_, res) res:send(tostring(pcall(function() coroutine.yield(1) end))) end)
    router:get("/plain", function() coroutine.yield() end)
    router:get("/in/generator", function(_, res)
      res:send(coroutine.wrap(function() coroutine.yield "generated" end)())
    end)
    local function ask(address, path)
      local conn = assert(moonpark.net.dial(address))
      conn:write("GET ", path, " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
      local answer = conn:read_all(10000) or ""
      conn:close()
      print(path, answer:match "^HTTP/1.1 (%d+)", answer:match "\r\n\r\n(.*)$")
    end
    moonpark.run(function()
      local server = assert(http.server(router, { address = "127.0.0.1:0",
        on_error = function(text) print("log", text:match "^[^\n]*") end }))
      local serving = moonpark.go(server.run, server)
      for i = 1, #arg do ask(server:address(), arg[i]) end
      server:shutdown(5)
      print((serving:join()))
    end)
  ]]

  local function run(...)
    local path = require("moonpark.testing").tempdir() .. "/script.lua"
    local file = assert(io.open(path, "w"))
    file:write(SCRIPT)
    file:close()
    local r = process.run { process.interpreter, path, ... }
    assert.same({ 0, "" }, { r.status, r.err })
    return (r.out:gsub("/[^ ]*script.lua:%d+", "SCRIPT"))
  end

  it("raises there: a pcall catches it, and otherwise that request fails", function()
    local text = "SCRIPT: coroutine.yield called in a task, outside any generator: use moonpark.yield()\n"
    assert.equal("/caught\t200\tfalse\nlog\terror in the handler for GET /plain: " .. text
      .. "/plain\t500\tInternal Server Error\n\n/in/generator\t200\tgenerated\ntrue\n",
      run("/caught", "/plain", "/in/generator"))
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

  it("may be a table, which is shown", function()
    logs(function() error { code = 404, text = "no such user", 7, {} } end,
      'GET /: { 7, {...}, code = 404, text = "no such user" }\n.*hint: .*res:fail%(404%)')
  end)

  it("may be an object whose __tostring fails", function()
    logs(function() error(setmetatable({}, { __tostring = function() error "no" end })) end, "__tostring failed")
  end)

  it("may be nil", function() logs(function() error() end, "nil") end)

  it("may be a header that would split the response", function()
    logs(function(_, res) res:set("X", "a\r\nb"):send("") end, "invalid value of header 'X'")
  end)

  it("may be a header that frames the message", function()
    logs(function(_, res) res:set("Transfer-Encoding", "x"):send("") end,
      "header 'Transfer%-Encoding' is set by the server")
  end)

  it("may be a piece of a stream that is no text, even where there are others", function()
    logs(function(_, res) res:write("a", nil, "c") end, "server_spec.lua:%d+: data must be a string or number, got nil")
    logs(function(_, res) res:write({}) end, "server_spec.lua:%d+: data must be a string or number, got table")
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

  it("that cannot be answered cuts the connection, and is never a 200", function()
    serving(function(_, res)
      res.fail = function() error("nor can this be said", 0) end
      error("early")
    end, nil, function(conn, server)
      conn:write(GET)
      local all = conn:read_all()
      assert.is_true(all == nil or all == "", all) -- nil: a reset
      local log = server:take_log()
      assert.is_truthy(log:find("early", 1, true))
      assert.is_truthy(log:find("error while answering that failure: nor can this be said", 1, true))
    end)
  end)

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
      assert.is_truthy(server:take_log():find("shorter than its Content%-Length"))
    end)
  end)

  it("in on_error as well is told on the standard error, and the server lives", function()
    local said, log = {}, failures.log
    failures.log = function(text) said[#said + 1] = text end -- luacheck: ignore 122
    serving(function() error("first") end, { on_error = function() error("second") end }, function(conn)
      assert.equal(500, status_of(conn, GET))
      assert.equal(500, status_of(conn, GET))
    end)
    failures.log = log -- luacheck: ignore 122
    assert.is_truthy(said[1]:find("first.*second"))
  end)

  it("is none where the handler answers nothing: 200 and no body, and a line in the log", function()
    serving(function() end, nil, function(conn, server)
      conn:write(GET)
      local answer = http.read_answer(conn)
      assert.same({ 200, "" }, { answer.status, answer.body })
      assert.matches("handler has not answered GET /", server:take_log())
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
      assert.is_truthy(message:find("another task is writing this response"))
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
    assert.matches("another task is writing this response", tostring(message))
    assert.is_nil(all:find("0\r\n\r\n", 1, true))
  end)

  it("may not get a file or what leads to it", function()
    assert.matches("another task is writing", tostring(meanwhile(function(res) res.x:lead(res.serial, "--x") end)))
    assert.matches("another task is writing", tostring(meanwhile(function(res)
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

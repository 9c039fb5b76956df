-- SPDX-License-Identifier: MIT
-- proxy_failover_spec.lua - http.proxy in front of several servers: which is asked, what becomes of a request when one
-- of them fails, and how targets are checked, limited and taken out.

local core = require "moonpark.core"
local http = require "moonpark.http"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local peers = require "support.http_client"
local support = require "support.net"

local LONG = core.hard and 17000 or 100000 -- bytes of a body that is not sent with its head

local GET, DEAD = peers.GET, "http://" .. support.NOBODY

-- A server that answers with a name, and counts.
local function naming(name, handler)
  local server
  server = peers.serve(function(req, res)
    server.seen = server.seen + 1
    if handler then return handler(req, res) end
    res:send(name)
  end)
  server.seen = 0
  return server
end

-- A server that closes each connection after it has read a request, once it is told to fail.
local function dying(answer)
  local server
  server = peers.scripted(function(conn)
    while true do
      local head, body = peers.request(conn)
      if not head then return end
      server.heads[#server.heads + 1] = { head = head, body = body }
      if not answer then return end
      conn:write(answer)
    end
  end)
  server.heads = {}
  return server
end

-- Our own server before a proxy to these targets; server.proxy, server.errors, server.events.
local function in_front_of(targets, options, wrap)
  options = options or {}
  local errors, events = {}, {}
  options.on_error = function(text) errors[#errors + 1] = text end
  options.on_event = function(text) events[#events + 1] = text end
  local proxy = peers.proxy_to(targets, options)
  local server = peers.serve(wrap and wrap(proxy) or proxy)
  server.proxy, server.errors, server.events = proxy, errors, events
  return server
end

local function body_of(server, path) return assert(http.get(server.url .. (path or "/"))).body end

local function states(server)
  local list = {}
  for i, target in ipairs(server.proxy:targets()) do list[i] = target.state end
  return list
end

-- Waits until test() holds: for what happens in another task, at its own time.
local function eventually(test)
  for _ = 1, 2000 do
    if test() then return end
    moonpark.sleep(0.005)
  end
  error("it did not happen", 2)
end

describe("http.proxy with several targets", function()
  after_each(peers.stop_all)

  it("asks them in turn, by weight, and keeps connections to each", function()
    local a, b = naming "a", naming "b"
    local server = in_front_of { { url = a.url, weight = 2 }, b.url }
    local got = {}
    for i = 1, 9 do got[i] = body_of(server) end
    assert.equal("abaabaaba", table.concat(got))
    assert.same({ 1, 1 }, { a.server:stats().connections, b.server:stats().connections })
  end)

  it("asks the one with the fewest requests", function()
    local go_on = core.event()
    local function slow(_, res)
      go_on:wait()
      res:send "slow"
    end
    local a, b = naming("a", slow), naming("b", slow)
    local server = in_front_of({ a.url, b.url }, { balance = "least_connections" })
    local tasks = {}
    for i = 1, 10 do
      tasks[i] = moonpark.go(http.get, server.url)
      eventually(function() return a.seen + b.seen == i end)
      assert.is_true(math.abs(a.seen - b.seen) <= 1)
    end
    local list = server.proxy:targets()
    assert.same({ 5, 5 }, { list[1].in_flight, list[2].in_flight })
    go_on:set()
    for _, task in ipairs(tasks) do assert(task:join()) end
    assert.same({ 0, 0 }, { server.proxy:targets()[1].in_flight, server.proxy:targets()[2].in_flight })
  end)

  it("gives each key to one target, by the client's address if no function names keys", function()
    local a, b, c = naming "a", naming "b", naming "c"
    local server = in_front_of({ a.url, b.url, c.url }, { balance = "hash", hash = function(req)
      return req.query.user
    end })
    local of, used = {}, {}
    for i = 1, 30 do
      of[i] = body_of(server, "/?user=" .. i)
      used[of[i]] = true
    end
    assert.same({ a = true, b = true, c = true }, used)
    for i = 1, 30 do assert.equal(of[i], body_of(server, "/?user=" .. i)) end
    server = in_front_of({ a.url, b.url, c.url }, { balance = "hash" })
    local first = body_of(server)
    for _ = 1, 6 do assert.equal(first, body_of(server)) end
  end)

  it("sends each target its own path and name", function()
    local a, b = peers.noting "a", peers.noting "b"
    local server = in_front_of { a.url .. "/one", b.url }
    body_of(server, "/x")
    body_of(server, "/x")
    assert.matches("^GET /one/x HTTP/1.1\nHost: " .. a.address:gsub("%.", "%%.") .. "\n", a.heads[1])
    assert.matches("^GET /x HTTP/1.1\nHost: " .. b.address:gsub("%.", "%%.") .. "\n", b.heads[1])
    local got = peers.raw(server, "GET /../x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert.matches("^HTTP/1.1 400 ", got) -- it would leave the first one's path
  end)

  describe("asks another one", function()
    it("when one refuses the connection, whatever the method and the body", function()
      local bodies = {}
      local b = naming("b", function(req, res)
        bodies[#bodies + 1] = req:body()
        res:send(req.method)
      end)
      local server = in_front_of({ DEAD, b.url }, { passive = false })
      local long = ("x"):rep(LONG)
      for _, body in ipairs { "short", long } do
        for _ = 1, 2 do
          assert.equal("POST", assert(http.post(server.url, { body = body })).body)
          assert.equal("POST", assert(http.post(server.url, { body = (function()
            local left = body
            return function()
              local piece = left
              left = nil
              return piece
            end
          end)() })).body)
        end
      end
      assert.equal(8, #bodies)
      for _, body in ipairs(bodies) do assert.is_true(body == "short" or body == long) end
      assert.equal(("POST /: %s: connection refused; asking %s"):format(DEAD, b.url), server.errors[1])
    end)

    it("when a connection dies before an answer, if the request may be repeated", function()
      local a, b = dying(), naming "b"
      local server = in_front_of({ a.url, b.url }, { passive = false })
      for _ = 1, 2 do assert.equal("b", body_of(server)) end
      assert.equal("b", assert(http.put(server.url, { body = "x" })).body)
      assert.equal("b", assert(http.put(server.url, { body = "x" })).body)
      assert.equal("x", a.heads[2].body)
    end)

    it("but not for what may have been done, or has been answered in part", function()
      local a, b = dying(), naming "b"
      local server = in_front_of({ a.url, b.url }, { passive = false })
      local answers = {}
      for i = 1, 2 do answers[i] = assert(http.post(server.url, { body = "x" })).status end
      assert.same({ 502, 200 }, answers)
      assert.same({ 1, 1 }, { #a.heads, b.seen })
      assert.matches("^POST /: " .. a.url:gsub("%p", "%%%0") .. ": eof$", server.errors[1])
      local half = peers.scripted(function(conn)
        peers.request(conn)
        conn:write "HTTP/1.1 20"
      end)
      server = in_front_of({ half.url, b.url }, { passive = false })
      assert.equal(502, assert(http.get(server.url)).status)
      local interim = peers.scripted(function(conn)
        peers.request(conn)
        conn:write "HTTP/1.1 103 Early Hints\r\n\r\n"
      end)
      server = in_front_of({ interim.url, b.url }, { passive = false })
      assert.equal(502, assert(http.get(server.url)).status)
    end)

    it("but not for a body that is on its way and nobody has kept", function()
      local a, b = dying(), naming "b"
      local long = ("x"):rep(LONG)
      local server = in_front_of({ a.url, b.url }, { passive = false })
      assert.equal(502, assert(http.put(server.url, { body = long })).status)
      assert.equal(0, b.seen)
    end)

    it("with a long body that the handler has read before", function()
      local got
      local a, b = dying(), naming("b", function(req, res)
        got = req:body()
        res:send "b"
      end)
      local long = ("x"):rep(LONG)
      local server = in_front_of({ a.url, b.url }, { passive = false }, function(proxy)
        return function(req, res)
          req:body()
          return proxy(req, res)
        end
      end)
      assert.equal("b", assert(http.put(server.url, { body = long })).body)
      assert.is_true(got == long)
      assert.is_true(a.heads[1].body == long)
    end)

    it("but not when the answer takes too long: the target may be at work", function()
      local a, b = peers.scripted(function(conn) conn:read_all() end), naming "b"
      local server = in_front_of({ a.url, b.url }, { io_timeout = 0.02 })
      assert.equal(504, assert(http.get(server.url)).status)
      assert.equal(0, b.seen)
    end)

    it("for the statuses that it is told of, if one is left to ask; else the client gets that answer", function()
      local a = naming("a", function(_, res) res:fail(503, "a is busy") end)
      local b = naming "b"
      local options = { retry_statuses = { 503 }, passive = false }
      local server = in_front_of({ a.url, b.url }, options)
      for _ = 1, 4 do assert.equal("b", body_of(server)) end
      assert.equal(2, a.seen)
      local answers = {}
      for i = 1, 2 do answers[i] = assert(http.post(server.url, { body = "x" })).status end
      table.sort(answers)
      assert.same({ 200, 503 }, answers)
      server = in_front_of({ a.url }, options)
      local answer = assert(http.get(server.url))
      assert.same({ 503, "a is busy\n" }, { answer.status, answer.body })
      server = in_front_of({ a.url, { url = a.url, name = "again" }, DEAD }, options)
      assert.is_true(assert(http.get(server.url)).status >= 502)
    end)

    it("at most `tries` times, and not after `retry_timeout`", function()
      local list = {}
      for i = 1, 5 do list[i] = { url = DEAD, name = "dead " .. i } end
      local server = in_front_of(list, { tries = 4, passive = false })
      assert.equal(502, assert(http.get(server.url)).status)
      assert.equal(4, #server.errors)
      assert.equal("GET /: dead 4: connection refused", server.errors[4])
      server = in_front_of(list, { retry_timeout = 0, passive = false })
      assert.equal(502, assert(http.get(server.url)).status)
      assert.equal(1, #server.errors)
    end)

    it("for a WebSocket when the first refuses the connection", function()
      local b = peers.serve(function(_, res)
        local ws = assert(res:websocket {})
        ws:send(assert(ws:receive()))
        ws:close()
      end)
      local server = in_front_of({ DEAD, b.url }, { passive = false })
      for _ = 1, 2 do
        local ws = assert(http.websocket("ws://" .. server.address))
        assert.equal(1, server.proxy:targets()[2].in_flight)
        ws:send "hello"
        assert.equal("hello", ws:receive())
        ws:close()
      end
      eventually(function() return server.proxy:targets()[2].in_flight == 0 end)
    end)
  end)

  describe("ejects a target", function()
    it("that fails several times in a row, and asks it again when its time is over", function()
      local alive = true
      local a = naming("a", function(req, res)
        if not alive then return req:hijack():close() end
        res:send "a"
      end)
      local b = naming "b"
      local server = in_front_of({ a.url, b.url }, { passive = { failures = 2, time = 0.2 } })
      alive = false
      for _ = 1, 6 do assert.equal("b", body_of(server)) end
      assert.equal(2, a.seen)
      assert.same({ "ejected", "up" }, states(server))
      assert.same({ a.url .. " is ejected for 0.2 s after 2 failures: eof" }, server.events)
      local state = server.proxy:targets()[1]
      assert.same({ 2, 2, "eof", true }, { state.failures, state.failures_in_row, state.last_error,
        state.ejected_until > moonpark.now() })
      alive = true
      eventually(function() return states(server)[1] == "trying" end)
      local got = {}
      for i = 1, 4 do got[i] = body_of(server) end
      table.sort(got)
      assert.equal("aabb", table.concat(got))
      assert.same({ "up", "up" }, states(server))
      assert.same({ a.url .. " works again", 2 }, { server.events[2], #server.events })
    end)

    it("whose answers are cut off", function()
      local a = peers.scripted(function(conn)
        peers.request(conn)
        conn:write "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"
      end)
      local b = naming "b"
      local server = in_front_of({ a.url, b.url }, { passive = { failures = 2 } })
      for _ = 1, 4 do peers.raw(server, GET) end
      assert.same({ "ejected", "up" }, states(server))
    end)

    it("but not because clients leave, or send too little", function()
      local come, over = core.event(), core.event()
      local a = peers.scripted(function(conn)
        conn:read_until "\r\n\r\n"
        come:set()
        conn:read_all()
        over:set()
      end)
      local server = in_front_of({ { url = a.url }, { url = a.url, name = "twin" } }, { passive = { failures = 1 } })
      for _, request in ipairs { "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" } do
        local conn = peers.dial(server)
        conn:write(request)
        come:wait()
        conn:close()
        over:wait()
        come:clear()
        over:clear()
      end
      eventually(function()
        local list = server.proxy:targets()
        return list[1].in_flight + list[2].in_flight == 0
      end)
      assert.same({ "up", "up" }, states(server))
      assert.same({}, server.events)
    end)

    it("only if another is left: when all are ejected, all are asked", function()
      local server = in_front_of({ DEAD, { url = DEAD, name = "twin" } }, { passive = { failures = 1 } })
      for _ = 1, 3 do assert.equal(502, assert(http.get(server.url)).status) end
      assert.same({ "ejected", "ejected" }, states(server))
      server = in_front_of({ DEAD, { url = DEAD, name = "twin" } }, { passive = { failures = 1 }, panic = false })
      assert.equal(502, assert(http.get(server.url)).status)
      local answer = assert(http.get(server.url))
      assert.equal(503, answer.status)
      assert.matches("^%d+$", answer.headers["retry-after"])
      assert.equal("GET /: no target can be asked", server.errors[#server.errors])
    end)
  end)

  describe("limits", function()
    it("the requests of each target, and answers 503 to those that cannot wait", function()
      local go_on = core.event()
      local most, now = 0, 0
      local a = naming("a", function(_, res)
        now = now + 1
        most = math.max(most, now)
        go_on:wait()
        now = now - 1
        res:send "a"
      end)
      local server = in_front_of({ a.url }, { max_requests = 2, max_queue = 3 })
      local tasks, answers = {}, {}
      for i = 1, 7 do
        tasks[i] = moonpark.go(function() answers[i] = assert(http.get(server.url)).status end)
      end
      eventually(function() return #server.errors == 2 and a.seen == 2 end)
      go_on:set()
      for _, task in ipairs(tasks) do task:join() end
      local counts = {}
      for i = 1, 7 do counts[answers[i]] = (counts[answers[i]] or 0) + 1 end
      assert.same({ [200] = 5, [503] = 2 }, counts)
      assert.equal(2, most)
      assert.same({ "GET /: all targets are busy", "GET /: all targets are busy" }, server.errors)
    end)

    it("how long they wait, and says when to come again", function()
      local go_on = core.event()
      local a = naming("a", function(_, res)
        go_on:wait()
        res:send "a"
      end)
      local server = in_front_of({ { url = a.url, max_requests = 1 } }, { queue_timeout = 0.02 })
      local first = moonpark.go(http.get, server.url)
      eventually(function() return a.seen == 1 end)
      local answer = assert(http.get(server.url))
      assert.same({ 503, "1" }, { answer.status, answer.headers["retry-after"] })
      assert.same({ "GET /: no target became free in time" }, server.errors)
      go_on:set()
      first:join()
    end)

    it("nothing for those that leave while they wait", function()
      local go_on = core.event()
      local a = naming("a", function(_, res)
        go_on:wait()
        res:send "a"
      end)
      local server = in_front_of({ a.url }, { max_requests = 1 })
      local first = moonpark.go(http.get, server.url)
      eventually(function() return a.seen == 1 end)
      local leaving = peers.dial(server)
      leaving:write(GET)
      eventually(function() return #server.proxy.set.queue == 1 end)
      leaving:close()
      eventually(function() return #server.proxy.set.queue == 0 end)
      go_on:set()
      first:join()
      assert.equal("a", body_of(server))
      assert.equal(0, server.proxy:targets()[1].in_flight)
    end)
  end)

  describe("checks its targets", function()
    it("and asks only those that are well", function()
      local well = true
      local a = naming("a", function(req, res)
        if req.path ~= "/health" then return res:send "a" end
        res:fail(well and 200 or 500)
      end)
      local b = naming "b"
      local server = in_front_of({ a.url, b.url },
        { check = { path = "/health", interval = 0.01, healthy = 2, unhealthy = 2 } })
      eventually(function() return a.seen >= 2 end)
      assert.same({ "up", "up" }, states(server))
      well = false
      eventually(function() return states(server)[1] == "down" end)
      for _ = 1, 4 do assert.equal("b", body_of(server)) end
      assert.same({ a.url .. " is down: status 500" }, server.events)
      well = true
      eventually(function() return states(server)[1] == "up" end)
      assert.equal(a.url .. " is up", server.events[2])
      local got = body_of(server) .. body_of(server)
      assert.is_true(got == "ab" or got == "ba")
    end)

    it("with what it is told, on a connection of its own", function()
      local target = peers.noting()
      local server = in_front_of({ target.url .. "/base" },
        { check = { path = "/ping?x=1", method = "HEAD", host = "health.example", interval = 60,
          status = function(status) return status == 200 end } })
      eventually(function() return #target.heads == 1 end)
      assert.equal("HEAD /base/ping?x=1 HTTP/1.1\nHost: health.example\nUser-Agent: moonpark health check\n"
        .. "Connection: close\n", (target.heads[1]:gsub("\n\n$", "\n")))
      assert.equal("up", states(server)[1])
    end)

    it("and finds those that do not answer in time, refuse, or say something else", function()
      local silent = peers.scripted(function(conn) conn:read_all() end)
      local other = naming "x"
      local server = in_front_of({ silent.url, { url = DEAD }, { url = other.url } },
        { check = { interval = 60, timeout = 0.05, status = { 204 } } })
      eventually(function() return table.concat(states(server), " ") == "down down down" end)
      local errors = {}
      for i, target in ipairs(server.proxy:targets()) do errors[i] = target.last_error end
      assert.same({ "timeout", "connection refused", "status 200" }, errors)
      server.proxy:remove(silent.url)
      assert.equal("x", body_of(server)) -- none is well, so all are asked: the one that works answers
    end)

    local early = http.proxy(DEAD, { check = { interval = 60 }, on_event = function() end }) -- no task runs yet

    it("from its first request on, if it was made where no task runs", function()
      local server = peers.serve(function(req, res) return early(req, res) end)
      moonpark.yield()
      assert.equal("up", early:targets()[1].state)
      assert.equal(502, assert(http.get(server.url)).status)
      eventually(function() return early:targets()[1].state == "down" end)
      early:close()
    end)
  end)

  describe("has targets that come and go", function()
    it("added ones get requests, removed ones none, and what they have goes on", function()
      local go_on = core.event()
      local a = naming("a", function(_, res)
        go_on:wait()
        res:send "a"
      end)
      local b = naming "b"
      local server = in_front_of { a.url }
      local first
      local task = moonpark.go(function() first = body_of(server) end)
      eventually(function() return a.seen == 1 end)
      assert.equal("b", server.proxy:add { url = b.url, name = "b" })
      assert.same({ nil, "exists" }, { server.proxy:add { url = b.url, name = "b" } })
      assert.same({ nil, "invalid URL" }, { server.proxy:add "http://a b" })
      assert.is_true(server.proxy:remove(a.url))
      assert.same({ nil, "not found" }, { server.proxy:remove(a.url) })
      for _ = 1, 3 do assert.equal("b", body_of(server)) end
      go_on:set()
      task:join()
      assert.equal("a", first)
      assert.equal(1, server.proxy.pool.open) -- b's; that of a is not kept
      assert.is_true(server.proxy:remove "b")
      assert.equal(503, assert(http.get(server.url)).status)
    end)

    it("drain() returns when the last request of a target is over", function()
      local go_on = core.event()
      local a = naming("a", function(_, res)
        go_on:wait()
        res:send "a"
      end)
      local b = naming "b"
      local server = in_front_of { a.url, b.url }
      local first = moonpark.go(body_of, server)
      eventually(function() return a.seen == 1 end)
      assert.same({ nil, "timeout" }, { server.proxy:drain(a.url, 0.01) })
      assert.same({ "draining", "up" }, states(server))
      local over
      local drain = moonpark.go(function() over = { server.proxy:drain(a.url) } end)
      for _ = 1, 3 do assert.equal("b", body_of(server)) end
      assert.is_nil(over)
      go_on:set()
      drain:join()
      assert.same({ true }, over)
      first:join()
      eventually(function() return a.server:stats().connections == 0 end) -- a has seen that they are closed
      assert.is_true(server.proxy:resume(a.url))
      local got = {}
      for i = 1, 4 do got[i] = body_of(server) end
      table.sort(got)
      assert.equal("aabb", table.concat(got))
      assert.same({ nil, "not found" }, { server.proxy:drain "nobody" })
    end)

    it("mistakes raise at the script's line", function()
      local proxy = peers.proxy_to(DEAD)
      local by_function = peers.proxy_to(function() return DEAD end)
      for wanted, call in pairs {
        ["unknown option 'wait'"] = function() proxy:add { url = DEAD, wait = 1 } end,
        ["this proxy's targets are named by a function"] = function() by_function:remove "a" end,
        ["two targets are called"] = function() http.proxy { DEAD, DEAD } end,
        ["option 'hash' needs balance = \"hash\""] = function() http.proxy(DEAD, { hash = print }) end,
        ["option 'check' (check): unknown option 'pth'; did you mean 'path'?"] = function()
          http.proxy(DEAD, { check = { pth = "/" } })
        end,
        ["option 'balance' must be"] = function() http.proxy(DEAD, { balance = "random" }) end,
        ["option 'check' needs a list of targets"] = function() http.proxy(print, { check = {} }) end,
        ["'max_time' must not be less than 'time'"] = function()
          http.proxy(DEAD, { passive = { time = 10, max_time = 5 } })
        end,
      } do
        local ok, err = pcall(call)
        assert.is_false(ok)
        assert.matches("^spec/http/proxy_failover_spec.lua:%d+: ", err)
        assert.truthy(err:find(wanted, 1, true), err)
      end
    end)
  end)

  describe("whose targets a function names", function()
    it("asks the one that it returns, or one after the other of a list", function()
      local a, b = naming "a", naming "b"
      local of = { ["a.example"] = a.url, ["b.example"] = { DEAD, b.url } }
      local server = in_front_of(function(req) return of[req.host] end)
      local function ask(host)
        local answer = assert(http.get(server.url, { headers = { Host = host } }))
        return answer.status, answer.body
      end
      assert.same({ 200, "a" }, { ask "a.example" })
      assert.same({ 200, "b" }, { ask "b.example" })
      assert.equal(404, (ask "c.example"))
      assert.same({ "GET /: " .. DEAD .. ": connection refused; asking " .. b.url }, server.errors)
    end)

    it("answers the status that it gives instead, and 500 for what is no target", function()
      local answers = { { nil, 421 }, { "http://a b" }, { 5 }, { {} } }
      local at = 0
      local server = in_front_of(function()
        at = at + 1
        return answers[at][1], answers[at][2]
      end)
      local got = {}
      for i = 1, 4 do got[i] = assert(http.get(server.url)).status end
      assert.same({ 421, 500, 500, 404 }, got)
      assert.matches("http.proxy: the function's target: invalid URL", server.log[1])
    end)
  end)

  it("loses no place and no connection when clients leave at any time", function()
    local random = require("support.random").new(29)
    local a = naming("a", function(_, res)
      moonpark.sleep(random() * 0.004)
      res:send(("a"):rep(30000))
    end)
    local b = naming("b", function(req, res)
      if random(4) == 1 then return req:hijack():close() end
      res:send "b"
    end)
    local server = in_front_of({ a.url, b.url, DEAD }, { max_requests = 3, max_connections = 5,
      passive = { failures = 2, time = 0.001, max_time = 0.01 } })
    local function client(n)
      for _ = 1, n do
        local conn = net.dial(server.address)
        conn:set_timeout(20)
        conn:write(GET)
        if random(2) == 1 then moonpark.sleep(random() * 0.004) else conn:read_all() end
        conn:close()
      end
    end
    local tasks = {}
    for i = 1, 12 do tasks[i] = moonpark.go(client, core.hard and 3 or 15) end
    for _, task in ipairs(tasks) do assert(task:join()) end
    server.stop()
    for _, target in ipairs(server.proxy:targets()) do assert.equal(0, target.in_flight) end
    assert.equal(0, #server.proxy.set.queue)
    assert.equal(server.proxy.pool.open, server.proxy.pool.idle)
    for _, target in ipairs(server.proxy.set.list) do assert.equal(0, target.place.used) end
  end)
end)

-- SPDX-License-Identifier: MIT
-- ending_spec.lua - how requests, connections and the HTTP server end: leaving clients, hijack, shutdown.

local moonpark = require "moonpark"
local http_module = require "moonpark.http"
local http = require "support.http"
local wire = require "support.http_wire"
local net = require "moonpark.net"
local support = require "support.net"

local GET, get, post, plain = wire.GET, wire.get, wire.post, wire.plain
local serving, status_of, is_closed = wire.serving, wire.status_of, wire.is_closed

after_each(http.stop_all)

describe("a request that is over", function()
  it("says so to whoever still uses it", function()
    local kept, keep = {}, nil
    serving(function(req, res)
      kept.req, kept.res = req, res
      if keep then keep() end
      res:send("ok")
    end, nil, function(conn)
      assert.equal(200, status_of(conn, GET))
      local old = { req = kept.req, res = kept.res }
      keep = function()
        for _, use in ipairs { function() return old.req.headers.host end, function() old.res:send("no") end,
          function() old.req:read() end, function() old.req:hijack() end } do
          local ok, err = pcall(use)
          assert(not ok and err:find("request has already finished"), err)
        end
      end
      assert.equal(200, status_of(conn, GET))
    end)
  end)
end)

describe("a response that has begun already", function()
  it("is no place for another, and the error names the handler's line; no file stays open", function()
    local told = {}
    serving(function(req, res)
      local function use(name, fn)
        local ok, err = pcall(fn)
        told[name] = not ok and err
      end
      res:begin()
      local before = support.descriptors()
      use("hijack", function() local conn = req:hijack() return conn end)
      use("file", function() local ok = res:file "spec/http/ending_spec.lua" return ok end)
      use("no such file", function() local ok = res:file "spec/http/no_such_file" return ok end)
      use("events", function() local events = res:events() return events end)
      use("begin", function() local ok = res:begin() return ok end)
      told.left = support.descriptors() - before
    end, nil, function(conn) assert.equal(200, status_of(conn, GET)) end)
    assert.equal(0, told.left)
    for _, name in ipairs { "hijack", "file", "no such file", "events", "begin" } do
      assert.matches("^[^:]*ending_spec%.lua:%d+: response ", told[name], nil, name)
    end
  end)
end)

describe("a client that leaves", function()
  -- A handler that waits until it is cancelled, and what it met.
  local function waiter()
    local met = { came = moonpark.event(), ended = moonpark.event() }
    return met, function(req)
      met.came:set()
      local _, err = moonpark.sleep(3600)
      met.err, met.gone = err, req:is_gone()
      met.ended:set()
    end
  end

  local leavings = {
    ["by closing"] = function(conn) conn:close() end,
    ["by a reset"] = function(conn)
      conn:setoption("linger", 0)
      conn:close()
    end,
    ["by closing its half"] = function(conn) conn:close_write() end,
  }
  for how, leave in pairs(leavings) do
    it(how .. " cancels its handler", function()
      local met, handler = waiter()
      serving(handler, nil, function(conn)
        conn:write(GET)
        met.came:wait()
        leave(conn)
        met.ended:wait()
        assert.same({ "canceled", true }, { met.err, met.gone })
      end)
    end)

    it(how .. " before its handler runs cancels it", function()
      local met, wait = waiter()
      local function handler(req, res)
        if req.raw_path == "/" then return wait(req) end
        res:send("") -- from now on a worker stands by
      end
      serving(handler, nil, function(conn)
        assert.equal(200, status_of(conn, get "/first"))
        conn:write(GET)
        leave(conn)
        met.ended:wait()
        assert.equal("canceled", met.err)
      end)
    end)
  end

  it("after its body was read cancels the handler", function()
    local met, wait = waiter()
    serving(function(req)
      req:body()
      wait(req)
    end, nil, function(conn)
      conn:write(post(3, "abc"))
      met.came:wait()
      conn:close()
      met.ended:wait()
      assert.equal("canceled", met.err)
    end)
  end)

  -- An end could be that of one half, and what is in front of it may still be read. A reset has no such meaning.
  it("by a reset in the middle of its body cancels a handler that does not read it", function()
    local met, handler = waiter()
    serving(handler, nil, function(conn)
      conn:write(post(10, "abc"))
      met.came:wait()
      leavings["by a reset"](conn)
      assert.is_true(met.ended:wait(5))
      assert.same({ "canceled", true }, { met.err, met.gone })
    end)
  end)

  it("by closing a unix connection with its body unread cancels its handler", function()
    local met, handler = waiter()
    support.with_folder(function(folder)
      serving(handler, { address = "unix:" .. folder .. "/s" }, function(conn)
        conn:write(post(10, "abc"))
        met.came:wait()
        conn:close()
        assert.is_true(met.ended:wait(5))
        assert.same({ "canceled", true }, { met.err, met.gone })
      end)
    end)
  end)

  it("by a reset behind a pipelined request cancels the handler of the first", function()
    local met, handler = waiter()
    serving(handler, nil, function(conn)
      conn:write(GET)
      met.came:wait()
      conn:write(GET)
      leavings["by a reset"](conn)
      assert.is_true(met.ended:wait(5))
      assert.same({ "canceled", true }, { met.err, met.gone })
    end)
  end)

  it("cancels the tasks of the handler's scopes too", function()
    local came, ended, met = moonpark.event(), moonpark.event(), {}
    local function child(i)
      if i == 3 then came:set() end
      met[i] = select(2, moonpark.sleep(3600))
    end
    serving(function()
      moonpark.scope(function(scope)
        for i = 1, 3 do scope:go(child, i) end
      end)
      ended:set()
    end, nil, function(conn)
      conn:write(GET)
      came:wait()
      conn:close()
      ended:wait()
      assert.same({ "canceled", "canceled", "canceled" }, met)
    end)
  end)

  it("cancels the next handler as if nothing had been before", function()
    local met, wait = waiter()
    serving(function(req, res)
      if req.raw_path == "/wait" then return wait(req) end
      res:send("ok")
    end, nil, function(conn, server)
      conn:write(get "/wait")
      met.came:wait()
      conn:close()
      met.ended:wait()
      local other = server:dial()
      for _ = 1, 3 do assert.equal(200, status_of(other, GET)) end
      other:close()
    end)
  end)

  it("by its half only is answered where the handler does not wait", function()
    serving(function(req, res) res:send(req:body()) end, nil, function(conn)
      conn:write(get "/1" .. post(3, "abc") .. get "/2")
      conn:close_write()
      assert.equal("", http.read_answer(conn).body)
      assert.equal("abc", http.read_answer(conn).body)
      assert.equal("", http.read_answer(conn).body)
      is_closed(conn)
    end)
  end)

  it("by its half only gets what a handler that waited answers nevertheless", function()
    serving(function(req, res)
      local _, err = moonpark.sleep(3600)
      res:send(err .. " " .. tostring(req:is_gone()))
    end, nil, function(conn)
      conn:write(GET)
      conn:close_write()
      assert.equal("canceled true", http.read_answer(conn).body)
      is_closed(conn)
    end)
  end)

  it("by its half behind a body lets the handler read it", function()
    serving(function(req, res) res:send(req:body()) end, nil, function(conn)
      conn:write(post(6, "abc"))
      support.settle()
      conn:write("def")
      conn:close_write()
      assert.equal("abcdef", http.read_answer(conn).body)
    end)
  end)

  it("by its half behind a body that is read in pieces lets the handler meet its end", function()
    serving(function(req, res)
      local all = ""
      for piece in req:chunks(2) do all = all .. piece end
      res:send(all .. " " .. tostring(req.body_error))
    end, nil, function(conn)
      conn:write(post(6, "abc"))
      support.settle()
      conn:write("def")
      conn:close_write()
      assert.equal("abcdef nil", http.read_answer(conn).body)
    end)
  end)

  it("while it is written to ends that", function()
    local err
    local ended = moonpark.event()
    serving(function(_, res)
      repeat
        local ok, why = res:write(("x"):rep(100000))
        err = why
      until not ok
      ended:set()
    end, nil, function(conn)
      conn:write(GET)
      conn:read_exactly(10)
      conn:close()
      ended:wait()
      assert.is_string(err)
    end)
  end)

  it("in the middle of anything leaves nothing behind", function()
    local request = "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n"
    serving(function(req, res)
      res:write("a")
      req:body()
      res:write("b")
    end, nil, function(_, server)
      for n = 1, #request do
        local conn = server:dial()
        conn:write(request:sub(1, n))
        if n % 3 == 0 then conn:setoption("linger", 0) end
        conn:close()
      end
      local last = server:dial()
      assert.equal(200, status_of(last, request))
      last:close()
      while server.server:stats().connections > 1 do moonpark.sleep(0.001) end
      server:take_log()
    end)
  end)
end)

describe("hijack", function()
  it("hands the connection over with what was received behind the head", function()
    serving(function(req)
      local conn = req:hijack()
      conn:write("mine: ", conn:read_exactly(3), "\n")
      conn:close()
    end, nil, function(conn, server)
      conn:write("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nabc")
      assert.equal("mine: abc", conn:read_line())
      is_closed(conn)
      assert.equal(0, server.server:stats().connections)
    end)
  end)

  it("comes behind the answers to earlier requests", function()
    serving(function(req, res)
      if req.raw_path == "/1" then return res:send("first") end
      local conn = req:hijack()
      conn:write("mine\n")
      conn:close()
    end, nil, function(conn)
      conn:write(get "/1" .. get "/2")
      assert.equal("first", http.read_answer(conn).body)
      assert.equal("mine", conn:read_line())
    end)
  end)

  it("is refused once a response has begun", function()
    local message
    serving(function(req, res)
      res:write("a")
      message = select(2, pcall(req.hijack, req))
    end, nil, function(conn)
      assert.equal(200, status_of(conn, GET))
      assert.is_truthy(message:find("response has already begun"))
    end)
  end)

  it("lets the server end before the connection does", function()
    local taken
    local server = http.start(function(req) taken = req:hijack() end)
    local conn = server:dial()
    conn:write(GET)
    while not taken do moonpark.sleep(0.001) end
    server:stop()
    taken:write("still here\n")
    assert.equal("still here", conn:read_line())
    taken:close()
    conn:close()
  end)
end)

describe("shutdown", function()
  it("closes idle connections and lets running requests finish", function()
    local came, go_on = moonpark.event(), moonpark.event()
    local server = http.start(function(_, res)
      came:set()
      go_on:wait()
      res:send("finished")
    end, { address = support.own_host() .. ":0" })
    local busy, idle = server:dial(), server:dial()
    busy:write(GET)
    came:wait()
    local stopping = moonpark.go(function() return server.server:shutdown(3600) end)
    is_closed(idle)
    local conn, err = net.dial(server.address)
    assert.same({ nil, "connection refused" }, { conn, err })
    go_on:set()
    local answer = http.read_answer(busy)
    assert.same({ "finished", "close" }, { answer.body, answer.headers.connection })
    busy:close()
    assert.same({ true, true }, { stopping:join() })
    assert.same({ true, true }, { server.task:join() })
    idle:close()
  end)

  it("cancels after its grace what has not finished", function()
    local came, err = moonpark.event(), nil
    local server = http.start(function()
      came:set()
      err = select(2, moonpark.sleep(3600))
    end)
    local conn = server:dial()
    conn:write(GET)
    came:wait()
    assert.is_true(server.server:shutdown(0.01))
    assert.equal("canceled", err)
    is_closed(conn)
    conn:close()
  end)

  it("a second time counts with the shorter grace", function()
    local came = moonpark.event()
    local server = http.start(function()
      came:set()
      moonpark.sleep(3600)
    end)
    local conn = server:dial()
    conn:write(GET)
    came:wait()
    local first = moonpark.go(function() return server.server:shutdown(3600) end)
    support.settle()
    assert.is_true(server.server:shutdown(0))
    assert.same({ true, true }, { first:join() })
    assert.is_true(server.server:shutdown())
    conn:close()
  end)

  it("with a grace that is none raises, and nothing ends", function()
    serving(plain, nil, function(conn, server)
      for _, bad in ipairs { "soon", 0 / 0, true } do
        local ok, err = pcall(function()
          local result = server.server:shutdown(bad)
          return result
        end)
        assert.is_false(ok)
        assert.equal("number of seconds expected, got " .. tostring(bad),
          err:match("^spec/http/ending_spec.lua:%d+: (.*)"))
      end
      assert.equal(200, status_of(conn, GET))
    end)
  end)

  it("may be called by a handler, and its response is sent", function()
    local server
    server = http.start(function(_, res)
      assert(server.server:shutdown())
      res:send("bye")
    end)
    local conn = server:dial()
    conn:write(GET)
    assert.equal("bye", http.read_answer(conn).body)
    conn:close()
    assert.same({ true, true }, { server.task:join() })
  end)

  it("ends requests whose heads are not complete at their time", function()
    local server = http.start(plain, { head_timeout = 0.02 })
    local conn = server:dial()
    conn:write("GET / HT")
    while server.server:stats().connections == 0 do moonpark.sleep(0.001) end
    local stopping = moonpark.go(function() return server.server:shutdown(3600) end)
    assert.equal(408, http.read_answer(conn).status)
    conn:close()
    assert.same({ true, true }, { stopping:join() })
  end)

  it("of a server that never ran closes it", function()
    local server = assert(http_module.server(plain, { address = "127.0.0.1:0" }))
    local conn = assert(net.dial(server:address()))
    conn:write(GET)
    support.settle()
    assert.is_true(server:shutdown())
    is_closed(conn)
    conn:close()
  end)

  it("is what happens where the task that serves is cancelled", function()
    local came, err = moonpark.event(), nil
    local server = http.start(function()
      came:set()
      err = select(2, moonpark.sleep(3600))
    end)
    local conn, idle = server:dial(), server:dial()
    conn:write(GET)
    came:wait()
    server.task:cancel()
    assert.same({ true, nil, "canceled" }, { server.task:join() })
    assert.equal("canceled", err)
    is_closed(conn)
    is_closed(idle)
    conn:close()
    idle:close()
  end)

  it("may be followed by another server at the same address at once", function()
    local server = http.start(plain)
    local conn = server:dial()
    assert.equal(200, status_of(conn, GET))
    server.server:shutdown()
    local next_one = http.start(plain, { address = server.address })
    conn:close()
    conn = next_one:dial()
    assert.equal(200, status_of(conn, GET))
    conn:close()
  end)
end)

describe("a server", function()
  it("is not made of what cannot be meant: a typing error would be a limit less", function()
    local function refused(why, handler, options)
      for name, make in pairs { ["http.server"] = http_module.server, ["http.serve"] = http_module.serve } do
        local ok, err = pcall(function() make(handler, options) end)
        assert.is_false(ok)
        assert.matches("^spec/http/ending_spec%.lua:%d+: " .. name .. ": " .. why, err)
      end
    end
    local address = "127.0.0.1:0"
    refused("address or listener expected", plain)
    refused("a table of options expected, got string", plain, address)
    refused("handler expected, got nil", nil, { address = address })
    refused("handler expected, got string", "plain", { address = address })
    refused("invalid port: '127%.0%.0%.1:x'", plain, { address = "127.0.0.1:x" })
    refused("address or listener expected", plain, {})
    refused("unknown option 'max_bdy'; did you mean 'max_body'%?", plain, { address = address, max_bdy = 1 })
    refused("option 'max_body' must be a whole number of at least 0, not a string", plain,
      { address = address, max_body = "1" })
    refused("option 'max_body' must be a whole number of at least 0, not %-1", plain,
      { address = address, max_body = -1 })
    refused("option 'idle_timeout' must be a number of at least 0, not NaN", plain,
      { address = address, idle_timeout = 0 / 0 })
    refused("option 'on_error' must be a function, not a number", plain, { address = address, on_error = 1 })
    for _, name in ipairs { "logger", "request_id", "compress", "cors", "basic_auth" } do
      local options = { x = 1 }
      if name == "basic_auth" then options.realm, options.users = "a", {} end
      local ok, err = pcall(function() http_module[name](options) end)
      assert.is_false(ok)
      assert.matches("^spec/http/ending_spec%.lua:%d+: " .. name .. ": unknown option 'x'$", err)
    end
  end)

  it("takes a listener over, and who waits at it already", function()
    local listener = assert(net.listen("127.0.0.1:0"))
    local early = assert(net.dial(listener:address()))
    early:write(GET)
    local server = http.start(plain, { listener = listener })
    assert.equal(200, http.read_answer(early).status)
    assert.same({ nil, "closed" }, { listener:accept() })
    early:close()
    server:stop()
  end)

  it("takes no listener that somebody accepts on or waits for", function()
    local listener = assert(net.listen("127.0.0.1:0"))
    for _, wait in ipairs { function() listener:accept() end, function() moonpark.select { { listener, "r" } } end } do
      local waiting = support.parked(wait)
      assert.has_error(function() http_module.server(plain, { listener = listener }) end,
        "another task is already accepting on this listener")
      waiting:cancel()
      waiting:join()
    end
    listener:close()
  end)

  it("serves at a unix path", function()
    support.with_folder(function(folder)
      local server = http.start(plain, { address = "unix:" .. folder .. "/s" })
      local conn = server:dial()
      for _ = 1, 3 do assert.equal(200, status_of(conn, GET)) end
      conn:close()
      server:stop()
    end)
  end)

  it("runs once", function()
    local server = http.start(plain)
    support.settle()
    assert.has_error(function() server.server:run() end)
    server:stop()
  end)

  it("without descriptors says so, and accepts again when there are some", function()
    serving(plain, nil, function(_, server)
      local late = net.dial
      local give_back = support.use_up_descriptors(1)
      local conn = assert(late(server.address))
      conn:write(GET)
      while #server.log < 2 do moonpark.sleep(0.001) end
      give_back()
      assert.equal(200, http.read_answer(conn).status)
      assert.is_truthy(server:take_log():find("accept: too many open files; trying again in 0.005 s", 1, true))
      conn:close()
    end)
  end)

  it("that flushes its answers does not tell of a head that has not come yet", function()
    local expected = 0
    local rest = ""
    serving(function(_, res) res:send(("z"):rep(10000)) end, nil, function(conn, server)
      conn:setoption("rcvbuf", 4096)
      local dump
      repeat -- its answers are not read, so at last they do not leave any more
        conn:write(rest .. GET:rep(4) .. "GET /" .. ("q"):rep(9000))
        expected = expected + (rest == "" and 4 or 5)
        rest = " HTTP/1.1\r\nHost: a\r\n\r\n"
        while server.server:stats().requests < expected do moonpark.sleep(0.001) end
        support.settle()
        dump = moonpark.dump()
      until dump:find("parked in write on tcp " .. server.address, 1, true)
      assert.is_truthy(dump:find('"response to 127.0.0.1:', 1, true), dump)
    end)
  end)

  it("tells in the dump what its tasks are about", function()
    local came, go_on = moonpark.event(), moonpark.event()
    serving(function(_, res)
      came:set()
      go_on:wait()
      res:send()
    end, nil, function(conn, server)
      conn:write(get "/slow?x=y")
      came:wait()
      local dump = moonpark.dump()
      assert.is_truthy(dump:find('"GET /slow?x=y from 127.0.0.1:', 1, true))
      assert.is_truthy(dump:find("parked in http.keep on tcp listener " .. server.address, 1, true))
      go_on:set()
      assert.equal(200, http.read_answer(conn).status)
      dump = moonpark.dump()
      assert.is_truthy(dump:find('"http worker" parked in http.take on tcp listener', 1, true))
    end)
  end)
end)

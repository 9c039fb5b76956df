-- SPDX-License-Identifier: MIT
-- http_conn, http_server: from when the times of an HTTP server count. An hour passes while a task computes, or in a
-- poll; all limits are far shorter than that, and far longer than any of this takes.

local core = require "moonpark.core"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local http_module = require "moonpark.http"
local http = require "support.http"
local testing = require "moonpark.testing"
local wire = require "support.http_wire"

local GET, get, plain = wire.GET, wire.get, wire.plain
local status_of = wire.status_of

local limits = { idle_timeout = 60, head_timeout = 60, request_timeout = 60 }

-- The next look at the clock finds it that much on.
local function seconds_pass(n)
  core.clock_freeze()
  core.clock_advance(n)
  core.clock_thaw()
end
local function an_hour_passes() seconds_pass(3600) end

-- As wire.serving, with connections that have no time limit of their own.
local function dial(address) return assert(net.dial(address)) end
local function serving(handler, body)
  local server = http.start(handler, limits)
  local conn = dial(server.address)
  body(conn, server)
  conn:close()
  server:stop()
end

-- What came before has been looked at when this returns.
local function look(address)
  local conn = dial(address)
  assert.equal(200, status_of(conn, GET))
  conn:close()
end

local function computes(req, res)
  if req.raw_path == "/long" then an_hour_passes() end
  moonpark.yield()
  res:send "ok"
end

describe("the time of an HTTP server:", function()
  after_each(http.stop_all)

  it("a new connection has all of its idle time, however long nothing came before it", function()
    serving(plain, function(first, server)
      assert.equal(200, status_of(first, GET))
      moonpark.go(an_hour_passes) -- runs when dial waits, so that the poller brings the connection after it
      local conn = dial(server.address)
      look(server.address)
      assert.equal(200, status_of(conn, GET))
      conn:close()
    end)
  end)

  it("so has one that came before the server did", function()
    local listener = assert(net.listen "127.0.0.1:0")
    local listening = listener:address()
    local conn = dial(listening)
    local server = assert(http_module.server(plain, { listener = listener, idle_timeout = 60 }))
    local task = moonpark.go(server.run, server)
    an_hour_passes()
    look(listening)
    assert.equal(200, status_of(conn, GET))
    conn:close()
    server:shutdown()
    assert(task:join())
  end)

  it("a connection waits for its next request from the end of a handler on, however long that has computed", function()
    serving(computes, function(conn)
      assert.equal(200, status_of(conn, GET .. get "/long"))
      assert.equal(200, http.read_answer(conn).status)
      assert.equal(200, status_of(conn, GET))
      assert.equal(200, status_of(conn, get "/long"))
      assert.equal(200, status_of(conn, GET))
    end)
  end)

  -- Two connections have something to say at once; the handler of the first one that is served computes for long.
  local function at_once(bytes, body)
    local served = {}
    serving(function(req, res)
      served[#served + 1] = req.raw_path
      local long = req.raw_path == "/long"
      if long then an_hour_passes() end
      local ok, err = (long and moonpark.yield or moonpark.sleep)(0.001) -- a sleep would read the clock
      res:send(ok and "ok" or err)
    end, function(first, server)
      local second = dial(server.address)
      for _, conn in ipairs { first, second } do assert.equal(200, status_of(conn, GET)) end
      served = {}
      first:write(get "/first")
      second:write(get "/second")
      for _, conn in ipairs { first, second } do assert.equal(200, http.read_answer(conn).status) end
      if served[1] == "/second" then first, second = second, first end -- a poller has its own order
      first:write(get "/long")
      second:write(bytes)
      assert.equal(200, http.read_answer(first).status)
      body(second)
      for _, conn in ipairs { first, second } do conn:close() end
    end)
  end

  it("a head's time counts from its first byte, not from that of other handlers", function()
    at_once(GET:sub(1, 10), function(conn)
      assert.equal(200, status_of(conn, GET:sub(11)))
    end)
  end)

  it("a request's time counts from when a handler has it", function()
    at_once(GET, function(conn)
      assert.equal("ok", http.read_answer(conn).body)
    end)
  end)

  describe("empty lines before an incomplete head", function()
    local go_on

    -- body(conn) while the only worker waits in its handler, so that the next head needs a new one.
    local function with_busy_worker(body)
      go_on = moonpark.event()
      local path = "unix:" .. testing.tempdir() .. "/socket" -- what is written to it is there at once
      local server = http.start(function(req, res)
        if req.raw_path == "/wait" then go_on:wait() end
        res:send "ok"
      end, { head_timeout = 60, address = path })
      local busy, conn = dial(path), dial(path)
      busy:write(get "/wait")
      body(conn)
      go_on:set()
      assert.equal(200, http.read_answer(busy).status)
      busy:close()
      conn:close()
      server:stop()
    end

    local function write(conn, bytes)
      conn:write(bytes)
      for _ = 1, 20 do moonpark.sleep(1e-6) end -- turns of the loop: the server looks at it
    end

    it("do not renew its time, however many workers look at them", function()
      with_busy_worker(function(conn)
        write(conn, "\r")
        seconds_pass(40)
        write(conn, "\n\r\n")
        seconds_pass(40)
        assert.equal(408, http.read_answer(conn).status)
      end)
    end)

    it("do not begin it later than a first byte would", function()
      with_busy_worker(function(conn)
        write(conn, "\r\n\r\nGET")
        seconds_pass(40)
        write(conn, " / HTTP/1.1\r\n")
        seconds_pass(40)
        assert.equal(408, http.read_answer(conn).status)
      end)
    end)

    it("do no harm to one that comes in time", function()
      with_busy_worker(function(conn)
        write(conn, "\r\n\r\n")
        seconds_pass(40)
        write(conn, GET)
        assert.equal(200, http.read_answer(conn).status)
        seconds_pass(50)
        assert.equal(200, status_of(conn, GET))
      end)
    end)
  end)
end)

-- SPDX-License-Identifier: MIT
-- quiet_spec.lua - the time of a client begins when its server looks at it: neither a long silence before nor handlers
-- that compute are taken from it. The clock is moved while the server is not looking; then it goes on as ever.

local core = require "moonpark.core"
local http = require "support.http"
local moonpark = require "moonpark"
local wire = require "support.http_wire"

local GET, get = wire.GET, wire.get

-- Without a timeout of its own, which would pass as well.
local function dial(server)
  local conn = server:dial()
  assert(conn:set_timeout(nil))
  return conn
end

-- An hour passes within one turn.
local function an_hour_passes()
  core.clock_freeze()
  core.clock_advance(3600)
  core.clock_thaw()
end

describe("an HTTP server", function()
  after_each(http.stop_all)

  it("answers a client that comes after a silence longer than idle_timeout", function()
    local server = http.start(wire.plain, { idle_timeout = 60, head_timeout = 10 })
    for _ = 1, 3 do
      an_hour_passes()
      local conn = dial(server)
      moonpark.yield() -- accepted, and its timers had their turn
      moonpark.yield()
      assert.equal(200, wire.status_of(conn, GET))
      conn:close()
    end
    server:stop()
  end)

  it("answers the next request on a connection whose handler has computed for longer than that", function()
    wire.serving(function(_, res)
      an_hour_passes()
      res:send "done"
    end, { idle_timeout = 60 }, function(conn)
      assert(conn:set_timeout(nil))
      for _ = 1, 3 do
        assert.equal(200, wire.status_of(conn, GET))
        moonpark.yield()
        moonpark.yield()
      end
    end)
  end)

  it("waits for the end of a head that began after a handler has computed for longer than head_timeout", function()
    local other
    local server = http.start(function(req, res)
      if req.path == "/long" then
        an_hour_passes()
        assert(other:write(GET:sub(1, 10)))
      end
      res:send "done"
    end, { head_timeout = 10, idle_timeout = 0 })
    local one = dial(server)
    other = dial(server)
    assert.equal(200, wire.status_of(other, GET))
    assert.equal(200, wire.status_of(one, get "/long"))
    moonpark.yield()
    moonpark.yield()
    assert(other:write(GET:sub(11)))
    assert.equal(200, http.read_answer(other).status)
    one:close()
    other:close()
    server:stop()
  end)

  it("does not count the time of another handler against a request's", function()
    local server = http.start(function(req, res)
      if req.path == "/long" then an_hour_passes() end
      local slept, err = moonpark.sleep(0)
      res:send(slept and "done" or err)
    end, { request_timeout = 60 })
    local one, other = dial(server), dial(server)
    assert(one:write(get "/long"))
    assert(other:write(GET))
    assert.equal(200, http.read_answer(other).status)
    one:close()
    other:close()
    server:take_log()
    server:stop()
  end)
end)

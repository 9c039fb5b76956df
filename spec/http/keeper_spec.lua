-- SPDX-License-Identifier: MIT
-- http_keeper: the task that starts workers, where none can be started. The clock is virtual.

local http = require "support.http"
local testing = require "moonpark.testing"
local wire = require "support.http_wire"
local moonpark = require "moonpark"
local net = require "moonpark.net"

describe("an HTTP server that can start no worker", function()
  local server, conn, tries, works

  before_each(function()
    tries, works = 0, false
    -- over a unix socket what was sent is there at once: virtual time cannot overtake it
    server = http.start(wire.plain, { address = "unix:" .. testing.tempdir() .. "/socket" })
    local core = server.server.core
    server.server.core = setmetatable({
      exchange = function(_)
        tries = tries + 1
        if not works then error("no room", 0) end
        return core:exchange()
      end,
    }, {
      __index = function(_, name)
        return function(_, ...) return core[name](core, ...) end
      end,
    })
    testing.clock()
    conn = assert(net.dial(server.address))
  end)

  after_each(function()
    conn:close()
    http.stop_all()
  end)

  it("tries again after pauses that grow from 5 ms to a second", function()
    conn:write(wire.GET)
    moonpark.sleep(1.27) -- 5 + 10 + 20 ... + 640 ms are 1.275 s
    assert.equal(8, tries)
    moonpark.sleep(100)
    assert.equal(8 + 100, tries)
    server:take_log()
  end)

  it("says so once, and again only when it has been able to since", function()
    conn:write(wire.GET)
    moonpark.sleep(100)
    assert.equal("cannot start a worker: no room", server:take_log())
    works = true
    assert.equal("ok", http.read_answer(conn).body)
    assert.equal("", server:take_log())
  end)

  it("serves who waits as soon as it can, though nothing else comes", function()
    local others = {}
    for i = 1, 3 do
      others[i] = assert(net.dial(server.address))
      others[i]:write(wire.GET)
    end
    conn:write(wire.GET)
    moonpark.sleep(10)
    works = true
    for _, one in ipairs { conn, unpack(others) } do assert.equal("ok", http.read_answer(one).body) end
    for _, one in ipairs(others) do one:close() end
    server:take_log()
  end)

  it("shuts down in the middle of a pause", function()
    conn:write(wire.GET)
    moonpark.sleep(10)
    server:take_log()
    server:stop()
    assert.is_nil((conn:read()))
  end)
end)

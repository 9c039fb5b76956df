-- SPDX-License-Identifier: MIT
-- tls_context: a server's function that chooses certificates: what becomes of it, of its context and of connections
-- that wait for it. And finalizers, which may close a connection while it is looked at.

local collect = require "support.collect"
local core = require "moonpark.core"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local support = require "support.net"
local tls = require "moonpark.tls"
local certificates = require "support.tls"
local wire = require "support.tls_wire"
local files = certificates.files

local function other() return assert(tls.server { cert = files.other_crt, key = files.other_key }) end

-- A connection whose handshake has come to the question for other.example; its two ends, and the server's task.
local function asking(server)
  local a, b = net.pipe()
  assert(core.tls_cover(b, server.core))
  local task = moonpark.go(b.handshake, b)
  assert(a:write(wire.record(wire.HANDSHAKE, wire.hello { name = "other.example" })))
  return a, b, task
end

local function settle(a, b, task)
  a:close()
  b:close()
  task:join()
end

describe("a function that chooses certificates", function()
  local open

  before_each(function() open = tls.stats().open end)
  after_each(function()
    assert.equal(open, tls.stats().open)
    core.check()
  end)

  it("ends with its context, and so does what it holds", function()
    local weak = setmetatable({}, { __mode = "v" })
    local blocks
    for i = 1, 20 do
      local held = {}
      weak[i] = held
      local server = certificates.server { choose = function() return held and nil end }
      local listener = assert(net.listen("127.0.0.1:0", { tls = server }))
      listener:close()
      server, listener, held = nil, nil, nil -- luacheck: ignore
      collectgarbage()
      collectgarbage()
      assert.is_nil(weak[i])
      blocks = blocks or core.stats().blocks
    end
    assert.is_true(core.stats().blocks <= blocks)
  end)

  it("is kept by a listener, and by a connection that asks", function()
    local asked = 0
    local listener = assert(net.listen("127.0.0.1:0", { tls = certificates.server { choose = function()
      asked = asked + 1
      collectgarbage()
      return other()
    end } }))
    collectgarbage()
    collectgarbage()
    local dialled = moonpark.go(net.dial, listener:address(), { tls = certificates.client(),
      server_name = "other.example" })
    local conn = assert(listener:accept())
    listener:close()
    listener = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    assert.is_true(conn:handshake())
    local _, client = dialled:join()
    assert.equal("other.example", client:tls().server_name)
    assert.equal(1, asked)
    client:close()
    conn:close()
  end)

  it("may answer when its connection, its listener and its context are gone", function()
    local began, go_on, returned = moonpark.event(), moonpark.event(), moonpark.event()
    local a, b, task = asking(certificates.server { choose = function()
      began:set()
      go_on:wait()
      returned:set()
      return other()
    end })
    began:wait()
    settle(a, b, task)
    collectgarbage()
    collectgarbage()
    go_on:set()
    returned:wait()
    support.settle()
  end)

  it("is cancelled if it takes longer than a handshake may", function()
    support.with_frozen_clock(function()
      local ended
      local a, b, task = asking(certificates.server { choose = function()
        local ok, err = moonpark.event():wait()
        ended = { ok, err }
      end })
      local _, ok, err = task:join()
      assert.same({ nil, "handshake timeout" }, { ok, err })
      moonpark.sleep(1)
      assert.same({ nil, "canceled" }, ended)
      settle(a, b, task)
    end)
  end)

  it("answers for each connection apart, in whatever order", function()
    local turns = {}
    local server = certificates.server { choose = function()
      local turn = moonpark.event()
      turns[#turns + 1] = turn
      turn:wait()
      return nil
    end }
    local conns = {}
    for i = 1, 5 do conns[i] = { asking(server) } end
    while #turns < 5 do moonpark.yield() end
    for _, i in ipairs { 3, 1, 5 } do
      turns[i]:set()
      assert.equal(wire.HANDSHAKE, conns[i][1]:read(1):byte())
    end
    for i = 1, 5 do conns[i][2]:close() end
    for _, i in ipairs { 2, 4 } do
      assert.same({ nil, "eof" }, { conns[i][1]:read() })
      turns[i]:set()
    end
    for i = 1, 5 do
      conns[i][3]:join()
      conns[i][1]:close()
    end
  end)

  it("may be reloaded, and the context collected, while it is asked", function()
    local began, go_on = moonpark.event(), moonpark.event()
    local chosen = other()
    local server = certificates.server { choose = function()
      began:set()
      go_on:wait()
      return chosen
    end }
    local a, b = net.pipe()
    certificates.over(a, b, server, nil, "other.example")
    local tasks = { moonpark.go(a.handshake, a), moonpark.go(b.handshake, b) }
    began:wait()
    assert.is_true(server:reload())
    assert.is_true(chosen:reload())
    server = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    go_on:set()
    for _, task in ipairs(tasks) do assert.same({ true, true }, { task:join() }) end
    a:close()
    b:close()
  end)

  it("is not asked of a connection that a finalizer closes as it is asked", function()
    for n = 1, 60 do
      local a, b, task
      local server = certificates.server { choose = function() end }
      collect.somewhere(n, function() if b then b:close() end end, function()
        a, b, task = asking(server)
        for _ = 1, 5 do moonpark.yield() end
        a:close()
        b:close()
        task:join()
        b = nil
      end)
    end
  end)
end)

describe("connection:tls", function()
  it("survives a finalizer that closes the connection", function()
    local server, client = certificates.server { alpn = { "http/1.1" } }, certificates.client { alpn = { "http/1.1" } }
    for n = 1, 60 do
      local a, b = certificates.over(net.pipe())
      assert.same({ { true }, { true } }, { certificates.shake(a, b) })
      collect.somewhere(n, function() b:close() end, function() b:tls() end)
      assert.is_nil(b:tls())
      a:close()
    end
    assert.is_truthy(server and client)
  end)
end)

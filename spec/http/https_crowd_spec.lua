-- SPDX-License-Identifier: MIT
-- Many connections to a server over TLS: handshakes that never end, and clients that wait for their next request.

local certificates = require "support.tls"
local core = require "moonpark.core"
local http = require "support.http"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local wire = require "support.http_wire"
local wire_tls = require "support.tls_wire"

local PATIENCE = 20
local MANY = 250
local NO_PROTOCOL = 120 -- an alert
local trusting = certificates.client()

local function start(options)
  local all = { tls = certificates.server() }
  for name, value in pairs(options or {}) do all[name] = value end
  return http.start(wire.plain, all)
end

local function client_of(server)
  local conn = assert(net.dial(server.address, { tls = trusting, timeout = PATIENCE }))
  conn:set_timeout(PATIENCE)
  return conn
end

local function ask(conn)
  assert(conn:write(wire.GET))
  return http.read_answer(conn).status
end

-- The first bytes of a client.
local function hello_of()
  local inner, outer = net.pipe()
  assert(core.tls_cover(inner, trusting.core, "localhost"))
  local task = moonpark.go(inner.handshake, inner)
  local bytes = assert(outer:read(16384))
  outer:close()
  task:join()
  inner:close()
  return bytes
end

-- n connections that say so many bytes of a handshake, and no more.
local function half_open(server, n, length)
  local conns, bytes = {}, hello_of():sub(1, length)
  for i = 1, n do
    conns[i] = server:dial()
    if length > 0 then assert(conns[i]:write(bytes)) end
  end
  return conns
end

local function close_all(conns)
  for _, conn in ipairs(conns) do conn:close() end
end

local function wait_for(server, n)
  moonpark.timeout(PATIENCE, function()
    while server.server:stats().connections ~= n do moonpark.sleep(0.001) end
  end)
  assert.equal(n, server.server:stats().connections)
end

describe("handshakes that never end", function()
  after_each(http.stop_all)

  -- [what they do] = how much of the hello they send
  for name, length in pairs { ["say nothing"] = 0, ["stop within the hello"] = 100,
    ["stop after the hello"] = 16384 } do
    it("leave a storm's bystanders served: they " .. name, function()
      local server = start { head_timeout = 3600 }
      local bystander = client_of(server)
      assert.equal(200, ask(bystander))
      local conns = half_open(server, 100, length)
      for _ = 1, 20 do assert.equal(200, ask(bystander)) end
      wait_for(server, 101)
      local newcomer = client_of(server)
      assert.equal(200, ask(newcomer))
      assert.equal(22, server.server:stats().requests)
      close_all(conns)
      wait_for(server, 2)
      close_all { bystander, newcomer }
    end)

    it("count among max_connections, and make room for others: they " .. name, function()
      local server = start { max_connections = 8, head_timeout = 3600 }
      local conns = half_open(server, 8, length)
      wait_for(server, 8)
      local newcomer = client_of(server)
      assert.equal(200, ask(newcomer))
      assert.equal(8, server.server:stats().connections)
      close_all(conns)
      close_all { newcomer }
    end)

    it("have the time of a head: they " .. name, function()
      local server = start { head_timeout = 0.05 }
      local conn = half_open(server, 1, length)[1]
      local got, err
      repeat got, err = conn:read() until not got
      assert.is_true(err == "eof" or err == "connection reset by peer", err)
      conn:close()
      wait_for(server, 0)
    end)
  end

  it("make room for others when they have failed and the client stays", function()
    local server = start { max_connections = 4, head_timeout = 3600,
      tls = certificates.server { alpn = { "http/1.1" } } }
    local bytes, conns = wire_tls.record(wire_tls.HANDSHAKE, wire_tls.hello { alpn = { "h2" } }), {}
    for i = 1, 12 do
      conns[i] = server:dial()
      assert(conns[i]:write(bytes))
      assert.equal(NO_PROTOCOL, wire_tls.alert(assert(conns[i]:read_all())))
    end
    local newcomer = client_of(server)
    assert.equal(200, ask(newcomer))
    close_all(conns)
    wait_for(server, 1)
    close_all { newcomer }
  end)

  it("end with the server", function()
    local server = start { head_timeout = 3600 }
    local conns = half_open(server, 3, 100)
    wait_for(server, 3)
    server:stop()
    close_all(conns)
  end)
end)

describe("an idle connection over TLS", function()
  after_each(http.stop_all)

  it("leaves others served, however many there are", function()
    local server = start { idle_timeout = 3600 }
    local conns = {}
    for i = 1, MANY do
      conns[i] = client_of(server)
      assert.equal(200, ask(conns[i]))
      for _ = 1, 5 do assert.equal(200, ask(conns[1])) end
    end
    for _, conn in ipairs(conns) do assert.equal(200, ask(conn)) end
    assert.equal(7 * MANY, server.server:stats().requests)
    close_all(conns)
    wait_for(server, 0)
  end)

  it("has no task and no waiter", function()
    local server = start { idle_timeout = 3600 }
    local function idle(n)
      local conns = {}
      for i = 1, n do
        conns[i] = client_of(server)
        for _ = 1, 2 do assert.equal(200, ask(conns[i])) end
      end
      wait_for(server, n)
      local stats = core.stats()
      close_all(conns)
      wait_for(server, 0)
      return { tasks = stats.tasks, waiters = stats.waiters }
    end
    idle(1)
    assert.same(idle(2), idle(40))
  end)
end)

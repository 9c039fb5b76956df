-- SPDX-License-Identifier: MIT
-- proxy_spec.lua - examples/proxy.lua as its users meet it: what goes through it does not notice.

local behaviours = require "support.behaviours"
local core = require "moonpark.core"
local example = require "support.example"
local moonpark = require "moonpark"
local moving = require "support.moving"
local net = require "moonpark.net"
local process = require "support.process"
local support = require "support.net"

-- A proxy in front of that address.
local function proxy_to(target, address)
  address = address or "127.0.0.1:0"
  return example.start("proxy.lua", example.plain("proxy.lua", address, target), address)
end

-- A transport: a pair whose ends talk through a proxy of its own. stop() ends the proxy, and says what it wrote.
local function through_proxy(listen, front)
  local running
  local function pair()
    local client, server
    listen(function(listener, folder)
      running = proxy_to(listener:address(), front and folder and "unix:" .. folder .. "/front")
      client = running:dial()
      client:set_timeout(nil)
      server = assert(listener:accept())
      listener:close()
      if front then os.remove(folder .. "/front") end
    end)
    return client, server
  end
  local function stop()
    running.child:kill("TERM")
    return (select(3, running.child:wait()))
  end
  return { pair = pair }, stop
end

local function tcp(body) body(assert(net.listen("127.0.0.1:0"))) end

local function unix(body)
  support.with_folder(function(folder) body(assert(net.listen("unix:" .. folder .. "/target")), folder) end)
end

for _, way in ipairs { { "tcp", tcp }, { "unix sockets", unix, true } } do
  describe("a connection through a proxy over " .. way[1], function()
    local transport, stop = through_proxy(way[2], way[3])

    after_each(process.stop_all)

    for _, behaviour in ipairs(behaviours) do
      it(behaviour.name, function()
        support.pair_of(transport, behaviour.body)()
        stop()
      end)
    end

    it("is half-closed in each direction by itself", function()
      for _, order in ipairs { { 1, 2 }, { 2, 1 } } do
        support.pair_of(transport, function(...)
          local ends = { ... }
          local first, second = ends[order[1]], ends[order[2]]
          first:write("all I have to say")
          first:close_write()
          assert.equal("all I have to say", second:read_all())
          second:write("then I may answer")
          second:close_write()
          assert.equal("then I may answer", first:read_all())
        end)()
        assert.equal("", stop())
      end
    end)

    it("carries what is written and read in pieces of random sizes, in both directions at once", function()
      support.pair_of(transport, function(a, b)
        local n = core.hard and 1000 or 2 ^ 20 -- there each byte goes by itself
        local one, two = support.random_bytes(n, 1), support.random_bytes(n, 2)
        moonpark.scope(function(scope)
          for i, conn in ipairs { a, b } do
            scope:go(function()
              moving.write_fragmented(conn, i == 1 and one or two, i, 300000)
              conn:close_write()
            end)
            scope:go(function()
              assert.is_true(moving.read_fragmented(conn, i + 2, 65536) == (i == 1 and two or one))
            end)
          end
        end)
      end)()
      assert.equal("", stop())
    end)
  end)
end

describe("examples/proxy.lua", function()
  after_each(process.stop_all)

  -- body(proxy, listener) with a proxy in front of the listener, which may complain as the pattern says.
  local function in_front(pattern, body)
    return function()
      local listener = assert(net.listen("127.0.0.1:0"))
      local proxy = proxy_to(listener:address())
      body(proxy, listener)
      listener:close()
      proxy.child:kill("TERM")
      local _, _, err = proxy.child:wait()
      assert.matches(pattern, err)
    end
  end

  it("closes the client of a target that refuses, and says so", function()
    local target = support.NOBODY
    local proxy = proxy_to(target)
    local client = proxy:dial()
    local from = client:local_address()
    assert.equal("eof", (select(2, client:read())))
    client:close()
    assert.equal(("proxy: %s: cannot connect to %s: connection refused"):format(from, target), proxy.child:line("err"))
    proxy.child:kill("TERM")
    proxy.child:wait()
  end)

  it("passes a reset on as an end, and says which connection broke", function()
    local listener = assert(net.listen("127.0.0.1:0"))
    local proxy = proxy_to(listener:address())
    local client, server = proxy:dial(), assert(listener:accept())
    local from = client:local_address()
    client:write("abc")
    assert.equal("abc", server:read_exactly(3))
    server:write("de")
    assert.equal("de", client:read_exactly(2))
    server:setoption("linger", 0)
    server:close()
    assert.is_nil((client:read()))
    client:close()
    assert.equal(("proxy: %s to %s: connection reset by peer, after 3 bytes there and 2 back")
      :format(from, listener:address()), proxy.child:line("err"))
    listener:close()
    proxy.child:kill("TERM")
    proxy.child:wait()
  end)

  it("lets a slow reader wait alone", in_front("^$", function(proxy, listener)
    local slow, slow_server = proxy:dial(), assert(listener:accept())
    local filled = support.fill(slow)
    local quick, quick_server = proxy:dial(), assert(listener:accept())
    quick:write("quick")
    assert.equal("quick", quick_server:read_exactly(5))
    slow:close_write()
    assert.same({ filled, "eof" }, { support.drain(slow_server) })
    for _, conn in ipairs { slow, slow_server, quick, quick_server } do conn:close() end
  end))

  it("relays for nc", in_front("^$", function(proxy, listener)
    local target = moonpark.go(function()
      local conn = assert(listener:accept())
      local got = conn:read_all()
      conn:write(got:upper())
      conn:close()
    end)
    local nc = process.run({ "nc", "-N", "127.0.0.1", proxy.port }, { stdin = "hello through the proxy\n" })
    assert.same({ 0, "HELLO THROUGH THE PROXY\n" }, { nc.status, nc.out })
    assert.is_true(target:join())
  end))

  it("relays for redis-cli to kv.lua", function()
    local kv = example.start("kv.lua")
    local proxy = proxy_to(kv.address)
    local function redis(...) return process.run { "redis-cli", "-p", proxy.port, ... }.out end
    assert.equal("OK\n", redis("set", "greeting", "hello"))
    assert.equal("hello\n", redis("get", "greeting"))
    local length = core.hard and 1000 or 300000
    local large = support.random_bytes(length, 9)
    local conn = proxy:dial()
    conn:write("*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n$", length, "\r\n", large, "\r\n")
    conn:write("*2\r\n$3\r\nGET\r\n$5\r\nlarge\r\n")
    local answer = ("+OK\r\n$%d\r\n%s\r\n"):format(length, large) -- whole: bytes left unread make close() a reset
    assert.is_true(conn:read_exactly(#answer) == answer)
    conn:close()
    proxy:stop()
    kv:stop()
  end)

  it("explains itself, and says what it misses", function()
    local r = process.run(example.plain("proxy.lua", "--help"))
    assert.same({ 0, "" }, { r.status, r.err })
    assert.matches("^usage: proxy%.lua", r.out)
    r = process.run(example.plain("proxy.lua", "127.0.0.1:0"))
    assert.same({ 2, "" }, { r.status, r.out })
    assert.matches("^usage: proxy%.lua", r.err)
  end)

  it("says why it cannot listen, and what is wrong with an address", function()
    local taken = assert(net.listen("127.0.0.1:0"))
    local r = process.run(example.plain("proxy.lua", taken:address(), "127.0.0.1:1"))
    assert.same({ 1, ("proxy: cannot listen on %s: address already in use\n"):format(taken:address()) },
      { r.status, r.err })
    taken:close()
    r = process.run(example.plain("proxy.lua", "127.0.0.1:0", "nowhere"))
    assert.same({ 2, "proxy: missing port: 'nowhere'\n" }, { r.status, r.err })
    for target, hint in pairs { ["udp:127.0.0.1:1"] = "; did you mean '127.0.0.1:1'?", ["unixgram:@nowhere"] = "" } do
      r = process.run(example.plain("proxy.lua", "127.0.0.1:0", target))
      assert.same({ 2, ("proxy: not a stream address: '%s'%s\n"):format(target, hint) }, { r.status, r.err })
    end
  end)

  it("runs under the moonpark command too, and ends with SIGTERM", function()
    local proxy = example.start("proxy.lua", process.moonpark(example.path("proxy.lua"), "127.0.0.1:0", "127.0.0.1:1"))
    proxy.child:kill("TERM")
    local status, _, err = proxy.child:wait()
    assert.same({ 128 + 15, "" }, { status, err })
  end)
end)

-- SPDX-License-Identifier: MIT
-- What every packet socket does, whatever carries it: UDP over IPv4 and IPv6, unix datagrams with a path or an
-- abstract name.

local core = require "moonpark.core"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local support = require "support.net"

local ECONNREFUSED, EMSGSIZE, EINVAL = 111, 90, 22

local function has_ipv6()
  local socket = net.packet("udp:[::1]:0")
  if socket then socket:close() end
  return socket ~= nil
end

local number = 0
local function abstract()
  number = number + 1
  return ("unixgram:@moonpark-packet-spec-%d-%d"):format(support.pid(), number)
end

-- Each kind: body(new, folder), where new([options]) makes a socket at a fresh address.
local kinds = {
  { name = "UDP over IPv4", address = function() return "udp:127.0.0.1:0" end },
  { name = "UDP over IPv6", address = function() return "udp:[::1]:0" end, ipv6 = true },
  { name = "unix datagrams", unix = true, address = function(folder)
    number = number + 1
    return ("unixgram:%s/%d"):format(folder, number)
  end },
  { name = "abstract unix datagrams", unix = true, address = abstract },
}

-- The body of an `it`: body(a, b, new) with two fresh sockets of that kind, closed afterwards.
local function with_two(kind, body)
  return function()
    support.with_folder(function(folder)
      if kind.ipv6 and not has_ipv6() then return end
      local function new(options) return assert(net.packet(kind.address(folder), options)) end
      local a, b = new(), new()
      body(a, b, new)
      a:close()
      b:close()
      core.check()
    end)
  end
end

for _, kind in ipairs(kinds) do
  local function it_with_two(name, body) it(name, with_two(kind, body)) end

  describe("a packet socket of " .. kind.name, function()
    it_with_two("carries datagrams one by one and says who sent each", function(a, b)
      assert.equal(5, a:send_to("hello", b:address()))
      assert.equal(3, a:send_to("you", b:address()))
      assert.same({ "hello", a:address() }, { b:recv_from() })
      assert.same({ "you", a:address() }, { b:recv_from() })
    end)

    it_with_two("answers with the address that came", function(a, b)
      a:send_to("ping", b:address())
      local data, from = b:recv_from()
      assert.equal(4, b:send_to(data, from))
      assert.same({ "ping", b:address() }, { a:recv_from() })
    end)

    it_with_two("takes its own address back", function(a, _, new)
      local address, again
      for _ = 1, 20 do -- another process may be given a port before it is taken back
        local before = new()
        address = before:address()
        before:close()
        again = net.packet(address)
        if again then break end
      end
      assert.equal(address, again:address())
      assert.equal(address, again:local_address())
      a:send_to("x", address)
      assert.equal("x", again:recv())
      again:close()
    end)

    it_with_two("waits for a datagram", function(a, b)
      local reader = support.parked(function() return b:recv_from() end)
      a:send_to("at last", b:address())
      assert.same({ true, "at last", a:address() }, { reader:join() })
    end)

    it_with_two("sees every datagram of many that come at once", function(a, b)
      local got = moonpark.go(function()
        local all = {}
        for i = 1, 9 do all[i] = assert(b:recv()) end
        return table.concat(all)
      end)
      for _ = 1, 3 do
        for i = 1, 3 do a:send_to(tostring(i), b:address()) end
        support.settle()
      end
      assert.same({ true, "123123123" }, { got:join() })
    end)

    it_with_two("carries a datagram of nothing, which is no end", function(a, b)
      assert.equal(0, a:send_to("", b:address()))
      a:send_to("more", b:address())
      assert.same({ "", a:address() }, { b:recv_from() })
      assert.equal("more", b:recv())
    end)

    it_with_two("says how long a datagram was that did not fit", function(a, b)
      for _ = 1, 4 do a:send_to("0123456789", b:address()) end
      assert.same({ "0123", a:address(), 10 }, { b:recv_from(4) })
      assert.same({ "0", 10 }, { b:recv(1) })
      assert.same({ "0123456789", a:address() }, { b:recv_from(10) })
      assert.same({ "0123456789" }, { b:recv() })
    end)

    it_with_two("carries any bytes, up to 65000 of them", function(a, b)
      local sent = support.random_bytes(65000)
      assert.equal(65000, a:send_to(sent, b:address()))
      assert.is_true(b:recv() == sent)
    end)

    it_with_two("fails a datagram that is too long, and goes on", function(a, b)
      assert(a:setoption("sndbuf", 65536))
      local ok, err, errno = a:send_to(("x"):rep(1000000), b:address())
      assert.same({ nil, "message too long", EMSGSIZE }, { ok, err, errno })
      a:send_to("short", b:address())
      assert.equal("short", b:recv())
    end)

    it_with_two("connected to a peer sends to it and hears only it", function(a, b, new)
      local other = new()
      assert.same({ nil, "transport endpoint is not connected", 107 }, { a:peer_address() })
      local c = new { peer = b:address() }
      assert.equal(b:address(), c:peer_address())
      if kind.unix then
        assert.same({ nil, "operation not permitted", 1 }, { other:send_to("no", c:address()) })
      else
        assert(other:send_to("no", c:address()))
      end
      assert.equal(3, c:send("yes"))
      assert.same({ "yes", c:address() }, { b:recv_from() })
      b:send_to("back", c:address())
      assert.same({ "back", b:address() }, { c:recv_from() })
      other:close()
      c:close()
    end)

    it_with_two("of no peer has nowhere to send to", function(a)
      local ok, err = a:send("x")
      assert.is_nil(ok)
      assert.equal(kind.unix and "transport endpoint is not connected" or "destination address required", err)
    end)

    it_with_two("times out, and is usable afterwards", function(a, b)
      assert(b:set_read_deadline(moonpark.now() - 5))
      a:send_to("early", b:address())
      assert.same({ nil, "timeout" }, { b:recv_from() })
      assert(b:set_deadline(nil))
      assert.equal("early", b:recv())
      assert(b:set_timeout(0.005))
      assert.same({ nil, "timeout" }, { b:recv() })
      assert.same({ nil, "timeout" }, { b:recv_many(3) })
      assert.same({ nil, "timeout" }, { b:wait_readable() })
      assert(b:set_timeout(nil))
      assert(a:set_write_deadline(moonpark.now() - 5))
      assert.same({ nil, "timeout" }, { a:send_to("x", b:address()) })
      assert.same({ nil, "timeout", nil, 0 }, { a:send_many({ "x" }, b:address()) })
      assert(a:set_write_deadline(nil))
      assert.equal(1, a:send_to("x", b:address()))
      assert.equal("x", b:recv())
    end)

    it_with_two("ends a parked receive when a deadline is set to the past meanwhile", function(_, b)
      local reader = support.parked(b.recv_from, b)
      assert(b:set_read_deadline(moonpark.now() - 5))
      assert.same({ true, nil, "timeout" }, { reader:join() })
    end)

    it_with_two("fails who waits, and who queues behind, with closed", function(_, b)
      local first, second = support.parked(b.recv_from, b), support.parked(b.recv_many, b, 2)
      b:close()
      assert.same({ true, nil, "closed" }, { first:join() })
      assert.same({ true, nil, "closed" }, { second:join() })
    end)

    it_with_two("says closed to everything once it is closed", function(a, b)
      local address = b:address()
      assert.is_false(a:is_closed())
      assert.is_true(a:close())
      assert.is_true(a:close())
      assert.is_true(a:is_closed())
      local closed = { nil, "closed" }
      assert.same(closed, { a:recv_from() })
      assert.same(closed, { a:recv() })
      assert.same(closed, { a:recv_many(2) })
      assert.same(closed, { a:send_to("x", address) })
      assert.same(closed, { a:send("x") })
      assert.same({ nil, "closed", nil, 0 }, { a:send_many({ "x" }, address) })
      assert.same(closed, { a:address() })
      assert.same(closed, { a:peer_address() })
      assert.same(closed, { a:set_deadline(nil) })
      assert.same(closed, { a:setoption("rcvbuf", 5000) })
      assert.same(closed, { a:wait_readable() })
      assert.same(closed, { a:join_group("239.1.1.1") })
      assert.equal("closed connection", tostring(a))
    end)

    it_with_two("lets a task go that is cancelled, and loses nothing by it", function(a, b)
      local reader = support.parked(b.recv_from, b)
      local behind = support.parked(b.recv_from, b)
      reader:cancel()
      assert.same({ true, nil, "canceled" }, { reader:join() })
      a:send_to("for you", b:address())
      assert.same({ true, "for you", a:address() }, { behind:join() })
    end)

    it_with_two("keeps a datagram for the next where cancelling and its arrival meet", function(a, b)
      local reader = support.parked(b.recv_from, b)
      a:send_to("kept", b:address())
      reader:cancel()
      local _, data = reader:join()
      assert.equal("kept", data or b:recv())
    end)

    it_with_two("serves several tasks in the order they came", function(a, b)
      local readers = {}
      for i = 1, 3 do readers[i] = support.parked(b.recv, b) end
      for i = 1, 3 do a:send_to(tostring(i), b:address()) end
      for i = 1, 3 do assert.same({ true, tostring(i) }, { readers[i]:join() }) end
    end)

    it_with_two("is ready to read when something is there, and can be written to", function(a, b)
      assert.same({ 1, true }, { moonpark.select { { b, "w" } } })
      assert.same({ nil, "timeout" }, { moonpark.select { { a, "r" }, { b, "r" }, timeout = 0.005 } })
      local waiter = support.parked(moonpark.select, { { a, "r" }, { b, "r" } })
      a:send_to("x", b:address())
      assert.same({ true, 2, true }, { waiter:join() })
      assert.is_true(b:wait_readable())
      assert.is_true(b:wait_writable())
      assert.equal("x", b:recv())
    end)

    it_with_two("keeps options", function(a)
      assert(a:setoption("rcvbuf", 32768))
      assert.is_true(a:getoption("rcvbuf") >= 32768)
      assert.is_false(a:getoption("reuseaddr"))
      assert(a:setoption("broadcast", true))
      assert.is_true(a:getoption("broadcast"))
    end)

    it_with_two("names itself", function(a, b, new)
      local function bare(address) return (address:gsub("^%w+:", "", 1)) end
      local word = kind.unix and "unixgram " or "udp "
      assert.equal(word .. bare(a:address()), tostring(a))
      local c = new { peer = b:address() }
      assert.equal(word .. bare(c:address()) .. " to " .. bare(b:address()), tostring(c))
      local reader = support.parked(a.recv_from, a)
      assert.is_truthy(moonpark.dump():find("parked in recv_from on " .. tostring(a), 1, true))
      c:close()
      reader:cancel()
      reader:join()
    end)

    it_with_two("sends many and receives many with one call each", function(a, b)
      local sent = { "one", "", "three", "four" }
      assert.equal(4, a:send_many(sent, b:address()))
      local from = a:address()
      assert.same({ sent, { from, from, from, from } }, { b:recv_many(10) })
    end)

    it_with_two("receives no more than were asked for, and says which were cut", function(a, b)
      assert.equal(3, a:send_many({ "a", "bcdef", "ghi" }, b:address()))
      local data, from, cut = b:recv_many(2, 3)
      assert.same({ { "a", "bcd" }, { a:address(), a:address() }, { [2] = 5 } }, { data, from, cut })
      data, from, cut = b:recv_many(2, 3)
      assert.same({ { "ghi" }, { a:address() }, nil }, { data, from, cut })
    end)

    it_with_two("waits for the first of many", function(a, b)
      local reader = support.parked(b.recv_many, b, 5)
      a:send_many({ "x" }, b:address())
      assert.same({ true, { "x" }, { a:address() } }, { reader:join() })
    end)

    it_with_two("sends many, each to an address of its own", function(a, b)
      assert.equal(2, a:send_many({ "to b", "to a" }, { b:address(), a:address() }))
      assert.same({ "to b", a:address() }, { b:recv_from() })
      assert.same({ "to a", a:address() }, { a:recv_from() })
      assert.equal(0, a:send_many({}, b:address()))
    end)

    it_with_two("says how many of many were sent before a failure", function(a, b)
      assert(a:setoption("sndbuf", 65536))
      local ok, err, errno, sent = a:send_many({ "x", "y", ("z"):rep(1000000), "w" }, b:address())
      assert.same({ nil, "message too long", EMSGSIZE, 2 }, { ok, err, errno, sent })
      assert.same({ "x", "y" }, (b:recv_many(5)))
    end)

    it_with_two("sends many to its peer", function(a, b, new)
      local c = new { peer = b:address() }
      assert.equal(2, c:send_many { "x", "y" })
      assert.same({ "x", "y" }, (b:recv_many(5)))
      assert.equal(0, a:send_many {})
      c:close()
    end)

    it_with_two("is closed by the collector when it is garbage", function(a)
      local before = support.descriptors()
      local address = a:address()
      local function make()
        for i = 1, 3 do assert(net.packet(kind.unix and "unixgram:" or "udp:127.0.0.1:0", { peer = i == 1 and address
          and not kind.ipv6 and address or nil })) end
      end
      make()
      collectgarbage()
      collectgarbage()
      assert.equal(before, support.descriptors())
    end)
  end)
end

---------------------------------------------------------------------------------------------------

describe("a UDP socket", function()
  it("takes an address to send to without its \"udp:\"", function()
    local a, b = assert(net.packet("udp:127.0.0.1:0")), assert(net.packet("udp:127.0.0.1:0"))
    local plain = b:address():gsub("^udp:", "")
    for _ = 1, 2 do assert.equal(1, a:send_to("x", plain)) end
    assert.same({ { "x", "x" }, { a:address(), a:address() } }, { b:recv_many(2) })
    a:send_to("y", (":" .. plain:match("%d+$")))
    assert.equal("y", b:recv())
    a:close()
    b:close()
  end)

  it("on every local address talks IPv4 too, in plain addresses", function()
    local all = assert(net.packet("udp::0"))
    local port = all:address():match("%d+$")
    local four = assert(net.packet("udp:127.0.0.1:0"))
    four:send_to("four", "udp:127.0.0.1:" .. port)
    local data, from = all:recv_from()
    assert.same({ "four", four:address() }, { data, from })
    all:send_to("back", from)
    assert.same({ "back", "udp:127.0.0.1:" .. port }, { four:recv_from() })
    four:close()
    all:close()
  end)

  it("on every local address talks both", function()
    if not has_ipv6() then return end
    local all, six = assert(net.packet("udp::0")), assert(net.packet("udp:[::1]:0"))
    assert.is_false(all:getoption("v6only"))
    assert.is_true(six:getoption("v6only"))
    local port = all:address():match("%d+$")
    six:send_to("six", "udp:[::1]:" .. port)
    assert.same({ "six", six:address() }, { all:recv_from() })
    local only = assert(net.packet("udp::0", { v6only = true }))
    assert.is_true(only:getoption("v6only"))
    for _, socket in ipairs { all, six, only } do socket:close() end
  end)

  it("on every local address shows an IPv4 peer as such", function()
    local b = assert(net.packet("udp:127.0.0.1:0"))
    local a = assert(net.packet("udp::0", { peer = b:address() }))
    assert.equal(b:address(), a:peer_address())
    assert.matches("^udp:127%.0%.0%.1:%d+$", a:address())
    a:send("x")
    assert.same({ "x", a:address() }, { b:recv_from() })
    a:close()
    b:close()
  end)

  it("cannot send to the other family, nor to a unix path", function()
    local a = assert(net.packet("udp:127.0.0.1:0"))
    local unsupported = { nil, "address family not supported by protocol", 97 }
    assert.same(unsupported, { a:send_to("x", "udp:[::1]:9") })
    assert.same(unsupported, { a:send_to("x", "unixgram:/tmp/none") })
    a:close()
  end)

  it("connected is told once that nobody is there, and goes on", function()
    local b = assert(net.packet("udp:" .. support.own_host() .. ":0"))
    local address = b:address()
    b:close()
    local a = assert(net.packet("udp:127.0.0.1:0", { peer = address }))
    local reader = support.parked(a.recv_from, a)
    assert.equal(1, a:send("x"))
    assert.same({ true, nil, "connection refused", ECONNREFUSED }, { reader:join() })
    b = assert(net.packet(address))
    assert.equal(1, a:send("y"))
    assert.same({ "y", a:address() }, { b:recv_from() })
    b:send_to("z", a:address())
    assert.equal("z", a:recv())
    a:close()
    b:close()
  end)

  it("connected is told so by the next send, too", function()
    local b = assert(net.packet("udp:" .. support.own_host() .. ":0"))
    local a = assert(net.packet("udp:127.0.0.1:0", { peer = b:address() }))
    b:close()
    a:send("x")
    assert.same({ nil, "connection refused", ECONNREFUSED }, { a:send("y") })
    a:close()
  end)

  it("that is not connected never hears of it", function()
    local a, b = assert(net.packet("udp:127.0.0.1:0")), assert(net.packet("udp:127.0.0.1:0"))
    local address = b:address()
    b:close()
    assert.equal(1, a:send_to("x", address))
    assert.equal(1, a:send_to("y", address))
    assert.same({ nil, "timeout" }, { moonpark.timeout(0.01, a.recv_from, a) })
    a:close()
  end)

  it("shares a port where both ask for it, and not otherwise", function()
    local a = assert(net.packet("udp:127.0.0.1:0", { reuseport = true }))
    local b = assert(net.packet(a:address(), { reuseport = true }))
    assert.same({ nil, "address already in use", 98 }, { net.packet(a:address()) })
    assert.is_true(a:getoption("reuseport"))
    a:close()
    b:close()
    a = assert(net.packet("udp:127.0.0.1:0", { reuseaddr = true }))
    assert(net.packet(a:address(), { reuseaddr = true })):close()
    a:close()
  end)

  it("at an address that is not ours fails", function()
    assert.same({ nil, "cannot assign requested address", 99 }, { net.packet("udp:198.51.100.1:0") })
  end)
end)

describe("broadcast", function()
  it("needs the option, and reaches who is at every address", function()
    local all = assert(net.packet("udp:0.0.0.0:0"))
    local a = assert(net.packet("udp:127.0.0.1:0"))
    local address = "udp:127.255.255.255:" .. all:address():match("%d+$")
    assert.same({ nil, "permission denied", 13 }, { a:send_to("x", address) })
    a:setoption("broadcast", true)
    assert.equal(1, a:send_to("x", address))
    assert.same({ "x", a:address() }, { all:recv_from() })
    a:close()
    a = assert(net.packet("udp:127.0.0.1:0", { broadcast = true }))
    assert.is_true(a:getoption("broadcast"))
    a:close()
    all:close()
  end)
end)

---------------------------------------------------------------------------------------------------
-- groups, on the loopback interface alone

describe("a group", function()
  local function pair()
    local member = assert(net.packet("udp:0.0.0.0:0"))
    local sender = assert(net.packet("udp:127.0.0.1:0"))
    assert.is_true(sender:setoption("multicast_interface", "127.0.0.1"))
    return member, sender, "udp:239.255.77.1:" .. member:address():match("%d+$")
  end

  it("reaches its members, until they leave", function()
    local member, sender, group = pair()
    assert.is_true(member:join_group("239.255.77.1", "127.0.0.1"))
    assert.equal(1, sender:send_to("x", group))
    assert.same({ "x", sender:address() }, { member:recv_from() })
    assert.is_true(member:leave_group("239.255.77.1", "127.0.0.1"))
    sender:send_to("y", group)
    assert.same({ nil, "timeout" }, { moonpark.timeout(0.01, member.recv, member) })
    member:close()
    sender:close()
  end)

  it("is joined on an interface by its name or number, once", function()
    local member, sender, group = pair()
    assert.is_true(member:join_group("239.255.77.1", "lo"))
    assert.same({ nil, "address already in use", 98 }, { member:join_group("239.255.77.1", "1") })
    sender:send_to("x", group)
    assert.equal("x", member:recv())
    assert.is_true(member:leave_group("239.255.77.1", "lo"))
    assert.same({ nil, "cannot assign requested address", 99 }, { member:leave_group("239.255.77.1", "lo") })
    assert.is_true(sender:setoption("multicast_interface", "lo"))
    member:close()
    sender:close()
  end)

  it("is not heard on this machine where multicast_loop is off", function()
    local member, sender, group = pair()
    assert.is_true(sender:getoption("multicast_loop"))
    assert(sender:setoption("multicast_loop", false))
    assert.is_false(sender:getoption("multicast_loop"))
    assert(member:join_group("239.255.77.1", "127.0.0.1"))
    assert(sender:setoption("multicast_loop", true))
    sender:send_to("x", group)
    assert.equal("x", member:recv())
    member:close()
    sender:close()
  end)

  it("of IPv6 is joined on an interface, named beside it or in it", function()
    if not has_ipv6() then return end
    local member = assert(net.packet("udp::0"))
    assert.is_true(member:join_group("ff01::7777", "lo"))
    assert.same({ nil, "address already in use", 98 }, { member:join_group("ff01::7777%lo") })
    assert.is_true(member:setoption("multicast_interface", "lo"))
    assert.is_true(member:leave_group("ff01::7777%lo"))
    assert.same({ nil, "no such device", 19 }, { member:join_group("ff01::7777", "127.0.0.1") })
    member:close()
  end)

  it("of IPv4 is heard by a socket of both families", function()
    local member, sender = assert(net.packet("udp::0")), assert(net.packet("udp:127.0.0.1:0"))
    assert(sender:setoption("multicast_interface", "127.0.0.1"))
    assert.is_true(member:join_group("239.255.77.2", "127.0.0.1"))
    sender:send_to("x", "udp:239.255.77.2:" .. member:address():match("%d+$"))
    assert.same({ "x", sender:address() }, { member:recv_from() })
    member:close()
    sender:close()
  end)

  it("has its options on both families", function()
    for _, address in ipairs { "udp:127.0.0.1:0", has_ipv6() and "udp::0" or nil } do
      local a = assert(net.packet(address))
      for _, name in ipairs { "multicast_ttl", "ttl" } do
        assert.is_true(a:setoption(name, 7))
        assert.equal(7, a:getoption(name))
        assert.same({ nil, "invalid argument", EINVAL }, { a:setoption(name, 300) })
      end
      a:close()
    end
  end)

  it("on an interface that does not exist fails; what is no group is a mistake", function()
    local a = assert(net.packet("udp:127.0.0.1:0"))
    local none = { nil, "no such device", 19 }
    assert.same(none, { a:join_group("239.1.1.1", "no-such-if") })
    assert.same(none, { a:setoption("multicast_interface", "no-such-if") })
    for group, words in pairs { ["127.0.0.1"] = "not a multicast address", ["::1"] = "not a multicast address",
      ["mdns.example"] = "not a numeric address", [""] = "not a numeric address", [("1"):rep(500)] = "address" } do
      assert.error_matches(function() a:join_group(group) end, words)
    end
    assert.error_matches(function() a:join_group() end, "string expected")
    assert.error_matches(function() a:setoption("multicast_interface", true) end, "string expected")
    a:close()
  end)
end)

---------------------------------------------------------------------------------------------------

describe("misuse of a packet socket", function()
  local function with_one(body)
    return function()
      local a = assert(net.packet("udp:127.0.0.1:0"))
      body(a)
      a:close()
    end
  end

  -- fn's error names a line of this file and says words.
  local function raises(words, fn)
    local ok, err = pcall(fn)
    assert.is_false(ok)
    assert.is_truthy(err:find("packet_spec.lua:%d+: ") and err:find(words, 1, true), err)
  end

  it("raises at the caller's line: addresses", with_one(function(a)
    for address, words in pairs {
      ["127.0.0.1"] = "missing port", ["udp:127.0.0.1:99999"] = "invalid port",
      ["unix:/tmp/x"] = "not a datagram address", ["udp:[::1:9"] = "missing ]",
      ["x\0:1"] = "zero byte", [""] = "missing port",
    } do
      raises(words, function() a:send_to("x", address) end)
      raises(words, function() a:send_many({ "x" }, address) end)
      raises(words, function() a:send_many({ "x", "y" }, { a:address(), address }) end)
    end
    local u = assert(net.packet("unixgram:"))
    raises("not a datagram address", function() u:send_to("x", "127.0.0.1:9") end)
    u:close()
  end))

  it("raises at the caller's line: arguments", with_one(function(a)
    local address = a:address()
    raises("string expected", function() a:send_to({}, address) end)
    raises("string expected", function() a:send_to("x") end)
    raises("string expected", function() a:send() end)
    raises("whole number", function() a:recv_from(0) end)
    raises("whole number", function() a:recv(1.5) end)
    raises("number expected", function() a:recv_many() end)
    raises("whole number", function() a:recv_many(0) end)
    raises("table expected", function() a:send_many("x", address) end)
    raises("datagram 2 is a boolean", function() a:send_many({ "x", false }, address) end)
    raises("datagram 1 is a number", function() a:send_many({ 1 }, address) end)
    raises("address 2 is a nil", function() a:send_many({ "x", "y" }, { a:address() }) end)
    raises("string or table expected", function() a:send_many({ "x" }, 5) end)
    raises("at most 1024 datagrams expected", function()
      local many = {}
      for i = 1, 1025 do many[i] = "x" end
      a:send_many(many, address)
    end)
    raises("unknown option 'ttll'", function() a:setoption("ttll", 1) end)
  end))

  it("raises at the caller's line: what is no packet socket", with_one(function(a)
    local other, peer = net.pipe()
    raises("packet socket expected, got a connection", function() a.recv_from(other) end)
    raises("packet socket expected, got a connection", function() a.send_to(other, "x", "y") end)
    raises("packet socket expected, got table", function() a.send_to({}, "x", "y") end)
    raises("connection expected, got a packet socket", function() other.read(a) end)
    raises("listener expected", function() other.accept(a) end)
    raises("connection expected", function() other.lines(a) end)
    raises("listener expected", function() other.serve(a, print) end)
    other:close()
    peer:close()
  end))

  it("raises at the caller's line: making one", function()
    raises("packet: not a datagram address: '127.0.0.1:0'", function() net.packet("127.0.0.1:0") end)
    raises("packet: not a datagram address: 'unix:/tmp/x'", function() net.packet("unix:/tmp/x") end)
    raises("string expected, got nil", function() net.packet() end)
    raises("table expected, got string", function() net.packet("udp::0", "reuse") end)
    raises("unknown option 'reuse'", function() net.packet("udp::0", { reuse = true }) end)
    raises("option 'peer' must be a string", function() net.packet("udp::0", { peer = 9 }) end)
    raises("not a datagram address: '127.0.0.1:9'", function() net.packet("udp::0", { peer = "127.0.0.1:9" }) end)
    raises("listen: not a stream address: 'udp:127.0.0.1:0'", function() net.listen("udp:127.0.0.1:0") end)
  end)
end)

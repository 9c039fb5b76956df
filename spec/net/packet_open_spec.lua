-- SPDX-License-Identifier: MIT
-- packet_open_spec.lua - how packet sockets are made: by names, by net.dial, and on networks besides loopback.

local core = require "moonpark.core"
local moonpark = require "moonpark"
local names = require "support.names"
local net = require "moonpark.net"
local netns = require "support.netns"
local support = require "support.net"

-- The body of an `it`: body(socket) with one that receives at a numeric address.
local function receiving(body)
  return function()
    local socket = assert(net.packet("udp:127.0.0.1:0"))
    body(socket, socket:address():match("%d+$"))
    socket:close()
    core.check()
  end
end

local function on(host, port) return ("udp:%s:%s"):format(host, port) end

describe("a packet socket by name", function()
  it("is at the first of the name's addresses that can be had", names.with({
    here = { "198.51.100.1", "127.0.0.1" }, none = {}, gone = { "198.51.100.1", "198.51.100.2" } }, function()
    local socket = assert(net.packet("udp:here:0"))
    assert.matches("^udp:127%.0%.0%.1:%d+$", socket:address())
    socket:close()
    assert.same({ nil, "cannot assign requested address", 99 }, { net.packet("udp:gone:0") })
    assert.same({ nil, "no such host" }, { net.packet("udp:none:0") })
    assert.same({ nil, "no such host" }, { net.packet("udp:unknown:0") })
    assert.same({ nil, "no such host" }, { net.packet("udp:here:0", { peer = "udp:unknown:9" }) })
  end))

  it("has a peer of its own family", names.with({ peer = { "::1", "127.0.0.1" } }, receiving(function(b, port)
    local a = assert(net.packet("udp:127.0.0.1:0", { peer = on("peer", port) }))
    assert.equal(b:address(), a:peer_address())
    a:send("x")
    assert.same({ "x", a:address() }, { b:recv_from() })
    a:close()
  end)))

  it("sends to a name, to the first address that it can send to", names.with({
    peer = { "::1", "127.0.0.1" }, six = { "::1" } }, receiving(function(b, port)
    local a = assert(net.packet("udp:127.0.0.1:0"))
    for _, address in ipairs { on("peer", port), "peer:" .. port } do
      assert.equal(1, a:send_to("x", address))
      assert.same({ "x", a:address() }, { b:recv_from() })
    end
    assert.same({ nil, "address family not supported by protocol", 97 }, { a:send_to("x", on("six", port)) })
    assert.same({ nil, "no such host" }, { a:send_to("x", on("unknown", port)) })
    names.known({ peer = function() return nil, "too many open files", 24 end }, function()
      assert.same({ nil, "too many open files", 24 }, { a:send_to("x", on("peer", port)) })
    end)
    a:close()
  end)))

  it("looks names up within the time that a send has", function()
    local limits = {}
    local function slow(_, deadline)
      limits[#limits + 1] = deadline or false
      return { "127.0.0.1" }
    end
    names.known({ slow = slow }, receiving(function(b, port)
      local a = assert(net.packet("udp:127.0.0.1:0"))
      local before = moonpark.now()
      a:send_to("x", on("slow", port))
      a:set_timeout(30)
      a:send_to("x", on("slow", port))
      a:set_write_deadline(before + 10)
      a:send_to("x", on("slow", port))
      a:set_write_deadline(before - 1)
      assert.same({ nil, "timeout" }, { a:send_to("x", on("slow", port)) })
      assert.is_false(limits[1])
      assert.is_true(limits[2] >= before + 30 and limits[2] <= moonpark.now() + 30)
      assert.is_true(math.abs(limits[3] - (before + 10)) < 1e-6)
      assert.is_true(limits[4] <= moonpark.now())
      assert.same({ "x", "x", "x" }, (b:recv_many(9)))
      a:close()
    end))
  end)

  it("that is closed, or whose task is cancelled, during a look-up sends nothing", function()
    local a = assert(net.packet("udp:127.0.0.1:0"))
    local function slow()
      local ok, err = moonpark.sleep(0.005)
      if not ok then return nil, err end
      return { "127.0.0.1" }
    end
    names.known({ slow = slow }, function()
      local sending = support.parked(a.send_to, a, "x", "udp:slow:9")
      sending:cancel()
      assert.same({ true, nil, "canceled" }, { sending:join() })
      sending = support.parked(a.send_to, a, "x", "udp:slow:9")
      a:close()
      assert.same({ true, nil, "closed" }, { sending:join() })
    end)
  end)

  it("takes no names in send_many, nor a unix socket any", function()
    local a, u = assert(net.packet("udp:127.0.0.1:0")), assert(net.packet("unixgram:"))
    assert.error_matches(function() a:send_many({ "x" }, "udp:localhost:9") end, "not a numeric address")
    assert.error_matches(function() u:send_to("x", "udp:localhost:9") end, "not a numeric address")
    assert.error_matches(function() a:send_to("x", "udp:local host:9") end, "invalid host name")
    a:close()
    u:close()
  end)
end)

describe("dial of an address of datagrams", function()
  it("gives a packet socket that is connected", receiving(function(b, port)
    local a = assert(net.dial(on("127.0.0.1", port)))
    assert.equal(b:address(), a:peer_address())
    assert.equal(4, a:send("ping"))
    local data, from = b:recv_from()
    assert.same({ "ping", a:address() }, { data, from })
    b:send_to("pong", from)
    assert.equal("pong", a:recv())
    a:close()
    a = assert(net.dial(on("", port)))
    assert.equal(b:address(), a:peer_address())
    a:close()
  end))

  it("takes names, a limit and a local address", names.with({ peer = { "::1", "127.0.0.1" } }, receiving(
    function(b, port)
    local a = assert(net.dial(on("peer", port), { timeout = 30, local_address = "udp:127.0.0.2:0" }))
    assert.matches("^udp:127%.0%.0%.2:%d+$", a:address())
    assert.equal(b:address(), a:peer_address())
    a:close()
    assert.same({ nil, "no such host" }, { net.dial("udp:unknown:9") })
  end)))

  it("reaches a unix path, and fails where nobody is", function()
    support.with_folder(function(folder)
      local b = assert(net.packet("unixgram:" .. folder .. "/b"))
      local a = assert(net.dial(b:address(), { local_address = "unixgram:" .. folder .. "/a" }))
      a:send("x")
      assert.same({ "x", "unixgram:" .. folder .. "/a" }, { b:recv_from() })
      a:close()
      b:close()
      assert.same({ nil, "no such file or directory", 2 }, { net.dial("unixgram:" .. folder .. "/b") })
    end)
  end)

  it("leaves no descriptor behind where it fails", function()
    local before = support.descriptors()
    assert.is_nil((net.dial("unixgram:@moonpark-packet-spec-nobody")))
    assert.is_nil((net.dial("udp:127.0.0.1:9", { local_address = "udp:198.51.100.1:0" })))
    assert.is_nil((net.packet("udp:127.0.0.1:0", { peer = "unixgram:@moonpark-packet-spec-nobody" })))
    assert.equal(before, support.descriptors())
  end)

  it("fails where no descriptor is left", function()
    local give_back = support.use_up_descriptors()
    local results = { { net.dial("udp:127.0.0.1:9") }, { net.packet("udp::0") } }
    give_back()
    for _, result in ipairs(results) do assert.same({ nil, "too many open files", 24 }, result) end
  end)
end)

---------------------------------------------------------------------------------------------------
-- in network namespaces

-- The body of an `it`: the script must print these lines.
local function prints(commands, lines, script)
  return function()
    local missing = netns.missing(commands)
    if missing then return pending(missing) end
    local result = netns.run(commands, script)
    assert.same({ 0, table.concat(lines, "\n") .. "\n", "" }, { result.status, result.out, result.err })
  end
end

-- A wire with both ends here. It has no multicast router: what is sent to a group stays on it.
local wire = {
  "ip link add near type veth peer name far",
  "ip link set near addrgenmode none",
  "ip addr add fe80::1/64 dev near nodad",
  "ip addr add 198.18.0.1/24 dev near",
  "ip link set near up",
  "ip link set far up",
}

describe("without IPv6", function()
  it("a packet socket at every local address talks IPv4, and one at an IPv6 address is an ordinary failure", prints(
    netns.no_ipv6, { "cannot assign requested address", "x" }, [[
    print((select(2, net.packet("udp:[::1]:0"))))
    local a = assert(net.packet("udp::0"))
    a:send_to("x", "udp:127.0.0.1:" .. a:address():match("%d+$"))
    print((a:recv()))
    a:close()
  ]]))
end)

describe("a group on a wire", function()
  it("of IPv6 is joined and heard by its interface", prints(wire, { "1", "x udp:[fe80::1%near]", "timeout" }, [[
    local member, sender = assert(net.packet("udp::0")), assert(net.packet("udp::0"))
    local to = "udp:[ff02::7777]:" .. member:address():match("%d+$")
    assert(member:join_group("ff02::7777", "near"))
    assert(sender:setoption("multicast_interface", "near"))
    print((sender:send_to("x", to)))
    member:set_timeout(0.1)
    local data, from = member:recv_from()
    while not data do -- a wire that has just come up may lose the first
      sender:send_to("x", to)
      data, from = member:recv_from()
    end
    print(data .. " " .. from:gsub(":%d+$", ""))
    assert(member:leave_group("ff02::7777%near"))
    while member:recv_from() == "x" do end -- late ones
    sender:send_to("y", to)
    print((select(2, member:recv_from())))
    member:close()
    sender:close()
  ]]))
end)

describe("an address that cannot be reached", function()
  it("fails a send", prints({ "ip route add unreachable 203.0.113.0/24" }, { "no route to host",
    "network is unreachable" }, [[
    local a = assert(net.packet("udp:0.0.0.0:0"))
    print((select(2, a:send_to("x", "udp:203.0.113.1:9"))))
    print((select(2, a:send_to("x", "udp:198.51.100.1:9"))))
    a:close()
  ]]))
end)

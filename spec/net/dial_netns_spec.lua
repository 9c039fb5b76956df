-- SPDX-License-Identifier: MIT
-- dial_netns_spec.lua - dialling where the network is not loopback alone: addresses without a route, addresses that
-- never answer, hosts without IPv6. Each script runs in a network namespace of its own.

local netns = require "support.netns"

-- The body of an `it`: the script must print these lines.
local function prints(commands, lines, script)
  return function()
    local missing = netns.missing(commands)
    if missing then return pending(missing) end
    local result = netns.run(commands, script)
    assert.same({ 0, table.concat(lines, "\n") .. "\n", "" }, { result.status, result.out, result.err })
  end
end

describe("without IPv6", function()
  it("a dial by name reaches the IPv4 address", prints(netns.no_ipv6, { "127.0.0.1", "0" }, [[
    local listener = assert(net.listen("127.0.0.1:0"))
    local before = support.descriptors()
    names.known({ name = { "::1", "127.0.0.1" } }, function()
      local client = assert(net.dial("name:" .. names.port_of(listener)))
      print((client:peer_address():gsub(":%d+$", "")))
      client:close()
    end)
    print(support.descriptors() - before)
    listener:close()
  ]]))

  it("a listen by name takes the IPv4 address", prints(netns.no_ipv6, { "127.0.0.1" }, [[
    local listener = names.known({ name = { "::1", "127.0.0.1" } }, function() return assert(net.listen("name:0")) end)
    print((listener:address():gsub(":%d+$", "")))
    listener:close()
  ]]))

  it("an IPv6 address is an ordinary failure", prints(netns.no_ipv6, { "cannot assign requested address", "true" }, [[
    print((select(2, net.listen("[::1]:0"))))
    print(select(2, net.dial("[::1]:9")) ~= nil)
  ]]))

  it("a listener on every address is reached by IPv4", prints(netns.no_ipv6, { "true" }, [[
    local listener = assert(net.listen(":0"))
    local client = net.dial("127.0.0.1:" .. names.port_of(listener))
    print(client ~= nil)
    client:close()
    listener:close()
  ]]))
end)

describe("an address without a route", function()
  local routes = { "ip route add unreachable 203.0.113.0/24", "ip route add prohibit 192.0.2.0/24" }

  it("is said to be so", prints(routes, { "nil no route to host 113", "nil network is unreachable 101",
    "nil permission denied 13", "nil network is unreachable 101", "0" }, [[
    local before = support.descriptors()
    for _, host in ipairs { "203.0.113.1", "198.51.100.1", "192.0.2.1", "[2001:db8::1]" } do
      local conn, err, errno = net.dial(host .. ":9")
      print(tostring(conn) .. " " .. err .. " " .. errno)
    end
    print(support.descriptors() - before)
  ]]))

  it("does not keep a dial by name from the others", prints(routes, { "true", "true", "no route to host" }, [[
    local listener = assert(net.listen("127.0.0.1:0"))
    local hosts = { same = { "203.0.113.1", "198.51.100.1", "127.0.0.1" }, other = { "2001:db8::1", "127.0.0.1" },
      none = { "203.0.113.1", "198.51.100.1", "2001:db8::1" } }
    names.known(hosts, function()
      for _, name in ipairs { "same", "other" } do
        local client = net.dial(name .. ":" .. names.port_of(listener), { fallback_delay = 3600 })
        print(client ~= nil)
        client:close()
      end
      print((select(2, net.dial("none:9"))))
    end)
    listener:close()
  ]]))

  it("of an interface that is not there is the system's to refuse", prints({}, { "true", "no such device" }, [[
    print(select(2, net.dial("[fe80::1%nosuchif]:9")) ~= nil)
    print((select(2, net.listen("[fe80::1%nosuchif]:0"))))
  ]]))
end)

describe("an address with a zone", function()
  it("is listened on, dialled and told by the interface's name",
    prints({ "ip link add one type veth peer name two", "ip addr add fe80::5/64 dev one nodad", "ip link set one up",
      "ip link set two up" }, { "[fe80::5%one]", "[fe80::5%one]", "[fe80::5%one]" }, [[
    local function host(address) return (address:gsub(":%d+$", "")) end
    local listener = assert(net.listen("[fe80::5%one]:0"))
    local client = assert(net.dial(listener:address()))
    print(host(listener:address()))
    print(host(client:peer_address()))
    print(host(client:local_address()))
    client:close()
    listener:close()
  ]]))
end)

describe("an address that never answers", function()
  it("is given up when the time is over or the task is cancelled", prints(netns.black_hole,
    { "timeout", "timeout", "timeout", "canceled", "timeout", "0" }, [[
    local before = support.descriptors()
    local hole = "198.18.0.9:9"
    print((select(2, net.dial(hole, { timeout = 0.01 }))))
    print((select(2, net.dial("[fd00:18::9]:9", { deadline = moonpark.now() + 0.01 }))))
    print((select(2, moonpark.timeout(0.01, net.dial, hole))))
    local task = moonpark.go(net.dial, hole)
    moonpark.sleep(0.01)
    task:cancel()
    print((select(3, task:join())))
    names.known({ name = { "198.18.0.9", "fd00:18::9" } }, function()
      print((select(2, net.dial("name:9", { timeout = 0.05, fallback_delay = 0.01 }))))
    end)
    print(support.descriptors() - before)
  ]]))

  it("leaves a dial by name to the other family after the head start", prints(netns.black_hole,
    { "127.0.0.1", "[::1]", "0" }, [[
    local four = assert(net.listen("127.0.0.1:0"))
    local six = assert(net.listen("[::1]:" .. names.port_of(four)))
    local before = support.descriptors()
    names.known({ four = { "fd00:18::9", "127.0.0.1" }, six = { "198.18.0.9", "::1" } }, function()
      for _, name in ipairs { "four", "six" } do
        local client = assert(net.dial(name .. ":" .. names.port_of(four)))
        print((client:peer_address():gsub(":%d+$", "")))
        client:close()
      end
    end)
    print(support.descriptors() - before)
    four:close()
    six:close()
  ]]))

  it("has its share of the time, then the next is tried", prints(netns.black_hole, { "true", "2", "2.5", "timeout" }, [[
    local clock = require("moonpark.testing").clock()
    local listener = assert(net.listen("127.0.0.1:0"))
    local hosts = { two = { "198.18.0.9", "127.0.0.1" }, three = { "198.18.0.9", "198.18.0.9", "198.18.0.9" } }
    names.known(hosts, function()
      local client = net.dial("two:" .. names.port_of(listener), { timeout = 3 })
      print(client ~= nil)
      print(clock:now())
      client:close()
      local began = clock:now()
      local _, err = net.dial("three:9", { timeout = 2.5 })
      print(clock:now() - began)
      print(err)
    end)
    listener:close()
    clock:resume()
  ]]))

  it("can be raced against one that answers, and the race cancelled, at any moment", prints(netns.black_hole,
    { "true", "true", "0" }, [[
    local random = require("support.units").random(3)
    local four = assert(net.listen("127.0.0.1:0"))
    local before = support.descriptors()
    local seen = { connected = 0, canceled = 0 }
    names.known({ name = { "fd00:18::9", "198.18.0.9", "127.0.0.1" }, late = { "127.0.0.1", "fd00:18::9" } }, function()
      for round = 1, 100 do
        local clock = require("moonpark.testing").clock()
        local name = random(2) == 1 and "late:" or "name:"
        local address = name .. names.port_of(four)
        local task = moonpark.go(net.dial, address, { fallback_delay = (random(3) - 1) / 8, timeout = 6 })
        if random(3) > 1 then moonpark.sleep((random(40) - 1) / 16) end
        for _ = 1, random(6) - 1 do moonpark.yield() end
        if random(3) > 1 then task:cancel() end
        local _, conn, err = task:join()
        seen[conn and "connected" or err] = seen[conn and "connected" or err] + 1
        if conn then conn:close() end
        clock:resume()
      end
    end)
    print(seen.connected > 20)
    print(seen.canceled > 20)
    print(support.descriptors() - before)
    four:close()
  ]]))
end)

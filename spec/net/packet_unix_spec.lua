-- SPDX-License-Identifier: MIT
-- What is particular to unix datagrams: paths, senders without a name, and queues that are full.

local core = require "moonpark.core"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local support = require "support.net"

local ECONNREFUSED, ENOENT, EADDRINUSE = 111, 2, 98

-- The body of an `it`: body(receiver, sender, address), the receiver at a path, the sender without a name.
local function with_two(body)
  return function()
    support.with_folder(function(folder)
      local address = "unixgram:" .. folder .. "/socket"
      local receiver, sender = assert(net.packet(address)), assert(net.packet("unixgram:"))
      body(receiver, sender, address)
      sender:close()
      receiver:close()
      core.check()
    end)
  end
end

-- Sends single bytes until one more must wait; how many went in.
local function fill(sender, address)
  local n = 0
  sender:set_timeout(0.005)
  while sender:send_to("f", address) do n = n + 1 end
  sender:set_timeout(nil)
  return n
end

local function take(receiver, n)
  for _ = 1, n do assert.equal("f", receiver:recv()) end
end

describe("a unix datagram socket", function()
  it("without a name can send, and cannot be answered", with_two(function(receiver, sender, address)
    assert.equal("unixgram:", sender:address())
    sender:send_to("x", address)
    local data, from = receiver:recv_from()
    assert.same({ "x", "unixgram:" }, { data, from })
    assert.same({ nil, "destination address required", 89 }, { receiver:send_to("y", from) })
    assert.same({ nil, "destination address required", 89 }, { sender:send_to("y", "unixgram:") })
    assert.same({ nil, "destination address required", 89, 1 }, { receiver:send_many({ "y", "z" }, { address, from }) })
  end))

  it("without a name hears its peer", with_two(function(receiver, _, address)
    local other = assert(net.packet(address .. "2"))
    local connected = assert(net.packet("unixgram:", { peer = address }))
    assert.equal(address, connected:peer_address())
    connected:send("x")
    assert.equal("x", receiver:recv())
    other:close()
    connected:close()
  end))

  it("shows names of the greatest length whole", function()
    support.with_folder(function(folder)
      local path = folder .. "/" .. ("p"):rep(106 - #folder)
      local a = assert(net.packet("unixgram:" .. path))
      local b = assert(net.packet("unixgram:@" .. ("b"):rep(106)))
      b:send_to("x", a:address())
      assert.same({ "x", "unixgram:@" .. ("b"):rep(106) }, { a:recv_from() })
      a:send_to("y", b:address())
      assert.same({ "y", "unixgram:" .. path }, { b:recv_from() })
      assert.error_matches(function() a:send_to("x", "unixgram:/" .. ("q"):rep(108)) end, "unix path too long")
      a:close()
      b:close()
    end)
  end)

  it("takes its path with it when it is closed", with_two(function(receiver, sender, address)
    receiver:close()
    assert.same({ nil, "no such file or directory", ENOENT }, { sender:send_to("x", address) })
    assert.same({ nil, "no such file or directory", ENOENT }, { net.packet("unixgram:", { peer = address }) })
  end))

  it("leaves its path where it is told to, and nobody is there then", with_two(function(_, sender, address)
    local kept = address .. "-kept"
    assert(net.packet(kept, { unlink = false })):close()
    assert.same({ nil, "connection refused", ECONNREFUSED }, { sender:send_to("x", kept) })
    assert(os.remove((kept:gsub("^unixgram:", ""))))
  end))

  it("leaves no path behind where its peer is not there", with_two(function(_, _, address)
    assert.same({ nil, "no such file or directory", ENOENT }, { net.packet(address .. "3", { peer = address .. "4" }) })
    assert.is_nil((io.open((address:gsub("^unixgram:", "")) .. "3")))
  end))

  it("gives its path the permissions that it is told", with_two(function(_, _, address)
    local other = address .. "5"
    for _, mode in ipairs { "0620", "602", tonumber("777", 8) } do
      local socket = assert(net.packet(other, { mode = mode }))
      local stat = io.popen("stat -c %a " .. other:gsub("^unixgram:", ""))
      assert.equal(type(mode) == "number" and 777 or tonumber(mode), tonumber(stat:read("*a")))
      stat:close()
      socket:close()
    end
    for _, mode in ipairs { "rw", 660, -1, 1.5, true } do
      assert.error_matches(function() net.packet(other, { mode = mode }) end, "packet: option 'mode' must be")
    end
    assert.error_matches(function() net.packet("udp::0", { mode = "600" }) end, "is for unix paths only")
    assert.error_matches(function() net.packet("unixgram:@x", { mode = "600" }) end, "is for unix paths only")
  end))

  it("cannot have a path that is taken", with_two(function(_, _, address)
    assert.same({ nil, "address already in use", EADDRINUSE }, { net.packet(address) })
  end))

  it("is no stream", with_two(function(_, _, address)
    local path = address:gsub("^unixgram:", "unix:")
    assert.same({ nil, "protocol wrong type for socket", 91 }, { net.dial(path) })
  end))

  it("has no options of the internet", with_two(function(receiver)
    local unsupported = { nil, "operation not supported", 95 }
    assert.same(unsupported, { receiver:setoption("multicast_ttl", 1) })
    assert.same(unsupported, { receiver:setoption("multicast_interface", "lo") })
    assert.same(unsupported, { receiver:join_group("239.1.1.1", "lo") })
  end))
end)

describe("the full queue of a unix datagram socket", function()
  it("makes a sender wait until there is room", with_two(function(receiver, sender, address)
    local n = fill(sender, address)
    assert.is_true(n > 0)
    local sending = support.parked(sender.send_to, sender, "last", address)
    take(receiver, n)
    assert.same({ true, 4 }, { sending:join() })
    assert.equal("last", receiver:recv())
  end))

  it("makes a connected sender wait until there is room", with_two(function(receiver, _, address)
    local connected = assert(net.packet("unixgram:", { peer = address }))
    local n = 0
    connected:set_timeout(0.005)
    while connected:send("f") do n = n + 1 end
    connected:set_timeout(nil)
    local sending = support.parked(connected.send, connected, "last")
    take(receiver, n)
    assert.same({ true, 4 }, { sending:join() })
    assert.equal("last", receiver:recv())
    connected:close()
  end))

  it("lets many datagrams go on where they stopped", with_two(function(receiver, sender, address)
    local many = {}
    for i = 1, 100 do many[i] = tostring(i) end
    local sending = moonpark.go(sender.send_many, sender, many, address)
    local got = {}
    while #got < 100 do
      for _, data in ipairs((assert(receiver:recv_many(100)))) do got[#got + 1] = data end
    end
    assert.same({ true, 100 }, { sending:join() })
    assert.same(many, got)
  end))

  it("keeps the order of those who wait to send", with_two(function(receiver, sender, address)
    local n = fill(sender, address)
    local first = support.parked(sender.send_to, sender, "1", address)
    local second = support.parked(sender.send_to, sender, "2", address)
    take(receiver, n)
    assert.same({ "1", "2" }, { receiver:recv(), (receiver:recv()) })
    first:join()
    second:join()
  end))

  it("does not hold up a send that is cancelled, closed or timed out, nor a receive", with_two(
    function(receiver, sender, address)
    fill(sender, address)
    local sending = support.parked(sender.send_to, sender, "x", address)
    sending:cancel()
    assert.same({ true, nil, "canceled" }, { sending:join() })

    sending = support.parked(sender.send_to, sender, "x", address)
    assert(sender:set_write_deadline(moonpark.now() - 5))
    assert.same({ true, nil, "timeout" }, { sending:join() })

    assert(sender:set_write_deadline(moonpark.now() + 0.01))
    assert.same({ nil, "timeout" }, { sender:send_to("x", address) })
    assert.same({ nil, "timeout", nil, 0 }, { sender:send_many({ "x" }, address) })
    assert(sender:set_write_deadline(nil))
    assert.same({ nil, "timeout" }, { moonpark.timeout(0.01, sender.send_to, sender, "x", address) })

    sending = support.parked(sender.send_to, sender, "x", address)
    local behind = support.parked(sender.send_to, sender, "y", address)
    sender:close()
    assert.same({ true, nil, "closed" }, { sending:join() })
    assert.same({ true, nil, "closed" }, { behind:join() })
    assert.equal("f", receiver:recv())
  end))

  it("is seen in the dump with the deadline that ends the wait", with_two(function(_, sender, address)
    fill(sender, address)
    sender:set_timeout(3600)
    local sending = support.parked(sender.send_to, sender, "x", address)
    assert.is_truthy(moonpark.dump():find("parked in send_to on unixgram,", 1, true))
    sender:close()
    sending:join()
  end))

  it("ends the wait when its socket is gone", with_two(function(receiver, sender, address)
    fill(sender, address)
    local sending = support.parked(sender.send_to, sender, "x", address)
    receiver:close()
    assert.same({ true, nil, "no such file or directory", ENOENT }, { sending:join() })
  end))
end)

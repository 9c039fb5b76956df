-- SPDX-License-Identifier: MIT
-- Socket options: their defaults, setting them, and what is refused.

local net = require "moonpark.net"
local support = require "support.net"

local ENOTSOCK, EOPNOTSUPP = 88, 95

local defaults = {
  nodelay = true, keepalive = true, keepalive_idle = 15, keepalive_interval = 15, keepalive_count = 9, linger = false,
}

local function assert_defaults(conn)
  for name, value in pairs(defaults) do assert.equal(value, conn:getoption(name), name) end
end

describe("a TCP connection", function()
  it("has moonpark's defaults, dialled or accepted", support.on("tcp", function(client, server)
    assert_defaults(client)
    assert_defaults(server)
  end))

  it("takes what its listener was given", support.listening(function(listener)
    assert(listener:setoption("keepalive_idle", 77))
    assert(listener:setoption("nodelay", false))
    local client = assert(net.dial(listener:address()))
    local server = assert(listener:accept())
    assert.equal(77, server:getoption("keepalive_idle"))
    assert.is_false(server:getoption("nodelay"))
    client:close()
    server:close()
  end))

  for name, value in pairs { nodelay = false, keepalive = false, keepalive_idle = 30, keepalive_interval = 5,
    keepalive_count = 3, linger = 7, reuseaddr = true } do
    it("keeps " .. name, support.on("tcp", function(a)
      assert.is_true(a:setoption(name, value))
      assert.equal(value, a:getoption(name))
    end))
  end

  it("forgets linger with false or nil", support.on("tcp", function(a)
    for _, off in ipairs { false, "nil" } do
      assert(a:setoption("linger", 0))
      assert.equal(0, a:getoption("linger"))
      assert(a:setoption("linger", off ~= "nil" and off or nil))
      assert.is_false(a:getoption("linger"))
    end
  end))

  it("has buffers of at least the size that was asked for", support.on("tcp", function(a)
    for _, name in ipairs { "sndbuf", "rcvbuf" } do
      assert(a:setoption(name, 32768))
      assert.is_true(a:getoption(name) >= 32768)
    end
  end))

  it("fails a value that the system refuses", support.on("tcp", function(a)
    local ok, err, errno = a:setoption("keepalive_count", 100000)
    assert.is_nil(ok)
    assert.equal("invalid argument", err)
    assert.equal(22, errno)
  end))
end)

describe("a listener", function()
  it("reuses addresses", support.listening(function(listener)
    assert.is_true(listener:getoption("reuseaddr"))
    assert.is_false(listener:getoption("reuseport"))
  end))

  it("on one IPv6 address is for IPv6 only", function()
    local listener = net.listen("[::1]:0")
    if not listener then return end -- a machine without IPv6
    assert.is_true(listener:getoption("v6only"))
    listener:close()
  end)
end)

describe("an option", function()
  it("of TCP is not supported by a unix socket", support.on("unix", function(a)
    assert.same({ nil, "operation not supported", EOPNOTSUPP }, { a:setoption("nodelay", true) })
    assert.is_true(a:setoption("sndbuf", 4096))
  end))

  it("is nothing that an in-memory end has", support.on("pipe", function(a)
    assert.same({ nil, "socket operation on non-socket", ENOTSOCK }, { a:setoption("nodelay", true) })
    assert.same({ nil, "socket operation on non-socket", ENOTSOCK }, { a:getoption("nodelay") })
  end))

  it("of an unknown name is a mistake", support.on("tcp", function(a)
    assert.error_matches(function() a:getoption("no_delay") end, "unknown option 'no_delay'")
    assert.error_matches(function() a:setoption("no_delay", 1) end, "unknown option 'no_delay'")
    assert.error_matches(function() a:getoption() end, "string expected")
    assert.error_matches(function() a:setoption({}, 1) end, "string expected")
  end))

  it("of the wrong type or size is a mistake, and the old value stays", support.on("tcp", function(a)
    assert.error_matches(function() a:setoption("nodelay", 1) end, "boolean expected")
    assert.error_matches(function() a:setoption("nodelay") end, "boolean expected")
    for _, value in ipairs { -1, 0 / 0, math.huge, 2 ^ 31, 0.9, 1.5 } do
      local complaint = value >= 2 ^ 31 and "out of range" or "whole number of at least 0 expected"
      assert.error_matches(function() a:setoption("keepalive_idle", value) end, complaint)
      assert.error_matches(function() a:setoption("linger", value) end, complaint)
    end
    assert.error_matches(function() a:setoption("sndbuf", "big") end, "number expected")
    assert.error_matches(function() a:setoption("linger", true) end, "number expected")
    assert_defaults(a)
  end))
end)

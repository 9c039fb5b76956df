-- SPDX-License-Identifier: MIT
-- bind_spec.lua - net.bind: a local address first, and listening or connecting later.

local net = require "moonpark.net"
local support = require "support.net"

describe("net.bind", function()
  it("has an address at once, and listens when it is told to", function()
    local bound = assert(net.bind "127.0.0.1:0")
    local address = bound:local_address()
    assert.matches("^127%.0%.0%.1:%d+$", address)
    assert.is_number(bound:fd())
    assert.same({ nil, "connection refused", 111 }, { net.dial(address) })
    local listener = assert(bound:listen(5))
    assert.equal(address, listener:address())
    local client = assert(net.dial(address))
    local server = assert(listener:accept())
    client:write "x"
    assert.equal("x", server:read())
    for _, one in ipairs { client, server, listener } do one:close() end
    assert.same({ nil, "closed" }, { bound:listen() })
    assert.same({ nil, "closed" }, { bound:local_address() })
  end)

  it("connects from there", function()
    local listener = assert(net.listen "127.0.0.1:0")
    local bound = assert(net.bind(support.own_host() .. ":0"))
    local from = bound:local_address()
    local client = assert(bound:connect(listener:address(), 5))
    local server = assert(listener:accept())
    assert.equal(from, server:peer_address())
    for _, one in ipairs { client, server, listener } do one:close() end
  end)

  it("fails in the system's words", function()
    local first = assert(net.bind("127.0.0.1:0", { reuseaddr = false }))
    assert.same({ nil, "address already in use", 98 }, { net.bind(first:local_address(), { reuseaddr = false }) })
    first:close()
    assert.same({ nil, "cannot assign requested address", 99 }, { net.bind "192.0.2.1:0" })
    local bound = assert(net.bind "127.0.0.1:0")
    assert.same({ nil, "connection refused", 111 }, { bound:connect(support.NOBODY) })
    assert.has_error(function() net.bind "nonsense" end)
    assert.has_error(function() net.bind(5) end)
    assert.has_error(function() net.bind("127.0.0.1:0", { reuse = true }) end)
    bound = assert(net.bind "localhost:0")
    assert.matches(":%d+$", bound:local_address())
    bound:close()
  end)

  it("takes unix paths and IPv6", function()
    support.with_folder(function(folder)
      local bound = assert(net.bind("unix:" .. folder .. "/s"))
      local listener = assert(bound:listen())
      local client = assert(net.dial("unix:" .. folder .. "/s"))
      client:close()
      listener:close()
      os.remove(folder .. "/s")
    end)
    local bound, err = net.bind "[::1]:0"
    if bound then bound:close() else assert.equal("cannot assign requested address", err) end
  end)
end)

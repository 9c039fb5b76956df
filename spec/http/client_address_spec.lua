-- SPDX-License-Identifier: MIT
-- client_address_spec.lua - who a request comes from, directly and behind proxies.

local client_address = require "moonpark.http.client_address"

local function request(address, forwarded)
  return { address = address, header = function(_, name)
    assert(name == "x-forwarded-for")
    return forwarded
  end }
end

local function of(address, forwarded, trusted)
  return client_address.of(request(address, forwarded), trusted and client_address.trusted(trusted))
end

describe("the client's address", function()
  it("is that of the connection, whatever the request says", function()
    assert.equal("192.0.2.7", of("192.0.2.7:5000", "10.0.0.1"))
    assert.equal("2001:db8::7", of("[2001:db8::7]:5000", "10.0.0.1"))
    assert.equal("fe80::1%eth0", of "[fe80::1%eth0]:80")
    assert.equal("192.0.2.7", of "[::ffff:192.0.2.7]:5000")
    assert.equal("unix", of "unix:/run/socket")
    assert.equal("unix", of "")
    assert.equal("unix", of(nil))
  end)

  it("is behind trusted proxies the last one that is not theirs", function()
    local trusted = { "10.0.0.0/8", "2001:db8:1::/48", "unix" }
    for forwarded, wanted in pairs {
      ["203.0.113.5"] = "203.0.113.5", ["6.6.6.6, 203.0.113.5"] = "203.0.113.5",
      ["6.6.6.6, 203.0.113.5, 10.9.8.7"] = "203.0.113.5", ["203.0.113.5:4711, [2001:db8:1::5]:80"] = "203.0.113.5",
      ["10.1.1.1, 10.2.2.2"] = "10.1.1.1", ["2001:db8:2::1"] = "2001:db8:2::1", ["::ffff:203.0.113.5"] = "203.0.113.5",
      ["6.6.6.6, unknown"] = "10.0.0.1", [" , "] = "10.0.0.1", ["6.6.6.6, _hidden, 10.2.2.2"] = "10.2.2.2",
    } do
      assert.equal(wanted, of("10.0.0.1:80", forwarded, trusted), forwarded)
    end
    assert.equal("203.0.113.5", of("unix:/run/socket", "6.6.6.6, 203.0.113.5", trusted))
    assert.equal("10.0.0.1", of("10.0.0.1:80", nil, trusted))
    assert.equal("203.0.113.5", of("[::ffff:10.0.0.1]:80", "203.0.113.5", trusted))
  end)

  it("is not what a client says that is no trusted proxy", function()
    assert.equal("192.0.2.7", of("192.0.2.7:80", "6.6.6.6", "10.0.0.0/8"))
    assert.equal("unix", of("unix:/run/socket", "6.6.6.6", "10.0.0.0/8"))
  end)

  it("has proxies only that are addresses, networks or unix", function()
    for _, wrong in ipairs { {}, { "*" }, { "example.com" }, { "10.0.0.0/8", 5 }, { "10.0.0.0/" }, 5 } do
      assert.is_nil(client_address.trusted(wrong))
    end
    assert.is_string(client_address.trusted "10.0.0.0/8")
  end)
end)

describe("the key of an address", function()
  it("is the address, of IPv6 its network of 64 bits, however it is written", function()
    assert.equal("192.0.2.7", client_address.key "192.0.2.7")
    assert.equal("unix", client_address.key "unix")
    for _, address in ipairs { "2001:db8::1", "2001:DB8:0:0::ffff", "2001:db8:0000::5", "2001:0db8:0:0:1:2:3:4" } do
      assert.equal("2001:db8:0:0::/64", client_address.key(address))
    end
    assert.equal("2001:db8:1:2::/64", client_address.key "2001:db8:1:2:3:4:5:6")
    assert.equal("0:0:0:0::/64", client_address.key "::1")
    assert.equal("fe80:0:0:0::/64", client_address.key "fe80::1%eth0")
    assert.equal("1:2:3:4::/64", client_address.key "1:2:3:4::")
  end)
end)

-- SPDX-License-Identifier: MIT
-- addresses_spec.lua - texts to numeric addresses, and the places that take names: listen, packet. dial: dial_spec.lua.

local addresses = require "moonpark.net.addresses"
local names = require "support.names"
local net = require "moonpark.net"
local process = require "support.process"
local support = require "support.net"

local function numeric(...) return addresses.numeric(...) end -- of this file's line

describe("the addresses of a text", function()
  local hosts = { name = { "::1", "127.0.0.1", "fe80::1%lo" }, ["name."] = { "127.0.0.1" }, empty = {} }

  it("are those of its name, each with the port, in their order", names.with(hosts, function()
    assert.same({ "[::1]:80", "127.0.0.1:80", "[fe80::1%lo]:80" }, numeric("name:80", false, "test", 1))
    assert.same({ "127.0.0.1:0" }, numeric("name.:0", false, "test", 1))
    assert.same({ "udp:[::1]:53", "udp:127.0.0.1:53", "udp:[fe80::1%lo]:53" }, numeric("udp:name:53", true, "test", 1))
  end))

  it("are itself where there is nothing to look up", names.with({}, function()
    for _, text in ipairs { "127.0.0.1:80", "[::1]:80", ":80", "unix:/name", "unix:@name" } do
      assert.same({ text }, numeric(text, false, "test", 1))
    end
    for _, text in ipairs { "udp:127.0.0.1:80", "udp::80", "unixgram:", "unixgram:/name" } do
      assert.same({ text }, numeric(text, true, "test", 1))
    end
  end))

  it("may not be known, which the look-up says in its own words", names.with(hosts, function()
    assert.same({ nil, "no such host" }, { numeric("other:80", false, "test", 1) })
    assert.same({ nil, "no such host" }, { numeric("empty:80", false, "test", 1) })
    names.known({ name = function() return nil, "too many open files", 24 end }, function()
      assert.same({ nil, "too many open files", 24 }, { numeric("name:80", false, "test", 1) })
    end)
  end))

  it("are looked up until the deadline that is given", function()
    local told
    names.known({ name = function(_, deadline) told = deadline return { "::1" } end }, function()
      numeric("name:80", false, "test", 1, 12.5)
    end)
    assert.equal(12.5, told)
  end)

  it("are of the kind that is asked for", function()
    assert.error_matches(function() numeric("udp:127.0.0.1:1", false, "test", 1) end,
      "test: not a stream address: 'udp:127")
    assert.error_matches(function() numeric("127.0.0.1:1", true, "test", 1) end, "test: not a datagram address: '127")
    assert.error_matches(function() numeric(nil, true, "test", 1) end, "'test' %(string expected, got nil%)")
  end)
end)

describe("the family of an address", function()
  it("is what it can be connected with", function()
    for text, family in pairs { ["127.0.0.1:1"] = "inet", ["[::1]:1"] = "inet6", [":1"] = "any", ["unix:/x"] = "unix",
      ["udp:127.0.0.1:1"] = "inet", ["udp:[::1]:1"] = "inet6", ["udp::1"] = "any", ["unixgram:"] = "unix" } do
      assert.equal(family, addresses.family(text))
    end
  end)

  it("pairs addresses with those to come from", function()
    local to = { "127.0.0.1:1", "[::1]:1", "127.0.0.2:1" }
    local from = { "[fe80::2]:0", "127.3.2.1:0", "[fe80::3]:0" }
    assert.same({ { to = to[1], from = from[2] }, { to = to[2], from = from[1] }, { to = to[3], from = from[2] } },
      addresses.pair_up(to, from))
    assert.same({ { to = to[2], from = from[1] } }, addresses.pair_up(to, { from[1] }))
    assert.same({ { to = to[1] }, { to = to[2] }, { to = to[3] } }, addresses.pair_up(to))
    assert.same({ { to = to[1], from = ":0" }, { to = to[2], from = ":0" }, { to = to[3], from = ":0" } },
      addresses.pair_up(to, { ":0" }))
    assert.same({ { to = ":1", from = from[2] } }, addresses.pair_up({ ":1" }, from))
  end)

  it("leaves it to the system where none fits", function()
    assert.same({ { to = "[::1]:1", from = "unix:/x" } },
      addresses.pair_up({ "[::1]:1" }, { "unix:/x", "127.0.0.1:0" }))
  end)
end)

describe("a packet socket by name", function()
  local hosts = { far = { "203.0.113.1", "127.0.0.1" }, nowhere = { "203.0.113.1", "::2" },
    near = { "::1", "127.0.0.1" }, peer4 = { "127.0.0.1" } }

  it("takes the first address that it can have", names.with(hosts, function()
    local socket = assert(net.packet("udp:far:0"))
    assert.matches("^udp:127%.0%.0%.1:%d+$", socket:address())
    socket:close()
  end))

  it("says why the first one cannot be had", names.with(hosts, function()
    local before = support.descriptors()
    assert.same({ nil, "cannot assign requested address", 99 }, { net.packet("udp:nowhere:0") })
    assert.same({ nil, "no such host" }, { net.packet("udp:nobody:0") })
    assert.same({ nil, "no such host" }, { net.packet("udp:far:0", { peer = "udp:nobody:1" }) })
    assert.equal(before, support.descriptors())
  end))

  it("takes the peer's address of its own family", names.with(hosts, function()
    local peer = assert(net.packet("udp:127.0.0.1:0"))
    local port = peer:address():match("%d+$")
    for _, address in ipairs { "udp:127.0.0.1:0", "udp:near:0" } do
      local socket = assert(net.packet(address, { peer = "udp:peer4:" .. port }))
      assert.equal(peer:address(), socket:peer_address())
      assert(socket:send("x"))
      assert.same({ "x", socket:address() }, { peer:recv_from() })
      socket:close()
    end
    peer:close()
  end))
end)

describe("a listen by name", function()
  local hosts = { far = { "203.0.113.1", "127.0.0.1" }, nowhere = { "203.0.113.1", "::2" } }

  it("takes the first address that it can have", names.with(hosts, function()
    local listener = assert(net.listen("far:0"))
    assert.matches("^127%.0%.0%.1:%d+$", listener:address())
    listener:close()
  end))

  it("says why the first one cannot be had", names.with(hosts, function()
    local before = support.descriptors()
    assert.same({ nil, "cannot assign requested address", 99 }, { net.listen("nowhere:0") })
    assert.same({ nil, "no such host" }, { net.listen("nobody:0") })
    assert.equal(before, support.descriptors())
  end))

  it("has the options of every listen", names.with(hosts, function()
    local first = assert(net.listen("far:0", { reuseport = true }))
    local second = assert(net.listen("far:" .. names.port_of(first), { reuseport = true }))
    first:close()
    second:close()
  end))
end)

describe("an address that cannot be used", function()
  it("raises on the script's line before anything is looked up", function()
    local looked = false
    names.known({ name = function() looked = true end }, function()
      for _, call in ipairs {
        function() net.dial("name:99999") end,
        function() net.listen("na me:1") end,
        function() net.dial("name:1", { local_address = "na me:1" }) end,
        function() net.dial("127.0.0.1:1", { local_address = "127.0.0.1" }) end,
        function() net.dial("name:1", { local_address = "udp:name:1" }) end,
        function() net.dial("udp:name:1", { local_address = "name:1" }) end,
        function() net.listen("udp:name:1") end,
        function() net.packet("name:1") end,
        function() net.packet("udp:na me:1") end,
        function() net.packet("udp:name:1", { peer = "name:1" }) end,
        function() net.packet("unix:name") end,
      } do
        local ok, err = pcall(call)
        assert.is_false(ok)
        assert.matches("^[^:]*addresses_spec%.lua:%d+: %l+: %l", err)
      end
    end)
    assert.is_false(looked)
  end)

  it("raises outside of a task, where a look-up could not wait", function()
    local result = process.run({ process.interpreter, "-e", [[
      local net = require "moonpark.net"
      for _, call in ipairs { net.dial, net.listen, net.packet } do
        print(pcall(function()
          local made = call(call == net.packet and "udp:name:1" or "name:1")
          return made
        end))
      end
    ]] })
    local line = "false\t[^\n]*:4: %l+: names are looked up in tasks only [^\n]*\n"
    assert.matches("^" .. line .. line .. line .. "$", result.out .. result.err)
  end)

  it("is shown on one line, and not whole where it is long", function()
    local _, err = pcall(net.dial, "a\nb" .. ("x"):rep(5000) .. ":1")
    assert.is_true(#err < 200)
    assert.is_nil(err:find("\n", 1, true))
    assert.truthy(err:find("a\\10b", 1, true))
  end)
end)

describe("net.check_address", function()
  it("says whether a text is an address, without a look-up", function()
    for _, text in ipairs { "127.0.0.1:80", "[::1]:0", ":80", "example.test:80", "unix:/x", "unix:@x" } do
      assert.is_true(net.check_address(text))
      assert.is_true(net.check_address(text, "stream"))
      local _, wrong = net.check_address(text, "datagram")
      assert.equal(("not a datagram address: '%s'"):format(text), wrong:match "^[^;]*")
    end
    for _, text in ipairs { "udp:127.0.0.1:80", "unixgram:/x" } do
      assert.is_true(net.check_address(text, "datagram"))
      local _, wrong = net.check_address(text)
      assert.equal(("not a stream address: '%s'"):format(text), wrong:match "^[^;]*")
    end
  end)

  it("says what may have been meant", function()
    for text, meant in pairs { ["8080"] = ":8080", ["http://127.0.0.1:80"] = "127.0.0.1:80",
      ["http://127.0.0.1:80/x"] = "127.0.0.1:80", ["127.0.0.1:80/"] = "127.0.0.1:80", ["::1:80"] = "[::1]:80",
      ["/run/x.sock"] = "unix:/run/x.sock", ["udp:127.0.0.1:80"] = "127.0.0.1:80" } do
      local _, wrong = net.check_address(text)
      assert.equal(("did you mean '%s'?"):format(meant), wrong:match "; (.*)$", text)
    end
    for text, meant in pairs { ["127.0.0.1:80"] = "udp:127.0.0.1:80", [":53"] = "udp::53", ["53"] = "udp::53",
      ["udp:53"] = "udp::53", ["/run/x.sock"] = "unixgram:/run/x.sock", ["unix:/x"] = "unixgram:/x" } do
      local _, wrong = net.check_address(text, "datagram")
      assert.equal(("did you mean '%s'?"):format(meant), wrong:match "; (.*)$", text)
    end
    for _, text in ipairs { "localhost", "a b", "127.0.0.1:http", "127.0.0.1:99999", "" } do
      assert.is_nil(select(2, net.check_address(text)):find("did you mean", 1, true), text)
    end
  end)

  it("is asked for an address where a number is given", function()
    for _, fn in ipairs { "listen", "dial" } do
      local ok, err = pcall(net[fn], 8080)
      assert.is_false(ok)
      assert.matches("string expected, got number; did you mean ':8080'%?", err)
    end
  end)

  it("says what is wrong in one line", function()
    assert.same({ nil, "missing port: 'a'" }, { net.check_address("a") })
    assert.same({ nil, "invalid port: 'a:65536'" }, { net.check_address("a:65536") })
    assert.same({ nil, "invalid host name: 'a\\10:1'" }, { net.check_address("a\n:1") })
  end)

  it("raises for what is no text or no kind, at the caller's line", function()
    for _, arguments in ipairs { { 80 }, {}, { ":80", "udp" } } do
      local ok, err = pcall(function() net.check_address(arguments[1], arguments[2]) end)
      assert.is_false(ok)
      assert.matches("addresses_spec.lua:%d+: bad argument #%d to 'check_address'", err)
    end
  end)
end)

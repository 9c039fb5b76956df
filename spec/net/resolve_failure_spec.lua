-- SPDX-License-Identifier: MIT
-- Which failure a lookup tells, when the servers do not say the same of both families, of all search domains, or one
-- after the other: "no such host" only where a server has said so.

local dns = require "support.dns"
local net = require "moonpark.net"
local support = require "support.net"

local NOBODY = "127.83.12.9:1" -- a port that no process may take by chance
local families = { [dns.A] = "A", [dns.AAAA] = "AAAA" }

after_each(function() net.set_resolver(nil) end)

-- What a server may say of one type -> "failure", "nothing" (no data), "absent" (no such name), or addresses.
local function failing(rcode) return { rcode = rcode, hold = true } end
local failures = {
  servfail = failing "servfail", refused = failing "refused", notimp = failing "notimp", formerr = failing "formerr",
  garbage = { lie = "garbage", lies_only = true, hold = true },
}
local nothing = { hold = true }
local absent = { rcode = "nxdomain", hold = true }
local addresses = { a = { "127.1.2.3" }, aaaa = { "::1" }, hold = true }

-- Looks host.test up while the answers for both types come in that order.
local function resolved(server, first, first_says, second_says)
  local second = first == dns.A and dns.AAAA or dns.A
  server:on("host.test", { only = { [first] = first_says, [second] = second_says } })
  local found, err
  local task = support.parked(function() found, err = net.resolve("host.test") end)
  server:wait_for(2)
  server:release("host.test", first)
  server:release("host.test", second)
  assert.is_true(task:join())
  server.queries, server.held = {}, {}
  return found and table.concat(found, " ") or err
end

-- Both types, each in both places.
local function always(server, expected, one_says, other_says, what)
  for _, first in ipairs { dns.A, dns.AAAA } do
    for _, pair in ipairs { { one_says, other_says }, { other_says, one_says } } do
      assert.equal(expected, resolved(server, first, pair[1], pair[2]), families[first] .. " first, " .. what)
    end
  end
end

local once = { tries = 1 }

describe("of two families", function()
  for name, failure in pairs(failures) do
    it(("%s for one and nothing for the other is a server failure"):format(name), dns.with(function(server)
      always(server, "server failure", failure, nothing, name)
      always(server, "server failure", failure, failure, name)
    end, once))
  end

  it("'no such name' for either settles it: it is said of the name", dns.with(function(server)
    always(server, "no such host", absent, absent, "absent")
    always(server, "no such host", absent, nothing, "nothing")
    for name, failure in pairs(failures) do always(server, "no such host", absent, failure, name) end
  end, once))

  it("nothing for both is no such host; an alias that leads nowhere is nothing", dns.with(function(server)
    always(server, "no such host", nothing, nothing, "nothing")
    always(server, "no such host", { cname = "nowhere.test", hold = true }, nothing, "an alias")
    for name, failure in pairs(failures) do
      always(server, "server failure", { cname = "nowhere.test", hold = true }, failure, name)
    end
  end, once))

  it("the addresses of one are the result, whatever is wrong with the other", dns.with(function(server)
    for name, failure in pairs(failures) do
      for _, first in ipairs { dns.A, dns.AAAA } do
        assert.equal(first == dns.A and "127.1.2.3" or "::1", resolved(server, first, addresses, failure), name)
        assert.equal(first == dns.A and "::1" or "127.1.2.3", resolved(server, first, failure, addresses), name)
      end
    end
  end, once))

  it("no answer for one and nothing for the other is a timeout", dns.with(function(server)
    for _, type in ipairs { dns.A, dns.AAAA } do
      server:on("host.test", { only = { [type] = { silent = true } } })
      assert.same({ nil, "timeout" }, { net.resolve("host.test") })
      server:on("host.test", { only = { [type] = { silent = true } }, rcode = "nxdomain" })
      assert.same({ nil, "no such host" }, { net.resolve("host.test") })
      server:on("host.test", { only = { [type] = { silent = true } }, rcode = "servfail" })
      assert.same({ nil, "server failure" }, { net.resolve("host.test") })
    end
  end, { tries = 1, timeout = 0.05 }))

  it("what a server cuts off for one, and nothing for the other, is a server failure", dns.with(function(server)
    for _, type in ipairs { dns.A, dns.AAAA } do
      server:on("host.test", { only = { [type] = { a = { "127.1.2.3" }, truncate = true, close = "at once" } } })
      assert.same({ nil, "server failure" }, { net.resolve("host.test") })
    end
  end, once))

  it("the one that is asked for alone is told alone", dns.with(function(server)
    server:on("host.test", { only = { [dns.A] = { rcode = "servfail" }, [dns.AAAA] = {} } })
    assert.same({ nil, "server failure" }, { net.resolve("host.test", { family = "ip4" }) })
    assert.same({ nil, "no such host" }, { net.resolve("host.test", { family = "ip6" }) })
  end, once))
end)

describe("of several servers", function()
  -- Two servers that say these of host.test.
  local function resolved_by(first_says, second_says)
    local first, second = dns.start(), dns.start()
    first:on("host.test", first_says)
    second:on("host.test", second_says)
    assert(net.set_resolver { servers = { first.address, second.address }, search = {}, lookups = "b", timeout = 0.05,
      tries = 1 })
    local found, err = net.resolve("host.test")
    first:stop()
    second:stop()
    return found and table.concat(found, " ") or err, second:count "host.test"
  end

  it("the next is asked where one fails, for each family alone", function()
    assert.equal("127.1.2.3", (resolved_by({ rcode = "servfail" }, { a = { "127.1.2.3" } })))
    assert.equal("127.1.2.3", (resolved_by({ only = { [dns.A] = { rcode = "refused" }, [dns.AAAA] = {} } },
      { a = { "127.1.2.3" } })))
    assert.equal("no such host", (resolved_by({ rcode = "servfail" }, {})))
    assert.equal("no such host", (resolved_by({ only = { [dns.A] = { silent = true } } }, { rcode = "nxdomain" })))
  end)

  it("all must fail for a failure", function()
    assert.equal("server failure", (resolved_by({ rcode = "servfail" }, { rcode = "refused" })))
    assert.equal("timeout", (resolved_by({ silent = true }, { silent = true })))
    assert.equal("server failure", (resolved_by({ only = { [dns.A] = { rcode = "servfail" } } },
      { only = { [dns.A] = { rcode = "refused" } } })))
    assert.same({ "no such host", 0 }, { resolved_by({}, { a = { "127.1.2.3" } }) })
  end)

  it("nobody listens at any: that is a server failure, for one family too", dns.with(function()
    assert.same({ nil, "server failure" }, { net.resolve("host.test") })
    assert.same({ nil, "server failure" }, { net.resolve("host.test", { family = "ip4" }) })
  end, { servers = { NOBODY }, tries = 1 }))
end)

describe("of search domains", function()
  local function names(server)
    local asked, seen = {}, {}
    for _, query in ipairs(server.queries) do
      if not seen[query.name] then asked[#asked + 1] = query.name end
      seen[query.name] = true
    end
    server.queries = {}
    return table.concat(asked, " ")
  end

  local searching = { search = { "one.test", "two.test" }, tries = 1 }

  it("one that fails for either family ends the search: the name may be there", dns.with(function(server)
    server:on("host.two.test", { a = { "127.1.2.3" } })
    for _, type in ipairs { dns.A, dns.AAAA } do
      server:on("host.one.test", { only = { [type] = { rcode = "servfail" } } })
      assert.same({ nil, "server failure" }, { net.resolve("host") })
      assert.equal("host.one.test", names(server))
    end
    server:on("host.one.test", {})
    assert.same({ "127.1.2.3" }, net.resolve("host"))
    assert.equal("host.one.test host.two.test", names(server))
  end, searching))

  it("all say that it is not there, and so does the server of the name itself", dns.with(function(server)
    assert.same({ nil, "no such host" }, { net.resolve("host") })
    assert.equal("host.one.test host.two.test host", names(server))
    server:on("host", { only = { [dns.A] = { rcode = "refused" } } })
    assert.same({ nil, "server failure" }, { net.resolve("host") })
  end, searching))

  it("come after the name itself where it has dots: not after its failure", dns.with(function(server)
    server:on("a.b.two.test", { a = { "127.1.2.3" } })
    assert.same({ "127.1.2.3" }, net.resolve("a.b"))
    assert.equal("a.b a.b.one.test a.b.two.test", names(server))
    server:on("a.b", { only = { [dns.AAAA] = { rcode = "servfail" } } })
    assert.same({ nil, "server failure" }, { net.resolve("a.b") })
    assert.equal("a.b", names(server))
  end, searching))

  it("that would make the name too long are passed over", dns.with(function(server)
    local name = ("a."):rep(124) .. "b"
    assert.same({ nil, "no such host" }, { net.resolve(name) })
    assert.equal(name, names(server))
    server:on("x.one.test", { a = { "127.1.2.3" } })
    assert.same({ "127.1.2.3" }, net.resolve("x"))
  end, { search = { ("long."):rep(30) .. "test", "one.test" } }))
end)

describe("of hosts file and servers", function()
  it("the file is looked into after a failure of the servers, where it comes last", dns.with(function(server)
    server:on("no-such-name.test", { only = { [dns.A] = { rcode = "servfail" } } })
    assert.same({ nil, "server failure" }, { net.resolve("no-such-name.test") })
  end, { lookups = "bf", tries = 1 }))

  it("a name that is in neither is no such host", dns.with(function(server)
    assert.same({ nil, "no such host" }, { net.resolve("no-such-name.test") })
    assert.equal(2, server:count())
  end, { lookups = "fb" }))
end)

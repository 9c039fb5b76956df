-- SPDX-License-Identifier: MIT
-- Names to addresses, against a name server of our own: answers, errors told apart, lies, retries, TCP, deadlines,
-- cancellation, many at once.

local core = require "moonpark.core"
local dns = require "support.dns"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local support = require "support.net"
local testing = require "moonpark.testing"

local NOBODY = support.NOBODY
local MANY = 300

-- What a function raised.
local function raised(fn, ...)
  local ok, err = pcall(fn, ...)
  assert.is_false(ok)
  return err
end

local function failure(expected, addresses, err)
  assert.is_nil(addresses)
  assert.equal(expected, err)
end

-- Nothing is under way: the server's listener and packet socket are all that is watched. It may have to see first
-- that its clients are gone.
local function nothing_left()
  for _ = 1, 1000 do
    if core.stats().polls == 2 then return true end
    moonpark.yield()
  end
  return false
end

after_each(function() net.set_resolver(nil) end)

describe("resolve", function()
  it("gives the addresses of a name", dns.with(function(server)
    server:on("host.test", { a = { "127.1.2.3" } })
    assert.same({ "127.1.2.3" }, net.resolve("host.test"))
    assert.equal(2, server:count("host.test"))
  end))

  it("takes names in any case, and with the last dot", dns.with(function(server)
    server:on("host.test", { a = { "127.1.2.3" } })
    assert.same({ "127.1.2.3" }, net.resolve("HOST.Test"))
    assert.same({ "127.1.2.3" }, net.resolve("host.test."))
  end))

  it("gives all of them, of both families", dns.with(function(server)
    server:on("host.test", { a = { "127.1.2.3", "127.1.2.4" }, aaaa = { "::1" } })
    local addresses = assert(net.resolve("host.test"))
    table.sort(addresses)
    assert.same({ "127.1.2.3", "127.1.2.4", "::1" }, addresses)
  end))

  it("sorts them as RFC 6724 says: what cannot be reached comes last", dns.with(function(server)
    server:on("host.test", { a = { "255.255.255.255", "127.0.0.1" } })
    assert.same({ "127.0.0.1", "255.255.255.255" }, net.resolve("host.test"))
  end))

  it("can be asked for one family alone", dns.with(function(server)
    server:on("host.test", { a = { "127.1.2.3" }, aaaa = { "::1" } })
    assert.same({ "127.1.2.3" }, net.resolve("host.test", { family = "ip4" }))
    assert.same({ "::1" }, net.resolve("host.test", { family = "ip6" }))
    assert.equal(2, server:count("host.test"))
  end))

  it("follows a chain of aliases", dns.with(function(server)
    server:on("a.test", { cname = "b.test" })
    server:on("b.test", { cname = "c.test" })
    server:on("c.test", { a = { "127.1.2.3" } })
    assert.same({ "127.1.2.3" }, net.resolve("a.test"))
  end))

  it("gives a numeric host itself, in its usual form, and asks nobody", dns.with(function(server)
    assert.same({ "127.0.0.1" }, net.resolve("127.0.0.1"))
    assert.same({ "::1" }, net.resolve("0:0::0:1"))
    assert.same({ "fe80::1%lo" }, net.resolve("FE80::1%lo"))
    assert.same({ "::1" }, net.resolve("::1", { family = "ip6" }))
    failure("no such host", net.resolve("::1", { family = "ip4" }))
    assert.equal(0, server:count())
  end))

  it("keeps localhost and what is below it on this machine", dns.with(function(server)
    for _, name in ipairs { "localhost", "LocalHost.", "a.localhost", "b.a.LOCALHOST" } do
      for _, address in ipairs(assert(net.resolve(name))) do
        assert.is_truthy(address:find "^127%." or address == "::1")
      end
      assert.same({ "127.0.0.1" }, net.resolve(name, { family = "ip4" }))
      assert.same({ "::1" }, net.resolve(name, { family = "ip6" }))
    end
    assert.equal(0, server:count())
    failure("no such host", net.resolve("notlocalhost"))
    assert.equal(2, server:count("notlocalhost"))
  end))

  it("is reachable as moonpark.net.resolve and as moonpark.resolve.lookup", dns.with(function(server)
    server:on("host.test", { a = { "127.1.2.3" } })
    local resolve = require "moonpark.net.resolve"
    assert.equal(net.resolve, resolve.resolve)
    assert.same({ "127.1.2.3" }, resolve.lookup("host.test"))
    assert.same({ "127.1.2.3" }, resolve.lookup("host.test", moonpark.now() + 60, "ip4"))
    failure("timeout", resolve.lookup("host.test", moonpark.now() - 1))
  end))
end)

describe("resolve fails with", function()
  it("'no such host' for a name that does not exist", dns.with(function()
    failure("no such host", net.resolve("host.test"))
  end))

  it("'no such host' for one that has no address", dns.with(function(server)
    server:on("host.test", {})
    server:on("alias.test", { cname = "nowhere.test" })
    failure("no such host", net.resolve("host.test"))
    failure("no such host", net.resolve("alias.test"))
  end))

  it("'no such host' for one that has none of the family", dns.with(function(server)
    server:on("host.test", { a = { "127.1.2.3" } })
    failure("no such host", net.resolve("host.test", { family = "ip6" }))
  end))

  for _, rcode in ipairs { "servfail", "refused", "notimp", "formerr" } do
    it(("'server failure' where the server says %s"):format(rcode), dns.with(function(server)
      server:on("host.test", { rcode = rcode })
      failure("server failure", net.resolve("host.test"))
    end))
  end

  it("'server failure' where nobody listens", dns.with(function()
    failure("server failure", net.resolve("host.test"))
  end, { servers = { NOBODY } }))

  it("'server failure' where the answer is garbage", dns.with(function(server)
    server:on("host.test", { lie = "garbage", lies_only = true })
    failure("server failure", net.resolve("host.test"))
  end))

  it("'timeout' where no answer comes, after the tries", dns.with(function(server)
    server:on("host.test", { silent = true })
    failure("timeout", net.resolve("host.test", { family = "ip4" }))
    assert.equal(2, server:count("host.test"))
    assert.is_true(nothing_left())
  end, { timeout = 0.05 }))

  it("'too many open files' where no descriptor is left, and works again later", dns.with(function(server)
    server:on("host.test", { a = { "127.1.2.3" } })
    local give_back = support.use_up_descriptors()
    local addresses, err, errno = net.resolve("host.test")
    give_back()
    failure("too many open files", addresses, err)
    assert.equal(24, errno)
    assert.same({ "127.1.2.3" }, net.resolve("host.test"))
  end))
end)

describe("an answer", function()
  it("that is truncated is fetched by TCP", dns.with(function(server)
    local many = {}
    for i = 1, 100 do many[i] = "127.1.2." .. i end
    server:on("host.test", { a = many, truncate = true })
    assert.equal(100, #assert(net.resolve("host.test", { family = "ip4" })))
    assert.equal(1, server:count("host.test", "udp"))
    assert.equal(1, server:count("host.test", "tcp"))
  end))

  it("by TCP may come in pieces", dns.with(function(server)
    server:on("host.test", { a = { "127.1.2.3" }, truncate = true, pieces = 1 })
    assert.same({ "127.1.2.3" }, net.resolve("host.test"))
  end))

  for _, close in ipairs { "at once", "inside" } do
    it(("by TCP that ends %s is a server failure"):format(close), dns.with(function(server)
      server:on("host.test", { a = { "127.1.2.3" }, truncate = true, close = close })
      failure("server failure", net.resolve("host.test"))
      assert.is_true(server:count("host.test", "tcp") > 0)
    end))
  end

  it("that got lost is asked for again", dns.with(function(server)
    server:on("host.test", { a = { "127.1.2.3" }, drop = 1 })
    assert.same({ "127.1.2.3" }, net.resolve("host.test", { family = "ip4" }))
    assert.is_true(server:count("host.test") >= 2)
  end, { timeout = 0.05, tries = 10 }))

  for _, lie in ipairs { "id", "question", "short", "empty" } do
    it(("to another query (%s) is passed over"):format(lie), dns.with(function(server)
      server:on("host.test", { a = { "127.1.2.3" }, lie = lie })
      assert.same({ "127.1.2.3" }, net.resolve("host.test"))
    end))
  end

  it("comes through a flood of datagrams that answer nothing", dns.with(function(server)
    server:on("host.test", { a = { "127.1.2.3" }, lie = "id", lies = 400 })
    assert.same({ "127.1.2.3" }, net.resolve("host.test", { family = "ip4" }))
  end))

  it("about another name than was asked for is not believed", dns.with(function(server)
    server:on("host.test", { lie = "other", lies_only = true })
    failure("no such host", net.resolve("host.test"))
    failure("no such host", net.resolve("victim.test"))
  end))

  it("that comes late, after a deadline, harms nobody", dns.with(function(server)
    server:on("host.test", { a = { "127.1.2.3" }, hold = true })
    failure("timeout", net.resolve("host.test", { timeout = 0.01 }))
    server:wait_for(2)
    server:release("host.test")
    assert.same({ "127.1.2.3" }, net.resolve("host.test"))
  end))
end)

describe("the second server", function()
  it("answers when nobody listens at the first", dns.with(function(server)
    server:on("host.test", { a = { "127.1.2.3" } })
    assert(net.set_resolver { servers = { NOBODY, server.address }, search = {}, lookups = "b" })
    assert.same({ "127.1.2.3" }, net.resolve("host.test"))
  end))

  it("answers when the first does not", dns.with(function(server)
    local silent = dns.start()
    silent:on("host.test", { silent = true })
    server:on("host.test", { a = { "127.1.2.3" } })
    assert(net.set_resolver { servers = { silent.address, server.address }, search = {}, timeout = 0.02,
      tries = 10 })
    assert.same({ "127.1.2.3" }, net.resolve("host.test"))
    assert.is_true(silent:count("host.test") >= 1)
    silent:stop()
  end))

  it("answers when the first refuses", dns.with(function(server)
    local refusing = dns.start()
    refusing:on("host.test", { rcode = "refused" })
    server:on("host.test", { a = { "127.1.2.3" } })
    assert(net.set_resolver { servers = { refusing.address, server.address }, search = {} })
    assert.same({ "127.1.2.3" }, net.resolve("host.test"))
    refusing:stop()
  end))

  it("is not asked when the first says that there is no such host", dns.with(function(server)
    local first = dns.start()
    assert(net.set_resolver { servers = { first.address, server.address }, search = {} })
    failure("no such host", net.resolve("host.test"))
    assert.equal(0, server:count())
    first:stop()
  end))
end)

describe("search domains", function()
  it("are tried for a name with few dots, in their order, and the name itself last", dns.with(function(server, settings)
    settings.search = { "one.test", "two.test" }
    assert(net.set_resolver(settings))
    server:on("host.two.test", { a = { "127.1.2.3" } })
    assert.same({ "127.1.2.3" }, net.resolve("host", { family = "ip4" }))
    failure("no such host", net.resolve("other", { family = "ip4" }))
    local asked = {}
    for i, query in ipairs(server.queries) do asked[i] = query.name end
    assert.same({ "host.one.test", "host.two.test", "other.one.test", "other.two.test", "other" }, asked)
  end))

  it("come after the name itself where it has ndots dots", dns.with(function(server, settings)
    settings.search, settings.ndots = { "one.test" }, 2
    assert(net.set_resolver(settings))
    server:on("a.b", { a = { "127.1.2.3" } })
    server:on("a.b.one.test", { a = { "127.1.2.4" } })
    server:on("a.b.c", { a = { "127.1.2.5" } })
    server:on("a.b.c.one.test", { a = { "127.1.2.6" } })
    assert.same({ "127.1.2.4" }, net.resolve("a.b"))
    assert.same({ "127.1.2.5" }, net.resolve("a.b.c"))
  end))

  it("are left out for a name that ends with a dot", dns.with(function(server, settings)
    settings.search = { "one.test" }
    assert(net.set_resolver(settings))
    server:on("host.one.test", { a = { "127.1.2.3" } })
    failure("no such host", net.resolve("host."))
    assert.same({ "127.1.2.3" }, net.resolve("host"))
  end))
end)

describe("a lookup that waits", function()
  it("fails when its timeout has passed, not earlier", dns.with(function(server)
    server:on("host.test", { silent = true })
    local before = moonpark.now()
    failure("timeout", net.resolve("host.test", { timeout = 0.02 }))
    assert.is_true(moonpark.now() >= before + 0.02)
    assert.is_true(nothing_left())
  end))

  it("fails at the earlier of timeout and deadline, and at once when that has passed", dns.with(function(server)
    server:on("host.test", { silent = true })
    failure("timeout", net.resolve("host.test", { timeout = 60, deadline = moonpark.now() + 0.01 }))
    failure("timeout", net.resolve("host.test", { timeout = 0.01, deadline = moonpark.now() + 60 }))
    server.queries = {}
    failure("timeout", net.resolve("host.test", { deadline = moonpark.now() - 1 }))
    failure("timeout", net.resolve("host.test", { timeout = 0 }))
    failure("timeout", net.resolve("127.0.0.1", { timeout = 0 }))
    assert.equal(0, server:count())
  end))

  it("ends when its task is cancelled, and leaves nothing", dns.with(function(server)
    server:on("host.test", { hold = true })
    local task = moonpark.go(net.resolve, "host.test")
    server:wait_for(2)
    task:cancel()
    assert.same({ true, nil, "canceled" }, { task:join() })
    assert.is_true(nothing_left())
  end))

  it("ends with the stretch that timeout() limits", dns.with(function(server)
    server:on("host.test", { silent = true })
    failure("timeout", moonpark.timeout(0.01, net.resolve, "host.test"))
  end))

  it("is refused in a cancelled task, numeric hosts too", dns.with(function(server)
    local results
    local task = moonpark.go(function()
      moonpark.sleep(60)
      results = { { net.resolve("host.test") }, { net.resolve("127.0.0.1") }, { net.resolve("localhost") } }
    end)
    moonpark.yield()
    task:cancel()
    task:join()
    for i = 1, 3 do assert.same({ nil, "canceled" }, results[i]) end
    assert.equal(0, server:count())
  end))

  it("loses nothing when answer and cancellation come in the same turn", dns.with(function(server)
    server:on("host.test", { a = { "127.1.2.3" }, hold = true })
    local task = moonpark.go(net.resolve, "host.test")
    server:wait_for(2)
    server:release("host.test")
    moonpark.yield() -- the answer may have been read now, or not
    task:cancel()
    local ok, addresses, err = task:join()
    assert.is_true(ok)
    assert.is_true(err == "canceled" or addresses[1] == "127.1.2.3")
    assert.is_true(nothing_left())
  end))

  it("may be in a generator", dns.with(function(server)
    server:on("host.test", { a = { "127.1.2.3" } })
    local generator = coroutine.wrap(function() coroutine.yield(net.resolve("host.test")) end)
    assert.same({ "127.1.2.3" }, generator())
  end))

  it("stands in the dump with its host", dns.with(function(server)
    server:on("host.test", { hold = true })
    local task = moonpark.go(net.resolve, "Host.test", { timeout = 60 })
    server:wait_for(2)
    assert.matches("parked in resolve on host%.test, [^\n]*deadline in", moonpark.dump())
    task:cancel()
    task:join()
  end))

  it("is not a deadlock: the answer comes from outside", dns.with(function(server)
    server:on("host.test", { a = { "127.1.2.3" }, hold = true })
    local task = moonpark.go(net.resolve, "host.test")
    server:wait_for(2)
    for _, info in ipairs(core.tasks()) do
      if info.task == task then assert.is_true(info.outside) end
    end
    server:release("host.test")
    assert.is_true(task:join())
  end))
end)

describe("many lookups", function()
  it("at once are all answered", dns.with(function(server)
    for i = 1, MANY do server:on(("h%d.test"):format(i), { a = { ("127.9.%d.%d"):format(i / 250, i % 250) } }) end
    moonpark.scope(function(scope)
      for i = 1, MANY do
        scope:go(function()
          local addresses = assert(net.resolve(("h%d.test"):format(i)))
          assert.same({ ("127.9.%d.%d"):format(i / 250, i % 250) }, addresses)
        end)
      end
    end)
    assert.equal(2 * MANY, server:count())
    assert.is_true(nothing_left())
  end))

  it("at once by TCP are all answered, over few connections", dns.with(function(server)
    for i = 1, MANY do server:on(("h%d.test"):format(i), { a = { "127.1.2.3" }, truncate = true }) end
    moonpark.scope(function(scope)
      for i = 1, MANY do
        scope:go(function() assert.same({ "127.1.2.3" }, net.resolve(("h%d.test"):format(i), { family = "ip4" })) end)
      end
    end)
    assert.is_true(server:count(nil, "tcp") >= MANY)
    assert.is_true(nothing_left())
  end, { timeout = 10 }))

  it("of servers that never answer are all asked for", dns.with(function(server)
    local tasks = {}
    for i = 1, 250 do
      server:on(("h%d.test"):format(i), { silent = true })
      tasks[i] = moonpark.go(net.resolve, ("h%d.test"):format(i), { family = "ip4" })
    end
    server:wait_for(250)
    for i = 1, 250 do tasks[i]:cancel() end
    for i = 1, 250 do tasks[i]:join() end
    assert.is_true(nothing_left())
  end, { timeout = 60 }))

  it("of one name share their queries", dns.with(function(server)
    server:on("host.test", { a = { "127.1.2.3" }, hold = true })
    local tasks = {}
    for i = 1, 20 do tasks[i] = moonpark.go(net.resolve, i % 2 == 0 and "host.test" or "HOST.test") end
    server:wait_for(2)
    server:release("host.test")
    for i = 1, 20 do assert.same({ true, { "127.1.2.3" } }, { tasks[i]:join() }) end
    assert.equal(2, server:count("host.test"))
  end))

  it("of one name do not share their deadlines, nor their tables", dns.with(function(server)
    server:on("host.test", { a = { "127.1.2.3" }, hold = true })
    local patient = { moonpark.go(net.resolve, "host.test"), moonpark.go(net.resolve, "host.test") }
    server:wait_for(2)
    failure("timeout", net.resolve("host.test", { timeout = 0.01 }))
    server:release("host.test")
    local _, one = patient[1]:join()
    local _, two = patient[2]:join()
    assert.same({ "127.1.2.3" }, one)
    assert.same({ "127.1.2.3" }, two)
    assert.not_equal(one, two)
  end))

  it("that nobody waits for any more do not hinder others", dns.with(function(server)
    server:on("dead.test", { silent = true })
    server:on("slow.test", { a = { "127.1.2.3" }, hold = true })
    local slow = moonpark.go(net.resolve, "slow.test")
    server:wait_for(2, "slow.test")
    failure("timeout", net.resolve("dead.test", { timeout = 0.01 }))
    server:release("slow.test")
    assert.same({ true, { "127.1.2.3" } }, { slow:join() })
    assert.is_true(nothing_left())
  end))
end)

describe("set_resolver", function()
  it("leaves what is under way to the servers it has asked", dns.with(function(server)
    local second = dns.start()
    server:on("host.test", { a = { "127.1.2.3" }, hold = true })
    second:on("host.test", { a = { "127.1.2.4" } })
    local task = moonpark.go(net.resolve, "host.test")
    server:wait_for(2)
    assert(net.set_resolver { servers = { second.address }, search = {} })
    assert.same({ "127.1.2.4" }, net.resolve("host.test"))
    server:release("host.test")
    assert.same({ true, { "127.1.2.3" } }, { task:join() })
    second:stop()
  end))

  it("takes servers with and without a port, of both families", function()
    for _, server in ipairs { "127.0.0.1", "127.0.0.1:5353", "::1", "[::1]:5353" } do
      assert(net.set_resolver { servers = { server, "127.0.0.1:1" } })
      assert(net.resolve("localhost"))
    end
  end)

  it("can look into the hosts file alone", function()
    assert(net.set_resolver { lookups = "f" })
    failure("no such host", net.resolve("no-such-name.test"))
  end)

  it("says what it does not understand", function()
    for _, case in ipairs {
      { {}, "set_resolver: unknown option 'x'", x = 1 },
      { { servers = {} }, "set_resolver: option 'servers' is empty" },
      { { servers = "127.0.0.1" }, "set_resolver: option 'servers' must be a table, not a string" },
      { { servers = { "a.test" } }, "set_resolver: invalid server address 'a.test'" },
      { { servers = { "127.0.0.1:0" } }, "set_resolver: invalid server address '127.0.0.1:0'" },
      { { servers = { ":53" } }, "set_resolver: invalid server address ':53'" },
      { { servers = { "unix:/s" } }, "set_resolver: invalid server address 'unix:/s'" },
      { { servers = { "127.0.0.1,127.0.0.2" } }, "set_resolver: invalid server address '127.0.0.1,127.0.0.2'" },
      { { servers = { 53 } }, "set_resolver: invalid server address '53'" },
      { { servers = { "127.0.0.1", nil, "::1" } }, "set_resolver: option 'servers' must be a list without holes" },
      { { search = { "a.test", nil, {} } }, "set_resolver: option 'search' must be a list without holes" },
      { { search = { "a b" } }, "set_resolver: invalid search domain 'a b'" },
      { { search = { "127.0.0.1" } }, "set_resolver: invalid search domain '127.0.0.1'" },
      { { ndots = 1.5 }, "set_resolver: option 'ndots' must be a whole number from 0 to 15" },
      { { tries = 0 }, "set_resolver: option 'tries' must be a whole number from 1 to 10" },
      { { timeout = 0 }, "set_resolver: option 'timeout' must be a positive number of seconds, at most 3600" },
      { { lookups = "x" }, 'set_resolver: option \'lookups\' must be "f", "b", "fb" or "bf"' },
    } do
      if case.x then case[1].x = case.x end
      local err = raised(net.set_resolver, case[1])
      assert.is_truthy(err:find(case[2], 1, true), err)
      assert.matches("^[^:]*resolve_spec%.lua:%d+: ", raised(function() net.set_resolver(case[1]) end))
    end
    assert.matches("bad argument #1 to 'set_resolver'", raised(net.set_resolver, 7))
  end)
end)

describe("a host that is none", function()
  local function complaint(host, ...)
    local options = { ... }
    local err = raised(function() net.resolve(host, options[1]) end)
    assert.matches("^[^:]*resolve_spec%.lua:%d+: ", err)
    return err:match(": (.*)$")
  end

  it("raises, and says what is wrong", function()
    local long = ("a."):rep(126) .. "bc"
    for _, case in ipairs {
      { "", "resolve: invalid host name: ''" },
      { "a b", "resolve: invalid host name: 'a b'" },
      { "a..b", "resolve: invalid host name: 'a..b'" },
      { ".a", "resolve: invalid host name: '.a'" },
      { ".", "resolve: invalid host name: '.'" },
      { "a/b", "resolve: invalid host name: 'a/b'" },
      { "a:80", "resolve: invalid host name: 'a:80'" },
      { "[::1]", "resolve: invalid host name: '[::1]'" },
      { "1.2.3", "resolve: invalid host name: '1.2.3'" },
      { "1.2.3.256", "resolve: invalid host name: '1.2.3.256'" },
      { ("a"):rep(64), "resolve: invalid host name: '" .. ("a"):rep(64) .. "'" },
      { "h\195\182st.test", "resolve: invalid host name: 'h\195\182st.test'" },
      { "a\0b", "resolve: zero byte in host name: 'a'" },
      { long, "resolve: host name too long: '" .. long .. "'" },
    } do
      assert.equal(case[2], complaint(case[1]))
    end
    assert.equal("bad argument #1 to 'resolve' (string expected, got nil)", complaint(nil))
    assert.equal("bad argument #1 to 'resolve' (string expected, got number)", complaint(7))
  end)

  it("is told from one of 253 bytes, the longest there is", dns.with(function(server)
    local name = ("a."):rep(126) .. "b"
    server:on(name, { a = { "127.1.2.3" } })
    assert.equal(253, #name)
    assert.same({ "127.1.2.3" }, net.resolve(name))
    assert.same({ "127.1.2.3" }, net.resolve(name .. "."))
  end))

  it("and options that are none raise too", function()
    assert.equal("resolve: unknown option 'x'", complaint("a.test", { x = 1 }))
    assert.equal("resolve: option 'timeout' must be a number, not a string", complaint("a.test", { timeout = "1" }))
    assert.equal("resolve: option 'timeout' must be a number, not NaN", complaint("a.test", { timeout = 0 / 0 }))
    local err = complaint("a.test", { family = "ip5" })
    assert.equal('resolve: option \'family\' must be "ip4" or "ip6", not "ip5"', err)
    assert.equal("bad argument #2 to 'resolve' (table expected, got number)", complaint("a.test", 5))
  end)
end)

describe("on a virtual clock", function()
  it("a lookup takes real time, and the clock does not run ahead for its retries", dns.with(function(server)
    server:on("host.test", { a = { "127.1.2.3" } })
    local clock = testing.clock and core.clock_freeze()
    local before = moonpark.now()
    local addresses, err = net.resolve("host.test")
    local after = moonpark.now()
    core.clock_thaw()
    assert.is_nil(clock)
    assert.same({ "127.1.2.3" }, addresses, err)
    assert.is_true(after - before < 1)
  end))
end)

-- SPDX-License-Identifier: MIT
-- dns-cache_spec.lua - examples/dns-cache.lua between dig and a name server of our own.

local dns = require "support.dns"
local example = require "support.example"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local process = require "support.process"

local has_dig = pcall(function() assert(process.run({ "dig", "-v" }).status == 0) end)

describe("examples/dns-cache.lua", function()
  local server, cache

  local function start(...)
    cache = example.start("dns-cache.lua", example.plain("dns-cache.lua", "--upstream", server.address, "127.0.0.1:0",
      ...))
  end

  before_each(function() server = dns.start() end)

  after_each(function()
    if cache then cache:stop() end
    cache = nil
    process.stop_all()
    server:stop()
  end)

  -- What dig writes on its standard output.
  local function dig(...)
    return process.run({ "dig", "@127.0.0.1", "-p", cache.port, "+tries=1", "+time=5", ... }).out
  end

  local function dig_short(...) return (dig("+short", ...):gsub("\n", " "):gsub(" $", "")) end

  -- An `it` with the cache started, if there is a dig.
  local function case(name, body, ...)
    local arguments = { ... }
    it(name, function()
      if not has_dig then return pending("dig is not here (bind9-dnsutils)") end
      start(unpack(arguments))
      body()
    end)
  end

  case("answers, and asks the upstream server once only", function()
    server:on("host.test", { a = { "127.1.2.3", "127.1.2.4" }, aaaa = { "::1" } })
    for _ = 1, 3 do assert.equal("127.1.2.3 127.1.2.4", dig_short("host.test")) end
    assert.equal("::1", dig_short("host.test", "AAAA"))
    assert.equal(2, server:count("host.test"))
  end)

  case("answers whatever the case of the name, in the case that was asked", function()
    server:on("host.test", { a = { "127.1.2.3" } })
    assert.equal("127.1.2.3", dig_short("host.test"))
    assert.matches("\nHoSt%.TEST%.%s+%d+%s+IN%s+A%s+127%.1%.2%.3", dig("HoSt.TEST"))
    assert.equal(1, server:count())
  end)

  case("follows aliases, as the upstream server tells them", function()
    server:on("alias.test", { cname = "host.test" })
    server:on("host.test", { a = { "127.1.2.3" } })
    for _ = 1, 2 do assert.equal("host.test. 127.1.2.3", dig_short("alias.test")) end
    assert.equal(1, server:count("alias.test"))
  end)

  case("counts down what is left of the time to live", function()
    server:on("host.test", { a = { "127.1.2.3" }, ttl = 60 })
    local ttl
    repeat
      ttl = tonumber(dig("host.test"):match("\nhost%.test%.%s+(%d+)%s+IN"))
      moonpark.sleep(0.05)
    until ttl < 60
    assert.is_true(ttl > 0)
    assert.equal(1, server:count())
  end)

  case("asks again when it is over", function()
    server:on("host.test", { a = { "127.1.2.3" }, ttl = 1 })
    repeat
      assert.equal("127.1.2.3", dig_short("host.test"))
      moonpark.sleep(0.05)
    until server:count() == 2
  end)

  case("keeps nothing that has no time to live", function()
    server:on("host.test", { a = { "127.1.2.3" }, ttl = 0 })
    for i = 1, 3 do
      assert.equal("127.1.2.3", dig_short("host.test"))
      assert.equal(i, server:count())
    end
  end)

  case("keeps in mind what there is not, where the zone says for how long", function()
    server:on("no.test", { rcode = "nxdomain", nothing_for = 60 })
    server:on("empty.test", { nothing_for = 60 })
    for _ = 1, 2 do
      assert.matches("status: NXDOMAIN", dig("no.test"))
      assert.matches("status: NOERROR", dig("empty.test"))
      assert.matches("status: NXDOMAIN", dig("other.test"))
    end
    assert.equal(1, server:count("no.test"))
    assert.equal(1, server:count("empty.test"))
    assert.equal(2, server:count("other.test"))
  end)

  case("fetches by TCP what does not fit, and gives it so", function()
    local many = {}
    for i = 1, 100 do many[i] = "127.1.2." .. i end
    server:on("host.test", { a = many, truncate = true })
    local lines = dig("+noall", "+answer", "host.test")
    assert.equal(100, select(2, lines:gsub("\n", "\n")))
    assert.equal(1, server:count(nil, "tcp"))
    assert.equal(many[1], dig_short("+tcp", "host.test"):match("^%S+"))
    assert.equal(1, server:count(nil, "tcp"))
  end)

  case("says SERVFAIL when the upstream server does not answer, and asks again next time", function()
    server:on("host.test", { a = { "127.1.2.3" }, drop = 2 })
    assert.matches("status: SERVFAIL", dig("host.test"))
    assert.equal(2, server:count())
    assert.equal("127.1.2.3", dig_short("host.test"))
  end, "--timeout", "0.05")

  for _, lie in ipairs { "id", "question", "garbage", "short", "empty" } do
    case(("takes no lie for an answer (%s)"):format(lie), function()
      server:on("host.test", { a = { "127.1.2.3" }, lie = lie })
      assert.equal("127.1.2.3", dig_short("host.test"))
    end)
  end

  case("keeps no more than it may", function()
    for _, name in ipairs { "a.test", "b.test", "c.test" } do
      server:on(name, { a = { "127.1.2.3" } })
      dig(name)
    end
    dig("c.test")
    assert.equal(1, server:count("c.test"))
    dig("a.test")
    assert.equal(2, server:count("a.test"))
  end, "--entries", "2")

  case("passes on what it does not understand", function()
    server:on("host.test", { a = { "127.1.2.3" } })
    for i = 1, 2 do
      assert.equal("127.1.2.3", dig_short("+dnssec", "host.test")) -- signatures are wanted: not ours to keep
      assert.equal(i, server:count())
    end
    assert.matches("status: NOERROR", dig("+opcode=notify", "host.test"))
    assert.equal(3, server:count())
  end)

  it("asks once for many who want to know the same at the same time", function()
    start()
    server:on("host.test", { a = { "127.1.2.3" }, hold = true })
    local clients = {}
    for i = 1, 20 do
      clients[i] = assert(net.packet("udp:127.0.0.1:0", { peer = "udp:" .. cache.address }))
      assert(clients[i]:send(dns.query(i, "host.test", dns.A)))
    end
    server:wait_for(1)
    local last = cache:dial()
    last:close() -- by now all of them have been received
    server:release("host.test")
    for i = 1, 20 do
      clients[i]:set_deadline(moonpark.now() + 30)
      assert.equal(string.char(0, i), assert(clients[i]:recv()):sub(1, 2))
      clients[i]:close()
    end
    assert.equal(1, server:count())
  end)

  it("survives what is no message, and answers no answers", function()
    start()
    server:on("host.test", { a = { "127.1.2.3" } })
    local query = dns.query(7, "host.test", dns.A)
    local client = assert(net.packet("udp:127.0.0.1:0", { peer = "udp:" .. cache.address }))
    for n = 0, 11 do client:send(query:sub(1, n)) end
    client:send(query:sub(1, 2) .. "\132" .. query:sub(4))
    client:set_deadline(moonpark.now() + 30)
    assert(client:send(query))
    assert.equal("\0\7", assert(client:recv()):sub(1, 2)) -- the first that comes is to the one good query
    local conn = cache:dial()
    conn:write("\255\255", ("\255"):rep(100))
    conn:close()
    conn = cache:dial()
    conn:write("\0\4abcd")
    assert.same({ nil, "eof" }, { conn:read() })
    conn:close()
    client:close()
  end)
end)

describe("dnswire", function()
  local wire = dofile(example.path("lib/dnswire.lua"))
  local query = dns.query(7, "host.test", dns.A)

  it("reads a query, and nothing that is cut short", function()
    assert.equal("host", wire.read(query).question:sub(2, 5))
    for n = 0, #query - 1 do assert.is_nil(wire.read(query:sub(1, n))) end
  end)

  it("survives any bytes behind a header", function()
    local x = 1
    for _ = 1, 3000 do
      local bytes = {}
      for i = 1, 40 do
        x = x * 16807 % 2147483647
        bytes[i] = string.char(x % 256)
      end
      local text = "ab\1\0\0\1\0\2\0\1\0\1" .. table.concat(bytes)
      local message = wire.read(text)
      if message then assert.equal(#text, #wire.aged(text, message, message, 5)) end
    end
  end)
end)

describe("examples/dns-cache.lua", function()
  after_each(process.stop_all)

  it("explains itself", function()
    local r = process.run(example.plain("dns-cache.lua", "--help"))
    assert.equal(0, r.status)
    assert.matches("^usage: dns%-cache%.lua %-%-upstream", r.out)
  end)

  local function complaint(...)
    local r = process.run(example.plain("dns-cache.lua", ...))
    assert.equal(1, r.status)
    return r.err
  end

  it("says why it does not start", function()
    assert.equal("dns-cache: --upstream is missing; see --help\n", complaint())
    assert.equal("dns-cache: no value for --entries; see --help\n", complaint("--entries", "many"))
    assert.equal("dns-cache: unknown option --x; see --help\n", complaint("--x", "1"))
    assert.equal("dns-cache: no host:port: nowhere\n", complaint("--upstream", "nowhere"))
    for _, port in ipairs { "0", "65536" } do
      local upstream = "127.0.0.1:" .. port
      assert.equal(("dns-cache: no host:port: %s\n"):format(upstream), complaint("--upstream", upstream))
    end
    for _, seconds in ipairs { "0", "-1", "nan", "inf" } do
      assert.equal("dns-cache: --timeout must be a positive number of seconds\n",
        complaint("--upstream", "127.0.0.1:53", "--timeout", seconds))
    end
    for _, count in ipairs { "-1", "1.5", "nan", "inf" } do
      assert.equal("dns-cache: --entries must be a whole number of at least 0\n",
        complaint("--upstream", "127.0.0.1:53", "--entries", count))
    end
    assert.matches("^dns%-cache: cannot listen on ", complaint("--upstream", "127.0.0.1:53", "203.0.113.1:0"))
  end)
end)

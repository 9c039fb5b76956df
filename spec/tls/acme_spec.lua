-- SPDX-License-Identifier: MIT
-- Automatic certificates against an ACME server that checks what it is sent, in virtual time.

local acme = require "support.acme"
local certificates = require "support.tls"
local core = require "moonpark.core"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local testing = require "moonpark.testing"
local tls = require "moonpark.tls"

local DAY = 86400
local AT_ANY_TIME = tls.client { insecure = true } -- OpenSSL's clock is not virtual

-- The object's certificate, when it has come. Without a limit virtual time would go on for ever.
local function obtained(object)
  local certificate, err = object:wait(3000)
  assert.is_table(certificate, object:last_error() or err)
  return certificate
end

describe("tls.acme", function()
  local server, storage, object

  before_each(function()
    testing.clock()
    server, storage = acme.server(), acme.storage()
  end)

  after_each(function()
    if object then object:close() end
    object = nil
  end)

  local function start(options)
    object = acme.new(server, storage, options)
    return object
  end

  for _, kind in ipairs { "http-01", "tls-alpn-01" } do
    it("obtains a certificate by " .. kind, function()
      local certificate = obtained(start { challenge = kind })
      local facts = assert(core.x509_read(certificate.cert, certificate.key))
      assert.same({ "host.example" }, facts.dns_names)
      assert.equal("CN=spec authority", facts.issuer)
      assert.equal(facts.fingerprint, certificate.fingerprint)
      assert.equal(1, server.looked)
    end)
  end

  it("does nothing before it is started", function()
    start()
    assert.is_nil(object:current())
    moonpark.sleep(DAY)
    assert.same({}, server.log)
  end)

  it("obtains one certificate for several names and addresses", function()
    local names = { "host.example", "www.host.example", "192.0.2.1", "2001:db8::1" }
    server.look = function(_, _, token)
      return storage.files["challenge-" .. token]
    end
    local facts = core.x509_read(obtained(start { domains = names }).cert)
    assert.same({ "host.example", "www.host.example" }, facts.dns_names)
    assert.same({ "192.0.2.1", "2001:db8::1" }, facts.ip_addresses)
    assert.equal(4, server:asked "POST /challenge")
  end)

  it("shows a challenge only while it is open", function()
    obtained(start { challenge = "tls-alpn-01" })
    assert.same({ nil, "no open challenge" }, { object:alpn_certificate "host.example" })
    for name in pairs(storage.files) do assert.is_nil(name:find "challenge") end
  end)

  it("leaves the lock to others when it has one", function()
    obtained(start())
    moonpark.sleep(1)
    assert.equal(0, storage.locks)
  end)

  it("waits while the authority looks, and while it is told to", function()
    server.polls = 3
    local clock = testing.clock()
    obtained(start())
    assert.equal(5, server:asked "POST /authorization")
    assert.equal(1 + 2 + 4, clock:now())
  end)

  it("uses the storage's certificate, and asks nobody", function()
    local first = obtained(start())
    object:close()
    local before = #server.log
    assert.same(first.cert, obtained(start()).cert)
    assert.equal(before, #server.log)
  end)

  it("asks for another one if a name was added, and serves the old one meanwhile", function()
    local first = obtained(start())
    object:close()
    local names, seen = { "host.example", "www.host.example" }, {}
    object = acme.new(server, storage, { domains = names, on_certificate = function(certificate)
      seen[#seen + 1] = certificate
    end })
    obtained(object)
    moonpark.sleep(10)
    assert.equal(2, #seen)
    assert.equal(first.cert, seen[1].cert)
    assert.same(names, core.x509_read(object:current().cert).dns_names)
  end)

  it("gives each certificate to on_certificate and to its contexts", function()
    local seen = {}
    local context = assert(start { on_certificate = function(certificate) seen[1] = certificate end }:context())
    local a, b = net.pipe()
    certificates.over(a, b, context, AT_ANY_TIME)
    assert.same({ true }, (certificates.shake(a, b)))
    local facts = core.x509_read(core.tls_certificate(a))
    assert.equal(seen[1].fingerprint, facts.fingerprint)
    a:close()
    b:close()
  end)

  it("reports an error in on_certificate, and goes on", function()
    local texts = acme.quiet(function()
      obtained(start { on_certificate = function() error "of the script" end })
    end)
    assert.equal(1, #texts)
    assert.is_truthy(texts[1]:find("error in on_certificate: .*of the script"))
  end)

  it("waits no longer than told", function()
    server.intercept = function() return 0, nil, "connection refused" end
    acme.quiet(function()
      assert.same({ nil, "timeout" }, { start():wait(5) })
      assert.is_truthy(object:last_error():find("/directory: connection refused", 1, true))
      local waiting = moonpark.go(function() return object:wait() end)
      moonpark.yield()
      object:close()
      assert.same({ true, nil, "closed" }, { waiting:join() })
      assert.same({ nil, "closed" }, { object:wait() })
    end)
  end)

  describe("renews", function()
    it("at two thirds of the life, a little later for each process", function()
      local first = obtained(start())
      local facts = core.x509_read(first.cert)
      local share = (first.renew_at - facts.not_before) / (facts.not_after - facts.not_before)
      assert.is_true(share >= 2 / 3 and share <= 2 / 3 + 1 / 50, share)
      server.days = 365
      moonpark.sleep(59 * DAY)
      assert.equal(first.cert, object:current().cert)
      moonpark.sleep(3 * DAY)
      assert.not_equal(first.cert, object:current().cert)
      assert.not_equal(first.key, object:current().key)
      assert.equal(2, server.issued)
      assert.equal(1, server:asked "POST /account")
    end)

    it("for the contexts that have it, without touching connections", function()
      local context = assert(start():context())
      server.days = 365
      local function serial_of()
        local a, b = net.pipe()
        certificates.over(a, b, context, AT_ANY_TIME)
        assert.same({ true }, (certificates.shake(a, b)))
        local serial = core.x509_read(core.tls_certificate(a)).serial
        a:close()
        b:close()
        return serial
      end
      local first = serial_of()
      moonpark.sleep(62 * DAY)
      assert.not_equal(first, serial_of())
    end)

    it("again and again while that fails, and the old one is served until its end", function()
      obtained(start())
      server.days = 365
      server.intercept = function(method, path)
        if method == "POST" and path == "/order" then return 500 end
      end
      local texts = acme.quiet(function()
        moonpark.sleep(89 * DAY)
        assert.is_table(object:current())
        moonpark.sleep(2 * DAY)
        assert.is_nil(object:current())
        server.intercept = nil
        moonpark.sleep(DAY)
        assert.is_table(object:current())
      end)
      assert.is_true(#texts > 50 and #texts < 90, #texts)
      local expected = "acme: no certificate for host.example: order: status 500; trying again in "
      assert.equal(expected, texts[1]:sub(1, #expected))
      assert.is_nil(object:last_error())
    end)

    it("in one process of several, and the others find it", function()
      local objects, seen = {}, {}
      for i = 1, 5 do
        objects[i] = acme.new(server, storage, { on_certificate = function() seen[i] = (seen[i] or 0) + 1 end })
        objects[i]:start()
      end
      moonpark.sleep(60)
      assert.equal(1, server.issued)
      assert.same({ 1, 1, 1, 1, 1 }, seen)
      server.days = 365
      moonpark.sleep(62 * DAY)
      assert.equal(2, server.issued)
      assert.same({ 2, 2, 2, 2, 2 }, seen)
      for i = 1, 5 do objects[i]:close() end
    end)
  end)

  describe("after a failure", function()
    local function pauses(fields, count)
      for name, value in pairs(fields) do server[name] = value end
      local texts = acme.quiet(function(texts)
        start():start()
        while #texts < count do moonpark.sleep(10) end
        object:close()
      end)
      local seconds = {}
      for i, text in ipairs(texts) do seconds[i] = tonumber(text:match "trying again in (%d+) s") end
      return seconds, texts
    end

    it("waits twice as long each time, but not for ever", function()
      local seconds = pauses({ refuse = "host.example" }, 14)
      local expected = 60
      for i = 1, 14 do
        assert.is_true(seconds[i] >= expected and seconds[i] <= expected * 1.1 + 1, i .. ": " .. seconds[i])
        expected = math.min(expected * 2, 12 * 3600)
      end
    end)

    it("waits as long as the authority says", function()
      local seconds = pauses({ intercept = function(_, path)
        if path == "/order" then
          return 429, { ["Retry-After"] = "5000" }, '{"type":"urn:ietf:params:acme:error:rateLimited"}'
        end
      end }, 2)
      assert.same({ 5000, 5000 }, seconds)
    end)

    it("waits until the date that the authority says, but no longer than a week", function()
      local date = require("moonpark.http.date").format(moonpark.time() + 7200)
      local seconds = pauses({ intercept = function(_, path)
        if path == "/order" then return 503, { ["Retry-After"] = date } end
      end }, 1)
      assert.is_true(math.abs(seconds[1] - 7200) < 3, seconds[1])
      storage.files = {}
      date = "99999999999999"
      seconds = pauses({}, 1)
      assert.equal(7 * DAY, seconds[1])
    end)

    it("tells other processes how long to wait", function()
      pauses({ refuse = "host.example" }, 1)
      local orders = server:asked "POST /order"
      acme.quiet(function()
        start():start()
        moonpark.sleep(30)
        assert.equal(orders, server:asked "POST /order")
        moonpark.sleep(60)
        assert.equal(orders + 1, server:asked "POST /order")
        object:close()
      end)
    end)
  end)
end)

describe("tls.acme refuses, at the script's line,", function()
  local function refused(expected, options)
    local ok, err = pcall(function() tls.acme(options) end)
    assert.is_false(ok)
    assert.is_truthy(err:find "acme_spec.lua:%d+: " and err:find(expected, 1, true), err)
  end

  it("what is missing or unknown", function()
    refused "bad argument #1 to 'acme' (table expected, got nil)"
    refused("acme: option 'domains' is needed", { storage = "x" })
    refused("acme: option 'storage' is needed", { domains = "a.example" })
    refused("acme: unknown option 'domain'; did you mean 'domains'?", { domain = "a.example" })
    refused("option 'storage' must be a folder's path, or an object with", { domains = "a.example", storage = {} })
    refused([[option 'challenge' must be "http-01" or "tls-alpn-01", not "dns-01"]],
      { domains = "a.example", storage = "x", challenge = "dns-01" })
    refused("option 'directory' must be the URL", { domains = "a.example", storage = "x", directory = "ftp://x" })
  end)

  it("names that the authority would refuse", function()
    local function name(text, expected, challenge)
      refused(expected, { domains = { "a.example", text }, storage = "x", challenge = challenge })
    end
    name("*.a.example", '"*.a.example": a wildcard needs a challenge over DNS')
    name("a b", '"a b": no host name or IP address')
    name("../../etc", '"../../etc": no host name')
    name("caf\195\169.example", "no host name or IP address (write other letters as xn--...)")
    name("192.0.2.1", "an IP address needs the challenge http-01", "tls-alpn-01")
  end)
end)

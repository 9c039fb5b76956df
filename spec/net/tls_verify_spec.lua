-- SPDX-License-Identifier: MIT
-- tls_context, tls_error: whom a side trusts, and why a handshake has failed, in words.

local moonpark = require "moonpark"
local net = require "moonpark.net"
local process = require "support.process"
local support = require "support.net"
local tls = require "moonpark.tls"
local certificates = require "support.tls"
local files = certificates.files

-- What the client's handshake returns, and the server's.
local function meet(server, client, name)
  local a, b = net.pipe()
  certificates.over(a, b, server, client, name)
  local mine, theirs = certificates.shake(a, b)
  if mine[1] then -- a client learns from its first read that the server refused its certificate
    local other = moonpark.go(b.write, b, "x")
    local bytes, err = a:read()
    if not bytes then mine = { nil, err } end
    other:join()
  end
  a:close()
  b:close()
  return mine, theirs
end

local function server_of(name, more)
  local options = { cert = files[name .. "_crt"], key = files[name .. "_key"] }
  for key, value in pairs(more or {}) do options[key] = value end
  return assert(tls.server(options))
end

describe("a client", function()
  local function refuses(err, server, client, name)
    local mine, theirs = meet(server, client, name)
    assert.same({ nil, err }, mine)
    assert.is_nil(theirs[1])
  end

  it("refuses a certificate that has expired", function()
    refuses("certificate has expired", server_of "expired")
  end)

  it("refuses a certificate for another host, and says for which", function()
    refuses("certificate is for other.example, not host.example", server_of "other")
    refuses("certificate is for host.example, not 10.1.2.3", server_of "host", nil, "10.1.2.3")
  end)

  it("refuses an unknown issuer, also where the system's authorities count", function()
    refuses("unknown issuer", server_of "host", assert(tls.client()))
    refuses("unknown issuer", server_of "host", assert(tls.client { ca = files.stranger_crt }))
    refuses("unknown issuer", server_of "far", nil, "far.example") -- the one in between is not sent
  end)

  it("refuses a certificate that is for clients", function()
    refuses("certificate is for another purpose", server_of "purpose")
  end)

  it("takes a chain, an address and a wildcard", function()
    local chain = assert(tls.server { cert = files.chain_crt, key = files.far_key })
    assert.same({ { true }, { true } }, { meet(chain, nil, "far.example") })
    assert.same({ { true }, { true } }, { meet(server_of "host", nil, "127.0.0.1") })
    assert.same({ { true }, { true } }, { meet(server_of "host", nil, "::1") })
    assert.same({ { true }, { true } }, { meet(server_of "wild", nil, "a.wild.example") })
    refuses("certificate is for *.wild.example, not a.b.wild.example", server_of "wild", nil, "a.b.wild.example")
  end)

  it("takes a name in any spelling, and says it in the usual one", function()
    for name, said in pairs { ["HOST.example"] = "host.example", ["host.example."] = "host.example",
      ["127.0.0.1."] = false, ["0:0::1"] = false, ["::ffff:127.0.0.1"] = false } do
      local a, b = net.pipe()
      certificates.over(a, b, server_of "host", nil, name)
      assert.same({ { true }, { true } }, { certificates.shake(a, b) })
      assert.equal(said or nil, b:tls().server_name)
      a:close()
      b:close()
    end
  end)

  -- OpenSSL takes an empty name for any, and one with a dot before it for all hosts below.
  it("refuses words that name no host before it says anything", function()
    local words = "server_name is neither a host's name nor an address"
    for _, name in ipairs { "", ".", ".example", "a..example", "host.example\0", "\0", "host example", "[::1]",
      "::1%lo", "b\195\188cher.example", "host.example/", ("a"):rep(300) } do
      local a, b = net.pipe()
      assert.same({ nil, words }, { a:start_tls { context = certificates.client(), server_name = name } })
      assert.same({ nil, "eof" }, { b:read() })
      b:close()
      local listener = assert(net.listen("127.0.0.1:0"))
      assert.same({ nil, words }, { net.dial(listener:address(), { tls = certificates.client(), server_name = name }) })
      listener:close()
    end
  end)

  it("takes anything if it is insecure, and the dump says so", function()
    local client = assert(tls.client { insecure = true })
    assert.same({ { true }, { true } }, { meet(server_of "expired", client) })
    local a, b = net.pipe()
    certificates.over(a, b, nil, client)
    assert.matches("^insecure tls", tostring(a))
    assert.matches("^tls", tostring(b))
    a:close()
    b:close()
  end)
end)

describe("a server", function()
  it("says that there is no shared cipher", function()
    local server = server_of("host", { ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256" })
    local client = certificates.client { ciphers = "ECDHE-RSA-AES128-GCM-SHA256", max_version = "1.2" }
    local mine, theirs = meet(server, client)
    assert.same({ nil, "handshake failure: no shared cipher" }, theirs)
    assert.same({ nil, "handshake failure: refused by the peer" }, mine)
  end)

  it("says that there is no shared version or protocol", function()
    local mine, theirs = meet(server_of("host", { min_version = "1.3" }),
      certificates.client { max_version = "1.2" })
    assert.same({ nil, "handshake failure: unsupported version" }, theirs)
    assert.same({ nil, "handshake failure: unsupported version" }, mine)
    mine, theirs = meet(server_of("host", { alpn = { "h2" } }), certificates.client { alpn = { "http/1.1" } })
    assert.same({ nil, "handshake failure: no shared protocol" }, theirs)
    assert.same({ nil, "handshake failure: no shared protocol" }, mine)
  end)

  it("may require a client's certificate, and verifies it", function()
    local server = server_of("host", { client_certificates = "require", client_ca = files.ca_crt })
    local mine, theirs = meet(server)
    assert.same({ nil, "handshake failure: no client certificate" }, theirs)
    assert.same({ nil, "handshake failure: client certificate required" }, mine)
    mine, theirs = meet(server, certificates.client { cert = files.unknown_client_crt,
      key = files.unknown_client_key })
    assert.same({ nil, "unknown issuer" }, theirs)
    assert.same({ nil, "handshake failure: the peer does not know our issuer" }, mine)
    mine, theirs = meet(server, certificates.client { cert = files.client_crt, key = files.client_key })
    assert.same({ { true }, { true } }, { mine, theirs })
  end)

  it("may ask for one, and goes on without", function()
    local server = server_of("host", { client_certificates = "request", client_ca = files.ca_crt })
    assert.same({ { true }, { true } }, { meet(server) })
    local _, theirs = meet(server, certificates.client { cert = files.unknown_client_crt,
      key = files.unknown_client_key })
    assert.same({ nil, "unknown issuer" }, theirs)
  end)

  local answer = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 49\r\n"
    .. "Connection: close\r\n\r\nThis port speaks TLS: the address needs https://\n"

  for _, method in ipairs { "GET", "POST", "DELETE", "CONNECT" } do
    it("answers plain HTTP in plain text: " .. method, function()
      local listener = assert(net.listen("127.0.0.1:0", { tls = certificates.server() }))
      local client = assert(net.dial(listener:address()))
      client:write(method .. " / HTTP/1.1\r\nHost: a\r\n\r\n" .. ("x"):rep(3000))
      local server = listener:accept()
      assert.same({ nil, "plain HTTP on a TLS port" }, { server:read() })
      server:close()
      assert.equal(answer, client:read_all())
      client:close()
      listener:close()
    end)
  end

  it("says that something is not TLS", function()
    local listener = assert(net.listen("127.0.0.1:0", { tls = certificates.server() }))
    local client = assert(net.dial(listener:address()))
    client:write "EHLO somebody\r\n"
    local server = listener:accept()
    assert.same({ nil, "handshake failure: not TLS" }, { server:read() })
    assert.same({ nil, "handshake failure: not TLS" }, { server:read() })
    server:close()
    client:close()
    listener:close()
  end)

  it("picks the certificate by the name that is asked for; the first one for names it does not know", function()
    local server = assert(tls.server { cert = files.host_crt, key = files.host_key, certificates = {
      { cert = files.wild_crt, key = files.wild_key }, { cert = files.other_crt, key = files.other_key },
      { cert = files.chain_crt, key = files.far_key, names = { "far.example", "b.wild.example" } },
    } })
    for _, name in ipairs { "host.example", "OTHER.example", "a.wild.example", "far.example" } do
      assert.same({ { true }, { true } }, { meet(server, nil, name) })
    end
    local function is_for(name, other)
      assert.same({ nil, ("certificate is for %s, not %s"):format(name, other) }, (meet(server, nil, other)))
    end
    is_for("host.example", "unknown.example")
    is_for("host.example", "x.a.wild.example")
    is_for("far.example", "b.wild.example") -- an exact name before a wildcard
  end)

  it("verifies clients as it was told to, whatever context the function returns", function()
    local mine = certificates.client { cert = files.client_crt, key = files.client_key }
    local stranger = certificates.client { cert = files.unknown_client_crt, key = files.unknown_client_key }
    for _, options in ipairs { {}, { client_certificates = "request", client_ca = files.stranger_crt } } do
      local other = server_of("other", options)
      local server = server_of("host", { client_certificates = "require", client_ca = files.ca_crt,
        choose = function() return other end })
      assert.same({ { true }, { true } }, { meet(server, mine, "other.example") })
      local _, theirs = meet(server, stranger, "other.example")
      assert.is_nil(theirs[1])
      _, theirs = meet(server, nil, "other.example")
      assert.is_nil(theirs[1])
    end
  end)

  it("asks a function for names that no certificate is for; it may wait, and fail", function()
    local other, asked = server_of "other", {}
    local server = server_of("host", { certificates = { { cert = files.wild_crt, key = files.wild_key } },
      choose = function(name)
        asked[#asked + 1] = name
        moonpark.sleep(0.001)
        if name == "other.example" then return other end
        if name == "error.example" then error("no database") end
        if name == "wrong.example" then return certificates.client() end
        return nil
      end })
    for _, name in ipairs { "host.example", "a.wild.example", "other.example" } do
      assert.same({ { true }, { true } }, { meet(server, nil, name) })
    end
    for _, name in ipairs { "nobody.example", "error.example", "wrong.example" } do
      assert.same({ nil, ("certificate is for host.example, not %s"):format(name) }, (meet(server, nil, name)))
    end
    assert.same({ "other.example", "nobody.example", "error.example", "wrong.example" }, asked)
  end)

  it("may be closed while its function is asked", function()
    local open, event, began = tls.stats().open, moonpark.event(), moonpark.event()
    local server = server_of("host", { choose = function()
      began:set()
      event:wait()
    end })
    local a, b = net.pipe()
    certificates.over(a, b, server, nil, "other.example")
    local tasks = { moonpark.go(a.handshake, a), moonpark.go(b.handshake, b) }
    began:wait()
    b:close()
    a:close()
    event:set()
    for _, task in ipairs(tasks) do task:join() end
    assert.equal(open, tls.stats().open)
  end)

  it("may be reloaded in the middle of a handshake", function()
    local server = server_of("host", { alpn = { "a" } })
    local a, b = net.pipe()
    certificates.over(a, b, server, certificates.client { alpn = { "a" } })
    local theirs = support.parked(b.handshake, b)
    assert.is_true(server:reload())
    collectgarbage()
    assert.is_true(a:handshake())
    assert.same({ true, true }, { theirs:join() })
    assert.equal("a", b:tls().alpn)
    a:close()
    b:close()
  end)

  it("has its other options whichever certificate it picks", function()
    local server = server_of("host", { alpn = { "b" }, client_certificates = "require", client_ca = files.ca_crt,
      certificates = { { cert = files.other_crt, key = files.other_key } } })
    local client = certificates.client { cert = files.client_crt, key = files.client_key, alpn = { "a", "b" } }
    for _, name in ipairs { "host.example", "other.example" } do
      local a, b = net.pipe()
      certificates.over(a, b, server, client, name)
      assert.same({ { true }, { true } }, { certificates.shake(a, b) })
      assert.equal("b", a:tls().alpn)
      assert.is_true(b:tls().verified)
      a:close()
      b:close()
      local _, theirs = meet(server, certificates.client { alpn = { "b" } }, name)
      assert.same({ nil, "handshake failure: no client certificate" }, theirs)
    end
  end)
end)

describe("a context", function()
  local function fails(err, options)
    local context, why = tls.server(options)
    assert.is_nil(context)
    assert.equal(err, why)
  end

  it("says which file is bad, and why", function()
    local here = certificates.folder .. "/"
    fails("nowhere.crt: no such file or directory", { cert = "nowhere.crt", key = files.host_key })
    fails(here .. "nothing.pem: no certificate in PEM", { cert = files.nothing_pem, key = files.host_key })
    fails(here .. "broken.crt: malformed certificate", { cert = files.broken_crt, key = files.host_key })
    fails(here .. "nothing.pem: no key in PEM", { cert = files.host_crt, key = files.nothing_pem })
    fails(here .. "encrypted.key: key is encrypted", { cert = files.host_crt, key = files.encrypted_key })
    fails(here .. "other.key: key is for another certificate", { cert = files.host_crt, key = files.other_key })
    fails(here .. "rsa.key: key is for another certificate", { cert = files.host_crt, key = files.rsa_key })
    fails(here .. "far.key: key is for another certificate", { cert = files.disordered_crt, key = files.far_key })
    fails(here .. "host.crt: no key in PEM", { cert = files.host_crt })
    fails(here .. ": is a directory", { cert = here, key = files.host_key })
    fails("cert: malformed certificate", { cert = "-----BEGIN NOTHING-----\n", key = files.host_key })
    fails("ciphers: no known cipher", { cert = files.both_pem, ciphers = "ROT13" })
    fails("ciphersuites: unknown cipher suite", { cert = files.both_pem, ciphersuites = "ROT13" })
    assert.equal(here .. "nothing.pem: no certificate in PEM", select(2, tls.client { ca = files.nothing_pem }))
  end)

  it("takes PEM itself, and a key beside the certificate", function()
    assert.same({ { true }, { true } }, { meet(assert(tls.server { cert = files.both_pem })) })
    assert.same({ { true }, { true } }, { meet(assert(tls.server { cert = certificates.pem "host_crt",
      key = certificates.pem "host_key" }), certificates.client { ca = certificates.pem "ca_crt" }) })
    assert.same({ { true }, { true } }, { meet(server_of "rsa") })
  end)

  it("raises for options that are wrong", function()
    assert.error_matches(function() tls.server() end, "table expected, got nil")
    assert.error_matches(function() tls.server {} end, "option 'cert' or 'certificates' is needed")
    assert.error_matches(function() tls.server { crt = "x" } end, "unknown option 'crt'; did you mean 'cert'?", 1, true)
    assert.error_matches(function() tls.server { cert = "x", min_version = "1.1" } end, 'must be "1.2" or "1.3"')
    assert.error_matches(function() tls.server { cert = "x", client_certificates = "require" } end,
      "'client_ca' is needed")
    assert.error_matches(function() tls.client { insecure = true, ca = "x" } end, "no use with 'insecure'")
    assert.error_matches(function() net.listen(":0", { tls = certificates.client() }) end, "made by tls.server")
    assert.error_matches(function() net.dial("a:1", { tls = certificates.server() }) end, "made by tls.client")
    assert.error_matches(function() net.dial("unix:/a", { tls = true }) end, "'server_name' is needed")
    assert.error_matches(function() net.dial("udp:a:1", { tls = true }) end, "not for datagrams")
  end)

  it("uses other files after reload, and keeps the old ones if the new ones are bad", function()
    local folder = os.tmpname()
    os.remove(folder)
    local crt, key = folder .. ".crt", folder .. ".key"
    local function put(name)
      process.run(("cp %s %s && cp %s %s"):format(files[name .. "_crt"], crt, files[name .. "_key"], key))
    end
    put "host"
    local server = assert(tls.server { cert = crt, key = key })
    assert.same({ { true }, { true } }, { meet(server) })
    put "other"
    assert.same({ { true }, { true } }, { meet(server) })
    assert.is_true(server:reload())
    assert.same({ nil, "certificate is for other.example, not host.example" }, (meet(server)))
    process.run("cp " .. files.host_crt .. " " .. crt)
    assert.same({ nil, key .. ": key is for another certificate" }, { server:reload() })
    assert.same({ { true }, { true } }, { meet(server, nil, "other.example") })
    os.remove(crt)
    os.remove(key)
  end)

  it("reloads by itself when a file has changed, also one that is replaced", function()
    local folder = os.tmpname()
    os.remove(folder)
    process.run("mkdir " .. folder)
    local crt, key = folder .. "/a.crt", folder .. "/a.key"
    local function put(name)
      process.run(("cp %s %s.new && mv %s.new %s && cp %s %s"):format(files[name .. "_crt"], crt, crt, crt,
        files[name .. "_key"], key))
    end
    put "host"
    local server = assert(tls.server { cert = crt, key = key })
    local reloads = moonpark.chan(10)
    put "wild" -- before anybody watches
    local watcher = support.parked(server.watch, server, function(ok, err) reloads:send { ok = ok, err = err } end)
    assert.same({ ok = true }, (reloads:recv(5)))
    assert.same({ nil, "certificate is for *.wild.example, not host.example" }, (meet(server)))
    put "other"
    assert.same({ ok = true }, (reloads:recv(5)))
    assert.same({ nil, "certificate is for other.example, not host.example" }, (meet(server)))
    process.run("cp " .. files.nothing_pem .. " " .. crt)
    assert.same({ err = crt .. ": no certificate in PEM" }, (reloads:recv(5)))
    assert.same({ { true }, { true } }, { meet(server, nil, "other.example") })
    watcher:cancel()
    assert.same({ nil, "canceled" }, { select(2, watcher:join()) })
    process.run("rm -r " .. folder)
    assert.matches("no such file or directory", select(2, server:watch()))
  end)
end)

-- SPDX-License-Identifier: MIT
-- https_spec.lua - examples/https.lua as its users meet it; the clients are curl and Python's ssl.

local curl = require "support.curl"
local example = require "support.example"
local moonpark = require "moonpark"
local process = require "support.process"
local support = require "support.net"
local tls = require "support.tls"

local files = tls.files

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  file:close()
end

local function start(...)
  return example.start("https.lua", example.plain("https.lua", "127.0.0.1:0", ...))
end

-- The certificate that Python is shown, without verifying it: PEM, and its fingerprint.
local function shown(server)
  local r = process.run({ "env", "-u", "LD_PRELOAD", "python3", "-", server.port }, { stdin = [[
import hashlib, ssl, sys
pem = ssl.get_server_certificate(("127.0.0.1", int(sys.argv[1])), timeout=30)
digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest().upper()
print(pem + ":".join(digest[i:i + 2] for i in range(0, len(digest), 2)))
]] })
  assert.same({ 0, "" }, { r.status, r.err })
  return r.out:match "^(.*%-%-\n)(%S+)\n$"
end

describe("examples/https.lua", function()
  after_each(process.stop_all)

  it("makes a certificate, prints its fingerprint, and says how to use a real one", function()
    support.with_folder(function(folder)
      local server = start()
      local pem, fingerprint = shown(server)
      assert.equal("fingerprint (SHA-256) " .. fingerprint, server.child:line())
      assert.equal("the certificate is self-signed; for a real one: https.lua ADDRESS CERT KEY", server.child:line())
      local path = folder .. "/shown.crt"
      write(path, pem)
      local r = curl.https(server, "/", "--cacert", path, "--tlsv1.3", "-i")
      assert.same({ 0, "" }, { r.status, r.err })
      assert.matches("^HTTP/1%.1 200 OK\r\n.*\r\n\r\n<!doctype html>\n.*<h1>Hello over TLSv1%.3</h1>", r.out)
      assert.is_nil(r.out:find("Strict-Transport-Security", 1, true)) -- it would bind localhost for a year
      r = curl.https({ address = "localhost:" .. server.port }, "/", "-4", "--cacert", path, "--tls-max", "1.2")
      assert.matches("<h1>Hello over TLSv1%.2</h1>", r.out)
      server:stop()
      os.remove(path)
    end)
  end)

  it("makes another certificate at each start, which no client trusts unasked", function()
    local first, second = start(), start()
    local _, one = shown(first)
    local _, other = shown(second)
    assert.are_not.equal(one, other)
    local r = curl.https(first, "/")
    assert.same({ 60, "" }, { r.status, r.out }) -- CURLE_PEER_FAILED_VERIFICATION
    first:stop()
    second:stop()
  end)

  it("tells a client that speaks plain HTTP what is wrong", function()
    local server = start()
    assert.equal("400", curl(server, "/", "-o", "/dev/null", "-w", "%{http_code}").out)
    server:stop()
  end)

  it("serves with a certificate in files, and its chain", function()
    local server = start(files.host_crt, files.host_key)
    assert.equal("the certificate is in " .. files.host_crt .. "; it is read again when the file changes",
      server.child:line())
    local r = curl.https(server, "/", "--cacert", files.ca_crt, "-i")
    assert.same({ 0, "" }, { r.status, r.err })
    assert.matches("\r\nStrict%-Transport%-Security: max%-age=31536000\r\n.*<h1>Hello over TLSv1", r.out)
    server:stop()
    server = start(files.chain_crt, files.far_key)
    r = curl.https({ address = "far.example" }, "/", "--cacert", files.ca_crt, "--connect-to", "::" .. server.address)
    assert.same({ 0, "" }, { r.status, r.err })
    server:stop()
  end)

  it("replaces the certificate when its files have changed", function()
    support.with_folder(function(folder)
      local path, new = folder .. "/both.pem", folder .. "/new" -- renamed, so that nobody reads half of it
      write(path, tls.pem "host_crt" .. tls.pem "host_key")
      local server = start(path, path)
      assert.equal(tls.pem "host_crt", (shown(server)))
      local now
      for attempt = 1, 500 do -- replaced again and again: the example may begin to watch after the first time
        if attempt % 50 == 1 then
          write(new, tls.pem "other_crt" .. tls.pem "other_key" .. ("\n"):rep(attempt))
          assert(os.rename(new, path))
        end
        now = shown(server)
        if now == tls.pem "other_crt" then break end
        moonpark.sleep(0.01)
      end
      assert.equal(tls.pem "other_crt", now)
      server:stop()
      os.remove(path)
    end)
  end)

  it("ends in order under the command", function()
    for _, words in ipairs { {}, { files.host_crt, files.host_key } } do
      local server = example.start("https.lua",
        process.moonpark(example.path "https.lua", "127.0.0.1:0", words[1], words[2]))
      assert.equal(0, curl.https(server, "/", "-k").status)
      server.child:kill("TERM")
      local status, _, err = server.child:wait()
      assert.same({ 0, "" }, { status, err })
    end
  end)

  it("explains itself", function()
    local r = process.run(example.plain("https.lua", "--help"))
    assert.same({ 0, "" }, { r.status, r.err })
    assert.matches("^usage: https%.lua", r.out)
    for _, words in ipairs { { "127.0.0.1:0", "a.crt" }, { "127.0.0.1:0", "a", "b", "c" } } do
      local wrong = process.run(example.plain("https.lua", unpack(words)))
      assert.same({ 2, "", r.out }, { wrong.status, wrong.out, wrong.err })
    end
  end)

  it("says why it cannot begin", function()
    local function complaint(...)
      local r = process.run(example.plain("https.lua", ...))
      assert.equal("", r.out)
      return { r.status, r.err }
    end
    assert.same({ 2, "https: missing port: 'x'\n" }, complaint("x"))
    assert.same({ 1, "https: /nowhere/a.crt: no such file or directory\n" },
      complaint("127.0.0.1:0", "/nowhere/a.crt", files.host_key))
    assert.same({ 1, "https: /nowhere/a.key: no such file or directory\n" },
      complaint("127.0.0.1:0", files.host_crt, "/nowhere/a.key"))
    assert.same({ 1, ("https: %s: key is for another certificate\n"):format(files.other_key) },
      complaint("127.0.0.1:0", files.host_crt, files.other_key))
    local first = start()
    assert.same({ 1, ("https: cannot listen on %s: address already in use\n"):format(first.address) },
      complaint(first.address))
    first:stop()
  end)
end)

-- SPDX-License-Identifier: MIT
-- Keys and certificates: what is made is what openssl, the command, reads; what it makes is read here.

local certificates = require "support.tls"
local core = require "moonpark.core"
local net = require "moonpark.net"
local tls = require "moonpark.tls"

local DAY = 86400

local function write(path, data)
  local file = assert(io.open(path, "wb"))
  file:write(data)
  file:close()
end

-- What the command prints when it is given `data` as the file $IN.
local function output(command, data)
  local path = os.tmpname()
  write(path, data)
  local pipe = assert(io.popen("IN=" .. path .. "; " .. command .. " 2>&1"))
  local text = pipe:read "*a"
  pipe:close()
  os.remove(path)
  return text
end

local function hex(bytes) return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end

describe("a private key", function()
  it("is on P-256, and openssl reads it", function()
    local text = output("openssl pkey -noout -text -in $IN", core.key_new())
    assert.is_truthy(text:find("NIST CURVE: P-256", 1, true), text)
  end)

  it("is another one each time", function() assert.not_equal(core.key_new(), core.key_new()) end)

  it("is refused in words", function()
    assert.same({ nil, "no private key in PEM" }, { core.key_point "no PEM at all" })
    assert.same({ nil, "no private key in PEM" }, { core.key_point "" })
    assert.same({ nil, "no private key in PEM" }, { core.key_point(certificates.pem "host_crt") })
    assert.same({ nil, "the key is encrypted" }, { core.key_point(certificates.pem "encrypted_key") })
    assert.same({ nil, "the key is not on the curve P-256" }, { core.key_point(certificates.pem "rsa_key") })
    assert.same({ nil, "the private key is malformed" },
      { core.key_point "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n" })
  end)

  it("is read in DER too", function()
    local key = core.key_new()
    local der = output("openssl pkey -in $IN -outform DER", key)
    assert.equal(core.key_point(key), core.key_point(der))
  end)

  it("signs what its public half verifies, and nothing else", function()
    local key = core.key_new()
    local point, signature = core.key_point(key), core.key_sign(key, "some bytes")
    assert.equal(64, #signature)
    assert.is_true(core.key_verify(point, "some bytes", signature))
    assert.is_false(core.key_verify(point, "some bytez", signature))
    assert.is_false(core.key_verify(core.key_point(core.key_new()), "some bytes", signature))
    assert.is_false(core.key_verify(point, "some bytes", ("\0"):rep(64)))
    assert.same({ nil, "no point of the curve P-256" },
      { core.key_verify(("\1"):rep(64), "some bytes", signature) })
  end)

  it("signs with both numbers in full length, whatever they are", function()
    local key = core.key_new()
    local point = core.key_point(key)
    for i = 1, 300 do -- one in 128 has a number that begins with a zero byte
      local signature = core.key_sign(key, tostring(i))
      assert.equal(64, #signature)
      assert.is_true(core.key_verify(point, tostring(i), signature))
    end
  end)

  it("signs as openssl does", function()
    local key = core.key_new()
    local signature = core.key_sign(key, "some bytes")
    local function integer(bytes)
      bytes = bytes:gsub("^%z+", "")
      if bytes:byte() > 127 then bytes = "\0" .. bytes end
      return "\2" .. string.char(#bytes) .. bytes
    end
    local pair = integer(signature:sub(1, 32)) .. integer(signature:sub(33))
    local path = os.tmpname()
    write(path, "\48" .. string.char(#pair) .. pair)
    local text = output("openssl pkey -in $IN -pubout -out $IN.pub; printf 'some bytes' | openssl dgst -sha256 " ..
      "-verify $IN.pub -signature " .. path .. "; rm $IN.pub", key)
    os.remove(path)
    assert.equal("Verified OK\n", text)
  end)
end)

describe("hashes", function()
  it("are those of FIPS 180-4 and RFC 4231", function()
    assert.equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", hex(core.sha256 "abc"))
    assert.equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", hex(core.sha256 ""))
    assert.equal("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
      hex(core.hmac_sha256("Jefe", "what do ya want for nothing?")))
  end)

  it("random bytes are as many as asked for, others each time", function()
    assert.equal(20, #core.secure_random(20))
    assert.not_equal(core.secure_random(20), core.secure_random(20))
    assert.has_error(function() core.secure_random(1025) end)
  end)
end)

describe("a certificate", function()
  it("is read into a table", function()
    local seen = assert(core.x509_read(certificates.pem "host_crt"))
    assert.equal("CN=host.example", seen.subject)
    assert.equal("CN=spec authority", seen.issuer)
    assert.same({ "host.example", "localhost" }, seen.dns_names)
    assert.same({ "127.0.0.1", "::1" }, seen.ip_addresses)
    assert.equal("EC prime256v1", seen.key)
    assert.equal(3650 * DAY, seen.not_after - seen.not_before)
    local text = output("openssl x509 -in $IN -noout -serial -fingerprint -sha256", certificates.pem "host_crt")
    assert.equal(text:match "serial=(%x+)", seen.serial)
    assert.equal(text:match "Fingerprint=([%x:]+)", seen.fingerprint)
  end)

  it("without names has empty lists; an RSA key says its length", function()
    local seen = assert(core.x509_read(certificates.pem "ca_crt"))
    assert.same({}, seen.dns_names)
    assert.same({}, seen.ip_addresses)
    assert.equal("RSA 2048", core.x509_read(certificates.pem "rsa_crt").key)
  end)

  it("is read in DER too, and is the first where there are several", function()
    local der = output("openssl x509 -in $IN -outform DER", certificates.pem "host_crt")
    assert.same(core.x509_read(certificates.pem "host_crt"), core.x509_read(der))
    assert.equal("CN=far.example", core.x509_read(certificates.pem "chain_crt").subject)
  end)

  it("shows no control characters, and no name with a zero byte", function()
    local text = output([[openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null \
      -subj "/CN=a$(printf '\033')b/O=caf$(printf '\303\251')" -utf8 -days 1 \
      -addext "1.2.3.4=ASN1:UTF8String:x" \
      -addext "2.5.29.17=DER:30:17:82:09:67:6f:6f:64:00:65:76:69:6c:82:0A:67:6f:6f:64:2e:6c:6f:63:61:6c"]], "")
    local seen = assert(core.x509_read((text:gsub("^.-%-%-%-%-%-BEGIN CERT", "-----BEGIN CERT"))))
    assert.equal("O=caf\195\169,CN=a\\1Bb", seen.subject)
    assert.same({ "good.local" }, seen.dns_names)
  end)

  it("is refused in words", function()
    assert.same({ nil, "no certificate in PEM" }, { core.x509_read "no PEM at all" })
    assert.same({ nil, "no certificate in PEM" }, { core.x509_read "" })
    assert.same({ nil, "no certificate in PEM" }, { core.x509_read(core.key_new()) })
    assert.same({ nil, "the certificate is malformed" }, { core.x509_read(certificates.pem "broken_crt") })
  end)

  it("is a table for scripts", function()
    local pem = certificates.pem "host_crt"
    assert.same(core.x509_read(pem), tls.read_certificate(pem))
    local ok, err = pcall(function() tls.read_certificate() end)
    assert.is_false(ok)
    assert.is_truthy(err:find "x509_spec.lua:%d+: bad argument #1 to 'read_certificate'", err)
  end)

  it("tells its key from others", function()
    local crt = certificates.pem "host_crt"
    assert.is_table(core.x509_read(crt, certificates.pem "host_key"))
    assert.same({ nil, "the key belongs to another certificate" }, { core.x509_read(crt, core.key_new()) })
    assert.same({ nil, "the key belongs to another certificate" }, { core.x509_read(crt, certificates.pem "rsa_key") })
  end)
end)

describe("a request for a certificate", function()
  it("names hosts and addresses, and is signed by the key", function()
    local request = assert(core.x509_request(core.key_new(), { "a.example", "*.b.example", "10.0.0.1", "::1" }))
    local text = output("openssl req -inform DER -in $IN -noout -text -verify", request)
    assert.is_truthy(text:find("verify OK", 1, true), text)
    local names = "DNS:a.example, DNS:*.b.example, IP Address:10.0.0.1, IP Address:0:0:0:0:0:0:0:1"
    assert.is_truthy(text:find(names, 1, true), text)
  end)

  it("needs names of a length that certificates can have", function()
    local key = core.key_new()
    assert.same({ nil, "a certificate needs a name" }, { core.x509_request(key, {}) })
    assert.same({ nil, "a name in a certificate has 1 to 255 bytes" }, { core.x509_request(key, { "" }) })
    assert.same({ nil, "a name in a certificate has 1 to 255 bytes" }, { core.x509_request(key, { ("a"):rep(256) }) })
    assert.has_error(function() core.x509_request(key, { 1 }) end)
    assert.has_error(function() core.x509_request(key, { "a\0b" }) end)
  end)
end)

describe("a certificate that answers acme-tls/1", function()
  it("has the critical extension of RFC 8737 with the hash", function()
    local now, hash = os.time(), core.sha256 "key authorization"
    local pem = assert(core.x509_self_signed(core.key_new(), { "a.example" }, now, now + DAY, hash))
    local text = output("openssl x509 -in $IN -noout -text; openssl asn1parse -in $IN", pem)
    assert.is_truthy(text:find "1%.3%.6%.1%.5%.5%.7%.1%.31: critical", text)
    assert.is_truthy(text:find("[HEX DUMP]:0420" .. hex(hash):upper(), 1, true), text)
    assert.same({ "a.example" }, core.x509_read(pem).dns_names)
  end)
end)

describe("tls.self_signed", function()
  it("is for the machine's own names by default, for 90 days", function()
    local made = assert(tls.self_signed())
    local seen = assert(core.x509_read(made.cert, made.key))
    assert.same({ "localhost" }, seen.dns_names)
    assert.same({ "127.0.0.1", "::1" }, seen.ip_addresses)
    assert.equal(90 * DAY + 3600, seen.not_after - seen.not_before)
    assert.equal(seen.fingerprint, made.fingerprint)
    assert.equal(seen.not_after, made.not_after)
    assert.is_true(seen.not_before < os.time())
  end)

  it("is for the hosts and addresses it is given, for so many days", function()
    local made = assert(tls.self_signed("dev.example", "*.dev.example", "192.0.2.7", { days = 2 }))
    local seen = core.x509_read(made.cert)
    assert.same({ "dev.example", "*.dev.example" }, seen.dns_names)
    assert.same({ "192.0.2.7" }, seen.ip_addresses)
    assert.equal(2 * DAY + 3600, seen.not_after - seen.not_before)
  end)

  it("is of no authority, and openssl trusts it when told to", function()
    local made = tls.self_signed "host.example"
    local text = output("openssl verify -CAfile $IN -purpose sslserver -verify_hostname host.example $IN; " ..
      "openssl x509 -in $IN -noout -ext basicConstraints", made.cert)
    assert.is_truthy(text:find(": OK", 1, true), text)
    assert.is_truthy(text:find("CA:FALSE", 1, true), text)
  end)

  it("takes a name that is longer than a common name may be", function()
    local name = ("a"):rep(60) .. ".example.org"
    local seen = core.x509_read(tls.self_signed(name).cert)
    assert.same({ name }, seen.dns_names)
    assert.equal("CN=self-signed", seen.subject)
  end)

  it("serves a client that trusts it, and no other", function()
    local made = tls.self_signed "host.example"
    local server = assert(tls.server { cert = made.cert, key = made.key })
    local a, b = net.pipe()
    certificates.over(a, b, server, tls.client { ca = made.cert })
    local mine, theirs = certificates.shake(a, b)
    assert.is_true(mine[1], mine[2])
    assert.is_true(theirs[1], theirs[2])
    a:close()
    b:close()
    a, b = net.pipe()
    certificates.over(a, b, server, certificates.client())
    mine = certificates.shake(a, b)
    assert.equal("unknown issuer", mine[2])
    a:close()
    b:close()
  end)

  it("refuses what is no host, at the script's line", function()
    local function refused(expected, ...)
      local ok, err = pcall(function(...) tls.self_signed(...) end, ...)
      assert.is_false(ok)
      assert.is_truthy(err:find("x509_spec.lua:%d+: ") and err:find(expected, 1, true), err)
    end
    refused("bad argument #1 to 'self_signed' (host or IP address expected, got number)", 1)
    refused([[bad argument #2 to 'self_signed' (host or IP address expected, got "two words")]], "a", "two words")
    refused("unknown option 'day'; did you mean 'days'?", "a", { day = 1 })
  end)
end)

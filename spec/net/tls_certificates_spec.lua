-- SPDX-License-Identifier: MIT
-- tls_context: odd certificates, as our client judges them, and as `openssl verify` does.

local net = require "moonpark.net"
local process = require "support.process"
local tls = require "moonpark.tls"
local certificates = require "support.tls"

-- sign NAME SUBJECT EXTENSIONS AUTHORITY [DAYS [MORE]]; all have the same key, save one.
local make = [[
set -e
cd "$1"
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out weak.pem
K=key.pem
sign() {
  openssl req -new -key $K -subj "$2" -out $1.csr
  printf "$3\n" > $1.ext
  openssl x509 -req -in $1.csr -CA $4.crt -CAkey key.pem -CAcreateserial -days ${5:-3650} -extfile $1.ext -out $1.crt $6
}
openssl req -x509 -new -key key.pem -subj "/CN=odd authority" -days 3650 -out ca.crt
HOST="subjectAltName=DNS:host.example"
ca() { sign "$1" "/CN=$1" "basicConstraints=critical,CA:TRUE$2" "${3:-ca}" "$4"; }
sign fine "/CN=host.example" "$HOST" ca
REST=$(printf .other.example | od -An -tx1 | tr -d ' \n')
sign nul "/CN=x" "subjectAltName=DER:301d821b686f73742e6578616d706c6500$REST" ca
sign dot "/CN=x" "subjectAltName=DNS:host.example." ca
sign cn "/CN=host.example" "keyUsage=digitalSignature" ca
sign ip_cn "/CN=127.0.0.1" "$HOST" ca
sign ip_dns "/CN=x" "subjectAltName=DNS:127.0.0.1" ca
sign partial "/CN=x" "subjectAltName=DNS:h*.example" ca
sign middle_star "/CN=x" "subjectAltName=DNS:host.*" ca
sign star "/CN=x" "subjectAltName=DNS:*" ca
sign top "/CN=x" "subjectAltName=DNS:*.com" ca
sign two "/CN=x" "subjectAltName=DNS:*.*.example" ca
sign wild "/CN=x" "subjectAltName=DNS:*.wild.example" ca
sign idn "/CN=x" "subjectAltName=DNS:xn--bcher-kva.example" ca
sign idn_star "/CN=x" "subjectAltName=DNS:xn--*.example" ca
sign email "/CN=host.example" "subjectAltName=email:host.example" ca
sign critical "/CN=x" "$HOST\n1.2.3.4=critical,DER:0500" ca
sign usage "/CN=x" "$HOST\nkeyUsage=critical,keyCertSign" ca
sign clients "/CN=x" "$HOST\nextendedKeyUsage=clientAuth" ca
sign sha1 "/CN=x" "$HOST" ca 3650 -sha1
K=weak.pem; sign rsa1024 "/CN=x" "$HOST" ca; K=key.pem
ca permitted "\nnameConstraints=critical,permitted;DNS:allowed.example"
ca excluded "\nnameConstraints=critical,excluded;DNS:host.example"
ca past "" ca -1
ca short ",pathlen:0"
ca below "" short
ca middle ""
sign false "/CN=false" "basicConstraints=critical,CA:FALSE" ca
sign bare "/CN=bare" "subjectKeyIdentifier=hash" ca
for i in permitted excluded past below middle false bare; do sign by_$i "/CN=x" "$HOST" $i; done
cat short.crt >> below.crt
cat ca.crt past.crt middle.crt > disordered.crt
: > none.crt
]]

local FOLDER

local function made()
  FOLDER = os.tmpname()
  os.remove(FOLDER)
  process.run("mkdir " .. FOLDER)
  local path = FOLDER .. "/make"
  local file = assert(io.open(path, "w"))
  file:write(make)
  file:close()
  local r = process.run(("bash %s %s >%s/log 2>&1"):format(path, FOLDER, FOLDER))
  if r.status ~= 0 then process.run("cat " .. FOLDER .. "/log >&2") end
  assert.equal(0, r.status)
end

local function text_of(name)
  local file = assert(io.open(FOLDER .. "/" .. name, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

-- true, or nil and why not, as our client judges it. more: a file with those that the server sends behind it.
local function judged(leaf, name, more)
  local server = assert(tls.server { cert = text_of(leaf .. ".crt") .. text_of((more or "none") .. ".crt"),
    key = text_of(leaf == "rsa1024" and "weak.pem" or "key.pem"), ciphers = "ALL:@SECLEVEL=0" })
  local a, b = net.pipe()
  certificates.over(a, b, server, tls.client { ca = FOLDER .. "/ca.crt" }, name)
  local mine = certificates.shake(a, b)
  a:close()
  b:close()
  return mine[1], mine[2]
end

-- The same by openssl.
local function verifies(leaf, name, more)
  return process.run(("openssl verify -purpose sslserver -auth_level 2 %s %s -CAfile %s/ca.crt -untrusted %s/%s.crt " ..
    "%s/%s.crt 2>&1"):format(name:find "^[%d.]+$" and "-verify_ip" or "-verify_hostname", name, FOLDER, FOLDER,
    more or "ca", FOLDER, leaf)).status == 0
end

describe("a client's verification", function()
  setup(made)
  teardown(function() process.run("rm -r " .. FOLDER) end)

  it("takes what is in order, and chains in any order", function()
    for _, case in ipairs { { "fine", "host.example" }, { "wild", "a.wild.example" },
      { "idn", "xn--bcher-kva.example" },
      { "by_middle", "host.example", "middle" }, { "by_middle", "host.example", "disordered" } } do
      assert.same({ case[1], true }, { case[1], judged(unpack(case)) })
      assert.is_true(verifies(unpack(case)))
    end
  end)

  it("refuses names that only look like the host's", function()
    for _, case in ipairs { { "nul", "host.example", "host.example?.other.example" },
      { "dot", "host.example", "host.example." }, { "ip_cn", "127.0.0.1", "host.example" },
      { "ip_dns", "127.0.0.1", "127.0.0.1" }, { "partial", "host.example", "h*.example" },
      { "middle_star", "host.example", "host.*" }, { "star", "host", "*" }, { "top", "host.com", "*.com" },
      { "two", "a.b.example", "*.*.example" }, { "wild", "wild.example", "*.wild.example" },
      { "wild", "a.b.wild.example", "*.wild.example" },
      { "idn_star", "xn--bcher-kva.example", "xn--*.example" } } do
      assert.same({ nil, ("certificate is for %s, not %s"):format(case[3], case[2]) }, { judged(case[1], case[2]) })
      assert.is_false(verifies(case[1], case[2]))
    end
  end)

  it("takes no host's name from the subject, as browsers do not (openssl does)", function()
    for _, leaf in ipairs { "cn", "email" } do
      assert.same({ nil, "certificate names no host: the CN of its subject does not count" },
        { judged(leaf, "host.example") })
    end
  end)

  it("refuses what may not sign, may not sign this, or could have been forged", function()
    for _, case in ipairs {
      { "by_permitted", "permitted", "certificate: permitted subtree violation" },
      { "by_excluded", "excluded", "certificate: excluded subtree violation" },
      { "by_past", "past", "an issuer's certificate has expired" },
      { "by_below", "below", "certificate: path length constraint exceeded" },
      { "by_false", "false", "an issuer is no authority" },
      { "by_bare", "bare", "an issuer is no authority" },
      { "by_middle", "none", "unknown issuer" },
      { "critical", "none", "certificate: unhandled critical extension" },
      { "usage", "none", "certificate is for another purpose" },
      { "clients", "none", "certificate is for another purpose" },
      { "sha1", "none", "certificate: ca signature digest algorithm too weak" },
      { "rsa1024", "none", "certificate: ee certificate key too weak" },
    } do
      assert.same({ case[1], nil, case[3] }, { case[1], judged(case[1], "host.example", case[2]) })
      assert.is_false(verifies(case[1], "host.example", case[2] ~= "none" and case[2] or nil), case[1])
    end
  end)
end)

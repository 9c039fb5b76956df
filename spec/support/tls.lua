-- SPDX-License-Identifier: MIT
-- support/tls.lua - certificates for specs, made by openssl once and kept in build/, and connections over TLS.
--
--   tls.files.host_crt                 the path of a file; see `make` for what there is
--   tls.pem "host_crt"                 what it holds
--   tls.server(), tls.client()         contexts that fit: host.example, localhost, 127.0.0.1
--   tls.pair(a, b)                     TLS over a fresh pair: a is the client
--   tls.over(transport)                a transport as support.net has them, over TLS

local core = require "moonpark.core"
local moonpark = require "moonpark"
local process = require "support.process"
local tls = require "moonpark.tls"

local FOLDER = "build/tls-for-specs-1"

-- An authority, another one that signs for it, and what they have signed. -days -1: it ended before it began.
local make = [[
set -e
cd "$1"
key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out $1.key; }
authority() {
  key $1
  openssl req -x509 -new -key $1.key -subj "/CN=$2" -days 3650 -out $1.crt
}
# name, subject, extensions, authority, days
signed() {
  [ -f $1.key ] || key $1
  openssl req -new -key $1.key -subj "$2" -out $1.csr
  printf "$3\n" > $1.ext
  openssl x509 -req -in $1.csr -CA $4.crt -CAkey $4.key -CAcreateserial -days $5 -extfile $1.ext -out $1.crt
}
authority ca "spec authority"
authority stranger "another authority"
signed host "/CN=host.example" "subjectAltName=DNS:host.example,DNS:localhost,IP:127.0.0.1,IP:::1" ca 3650
signed other "/CN=other.example" "subjectAltName=DNS:other.example" ca 3650
signed wild "/CN=wild.example" "subjectAltName=DNS:*.wild.example" ca 3650
signed expired "/CN=host.example" "subjectAltName=DNS:host.example,DNS:localhost" ca -1
signed purpose "/CN=host.example" "subjectAltName=DNS:host.example\nextendedKeyUsage=clientAuth" ca 3650
signed client "/CN=a client" "extendedKeyUsage=clientAuth" ca 3650
signed unknown_client "/CN=a stranger" "extendedKeyUsage=clientAuth" stranger 3650
signed middle "/CN=middle authority" "basicConstraints=critical,CA:TRUE" ca 3650
signed far "/CN=far.example" "subjectAltName=DNS:far.example" middle 3650
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.key
signed rsa "/CN=host.example" "subjectAltName=DNS:host.example,DNS:localhost" ca 3650
cat far.crt middle.crt > chain.crt
cat middle.crt far.crt > disordered.crt
openssl pkey -in host.key -aes128 -passout pass:secret -out encrypted.key
cat host.crt host.key > both.pem
echo "no PEM at all" > nothing.pem
printf -- "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n" > broken.crt
]]

local names = { "ca.crt", "host.crt", "host.key", "other.crt", "other.key", "wild.crt", "wild.key", "expired.crt",
  "expired.key", "purpose.crt", "purpose.key", "client.crt", "client.key", "unknown_client.crt", "unknown_client.key",
  "far.crt", "far.key", "chain.crt", "disordered.crt", "rsa.crt", "rsa.key", "encrypted.key", "both.pem",
  "nothing.pem", "broken.crt", "stranger.crt", "middle.crt" }

local function exists(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

-- Several processes may make them at once: the first to finish wins.
local function made()
  if exists(FOLDER .. "/both.pem") then return end
  local script = os.tmpname()
  local file = assert(io.open(script, "w"))
  file:write(make)
  file:close()
  local command = ("mkdir -p build && t=$(mktemp -d build/tls-XXXXXX) && sh %s $t >$t/log 2>&1 && " ..
    "{ mv -T $t %s 2>/dev/null || rm -r $t; }"):format(script, FOLDER)
  process.run(command)
  os.remove(script)
  assert(exists(FOLDER .. "/both.pem"), "openssl has made no certificates: see build/tls-*/log")
end

made()

local M = { files = {}, folder = FOLDER }
for _, name in ipairs(names) do M.files[name:gsub("%.", "_")] = FOLDER .. "/" .. name end

function M.pem(name)
  local file = assert(io.open(M.files[name], "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

local function with(defaults, options)
  for name, value in pairs(options or {}) do defaults[name] = value end
  return defaults
end

--- A server's context of host.example, with more options.
function M.server(options)
  return assert(tls.server(with({ cert = M.files.host_crt, key = M.files.host_key }, options)))
end

--- A client's context that trusts the authority, with more options.
function M.client(options) return assert(tls.client(with({ ca = M.files.ca_crt }, options))) end

--- TLS over both ends without waiting: who reads or writes first shakes hands.
function M.over(a, b, server, client, name)
  assert(core.tls_cover(a, (client or M.client()).core, name or "host.example"))
  assert(core.tls_cover(b, (server or M.server()).core))
  return a, b
end

--- Both handshakes: the results of the client's, and those of the server's.
function M.shake(a, b)
  local other = moonpark.go(b.handshake, b)
  local mine = { a:handshake() }
  return mine, { select(2, other:join()) }
end

return M

-- SPDX-License-Identifier: MIT
-- mtls.lua - an HTTPS server that lets in only clients with a certificate, and says who they are.
--
--   luajit examples/mtls.lua CLIENT_CA [address [CERT KEY]]      or: moonpark examples/mtls.lua CLIENT_CA ...
--
-- CLIENT_CA is a file in PEM with the authorities whose clients are let in. To try it, make one client that is its own
-- authority:
--
--   openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=ada -keyout ada.key -out ada.crt
--   luajit examples/mtls.lua ada.crt
--   curl --insecure --cert ada.crt --key ada.key https://127.0.0.1:8443/
--
-- The server's own certificate is in CERT and KEY; without them a self-signed one is made, for localhost, as in
-- https.lua.

local moonpark = require "moonpark"
local http = require "moonpark.http"
local net = require "moonpark.net"
local tls = require "moonpark.tls"

local USAGE = [=[
usage: mtls.lua CLIENT_CA [address [CERT KEY]]      tells clients with a certificate who they are
CLIENT_CA: a file in PEM: the authorities whose clients are let in
address: host:port or unix:/path; 127.0.0.1:8443 by default; port 0 picks a free one
CERT, KEY: files in PEM: the server's certificate and key; without them one is made, for localhost]=]

local function fail(status, ...)
  io.stderr:write("mtls: ", table.concat { ... }, "\n")
  os.exit(status)
end

-- The handshake has verified the certificate: what is in it is true, if the authority is honest.
local function handler(req, res)
  local client = assert(tls.read_certificate(req.tls.certificate))
  res:json { subject = client.subject, issuer = client.issuer, fingerprint = client.fingerprint }
end

-- Refused clients never get to the handler. They are told so in the handshake.
local function context_of(client_ca, cert, key)
  if not cert then
    local made = assert(tls.self_signed())
    cert, key = made.cert, made.key
  end
  return tls.server { cert = cert, key = key, client_ca = client_ca, client_certificates = "require",
    alpn = { "http/1.1" } }
end

local function tell(server)
  print("listening on " .. server:address())
  io.stdout:flush()
end

local function main(client_ca, address, cert, key)
  local fine, wrong = net.check_address(address)
  if not fine then fail(2, wrong) end
  local context, why = context_of(client_ca, cert, key)
  if not context then return fail(1, why) end
  local ok, err = http.serve(handler, { address = address, tls = context, on_listen = tell })
  if not ok and err ~= "canceled" then fail(1, "cannot listen on ", address, ": ", err) end
end

if arg[1] == "--help" then return print(USAGE) end
if #arg == 0 or #arg == 3 or #arg > 4 then
  io.stderr:write(USAGE, "\n")
  os.exit(2)
end
moonpark.run(main, arg[1], arg[2] or "127.0.0.1:8443", arg[3], arg[4])

-- SPDX-License-Identifier: MIT
-- https.lua - a page over HTTPS: with a certificate made at start, or with yours.
--
--   luajit examples/https.lua [address [CERT KEY]]      or: moonpark examples/https.lua [address [CERT KEY]]
--
-- Without CERT and KEY it makes a self-signed certificate, for localhost, and prints its fingerprint. Then open
-- https://127.0.0.1:8443/: the browser warns, because nobody vouches for the certificate; compare the fingerprints. Or:
--
--   curl --insecure https://127.0.0.1:8443/
--
-- With CERT and KEY, the names of two files in PEM, it serves with a real certificate, and replaces it when the files
-- change. The first of them has the certificate and after it those of the authorities in between.

local moonpark = require "moonpark"
local http = require "moonpark.http"
local net = require "moonpark.net"
local tls = require "moonpark.tls"

local USAGE = [=[
usage: https.lua [address [CERT KEY]]      serves a page over HTTPS: https://127.0.0.1:8443/
address: host:port or unix:/path; 127.0.0.1:8443 by default; port 0 picks a free one
CERT, KEY: files in PEM: the certificate with its chain, and its key; without them one is made, for localhost]=]

local PAGE = [[
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>moonpark over HTTPS</title>
<h1>Hello over %s</h1>
<p>The cipher is %s, and the session is %s.
]]

local function fail(status, ...)
  io.stderr:write("https: ", table.concat { ... }, "\n")
  os.exit(status)
end

local function home(req, res)
  res:set("Content-Type", "text/html; charset=utf-8")
  res:send(PAGE:format(req.tls.version, req.tls.cipher, req.tls.resumed and "resumed" or "new"))
end

-- Strict-Transport-Security binds a host's name for a year, localhost too: only with a real certificate.
local function app_for(cert)
  local app = http.router()
  app:use(http.secure_headers { ["Strict-Transport-Security"] = cert and "max-age=31536000" or false })
  return app:get("/", home)
end

-- The server's context, and what to print about it.
local function context_of(cert, key)
  if cert then
    local context, wrong = tls.server { cert = cert, key = key, alpn = { "http/1.1" } }
    if not context then return fail(1, wrong) end
    moonpark.go(context.watch, context)
    return context, "the certificate is in " .. cert .. "; it is read again when the file changes"
  end
  local made = assert(tls.self_signed())
  local context = assert(tls.server { cert = made.cert, key = made.key, alpn = { "http/1.1" } })
  return context, "fingerprint (SHA-256) " .. made.fingerprint ..
    "\nthe certificate is self-signed; for a real one: https.lua ADDRESS CERT KEY"
end

local function main(address, cert, key)
  local fine, wrong = net.check_address(address)
  if not fine then fail(2, wrong) end
  local context, about = context_of(cert, key)
  local function tell(server)
    print("listening on " .. server:address() .. "\n" .. about)
    io.stdout:flush()
  end
  local ok, err = http.serve(app_for(cert), { address = address, tls = context, on_listen = tell })
  if not ok and err ~= "canceled" then fail(1, "cannot listen on ", address, ": ", err) end
end

if arg[1] == "--help" then return print(USAGE) end
if #arg == 2 or #arg > 3 then
  io.stderr:write(USAGE, "\n")
  os.exit(2)
end
moonpark.run(main, arg[1] or "127.0.0.1:8443", arg[2], arg[3])

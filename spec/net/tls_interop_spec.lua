-- SPDX-License-Identifier: MIT
-- tls against others: openssl, curl, Python's ssl and Node, as clients and as servers.

local moonpark = require "moonpark"
local net = require "moonpark.net"
local process = require "support.process"
local support = require "support.net"
local certificates = require "support.tls"
local files, folder = certificates.files, certificates.folder

-- Others hang, or complain, with the sanitizer's library of a sanitized build.
local plain = { env = { LD_PRELOAD = false } }

-- The body of an `it`: body(port, address) beside a server that sends back what comes.
local function served(options, body, handler)
  return function()
    local listener = assert(net.listen("127.0.0.1:0", { tls = certificates.server(options) }))
    local server = moonpark.go(listener.serve, listener, handler or support.echo)
    body(listener:address():match("%d+$"), listener:address())
    listener:close()
    server:join()
  end
end

-- openssl s_client, which sends these lines; each is answered before the next is sent, save a command of its own.
local function s_client(port, arguments, ...)
  local child = process.start(("exec openssl s_client -connect 127.0.0.1:%s -servername host.example -CAfile %s %s")
    :format(port, files.ca_crt, arguments), { stdin = true, env = plain.env })
  for _, line in ipairs { ... } do
    child:write(line .. "\n")
    if line == "K" then
      repeat until child:line("err") == "KEYUPDATE"
    elseif #line > 1 then
      child:expect(line .. "\n")
    end
  end
  if select("#", ...) == 0 or #select(-1, ...) > 1 then child:close_stdin() end
  local _, out, err = child:wait()
  return { out = out, err = err }
end

describe("a TLS server", function()
  after_each(process.stop_all)

  it("answers openssl s_client in 1.3 and 1.2, and no older version", served(nil, function(port)
    local got = s_client(port, "-tls1_3", "ping")
    assert.matches("New, TLSv1%.3, Cipher is TLS_AES_256_GCM_SHA384", got.out)
    assert.matches("Verify return code: 0 %(ok%)", got.out)
    got = s_client(port, "-tls1_2", "ping")
    assert.matches("Protocol  : TLSv1%.2", got.out)
    assert.matches("ECDHE%-ECDSA%-AES256%-GCM%-SHA384", got.out)
    assert.matches("Cipher is %(NONE%)", s_client(port, "-tls1_1 -cipher ALL:@SECLEVEL=0").out)
  end))

  it("refuses renegotiation", served(nil, function(port)
    local got = s_client(port, "-tls1_2", "ping", "R")
    assert.matches("no renegotiation", got.err .. got.out)
  end))

  it("follows key updates", served(nil, function(port)
    local got = s_client(port, "-tls1_3", "ping", "K", "pong", "K", "K", "peng")
    assert.matches("ping\n.*pong\n.*peng\n", got.out)
  end))

  it("gives only the ciphers of Mozilla's intermediate list", served(nil, function(port)
    for _, cipher in ipairs { "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
      "ECDHE-ECDSA-CHACHA20-POLY1305" } do
      assert.matches("Cipher is " .. cipher:gsub("%-", "%%-"), s_client(port, "-tls1_2 -cipher " .. cipher).out)
    end
    for _, cipher in ipairs { "ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA", "ECDHE-ECDSA-AES128-CCM" } do
      assert.matches("Cipher is %(NONE%)", s_client(port, "-tls1_2 -cipher " .. cipher).out)
    end
  end))

  it("staples an OCSP response", function()
    local response = folder .. "/ocsp.der"
    process.run(([[cd %s && printf 'V\t301231235959Z\t\t01\tunknown\t/CN=host.example\n' >index.txt &&
      openssl ocsp -index index.txt -CA ca.crt -rsigner ca.crt -rkey ca.key -issuer ca.crt -cert host.crt -ndays 3 \
      -respout ocsp.der >/dev/null 2>&1]]):format(folder))
    served({ ocsp = response }, function(port)
      assert.matches("OCSP Response Status: successful", s_client(port, "-status").out)
    end)()
    served(nil, function(port)
      assert.matches("OCSP response: no response sent", s_client(port, "-status").out)
    end)()
    local tls = require "moonpark.tls"
    assert.same({ nil, files.nothing_pem .. ": no OCSP response in DER" },
      { tls.server { cert = files.both_pem, ocsp = files.nothing_pem } })
  end)

  -- A response of the authority: status is "V" or "R", of which certificate.
  local function response_of(status, certificate)
    local r = process.run(([[cd %s && serial=$(openssl x509 -in %s -noout -serial | cut -d= -f2) &&
      printf '%s\t301231235959Z\t%s\t%%s\tunknown\t/CN=x\n' "$serial" >index.txt &&
      openssl ocsp -index index.txt -CA ca.crt -rsigner ca.crt -rkey ca.key -issuer ca.crt -cert %s -ndays 3 \
      -respout %s.der 2>&1]]):format(folder, certificate, status, status == "R" and "240101000000Z" or "", certificate,
      status))
    assert.equal(0, r.status, r.out)
    return ("%s/%s.der"):format(folder, status)
  end

  it("refuses a certificate of which the stapled response says that it was revoked", function()
    local tls = require "moonpark.tls"
    local verifying = tls.client { ca = files.ca_crt }
    local function dialled(port, context)
      local conn, err = net.dial("127.0.0.1:" .. port, { tls = context, server_name = "host.example" })
      if conn then conn:close() end
      return conn ~= nil, err
    end
    for _, version in ipairs { "1.2", "1.3" } do
      served({ ocsp = response_of("R", "host.crt"), max_version = version }, function(port)
        assert.same({ false, "certificate was revoked" }, { dialled(port, verifying) })
        assert.is_true(dialled(port, tls.client { insecure = true }))
      end)()
    end
    served({ ocsp = response_of("V", "host.crt") }, function(port) assert.is_true((dialled(port, verifying))) end)()
    assert.equal(0, process.run(([[cd %s &&
      printf 'subjectAltName=DNS:host.example\ntlsfeature=status_request\n' >must.ext &&
      openssl req -new -key host.key -subj /CN=must -out must.csr 2>/dev/null &&
      openssl x509 -req -in must.csr -CA ca.crt -CAkey ca.key -days 30 -set_serial 77 -extfile must.ext -out must.crt \
      2>/dev/null]]):format(folder)).status)
    local must = folder .. "/must.crt"
    served({ cert = must }, function(port)
      assert.same({ false, "certificate must come with an OCSP response that is good" }, { dialled(port, verifying) })
    end)()
    served({ cert = must, ocsp = response_of("V", "must.crt") }, function(port)
      assert.is_true((dialled(port, verifying)))
    end)()
    served({ ocsp = response_of("R", "stranger.crt") }, function(port) -- of another certificate: it says nothing
      assert.is_true((dialled(port, verifying)))
    end)()
  end)

  it("answers curl", served({ alpn = { "http/1.1" } }, function(port)
    local function curl(authorities)
      return process.run({ "curl", "-q", "-sS", "--noproxy", "*", "--cacert", authorities,
        "https://localhost:" .. port .. "/" }, plain)
    end
    assert.equal("hello", curl(files.ca_crt).out)
    assert.equal(60, curl(files.stranger_crt).status)
  end, function(conn)
    if conn:read_until "\r\n\r\n" then conn:write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello") end
  end))

  it("talks to Python's ssl, a session that is resumed included", served(nil, function(port)
    local got = process.run({ "python3", "-c", [[
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
session = None
for i in range(2):
    plain = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
    with context.wrap_socket(plain, server_hostname="host.example", session=session) as s:
        s.sendall(b"x" * 100000)
        n = 0
        while n < 100000: n += len(s.recv(65536))
        print(s.version(), n, s.session_reused)
        session = s.session
        s.unwrap()
]], files.ca_crt, port }, plain)
    assert.equal("TLSv1.3 100000 False\nTLSv1.3 100000 True\n", got.out .. got.err)
  end))

  it("talks to Node, half-close included", served(nil, function(port)
    local got = process.run({ "node", "-e", [[
const tls = require("tls"), fs = require("fs");
const s = tls.connect({ port: +process.argv[2], host: "127.0.0.1", servername: "host.example",
  ca: fs.readFileSync(process.argv[1]), allowHalfOpen: true }, () => s.end("from node"));
let all = "";
s.on("data", d => all += d);
s.on("end", () => console.log(s.getProtocol(), all));
]], files.ca_crt, port }, plain)
    assert.equal("TLSv1.3 got from node\n", got.out .. got.err)
  end, function(conn)
    local bytes = conn:read_all()
    conn:write("got " .. tostring(bytes))
  end))
end)

describe("a TLS client", function()
  after_each(process.stop_all)

  -- openssl s_server, which says ACCEPT once it listens; its port is on that line where it is 0.
  local function s_server(arguments)
    local child = process.start(("exec openssl s_server -accept 127.0.0.1:0 -cert %s -key %s %s"):format(files.host_crt,
      files.host_key, arguments), { stdin = true, env = plain.env })
    local line = child:line()
    while not line:find("^ACCEPT") do line = child:line() end
    return child, "127.0.0.1:" .. line:match("(%d+)%s*$")
  end

  for _, version in ipairs { "1.2", "1.3" } do
    it("talks to openssl s_server in " .. version, function()
      local child, address = s_server("-rev -tls" .. version:gsub("%.", "_"))
      local conn = assert(net.dial(address, { tls = certificates.client(), server_name = "host.example",
        timeout = 10 }))
      assert.equal("TLSv" .. version, conn:tls().version)
      conn:write "abc\n"
      assert.equal("cba\n", conn:read_exactly(4))
      conn:close()
      child:kill("TERM")
      child:wait()
    end)
  end

  it("shows its certificate to openssl s_server", function()
    local child, address = s_server("-rev -Verify 1 -CAfile " .. files.ca_crt)
    local conn = assert(net.dial(address, { tls = certificates.client { cert = files.client_crt,
      key = files.client_key }, server_name = "host.example", timeout = 10 }))
    conn:write "abc\n"
    assert.equal("cba\n", conn:read_exactly(4))
    conn:close()
    child:kill("TERM")
    child:wait()
  end)
end)

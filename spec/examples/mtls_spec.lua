-- SPDX-License-Identifier: MIT
-- mtls_spec.lua - examples/mtls.lua as its users meet it; the clients are curl and Python's ssl.

local cjson = require "cjson"
local core = require "moonpark.core"
local curl = require "support.curl"
local example = require "support.example"
local process = require "support.process"
local support = require "support.net"
local tls = require "support.tls"

local files = tls.files

local function start(client_ca, ...)
  return example.start("mtls.lua", example.plain("mtls.lua", client_ca, "127.0.0.1:0", ...))
end

local function start_real() return start(files.ca_crt, files.host_crt, files.host_key) end

-- What openssl itself says about a certificate.
local function fingerprint(path)
  local r = process.run { "env", "-u", "LD_PRELOAD", "openssl", "x509", "-in", path, "-noout", "-fingerprint",
    "-sha256" }
  return r.out:match "=(%S+)"
end

describe("examples/mtls.lua", function()
  after_each(process.stop_all)

  it("tells a client with a certificate who it is", function()
    local server = start_real()
    for _, version in ipairs { "1.2", "1.3" } do
      local r = curl.https(server, "/", "--cacert", files.ca_crt, "--cert", files.client_crt, "--key",
        files.client_key, "--tls-max", version)
      assert.same({ 0, "" }, { r.status, r.err })
      assert.same({ subject = "CN=a client", issuer = "CN=spec authority",
        fingerprint = fingerprint(files.client_crt) }, cjson.decode(r.out))
    end
    server:stop()
  end)

  it("tells a client that resumes its session the same", function()
    local server = start_real()
    local r = process.run({ "env", "-u", "LD_PRELOAD", "python3", "-", server.port, files.ca_crt, files.client_crt,
      files.client_key }, { stdin = [[
import json, socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
context.load_cert_chain(sys.argv[3], sys.argv[4])

def ask(session):
    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=30) as plain:
        with context.wrap_socket(plain, server_hostname="host.example", session=session) as conn:
            conn.sendall(b"GET / HTTP/1.1\r\nHost: host.example\r\nConnection: close\r\n\r\n")
            answer = b""
            while piece := conn.recv(65536):
                answer += piece
            return conn.session, conn.session_reused, json.loads(answer.split(b"\r\n\r\n")[1])["subject"]

session, reused, subject = ask(None)
print(reused, subject)
session, reused, subject = ask(session)
print(reused, subject)
]] })
    assert.same({ 0, "", "False CN=a client\nTrue CN=a client\n" }, { r.status, r.err, r.out })
    server:stop()
  end)

  it("lets in nobody without a certificate, or with one of another authority", function()
    local server = start_real()
    local r = curl.https(server, "/", "--cacert", files.ca_crt)
    assert.is_true(r.status ~= 0)
    assert.equal("", r.out)
    r = curl.https(server, "/", "--cacert", files.ca_crt, "--cert", files.unknown_client_crt, "--key",
      files.unknown_client_key)
    assert.is_true(r.status ~= 0)
    assert.equal("", r.out)
    -- It serves the others.
    r = curl.https(server, "/", "--cacert", files.ca_crt, "--cert", files.client_crt, "--key", files.client_key)
    assert.equal(0, r.status)
    server:stop()
  end)

  it("tells those that it refuses why", function()
    local server = start_real()
    -- Python sends no request: a server that closes before it has read all would take the reason with it. A hard build
    -- reads and writes a few bytes at a time, and may end the connection before the reason is out.
    local function reason(...)
      local r = process.run({ "env", "-u", "LD_PRELOAD", "python3", "-", server.port, files.ca_crt, ... }, { stdin = [[
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
if len(sys.argv) > 3:
    context.load_cert_chain(sys.argv[3], sys.argv[4])
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=30) as plain:
    try:
        with context.wrap_socket(plain, server_hostname="host.example") as conn:
            print("read", len(conn.recv(1)))
    except ssl.SSLError as err:
        print(err.reason)
    except ConnectionError:
        print("reset")
]] })
      assert.same({ 0, "" }, { r.status, r.err })
      return r.out:sub(1, -2)
    end
    local function told(text, answer)
      if not (core.hard and (answer == "reset" or answer == "read 0")) then assert.equal(text, answer) end
    end
    told("TLSV13_ALERT_CERTIFICATE_REQUIRED", reason())
    told("TLSV1_ALERT_UNKNOWN_CA", reason(files.unknown_client_crt, files.unknown_client_key))
    server:stop()
  end)

  it("does what its head says with a client that is its own authority", function()
    support.with_folder(function(folder)
      local cert, key = folder .. "/ada.crt", folder .. "/ada.key"
      local made = process.run { "env", "-u", "LD_PRELOAD", "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
        "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=ada", "-keyout", key, "-out", cert }
      assert.equal(0, made.status, made.err)
      local server = start(cert)
      local r = curl.https(server, "/", "--insecure", "--cert", cert, "--key", key)
      assert.same({ 0, "" }, { r.status, r.err })
      assert.equal("CN=ada", cjson.decode(r.out).subject)
      os.remove(cert)
      os.remove(key)
      server:stop()
    end)
  end)

  it("explains itself", function()
    local r = process.run(example.plain("mtls.lua", "--help"))
    assert.same({ 0, "" }, { r.status, r.err })
    assert.matches("^usage: mtls%.lua", r.out)
    for _, words in ipairs { {}, { "a", "127.0.0.1:0", "b" }, { "a", "127.0.0.1:0", "b", "c", "d" } } do
      local wrong = process.run(example.plain("mtls.lua", unpack(words)))
      assert.same({ 2, "", r.out }, { wrong.status, wrong.out, wrong.err })
    end
  end)

  it("says why it cannot begin", function()
    local function complaint(...)
      local r = process.run(example.plain("mtls.lua", ...))
      assert.equal("", r.out)
      return { r.status, r.err }
    end
    assert.same({ 2, "mtls: missing port: 'x'\n" }, complaint(files.ca_crt, "x"))
    assert.same({ 1, "mtls: /nowhere/ca.crt: no such file or directory\n" },
      complaint("/nowhere/ca.crt", "127.0.0.1:0"))
    assert.same({ 1, "mtls: /nowhere/a.crt: no such file or directory\n" },
      complaint(files.ca_crt, "127.0.0.1:0", "/nowhere/a.crt", files.host_key))
    local first = start_real()
    assert.same({ 1, ("mtls: cannot listen on %s: address already in use\n"):format(first.address) },
      complaint(files.ca_crt, first.address))
    first:stop()
  end)
end)

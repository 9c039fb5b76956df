-- SPDX-License-Identifier: MIT
-- Automatic certificates for real: a folder, processes, and an authority that is asked and looks over HTTP and TLS.

local acme = require "support.acme"
local acme_storage = require "moonpark.tls.acme_storage"
local core = require "moonpark.core"
local fs = require "moonpark.fs"
local http = require "moonpark.http"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local process = require "support.process"
local servers = require "support.http"
local testing = require "moonpark.testing"
local tls = require "moonpark.tls"

testing.timeout(60) -- openssl and other processes are run

local PATIENCE = 30
local DIRECTORY = "http://authority.example:14000/directory"

local function octal(path) return ("%o"):format(assert(fs.stat(path)).mode % 512) end

after_each(function()
  servers.stop_all()
  process.stop_all()
end)

describe("a folder as a storage", function()
  local path, storage

  before_each(function()
    path = testing.tempdir()
    storage = acme_storage.folder(path .. "/certificates/", DIRECTORY)
  end)

  it("keeps texts, each authority's apart", function()
    assert.is_nil(storage:read "a.pem")
    assert.is_true(storage:write("a.pem", "first"))
    assert.is_true(storage:write("a.pem", "second"))
    assert.equal("second", storage:read "a.pem")
    assert.equal("second", fs.read(path .. "/certificates/authority.example_14000_directory/a.pem"))
    assert.is_nil(acme_storage.folder(path .. "/certificates", DIRECTORY .. "2"):read "a.pem")
    assert.is_true(storage:remove "a.pem")
    assert.is_true(storage:remove "a.pem")
    assert.is_nil(storage:read "a.pem")
  end)

  it("is for its owner alone, whatever was there before", function()
    assert.is_true(storage:write("a.pem", "first"))
    assert.equal("700", octal(storage.folder))
    assert.equal("600", octal(storage:path "a.pem"))
    assert(fs.write(storage:path "b.pem", "of others", { mode = "666" }))
    assert.is_true(storage:write("b.pem", "ours"))
    assert.equal("600", octal(storage:path "b.pem"))
  end)

  it("says which file cannot be used, and why", function()
    assert(fs.write(path .. "/certificates", "a file"))
    local name = path .. "/certificates/authority.example_14000_directory"
    assert.same({ nil, name .. ": file exists" }, { storage:write("a.pem", "text") })
    assert.same({ nil, name .. ": file exists" }, { storage:lock() })
    assert.same({ nil, name .. "/a.pem: not a directory" }, { storage:read "a.pem" })
  end)

  it("is locked by one at a time", function()
    local release = assert(storage:lock())
    assert.same({ nil, "busy" }, { storage:lock() })
    release()
    release = assert(storage:lock())
    release()
  end)

  it("is not locked any more when the process has died", function()
    assert.is_true(storage:write("challenge-token", "left behind"))
    local child = process.start(process.moonpark("-e", ([[
      local lock = assert(require("moonpark.core").file_lock(%q))
      print "locked"
      io.stdout:flush()
      require("moonpark").sleep(1e6)]]):format(storage:path "lock")))
    assert.equal("locked", child:line())
    assert.same({ nil, "busy" }, { storage:lock() })
    child:kill "KILL"
    child:wait()
    local release = assert(storage:lock())
    assert.is_nil(storage:read "challenge-token")
    release()
  end)
end)

-- An authority over HTTP that looks at `address`.
local function authority(look)
  local server = acme.server { look = look }
  local listening = servers.start(server:app())
  server.base = "http://" .. listening.address
  return server
end

local function look_over_http(address)
  return function(_, name, token)
    local answer, err = http.get("http://" .. address .. "/.well-known/acme-challenge/" .. token,
      { headers = { Host = name } })
    if not answer then return nil, err end
    return answer.status == 200 and answer.body, "status " .. answer.status
  end
end

describe("over sockets", function()
  it("a certificate is obtained by http-01, beside the pages of a server", function()
    local app = http.router()
    local pages = servers.start(app)
    local server = authority(look_over_http(pages.address))
    local path = testing.tempdir()
    local object = tls.acme { domains = "host.example", directory = server.base .. "/directory", storage = path }
    app:use(object:handler())
    app:get("/page", function(_, res) res:send "a page" end)
    local certificate = assert(object:wait(PATIENCE), object:last_error())
    assert.is_table(core.x509_read(certificate.cert, certificate.key))
    assert.equal("a page", http.get("http://" .. pages.address .. "/page").body)
    assert.equal(404, http.get("http://" .. pages.address .. "/.well-known/acme-challenge/unknown").status)
    assert.equal(404, http.get("http://" .. pages.address .. "/.well-known/acme-challenge/..%2faccount.json").status)
    local folder = path .. "/" .. server.base:gsub("^http://", ""):gsub(":", "_") .. "_directory"
    assert.same({ "account.json", "host.example.pem", "lock" }, fs.list(folder))
    for _, name in ipairs(fs.list(folder)) do assert.equal("600", octal(folder .. "/" .. name)) end
    object:close()
  end)

  -- What a client is shown: the certificate in DER, and the protocol.
  local function shown_to(address, options)
    options.insecure = true
    local conn = assert(net.dial(address, { timeout = PATIENCE }))
    local ok, err = conn:start_tls { context = assert(tls.client(options)), server_name = "host.example" }
    local info, shown = ok and core.tls_info(conn), ok and core.tls_certificate(conn)
    conn:close()
    if not ok then return nil, err end
    return shown, info.alpn
  end

  for _, version in ipairs { "1.2", "1.3" } do
    it("a certificate is obtained by tls-alpn-01 over TLS " .. version .. ", which others are not shown", function()
      local address, meanwhile
      local server = authority(function()
        meanwhile = core.x509_read((shown_to(address, { alpn = { "http/1.1" } })))
        local shown, protocol = shown_to(address, { alpn = { "acme-tls/1" }, max_version = version })
        return protocol == "acme-tls/1" and shown, protocol
      end)
      local object = tls.acme { domains = "host.example", directory = server.base .. "/directory",
        storage = testing.tempdir(), challenge = "tls-alpn-01" }
      local context = assert(object:context { alpn = { "http/1.1" } })
      local listener = assert(net.listen("127.0.0.1:0", { tls = context }))
      address = listener:address()
      local serving = moonpark.go(listener.serve, listener, function(conn) conn:read() end)
      local certificate = assert(object:wait(PATIENCE), object:last_error())
      assert.equal("CN=host.example", meanwhile.issuer)
      assert.equal(certificate.fingerprint, core.x509_read((shown_to(address, {}))).fingerprint)
      for _, each in ipairs { "1.2", "1.3" } do
        local shown, err = shown_to(address, { alpn = { "acme-tls/1" }, max_version = each })
        assert.is_nil(shown)
        assert.is_truthy(err:find "^handshake failure: ", err)
      end
      object:close()
      listener:close()
      serving:join()
    end)
  end

  it("of several processes one asks, and any of them answers the authority", function()
    local path = testing.tempdir()
    local bystander
    local pages = servers.start(function(req, res) return bystander:handler()(req, res) end)
    local server = authority(look_over_http(pages.address))
    local options = { domains = "host.example", directory = server.base .. "/directory", storage = path }
    bystander = tls.acme(options)
    local children = {}
    for i = 1, 3 do
      children[i] = process.start(process.moonpark("-e", ([[
        local acme = require("moonpark.tls").acme { domains = %q, directory = %q, storage = %q }
        local certificate = assert(acme:wait(30), acme:last_error())
        print(certificate.fingerprint)
        acme:close()]]):format(options.domains, options.directory, path)))
    end
    local seen = {}
    for i, child in ipairs(children) do
      seen[i] = child:line()
      child:wait()
    end
    assert.is_truthy(seen[1]:find "^%x%x:%x%x:")
    assert.same({ seen[1], seen[1], seen[1] }, seen)
    assert.equal(1, server.issued)
    assert.equal(1, #server.accounts)
  end)
end)

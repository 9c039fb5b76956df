-- SPDX-License-Identifier: MIT
-- tls_ticket, tls_session: a handshake may resume an earlier session, and only where that is safe.

local moonpark = require "moonpark"
local net = require "moonpark.net"
local tls = require "moonpark.tls"
local certificates = require "support.tls"
local files = certificates.files

-- One connection, on which the server writes and the client reads: was it resumed, on both ends?
local function resumes(server, client, name)
  local a, b = net.pipe()
  certificates.over(a, b, server, client, name)
  local mine, theirs = certificates.shake(a, b)
  assert.same({ { true }, { true } }, { mine, theirs })
  local writer = moonpark.go(b.write, b, "x")
  assert.equal("x", a:read())
  writer:join()
  local resumed = a:tls().resumed
  assert.equal(resumed, b:tls().resumed)
  assert.is_true(a:tls().verified)
  a:close()
  b:close()
  return resumed
end

for _, version in ipairs { "1.2", "1.3" } do
  describe("a session of TLS " .. version, function()
    local function client() return certificates.client { max_version = version } end

    it("is resumed by the same client", function()
      local server, one = certificates.server(), client()
      assert.is_false(resumes(server, one))
      assert.is_true(resumes(server, one))
      assert.is_true(resumes(server, one))
      assert.is_false(resumes(server, client()))
    end)

    it("is for one name alone", function()
      local server, one = certificates.server(), client()
      assert.is_false(resumes(server, one))
      assert.is_false(resumes(server, one, "localhost"))
    end)

    it("is taken by another server that has the same ticket key, and by no other", function()
      local key, older = ("k"):rep(80), ("o"):rep(80)
      local one = client()
      assert.is_false(resumes(certificates.server { ticket_keys = key }, one))
      assert.is_true(resumes(certificates.server { ticket_keys = { key } }, one))
      assert.is_true(resumes(certificates.server { ticket_keys = { older, key } }, one))
      assert.is_true(resumes(certificates.server { ticket_keys = { older } }, one))
      assert.is_false(resumes(certificates.server { ticket_keys = { key } }, one))
      assert.is_false(resumes(certificates.server(), one))
    end)

    it("is not resumed if the server does without tickets", function()
      local server, one = certificates.server { tickets = false }, client()
      assert.is_false(resumes(server, one))
      assert.is_false(resumes(server, one))
    end)

    it("lives through a reload of the server, and not of the client", function()
      local server, one = certificates.server(), client()
      assert.is_false(resumes(server, one))
      assert.is_true(server:reload())
      assert.is_true(resumes(server, one))
      assert.is_true(one:reload())
      assert.is_false(resumes(server, one))
    end)

    it("is not for a server that verifies clients in another way", function()
      local key, one = ("k"):rep(80), client()
      local with = { ticket_keys = key, client_certificates = "require", client_ca = files.ca_crt }
      assert.is_false(resumes(certificates.server { ticket_keys = key }, one))
      local a, b = net.pipe()
      certificates.over(a, b, certificates.server(with), one)
      local _, theirs = certificates.shake(a, b)
      assert.same({ nil, "handshake failure: no client certificate" }, theirs)
      a:close()
      b:close()
      local known = certificates.client { max_version = version, cert = files.client_crt, key = files.client_key }
      assert.is_false(resumes(certificates.server(with), known))
      assert.is_true(resumes(certificates.server(with), known))
      with.client_ca = certificates.pem "ca_crt" .. certificates.pem "stranger_crt"
      assert.is_false(resumes(certificates.server(with), known))
    end)

    it("does not outlive a reload of a server that verifies clients", function()
      local server = certificates.server { client_certificates = "require", client_ca = files.ca_crt }
      local one = certificates.client { max_version = version, cert = files.client_crt, key = files.client_key }
      assert.is_false(resumes(server, one))
      assert.is_true(resumes(server, one))
      assert.is_true(server:reload())
      assert.is_false(resumes(server, one))
    end)
  end)
end

describe("a ticket key", function()
  it("may be a file of 80 bytes, which a reload reads again", function()
    local path = os.tmpname()
    local function put(bytes)
      local file = assert(io.open(path, "wb"))
      file:write(bytes)
      file:close()
    end
    put(("a"):rep(80))
    local server, one = certificates.server { ticket_keys = path }, certificates.client()
    assert.is_false(resumes(server, one))
    assert.is_true(resumes(certificates.server { ticket_keys = ("a"):rep(80) }, one))
    put(("b"):rep(80))
    assert.is_true(server:reload())
    assert.is_false(resumes(server, one))
    put "short"
    assert.same({ nil, path .. ": 5 bytes, not 80" }, { server:reload() })
    assert.is_true(resumes(server, one))
    os.remove(path)
    assert.same({ nil, path .. ": no such file or directory" },
      { tls.server { cert = files.both_pem, ticket_keys = path } })
  end)
end)

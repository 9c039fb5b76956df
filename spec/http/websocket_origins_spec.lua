-- SPDX-License-Identifier: MIT
-- res:websocket: which pages may connect. A browser tells the page's origin, and no page can change that.

local certificates = require "support.tls"
local server_of = require "support.http"
local wire = require "support.websocket"

local function accept(options)
  return function(_, res) res:websocket(options) end
end

-- Shakes hands by hand: the answer, and the connection.
local function shake(server, changes)
  local conn = server:dial()
  assert(conn:write(server_of.request(wire.handshake(changes))))
  return server_of.read_answer(conn, "HEAD"), conn
end

describe("res:websocket", function()
  after_each(server_of.stop_all)

  it("lets pages of its own host connect, and of no other", function()
    local server = server_of.start(accept())
    local function status(host, origin)
      local answer, conn = shake(server, { Host = host, Origin = origin })
      conn:close()
      return answer.status
    end
    for _, case in ipairs { { "a.example", "http://a.example" }, { "a.example", "https://A.example" },
      { "a.example:8080", "http://a.example:8080" }, { "a.example", "https://a.example:443" },
      { "a.example:443", "https://a.example" }, { "[::1]:80", "http://[::1]" } } do
      assert.equal(101, status(case[1], case[2]), case[2])
    end
    for _, case in ipairs { { "a.example", "http://b.example" }, { "a.example", "http://a.example:8080" },
      { "a.example:8080", "http://a.example" }, { "a.example", "null" }, { "a.example", "http://a.example.evil" },
      { "a.example", "http://x.a.example" }, { "a.example", "a.example" } } do
      assert.equal(403, status(case[1], case[2]), case[2])
    end
  end)

  it("takes a page that came without TLS for another site once the client has used TLS", function()
    local function serves(options)
      local server = server_of.start(accept(), options)
      return function(fields)
        fields.Host = "localhost"
        local conn = server:dial()
        if options then assert(conn:start_tls { context = certificates.client(), server_name = "localhost" }) end
        conn:write(server_of.request(wire.handshake(fields)))
        local answer = server_of.read_answer(conn, "HEAD")
        conn:close()
        return answer.status
      end
    end
    local status = serves { tls = { cert = certificates.files.host_crt, key = certificates.files.host_key } }
    assert.equal(101, status { Origin = "https://localhost" })
    assert.equal(403, status { Origin = "http://localhost" })
    assert.equal(403, status { Origin = "http://localhost", ["X-Forwarded-Proto"] = "http" })
    status = serves()
    assert.equal(101, status { Origin = "http://localhost" })
    assert.equal(101, status { Origin = "https://localhost" }) -- a proxy that does not say so
    for name, values in pairs { ["X-Forwarded-Proto"] = { "https", "HTTPS", "https, http" },
      ["Forwarded"] = { "for=1.2.3.4;proto=https", 'proto="https", proto=http' } } do
      for _, value in ipairs(values) do
        assert.equal(101, status { Origin = "https://localhost", [name] = value })
        assert.equal(403, status { Origin = "http://localhost", [name] = value })
      end
    end
    for name, value in pairs { ["X-Forwarded-Proto"] = "http", ["Forwarded"] = "for=1.2.3.4, proto=https" } do
      assert.equal(101, status { Origin = "http://localhost", [name] = value })
    end
  end)

  it("asks a list or a function about origins, or nobody", function()
    local seen
    local choices = { ["/list"] = { "https://good.example", "http://other.example" }, ["/all"] = "*",
      ["/ask"] = function(origin, req)
        seen = { origin, req.path }
        return origin == "https://good.example"
      end }
    local server = server_of.start(function(req, res) return accept { origins = choices[req.path] }(req, res) end)
    local function status(path, origin)
      local answer, conn = shake(server, { line = ("GET %s HTTP/1.1"):format(path), Origin = origin })
      conn:close()
      return answer.status
    end
    assert.equal(101, status("/list", "https://GOOD.example"))
    assert.equal(403, status("/list", "http://test"))
    assert.equal(101, status("/all", "https://anything.example"))
    assert.equal(101, status("/ask", "https://good.example"))
    assert.same({ "https://good.example", "/ask" }, seen)
    assert.equal(403, status("/ask", "https://bad.example"))
    seen = nil
    assert.equal(403, status("/ask", "https://good.example\nOrigin: https://good.example"))
    assert.equal(nil, seen)
  end)
end)

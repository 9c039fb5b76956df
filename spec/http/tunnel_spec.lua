-- SPDX-License-Identifier: MIT
-- tunnel: what a proxy may answer to CONNECT. Nothing of it counts as the target's: TLS begins with the target's first
-- byte, or the request fails.

local certificates = require "support.tls"
local http = require "moonpark.http"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local peers = require "support.http_client"

local OK = "HTTP/1.1 200 OK\r\n"

-- A request to an https server through a proxy that answers so (or does so), and then connects. The answer, or nil and
-- why; and what the client has written behind its CONNECT to a proxy that connects nobody.
local function through(answer, connects)
  local served, said = 0, nil
  local target = peers.serve(function(_, res)
    served = served + 1
    res:send "hello"
  end, { tls = { cert = certificates.files.host_crt, key = certificates.files.host_key } })
  local proxy = peers.scripted(function(conn)
    peers.request(conn)
    if type(answer) == "function" then answer(conn) elseif not conn:write(answer) then return end
    if not connects then
      said = conn:read_all()
      return
    end
    local onward = assert(net.dial(target.address))
    local back = moonpark.go(net.copy, conn, onward)
    net.copy(onward, conn)
    onward:close_write()
    back:join()
    onward:close()
  end)
  local client = http.client { tls = certificates.client(), proxy = proxy.url, timeout = 20 }
  local response, err = client:get("https://localhost:" .. target.address:match "%d+$")
  client:close()
  peers.stop_all()
  assert.equal(response and 1 or 0, served)
  return response and response.body, err, said
end

describe("a tunnel through a proxy", function()
  after_each(peers.stop_all)

  it("begins behind any 2xx, whose length and coding are ignored", function()
    for _, answer in ipairs { OK .. "\r\n", "HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n",
      "HTTP/1.1 299 Fine\r\n\r\n", OK .. "Content-Length: 5\r\n\r\n", OK .. "Transfer-Encoding: chunked\r\n\r\n",
      "HTTP/1.1 200\r\n\r\n" } do
      assert.same({ answer, "hello" }, { answer, (through(answer, true)) })
    end
  end)

  it("begins behind interim responses, but for a flood of them and for 101", function()
    local early = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    for _, answer in ipairs { "HTTP/1.1 100 Continue\r\n\r\n", early:rep(3), "HTTP/1.1 199 X\r\n\r\n" } do
      assert.equal("hello", (through(answer .. OK .. "\r\n", true)))
    end
    for answer, err in pairs { [early:rep(100)] = "malformed message",
      ["HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"] = "proxy answered 101" } do
      local body, why, said = through(answer .. OK .. "\r\n")
      assert.same({ nil, err }, { body, why })
      assert.is_true(said == "" or said == nil) -- nil: reset, for the client has not read all
    end
  end)

  it("is not taken if anything follows the head: it would be taken for the target's", function()
    for _, answer in ipairs { OK .. "\r\nextra", OK .. "\r\n" .. OK .. "\r\n", OK .. "Content-Length: 5\r\n\r\nhello",
      OK .. "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", OK .. "\r\n\21\3\3\0\2\2\40", OK .. "\r\n\22\3\3\0\1\2",
      OK .. "\r\n\n" } do
      assert.same({ nil, "plain bytes were received before TLS", "" }, { through(answer) })
    end
  end)

  it("fails in the handshake if the proxy speaks for the target", function()
    local function speaking(bytes)
      return select(2, through(function(conn)
        conn:write(OK .. "\r\n")
        assert.equal(22, conn:read(1):byte())
        conn:write(bytes)
      end))
    end
    assert.equal("handshake failure: not TLS", speaking(peers.ok "from the proxy"))
    assert.equal("handshake failure: refused by the peer", speaking "\21\3\3\0\2\2\40")
  end)

  it("is not there if the proxy says anything else, and the client says no more", function()
    for answer, err in pairs {
      ["HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 2\r\n\r\nno"] = "proxy answered 407",
      ["HTTP/1.1 302 Found\r\nLocation: https://other.example/\r\n\r\n"] = "proxy answered 302",
      ["HTTP/1.1 502 No\r\nContent-Length: 5\r\n\r\nhello"] = "proxy answered 502",
      ["garbage\r\n\r\n"] = "malformed message",
      [OK .. "bad\r\n\r\n"] = "malformed message",
      [OK .. ("X-Y: " .. ("z"):rep(1000) .. "\r\n"):rep(100)] = "too long",
    } do
      local body, why, said = through(answer)
      assert.same({ answer, nil, err }, { answer, body, why })
      assert.is_true(said == "" or said == nil) -- nil: reset, for the client has not read all
    end
  end)

  it("is not there if the proxy closes, at whatever byte", function()
    for _, answer in ipairs { "", "HTTP/1.1 200 O", OK, "HTTP/1.1 100 Continue\r\n\r\n", OK .. "\r\n" } do
      assert.equal("unexpected eof", (select(2, through(function(conn)
        conn:write(answer)
        conn:close_write()
      end))))
    end
  end)
end)

-- SPDX-License-Identifier: MIT
-- What http.proxy keeps from a target: fields that claim to be those of a proxy in front, paths that leave the target's
-- own, and protocols that would carry other requests past it.

local http = require "moonpark.http"
local net = require "moonpark.net"
local peers = require "support.http_client"

describe("http.proxy, in front of a target", function()
  local proxies = {}

  after_each(function()
    for _, proxy in ipairs(proxies) do proxy:close() end
    proxies = {}
    peers.stop_all()
  end)

  local function proxy_to(target, options)
    local proxy = http.proxy(target, options)
    proxies[#proxies + 1] = proxy
    return proxy
  end

  local function raw(server, bytes)
    local conn = assert(net.dial(server.address))
    conn:set_timeout(20)
    assert(conn:write(bytes))
    local got = assert(conn:read_all())
    conn:close()
    return got
  end

  -- A target that notes heads, and answers each request.
  local function noting()
    local heads = {}
    local target = peers.scripted(function(conn)
      while true do
        local head = peers.request(conn)
        if not head then return end
        heads[#heads + 1] = head
        conn:write(peers.ok "x")
      end
    end)
    target.heads = heads
    return target
  end

  -- The head that the target gets for these fields.
  local function head_for(fields, options)
    local target = noting()
    local server = peers.serve(proxy_to(target.url, options))
    assert.matches("^HTTP/1%.1 200 ", raw(server, "GET / HTTP/1.1\r\nHost: me\r\nConnection: close\r\n" .. fields
      .. "\r\n"))
    return target.heads[1]
  end

  local function status_of(server, target)
    return tonumber(raw(server, "GET " .. target .. " HTTP/1.1\r\nHost: me\r\nConnection: close\r\n\r\n")
      :match "^HTTP/1%.1 (%d+) ")
  end

  local climbing = {
    "/../x", "/%2e%2e/x", "/.%2E/x", "/..%2fx", "/..%2Fx", "/x/../../y", "/x/%2e%2e%2f%2e%2e/y", "/..", "/%2e%2e",
    "/./x", "/x/.", "/..\\x", "/x\\..\\y", "/..%5cx", "/%2e%2e%5Cx", "/x%5c..%5Cy", "//../x", "/x//../../y",
    "/..;a=b/x", "/..%3bx/y", "/x%2f..", "/..%00/x", "/%2", "/%u002e/x", "http://me/../x", "http://me/%2e%2e%2fx",
  }

  it("refuses with 400 what leaves the target's path, however it is spelled", function()
    local target = noting()
    local server = peers.serve(proxy_to(target.url .. "/base"))
    for _, path in ipairs(climbing) do assert.same({ path, 400 }, { path, status_of(server, path) }) end
    assert.equal(0, #target.heads)
  end)

  it("refuses it behind a router too, whether or not the target has a path", function()
    local target = noting()
    for _, base in ipairs { "", "/base" } do
      local app = http.router()
      app:mount("/in", proxy_to(target.url .. base))
      app:any("/all/*", proxy_to(target.url .. base))
      local server = peers.serve(app)
      for _, path in ipairs(climbing) do
        if path:sub(1, 1) == "/" then
          for _, prefix in ipairs { "/in", "/all" } do
            assert.same({ prefix .. path, 400 }, { prefix .. path, status_of(server, prefix .. path) })
          end
        end
      end
    end
    assert.equal(0, #target.heads)
  end)

  it("passes on paths that only look like that", function()
    local target = noting()
    local server = peers.serve(proxy_to(target.url .. "/base"))
    for _, path in ipairs { "/...", "/a..", "/..a/b", "/.well-known/x", "/a%2fb", "/%252e%252e/x", "//x", "/a;..;b",
      "/x?/../y", "/%fe%80%80%80%80%ae/x", "/..%fe%80%80%80%80%a0/x", "/%ff%80%80%80%80%80%ae/x", "/%fe%80%80%80%80%80",
      "/%fe/x", "/%ff" } do
      assert.equal(200, status_of(server, path))
      assert.equal("GET /base" .. path .. " HTTP/1.1", target.heads[#target.heads]:match "^[^\n]*")
    end
  end)

  it("drops a Forwarded of the client's that is not to the letter of RFC 7239", function()
    for _, bad in ipairs { 'for="1.2.3.4', 'for="a\\', 'for=a, for="b', "for", "for=", "=a", "for=a;;b", "for=a b",
      'for=a"b"', "for=a; proto=http", "for=[::1]", 'for="a"b', "for=1.2.3.4:80", "a/b=c" } do
      assert.matches('\nForwarded: for="127%.0%.0%.1";proto=http;host="me"\n',
        head_for("Forwarded: " .. bad .. "\r\n", { forwarded = "standard" }))
    end
    for _, good in ipairs { "for=1.2.3.4", 'for="[::1]:80";by=x', 'For="a, b\\"c", for=_x', "for=a;proto=https;" } do
      local head = head_for("Forwarded: " .. good .. '\r\nForwarded: for="\r\n', { forwarded = "standard" })
      assert.truthy(head:find("\nForwarded: " .. good .. ', for="127.0.0.1"', 1, true), good)
    end
  end)

  it("drops an X-Forwarded-For that is no list of addresses, and a Via that is none of hops", function()
    for _, bad in ipairs { '"', '1.2.3.4, "', "a b", "1.2.3.4;x", "(", "<script>" } do
      assert.matches("\nX%-Forwarded%-For: 127%.0%.0%.1\n", head_for("X-Forwarded-For: " .. bad .. "\r\n"))
    end
    assert.matches("\nX%-Forwarded%-For: 1%.2%.3%.4, %[::1%]:80, unknown, 127%.0%.0%.1\n",
      head_for "X-Forwarded-For: 1.2.3.4, [::1]:80\r\nX-Forwarded-For: unknown\r\n")
    for _, bad in ipairs { "1.1", "1.1 a (", "1.1 a (b(c)", '1.1 "', "1.1 a (b) c", "1.1 a b", "(x)" } do
      assert.matches("\nVia: 1%.1 moonpark\n", head_for("Via: " .. bad .. "\r\n"))
    end
    assert.truthy(head_for "Via: 1.0 fred, HTTP/1.1 p.example.net:80 (a (b) \\))\r\n"
      :find("\nVia: 1.0 fred, HTTP/1.1 p.example.net:80 (a (b) \\)), 1.1 moonpark\n", 1, true))
  end)

  it("drops what a target may take for a proxy's word, in any spelling", function()
    for _, name in ipairs { "X_Forwarded_For", "x-forwarded_for", "X_FORWARDED_HOST", "X_Forwarded_Proto",
      "X.Forwarded.For", "X-Forwarded-Port", "X_Forwarded_Prefix", "X-Real-IP", "X_Real_IP", "Max_Forwards",
      "Content_Length", "Transfer_Encoding", "Proxy" } do
      for _, mode in ipairs { "x", "standard" } do
        assert.is_nil(head_for(name .. ": 6.6.6.6\r\n", { forwarded = mode }):find("6.6.6.6", 1, true), name)
      end
    end
    local head = head_for("X_Forwarded_For: 6\r\nX-Forwarded-For: 7\r\nX_Own: 8\r\n", { forwarded = false })
    assert.matches("\nX%-Forwarded%-For: 7\nX_Own: 8\n", head)
    assert.is_nil(head:find "X_Forwarded_For")
  end)

  it("writes its own fields whatever Connection lists", function()
    local head = head_for "Connection: X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto, Via, Host, x\r\nX: 1\r\n"
    assert.matches("^GET / HTTP/1.1\nHost: [%d.:]+\nX%-Forwarded%-For: 127%.0%.0%.1\nX%-Forwarded%-Proto: http\n"
      .. "X%-Forwarded%-Host: me\nVia: 1%.1 moonpark\n$", head)
  end)

  it("lets a WebSocket pass and no other protocol, unless it is told which", function()
    local function upgrade(value, options)
      local head = head_for("Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n" .. value, options)
      assert.is_nil(head:lower():find("http2-settings", 1, true))
      local asks = head:match "\nUpgrade: ([^\n]*)\n"
      assert.equal(asks and "Upgrade", head:match "\nConnection: ([^\n]*)\n")
      return asks
    end
    for _, other in ipairs { "h2c", "H2C", "h2c, TLS/1.0", "websocket2", "websocket/13", "" } do
      assert.is_nil(upgrade("Upgrade: " .. other .. "\r\n"))
    end
    assert.equal("WebSocket", upgrade "Upgrade: h2c, WebSocket ,TLS/1.0\r\n")
    assert.equal("websocket", upgrade "Upgrade: h2c\r\nUPGRADE: websocket\r\n")
    assert.equal("b, websocket", upgrade("Upgrade: a, b, websocket\r\n", { upgrade = { "websocket", "B" } }))
    assert.equal("h2c", upgrade("Upgrade: h2c, websocket\r\n", { upgrade = "h2c" }))
    assert.is_nil(upgrade("Upgrade: websocket\r\n", { upgrade = false }))
  end)

  it("answers 502 for a 101 that nobody asked for, or to another protocol", function()
    local function answer(fields, asks)
      local target = peers.saying("HTTP/1.1 101 Switching Protocols\r\n" .. fields .. "\r\nsecret")
      local got = raw(peers.serve(proxy_to(target.url)), "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, Upgrade\r\n"
        .. asks .. "\r\n")
      return tonumber(got:match "^HTTP/1%.1 (%d+)"), got
    end
    local websocket, ok = "Upgrade: websocket\r\n", "Connection: Upgrade\r\n"
    assert.equal(502, (answer(ok .. websocket, "")))
    assert.equal(502, (answer(ok .. websocket, "Upgrade: h2c\r\n")))
    assert.equal(502, (answer(ok .. "Upgrade: h2c\r\n", websocket)))
    assert.equal(502, (answer(ok .. "Upgrade: websocket, h2c\r\n", websocket)))
    assert.equal(502, (answer(ok .. websocket .. "Upgrade: h2c\r\n", websocket)))
    assert.equal(502, (answer(ok, websocket)))
    local status, text = answer(ok .. "Upgrade: WebSocket\r\nContent-Length: 3\r\nX: y\r\n", websocket)
    assert.equal(101, status)
    assert.equal("HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nX: y\r\n\r\nsecret",
      text)
  end)
end)

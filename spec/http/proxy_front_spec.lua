-- SPDX-License-Identifier: MIT
-- proxy_front_spec.lua - http.proxy as the front of a target: nothing gets past it that was not meant to, and what a
-- target trusts about the client comes from the proxy.

local http = require "moonpark.http"
local peers = require "support.http_client"

local noting, proxy_to, raw, status_of = peers.noting, peers.proxy_to, peers.raw, peers.status_of

describe("the front that http.proxy is", function()
  after_each(peers.stop_all)

  -- The head that the target gets for a request with these fields.
  local function passed(fields, options, line)
    local target = noting()
    local server = peers.serve(proxy_to(target.url, options))
    line = line or "GET / HTTP/1.1"
    assert.equal(200, status_of(server, line .. "\r\nHost: me\r\nConnection: close\r\n" .. fields .. "\r\n"))
    return target.heads[1]
  end

  local leaving = { "/../x", "/..", "/a/../../y", "/%2e%2e/x", "/%2E./x", "/.%2e", "/..%2fx", "/..%2Fx", "/x%2f..%2fy",
    "/x%2F%2e%2E%2Fy", "/..%5cx", "/x%5C..%5Cy", "/..;/x", "/a/..;b=c/x", "/./x", "/%2e", "/a/.", "/a%2f.%2fb",
    "//../x", "/a//../../x", "/..%3bb/x", "/..%3fx", "/..%23/x", "/..%20/x", "/%09..%0d%0a/x", "/.%20./x",
    "/%c0%ae%c0%ae/x", "/%C0%AE./x", "/..%c0%af/x", "/..%c1%9cx", "/%e0%80%ae%e0%80%ae/x", "/.%f0%80%80%ae/x",
    "/%f8%80%80%80%ae./x", "/%fc%80%80%80%80%ae./x", "/a%00b", "/a%c0%80b", "/%u002e./x", "/a%2" }

  for _, path in ipairs(leaving) do
    it("refuses " .. path .. ", which could leave a target's path", function()
      local target = noting()
      local app = http.router()
      local proxy = proxy_to(target.url .. "/app")
      app:any("/*", proxy)
      for _, handler in ipairs { proxy, app } do
        local server = peers.serve(handler)
        for _, uri in ipairs { path, "http://me" .. path, path .. "?a=b" } do
          assert.equal(400, status_of(server, "GET " .. uri .. " HTTP/1.1\r\nHost: me\r\nConnection: close\r\n\r\n"))
        end
      end
      local mounted = http.router():mount("/in", proxy)
      assert.equal(400, status_of(peers.serve(mounted),
        "GET /in" .. path .. " HTTP/1.1\r\nHost: me\r\nConnection: close\r\n\r\n"))
      assert.same({}, target.heads)
    end)
  end

  it("passes on dots and encoded bytes that are no steps, as they were sent", function()
    for _, path in ipairs { "/a..b", "/...", "/.well-known/x", "/a%2fb", "/%2e%2e%2e", "/a;b/..c", "/x%252e%252e/y",
      "//a", "/a?b=/../c", "/%252e%252e%252fx", "/%20", "/%c3%a4..", "/%e2%80%ae/x", "/%c0", "/%c0.",
      "/%f0%9f%8d%8e" } do
      assert.matches("^GET /app" .. path:gsub("%p", "%%%0") .. " HTTP/1.1\n", (function()
        local target = noting()
        local server = peers.serve(proxy_to(target.url .. "/app/"))
        assert.equal(200, status_of(server, "GET " .. path .. " HTTP/1.1\r\nHost: me\r\nConnection: close\r\n\r\n"))
        return target.heads[1]
      end)())
    end
  end)

  it("lets no path out of what a router or a handler has let through, though the target has none", function()
    local target = noting()
    local proxy = proxy_to(target.url)
    local function only_public(req, res, otherwise)
      if req.path:find "^/public/" then return proxy(req, res) end
      return otherwise()
    end
    local fronts = {
      ["/public/"] = function(req, res) return only_public(req, res, function() res:fail(403) end) end,
      ["/public/a/"] = http.router():use(only_public):get("/x", function(_, res) res:send "x" end),
      ["/any/"] = http.router():any("/any/*", proxy),
      ["/mounted/"] = http.router():mount("/mounted", proxy),
      ["/group/"] = http.router():group("/group"):any("/*", proxy),
      ["/other/"] = http.router():any("/admin/*", function(_, res) res:fail(403) end):not_found(proxy),
      ["/method/"] = function(req, res) return proxy:handle(req, res) end,
      ["/table/"] = function(req, res) return proxy(setmetatable({}, { __index = req }), res) end,
    }
    for place, front in pairs(fronts) do
      local server = peers.serve(front)
      for _, path in ipairs { "..%2fadmin", "x%2f..%2f..%2fadmin", "..%5cadmin", "..;/admin", "%2e%2e/admin" } do
        assert.equal(400, status_of(server, "GET " .. place .. path
          .. " HTTP/1.1\r\nHost: me\r\nConnection: close\r\n\r\n"), place .. path)
      end
      assert.same({}, target.heads)
      assert.equal(200, status_of(server, "GET " .. place .. "x HTTP/1.1\r\nHost: me\r\nConnection: close\r\n\r\n"))
      table.remove(target.heads)
    end
  end)

  it("passes paths on as they were sent where nothing picks them: alone in a server, to a target without", function()
    for _, path in ipairs { "/a/../b", "/a/%2e", "/..%2fb" } do
      assert.matches("^GET " .. path:gsub("%p", "%%%0") .. " HTTP", passed("", nil, "GET " .. path .. " HTTP/1.1"))
    end
  end)

  it("keeps out every protocol but WebSocket, and HTTP2-Settings in any case", function()
    local settings = "HTTP2-Settings: AAMAAABkAAQAAP__\r\n"
    for _, fields in ipairs {
      "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n", "Connection: upgrade\r\nUpgrade: H2C\r\n",
      "Connection: Upgrade\r\nUpgrade: h2c, TLS/1.0\r\n", "Connection: Upgrade\r\nUpgrade: foo\r\nUpgrade: h2c\r\n", "",
    } do
      local head = passed(fields .. settings)
      assert.not_matches("[Uu]pgrade", head)
      assert.not_matches("[Hh][Tt][Tt][Pp]2", head)
    end
    assert.matches("\nUpgrade: websocket\nConnection: Upgrade\n",
      passed("Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n" .. settings))
    assert.not_matches("Upgrade", passed("Connection: Upgrade\r\nUpgrade: websocket\r\n", { upgrade = false }))
  end)

  it("lets other protocols through that its options name", function()
    local options = { upgrade = { "IRC", "chat/2" } }
    assert.matches("\nUpgrade: irc, Chat/2\n", passed("Connection: Upgrade\r\nUpgrade: irc, h2c, Chat/2\r\n", options))
    assert.not_matches("Upgrade", passed("Connection: Upgrade\r\nUpgrade: websocket\r\n", options))
    for _, wrong in ipairs { { 5 }, { "a b" }, { "" } } do
      assert.has_error(function() http.proxy("http://a", { upgrade = wrong }) end)
    end
  end)

  local WEBSOCKET = "Connection: close, Upgrade\r\nUpgrade: websocket\r\n"
  for what, answer in pairs {
    ["that nobody asked for"] = { "Connection: close\r\n", "Upgrade: websocket" },
    ["to another protocol than was asked for"] = { WEBSOCKET, "Upgrade: h2c" },
    ["to more than was asked for"] = { WEBSOCKET, "Upgrade: websocket, h2c" },
    ["to nothing"] = { WEBSOCKET, "X: y" },
  } do
    it("answers 502 for a 101 " .. what, function()
      local target = peers.saying("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n" .. answer[2]
        .. "\r\n\r\n")
      local server = peers.serve(proxy_to(target.url))
      assert.equal(502, status_of(server, "GET / HTTP/1.1\r\nHost: me\r\n" .. answer[1] .. "\r\n"))
    end)
  end

  it("goes on behind a client's Forwarded only where that is one", function()
    local own = 'for="127%.0%.0%.1";proto=http;host="me"'
    local function forwarded(fields)
      return passed(fields, { forwarded = "standard" }):match "\nForwarded: ([^\n]*)\n"
    end
    for _, value in ipairs { "for=1.2.3.4", 'for="[::1]:80";by=_x, for=b', 'for="a\\"b"', "for=a;" } do
      assert.matches("^" .. value:gsub("%p", "%%%0") .. ", " .. own .. "$", forwarded("Forwarded: " .. value .. "\r\n"))
    end
    for _, value in ipairs { 'for="x', 'for="x\\"', 'for=a;proto="', "for", "for=", "=a", "for=a b", 'for="a"b',
      "for=a;;=", '"', "for=[::1]" } do
      assert.matches("^" .. own .. "$", forwarded("Forwarded: " .. value .. "\r\n"))
      assert.matches("^for=ok, " .. own .. "$", forwarded("Forwarded: " .. value .. "\r\nForwarded: for=ok\r\n"))
    end
  end)

  it("goes on behind a client's X-Forwarded-For only where that lists addresses", function()
    local function forwarded(value)
      return passed("X-Forwarded-For: " .. value .. "\r\n"):match "\nX%-Forwarded%-For: ([^\n]*)"
    end
    assert.equal("9.9.9.9, unknown, 127.0.0.1", forwarded "9.9.9.9, unknown")
    assert.equal("2001:db8::1, [::1]:80, 127.0.0.1", forwarded "2001:db8::1, [::1]:80")
    for _, value in ipairs { '"1.1.1.1', "1.1.1.1;x", "<script>", "1.1.1.1 (a" } do
      assert.equal("127.0.0.1", forwarded(value))
    end
  end)

  it("drops what a CGI program would take for a field that the proxy answers for", function()
    for _, mode in ipairs { "x", "standard", false } do
      local head = passed("X_Forwarded_For: 6.6.6.6\r\nX-Forwarded_Host: evil\r\nx_forwarded-PROTO: https\r\n"
        .. "X_Real_IP: 6.6.6.6\r\nContent_Length: 5\r\nTransfer_Encoding: chunked\r\nX_Forwarded_Anything_At_All_"
        .. "However_Long_Its_Name_May_Be_Indeed_It_Is: 1\r\nPROXY_AUTHORIZATION: x\r\nHTTP2_Settings: x\r\n"
        .. "X_Mine: kept\r\n",
        { forwarded = mode })
      assert.not_matches("_[Ff][Oo]", head)
      assert.not_matches("evil", head)
      assert.not_matches("6%.6", head)
      assert.not_matches("https", head)
      assert.not_matches("_[LlEeAaSs]", head)
      assert.matches("\nX_Mine: kept\n", head)
    end
  end)

  it("names itself whatever the client's Connection lists", function()
    local head = passed("Connection: X-Forwarded-For, X-Forwarded-Host, Via, Host\r\n")
    assert.matches("\nX%-Forwarded%-For: 127%.0%.0%.1\nX%-Forwarded%-Proto: http\nX%-Forwarded%-Host: me\n"
      .. "Via: 1.1 moonpark\n", head)
    assert.matches("\nHost: 127", head)
  end)

  local function status_for(server, target)
    return status_of(server, "GET " .. target .. " HTTP/1.1\r\nHost: me\r\nConnection: close\r\n\r\n")
  end

  local climbing = {
    "/../x", "/%2e%2e/x", "/.%2E/x", "/..%2fx", "/..%2Fx", "/x/../../y", "/x/%2e%2e%2f%2e%2e/y", "/..", "/%2e%2e",
    "/./x", "/x/.", "/..\\x", "/x\\..\\y", "/..%5cx", "/%2e%2e%5Cx", "/x%5c..%5Cy", "//../x", "/x//../../y",
    "/..;a=b/x", "/..%3bx/y", "/x%2f..", "/..%00/x", "/%2", "/%u002e/x", "http://me/../x", "http://me/%2e%2e%2fx",
  }

  it("refuses with 400 what leaves the target's path, however it is spelled", function()
    local target = noting()
    local server = peers.serve(proxy_to(target.url .. "/base"))
    for _, path in ipairs(climbing) do assert.same({ path, 400 }, { path, status_for(server, path) }) end
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
            assert.same({ prefix .. path, 400 }, { prefix .. path, status_for(server, prefix .. path) })
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
      "/x?/../y", "/%fe%80%80%80%80%ae/x", "/..%fe%80%80%80%80%a0/x", "/%ff%80%80%80%80%80%ae/x",
      "/%fe%80%80%80%80%80", "/%fe/x", "/%ff" } do
      assert.equal(200, status_for(server, path))
      assert.equal("GET /base" .. path .. " HTTP/1.1", target.heads[#target.heads]:match "^[^\n]*")
    end
  end)

  it("drops a Forwarded of the client's that is not to the letter of RFC 7239", function()
    for _, bad in ipairs { 'for="1.2.3.4', 'for="a\\', 'for=a, for="b', "for", "for=", "=a", "for=a;;b", "for=a b",
      'for=a"b"', "for=a; proto=http", "for=[::1]", 'for="a"b', "for=1.2.3.4:80", "a/b=c" } do
      assert.matches('\nForwarded: for="127%.0%.0%.1";proto=http;host="me"\n',
        passed("Forwarded: " .. bad .. "\r\n", { forwarded = "standard" }))
    end
    for _, good in ipairs { "for=1.2.3.4", 'for="[::1]:80";by=x', 'For="a, b\\"c", for=_x', "for=a;proto=https;" } do
      local head = passed("Forwarded: " .. good .. '\r\nForwarded: for="\r\n', { forwarded = "standard" })
      assert.truthy(head:find("\nForwarded: " .. good .. ', for="127.0.0.1"', 1, true), good)
    end
  end)

  it("drops an X-Forwarded-For that is no list of addresses, and a Via that is none of hops", function()
    for _, bad in ipairs { '"', '1.2.3.4, "', "a b", "1.2.3.4;x", "(", "<script>" } do
      assert.matches("\nX%-Forwarded%-For: 127%.0%.0%.1\n", passed("X-Forwarded-For: " .. bad .. "\r\n"))
    end
    assert.matches("\nX%-Forwarded%-For: 1%.2%.3%.4, %[::1%]:80, unknown, 127%.0%.0%.1\n",
      passed "X-Forwarded-For: 1.2.3.4, [::1]:80\r\nX-Forwarded-For: unknown\r\n")
    for _, bad in ipairs { "1.1", "1.1 a (", "1.1 a (b(c)", '1.1 "', "1.1 a (b) c", "1.1 a b", "(x)" } do
      assert.matches("\nVia: 1%.1 moonpark\n", passed("Via: " .. bad .. "\r\n"))
    end
    assert.truthy(passed "Via: 1.0 fred, HTTP/1.1 p.example.net:80 (a (b) \\))\r\n"
      :find("\nVia: 1.0 fred, HTTP/1.1 p.example.net:80 (a (b) \\)), 1.1 moonpark\n", 1, true))
  end)

  it("drops what a target may take for a proxy's word, in any spelling", function()
    for _, name in ipairs { "X_Forwarded_For", "x-forwarded_for", "X_FORWARDED_HOST", "X_Forwarded_Proto",
      "X.Forwarded.For", "X-Forwarded-Port", "X_Forwarded_Prefix", "X-Real-IP", "X_Real_IP", "Max_Forwards",
      "Content_Length", "Transfer_Encoding", "Proxy" } do
      for _, mode in ipairs { "x", "standard" } do
        assert.is_nil(passed(name .. ": 6.6.6.6\r\n", { forwarded = mode }):find("6.6.6.6", 1, true), name)
      end
    end
    local head = passed("X_Forwarded_For: 6\r\nX-Forwarded-For: 7\r\nX_Own: 8\r\n", { forwarded = false })
    assert.matches("\nX%-Forwarded%-For: 7\nX_Own: 8\n", head)
    assert.is_nil(head:find "X_Forwarded_For")
  end)

  it("writes its own fields whatever Connection lists", function()
    local head = passed "Connection: X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto, Via, Host, x\r\nX: 1\r\n"
    assert.matches("^GET / HTTP/1.1\nHost: [%d.:]+\nX%-Forwarded%-For: 127%.0%.0%.1\nX%-Forwarded%-Proto: http\n"
      .. "X%-Forwarded%-Host: me\nVia: 1%.1 moonpark\n$", head)
  end)

  it("lets a WebSocket pass and no other protocol, unless it is told which", function()
    local function upgrade(value, options)
      local head = passed("Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n" .. value, options)
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

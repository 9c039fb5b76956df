-- SPDX-License-Identifier: MIT
-- proxy_front_spec.lua - http.proxy as the front of a target: nothing gets past it that was not meant to, and what a
-- target trusts about the client comes from the proxy.

local http = require "moonpark.http"
local net = require "moonpark.net"
local peers = require "support.http_client"

-- All that comes for these bytes, up to the end.
local function raw(server, bytes)
  local conn = assert(net.dial(server.address))
  conn:set_timeout(20)
  assert(conn:write(bytes))
  local got = assert(conn:read_all())
  conn:close()
  return got
end

local function status_of(server, bytes) return tonumber(raw(server, bytes):match "^HTTP/1%.1 (%d+) ") end

describe("the front that http.proxy is", function()
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

  -- A target that answers whatever is asked; heads has what it was asked.
  local function target_of()
    local heads = {}
    local target = peers.scripted(function(conn)
      while true do
        local head = peers.request(conn)
        if not head then return end
        heads[#heads + 1] = head
        conn:write(peers.ok "here")
      end
    end)
    target.heads = heads
    return target
  end

  -- The head that the target gets for a request with these fields.
  local function passed(fields, options, line)
    local target = target_of()
    local server = peers.serve(proxy_to(target.url, options))
    raw(server, (line or "GET / HTTP/1.1") .. "\r\nHost: me\r\nConnection: close\r\n" .. fields .. "\r\n")
    return target.heads[1]
  end

  local leaving = { "/../x", "/..", "/a/../../y", "/%2e%2e/x", "/%2E./x", "/.%2e", "/..%2fx", "/..%2Fx", "/x%2f..%2fy",
    "/x%2F%2e%2E%2Fy", "/..%5cx", "/x%5C..%5Cy", "/..;/x", "/a/..;b=c/x", "/./x", "/%2e", "/a/.", "/a%2f.%2fb",
    "//../x", "/a//../../x", "/..%3bb/x", "/..%3fx", "/..%23/x", "/..%20/x", "/%09..%0d%0a/x", "/.%20./x",
    "/%c0%ae%c0%ae/x", "/%C0%AE./x", "/..%c0%af/x", "/..%c1%9cx", "/%e0%80%ae%e0%80%ae/x", "/.%f0%80%80%ae/x",
    "/%f8%80%80%80%ae./x", "/%fc%80%80%80%80%ae./x", "/a%00b", "/a%c0%80b", "/%u002e./x", "/a%2" }

  for _, path in ipairs(leaving) do
    it("refuses " .. path .. ", which could leave a target's path", function()
      local target = target_of()
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
        local target = target_of()
        local server = peers.serve(proxy_to(target.url .. "/app/"))
        assert.equal(200, status_of(server, "GET " .. path .. " HTTP/1.1\r\nHost: me\r\nConnection: close\r\n\r\n"))
        return target.heads[1]
      end)())
    end
  end)

  it("lets no path out of what a router or a handler has let through, though the target has none", function()
    local target = target_of()
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
end)

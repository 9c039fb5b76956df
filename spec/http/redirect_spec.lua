-- SPDX-License-Identifier: MIT
-- Redirects (RFC 9110 15.4), proxies from the environment, and what is told to whom.

local http = require "moonpark.http"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local peers = require "support.http_client"
local proxies = require "moonpark.http.proxies"

local function to(status, location)
  return ("HTTP/1.1 %d X\r\nLocation: %s\r\nContent-Length: 2\r\n\r\nno"):format(status, location)
end

describe("a redirect", function()
  after_each(peers.stop_all)

  -- The methods and bodies that arrive when a request is answered by that status.
  local function seen(status, options)
    local got = {}
    local server = peers.scripted(function(conn)
      while true do
        local head, body = peers.request(conn)
        if not head then return end
        got[#got + 1] = head:match "^(%u+ %S+)" .. " " .. (body or "")
        local text = #got == 1 and to(status, "/there") or peers.ok ""
        conn:write(options.method == "HEAD" and text:match "^.-\r\n\r\n" or text)
      end
    end)
    options.url = server.url .. "/here"
    local answer = assert(http.request(options))
    return got[2], answer.status, server.count
  end

  it("is followed on the same connection, and the answer says where it came from", function()
    local server = peers.saying(to(302, "../b?c#d"), peers.ok "there")
    local answer = assert(http.get(server.url .. "/a/x/y"))
    assert.same({ "there", server.url .. "/a/b?c" }, { answer.body, answer.url })
    assert.equal(1, server.count)
  end)

  it("may lead to bytes that a target cannot hold: they are encoded", function()
    local server = peers.saying(to(302, "/\195\164|<x> y?\195\182"), peers.ok "there")
    assert.equal("there", assert(http.get(server.url)).body)
    assert.matches("^GET /%%C3%%A4%%7C%%3Cx%%3E%%20y%?%%C3%%B6 ", server.heads[2])
  end)

  it("that makes a GET takes what described the body away", function()
    local server = peers.saying(to(303, "/there"), peers.ok "")
    assert(http.put(server.url, { body = "x", headers = { ["Content-Type"] = "a/b", ["Content-Encoding"] = "gzip",
      ["content-language"] = "de", ["Content-Location"] = "/x", ["X-Kept"] = 1 } }))
    assert.is_nil(server.heads[2]:lower():find "\ncontent%-")
    assert.matches("\nX%-Kept: 1\n", server.heads[2])
  end)

  it("makes a GET of a POST where the status says so, and keeps method and body elsewhere", function()
    for _, status in ipairs { 301, 302, 303 } do
      assert.equal("GET /there ", (seen(status, { method = "POST", body = "x" })))
    end
    for _, status in ipairs { 307, 308 } do
      assert.equal("POST /there x", (seen(status, { method = "POST", body = "x" })))
    end
    assert.equal("PUT /there x", (seen(302, { method = "PUT", body = "x" })))
    assert.equal("GET /there ", (seen(303, { method = "PUT", body = "x" })))
    assert.equal("HEAD /there ", (seen(303, { method = "HEAD" })))
  end)

  it("is not followed where the body cannot be sent again, where it was not wanted, and without a Location", function()
    local given
    local function body()
      given = not given
      return given and "x" or nil
    end
    assert.same({ nil, 307 }, { (seen(307, { method = "POST", body = body })), 307 })
    assert.same({ nil, 302 }, { (seen(302, { redirects = 0 })), 302 })
    local server = peers.saying "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"
    assert.equal(302, assert(http.get(server.url)).status)
  end)

  it("ends where it goes round in circles, or leads nowhere", function()
    local texts = {}
    for i = 1, 6 do texts[i] = to(302, "/") end
    local server = peers.saying(unpack(texts))
    assert.same({ nil, "too many redirects" }, { http.get(server.url) })
    assert.equal(6, #server.heads)
    server = peers.saying(to(302, "/"), to(302, "/"))
    assert.same({ nil, "too many redirects" }, { http.get(server.url, { redirects = 1 }) })
    local function nowhere(location)
      local answer, err = http.get(peers.saying(to(302, location)).url)
      return answer or err
    end
    local plain = assert(net.listen "127.0.0.1:0")
    local answers = moonpark.go(function()
      local conn = plain:accept()
      conn:write "HTTP/1.1 400 Bad Request\r\n\r\n"
      conn:read_all()
      conn:close()
    end)
    assert.equal("handshake failure: not TLS", nowhere("https://" .. plain:address() .. "/"))
    answers:join()
    plain:close()
    assert.equal("invalid redirect: unknown scheme 'file'", nowhere "file:///etc/passwd")
    assert.equal("invalid redirect: empty location", nowhere "")
    assert.equal("invalid redirect: invalid URL", nowhere "http://a b/")
    assert.equal("invalid redirect: invalid URL", nowhere "/\\evil.example/")
    assert.equal("invalid redirect: invalid host name: 'good.example\\.evil.example'",
      nowhere "http://good.example\\.evil.example/")
  end)

  it("to two places is none; the same one twice is", function()
    local function twice(first, second, status)
      local both = first .. "\r\nX-Between: 1\r\nlocation: " .. second
      local server = peers.saying(to(status or 302, both), peers.ok "there")
      local answer, err = http.get(server.url .. "/a")
      return answer and answer.body or err, #server.heads
    end
    assert.same({ "invalid redirect: several locations", 1 }, { twice("/b", "/c") })
    assert.same({ "invalid redirect: several locations", 1 }, { twice("/b", "") })
    assert.same({ "there", 2 }, { twice("/b", "/b") })
    assert.same({ "no", 1 }, { twice("/b", "/c", 201) })
    assert.same({ "there", 2 }, { twice("/b,c", "/b,c") })
  end)

  it("that brings credentials along is none", function()
    local server = peers.saying(peers.ok "never asked")
    local function leads(location, options)
      local answer, err = http.get(peers.saying(to(302, location)).url, options)
      return answer and answer.status or err
    end
    for _, user in ipairs { "u:p", "u", ":p", "", "127.0.0.1" } do
      assert.equal("invalid redirect: credentials in a URL", leads("http://" .. user .. "@" .. server.address .. "/"))
      assert.equal("invalid redirect: credentials in a URL", leads("//" .. user .. "@" .. server.address .. "/"))
    end
    for _, user in ipairs { "u\\", "u v", "u@v", "u<" } do
      assert.equal("invalid redirect: invalid URL", leads("http://" .. user .. "@" .. server.address .. "/"))
    end
    assert.equal(302, leads("http://u@" .. server.address .. "/", { redirects = 0 }))
    assert.equal(0, server.count)
  end)

  it("takes credentials and cookies along to the same origin only", function()
    local other = peers.saying(peers.ok "")
    local server = peers.saying(to(302, "/again"), to(302, other.url .. "/"))
    local headers = { Authorization = "secret", cookie = "a=b", Host = "name", ["X-Other"] = "stays" }
    assert(http.get(server.url, { headers = headers }))
    for i = 1, 2 do
      assert.matches("\nAuthorization: secret\n", server.heads[i])
      assert.matches("\ncookie: a=b\n", server.heads[i])
      assert.matches("\nHost: name\n", server.heads[i])
    end
    local there = other.heads[1]
    assert.is_nil(there:lower():find "\nauthorization")
    assert.is_nil(there:lower():find "\ncookie")
    assert.matches("\nHost: " .. other.address .. "\n", there)
    assert.matches("\nX%-Other: stays\n", there)

    other = peers.saying(peers.ok "")
    server = peers.saying(to(302, other.url .. "/"))
    assert(http.get("http://me:pw@" .. server.address, { auth = { "me", "pw" } }))
    assert.is_nil(other.heads[1]:lower():find "\nauthorization")
  end)
end)

describe("a proxy", function()
  after_each(peers.stop_all)

  it("is sent the whole URL, and its own credentials", function()
    local server = peers.saying(peers.ok "by proxy")
    local answer = assert(http.get("http://elsewhere.invalid:81/a?b", { proxy = "http://u:p@" .. server.address }))
    assert.equal("by proxy", answer.body)
    assert.matches("^GET http://elsewhere%.invalid:81/a%?b HTTP/1%.1\nHost: elsewhere%.invalid:81\n", server.heads[1])
    assert.matches("\nProxy%-Authorization: Basic dTpw\n", server.heads[1])
  end)

  it("is a text or false", function()
    for _, proxy in ipairs { 5, true } do
      local err = select(2, pcall(function() http.get("http://a/", { proxy = proxy }) end))
      assert.matches("redirect_spec%.lua:%d+: http: option 'proxy' must be a string or false$", err)
      err = select(2, pcall(function() http.client { proxy = proxy } end))
      assert.matches("redirect_spec%.lua:%d+: http%.client: option 'proxy' must be a string or false$", tostring(err))
    end
  end)

  it("is refused where it is none", function()
    assert.same({ nil, "invalid proxy 'a b'" }, { http.get("http://a/", { proxy = "a b" }) })
    assert.same({ nil, "https proxies are not supported yet" }, { http.get("http://a/", { proxy = "https://a" }) })
  end)

  it("comes from the environment, but for hosts that no_proxy lists", function()
    local getenv, env = os.getenv, {}
    os.getenv = function(name) return env[name] end -- luacheck: ignore 122
    local function address(text, options)
      local parts = require("moonpark.url").parse(text)
      return proxies.of(parts, options or {}).address
    end
    local ok, err = pcall(function()
      env = { HTTP_PROXY = "http://evil:1" }
      assert.equal("a:80", address "http://a/")
      env = { http_proxy = "proxy:3128", no_proxy = "b, .c.example,d:81" }
      assert.equal("proxy:3128", address "http://a/")
      assert.equal("a:80", address("http://a/", { proxy = false }))
      assert.equal("b:80", address "http://B/" :lower())
      assert.equal("x.c.example:80", address "http://x.c.example/")
      assert.equal("proxy:3128", address "http://xc.example/")
      assert.equal("d:81", address "http://d:81/")
      assert.equal("proxy:3128", address "http://d/")
      env = { http_proxy = "proxy:3128",
        no_proxy = "10.0.0.0/8,192.168.7.4/31,[::1]:81,2001:DB8::/33 fe80::1,e.example." }
      for host, direct in pairs { ["10.255.3.4"] = true, ["11.0.0.1"] = false, ["192.168.7.5"] = true,
        ["192.168.7.6"] = false, ["[::1]:81"] = true, ["[::1]"] = false, ["[2001:db8:7fff::1]"] = true,
        ["[2001:db8:8000::1]"] = false, ["[2001:db9::1]"] = false, ["[fe80::1]"] = true, ["10.example"] = false,
        ["e.example"] = true, ["e.example."] = true } do
        assert.equal(direct, address("http://" .. host .. "/") ~= "proxy:3128", host)
      end
      env = { http_proxy = "proxy:3128", NO_PROXY = "a" }
      assert.equal("a:80", address "http://a/")
      env.no_proxy = ""
      assert.equal("proxy:3128", address "http://a/")
      local proxy, direct = peers.saying(peers.ok "by proxy"), peers.saying(peers.ok "direct")
      env = { http_proxy = proxy.url, no_proxy = "127.0.0.1" }
      assert.equal("by proxy", assert(http.get "http://elsewhere.invalid/").body)
      assert.equal("direct", assert(http.get(direct.url)).body)
    end)
    os.getenv = getenv -- luacheck: ignore 122
    if not ok then error(err, 0) end
  end)
end)

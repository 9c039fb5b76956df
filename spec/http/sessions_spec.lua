-- SPDX-License-Identifier: MIT
-- sessions_spec.lua - http.sessions: what the cookie holds, when it is written, and what is refused; with curl and a
-- browser's rules.

local core = require "moonpark.core"
local http = require "moonpark.http"
local moonpark = require "moonpark"
local process = require "support.process"
local sealed = require "moonpark.http.sealed"
local set_cookie = require "moonpark.http.set_cookie"
local support = require "support.http"
local testing = require "moonpark.testing"

local KEY, OTHER = ("k"):rep(32), ("o"):rep(32)

describe("http.sessions", function()
  local server, counts, handler

  after_each(support.stop_all)

  -- A server whose handler is `handler`.
  local function start(options)
    options = options or {}
    options.keys = options.keys or KEY
    local app, use = http.router(), { http.sessions(options) }
    counts = use[2]
    app:use(use[1])
    app:any("/*", function(req, res) return handler(req, res) end)
    server = support.start(app)
  end

  -- -> the answer, and the cookie that it sets, as a client reads it
  local function ask(cookie, method)
    local head = (method or "GET") .. " / HTTP/1.1" .. (cookie and "\nCookie: " .. cookie or "")
    local answer = server:ask(head)
    local fields = answer.list["set-cookie"] or {}
    assert(#fields <= 1, "more than one cookie")
    local set = fields[1] and set_cookie.parse(fields[1])
    return answer, set, set and set.name .. "=" .. set.value
  end

  local function count(req, res)
    req.session.n = (req.session.n or 0) + 1
    res:send(req.session.n)
  end

  it("keeps values from one request to the next", function()
    start()
    handler = count
    local answer, set, cookie = ask()
    assert.equal("1", answer.body)
    assert.same({ "__Host-session", "/", nil, 1209600, true, true, "Lax" },
      { set.name, set.path, set.domain, set.max_age, set.secure, set.http_only, set.same_site })
    assert.same({ "Cookie", "private" }, { answer.headers.vary, answer.headers["cache-control"] })
    local again, _, newer = ask(cookie)
    assert.equal("2", again.body)
    assert.equal("3", ask(newer).body)
    assert.same({ opened = 2, refused = 0, expired = 0, written = 3 }, counts)
  end)

  it("holds what JSON can say, and shows nothing of it", function()
    start()
    local value = { user = "ada", roles = { "a", "b" }, nested = { deep = { 1.5, true, http.null } },
      ["é"] = "<>\"';,\\" }
    handler = function(req, res)
      for name, one in pairs(value) do req.session[name] = one end
      res:send()
    end
    local _, _, cookie = ask()
    assert.is_nil(cookie:find "ada")
    assert.is_nil(require("moonpark.base64url").decode(cookie:match "=(.*)"):find "ada")
    local seen
    handler = function(req, res)
      seen = req.session
      res:json(req.session)
    end
    ask(cookie)
    assert.same(value, setmetatable(seen, nil))
  end)

  it("sends a cookie only if something has changed, in a table further in too", function()
    start()
    handler = function(req, res)
      req.session.list = { 1 }
      res:send()
    end
    local _, _, cookie = ask()
    handler = function(_, res) res:send() end
    local answer, set = ask(cookie)
    assert.is_nil(set)
    assert.is_nil(answer.headers.vary) -- it was not looked at
    handler = function(req, res) res:send(#req.session.list) end
    answer, set = ask(cookie)
    assert.is_nil(set)
    assert.equal("Cookie", answer.headers.vary)
    handler = function(req, res)
      table.insert(req.session.list, 2)
      res:send()
    end
    _, set = ask(cookie)
    assert.is_table(set)
    handler = function(req, res)
      local _ = req.session.absent
      res:send()
    end
    _, set = ask()
    assert.is_nil(set)
  end)

  it("goes with every kind of response", function()
    start()
    local path = testing.tempdir() .. "/a.txt"
    assert(moonpark.fs.write(path, "file"))
    local kinds = {
      send = function(_, res) res:send "x" end,
      json = function(_, res) res:json {} end,
      html = function(_, res) res:html "x" end,
      fail = function(_, res) res:fail(404) end,
      redirect = function(_, res) res:redirect "/x" end,
      none = function(_, res) res.status = 200 end, -- an empty one on purpose
      no_content = function(_, res)
        res.status = 204
        res:send()
      end,
      write = function(_, res)
        res:write "a"
        res:write "b"
      end,
      begin = function(_, res)
        res:begin(1)
        res:write "x"
      end,
      file = function(_, res) res:file(path) end,
      events = function(_, res) res:events():send "x" end,
    }
    for name, answer in pairs(kinds) do
      handler = function(req, res)
        req.session.kind = name
        return answer(req, res)
      end
      local _, set = ask()
      assert.is_table(set, name)
    end
    handler = function(req, res)
      req.session.kind = "compressed"
      http.compress { min = 1 }(req, res, function() res:send "x" end)
    end
    local _, set = ask "a=b\nAccept-Encoding: gzip"
    assert.is_table(set)
    handler = function(req, res)
      req.session.kind = "websocket"
      res:websocket(nil, function() end)
    end
    local _, upgraded = ask("a=b\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n"
      .. "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    assert.is_table(upgraded)
  end)

  it("is not written by a handler that fails", function()
    start()
    handler = function(req)
      req.session.n = 1
      error "boom"
    end
    local answer, set = ask()
    assert.same({ 500, nil }, { answer.status, set })
    assert.matches("boom", server:take_log())
  end)

  it("is destroyed", function()
    start()
    handler = count
    local _, _, cookie = ask()
    handler = function(req, res)
      req.session:flash("note", "x")
      req.session:destroy()
      res:send(tostring(req.session.n))
    end
    local answer, set = ask(cookie)
    assert.same({ "nil", "", 0, "/", true }, { answer.body, set.value, set.max_age, set.path, set.secure })
    handler = function(req, res)
      req.session:destroy()
      req.session.n = 7
      res:send()
    end
    _, _, cookie = ask(cookie)
    handler = count
    assert.equal("8", ask(cookie).body)
    handler = function(req, res)
      req.session.n = nil
      res:send()
    end
    _, set = ask(cookie)
    assert.equal(0, set.max_age)
  end)

  it("has values for the next request alone", function()
    start()
    handler = function(req, res)
      req.session:flash("note", "saved")
      req.session:flash("list", { 1 })
      res:redirect "/"
    end
    local _, _, cookie = ask()
    handler = function(req, res) res:send(req.session:flash "note" .. tostring(req.session:flash "none")) end
    local answer, _, rest = ask(cookie)
    assert.equal("savednil", answer.body)
    handler = function(req, res) res:send(tostring(req.session:flash "note") .. #req.session:flash "list") end
    local again, set = ask(rest)
    assert.same({ "nil1", "", 0 }, { again.body, set.value, set.max_age })
  end)

  it("begins anew for a cookie that was changed, and clears it", function()
    start()
    handler = count
    local _, _, cookie = ask()
    local name, value = cookie:match "^(.-)=(.*)$"
    local letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    local tried = 0
    for at = 1, #value do
      local c = letters:find(value:sub(at, at), 1, true)
      local other = letters:sub(c % 64 + 1, c % 64 + 1)
      assert.equal("1", ask(name .. "=" .. value:sub(1, at - 1) .. other .. value:sub(at + 1)).body)
      tried = tried + 1
    end
    for _, bad in ipairs { "", "x", "%%%", value:sub(2), value:sub(1, -2), value .. "A", value .. "AAAA",
      ("A"):rep(5000), "AAAA", sealed.seal(OTHER, name, '{"b":1,"e":9e9,"d":{}}'),
      sealed.sign(KEY, name, '{"b":1,"e":9e9,"d":{}}'),
      sealed.seal(KEY, "another", '{"b":1,"e":9e9,"d":{}}'), sealed.seal(KEY, name, "no JSON") } do
      assert.equal("1", ask(name .. "=" .. bad).body)
      tried = tried + 1
    end
    assert.same({ 0, tried }, { counts.opened, counts.refused })
    handler = function(req, res) res:send(tostring(req.session.n)) end
    local _, set = ask(name .. "=" .. value:reverse())
    assert.same({ "", 0 }, { set.value, set.max_age })
  end)

  it("ends when it was not used for max_age, and moves on while it is used", function()
    local clock = testing.clock()
    start { max_age = 100 }
    handler = count
    local _, set, cookie = ask()
    assert.equal(100, set.max_age)
    handler = function(req, res) res:send(tostring(req.session.n)) end
    clock:advance(49)
    local answer, again = ask(cookie)
    assert.same({ "1", nil }, { answer.body, again })
    clock:advance(2) -- more than half: it is written again
    local _, _, renewed = ask(cookie)
    clock:advance(60)
    assert.equal("1", ask(renewed).body)
    assert.same({ "nil", 1 }, { ask(cookie).body, counts.expired })
    clock:advance(100)
    assert.equal("nil", ask(renewed).body)
  end)

  it("ends after its lifetime, unless it is renewed", function()
    local clock = testing.clock()
    start { max_age = 100, lifetime = 150 }
    handler = count
    local _, _, cookie = ask()
    clock:advance(80)
    local answer
    answer, _, cookie = ask(cookie)
    assert.equal("2", answer.body)
    clock:advance(80)
    assert.equal("1", ask(cookie).body)
    _, _, cookie = ask()
    clock:advance(80)
    handler = function(req, res)
      req.session:renew()
      res:send()
    end
    _, _, cookie = ask(cookie)
    clock:advance(80)
    handler = count
    assert.equal("2", ask(cookie).body)
  end)

  it("opens what earlier keys have sealed, and seals it with the first", function()
    start()
    handler = count
    local _, _, cookie = ask()
    server:stop()
    start { keys = { OTHER, KEY } }
    handler = function(req, res) res:send(tostring(req.session.n)) end
    local answer, _, moved = ask(cookie)
    assert.equal("1", answer.body)
    server:stop()
    start { keys = { OTHER } }
    assert.equal("nil", ask(cookie).body)
    local _, set = ask(moved)
    assert.is_nil(set)
    assert.equal("1", ask(moved).body)
  end)

  it("may be signed alone: then it can be read, and not changed", function()
    start { encrypt = false }
    handler = count
    local _, set, cookie = ask()
    local text = require("moonpark.base64url").decode(set.value:match "^[^.]*")
    assert.matches('"d":{"n":1}}$', text)
    assert.equal("2", ask(cookie).body)
    local forged = require("moonpark.base64url").encode((text:gsub('"n":1', '"n":9')))
    for _, bad in ipairs { forged .. set.value:match "%..*", forged, forged .. ".", set.value:match "^[^.]*%.",
      sealed.sign(OTHER, set.name, text), sealed.sign(KEY, "x", text), sealed.seal(KEY, set.name, text) } do
      assert.equal("1", ask(set.name .. "=" .. bad).body)
    end
  end)

  it("has the attributes and the name that it is given", function()
    start { name = "sid", domain = "example.org", path = "/app", same_site = "Strict", secure = false,
      persistent = false }
    handler = count
    local _, set = ask()
    assert.same({ "sid", "example.org", "/app", "Strict", false, true, nil },
      { set.name, set.domain, set.path, set.same_site, set.secure, set.http_only, set.max_age })
    server:stop()
    start { secure = false }
    _, set = ask()
    assert.same({ "session", false }, { set.name, set.secure })
  end)

  it("raises for more than a browser keeps, with the size", function()
    start()
    local length
    handler = function(req, res)
      req.session.text = ("x"):rep(length)
      res:send()
    end
    length = 3500
    local longest
    for n = 2900, 3100 do
      length = n
      local answer, set = ask()
      if answer.status == 500 then break end
      longest = #set.name + 1 + #set.value
    end
    assert.is_true(longest > 4090 and longest <= 4096, tostring(longest))
    assert.matches("session: the cookie would have 409%d bytes, and browsers keep no more than 4096", server:take_log())
    handler = function(req, res)
      req.session.fn = print
      res:send()
    end
    assert.equal(500, ask().status)
    assert.matches("session: .*function", server:take_log())
  end)

  it("works with curl's cookies", function()
    start { secure = false }
    handler = count
    local jar = testing.tempdir() .. "/jar"
    local function curl()
      return support.run({ "curl", "-q", "-sS", "--noproxy", "*", "-b", jar, "-c", jar,
        "http://" .. server.address .. "/" }).out
    end
    assert.same({ "1", "2", "3" }, { curl(), curl(), curl() })
  end)

  it("raises for what it cannot use", function()
    local function wrong(pattern, options)
      local _, err = pcall(function() http.sessions(options) end)
      assert.matches("^spec/http/sessions_spec.lua:%d+: sessions: " .. pattern, err)
    end
    wrong "option 'keys' is needed"
    wrong("option 'keys' is needed", {})
    wrong("option 'keys' must be a secret of at least 32 bytes", { keys = "short" })
    wrong("option 'keys' must be", { keys = {} })
    wrong("option 'keys' must be", { keys = { KEY, "short" } })
    wrong("option 'max_age' must be a whole number", { keys = KEY, max_age = 0 })
    wrong("option 'same_site'", { keys = KEY, same_site = "lax" })
    wrong('same_site = "None" needs secure', { keys = KEY, same_site = "None", secure = false })
    wrong("unknown option 'maxage'; did you mean 'max_age'", { keys = KEY, maxage = 1 })
  end)
end)

describe("what is sealed", function()
  local function bytes(hex) return (hex:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end)) end

  it("is AES-256-GCM: the cases of its specification", function()
    local zero, nonce = ("\0"):rep(32), ("\0"):rep(12)
    assert.equal(bytes "530f8afbc74536b9a963b4f1c4cb738b", core.seal(zero, nonce, "", ""))
    assert.equal(bytes "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919",
      core.seal(zero, nonce, "", ("\0"):rep(16)))
    local key = bytes(("feffe9928665731c6d6a8f9467308308"):rep(2))
    local also = bytes "feedfacedeadbeeffeedfacedeadbeefabaddad2"
    local text = bytes("d9313225f88406e5a55909c5aff5269a86a7a953"
      .. "1534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39")
    local sealed_text = core.seal(key, bytes "cafebabefacedbaddecaf888", also, text)
    assert.equal(bytes("522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b105682883"
      .. "8c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b"), sealed_text)
    assert.equal(text, core.unseal(key, bytes "cafebabefacedbaddecaf888", also, sealed_text))
    assert.same({ nil, "not sealed with this key" }, { core.unseal(key, nonce, also, sealed_text) })
    assert.same({ nil, "not sealed with this key" }, { core.unseal(key, nonce, "", "short") })
    assert.equal("", core.unseal(zero, nonce, "", core.seal(zero, nonce, "", "")))
  end)

  it("differs each time, and node opens it as it is described", function()
    local first, second = sealed.seal(KEY, "name", "text é"), sealed.seal(KEY, "name", "text é")
    assert.not_equal(first, second)
    local r = process.run { "node", "-e", [[
      const crypto = require("crypto")
      const [secret, name, sealed] = process.argv.slice(1)
      const bytes = Buffer.from(sealed, "base64url")
      const hmac = crypto.createHmac("sha256", secret)
      const key = hmac.update("moonpark sealed text\0").update(bytes.subarray(0, 12)).digest()
      const open = crypto.createDecipheriv("aes-256-gcm", key, bytes.subarray(12, 24))
      open.setAAD(Buffer.from(name))
      open.setAuthTag(bytes.subarray(-16))
      process.stdout.write(open.update(bytes.subarray(24, -16), null, "utf8") + open.final("utf8"))]],
      KEY, "name", first }
    assert.same({ "text é", "" }, { r.out, r.err })
  end)
end)

describe("http.csrf", function()
  after_each(support.stop_all)

  it("refuses what another site makes a browser send", function()
    local app = http.router():use(http.csrf { origins = { "https://friend.example" } })
    app:any("/", function(_, res) res:send "done" end)
    local server = support.start(app)
    local function status(method, ...)
      local head = { method .. " / HTTP/1.1", "Content-Length: 0", ... }
      return server:ask(table.concat(head, "\n")).status
    end
    local own = "Origin: http://" .. server.address
    assert.equal(200, status("GET", "Origin: https://evil.example", "Sec-Fetch-Site: cross-site"))
    assert.equal(200, status("POST"))
    assert.equal(200, status("POST", "Sec-Fetch-Site: same-origin"))
    assert.equal(200, status("POST", "Sec-Fetch-Site: none"))
    assert.equal(200, status("DELETE", own, "Host: " .. server.address))
    assert.equal(200, status("POST", "Origin: https://friend.example", "Sec-Fetch-Site: cross-site"))
    for _, method in ipairs { "POST", "PUT", "PATCH", "DELETE" } do
      assert.equal(403, status(method, "Sec-Fetch-Site: cross-site"))
      assert.equal(403, status(method, "Sec-Fetch-Site: same-site"))
      assert.equal(403, status(method, "Origin: https://evil.example"))
      assert.equal(403, status(method, "Origin: null"))
      assert.equal(403, status(method, "Origin: https://friend.example.evil.example"))
    end
    assert.error_matches(function() http.csrf { origins = { "friend.example" } } end, "list of origins")
  end)
end)

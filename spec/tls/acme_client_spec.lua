-- SPDX-License-Identifier: MIT
-- The client of ACME against servers that misbehave: every call ends, with a certificate or with words.

local acme = require "support.acme"
local acme_client = require "moonpark.tls.acme_client"
local core = require "moonpark.core"
local jws = require "moonpark.tls.jws"

local PROBLEM = '{"type":"urn:ietf:params:acme:error:%s","detail":"%s"}'

-- A server, and a client with a clock of its own: {server, client, slept = seconds}.
local function pair(fields)
  local look = fields and fields.look
  local server = acme.server(fields)
  local made = { server = server, slept = 0 }
  local shown = {}
  server.look = look or function(_, _, token) return shown[token] end
  made.solver = { kind = "http-01", names = { ["host.example"] = true },
    present = function(_, _, token, text) shown[token] = text return true end,
    remove = function(_, _, token) shown[token] = nil end }
  made.shown = shown
  made.client = acme_client.new { directory = server.base .. "/directory", key = jws.key(core.key_new()),
    request = function(options) return server:request(options) end,
    sleep = function(seconds) made.slept = made.slept + seconds return true end,
    now = function() return core.time() + made.slept end }
  return made
end

local function obtain(made, options)
  local kid, err, details = made.client:account(options or {})
  if not kid then return nil, err, details end
  return made.client:obtain({ "host.example" }, core.key_new(), made.solver)
end

-- The answer to that request is another one.
local function instead(method, path, status, headers, body)
  return { intercept = function(its_method, its_path)
    if its_method == method and its_path:find(path) then return status, headers, body end
  end }
end

local function refused(expected, fields, options)
  local made = pair(fields)
  local chain, err, details = obtain(made, options)
  assert.is_nil(chain)
  assert.equal(expected, err)
  assert.same({}, made.shown)
  return details or {}, made
end

describe("base64url", function()
  it("is RFC 4648's, without padding", function()
    for plain, text in pairs { [""] = "", f = "Zg", fo = "Zm8", foo = "Zm9v", foob = "Zm9vYg", ["\251\255"] = "-_8" } do
      assert.equal(text, jws.base64url(plain))
      assert.equal(plain, jws.base64url_decode(text))
    end
    for n = 1, 70 do
      local bytes = core.secure_random(n)
      assert.equal(bytes, jws.base64url_decode(jws.base64url(bytes)))
    end
  end)

  it("refuses what has two readings", function()
    for _, text in ipairs { "A", "Zg==", "Zh", "Zm9", "Zm 8", "Zm+8", "Zm/8", "AAAAA", "Zm9v\n" } do
      assert.is_nil(jws.base64url_decode(text), text)
    end
  end)
end)

describe("a key for signing", function()
  it("has the thumbprint of RFC 7638 for its public half", function()
    local key = assert(jws.key(core.key_new()))
    assert.same({ "EC", "P-256", 43, 43 }, { key.jwk.kty, key.jwk.crv, #key.jwk.x, #key.jwk.y })
    local text = ('{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}'):format(key.jwk.x, key.jwk.y)
    assert.equal(jws.base64url(core.sha256(text)), key.thumbprint)
  end)
end)

describe("the client of ACME", function()
  it("obtains a certificate, and its chain", function()
    local made = pair()
    local chain = assert(obtain(made))
    assert.equal(2, select(2, chain:gsub("BEGIN CERTIFICATE", "")))
    assert.same({}, made.shown)
  end)

  it("asks for a nonce only when it has none, and for each with which it is refused once more", function()
    local made = pair()
    assert(obtain(made))
    assert.equal(1, made.server:asked "HEAD /nonce")
    local wrong = 0
    made = pair { intercept = function(method, _, server)
      if method ~= "POST" or wrong >= 4 then return end
      wrong = wrong + 1
      return 400, { ["Replay-Nonce"] = server:new_nonce() }, PROBLEM:format("badNonce", "used")
    end }
    assert(obtain(made))
    assert.equal(1, made.server:asked "HEAD /nonce")
    assert.equal(4 + 1, made.server:asked "POST /account")
  end)

  it("gives up if every nonce is refused", function()
    local _, made = refused("account: the authority refuses every nonce",
      instead("POST", "/account", 400, {}, PROBLEM:format("badNonce", "used")))
    assert.equal(5, made.server:asked "POST /account")
  end)

  it("finds the account that its key has", function()
    local made = pair()
    local kid = assert(made.client:account {})
    made.client.kid = nil
    assert.equal(kid, made.client:account {})
    assert.equal(1, #made.server.accounts)
  end)

  it("tells the account's addresses", function()
    local made = pair()
    assert(made.client:account { contact = { "mailto:me@host.example" } })
    assert.same({ "mailto:me@host.example" }, made.server.accounts[1].contact)
  end)

  it("agrees to terms only if told to", function()
    refused("the authority's terms must be agreed to (option 'agree'): https://authority.example/terms",
      { terms = "https://authority.example/terms" })
    assert(obtain(pair { terms = "https://authority.example/terms" }, { agree = true }))
  end)

  it("binds the account to one elsewhere", function()
    local secret = core.secure_random(32)
    local external = { kid = "me", key = jws.base64url(secret) }
    refused("the authority wants an external account (option 'external_account')", { external = { me = secret } })
    assert(obtain(pair { external = { me = secret } }, { external = external }))
    refused("account: wrong binding", { external = { me = "another" } }, { external = external })
    refused("the external account's key is not base64url", { external = { me = secret } },
      { external = { kid = "me", key = "???" } })
  end)

  it("says what the authority says, without control characters and not at length", function()
    local details = refused("order: not for host.example", { refuse = "host.example" })
    assert.equal("urn:ietf:params:acme:error:rejectedIdentifier", details.type)
    refused("order: ?[31mred", instead("POST", "/order$", 403, {}, PROBLEM:format("x", "\\u001b[31mred")))
    local _, made = refused("order: status 500", instead("POST", "/order$", 500, {}, "<html>"))
    assert.equal(1, made.server:asked "POST /order")
    refused("order: " .. ("a"):rep(300), instead("POST", "/order$", 403, {}, PROBLEM:format("x", ("a"):rep(5000))))
    refused("order: two of them; host.example: one reason; another", instead("POST", "/order$", 403, {},
      '{"detail":"two of them","subproblems":[{"detail":"one reason","identifier":{"value":"host.example"}},' ..
      '{"detail":"another"},7]}'))
  end)

  it("hands on how long it shall wait", function()
    local details = refused("order: too many", instead("POST", "/order$", 429, { ["Retry-After"] = "77" },
      PROBLEM:format("rateLimited", "too many")))
    assert.equal(77, details.retry_after)
    assert.equal("urn:ietf:params:acme:error:rateLimited", details.type)
  end)

  it("says why a challenge failed", function()
    refused("host.example: the name shows another body", { look = function() return "something else" end })
    refused("host.example: the name shows nothing: refused", { look = function() return nil, "nothing: refused" end })
  end)

  it("does not wait for ever for what is never decided", function()
    local _, made = refused("challenge for host.example: not decided after 600 s", { polls = 1e9 })
    assert.is_true(made.slept <= 600)
    assert.is_true(#made.server.log < 100)
    refused("order: not decided after 600 s", { intercept = function(method, path, server)
      if method == "POST" and path:find "/order/" then
        return 200, { ["Replay-Nonce"] = server:new_nonce() }, '{"status":"processing"}'
      end
    end })
  end)

  it("refuses a certificate for another name, of another key, or none", function()
    refused("certificate: it is not for host.example", { wrong_name = "other.example" })
    local other = require("support.tls").pem "host_crt"
    refused("certificate: the key belongs to another certificate", instead("POST", "/certificate", 200, {}, other))
    refused("certificate: no certificate in PEM", instead("POST", "/certificate", 200, {}, "sorry"))
  end)

  it("is not led from its scheme to another one, nor anywhere without a URL", function()
    refused("the authority's answer has no usable URL: newNonce", instead("GET", "/directory", 200, {},
      '{"newNonce":"ftp://authority.example/nonce"}'))
    refused("the authority's answer has no usable URL: account", instead("POST", "/account", 201,
      { Location = "https://authority.example/1" }, "{}"))
    refused("the authority's answer has no usable URL: order", instead("POST", "/order$", 201, {}, "{}"))
  end)

  it("authorizes no names but its own", function()
    refused("the authority wants to authorize a name that is not ours",
      instead("POST", "/authorization", 200, {}, '{"status":"pending","identifier":{"value":"other.example"}}'))
  end)

  it("refuses a token that could be a path", function()
    refused("host.example: the authority offers no http-01", instead("POST", "/authorization", 200, {},
      '{"status":"pending","identifier":{"value":"host.example"},"challenges":[{"type":"http-01","token":"../key",' ..
      '"url":"http://authority.example/challenge/1/http-01"}]}'))
  end)

  it("ends with words whatever the authority's JSON is", function()
    local bodies = { "", "{", "[]", "null", "7", '"text"', "{}", "[1,2]", '{"status":7}', '{"status":"valid"}',
      '{"status":"pending","authorizations":{"a":1},"identifier":7,"challenges":[7,{}]}',
      '{"status":"ready","authorizations":[7]}', '{"status":"valid","certificate":7,"finalize":{}}', ("["):rep(1000) }
    for _, path in ipairs { "/directory", "/nonce", "/account", "/order$", "/order/", "/authorization", "/challenge",
      "/finalize", "/certificate" } do
      for _, body in ipairs(bodies) do
        local made = pair { intercept = function(_, its_path, server)
          if its_path:find(path) then return 200, { ["Replay-Nonce"] = server:new_nonce() }, body end
        end }
        local chain, err = obtain(made)
        local may_work = path == "/nonce" or path == "/challenge" or path == "/finalize"
        assert.is_true(type(err) == "string" or may_work and type(chain) == "string", path .. " " .. body)
      end
    end
  end)
end)

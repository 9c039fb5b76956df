-- SPDX-License-Identifier: MIT
-- auth_spec.lua - http.basic_auth: who is let in.

local http = require "moonpark.http"
local http_auth = require "moonpark.http.auth"
local process = require "support.process"
local support = require "support.http"

describe("http.basic_auth", function()
  after_each(support.stop_all)
  teardown(process.stop_all)

  local function serve(options)
    local app = http.router()
    app:use(http.basic_auth(options))
    app:get("/", function(req, res) res:send(req.user) end)
    return support.start(app)
  end

  local users = { alice = "wonderland", ["b c"] = "", ["é"] = "pass:word" }

  -- Status and body for what curl sends of a user and a password.
  local function curl(server, login)
    local r = support.run { "curl", "-sS", "-w", "%{http_code}", "-u", login, "http://" .. server.address }
    assert(r.status == 0, r.err)
    return r.out
  end

  it("lets in who knows a password", function()
    local server = serve { realm = "test", users = users }
    assert.equal("alice200", curl(server, "alice:wonderland"))
    assert.equal("b c200", curl(server, "b c:"))
    assert.equal("é200", curl(server, "é:pass:word"))
  end)

  it("keeps all others out, and says what it wants", function()
    local server = serve { realm = 'The "inner" \\ circle', users = users }
    for _, login in ipairs { "alice:", "alice:Wonderland", "alice:wonderlan", "alice:wonderlandx", "bob:wonderland",
      ":wonderland", "alice:wonderlandwonderland" } do
      assert.equal("Unauthorized\n401", curl(server, login), login)
    end
    local answer = server:ask "GET / HTTP/1.1"
    assert.same({ 401, 'Basic realm="The \\"inner\\" \\\\ circle", charset="UTF-8"' },
      { answer.status, answer.headers["www-authenticate"] })
  end)

  it("takes base64 as it is written, and nothing else", function()
    local server = serve { realm = "test", users = { a = "b", ["aa"] = "", [""] = "" } }
    local function status(credentials)
      return server:ask("GET / HTTP/1.1\nAuthorization: " .. credentials).status
    end
    assert.same({ 200, 200, 200, 200 }, { status "Basic YTpi", status "basic  YTpi", status "BASIC YWE6",
      status "Basic Og==" })
    for _, bad in ipairs { "Basic", "Basic YTpi=", "Basic YTp", "Basic YTpi YTpi", "Basic Y*pi", "Basic Og=",
      "Basic Oh==", "Basic Og===", "Basic YQ==", "Bearer YTpi", "YTpi", "Basic YTpiCg==" } do
      assert.equal(401, status(bad), bad)
    end
  end)

  it("asks a function, which may wait", function()
    local moonpark = require "moonpark"
    local server = serve { realm = "test", check = function(user, password, req)
      moonpark.sleep(0)
      if user == "odd" then return "yes" end
      return user == "x" and password == "y" and req.path == "/"
    end }
    assert.equal("x200", curl(server, "x:y"))
    assert.equal("Unauthorized\n401", curl(server, "x:z"))
    assert.equal("Unauthorized\n401", curl(server, "odd:z")) -- only true lets in
  end)

  it("compares all of a password", function()
    for _, pair in ipairs { { "", "" }, { "a", "a" }, { "secret", "secret" } } do
      assert.is_true(http_auth.same(pair[1], pair[2]))
    end
    for _, pair in ipairs { { "", "a" }, { "a", "" }, { "a", "b" }, { "aa", "a" }, { "a", "aa" }, { "\0", "" },
      { "secreT", "secret" }, { ("a"):rep(257), "a" } } do
      assert.is_false(http_auth.same(pair[1], pair[2]), pair[1])
    end
  end)

  it("raises for options that let nobody or anybody in, at the caller's line", function()
    local function misuse(options)
      return select(2, pcall(function() http.basic_auth(options) end)):match("auth_spec%.lua:%d+: (.*)")
    end
    local want = "basic_auth: a realm and either users or check expected"
    assert.same({ want, want, want }, { misuse(nil), misuse { realm = "x" }, misuse { users = {}, check = print } })
    assert.equal("basic_auth: option 'realm' must be printable ASCII", misuse { realm = "a\r\nb", users = {} })
    assert.equal("basic_auth: option 'realm' must be printable ASCII", misuse { users = {} })
    want = "basic_auth: option 'users' must map names without ':' to passwords"
    assert.same({ want, want },
      { misuse { realm = "", users = { ["a:b"] = "" } }, misuse { realm = "", users = { "a" } } })
  end)
end)

-- SPDX-License-Identifier: MIT
-- cors_spec.lua - http.cors: what browsers are told.

local http = require "moonpark.http"
local support = require "support.http"

describe("http.cors", function()
  after_each(support.stop_all)

  local function serve(options)
    local app = http.router()
    app:use(http.cors(options))
    app:get("/", function(_, res) res:send "hello" end)
    return support.start(app)
  end

  local A, B = "https://a.example", "https://b.example:8443"

  local function ask(server, origin)
    return server:ask("GET / HTTP/1.1" .. (origin and "\nOrigin: " .. origin or "")).headers
  end

  local function preflight(server, origin, path)
    return server:ask(([[OPTIONS %s HTTP/1.1
      Origin: %s
      Access-Control-Request-Method: PUT
      Access-Control-Request-Headers: x-token,content-type]]):format(path or "/", origin))
  end

  it("lets every page read, if nothing else is said", function()
    local server = serve()
    local headers = ask(server, A)
    assert.same({ "*", nil, nil }, { headers["access-control-allow-origin"], headers.vary,
      headers["access-control-allow-credentials"] })
    assert.is_nil(ask(server)["access-control-allow-origin"])
  end)

  it("lets pages of the origins in a list read, and tells caches", function()
    local server = serve { origins = { A, B }, credentials = true, expose = { "X-Count", "ETag" } }
    local headers = ask(server, B)
    assert.same({ B, "Origin", "true", "X-Count, ETag" }, { headers["access-control-allow-origin"], headers.vary,
      headers["access-control-allow-credentials"], headers["access-control-expose-headers"] })
    for _, other in ipairs { "https://c.example", "http://a.example", "https://a.example.evil", "null", false } do
      headers = ask(server, other)
      assert.same({ nil, "Origin", nil }, { headers["access-control-allow-origin"], headers.vary,
        headers["access-control-allow-credentials"] })
    end
  end)

  it("asks a function", function()
    local server = serve { origins = function(origin, req)
      return origin:find("%.example$") ~= nil and req.path == "/"
    end }
    assert.equal(A, ask(server, A)["access-control-allow-origin"])
    assert.is_nil(ask(server, "https://a.test")["access-control-allow-origin"])
  end)

  it("answers what a browser asks first, whether there is such a path or not", function()
    local server = serve { origins = A, max_age = 600 }
    for _, path in ipairs { "/", "/none" } do
      local answer = preflight(server, A, path)
      local h = answer.headers
      assert.same({ 204, A, "GET, HEAD, POST, PUT, PATCH, DELETE", "x-token,content-type", "600",
        "Origin, Access-Control-Request-Headers" },
        { answer.status, h["access-control-allow-origin"], h["access-control-allow-methods"],
          h["access-control-allow-headers"], h["access-control-max-age"], h.vary })
    end
  end)

  it("answers an OPTIONS that is none of these as ever", function()
    local server = serve { origins = A }
    local answer = preflight(server, B)
    assert.same({ 204, "GET, HEAD, OPTIONS", nil },
      { answer.status, answer.headers.allow, answer.headers["access-control-allow-origin"] })
    answer = server:ask("OPTIONS / HTTP/1.1\nOrigin: " .. A)
    assert.same({ "GET, HEAD, OPTIONS", A }, { answer.headers.allow, answer.headers["access-control-allow-origin"] })
  end)

  it("names the methods and fields that were given", function()
    local h = preflight(serve { methods = { "GET", "PUT" }, headers = "X-Token" }, A).headers
    assert.same({ "GET, PUT", "X-Token" }, { h["access-control-allow-methods"], h["access-control-allow-headers"] })
  end)

  it("raises for what browsers would refuse, or nobody can mean, at the caller's line", function()
    local function misuse(options)
      return select(2, pcall(function() http.cors(options) end)):match("cors_spec%.lua:%d+: (.*)")
    end
    local any = "cors: option 'credentials' needs named origins: with '*' any page could use them"
    assert.equal(any, misuse { credentials = true })
    assert.equal(any, misuse { credentials = true, origins = "*" })
    assert.equal("cors: option 'headers' cannot be '*' when credentials are allowed",
      misuse { credentials = true, origins = A, headers = "*" })
    assert.equal("cors: option 'origins' must not have '*' among other origins", misuse { origins = { A, "*" } })
    assert.equal('cors: option \'origins\' must hold "https://host" without a path, not "https://a.example/"',
      misuse { origins = A .. "/" })
    assert.equal("cors: option 'origins' must be '*', a string, a list or a function", misuse { origins = 1 })
    for _, name in ipairs { "methods", "headers", "expose" } do
      for _, value in ipairs { 1, "a\r\nb", { "a", {} }, { "a", "b\n" } } do
        assert.equal(("cors: option '%s' must be a name, or a list of them"):format(name), misuse { [name] = value })
      end
    end
  end)
end)

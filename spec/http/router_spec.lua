-- SPDX-License-Identifier: MIT
-- router_spec.lua - http.router: which handler gets a request, and what is answered where none does.

local http = require "moonpark.http"
local support = require "support.http"

describe("a router", function()
  local app, server

  before_each(function()
    app = http.router()
    server = nil
  end)
  after_each(support.stop_all)

  -- A handler that tells its name and what was found in the path.
  local function says(name)
    return function(req, res)
      local found = {}
      for key, value in pairs(req.params) do found[#found + 1] = ("%s=%s"):format(key, value) end
      table.sort(found)
      return res:send(table.concat({ name, unpack(found) }, " "))
    end
  end

  local function ask(head)
    server = server or support.start(app)
    return server:ask(head .. " HTTP/1.1")
  end
  local function get(path) return ask("GET " .. path).body end

  -- What it raises, without the place, which must be this file.
  local function misuse(fn, ...)
    local ok, err = pcall(fn, ...)
    assert.is_false(ok)
    local file, text = err:match("^([^:]+):%d+: (.*)$")
    assert.truthy(file and file:find("router_spec.lua", 1, true), err)
    return text
  end

  describe("finds", function()
    it("a path by its bytes", function()
      app:get("/", says "root"):get("/a", says "a"):get("/a/b", says "ab")
      assert.same({ "root", "a", "ab" }, { get "/", get "/a", get "/a/b?q=/x" })
    end)

    it("'/a' and '/a/' as two paths", function()
      app:get("/a", says "file"):get("/b/", says "folder")
      assert.same({ 200, 404 }, { ask("GET /a").status, ask("GET /a/").status })
      assert.same({ 404, 200 }, { ask("GET /b").status, ask("GET /b/").status })
    end)

    it("the prefix of a group as its empty path", function()
      local admin = app:group("/admin/"):get("", says "prefix"):get("/", says "slash")
      admin:group("/users"):get("", says "users"):get("/:id", says "user")
      app:group("/"):get("/", says "root")
      for path, body in pairs { ["/admin"] = "prefix", ["/admin/"] = "slash", ["/admin/users"] = "users",
        ["/admin/users/1"] = "user id=1", ["/"] = "root" } do
        assert.equal(body, get(path), path)
      end
      for _, router in ipairs { app, app:group "/" } do
        assert.equal("path must begin with '/', got ''", misuse(function() router:get("", says "x") end))
      end
    end)

    it("a parameter in each ':name', which is never empty", function()
      app:get("/users/:id/posts/:post", says "post")
      assert.equal("post id=7 post=x-y.z", get "/users/7/posts/x-y.z")
      assert.equal(404, ask("GET /users//posts/1").status)
      assert.equal(404, ask("GET /users/7/posts/").status)
    end)

    it("all that is left in '*name', from the slash on", function()
      app:get("/files/*path", says "file"):get("/all/*", says "all")
      assert.equal("file path=a/b/c", get "/files/a/b/c")
      assert.equal("file path=", get "/files/")
      assert.equal("file path=a//", get "/files/a//")
      assert.equal("all *=x", get "/all/x")
      assert.equal(404, ask("GET /files").status)
    end)

    it("a literal before a parameter before the rest, and comes back where a way ends", function()
      app:get("/:a/x/y", says "parameter"):get("/lit/x/z", says "literal"):get("/*rest", says "rest")
      assert.equal("literal", get "/lit/x/z")
      assert.equal("parameter a=lit", get "/lit/x/y")
      assert.equal("rest rest=lit/x/w", get "/lit/x/w")
    end)

    it("another route where the nearest one has not the method", function()
      app:post("/users/new", says "create"):get("/users/:id", says "user")
      assert.equal("user id=new", get "/users/new")
      assert.equal("create", ask("POST /users/new").body)
      assert.equal("GET, HEAD, OPTIONS, POST", ask("PUT /users/new").headers.allow)
    end)

    it("other names of parameters at the same place, by the method", function()
      app:get("/:id", says "get"):delete("/:name", says "delete")
      assert.equal("get id=1", get "/1")
      assert.equal("delete name=1", ask("DELETE /1").body)
    end)
  end)

  describe("decodes", function()
    it("parameters one by one, so that an encoded slash or question mark is none", function()
      app:get("/f/:name", says "file")
      assert.equal("file name=a/b?c d+é", get "/f/a%2Fb%3Fc%20d+%C3%A9")
    end)

    it("literal parts as well", function()
      app:get("/café/~me", says "café")
      assert.equal("café", get "/caf%C3%A9/%7Eme")
      assert.equal("café", get "/caf%c3%a9/~me")
    end)

    it("nothing that means a step in the tree to some: 400", function()
      app:get("/f/*path", says "file"):get("/p/:name", says "p")
      for _, path in ipairs { "/f/../x", "/f/%2e%2E/x", "/f/.", "/p/..", "/p/%2e", "/p/a%00b", "/p/%zz", "/p/%" } do
        assert.equal(400, ask("GET " .. path).status, path)
      end
      assert.equal("file path=...", get "/f/...")
    end)
  end)

  describe("answers by itself", function()
    it("404 where there is no such path", function()
      app:get("/a", says "a")
      local answer = ask("GET /b")
      assert.same({ 404, "Not Found\n" }, { answer.status, answer.body })
    end)

    it("405 and Allow where the path has other methods", function()
      app:get("/a", says "a"):put("/a", says "put")
      local answer = ask("DELETE /a")
      assert.same({ 405, "GET, HEAD, OPTIONS, PUT" }, { answer.status, answer.headers.allow })
    end)

    it("501 for a method that no route uses, unless routers have a name for it", function()
      app:get("/a", says "a"):group("/g"):route("PROPFIND", "/b", says "b")
      for _, head in ipairs { "BREW /a", "BREW /g/b", "BREW /none", "TRACE /a", "get /a", "MOVE /a" } do
        local answer = ask(head)
        assert.same({ 501, "Not Implemented\n" }, { answer.status, answer.body }, head)
      end
      for head, allow in pairs { ["PROPFIND /a"] = "GET, HEAD, OPTIONS", ["DELETE /a"] = "GET, HEAD, OPTIONS",
        ["GET /g/b"] = "OPTIONS, PROPFIND" } do
        local answer = ask(head)
        assert.same({ 405, allow }, { answer.status, answer.headers.allow }, head)
      end
      assert.equal(404, ask("PROPFIND /none").status)
      assert.equal(404, ask("DELETE /none").status)
      assert.equal(400, ask("BREW /%zz").status)
    end)

    it("no method with 501 where a route takes all of them, or not_found has a handler", function()
      app:get("/a", says "a"):any("/b", says "any")
      assert.same({ 405, 404 }, { ask("BREW /a").status, ask("BREW /none").status })
      app, server = http.router():get("/a", says "a"):not_found(says "missing"), nil
      assert.equal("missing", ask("BREW /none").body)
      assert.equal(501, ask("BREW /a").status)
    end)

    it("HEAD by what GET says, without the body", function()
      app:get("/a", says "four"):get("/b", says "get"):head("/b", function(_, res) res:set("X-Own", "1"):send() end)
      local answer = ask("HEAD /a")
      assert.same({ 200, "4", "" }, { answer.status, answer.headers["content-length"], answer.body })
      assert.equal("1", ask("HEAD /b").headers["x-own"])
    end)

    it("OPTIONS with Allow, unless there is a route for it", function()
      app:get("/a", says "a"):options("/b", says "own")
      local answer = ask("OPTIONS /a")
      assert.same({ 204, "GET, HEAD, OPTIONS" }, { answer.status, answer.headers.allow })
      assert.equal("own", ask("OPTIONS /b").body)
      assert.equal(404, ask("OPTIONS /c").status)
    end)

    it("OPTIONS * with the methods that there are routes for", function()
      app:get("/a", says "a"):group("/g"):route("PROPFIND", "/b", says "b")
      local answer = ask("OPTIONS *")
      assert.same({ 204, "GET, HEAD, OPTIONS, PROPFIND" }, { answer.status, answer.headers.allow })
      app:any("/c", says "any")
      assert.equal("DELETE, GET, HEAD, OPTIONS, PATCH, POST, PROPFIND, PUT", ask("OPTIONS *").headers.allow)
    end)

    it("OPTIONS without a body, and so without the type of one", function()
      app:get("/a", says "a")
      for _, target in ipairs { "/a", "*" } do
        local answer = ask("OPTIONS " .. target)
        assert.same({ 204 }, { answer.status, answer.headers["content-type"] }, target)
      end
    end)

    it("what not_found says instead of 404", function()
      app:not_found(function(req, res)
        res.status = 404
        res:json { path = req.path }
      end)
      local answer = ask("GET /x%20y")
      assert.same({ 404, '{"path":"/x y"}' }, { answer.status, answer.body })
    end)
  end)

  it("any() takes the methods that have no route of their own", function()
    app:any("/a", says "any"):get("/a", says "get"):route("PROPFIND", "/p", says "webdav")
    assert.same({ "get", "any", "any" }, { get "/a", ask("POST /a").body, ask("BREW /a").body })
    assert.equal("webdav", ask("PROPFIND /p").body)
  end)

  describe("middleware", function()
    local trace
    before_each(function() trace = {} end)

    local function note(name)
      return function(_, _, next)
        trace[#trace + 1] = name
        next()
        trace[#trace + 1] = "/" .. name
      end
    end

    it("stands around the routes that are added after it, the first outermost", function()
      app:get("/before", says "before")
      app:use(note "a"):use(note "b"):get("/x/:y", says "x")
      get "/before"
      assert.same({}, trace)
      assert.equal("x y=1", get "/x/1")
      assert.same({ "a", "b", "/b", "/a" }, trace)
    end)

    it("of a router is also around 404, 405, 501, 400 and OPTIONS", function()
      app:use(note "log"):get("/a", says "a")
      for _, head in ipairs { "GET /none", "POST /a", "BREW /a", "OPTIONS /a", "OPTIONS *", "GET /.." } do
        trace = {}
        ask(head)
        assert.same({ "log", "/log" }, trace, head)
      end
    end)

    it("may answer instead of going on", function()
      app:use(function(req, res, next)
        if req.path == "/closed" then return res:fail(403) end
        return next()
      end):get("/closed", says "closed"):get("/open", says "open")
      assert.equal(403, ask("GET /closed").status)
      assert.equal("open", get "/open")
    end)

    it("of a group is around its routes alone, inside of the router's", function()
      app:use(note "router")
      app:group("/api", function(api)
        api:use(note "api"):get("/a", says "a")
        api:group("/v1/"):use(note "v1"):get("/b/:c", says "b")
      end)
      app:get("/c", says "c")
      assert.equal("a", get "/api/a")
      assert.same({ "router", "api", "/api", "/router" }, trace)
      trace = {}
      assert.equal("b c=2", get "/api/v1/b/2")
      assert.same({ "router", "api", "v1", "/v1", "/api", "/router" }, trace)
      trace = {}
      get "/c"
      get "/api/none"
      assert.same({ "router", "/router", "router", "/router" }, trace)
    end)
  end)

  it("hands over what is below a path to another router", function()
    local inner = http.router()
    inner:get("/", says "index"):get("/a/:b", function(req, res) res:send(req.path .. " " .. req.target) end)
    app:mount("/admin", inner):group("/g"):mount("/f", function(req, res) res:send(req.path) end)
    assert.equal("index", get "/admin")
    assert.equal("index", get "/admin/")
    assert.equal("/a/x /admin/a/x?q", get "/admin/a/x?q")
    assert.equal("/a/x /%61dmin/a/x", get "/%61dmin/a/x")
    assert.equal("/y z", get "/g/f/y%20z")
    assert.equal(404, ask("GET /admin/none").status)
    assert.equal(404, ask("GET /adminx").status)
    assert.equal(405, ask("PUT /admin/a/x").status)
    assert.equal(501, ask("BREW /admin/a/x").status) -- says the one that has the routes
  end)

  it("takes what has a method 'handle', as a proxy has, wherever it takes a handler", function()
    local function object(name)
      return { handle = function(self, _, res) return res:send(self.name) end, name = name }
    end
    app:get("/route", object "a route"):mount("/below", object "a mount"):not_found(object "nothing")
    assert.equal("a route", get "/route")
    assert.equal("a mount", get "/below/x")
    assert.equal("nothing", get "/none")
  end)

  describe("goes by the method and the path that a handler before it", function()
    local function asks_with(change)
      app = http.router()
      app:get("/a", says "GET /a")
      app:delete("/a", says "DELETE /a")
      app:get("/b", says "GET /b")
      server = support.start(function(req, res) return app(change(req), res) end)
      return get "/a"
    end

    it("has set", function()
      assert.equal("DELETE /a", asks_with(function(req)
        req.method = "DELETE"
        return req
      end))
      assert.equal("GET /b", asks_with(function(req)
        req.raw_path = "/b"
        return req
      end))
    end)

    it("has in a table of its own before the request", function()
      local function before(own)
        return asks_with(function(req) return setmetatable(own, { __index = req }) end)
      end
      assert.equal("GET /a", before {})
      assert.equal("DELETE /a", before { method = "DELETE" })
      assert.equal("GET /b", before { raw_path = "/b" })
    end)

    it("has in a table of its own, mounted", function()
      local inner = http.router():get("/in%20side", function(req, res)
        res:send(req.path .. " " .. tostring(next(req.params)))
      end)
      inner:get("/:name/x", function(req, res) res:send(req.path .. " " .. req.params.name) end)
      app = http.router():mount("/m", inner)
      local outer = http.router():get("/w/*rest", function(req, res)
        local own = setmetatable({ raw_path = req.raw_path:sub(3) }, { __index = req })
        local path = own.raw_path
        app(own, res)
        assert(own.raw_path == path)
      end)
      server = support.start(outer)
      assert.equal("/in side nil", get "/w/m/in%20side")
      assert.equal("/a b/x a b", get "/w/m/a%20b/x")
    end)

    it("has in a table that is no request", function()
      assert.equal("DELETE /a", asks_with(function() return { method = "DELETE", raw_path = "/a", params = {} } end))
    end)
  end)

  describe("raises at the caller's line", function()
    it("for a route that is there already", function()
      app:get("/a/:x", says "a")
      assert.equal("a route for GET /a/:y already exists", misuse(function() app:get("/a/:y", says "b") end))
      app:get("/b", says "b")
      assert.equal("a route for GET /b already exists", misuse(function() app:route("GET", "/b", says "b") end))
      assert.equal("a path of at most 1000 parts expected, got 1001",
        misuse(function() app:get(("/a"):rep(1001), says "deep") end))
    end)

    it("for paths that mean nothing", function()
      local function add(path)
        return misuse(function() app:get(path, print) end)
      end
      assert.equal("path must begin with '/', got 'a'", add "a")
      assert.equal("path must begin with '/', got nil", add(nil))
      assert.equal('a path without query and blanks expected, got "/a?b"', add "/a?b")
      assert.equal("a parameter without a name in /a/:", add "/a/:")
      assert.equal("two parameters called 'x' in /:x/:x", add "/:x/:x")
      assert.equal("'*' must be the last part of /*a/b", add "/*a/b")
    end)

    -- path, what is meant
    local foreign = {
      { "/users/{id}", "/users/:id" }, { "/users/{id:[0-9]+}", "/users/:id" }, { "/users/{id}/x", "/users/:id/x" },
      { "/f/{rest...}", "/f/*rest" }, { "/f/{*rest}", "/f/*rest" }, { "/f/{rest:path}", "/f/*rest" },
      { "/users/<id>", "/users/:id" }, { "/users/<int:id>/x", "/users/:id/x" }, { "/f/<path:rest>", "/f/*rest" },
      { "/users/(%d+)", "/users/:id" }, { "/users/%d+", "/users/:id" }, { "/users/([^/]+)", "/users/:id" },
      { "/users/(.+)", "/users/:id" }, { "/users/(\\d+)", "/users/:id" }, { "/users/[0-9]+", "/users/:id" },
      { "/users/[id]", "/users/:id" }, { "/f/[...rest]", "/f/*rest" }, { "/users/:id(\\d+)", "/users/:id" },
      { "/f/:rest*", "/f/*rest" }, { "/:id.json", "/:id" }, { "/:from-:to", "/:from/:to" }, { "/user-:id", "/:id" },
      { "/f/*.txt", "/f/*" }, { "/api*", "/api/*" }, { "/{}", "/:id" },
    }

    it("for parameters and patterns as other frameworks write them", function()
      for _, case in ipairs(foreign) do
        local wrong = misuse(function() app:get(case[1], print) end)
        assert.matches("^a parameter is a whole part of a path", wrong, nil, case[1])
        assert.matches(('patterns: "%s" for "%s"'):format(case[2], case[1]), wrong, 1, true)
      end
      assert.matches('"/u/:id" for "/u/{id}"', misuse(function() app:group "/u/{id}" end), 1, true)
      assert.matches('"/u/:id" for "/u/{id}"', misuse(function() app:mount("/u/{id}", print) end), 1, true)
    end)

    it("for optional parameters", function()
      for path, shorter in pairs { ["/u/:id?"] = "/u", ["/u[/:id]"] = "/u", ["/u(/:id)"] = "/u" } do
        assert.equal(('there are no optional parameters: add two routes, "%s" and "/u/:id"'):format(shorter),
          misuse(function() app:get(path, print) end))
      end
      assert.equal('there are no optional parameters: add two routes, "/" and "/:id"',
        misuse(function() app:get("/:id?", print) end))
    end)

    it("not for what is meant to the letter", function()
      for _, path in ipairs { "/%7Bid%7D", "/%3Cid%3E", "/Users(1)", "/a(b)", "/v1/x:batch", "/a.b-c_d~e", "/a/%2A",
        "/:user-id/:user_name", "/a/*rest", "/a+b", "/it's", "/@me", "/a[1]", "/:x/*", "/ä/:ü", "/$a;b=c,d!" } do
        app:get(path, says "x")
      end
      assert.equal("x", get "/Users(1)")
      assert.equal("x", get "/%7bid%7d")
    end)

    it("for what is no handler or no method", function()
      assert.equal("handler expected, got nil", misuse(function() app:get("/") end))
      assert.equal("router expected, got string: use app:get(...)", misuse(function() app.get("/", print) end))
      assert.equal("middleware expected, got table", misuse(function() app:use {} end))
      assert.equal("function expected, got number", misuse(function() app:group("/x", 1) end))
      assert.equal("methods must be in upper case: GET", misuse(function() app:route("get", "/", print) end))
      assert.equal("method expected, got A B", misuse(function() app:route("A B", "/", print) end))
      assert.equal("prefix must have no parameters, got /:x", misuse(function() app:mount("/:x", print) end))
    end)
  end)
end)

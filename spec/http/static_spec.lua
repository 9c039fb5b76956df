-- SPDX-License-Identifier: MIT
-- http.static: a folder's files over HTTP, and nothing else, however it is asked for.

local fs = require "moonpark.fs"
local files = require "support.fs"
local http = require "moonpark.http"
local support = require "support.file_response"

local WRITTEN = 1700000000 -- all at once: a compressed file that is older than its original is passed over

-- A body(ask, folder) with folder/public: index.html, a.txt, sub/{index.html,b}, empty/, .hidden, .git/config; and
-- folder/secret. make(folder) gives what is served.
local function serving(make, body)
  return files.in_folder(function(folder)
    local public = folder .. "/public"
    for _, name in ipairs { "sub", "empty", ".git" } do assert(fs.mkdir(public .. "/" .. name, { parents = true })) end
    for name, text in pairs { ["index.html"] = "<p>index", ["a.txt"] = "a", ["sub/index.html"] = "<p>sub",
      ["sub/b"] = "b", [".hidden"] = "hidden", [".git/config"] = "config", ["with space"] = "space",
      ["a.txt.gz"] = "zipped" } do
      assert(fs.write(public .. "/" .. name, text))
      support.touch(public .. "/" .. name, WRITTEN)
    end
    assert(fs.write(folder .. "/secret", "secret"))
    support.served(make(public), function(ask, server) body(ask, folder, server) end)()
  end)
end

local function alone(options)
  return function(public) return http.static(public, options) end
end

local function expect(answer, status, body, fields)
  assert.equal(status, answer.status, answer.body)
  if body then assert.equal(body, answer.body) end
  for name, value in pairs(fields or {}) do assert.equal(value or nil, answer.fields[name], name) end
end

describe("http.static", function()
  it("answers with a folder's files", serving(alone(), function(ask)
    expect(ask("GET", "/a.txt"), 200, "a", { ["content-type"] = "text/plain; charset=utf-8",
      ["x-content-type-options"] = "nosniff", vary = "Accept-Encoding" })
    expect(ask("GET", "/sub/b"), 200, "b")
    expect(ask("GET", "/with%20space?x=y"), 200, "space")
    expect(ask("HEAD", "/a.txt"), 200, "", { ["content-length"] = "1" })
    expect(ask("GET", "/a.txt", { ["Accept-Encoding"] = "gzip" }), 200, "zipped", { ["content-encoding"] = "gzip" })
    expect(ask("GET", "/none"), 404, "Not Found\n")
    expect(ask("GET", "/a.txt/"), 404)
    expect(ask("GET", "/a.txt/b"), 404)
  end))

  it("answers a folder with its index, under a path that ends in a slash", serving(alone(), function(ask)
    expect(ask("GET", "/"), 200, "<p>index", { ["content-type"] = "text/html; charset=utf-8" })
    expect(ask("GET", "/sub/"), 200, "<p>sub")
    expect(ask("GET", "/sub"), 301, nil, { location = "/sub/" })
    expect(ask("GET", "/sub?a=b&c"), 301, nil, { location = "/sub/?a=b&c" })
    expect(ask("GET", "/empty/"), 404)
  end))

  it("takes the first index that is there", serving(alone { index = { "none.html", "b" } }, function(ask)
    expect(ask("GET", "/sub/"), 200, "b")
    expect(ask("GET", "/"), 404)
  end))

  it("answers GET and HEAD alone", serving(alone(), function(ask)
    for _, method in ipairs { "POST", "PUT", "DELETE", "PATCH" } do
      expect(ask(method, "/a.txt"), 405, nil, { allow = "GET, HEAD" })
    end
  end))

  it("has the cache control it is told", serving(alone { cache_control = "no-cache" }, function(ask)
    expect(ask("GET", "/a.txt"), 200, "a", { ["cache-control"] = "no-cache" })
    expect(ask("GET", "/none"), 404, nil, { ["cache-control"] = false })
  end))

  it("leaves compressed files alone where it is told to", serving(alone { precompressed = false }, function(ask)
    expect(ask("GET", "/a.txt", { ["Accept-Encoding"] = "gzip" }), 200, "a", { vary = false })
  end))

  it("hides names that begin with a dot", serving(alone { listing = true }, function(ask)
    for _, path in ipairs { "/.hidden", "/%2ehidden", "/.git/config", "/.git/", "/.git", "/%2egit/config" } do
      assert.equal(404, ask("GET", path).status, path)
    end
    assert.is_nil(ask("GET", "/empty/").body:find(".git", 1, true))
  end))

  it("shows them where it is told to", serving(alone { hidden = true }, function(ask)
    expect(ask("GET", "/.hidden"), 200, "hidden")
    expect(ask("GET", "/.git/config"), 200, "config")
    expect(ask("GET", "/../secret"), 404)
  end))
end)

describe("a hostile path", function()
  local paths = {
    "/../secret", "/../public/a.txt", "/sub/../../secret", "/sub/../a.txt", "/./a.txt", "/sub/./b", "/sub/..",
    "/..", "/.",
    "/%2e%2e/secret", "/%2E%2E/secret", "/.%2e/secret", "/sub/%2e%2e/%2e%2e/secret", "/%2e/a.txt",
    "/..%2fsecret", "/..%2Fsecret", "/sub%2fb", "/%2e%2e%2fsecret", "/..%5csecret", "/..\\secret", "/sub\\b",
    "/sub%5Cb",
    "/..%252fsecret", "/%252e%252e/secret", "/..%c0%afsecret", "/%c0%ae%c0%ae/secret", "/..%e0%80%afsecret",
    "/a.txt%00", "/a.txt%00.html", "/%00", "/a.txt%0a",
    "/a.txt%0d%0aX:%20y", "/%7f", "/sub//b", "//a.txt", "//",
    "/sub//", "///etc/passwd", "//etc/passwd", "/etc/passwd", "/sub/b/", "/a.txt::$DATA", "/%", "/%zz", "/a.txt%",
    "/proc/self/environ", "/~root", "/" .. ("a/"):rep(2000) .. "b", "/" .. ("../"):rep(50) .. "etc/passwd",
  }
  for _, options in ipairs { {}, { hidden = true, listing = true }, { follow_symlinks = true } } do
    local told = options.hidden and ", dotfiles shown" or options.follow_symlinks and ", links followed" or ""
    it("opens nothing" .. told, serving(alone(options), function(ask)
      for _, path in ipairs(paths) do
        local answer = ask("GET", path)
        assert.is_true(answer.status == 404 or answer.status == 400, ("%d for %s"):format(answer.status, path))
        assert.is_nil(answer.body:find("secret", 1, true), path)
      end
    end))
  end

  it("leads to no other host by a redirect", serving(alone(), function(ask)
    for _, path in ipairs { "//sub", "///sub", "//evil.example/sub", "/\\sub", "/%2fsub", "/%5csub", "//sub/..",
      "//evil.example/..", "/sub/..//evil.example" } do
      local location = ask("GET", path).fields.location
      assert.is_true(location == nil or location:find("^/[^/\\]") ~= nil, path .. " -> " .. tostring(location))
    end
  end))
end)

describe("a symbolic link", function()
  local function with_links(options, body)
    return serving(alone(options), function(ask, folder)
      local public = folder .. "/public"
      files.symlink("a.txt", public .. "/inside")
      files.symlink("../a.txt", public .. "/sub/above")
      files.symlink("../secret", public .. "/outside")
      files.symlink(folder, public .. "/folder")
      files.symlink("loop", public .. "/loop")
      body(ask)
    end)
  end

  it("is followed within the folder, and not out of it", with_links({}, function(ask)
    expect(ask("GET", "/inside"), 200, "a")
    expect(ask("GET", "/sub/above"), 200, "a")
    for _, path in ipairs { "/outside", "/folder/secret", "/folder/", "/loop", "/folder/public/a.txt" } do
      expect(ask("GET", path), 404, "Not Found\n")
    end
  end))

  it("leads out where that is wanted", with_links({ follow_symlinks = true }, function(ask)
    expect(ask("GET", "/outside"), 200, "secret")
    expect(ask("GET", "/folder/secret"), 200, "secret")
    expect(ask("GET", "/loop"), 404)
  end))
end)

describe("a listing", function()
  it("has a folder's names, escaped, folders first", serving(alone { listing = true }, function(ask, folder)
    local public = folder .. "/public/empty"
    for _, name in ipairs { "<script>", "a&b\"'", "javascript:x", "%41", "#?", "z" } do
      assert(fs.write(public .. "/" .. name, ""))
    end
    assert(fs.mkdir(public .. "/z.d"))
    local answer = ask("GET", "/empty/")
    expect(answer, 200, nil, { ["content-type"] = "text/html; charset=utf-8",
      ["content-security-policy"] = "default-src 'none'" })
    local links = {}
    for link in answer.body:gmatch("<li>(.-)</li>") do links[#links + 1] = link end
    assert.same({
      '<a href="../">../</a>',
      '<a href="./z.d/">z.d/</a>',
      '<a href="./%23%3F">#?</a>',
      '<a href="./%2541">%41</a>',
      '<a href="./%3Cscript%3E">&lt;script&gt;</a>',
      '<a href="./a%26b%22%27">a&amp;b&quot;&#39;</a>',
      '<a href="./javascript%3Ax">javascript:x</a>',
      '<a href="./z">z</a>',
    }, links)
    expect(ask("GET", "/empty/%3Cscript%3E"), 200, "")
    expect(ask("GET", "/empty"), 301, nil, { location = "/empty/" })
    expect(ask("HEAD", "/empty/"), 200, "")
  end))

  it("gives way to an index", serving(alone { listing = true }, function(ask)
    expect(ask("GET", "/sub/"), 200, "<p>sub")
  end))

  it("shows nothing of folders outside", serving(alone { listing = true }, function(ask, folder)
    files.symlink("..", folder .. "/public/up")
    expect(ask("GET", "/up/"), 404)
  end))

  it("escapes its title", serving(alone { listing = true }, function(ask, folder)
    assert(fs.mkdir(folder .. "/public/<b>"))
    assert.matches("<h1>/&lt;b&gt;/</h1>", ask("GET", "/%3Cb%3E/").body, 1, true)
  end))
end)

describe("in a router", function()
  local function routed(public)
    local app = http.router()
    app:get("/assets/*path", http.static(public))
    app:get("/other/*rest", http.static(public, { param = "rest" }))
    app:get("/api", function(_, res) res:send("api") end)
    return app
  end

  it("serves below a wildcard", serving(routed, function(ask)
    expect(ask("GET", "/assets/a.txt"), 200, "a")
    expect(ask("GET", "/assets/sub/b"), 200, "b")
    expect(ask("HEAD", "/assets/sub/b"), 200, "")
    expect(ask("GET", "/assets/sub"), 301, nil, { location = "/assets/sub/" })
    expect(ask("GET", "/assets/"), 200, "<p>index")
    expect(ask("GET", "/other/a.txt"), 200, "a")
    expect(ask("GET", "/assets/..%2f..%2fsecret"), 404)
    expect(ask("GET", "/assets/../../secret"), 400)
    expect(ask("GET", "/assets/sub%2fb"), 404)
    expect(ask("POST", "/assets/a.txt"), 405)
  end))

  local function middleware(public)
    local app = http.router()
    app:use(http.static(public))
    app:use(http.static(public, { prefix = "/again/", hidden = true }))
    app:get("/api", function(_, res) res:send("api") end)
    app:post("/a.txt", function(_, res) res:send("posted") end)
    app:get("/a.txt", function(_, res) res:send("not reached") end)
    return app
  end

  it("is middleware, which hands on what it does not have", serving(middleware, function(ask)
    expect(ask("GET", "/a.txt"), 200, "a")
    expect(ask("POST", "/a.txt"), 200, "posted")
    expect(ask("GET", "/api"), 200, "api", { ["content-type"] = "text/plain; charset=utf-8" })
    expect(ask("GET", "/again/.hidden"), 200, "hidden")
    expect(ask("GET", "/again"), 301, nil, { location = "/again/" })
    expect(ask("GET", "/againa.txt"), 404)
    expect(ask("GET", "/../secret"), 400)
  end))

  local function around(public)
    local app = http.router()
    app:use(http.static(public))
    app:get("/blog/:path", function(req, res) res:send("blog " .. req.params.path) end)
    app:get("/api/*path", function(req, res) res:send("api " .. req.params.path) end)
    return app
  end

  it("as middleware goes by the whole path, whatever the route's parameters are called", serving(around, function(ask)
    expect(ask("GET", "/blog/a.txt"), 200, "blog a.txt")
    expect(ask("GET", "/api/sub/b"), 200, "api sub/b")
    expect(ask("GET", "/a.txt"), 200, "a")
  end))

  local function mounted(public)
    local app, inner = http.router(), http.router()
    inner:mount("/deep", http.static(public))
    return app:mount("/m", http.static(public)):mount("/in", inner)
  end

  it("redirects to folders below what it is mounted at", serving(mounted, function(ask)
    expect(ask("GET", "/m/a.txt"), 200, "a")
    expect(ask("GET", "/m/sub?x=y"), 301, nil, { location = "/m/sub/?x=y" })
    expect(ask("GET", "/m"), 301, nil, { location = "/m/" })
    expect(ask("GET", "/m/"), 200, "<p>index")
    expect(ask("GET", "/in/deep/sub"), 301, nil, { location = "/in/deep/sub/" })
    expect(ask("GET", "http://test/m/sub"), 301, nil, { location = "/m/sub/" })
  end))
end)

describe("http.static raises", function()
  local cases = {
    { "path of a folder expected" }, { "path of a folder expected", "" }, { "path of a folder expected", "a\0b" },
    { "unknown option 'lsiting'; did you mean 'listing'%?", ".", { lsiting = true } },
    { "option 'index' must be a list of names", ".", { index = "index.html" } },
    { "option 'index' must be a list of names$", ".", { index = { "index.html", {} } } },
    { "option 'cache_control' must be a header's value", ".", { cache_control = "a\r\nb" } },
  }
  for _, case in ipairs(cases) do
    it("where it is misused: " .. case[1], function()
      local ok, err = pcall(function() http.static(case[2], case[3]) end)
      assert.is_false(ok)
      assert.matches("static_spec.lua:%d+: .*" .. case[1], err)
    end)
  end
end)

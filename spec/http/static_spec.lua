-- SPDX-License-Identifier: MIT
-- http.static: a folder's files over HTTP, and nothing else, however it is asked for.

local fs = require "moonpark.fs"
local files = require "support.fs"
local http = require "moonpark.http"
local moonpark = require "moonpark"
local process = require "support.process"
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
  -- The rows of a page: {class, the first cell, size, modified}.
  local function rows_of(body)
    local rows = {}
    for class, cells in body:gmatch '<tr class="(%a+)">(.-)</tr>' do
      local row = { class }
      for cell in cells:gmatch "<td[^>]*>(.-)</td>" do row[#row + 1] = cell end
      rows[#rows + 1] = row
    end
    return rows
  end

  local function names_of(body)
    local names = {}
    for i, row in ipairs(rows_of(body)) do names[i] = row[2] end
    return names
  end

  it("has a folder's names, escaped, folders first", serving(alone { listing = true }, function(ask, folder)
    local public = folder .. "/public/empty"
    for _, name in ipairs { "<script>", "a&b\"'", "javascript:x", "%41", "#?", "z" } do
      assert(fs.write(public .. "/" .. name, ""))
    end
    assert(fs.mkdir(public .. "/z.d"))
    local answer = ask("GET", "/empty/")
    expect(answer, 200, nil, { ["content-type"] = "text/html; charset=utf-8", ["x-content-type-options"] = "nosniff" })
    assert.same({
      '<a href="../">Parent folder</a>',
      '<a href="./z.d/">z.d/</a>',
      '<a href="./%23%3F">#?</a>',
      '<a href="./%2541">%41</a>',
      '<a href="./%3Cscript%3E">&lt;script&gt;</a>',
      '<a href="./a%26b%22%27">a&amp;b&quot;&#39;</a>',
      '<a href="./javascript%3Ax">javascript:x</a>',
      '<a href="./z">z</a>',
    }, names_of(answer.body))
    assert.matches("<p>1 folder, 6 files, 0 B</p>", answer.body, 1, true)
    expect(ask("GET", "/empty/%3Cscript%3E"), 200, "")
    expect(ask("GET", "/empty"), 301, nil, { location = "/empty/" })
    expect(ask("HEAD", "/empty/"), 200, "")
  end))

  it("escapes names of any bytes; those that no request can name have no link", serving(alone { listing = true },
    function(ask, folder)
      local public = folder .. "/public/empty"
      for _, name in ipairs { "a\nb", "b\\", "c\127", "latin\252", "\206\188", "half\206" } do
        assert(fs.write(public .. "/" .. name, name))
      end
      assert.same({
        '<a href="../">Parent folder</a>',
        "a\226\144\138b", "b\\", "c\226\144\161",
        '<a href="./half%CE">half\239\191\189</a>',
        '<a href="./latin%FC">latin\239\191\189</a>',
        '<a href="./%CE%BC">\206\188</a>',
      }, names_of(ask("GET", "/empty/").body))
      expect(ask("GET", "/empty/latin%FC"), 200, "latin\252")
      for _, path in ipairs { "/empty/a%0Ab", "/empty/b%5C", "/empty/c%7F" } do expect(ask("GET", path), 404) end
    end))

  it("is in natural order", serving(alone { listing = true }, function(ask, folder)
    local public = folder .. "/public/empty/"
    local wanted = { "1", "2", "10", "a1b2", "a1b10", "a02", "A3", "a10", "b", "B1" }
    for _, name in ipairs(wanted) do assert(fs.write(public .. name, "")) end
    for _, name in ipairs { "d10", "d9" } do assert(fs.mkdir(public .. name)) end
    local names = names_of(ask("GET", "/empty/").body)
    for i, name in ipairs(names) do names[i] = name:match ">(.*)<" end
    assert.same({ "Parent folder", "d9/", "d10/", unpack(wanted) }, names)
  end))

  it("has sizes for people and for its script, and times", serving(alone { listing = true }, function(ask, folder)
    local public = folder .. "/public/empty/"
    for name, size in pairs { a = 0, b = 999, c = 1000, d = 9940, e = 9950, f = 999499, g = 999500 } do
      assert(fs.write(public .. name, ("x"):rep(size)))
      support.touch(public .. name, WRITTEN)
    end
    local body = ask("GET", "/empty/").body
    local sizes = {}
    for i, row in ipairs(rows_of(body)) do
      if i > 1 then
        sizes[#sizes + 1] = row[3]
        assert.equal("2023-11-14 22:13", row[4])
      end
    end
    assert.same({ "0 B", "999 B", "1.0 kB", "9.9 kB", "10 kB", "999 kB", "1.0 MB" }, sizes)
    assert.matches('<td data-v="999500">1.0 MB</td><td data-v="1700000000">', body, 1, true)
  end))

  it("shows links as what they lead to, and not those that lead out or nowhere", serving(alone { listing = true },
    function(ask, folder)
      local public = folder .. "/public/empty/"
      assert(fs.mkdir(public .. "d"))
      assert(fs.write(public .. "f", "123"))
      for name, target in pairs { to_d = "d", to_f = "f", out = "../../secret", up = "../..", none = "none" } do
        files.symlink(target, public .. name)
      end
      files.fifo(public .. "fifo")
      local rows = rows_of(ask("GET", "/empty/").body)
      table.remove(rows, 1)
      for i, row in ipairs(rows) do rows[i] = row[1] .. " " .. row[2]:match ">(.*)<" .. " " .. row[3] end
      assert.same({ "d d/ ", "d to_d/ ", "f f 3 B", "f to_f 3 B" }, rows)
    end))

  it("says that a folder is empty", serving(alone { listing = true }, function(ask)
    local body = ask("GET", "/empty/").body
    assert.same({ '<a href="../">Parent folder</a>', "This folder is empty" }, names_of(body))
    assert.matches("<p>empty</p>", body, 1, true)
  end))

  it("has a policy that allows its own style and script and nothing else", serving(alone { listing = true },
    function(ask)
      local answer = ask("GET", "/empty/")
      local policy = answer.fields["content-security-policy"]
      for tag, kind in pairs { style = "style", script = "script" } do
        local text = answer.body:match("<" .. tag .. ">(.-)</" .. tag .. ">")
        local hash = process.run({ "sh", "-c", "openssl dgst -sha256 -binary | base64" }, { stdin = text }).out
        assert.matches(("; %s-src 'sha256-%s'"):format(kind, hash:match "%S+"), policy, 1, true)
      end
      assert.matches("^default%-src 'none'; ", policy)
      assert.is_nil(answer.body:find "%shttps?:")
      assert.is_nil(answer.body:find "style=")
    end))

  it("links to each folder above", serving(alone { listing = true }, function(ask, folder)
    assert(fs.mkdir(folder .. "/public/x/<b>/z", { parents = true }))
    assert.matches('<h1><a href="./../../../">/</a><a href="./../../">x</a><i>/</i><a href="./../">&lt;b&gt;</a>' ..
      "<i>/</i>z</h1>", ask("GET", "/x/%3Cb%3E/z/").body, 1, true)
    assert.matches("<title>/x/&lt;b&gt;/z/</title>", ask("GET", "/x/%3Cb%3E/z/").body, 1, true)
  end))

  it("gives way to an index", serving(alone { listing = true }, function(ask)
    expect(ask("GET", "/sub/"), 200, "<p>sub")
  end))

  it("shows nothing of folders outside", serving(alone { listing = true }, function(ask, folder)
    files.symlink("..", folder .. "/public/up")
    expect(ask("GET", "/up/"), 404)
  end))

  it("follows links out if that is wanted", serving(alone { listing = true, follow_symlinks = true },
    function(ask, folder)
      files.symlink("../..", folder .. "/public/empty/up")
      assert.same({ '<a href="../">Parent folder</a>', '<a href="./up/">up/</a>' },
        names_of(ask("GET", "/empty/").body))
      assert.matches("secret", ask("GET", "/empty/up/").body, 1, true)
    end))

  it("takes ten thousand files, and lets others be answered meanwhile", serving(alone { listing = true },
    function(ask, folder)
      local public = folder .. "/public/empty/"
      for i = 1, 10000 do assert(io.open(public .. "file " .. i, "w")):close() end
      local asking = moonpark.go(ask, "GET", "/empty/")
      repeat expect(ask("GET", "/a.txt"), 200, "a") until asking:status() ~= "parked"
      local _, answer = asking:join()
      local names = names_of(answer.body)
      assert.same({ 10001, '<a href="./file%2010000">file 10000</a>' }, { #names, names[10001] })
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

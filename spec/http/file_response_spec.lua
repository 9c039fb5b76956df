-- SPDX-License-Identifier: MIT
-- res:file: what a client gets of a file, by what it asks for.

local fs = require "moonpark.fs"
local files = require "support.fs"
local http_date = require "moonpark.http.date"
local file_response = require "moonpark.http.file_response"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local http_types = require "moonpark.http.types"
local support = require "support.file_response"
local task_state = require "support.task_state"

local MODIFIED = 784111777
local DATE = "Sun, 06 Nov 1994 08:49:37 GMT"

-- A body(ask, path, server, logged) with a server of one file with these bytes.
local function serving(bytes, options, body)
  return files.in_folder(function(folder)
    local path = folder .. "/a.txt"
    assert(fs.write(path, bytes))
    support.touch(path, MODIFIED)
    local function handler(req, res) return res:file(folder .. req.path, options) end
    support.served(handler, function(ask, server, logged) body(ask, path, server, logged) end)()
  end)
end

local function expect(answer, status, body, fields)
  assert.equal(status, answer.status, answer.body)
  if body then assert.equal(body, answer.body) end
  for name, value in pairs(fields or {}) do assert.equal(value or nil, answer.fields[name], name) end
end

describe("res:file", function()
  it("sends a file, and says what it is", serving("0123456789", nil, function(ask)
    local answer = ask("GET", "/a.txt")
    expect(answer, 200, "0123456789", { ["content-type"] = "text/plain; charset=utf-8", ["content-length"] = "10",
      ["last-modified"] = DATE, ["accept-ranges"] = "bytes", ["content-encoding"] = false, vary = false })
    assert.matches('^"%x+%-a%-%x+"$', answer.fields.etag)
  end))

  it("has each field once, whatever was set before", files.in_folder(function(folder)
    assert(fs.write(folder .. "/a.txt", "0123456789"))
    local function handler(_, res)
      for _, name in ipairs { "ETag", "Last-Modified", "Accept-Ranges", "Cache-Control", "Content-Disposition" } do
        res:set(name, "x")
      end
      res:set("Vary", "X-Accept-Encoding-Of-Mine")
      return res:file(folder .. "/a.txt", { cache_control = "no-cache", download = true, precompressed = true })
    end
    support.served(handler, function(_, server)
      local conn = assert(net.dial(server:address()))
      assert(conn:write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
      local head = conn:read_all()
      conn:close()
      for _, name in ipairs { "ETag", "Last%-Modified", "Accept%-Ranges", "Cache%-Control", "Content%-Disposition" } do
        assert.equal(1, select(2, head:gsub("\r\n" .. name .. ": [^x]", "")), name)
        assert.is_nil(head:find("\r\n" .. name .. ": x"))
      end
      assert.matches("\r\nVary: X%-Accept%-Encoding%-Of%-Mine, Accept%-Encoding\r\n", head)
    end)()
  end))

  it("sends the head alone for HEAD", serving("0123456789", nil, function(ask)
    expect(ask("HEAD", "/a.txt"), 200, "", { ["content-length"] = "10", ["last-modified"] = DATE })
  end))

  it("sends an empty file", serving("", nil, function(ask)
    expect(ask("GET", "/a.txt"), 200, "", { ["content-length"] = "0" })
    expect(ask("GET", "/a.txt", { Range = "bytes=0-" }), 200, "")
  end))

  it("answers conditions, and without what a 304 has no use for", serving("0123456789", nil, function(ask, path)
    local etag = ask("GET", "/a.txt").fields.etag
    expect(ask("GET", "/a.txt", { ["If-None-Match"] = etag }), 304, "", { etag = etag, ["last-modified"] = DATE,
      ["content-length"] = false, ["content-type"] = false, ["accept-ranges"] = false })
    expect(ask("HEAD", "/a.txt", { ["If-None-Match"] = etag }), 304, "")
    expect(ask("GET", "/a.txt", { ["If-Modified-Since"] = DATE }), 304, "")
    expect(ask("GET", "/a.txt", { ["If-Match"] = '"other"' }), 412, "")
    expect(ask("GET", "/a.txt", { ["If-Match"] = etag }), 200, "0123456789")
    support.touch(path, MODIFIED + 1)
    local changed = ask("GET", "/a.txt", { ["If-None-Match"] = etag })
    expect(changed, 200, "0123456789")
    assert.not_equal(etag, changed.fields.etag)
  end))

  it("sends a range", serving("0123456789", nil, function(ask)
    expect(ask("GET", "/a.txt", { Range = "bytes=2-4" }), 206, "234", { ["content-range"] = "bytes 2-4/10",
      ["content-length"] = "3", ["content-type"] = "text/plain; charset=utf-8" })
    expect(ask("GET", "/a.txt", { Range = "bytes=-1" }), 206, "9", { ["content-range"] = "bytes 9-9/10" })
    expect(ask("GET", "/a.txt", { Range = "bytes=10-" }), 416, "", { ["content-range"] = "bytes */10" })
    expect(ask("GET", "/a.txt", { Range = "bytes=4-2" }), 200, "0123456789", { ["content-range"] = false })
    expect(ask("HEAD", "/a.txt", { Range = "bytes=2-4" }), 200, "", { ["content-length"] = "10" })
  end))

  it("sends a range only of the file that the client knows", serving("0123456789", nil, function(ask)
    local etag = ask("GET", "/a.txt").fields.etag
    expect(ask("GET", "/a.txt", { Range = "bytes=2-4", ["If-Range"] = etag }), 206, "234")
    expect(ask("GET", "/a.txt", { Range = "bytes=2-4", ["If-Range"] = '"other"' }), 200, "0123456789")
    expect(ask("GET", "/a.txt", { Range = "bytes=50-", ["If-Range"] = '"other"' }), 200, "0123456789")
  end))

  it("reads dates in three forms, and ignores what is none or two", serving("0123456789", nil, function(ask)
    local long = { Sun = "Sunday", Mon = "Monday", Tue = "Tuesday", Wed = "Wednesday", Thu = "Thursday", Fri = "Friday",
      Sat = "Saturday" }
    local function forms(seconds)
      local text = http_date.format(seconds)
      local name, day, month, year, time = text:match("^(%a+), (%d+) (%a+) (%d+) (%S+)")
      return { text, ("%s, %s-%s-%s %s GMT"):format(long[name], day, month, year:sub(3), time),
        ("%s %s %2d %s %s"):format(name, month, tonumber(day), time, year) }
    end
    for i, same in ipairs(forms(MODIFIED)) do
      local before = forms(MODIFIED - 1)[i]
      expect(ask("GET", "/a.txt", { ["If-Modified-Since"] = same }), 304, "")
      expect(ask("GET", "/a.txt", { ["If-Modified-Since"] = before }), 200, "0123456789")
      expect(ask("GET", "/a.txt", { ["If-Unmodified-Since"] = same }), 200, "0123456789")
      expect(ask("GET", "/a.txt", { ["If-Unmodified-Since"] = before }), 412, "")
      expect(ask("GET", "/a.txt", { Range = "bytes=2-4", ["If-Range"] = same }), 206, "234")
      expect(ask("GET", "/a.txt", { Range = "bytes=2-4", ["If-Range"] = before }), 200, "0123456789")
      local twice = same .. "\r\nIf-Modified-Since: " .. same -- as two fields
      expect(ask("GET", "/a.txt", { ["If-Modified-Since"] = twice }), 200, "0123456789")
    end
    expect(ask("GET", "/a.txt", { ["If-Modified-Since"] = "Fri, 99 Jan 2021 99:99:99 GMT" }), 200, "0123456789")
    expect(ask("GET", "/a.txt", { ["If-Unmodified-Since"] = "Fri, 99 Jan 1971 99:99:99 GMT" }), 200, "0123456789")
  end))

  it("sends no range by the date of a file that may change within its second", serving("0123456789", nil,
    function(ask, path)
      local later = math.floor(moonpark.time()) + 3600
      support.touch(path, later)
      local asked = { Range = "bytes=2-4", ["If-Range"] = http_date.format(later) }
      expect(ask("GET", "/a.txt", asked), 200, "0123456789")
    end))

  it("sends several ranges as parts", serving("0123456789", nil, function(ask)
    local answer = ask("GET", "/a.txt", { Range = "bytes=7-8, 0-1" })
    expect(answer, 206, nil, { ["content-range"] = false, ["content-length"] = tostring(#answer.body) })
    local boundary = answer.fields["content-type"]:match("^multipart/byteranges; boundary=([%w-]+)$")
    local function part(range, bytes)
      local head = "--%s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes %s/10\r\n\r\n"
      return head:format(boundary, range) .. bytes .. "\r\n"
    end
    assert.equal(part("7-8", "78") .. part("0-1", "01") .. "--" .. boundary .. "--\r\n", answer.body)
  end))

  it("leaves conditions and ranges alone where the status is another, or the method",
    serving("0123456789", nil, function(ask, path)
      support.served(function(_, res)
        res.status = 503
        res:file(path)
      end, function(ask_other)
        expect(ask_other("GET", "/", { Range = "bytes=0-1", ["If-None-Match"] = "*" }), 503, "0123456789")
      end)()
      expect(ask("POST", "/a.txt", { Range = "bytes=0-1", ["If-None-Match"] = "*" }), 200, "0123456789")
    end))

  it("answers the next request on the same connection", serving("0123456789", nil, function(_, _, server)
    local conn = support.dial(server)
    local one = "GET /a.txt HTTP/1.1\r\nHost: a\r\nRange: bytes=%d-%d\r\n\r\n"
    assert(conn:write(one:format(0, 1), one:format(2, 3), support.request("GET", "/none")))
    local text, bodies = conn:read_all(), {}
    for body in text:gmatch("Accept%-Ranges: bytes\r\nContent%-Range: [^\r]*\r\n\r\n(%d%d)") do
      bodies[#bodies + 1] = body
    end
    assert.same({ "01", "23" }, bodies)
    assert.matches("HTTP/1.1 404 ", text)
    conn:close()
  end))

  it("has the type, cache control and name that it is told", serving("x",
    { type = "text/x-own", cache_control = "public, max-age=60", download = 'a"b.txt' }, function(ask)
      expect(ask("GET", "/a.txt"), 200, "x", { ["content-type"] = "text/x-own",
        ["cache-control"] = "public, max-age=60", ["content-disposition"] = "attachment; filename=\"a_b.txt\"; "
          .. "filename*=UTF-8''a%22b.txt" })
    end))

  it("answers 404 and 403 for what it cannot open", serving("x", nil, function(ask, path)
    expect(ask("GET", "/none"), 404, "Not Found\n")
    expect(ask("GET", "/a.txt/b"), 404)
    expect(ask("GET", "/"), 404)
    expect(ask("GET", "/" .. ("x"):rep(300)), 404)
    files.fifo(path:gsub("a.txt$", "fifo"))
    expect(ask("GET", "/fifo"), 404)
    if support.is_root() then return end
    support.chmod(path, 0)
    expect(ask("GET", "/a.txt"), 403, "Forbidden\n")
  end))

  it("tells the handler what became of it", function()
    local told
    support.served(function(_, res)
      local ok, err, errno = res:file("/nowhere")
      told = { ok, err, errno }
    end, function(ask)
      expect(ask("GET", "/"), 404)
      assert.same({ nil, "no such file or directory", 2 }, told)
    end)()
  end)

  it("says who is wrong where it is called with what it does not know", function()
    local function refused(text, ...)
      local args = { ... }
      local ok, err
      support.served(function(_, res) ok, err = pcall(res.file, res, unpack(args)) res:send() end,
        function(ask) ask("GET", "/") end)()
      assert.is_false(ok)
      assert.matches(text, err, 1, true)
    end
    refused("path expected, got nil", nil)
    refused("zero byte", "a\0b")
    refused("unknown option 'tpye'", "a", { tpye = "x" })
    refused("option 'type' must be a string, not a boolean", "a", { type = true })
  end)

  it("cuts the connection where the file becomes shorter meanwhile, and logs it",
    serving(("x"):rep(8 * 1048576), nil, function(_, path, server, logged)
      local conn = support.dial(server)
      assert(conn:write(support.request("GET", "/a.txt")))
      assert.matches("^HTTP/1.1 200 ", (conn:read(64)))
      support.truncate(path, 10)
      local answer = conn:read_all()
      assert.is_true(answer == nil or #answer < 8 * 1048576)
      conn:close()
      assert.matches("a.txt became shorter while it was being sent", table.remove(logged))
    end))

  it("stops where the client leaves", serving(("x"):rep(8 * 1048576), nil, function(ask, _, server)
    local conn = support.dial(server)
    assert(conn:write(support.request("GET", "/a.txt")))
    assert.matches("^HTTP/1.1 200 ", (conn:read(64)))
    conn:close()
    assert.equal(8 * 1048576, #ask("GET", "/a.txt").body)
  end))

  it("sends a large range unchanged", function()
    local pieces = {}
    for i = 1, 100000 do pieces[i] = ("%09d\n"):format(i) end
    local bytes = table.concat(pieces)
    serving(bytes, nil, function(ask)
      assert.is_true(ask("GET", "/a.txt").body == bytes)
      assert.is_true(ask("GET", "/a.txt", { Range = "bytes=12345-999990" }).body == bytes:sub(12346, 999991))
    end)()
  end)
end)

describe("a compressed file beside it", function()
  local packed = { precompressed = true }

  -- A body(ask, folder) with a.txt "plain", a.txt.gz "zipped" and a.txt.br "brotli", which are as old.
  local function with_siblings(body)
    return serving("plain", packed, function(ask, path)
      assert(fs.write(path .. ".gz", "zipped"))
      assert(fs.write(path .. ".br", "brotli"))
      for _, suffix in ipairs { ".gz", ".br" } do support.touch(path .. suffix, MODIFIED) end
      body(ask, path)
    end)
  end

  local function accepting(ask, accepted) return ask("GET", "/a.txt", { ["Accept-Encoding"] = accepted }) end

  local cases = {
    { nil, "plain" }, { "gzip", "zipped", "gzip" }, { "gzip, br", "brotli", "br" },
    { "br;q=0.5, gzip", "zipped", "gzip" },
    { "gzip;q=0", "plain" }, { "deflate", "plain" }, { "*", "brotli", "br" }, { "gzip;q=0.1", "zipped", "gzip" },
    { "identity, gzip;q=0.5", "plain" }, { "gzip;q=x", "plain" },
  }
  for _, case in ipairs(cases) do
    it(("is %s for Accept-Encoding %s"):format(case[2], case[1] or "that is not there"), with_siblings(function(ask)
      expect(accepting(ask, case[1]), 200, case[2], { ["content-encoding"] = case[3] or false,
        ["content-type"] = "text/plain; charset=utf-8", vary = "Accept-Encoding" })
    end))
  end

  it("has its own tag, and its own ranges", with_siblings(function(ask)
    local plain, zipped = accepting(ask, nil), accepting(ask, "gzip")
    assert.not_equal(plain.fields.etag, zipped.fields.etag)
    expect(ask("GET", "/a.txt", { ["Accept-Encoding"] = "gzip", ["If-None-Match"] = zipped.fields.etag }), 304, "",
      { vary = "Accept-Encoding" })
    expect(ask("GET", "/a.txt", { ["Accept-Encoding"] = "gzip", ["If-None-Match"] = plain.fields.etag }), 200, "zipped")
    expect(ask("GET", "/a.txt", { ["Accept-Encoding"] = "gzip", Range = "bytes=0-2" }), 206, "zip")
  end))

  it("is not sent where it is older than the file", with_siblings(function(ask, path)
    support.touch(path, MODIFIED + 1)
    expect(accepting(ask, "gzip, br"), 200, "plain", { ["content-encoding"] = false, vary = "Accept-Encoding" })
  end))

  it("is not sent where nobody asked for it", with_siblings(function(_, path)
    support.served(function(_, res) res:file(path) end, function(ask)
      expect(accepting(ask, "gzip"), 200, "plain", { vary = false })
    end)()
  end))

  it("is not looked for beside what is compressed already", with_siblings(function(ask, path)
    local folder = path:gsub("a.txt$", "")
    assert(fs.write(folder .. "a.png", "plain"))
    assert(fs.write(folder .. "a.png.gz", "zipped"))
    expect(ask("GET", "/a.png", { ["Accept-Encoding"] = "gzip" }), 200, "plain", { vary = false })
  end))
end)

describe("a file that is not in the kernel's caches", function()
  -- Nor is what lies behind /proc/self/root, ever. All threads hang until let_go().
  local function hanging(options, body)
    return files.in_folder(function(folder)
      assert(fs.write(folder .. "/a", "a"))
      local _, let_go = files.hang(folder, 4)
      local root = options and "/proc/self/root" .. folder or nil
      support.served(function(req, res)
        if req.path == "/cached" then return res:file(folder .. "/a") end
        return res:file(root and "a" or "/proc/self/root" .. folder .. req.path, { root = root })
      end, function(ask, server)
        local ok, err = pcall(body, ask, let_go, server)
        if not ok then let_go() end
        assert(ok, err)
      end)()
    end)
  end

  for name, options in pairs { ["is opened"] = false, ["below a root is opened"] = true } do
    it(name .. " by a thread, while others are answered", hanging(options, function(ask, let_go)
      local asking = moonpark.go(ask, "GET", "/a")
      for _ = 1, 3 do expect(ask("GET", "/cached"), 200, "a") end
      task_state.assert_waits(asking)
      let_go()
      local _, answer = asking:join()
      expect(answer, 200, "a")
    end))
  end

  it("is answered for as any other where it cannot be opened", hanging(false, function(ask, let_go)
    let_go()
    expect(ask("GET", "/none"), 404)
    expect(ask("GET", "/fifo1"), 404)
  end))

  it("is not waited for once its client has left, and leaves no descriptor", hanging(false, function(_, let_go, server)
    local conn = support.dial(server)
    assert(conn:write(support.request("GET", "/a")))
    while server:stats().requests == 0 do moonpark.sleep(0.0005) end
    conn:close()
    while server:stats().connections > 0 do moonpark.sleep(0.0005) end
    let_go()
  end))
end)

describe("with a root", function()
  local function in_root(body)
    return files.in_folder(function(folder)
      assert(fs.mkdir(folder .. "/public/sub", { parents = true }))
      assert(fs.write(folder .. "/secret", "secret"))
      assert(fs.write(folder .. "/public/a", "a"))
      assert(fs.write(folder .. "/public/sub/b", "b"))
      support.served(function(req, res) res:file(req.query.path, { root = folder .. "/public" }) end, function(ask)
        body(function(path) return ask("GET", "/?path=" .. path) end, folder)
      end)()
    end)
  end

  it("opens what is below it", in_root(function(ask)
    expect(ask("a"), 200, "a")
    expect(ask("sub/b"), 200, "b")
  end))

  it("opens nothing outside, and does not say what is there", in_root(function(ask, folder)
    files.symlink("../secret", folder .. "/public/link")
    files.symlink(folder, folder .. "/public/up")
    files.symlink("/etc/passwd", folder .. "/public/sub/absolute")
    for _, path in ipairs { "../secret", "sub/../../secret", "/etc/passwd", folder .. "/secret", "link", "up/secret",
      "sub/absolute", "/proc/self/root" .. folder .. "/secret", "." } do
      local answer = ask(path)
      assert.equal(404, answer.status, path)
      assert.equal("Not Found\n", answer.body)
    end
  end))
end)

describe("a name for saving", function()
  local cases = {
    { "a.txt", 'attachment; filename="a.txt"' },
    { "dir/../a.txt", 'attachment; filename="a.txt"' },
    { "c:\\dir\\a.txt", 'attachment; filename="a.txt"' },
    { 'a"; filename=b', "attachment; filename=\"a__ filename=b\"; filename*=UTF-8''a%22%3B%20filename%3Db" },
    { "a\r\nSet-Cookie: b", 'attachment; filename="a__Set-Cookie: b"' },
    { "100%.txt", "attachment; filename=\"100_.txt\"; filename*=UTF-8''100%25.txt" },
    { "\195\164.txt", "attachment; filename=\"_.txt\"; filename*=UTF-8''%C3%A4.txt" },
  }
  for _, case in ipairs(cases) do
    it(("of %q is safe in a field"):format(case[1]), function()
      assert.equal(case[2], file_response.disposition(case[1]))
    end)
  end
end)

describe("a type", function()
  local cases = { ["a.html"] = "text/html; charset=utf-8", ["a.JPG"] = "image/jpeg", ["a.b.json"] = "application/json",
    ["a"] = "application/octet-stream", ["a.unknown"] = "application/octet-stream",
    [".html"] = "text/html; charset=utf-8",
    ["a.md"] = "text/plain; charset=utf-8", ["a.LOG"] = "text/plain; charset=utf-8",
    ["a.yaml"] = "text/plain; charset=utf-8", ["a.toml"] = "text/plain; charset=utf-8",
    ["a.sh"] = "text/plain; charset=utf-8", ["a.c"] = "text/plain; charset=utf-8",
    ["a.lua"] = "text/plain; charset=utf-8", ["a.ts"] = "application/octet-stream",
    ["a.tar.gz"] = "application/gzip", ["html"] = "application/octet-stream", ["a.js/b"] = "application/octet-stream" }
  for path, kind in pairs(cases) do
    it(("of %s is %s"):format(path, kind), function() assert.equal(kind, http_types.of(path)) end)
  end

  it("of bytes is text if they are UTF-8 without control bytes", function()
    for _, bytes in ipairs { "", "plain\n", "\tgr\195\188n\r\n", "\27[1mbold\27[0m", "page\12page",
      ("x"):rep(65536) } do
      assert.equal("text/plain; charset=utf-8", http_types.of_bytes(bytes, true))
    end
    for _, bytes in ipairs { "a\0b", "\127ELF", "\1", "gr\252n", "\195", "\237\160\128" } do
      assert.equal("application/octet-stream", http_types.of_bytes(bytes, true))
    end
    assert.equal("text/plain; charset=utf-8", http_types.of_bytes("gr\195", false)) -- the rest is further on
  end)

  it("of a file whose name says nothing is by its first bytes, and browsers do not guess anew", files.in_folder(
    function(folder)
      local long = ("text "):rep(20000)
      for name, text in pairs { LICENSE = "MIT\n", ["a.unknown"] = "<html>", Makefile = "", binary = "\0\1\2",
        long = long, ["late.unknown"] = long .. "\0", ["a.png"] = "text" } do
        assert(fs.write(folder .. "/" .. name, text))
      end
      support.served(function(req, res) res:file(folder .. req.path) end, function(ask)
        local function expect_type(kind, path)
          for _ = 1, 2 do -- what was seen is kept
            local answer = ask("HEAD", path)
            expect(answer, 200, nil, { ["content-type"] = kind })
            assert.equal(path ~= "/a.png" and "nosniff" or nil, answer.fields["x-content-type-options"])
          end
        end
        for _, path in ipairs { "/LICENSE", "/Makefile", "/a.unknown", "/long", "/late.unknown" } do
          expect_type("text/plain; charset=utf-8", path)
        end
        expect_type("application/octet-stream", "/binary")
        expect_type("image/png", "/a.png")
        assert(fs.write(folder .. "/LICENSE", "\0\0\0\0\0", { atomic = true }))
        expect_type("application/octet-stream", "/LICENSE")
      end)()
    end))

  it("that is given is the type", files.in_folder(function(folder)
    assert(fs.write(folder .. "/a", "text"))
    support.served(function(_, res) res:file(folder .. "/a", { type = "application/octet-stream" }) end, function(ask)
      expect(ask("GET", "/a"), 200, "text", { ["content-type"] = "application/octet-stream",
        ["x-content-type-options"] = false })
    end)()
  end))

  it("is worth compressing where it is text", function()
    for _, path in ipairs { "a.css", "a.svg", "a.json", "a.wasm", "a.webmanifest", "a.rss" } do
      assert.is_true(http_types.is_compressible(http_types.of(path)), path)
    end
    for _, path in ipairs { "a.png", "a.zip", "a", "a.woff2", "a.mp4" } do
      assert.is_falsy(http_types.is_compressible(http_types.of(path)), path)
    end
  end)
end)

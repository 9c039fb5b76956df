-- SPDX-License-Identifier: MIT
-- files_spec.lua - examples/files.lua, and moonpark serve, as their users meet them; the client is curl.

local certificates = require "support.tls"
local client = require "support.http"
local curl = require "support.curl"
local example = require "support.example"
local fs = require "moonpark.fs"
local net = require "moonpark.net"
local process = require "support.process"
local support = require "support.net"

local BYTES = ("0123456789"):rep(2000)

-- A body(folder) with folder/served (a.txt, big, sub/b) and folder/got.
local function in_folder(body)
  return function()
    support.with_folder(function(folder)
      assert(fs.mkdir(folder .. "/served/sub", { parents = true }))
      assert(fs.write(folder .. "/served/a.txt", "hello\n"))
      assert(fs.write(folder .. "/served/big", BYTES))
      assert(fs.write(folder .. "/served/sub/b", "b"))
      body(folder)
      for _, name in ipairs(fs.list(folder)) do assert(fs.remove(folder .. "/" .. name, { recursive = true })) end
    end)
  end
end

local function code(server, path, ...)
  return curl(server, path, "-o", "/dev/null", "-w", "%{http_code}", ...).out
end

-- What a server of the folder must do, whoever it is.
local function serves(folder, server)
  assert.equal("hello\n", curl(server, "/a.txt").out)
  assert.is_true(curl(server, "/big").out == BYTES)
  assert.equal("345", curl(server, "/big", "-r", "3-5").out)
  assert.equal("89", curl(server, "/big", "-r", "-2").out)
  assert.matches("Content%-Range: bytes 3%-5/20000\r\n\r\n345.*Content%-Range: bytes 10%-11/20000\r\n\r\n01\r\n",
    curl(server, "/big", "-r", "3-5,10-11").out)
  assert.equal("416", code(server, "/big", "-r", "900000-"))
  assert.matches("Content%-Length: 20000\r\n", curl(server, "/big", "-I").out)
  assert.equal("404", code(server, "/none"))
  assert.matches("^40[04]$", code(server, "/../got", "--path-as-is")) -- 400: a router has refused it
  local got = folder .. "/got"
  assert(fs.write(got, BYTES:sub(1, 12345)))
  assert.equal(0, curl(server, "/big", "-C", "-", "-o", got).status)
  assert.is_true(fs.read(got) == BYTES)
  local etag = folder .. "/etag"
  assert.equal("200", code(server, "/a.txt", "--etag-save", etag))
  assert.equal("304", code(server, "/a.txt", "--etag-compare", etag))
  assert.equal("304", code(server, "/a.txt", "-z", folder .. "/served/a.txt"))
  assert.equal("200", code(server, "/a.txt", "-z", "1 Jan 2000"))
  assert.equal("b", curl(server, "/sub/b", "-L").out)
end

local function start(...) return example.start("files.lua", example.plain("files.lua", ...)) end

describe("examples/files.lua", function()
  after_each(process.stop_all)

  it("hides names that begin with a dot, from downloads too", in_folder(function(folder)
    assert(fs.mkdir(folder .. "/served/.git"))
    assert(fs.write(folder .. "/served/.git/config", "secret"))
    assert(fs.write(folder .. "/served/sub/.env", "secret"))
    local server = start(folder .. "/served", "127.0.0.1:0")
    for _, path in ipairs { "/.git/config", "/sub/.env", "/%2egit/config", "/sub/%2Eenv", "/sub%2f.env" } do
      assert.equal("404", code(server, path), path)
      assert.equal("404", code(server, "/download" .. path), path)
    end
    assert.equal("hello\n", curl(server, "/download/a.txt").out)
    server:stop()
  end))

  it("serves files, parts of them, and what is new of them", in_folder(function(folder)
    local server = start(folder .. "/served", "127.0.0.1:0")
    serves(folder, server)
    server:stop()
  end))

  it("lists folders, and lets files be saved", in_folder(function(folder)
    local server = start(folder .. "/served", "127.0.0.1:0")
    assert.matches('<a href="./sub/">sub/</a>.*<a href="./a.txt">a.txt</a>', curl(server, "/").out)
    assert.matches('<a href="./b">b</a>', curl(server, "/sub", "-L").out)
    assert.equal(0, curl(server, "/download/a.txt", "-OJ", "--output-dir", folder).status)
    assert.equal("hello\n", fs.read(folder .. "/a.txt"))
    assert.equal("400", code(server, "/download/../got", "--path-as-is"))
    server:stop()
  end))

  it("explains itself", function()
    local r = process.run(example.plain("files.lua", "--help"))
    assert.same({ 0, "" }, { r.status, r.err })
    assert.matches("^usage: files%.lua", r.out)
  end)

  it("says why it cannot listen", function()
    local first = start(".", "127.0.0.1:0")
    local r = process.run(example.plain("files.lua", ".", first.address))
    assert.same({ 1, "" }, { r.status, r.out })
    assert.equal(("files: cannot listen on %s: address already in use\n"):format(first.address), r.err)
    first:stop()
  end)
end)

describe("moonpark serve", function()
  after_each(process.stop_all)

  local function serve(...)
    local child = process.start(process.moonpark("serve", "--address", "127.0.0.1:0", ...))
    local address = (child:line() or ""):match("^serving .+ at https?://(127%.0%.0%.1:%d+)/, Ctrl%-C stops it$")
    assert(address, "it did not say where it listens")
    return { child = child, address = address }
  end

  it("serves a folder", in_folder(function(folder)
    local server = serve("--quiet", folder .. "/served")
    serves(folder, server)
    assert.matches('<a href="./a.txt">a.txt</a>', curl(server, "/").out, 1, true)
    assert.is_nil(curl(server, "/").out:find(">%.hidden"))
    server.child:kill("TERM")
    local status, out, err = server.child:wait()
    assert.same({ 0, "" }, { status, err })
    assert.matches("^serving [^\n]*\n$", out)
  end))

  it("lists no folder with --no-listing", in_folder(function(folder)
    local server = serve("--quiet", "--no-listing", folder .. "/served")
    serves(folder, server)
    assert.equal("404", code(server, "/"))
  end))

  it("lists, shows dotfiles and sets an age where it is told to", in_folder(function(folder)
    assert(fs.write(folder .. "/served/.dot", "dot"))
    local server = serve("--listing", "--hidden", "--cache=60", folder .. "/served")
    assert.matches("%.dot", curl(server, "/").out)
    assert.matches("Cache%-Control: public, max%-age=60\r\n.*dot$", curl(server, "/.dot", "-i").out)
  end))

  it("writes a line for each request", in_folder(function(folder)
    local server = serve(folder .. "/served")
    curl(server, "/a.txt?q")
    curl(server, "/none", "-I")
    assert.matches("^127%.0%.0%.1:%d+ GET /a.txt 200 [%d.]+ ms$", server.child:line())
    assert.matches("^127%.0%.0%.1:%d+ HEAD /none 404 [%d.]+ ms$", server.child:line())
  end))

  it("lets a running download finish after Ctrl-C, and takes no new client", in_folder(function(folder)
    local length = 16 * 1048576
    assert(fs.write(folder .. "/served/huge", ("x"):rep(length)))
    local server = serve("--quiet", folder .. "/served")
    local conn = assert(net.dial(server.address, { timeout = 30 }))
    conn:set_timeout(30)
    assert(conn:write("GET /huge HTTP/1.1\r\nHost: a\r\n\r\n"))
    local head = assert(conn:read_until("\r\n\r\n"))
    assert.matches("^HTTP/1.1 200 ", head)
    server.child:kill("INT")
    local more, err
    repeat
      more, err = net.dial(server.address)
      if more then more:close() end
    until err == "connection refused" -- reset: it was in the queue as the listener closed
    assert.equal(length, #assert(conn:read_all()))
    conn:close()
    assert.equal(0, (server.child:wait()))
  end))

  local function https(server, path, ...)
    return client.run { "curl", "-q", "-sS", "--noproxy", "*", "--max-time", "30", "https://" .. server.address .. path,
      ... }
  end

  it("speaks TLS with a certificate of its own, and prints its fingerprint", in_folder(function(folder)
    local server = serve("--tls", "--quiet", folder .. "/served")
    local fingerprint = server.child:line():match "^self%-signed certificate, SHA%-256 fingerprint ([%x:]+)$"
    local got = folder .. "/got.pem"
    client.run(("openssl s_client -connect %s </dev/null 2>/dev/null | openssl x509 -out %s"):format(server.address,
      got))
    local r = client.run { "openssl", "x509", "-in", got, "-noout", "-fingerprint", "-sha256", "-ext",
      "subjectAltName" }
    assert.matches("Fingerprint=" .. fingerprint .. "\n", r.out, 1, true)
    assert.matches("DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1\n", r.out, 1, true)
    assert.equal("hello\n", https(server, "/a.txt", "--cacert", got).out)
    assert.equal(60, https(server, "/a.txt").status) -- curl: it cannot be verified
    assert.matches("https://", client.run { "curl", "-q", "-sS", "--noproxy", "*", "http://" .. server.address }.out)
  end))

  it("speaks TLS with a certificate that is given, and follows its files", in_folder(function(folder)
    local function put(name)
      assert(fs.write(folder .. "/tls.pem", certificates.pem(name .. "_crt") .. certificates.pem(name .. "_key")))
    end
    put "host"
    local server = serve("--tls", "--cert", folder .. "/tls.pem", "--quiet", folder .. "/served")
    local authority = certificates.files.ca_crt
    assert.equal("hello\n", https(server, "/a.txt", "--cacert", authority).out)
    put "other"
    local way = "other.example:443:" .. server.address
    local r
    repeat
      r = client.run { "curl", "-q", "-sS", "--noproxy", "*", "--max-time", "30", "--cacert", authority, "--connect-to",
        way, "https://other.example/a.txt" }
    until r.status ~= 60 -- the old one is for another host
    assert.same({ 0, "hello\n" }, { r.status, r.out })
    server.child:kill("TERM")
    local status, out, err = server.child:wait()
    assert.same({ 0, "" }, { status, err })
    assert.matches("^serving [^\n]*\n$", out)
  end))

  it("says which file of TLS is wrong, and why, before it serves", function()
    local files = certificates.files
    local cases = {
      { { "--cert", "/nowhere.pem" }, "/nowhere.pem: no such file or directory\n" },
      { { "--cert", files.nothing_pem }, files.nothing_pem .. ": " },
      { { "--cert", files.host_crt, "--key", files.other_key }, files.other_key .. ": " },
      { { "--cert", files.host_crt, "--key", files.encrypted_key }, files.encrypted_key .. ": " },
    }
    for _, case in ipairs(cases) do
      local r = process.run(process.moonpark("serve", "--tls", "--address", "127.0.0.1:0", unpack(case[1])))
      assert.same({ 1, "" }, { r.status, r.out })
      assert.matches("moonpark: serve: " .. case[2], r.err, 1, true)
      assert.equal(1, select(2, r.err:gsub("\n", "")))
    end
  end)

  it("says what is wrong with its words", function()
    local cases = {
      { { "--cert", "x" }, "serve: --cert needs --tls" }, { { "--key=x" }, "serve: --key needs --tls" },
      { { "--tls", "--key", "x" }, "serve: --key needs --cert" },
      { { "a", "b" }, "serve: one folder expected" }, { { "--cache", "x" }, "--cache: a number of seconds expected" },
      { { "--lsiting" }, "unknown option '--lsiting'\nmoonpark: did you mean '--listing'?" },
      { { "--address" }, "option '--address' needs a value" }, { { "--listing=1" }, "unknown option '--listing=1'" },
    }
    for _, case in ipairs(cases) do
      local r = process.run(process.moonpark("serve", unpack(case[1])))
      assert.same({ 2, "" }, { r.status, r.out })
      assert.matches(case[2], r.err, 1, true)
      assert.matches("moonpark serve --help", r.err, 1, true)
    end
  end)

  it("says why it cannot serve", function()
    local r = process.run(process.moonpark("serve", "/nowhere"))
    assert.same({ 1, "", "moonpark: serve: /nowhere: no such file or directory\n" }, { r.status, r.out, r.err })
    r = process.run(process.moonpark("serve", "--address", "nonsense", "."))
    assert.same({ 2, "" }, { r.status, r.out })
    assert.matches("^moonpark: serve: missing port: 'nonsense'\n", r.err)
    local first = serve "."
    r = process.run(process.moonpark("serve", "--address", first.address, "."))
    assert.same({ 1, "", ("moonpark: serve: cannot listen on %s: address already in use\n"):format(first.address) },
      { r.status, r.out, r.err })
  end)
end)

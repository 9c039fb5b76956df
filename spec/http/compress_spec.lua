-- SPDX-License-Identifier: MIT
-- compress_spec.lua - http.compress: who gets which coding, and that real programs read it.

local http = require "moonpark.http"
local http_compress = require "moonpark.http.compress"
local moonpark = require "moonpark"
local process = require "support.process"
local support = require "support.http"

local has_brotli = type(select(2, pcall(require, "moonpark.http.brotli"))) == "table"

describe("http.compress", function()
  after_each(support.stop_all)
  teardown(process.stop_all)

  local text = ("All that glitters is not gold. "):rep(200)

  -- A server with that middleware; GET / sends the text after prepare(res).
  local function serve(options, prepare)
    local app = http.router()
    app:use(http.compress(options))
    app:get("/", function(_, res)
      if prepare then prepare(res) end
      res:send(text)
    end)
    app:get("/stream", function(_, res)
      for i = 1, 3 do res:write(("line %d\n"):format(i), text) end
    end)
    return support.start(app)
  end

  local function ask(server, accept, path)
    return server:ask(("GET %s HTTP/1.1\n%s"):format(path or "/", accept and "Accept-Encoding: " .. accept or "X: y"))
  end

  -- What a program makes of the bytes.
  local function filter(bytes, ...)
    local r = support.run({ ... }, { stdin = bytes })
    assert(r.status == 0, r.err)
    return r.out
  end

  it("sends gzip that gzip reads", function()
    local answer = ask(serve(), "gzip")
    assert.same({ "gzip", "Accept-Encoding" }, { answer.headers["content-encoding"], answer.headers.vary })
    assert.is_true(#answer.body < #text / 10)
    assert.equal(text, filter(answer.body, "gzip", "-dc"))
  end)

  it("sends brotli and gzip that curl reads, whole and streamed", function()
    local server = serve()
    for _, coding in ipairs { has_brotli and "br" or "gzip", "gzip" } do
      for _, path in ipairs { "/", "/stream" } do
        local r = support.run { "curl", "-sS", "--compressed", "-H", "Accept-Encoding: " .. coding,
          "http://" .. server.address .. path }
        assert.equal("", r.err)
        local expected = path == "/" and text or "line 1\n" .. text .. "line 2\n" .. text .. "line 3\n" .. text
        assert.equal(expected, r.out)
      end
    end
  end)

  it("flushes each write: it can be read when it arrives", function()
    local wait, going = require("moonpark").event(), 0
    local app = http.router()
    app:use(http.compress { br = false })
    app:get("/", function(_, res)
      res:write "first"
      going = 1
      wait:wait()
      res:write "second"
    end)
    local server = support.start(app)
    local conn = server:dial()
    conn:write(support.request "GET / HTTP/1.1\nAccept-Encoding: gzip")
    repeat local line = conn:read_line() until line == ""
    local piece = conn:read_exactly(tonumber(conn:read_line(), 16))
    assert.equal(1, going)
    local r = support.run({ "gzip", "-dc" }, { stdin = piece }) -- complains that more should follow
    assert.equal("first", r.out)
    wait:set()
    conn:close()
  end)

  -- Others run while large data are compressed, and the encoder was given back, or freed, under the hands of who wrote.
  it("is not shared by a write that goes on when its handler returns, or by two", function()
    local noise, messages = {}, {}
    for i = 1, 40000 do noise[i] = ("%08x"):format(i * 2654435761 % 2 ^ 32) end
    noise = table.concat(noise)
    local app = http.router()
    app:use(http.compress())
    app:get("/left", function(_, res)
      res:write("begin")
      local function write() local ok = res:write(noise) return ok end
      moonpark.go(function() messages[#messages + 1] = select(2, pcall(write)) end)
      moonpark.yield()
    end)
    app:get("/two", function(_, res)
      res:write("begin")
      local other = moonpark.go(function() res:write(noise) end)
      moonpark.yield()
      messages[#messages + 1] = select(2, pcall(res.write, res, "more"))
      other:join()
    end)
    app:get("/after", function(_, res)
      for _ = 1, 3 do
        res:write(text)
        moonpark.yield()
      end
    end)
    local server = support.start(app)
    for _, coding in ipairs { has_brotli and "br" or "gzip", "gzip" } do
      local head = "GET %s HTTP/1.1\r\nHost: a\r\nAccept-Encoding: " .. coding .. "\r\n\r\n"
      local conn = server:dial()
      conn:write(head:format "/left")
      assert.is_nil(conn:read_all():find("\r\n0\r\n\r\n", 1, true))
      conn:close()
      assert.matches("another task is writing this response", server:take_log())
      local words = { "curl", "-sS", "--compressed", "-H", "Accept-Encoding: " .. coding }
      for _, path in ipairs { "/after", "/two" } do
        words[6] = "http://" .. server.address .. path
        local r = support.run(words)
        assert.equal("", r.err)
        assert.is_true(r.out == (path == "/two" and "begin" .. noise or text:rep(3)))
      end
      assert.matches("compress_spec%.lua:%d+: request has already finished", messages[1])
      assert.matches("another task is writing this response", messages[2])
      messages = {}
    end
  end)

  it("leaves alone what is small, compressed already, forbidden or no text", function()
    local function coding(prepare, options)
      local answer = ask(serve(options, prepare), "br, gzip")
      return answer.headers["content-encoding"] or "none", answer.headers.vary or "no vary"
    end
    assert.same({ "none", "no vary" }, { coding(nil, { min = #text + 1 }) })
    assert.same({ "none", "no vary" }, { coding(function(res) res.type = "image/png" end) })
    assert.same({ "none", "no vary" }, { coding(function(res) res:set("Cache-Control", "public, No-Transform") end) })
    assert.same({ "none", "no vary" }, { coding(function(res)
      res:add("Cache-Control", "public"):add("Cache-Control", "no-transform")
    end) })
    assert.same({ "x-own", "no vary" }, { coding(function(res) res:set("Content-Encoding", "x-own") end) })
    assert.equal("none", (coding(function(res) res.status = 206 end)))
    assert.not_equal("none", (coding(function(res) res.type = "application/problem+json" end)))
    assert.not_equal("none", (coding(function(res) res.type = "IMAGE/svg+xml; charset=utf-8" end)))
    assert.not_equal("none", (coding(function(res) res.type = "x/y" end, { types = function() return true end })))
  end)

  it("tells caches, even where this client gets plain text", function()
    local answer = ask(serve(nil, function(res) res:vary "Origin" end))
    assert.same({ nil, "Origin, Accept-Encoding", text },
      { answer.headers["content-encoding"], answer.headers.vary, answer.body })
  end)

  it("makes a strong ETag weak, as the bytes are others", function()
    local server = serve({ br = false }, function(res) res:set("ETag", '"v1"'):set("Accept-Ranges", "bytes") end)
    local answer = ask(server, "gzip")
    assert.same({ 'W/"v1"', nil }, { answer.headers.etag, answer.headers["accept-ranges"] })
    assert.same({ '"v1"', "bytes" }, { ask(server).headers.etag, ask(server).headers["accept-ranges"] })
    server = serve({ br = false }, function(res) res:set("ETag", 'W/"v1"') end)
    assert.equal('W/"v1"', ask(server, "gzip").headers.etag)
  end)

  it("answers a HEAD as a GET, without the body", function()
    local server = serve { br = false }
    local head = server:ask "HEAD / HTTP/1.1\nAccept-Encoding: gzip"
    local get = ask(server, "gzip")
    assert.same({ "gzip", get.headers["content-length"], "" },
      { head.headers["content-encoding"], head.headers["content-length"], head.body })
  end)

  it("weighs what the client likes (RFC 9110 12.5.3)", function()
    local function pick(accept) return http_compress.negotiate(accept, { "br", "gzip" }) or "none" end
    local expected = {
      ["gzip"] = "gzip", ["br"] = "br", ["gzip, br"] = "br", ["br;q=0.5, gzip"] = "gzip", ["*"] = "br",
      ["br;q=0, *"] = "gzip", ["gzip;q=0"] = "none", ["identity"] = "none", [""] = "none", ["GZIP"] = "gzip",
      ["x-gzip"] = "gzip", ["gzip;q=0.5, identity"] = "none", ["gzip;q=0.5, identity;q=0.4"] = "gzip",
      ["*;q=0"] = "none", ["deflate, zstd"] = "none", ["gzip;q=x"] = "none", ["gzip ; q=1.000"] = "gzip",
    }
    for accept, coding in pairs(expected) do assert.equal(coding, pick(accept), accept) end
    assert.equal("none", pick(nil))
  end)

  it("gives any bytes back, however they are cut and at every level", function()
    math.randomseed(99)
    local codecs = { { require "moonpark.http.gzip", 1, 9, { "gzip", "-dc" } } }
    if has_brotli and support.run({ "sh", "-c", "command -v brotli" }).status == 0 then
      codecs[2] = { require "moonpark.http.brotli", 0, 11, { "brotli", "-dc" } }
    end
    for _, codec in ipairs(codecs) do
      local module, least, most, command = unpack(codec)
      for _ = 1, 3 do
        local pieces, coded = {}, {}
        local stream = module.stream(math.random(least, most))
        for i = 1, math.random(0, 5) do
          pieces[i] = (string.char(math.random(0, 255)) .. i):rep(math.random(0, 100000))
          coded[#coded + 1] = stream:piece(pieces[i])
        end
        coded[#coded + 1] = stream:last()
        local whole = table.concat(pieces)
        assert.is_true(whole == filter(table.concat(coded), unpack(command)))
        assert.is_true(whole == filter(module.whole(whole, least), unpack(command)))
      end
    end
  end)

  it("takes only levels that there are", function()
    local function misuse(options)
      return select(2, pcall(function() http.compress(options) end)):match("compress_spec%.lua:%d+: (.*)")
    end
    assert.equal("gzip: a level from 1 to 9, or false, expected", misuse { gzip = 10 })
    assert.equal("br: a level from 0 to 11, or false, expected", misuse { br = "x" })
  end)

  describe("of a handler's own 304", function()
    -- A server whose handler answers If-None-Match; how(res) sends the 304.
    local function server_of(prepare, how, body)
      local app = http.router()
      app:use(http.compress())
      app:get("/", function(req, res)
        res:set("ETag", '"v1"')
        if prepare then prepare(res) end
        if not req:header "if-none-match" then return res:send(body or text) end
        res.status = 304
        how(res)
      end)
      return support.start(app)
    end

    local function ask_for(server, accept, tag)
      local answer = server:ask("GET / HTTP/1.1" .. (accept and "\nAccept-Encoding: " .. accept or "")
        .. (tag and "\nIf-None-Match: " .. tag or ""))
      return { answer.headers.etag, answer.headers.vary }, answer
    end

    local ways = {
      send = function(res) res:send() end,
      ["send with its body"] = function(res) res:send(text) end,
      begin = function(res) res:begin() end,
      write = function(res) res:write(text) end,
    }
    for name, how in pairs(ways) do
      it("has the tag and Vary of the 200 that would have been sent, by " .. name, function()
        local server = server_of(nil, how)
        for _, accept in ipairs { "gzip", "identity", "gzip;q=0, *;q=0", "br, gzip" } do
          local expected, whole = ask_for(server, accept)
          assert.equal(200, whole.status)
          for _, tag in ipairs { '"v1"', 'W/"v1"' } do
            local found, answer = ask_for(server, accept, tag)
            assert.same(expected, found)
            assert.same({ 304, "" }, { answer.status, answer.body })
            assert.is_nil(answer.headers["content-encoding"])
          end
        end
        assert.same({ 'W/"v1"', "Accept-Encoding" }, ask_for(server, "gzip", '"v1"'))
        assert.same({ '"v1"', "Accept-Encoding" }, ask_for(server, nil, '"v1"'))
      end)
    end

    it("is left alone where the 200 would be", function()
      for _, prepare in ipairs { function(res) res.type = "image/png" end,
        function(res) res:set("Cache-Control", "no-transform") end,
        function(res) res:set("Content-Encoding", "zstd") end } do
        local server = server_of(prepare, ways.send)
        assert.same(ask_for(server, "gzip"), ask_for(server, "gzip", '"v1"'))
        assert.same({ '"v1"' }, ask_for(server, "gzip", '"v1"'))
      end
      local server = server_of(nil, function(res) res:send("short") end, "short")
      assert.same({ '"v1"' }, ask_for(server, "gzip", '"v1"'))
      server = server_of(function(res) res:set("Content-Length", 5) end, ways.send, "short")
      assert.same({ '"v1"' }, ask_for(server, "gzip", '"v1"'))
    end)

    it("keeps a weak tag, and what it varied by", function()
      local server = server_of(function(res) res:set("ETag", 'W/"v2"'):vary("Origin") end, ways.send)
      assert.same({ 'W/"v2"', "Origin, Accept-Encoding" }, ask_for(server, "gzip", 'W/"v2"'))
    end)
  end)

  it("leaves what is no text an error of the script's line", function()
    local errors = {}
    local function try(fn, ...)
      local ok, err = pcall(fn, ...)
      errors[#errors + 1] = not ok and err or "none"
    end
    local app = http.router()
    app:use(http.compress())
    app:get("/", function(_, res)
      for _, wrong in ipairs { {}, false, print } do
        try(function() local _ = res:send(wrong) end)
        try(function() local _ = res:fail(500, wrong) end)
        try(function() local _ = res:write(wrong) end)
      end
      res:write("a")
      for _, wrong in ipairs { {}, false, print } do
        try(function() local _ = res:write(wrong) end)
        try(function() local _ = res:write("b", wrong) end)
      end
    end)
    assert.equal(200, ask(support.start(app), "gzip").status)
    assert.equal(15, #errors)
    for _, err in ipairs(errors) do
      assert.matches("^[^\n]-compress_spec%.lua:%d+: %a+ must be a string or number, got %a+$", err)
    end
  end)
end)

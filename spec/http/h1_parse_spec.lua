-- SPDX-License-Identifier: MIT
-- h1_parse_spec.lua - HTTP/1 heads, alone: bytes in, spans or what is wrong out. Everything is parsed where memory
-- ends, so that reading one byte too far crashes, and again with each of its last bytes missing.

local ffi = require "ffi"
local units = require "support.units"
local edge = require "support.edge"
local lib = units.lib

local head = ffi.new("struct http_head")

-- Into the head, as far as its places go.
local function parse_trailers(into, bytes, n)
  local at, field = ffi.new("size_t[1]"), ffi.new("struct http_field")
  into.count = 0
  while into.count < 100 and lib.h1_parse_trailer(field, bytes, n, at) == 1 and field.name.length > 0 do
    into.fields[into.count], into.count = field, into.count + 1
  end
  into.length = at[0]
  return lib.h1_parse_trailers(bytes, n)
end

local parsers = { request = lib.h1_parse_request, response = lib.h1_parse_response, trailers = parse_trailers }
local forms = { [0] = "origin", "absolute", "authority", "asterisk" }

local function words(error) return ffi.string(lib.h1_parse_words(error)) end

-- Parses the bytes -> the length of the head, nil where it is incomplete, or false and what is wrong.
local function parse(kind, bytes)
  local got = parsers[kind](head, edge.place(bytes), #bytes)
  if got > 0 then return got end
  if got == 0 then return nil end
  return false, words(got)
end

local function text(bytes, span) return bytes:sub(span.at + 1, span.at + span.length) end

-- What the table `wanted` asks for, as the head has it.
local function described(bytes, wanted)
  local seen = {}
  for name in pairs(wanted) do
    if name == "form" then seen.form = forms[head.form]
    elseif name == "content_length" then seen.content_length = tonumber(head.content_length)
    elseif name == "fields" then
      seen.fields = {}
      for i = 0, head.count - 1 do
        seen.fields[i + 1] = { text(bytes, head.fields[i].name), text(bytes, head.fields[i].value) }
      end
    else
      local value = head[name]
      seen[name] = type(value) == "cdata" and text(bytes, value) or value
    end
  end
  return seen
end

-- Accepted whole, with more behind it, and never before its last byte.
local function accepts(kind, bytes, wanted)
  for n = 0, #bytes - 1 do assert.is_nil(parse(kind, bytes:sub(1, n)), "complete after " .. n .. " bytes") end
  assert.equal(#bytes, parse(kind, bytes .. "GET / HTTP/1.1\r\n\r\n"))
  local got, wrong = parse(kind, bytes)
  assert.equal(#bytes, got, wrong)
  assert.equal(#bytes, head.length)
  assert.same(wanted, described(bytes, wanted))
end

-- Refused whole, and once it is refused whatever follows.
local function refuses(kind, bytes, why)
  local refused = false
  for n = 0, #bytes do
    local got, wrong = parse(kind, bytes:sub(1, n))
    if refused or n == #bytes then assert.equal(false, got) end
    if got == false then assert.equal(why, wrong) end
    assert.is_falsy(got)
    refused = got == false
  end
end

local HOST = "Host: a\r\n\r\n"
local function get(fields) return "GET / HTTP/1.1\r\nHost: a\r\n" .. fields .. "\r\n" end
local function target(t) return "GET " .. t .. " HTTP/1.1\r\n" .. HOST end
local function connect(t) return "CONNECT " .. t .. " HTTP/1.1\r\n" .. HOST end
local function host(value) return "GET / HTTP/1.1\r\nHost:" .. value .. "\r\n\r\n" end

local function each(kind, valid, invalid)
  for _, case in ipairs(valid) do
    it("accepts " .. case[1], function() accepts(kind, case[2], case[3] or {}) end)
  end
  for _, case in ipairs(invalid) do
    it("refuses " .. case[1], function()
      for i = 3, #case do refuses(kind, case[i], case[2]) end
    end)
  end
end

describe("a request line", function()
  each("request", {
    { "a method, a target and a version", "GET /a/b?c=d HTTP/1.1\r\n" .. HOST, { method = "GET",
      target = "/a/b?c=d", path = "/a/b", query = "c=d", has_query = true, form = "origin", minor = 1,
        authority = "a" } },
    { "any token as a method", "X-my_own! / HTTP/1.1\r\n" .. HOST, { method = "X-my_own!" } },
    { "an empty query beside none", target "/?", { path = "/", query = "", has_query = true } },
    { "no query", target "/", { path = "/", query = "", has_query = false } },
    { "question marks in a query", target "/a?b?c", { path = "/a", query = "b?c" } },
    { "slashes at the front as a path", target "//b/c", { form = "origin", path = "//b/c", authority = "a" } },
    { "the absolute form; its authority counts", target "http://b:80/c?d", { form = "absolute", authority = "b:80",
      path = "/c", query = "d" } },
    { "the absolute form without a path", target "HTTPS://b?d", { authority = "b", path = "", query = "d" } },
    { "an address in brackets", target "http://[2001:db8::1]:8080/", { authority = "[2001:db8::1]:8080" } },
    { "the authority form of CONNECT", connect "b.example:443", { form = "authority", authority = "b.example:443",
      path = "", query = "", has_query = false } },
    { "an address in a CONNECT", connect "[::1]:443", { authority = "[::1]:443" } },
    { "an asterisk from OPTIONS", "OPTIONS * HTTP/1.1\r\n" .. HOST, { form = "asterisk", path = "*", query = "" } },
    { "bytes that browsers leave as they are", target "/[a]{b}|^`\\%zz", { path = "/[a]{b}|^`\\%zz" } },
    { "HTTP/1.0 without a Host", "GET / HTTP/1.0\r\n\r\n", { minor = 0, hosts = 0, authority = "" } },
    { "a higher minor version", "GET / HTTP/1.9\r\n" .. HOST, { minor = 9 } },
    { "up to four empty lines in front", ("\r\n"):rep(4) .. get "", { method = "GET" } },
  }, {
    { "more empty lines in front", "invalid method", ("\r\n"):rep(5) .. get "" },
    { "a method that is no token", "invalid method", " GET / HTTP/1.1\r\n", "G(T / HTTP/1.1\r\n", "GET\t/ HTTP/1.1\r\n",
      "G\195\169T / HTTP/1.1\r\n", "GET\r\n\r\n", "\22\3\1\2" },
    { "other white space than one space", "invalid target", "GET  / HTTP/1.1\r\n", "GET \t/ HTTP/1.1\r\n",
      "GET /\tHTTP/1.1\r\n" },
    { "white space around the version", "invalid version", "GET /  HTTP/1.1\r\n", "GET / HTTP/1.1 \r\n" },
    { "a target with a space", "invalid version", "GET /a b HTTP/1.1\r\n" },
    { "HTTP/0.9", "invalid target", "GET /\r\n\r\n" },
    { "what no URL may hold", "invalid target", target "/a#b", target '/"', target "/<", target "/>", target "/\127",
      target "/\0", target "/\195\169" },
    { "another version's spelling", "invalid version", "GET / http/1.1\r\n", "GET / HTTP/1.10\r\n", "GET / HTTP/11\r\n",
      "GET / HTTP/1,1\r\n", "GET / HTTP/+1.1\r\n" },
    { "another major version", "version not supported", "GET / HTTP/2.0\r\n" .. HOST, "GET / HTTP/0.9\r\n" .. HOST },
    { "a bare LF or CR", "bare CR or LF", "GET / HTTP/1.1\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\r\n", "\nGET", "\rGET" },
    { "an asterisk from others", "invalid target", target "*" },
    { "a relative target", "invalid target", target "a", target "?a", target "a/b:80" },
    { "another scheme", "invalid target", target "ftp://a/", target "://a/", target "http:/a/", target "http:" },
    { "a URL without a host", "invalid target", target "http://", target "http:///a", target "http://:80/" },
    { "user information", "invalid target", target "http://u@a/", target "http://u:p@a/", connect "u@a:443" },
    { "what is no host", "invalid target", target "http://a%62/", target "http://[::1/", target "http://[::1]a/",
      target "http://[]/", target "http://[v1.a]/", target "http://[::1%25lo]/", target "http://a\\b/" },
    { "what is no port", "invalid target", target "http://a:b/", target "http://a:65536/", target "http://a:000080/",
      target "http://a:80:80/", target "http://a:-1/" },
    { "a CONNECT without a port", "invalid target", connect "a", connect "a:", connect "a:0", connect "[::1]",
      connect "[::1]:", connect "/", connect "http://a:80/", connect "a:99999" },
  })
end)

describe("Host", function()
  each("request", {
    { "a name and a port", host " a.example:8080 ", { authority = "a.example:8080", hosts = 1 } },
    { "a port left empty", host "a:", { authority = "a:" } },
    { "none of HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", { hosts = 0 } },
    { "an empty one: the default host", host "", { authority = "", hosts = 1 } },
    { "one that differs from the target's authority, which counts", "GET http://b/ HTTP/1.1\r\n" .. HOST,
      { authority = "b" } },
  }, {
    { "HTTP/1.1 without it", "invalid host", "GET / HTTP/1.1\r\n\r\n", "GET http://a/ HTTP/1.1\r\n\r\n" },
    { "two, equal ones too", "invalid host", get "Host: a\r\n", get "hOST:\r\n",
      "GET / HTTP/1.0\r\nHost: a\r\n" .. HOST },
    { "what is no host", "invalid host", host "a b", host "a, b", host "a/b", host "u@a", host "a:b", host ":80",
      host "http://a", host "[::1", host "%61", host "\195\169" },
  })
end)

describe("fields", function()
  each("request", {
    { "none", "GET / HTTP/1.0\r\n\r\n", { fields = {} } },
    { "values without the white space around them", get "X: \t a \t b\t \r\nY:c\r\n",
      { fields = { { "Host", "a" }, { "X", "a \t b" }, { "Y", "c" } } } },
    { "empty values", get "X:\r\nY: \t\r\n", { fields = { { "Host", "a" }, { "X", "" }, { "Y", "" } } } },
    { "colons in values", get "X: a:b\r\n", { fields = { { "Host", "a" }, { "X", "a:b" } } } },
    { "bytes above 127 in values", get "X: \128\255\r\n", { fields = { { "Host", "a" }, { "X", "\128\255" } } } },
    { "a hundred", "GET / HTTP/1.1\r\nHost: a\r\n" .. ("x: y\r\n"):rep(99) .. "\r\n", { count = 100 } },
    { "long values", get("X: " .. ("abc "):rep(100) .. "\r\n"),
      { fields = { { "Host", "a" }, { "X", ("abc "):rep(99) .. "abc" } } } },
  }, {
    { "more than a hundred", "too many fields", "GET / HTTP/1.1\r\nHost: a\r\n" .. ("x: y\r\n"):rep(100) .. "\r\n" },
    { "white space in front of the colon", "invalid field name", get "X : a\r\n", get "X\t: a\r\n" },
    { "a folded line", "invalid field name", get "X: a\r\n b\r\n", get "X: a\r\n\tb\r\n",
      "GET / HTTP/1.1\r\n Host: a\r\n\r\n" },
    { "names that are no tokens", "invalid field name", get ": a\r\n", get "X(: a\r\n", get "X\0: a\r\n", get "X\r\n",
      get "\195\169: a\r\n" },
    { "control bytes in a value", "invalid field value", get "X: a\0b\r\n", get "X: \1\r\n", get "X: a\127\r\n",
      get "X: 0123456789abcdef\0\r\n", get "X: \v\r\n" },
    { "a bare LF or CR", "bare CR or LF", get "X: a\nY: b\r\n", get "X: a\rY: b\r\n", get "X: a\r\r\n",
      get "X\n: a\r\n",
      "GET / HTTP/1.0\r\n\n", "GET / HTTP/1.0\r\n\r\r\n" },
  })

  it("are refused for each control byte, wherever it stands", function()
    for byte = 0, 31 do
      for at = 0, 33 do
        local value = ("x"):rep(at) .. string.char(byte) .. ("x"):rep(33 - at)
        local got = parse("request", get("X: " .. value .. "\r\n"))
        if byte == 9 then assert.truthy(got) else assert.is_false(got) end
      end
    end
  end)
end)

describe("what frames a request", function()
  each("request", {
    { "no length", get "", { content_length = -1, chunked = false } },
    { "a length", get "Content-Length: 5\r\n", { content_length = 5 } },
    { "zeros in front of it", get "content-length:\t0005 \r\n", { content_length = 5 } },
    { "eighteen digits", get "Content-Length: 999999999999999999\r\n", { lengths = 1 } },
    { "chunks", get "Transfer-Encoding: Chunked\r\n", { chunked = true, content_length = -1 } },
  }, {
    { "a length that is no number", "invalid content-length", get "Content-Length:\r\n", get "Content-Length: +5\r\n",
      get "Content-Length: -5\r\n", get "Content-Length: 0x5\r\n", get "Content-Length: 5 5\r\n",
      get "Content-Length: 5,\r\n", get "Content-Length: 5;\r\n", get "Content-Length: 1e3\r\n" },
    { "nineteen digits", "invalid content-length", get "Content-Length: 1000000000000000000\r\n",
      get("Content-Length: " .. ("0"):rep(18) .. "5\r\n") },
    { "a length twice, equal too", "invalid content-length", get "Content-Length: 5\r\nContent-Length: 5\r\n",
      get "Content-Length: 5, 5\r\n", get "Content-Length: 5\r\nX: y\r\ncontent-length: 6\r\n" },
    { "a length beside a coding", "invalid transfer-encoding",
      get "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
      get "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n" },
    { "codings that do not end in chunked", "invalid transfer-encoding", get "Transfer-Encoding: gzip\r\n",
      get "Transfer-Encoding: identity\r\n", get "Transfer-Encoding: chunked, gzip\r\n", get "Transfer-Encoding:\r\n" },
    { "chunked spelt in another way", "invalid transfer-encoding", get "Transfer-Encoding: xchunked\r\n",
      get "Transfer-Encoding: chunkedx\r\n", get "Transfer-Encoding: chunked;q=1\r\n",
        get 'Transfer-Encoding: "chunked"\r\n',
      get "Transfer-Encoding: ,chunked\r\n", get "Transfer-Encoding: chunked,\r\n",
        get "Transfer-Encoding: chunked x\r\n" },
    { "chunked twice", "invalid transfer-encoding", get "Transfer-Encoding: chunked, chunked\r\n",
      get "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" },
    { "codings in several fields", "invalid transfer-encoding",
      get "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
      get "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n",
      get "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n" },
    { "a coding in HTTP/1.0", "invalid transfer-encoding", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" },
    { "codings that are not known", "transfer coding not supported", get "Transfer-Encoding: gzip, chunked\r\n" },
  })
end)

describe("what a request wants of the connection", function()
  local none = { close = false, keep_alive = false, upgrade = false, expect = false }
  each("request", {
    { "nothing", get "", none },
    { "a close", get "Connection: Close\r\n", { close = true } },
    { "a list over several fields, with empty elements", get "Connection: ,x ,\tclose\r\nConnection:keep-alive,,\r\n",
      { close = true, keep_alive = true } },
    { "words that only begin like one", get "Connection: closed, keep-aliv\r\n", none },
    { "an empty list", get "Connection:\r\nConnection: , ,\r\n", none },
    { "an upgrade", get "Connection: upgrade\r\nUpgrade: websocket\r\n", { upgrade = true } },
    { "Upgrade without the option, and the other way round", get "Upgrade: websocket\r\n", none },
    { "the option without Upgrade", get "Connection: upgrade\r\n", none },
    { "an Upgrade that says nothing", get "Connection: upgrade\r\nUpgrade:\r\n", none },
    { "no upgrade in HTTP/1.0", "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", none },
    { "an expectation", get "Expect: 100-Continue\r\n", { expect = true } },
    { "no expectation in HTTP/1.0", "POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", none },
  }, {
    { "options that are no tokens", "invalid field value", get "Connection: close;x\r\n", get "Connection: close x\r\n",
      get 'Connection: "close"\r\n' },
    { "other expectations", "expectation failed", get "Expect: 200-ok\r\n", get "Expect: 100-continue, x\r\n",
      get "Expect:\r\n" },
  })
end)

describe("a response", function()
  local function ok(fields) return "HTTP/1.1 200 OK\r\n" .. fields .. "\r\n" end
  each("response", {
    { "a status and a reason", "HTTP/1.1 404 Not Found\r\n\r\n", { status = 404, reason = "Not Found", minor = 1,
      until_end = true } },
    { "no reason", "HTTP/1.1 200 \r\n\r\n", { status = 200, reason = "" } },
    { "no reason and no space", "HTTP/1.0 200\r\n\r\n", { status = 200, reason = "", minor = 0 } },
    { "any text as a reason", "HTTP/1.1 200 \228\t: x\r\n\r\n", { reason = "\228\t: x" } },
    { "statuses up to 999", "HTTP/1.1 999 x\r\n\r\n", { status = 999 } },
    { "a length", ok "Content-Length: 5\r\n", { content_length = 5, until_end = false } },
    { "chunks", ok "Transfer-Encoding: chunked\r\n", { chunked = true, until_end = false } },
    { "options of the connection", ok "Connection: close, upgrade\r\nUpgrade: x\r\n", { close = true,
      upgrade = true } },
    { "codings that end in chunked: nobody undoes the others", ok "Transfer-Encoding: gzip, Chunked\r\n",
      { chunked = true, coded = true, until_end = false } },
    { "codings that do not end in chunked: the body goes on to the end", ok "Transfer-Encoding: gzip\r\n",
      { chunked = false, coded = true, until_end = true } },
    { "chunked under another coding, likewise", ok "Transfer-Encoding: chunked, gzip\r\n",
      { chunked = false, coded = true, until_end = true } },
    { "identity, which is no coding", ok "Transfer-Encoding: identity\r\n", { chunked = false, coded = false,
      until_end = true } },
    { "identity in front of chunked", ok "Transfer-Encoding: identity, chunked\r\n",
      { chunked = true, coded = false } },
    { "identity behind chunked: nobody undoes the chunks", ok "Transfer-Encoding: chunked, identity\r\n",
      { chunked = false, coded = true, until_end = true } },
    { "codings in several fields, which are one list",
      ok "Transfer-Encoding: gzip\r\nX: 1\r\ntransfer-encoding: chunked\r\n",
      { chunked = true, coded = true, until_end = false } },
    { "the same of codings that do not end in chunked", ok "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n",
      { chunked = false, coded = true, until_end = true } },
    { "the same of identity", ok "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
      { chunked = true, coded = false, until_end = false } },
    { "fields that mean something in requests only", ok "Host: a b\r\nHost:\r\nExpect: x\r\n", { count = 3,
      authority = "" } },
  }, {
    { "another number of digits", "invalid status line", "HTTP/1.1 20 OK\r\n", "HTTP/1.1 2000 OK\r\n",
      "HTTP/1.1 2x0\r\n",
      "HTTP/1.1 200OK\r\n", "HTTP/1.1 200\tOK\r\n", "HTTP/1.1 \r\n" },
    { "a status below 100", "invalid status line", "HTTP/1.1 099 x\r\n", "HTTP/1.1 000\r\n" },
    { "other white space", "invalid status line", "HTTP/1.1  200 OK\r\n", "HTTP/1.1\t200 OK\r\n", "HTTP/1.1\r\n" },
    { "control bytes in the reason", "invalid status line", "HTTP/1.1 200 a\0\r\n" },
    { "another protocol", "invalid version", "HTTP/2 200\r\n", "ICY 200 OK\r\n", "\r\nHTTP/1.1 200 OK\r\n\r\n" },
    { "another major version", "version not supported", "HTTP/2.0 200 OK\r\n\r\n" },
    { "a bare LF or CR", "bare CR or LF", "HTTP/1.1 200 OK\n\n", "HTTP/1.1 200\n", "HTTP/1.1 200 O\rK\r\n" },
    { "a length twice, equal too", "invalid content-length", ok "Content-Length: 5\r\nContent-Length: 5\r\n" },
    { "codings that could be read in two ways", "invalid transfer-encoding", ok "Transfer-Encoding:\r\n",
      ok "Transfer-Encoding: chunked, chunked\r\n", ok "Transfer-Encoding: chunked, gzip, chunked\r\n",
      ok "Transfer-Encoding: chunked;q=1\r\n", ok "Transfer-Encoding: ,chunked\r\n",
      ok 'Transfer-Encoding: "chunked"\r\n', ok "Transfer-Encoding: gzip chunked\r\n",
      ok "Transfer-Encoding: chunked, chunked, gzip\r\n", ok "Transfer-Encoding: gzip\r\nTransfer-Encoding:\r\n",
      ok "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
      ok "Transfer-Encoding: chunked, gzip\r\nTransfer-Encoding: chunked\r\n",
      ok "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
      ok "Transfer-Encoding: chunked,\r\nTransfer-Encoding: gzip\r\n" },
    { "a length beside a coding", "invalid transfer-encoding", ok "Content-Length: 5\r\nTransfer-Encoding: gzip\r\n",
      ok "Transfer-Encoding: identity\r\nContent-Length: 5\r\n",
      ok "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n" },
    { "a folded line", "invalid field name", ok "X: a\r\n b\r\n", ok " X: a\r\n" },
    { "a coding in HTTP/1.0", "invalid transfer-encoding", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" },
  })
end)

describe("trailers", function()
  each("trailers", {
    { "none", "\r\n", { fields = {} } },
    { "fields", "Digest: a\r\nX:\r\n\r\n", { fields = { { "Digest", "a" }, { "X", "" } } } },
  }, {
    { "what frames or routes", "invalid trailer", "Content-Length: 5\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n",
      "Host: a\r\n\r\n", "Connection: close\r\n\r\n", "Upgrade: x\r\n\r\n", "x: y\r\nEXPECT: 100-continue\r\n\r\n" },
    { "a folded line", "invalid field name", "X: a\r\n b\r\n\r\n", " X: a\r\n\r\n" },
    { "a bare LF", "bare CR or LF", "\n", "X: a\n\r\n" },
  })

  it("have any number of fields", function()
    local bytes = ("a:\r\n"):rep(2047) .. "\r\n"
    assert.equal(#bytes, lib.h1_parse_trailers(edge.place(bytes), #bytes))
    bytes = ("a:\r\n"):rep(101) .. "host:\r\n"
    assert.equal("invalid trailer", words(lib.h1_parse_trailers(edge.place(bytes), #bytes)))
  end)
end)

describe("h1_parse_has_end", function()
  local function has_end(bytes, searched)
    return lib.h1_parse_has_end(edge.place(bytes), #bytes, searched or 0)
  end

  it("sees the empty line, wherever the search begins again", function()
    local bytes = get "X: y\r\n"
    for n = 0, #bytes - 1 do assert.is_false(has_end(bytes:sub(1, n)), n) end
    for n = 0, #bytes - 1 do assert.is_true(has_end(bytes, n), n) end
  end)

  it("takes a bare LF for an end: waiting would be useless", function()
    assert.is_true(has_end "GET / HTTP/1.1\n")
    assert.is_true(has_end "\n")
  end)

  it("does not take the first empty line for one", function() assert.is_false(has_end "\r\nGET / HTTP/1.1\r\n") end)
end)

---------------------------------------------------------------------------------------------------
-- chunks

-- Feeds the pieces -> the data, how many bytes were taken, and how it ended: "more", "trailers" or what is wrong.
local function decode(pieces)
  local chunks, data, taken = ffi.new("struct http_chunks"), {}, 0
  local used, span = ffi.new("size_t[1]"), ffi.new("struct http_span")
  for _, piece in ipairs(pieces) do
    local at = 1
    while true do
      local rest = piece:sub(at)
      local got = lib.h1_parse_chunk(chunks, edge.place(rest), #rest, used, span)
      at, taken = at + tonumber(used[0]), taken + tonumber(used[0])
      if got == lib.HTTP_MORE then break end
      if got == lib.HTTP_TRAILERS then return table.concat(data), taken, "trailers" end
      if got ~= lib.HTTP_DATA then return table.concat(data), taken, words(got) end
      data[#data + 1] = text(rest, span)
    end
  end
  return table.concat(data), taken, "more"
end

local function bytes_of(s)
  local list = {}
  for i = 1, #s do list[i] = s:sub(i, i) end
  return list
end

-- Whole, cut in two anywhere, and a byte at a time it is the same.
local function decodes(bytes, ...)
  local wanted = { ... }
  assert.same(wanted, { decode { bytes } })
  assert.same(wanted, { decode(bytes_of(bytes)) })
  for n = 1, #bytes - 1 do assert.same(wanted, { decode { bytes:sub(1, n), bytes:sub(n + 1) } }) end
end

describe("chunks", function()
  it("become data; behind the last one are the trailers", function()
    decodes("5\r\nhello\r\n0\r\n", "hello", 13, "trailers")
    decodes("1\r\na\r\nA\r\n0123456789\r\n00b\r\n hello you!\r\n000\r\n", "a0123456789 hello you!", 44, "trailers")
    decodes("0\r\n", "", 3, "trailers")
  end)

  it("leave what follows them", function()
    assert.same({ "", 3, "trailers" }, { decode { "0\r\n\r\nGET" } })
  end)

  it("may hold any byte", function() decodes("6\r\n\r\n0\r\n\0\r\n0\r\n", "\r\n0\r\n\0", 14, "trailers") end)

  it("are more to come until then", function()
    for _, bytes in ipairs { "", "5", "5\r", "5\r\n", "5\r\nhel", "5\r\nhello", "5\r\nhello\r", "5\r\nhello\r\n", "0",
      "0\r" } do
      assert.equal("more", (select(3, decode { bytes })))
    end
  end)

  it("may have extensions, which nobody reads", function()
    decodes('5;a=b;c="d e"\r\nhello\r\n0;z\r\n', "hello", 27, "trailers")
    decodes('1;a="\\"\\\\;=\t\200";b\r\nx\r\n', "x", 21, "more")
  end)

  it("have sizes of fifteen digits at most", function()
    decodes(("0"):rep(14) .. "1\r\na\r\n", "a", 20, "more")
    decodes("fffffffffffffff\r\nab", "ab", 19, "more")
    assert.equal("invalid chunk", (select(3, decode { ("0"):rep(15) .. "1\r\na" })))
    assert.equal("invalid chunk", (select(3, decode { "1000000000000000\r\na" })))
  end)

  it("are refused where their size or end is not what it should be", function()
    for _, bytes in ipairs { "\r\n", "g\r\n", "-1\r\n", "+1\r\n", " 1\r\n", "0x1\r\n", "1,\r\n", ";a\r\n",
      "1\n",
      "1\ra", "1;a\n", "1;a\rb", "1;\0\r\n", "1;\127\r\n", "1\r\nab", "1\r\na\n", "1\r\na\rb", "1\r\na0\r\n",
        "1;\r\n", "1;;a\r\n", "1;a;\r\n", "1;a=\r\n", "1;=a\r\n", "1;a=b c\r\n",
        '1;a="\r\n', '1;a="b\nc"\r\n', '1;a="b"c\r\n', '1;a="b\\\r\n', '1;a"b"\r\n', "1;a=b=c\r\n", "1;a/b\r\n" } do
      assert.equal("invalid chunk", (select(3, decode { bytes })), bytes)
      assert.equal("invalid chunk", (select(3, decode(bytes_of(bytes)))), bytes)
    end
  end)

  it("may have blanks behind their size, and around the parts of extensions, which nobody reads either", function()
    decodes("5 \r\nhello\r\n0\t \t\r\n", "hello", 17, "trailers")
    decodes("1 ;a\r\nx\r\n0 \t;\tz \r\n", "x", 18, "trailers")
    decodes("1; a = b ; c\t=\t\"d e\" ;f \r\nx", "x", 27, "more")
    decodes("1  \r\n  \r\n", " ", 7, "invalid chunk") -- those of the data are data
  end)

  it("are refused where blanks stand elsewhere, or another byte for them", function()
    for _, bytes in ipairs { " ", "\t1\r\n", "1\r\na\r\n 1\r\n", "1 1\r\n", "1 a\r\n", "1 0;a\r\n", "1 \n", "1 \ra",
      "1 \r \n", "1\r \n", "1\11\r\n", "1\12\r\n", "1\0\r\n", "1 \0\r\n", "1\160\r\n", "1 =a\r\n", '1 "a"\r\n',
      "1; \r\n", "1 ; ;a\r\n", "1;a = \r\n", "1;a b\r\n", "1;a b=c\r\n", "1;a=b =c\r\n", '1;a="b" c\r\n', '1;a= "b\r\n',
      "1;a \n", "1;a= b\n" } do
      assert.equal("invalid chunk", (select(3, decode { bytes })), bytes)
      assert.equal("invalid chunk", (select(3, decode(bytes_of(bytes)))), bytes)
    end
  end)

  it("are refused where there are 4096 blanks more than data", function()
    assert.equal("more", (select(3, decode { "1" .. (" "):rep(4096) .. "\r\na" })))
    assert.equal("invalid chunk", (select(3, decode { "1" .. (" "):rep(4097) })))
    assert.equal("invalid chunk", (select(3, decode { "1;a=" .. ("\t"):rep(4094) })))
    assert.equal("invalid chunk", (select(3, decode { ("1  \r\na\r\n"):rep(5000) })))
  end)

  it("are refused where extensions are 4096 bytes more than the data", function()
    local function extension(n) return ";" .. ("x"):rep(n - 1) end
    assert.equal("more", (select(3, decode { "1" .. extension(4096) .. "\r\na" })))
    assert.equal("invalid chunk", (select(3, decode { "1" .. extension(4097) })))
    assert.equal("more", (select(3, decode { ("2;x\r\nab\r\n"):rep(6000) })))
    assert.equal("invalid chunk", (select(3, decode { ("1;x\r\na\r\n"):rep(5000) })))
  end)
end)

---------------------------------------------------------------------------------------------------
-- heads without an end, and what names and values may be made of

describe("h1_parse_overlong", function()
  local function blames(bytes) return words(lib.h1_parse_overlong(edge.place(bytes), #bytes)) end

  it("blames the fields where the request line has at most half of the bytes", function()
    assert.equal("too many fields", blames("GET / HTTP/1.1\r\nX: " .. ("y"):rep(14)))
    assert.equal("too many fields", blames("\r\nGET / HTTP/1.1\r\n" .. ("y"):rep(100)))
  end)

  it("blames the target where it has more, or no end", function()
    assert.equal("target too long", blames("GET / HTTP/1.1\r\nX: " .. ("y"):rep(9)))
    for _, bytes in ipairs { "GET /", "GET ", "\r\n\r\nGET /", "GET / HTTP/1.1\r", "GET /a b" } do
      assert.equal("target too long", blames(bytes))
    end
  end)

  it("blames the method where that has no end", function()
    for _, bytes in ipairs { "", "G", "GET", "\r\n", "\r\n\r\nGET" } do
      assert.equal("method too long", blames(bytes))
    end
  end)
end)

describe("h1_parse_is_to_head", function()
  local function is_to_head(bytes) return lib.h1_parse_is_to_head(edge.place(bytes), #bytes) end

  it("sees the method, behind empty lines, too, as soon as it has its end", function()
    for _, bytes in ipairs { "HEAD ", "HEAD / HTTP/1.1\r\n", "\r\n\r\nHEAD /", "HEAD  x" } do
      assert.is_true(is_to_head(bytes))
    end
    for _, bytes in ipairs { "", "HEAD", "HEADS /", "head /", "HEAD\t/", "GET HEAD ", "\r\n", " HEAD /" } do
      assert.is_false(is_to_head(bytes))
    end
  end)
end)

describe("h1_parse_status", function()
  it("answers each error", function()
    local function status(name) return lib.h1_parse_status(lib[name]) end
    assert.equal(400, status "HTTP_BAD_LENGTH")
    assert.equal(431, status "HTTP_TOO_MANY")
    assert.equal(505, status "HTTP_VERSION")
    assert.equal(501, status "HTTP_CODING")
    assert.equal(417, status "HTTP_EXPECTATION")
    assert.equal(414, status "HTTP_LONG_TARGET")
    assert.equal(501, status "HTTP_LONG_METHOD")
    assert.equal(400, lib.h1_parse_status(-99))
    assert.equal("malformed message", words(-99))
  end)
end)

describe("h1_parse_is_token and h1_parse_is_value", function()
  it("are what a field that is sent is checked by", function()
    local function is(f, bytes) return lib["h1_parse_is_" .. f](edge.place(bytes), #bytes) end
    assert.is_true(is("token", "X-Y_z!"))
    for _, bad in ipairs { "", "a b", "a:", "a\r", "\195\169", "a\0" } do assert.is_false(is("token", bad)) end
    for _, good in ipairs { "", "a b", "\t\195\169", ("x"):rep(100) } do assert.is_true(is("value", good)) end
    for _, bad in ipairs { "\r\n", "a\nb", "\0", ("x"):rep(100) .. "\127" } do assert.is_false(is("value", bad)) end
  end)
end)

describe("a run of bytes, of any length, where memory ends,", function()
  -- Every length, and each of those bytes at every place in it -> what fn(run, byte, place) says.
  local function each_run(strange, fn)
    for n = 1, 70 do
      for place = 1, n do
        local byte = strange:sub((n + place) % #strange + 1, (n + place) % #strange + 1)
        fn(("a"):rep(place - 1) .. byte .. ("a"):rep(n - place), byte, place)
      end
    end
  end

  it("is a value as far as each of its bytes may be in one", function()
    each_run("\0\8\t\n\r\31 \126\127\128\255\"#<>", function(run, byte)
      local good = not byte:find("[%z\1-\8\10-\31\127]")
      assert.equal(good, lib.h1_parse_is_value(edge.place(run), #run), ("%q in %d"):format(byte, #run))
    end)
  end)

  it("ends in a head where the byte stands that ends it", function()
    each_run("\0\8\31\127 ", function(run, byte, place)
      local bytes = ("GET / HTTP/1.1\r\nHost: a\r\nX:%s\r\n\r\n"):format(run)
      local length = parse("request", bytes)
      assert.equal(byte == " " and #bytes, length)
      if length then assert.equal(run:match("^ *(.-) *$"), text(bytes, head.fields[1].value), place) end
      length = parse("request", bytes:sub(1, -5)) -- its line is not complete
      if byte == " " then assert.is_nil(length) else assert.is_false(length) end
    end)
  end)

  it("ends a target the same way", function()
    each_run("\0\31 \"#<>\127\128\255!~[%", function(run, byte, place)
      local bytes = ("GET /%s HTTP/1.1\r\nHost: a\r\n\r\n"):format(run)
      local good = byte:find("[!~%[%%]")
      assert.equal(good and #bytes or false, (parse("request", bytes)), ("%q at %d of %d"):format(byte, place, #run))
      if good then assert.equal("/" .. run, text(bytes, head.target)) end
    end)
  end)
end)

---------------------------------------------------------------------------------------------------
-- random heads

describe("a head that was made at random", function()
  local random = units.random(4)
  local parts = { "GET ", "/", "?a=%41", " HTTP/1.1\r\n", "\r\n", "Host: a\r\n", "Content-Length: 5\r\n", "x: y\r\n",
    "\r", "\n",
    "Transfer-Encoding: chunked\r\n", ":", " ", "\t", "\0", "a", "Connection: close\r\n", "HTTP/1.0 200 OK\r\n",
      "http://b" }

  local function mixed()
    local list = random(2) == 1 and { "GET / HTTP/1.1\r\nHost: a\r\n" } or {}
    for i = #list + 1, #list + random(8) do list[i] = parts[random(#parts)] end
    return table.concat(list) .. (random(2) == 1 and "\r\n" or "")
  end

  -- The answers to the prefixes: incomplete up to some length, from there on always the same.
  local function check(kind, bytes)
    local last, why = parse(kind, bytes)
    local decided = false
    for n = 0, #bytes do
      local got, wrong = parse(kind, bytes:sub(1, n))
      if decided then assert.same({ last, why }, { got, wrong }) end
      if got and not decided then assert.equal(n, got) end
      decided = got ~= nil
    end
    return last
  end

  it("is incomplete, then complete or refused, and stays so", function()
    local count = { [true] = 0, [false] = 0 }
    for _ = 1, 1000 do
      local bytes = mixed()
      local got = check("request", bytes)
      check("response", bytes)
      if got ~= nil then count[got ~= false] = count[got ~= false] + 1 end
    end
    assert.is_true(count[true] > 20 and count[false] > 20, "neither kind is rare")
  end)
end)

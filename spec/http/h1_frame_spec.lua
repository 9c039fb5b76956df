-- SPDX-License-Identifier: MIT
-- h1_frame_spec.lua - HTTP/1 framing, alone: which body follows a head, where it ends, and what is written.

local ffi = require "ffi"
local units = require "support.units"
local edge = require "support.edge"
local lib = units.lib

local NO_BODY, BY_LENGTH, BY_CHUNKS, BY_END = lib.HTTP_NO_BODY, lib.HTTP_BY_LENGTH, lib.HTTP_BY_CHUNKS, lib.HTTP_BY_END

local function request(fields, line)
  local h, bytes = ffi.new("struct http_head"), (line or "POST / HTTP/1.1\r\nHost: a\r\n") .. fields .. "\r\n"
  assert.equal(#bytes, lib.h1_parse_request(h, bytes, #bytes))
  return h, bytes
end

local function response(status, fields)
  local h, bytes = ffi.new("struct http_head"), "HTTP/1.1 " .. status .. " x\r\n" .. fields .. "\r\n"
  assert.equal(#bytes, lib.h1_parse_response(h, bytes, #bytes))
  return h
end

local function request_body(fields)
  local b = ffi.new("struct http_body")
  lib.h1_request_body(b, (request(fields)))
  return b
end

local function response_body(status, fields, to_head)
  local b = ffi.new("struct http_body")
  lib.h1_response_body(b, response(status, fields), to_head or false)
  return b
end

local steps = { [tonumber(lib.HTTP_NEED)] = "need", [tonumber(lib.HTTP_TRAILER_NEXT)] = "trailer",
  [tonumber(lib.HTTP_OVER)] = "over" }

-- Feeds pieces of n bytes -> the data, how the last step ended, and what was not taken.
local function take(b, bytes, n)
  local data, used, span = {}, ffi.new("size_t[1]"), ffi.new("struct http_span")
  local step
  repeat
    local piece = bytes:sub(1, n or #bytes)
    step = lib.h1_take(b, edge.place(piece), #piece, used, span)
    if step == lib.HTTP_BYTES then data[#data + 1] = piece:sub(span.at + 1, span.at + span.length) end
    bytes = bytes:sub(tonumber(used[0]) + 1)
  until step ~= lib.HTTP_BYTES and (step ~= lib.HTTP_NEED or bytes == "")
  return table.concat(data), steps[step] or ffi.string(lib.h1_parse_words(step)), bytes
end

-- Whole and a byte at a time: body() makes a new one.
local function takes(body, bytes, ...)
  for _, n in ipairs { #bytes, 1, 3 } do assert.same({ ... }, { take(body(), bytes, n) }) end
end

describe("a request's body", function()
  it("is not there where nothing announces it", function()
    for _, fields in ipairs { "", "Content-Length: 0\r\n" } do
      local b = request_body(fields)
      assert.equal(NO_BODY, b.framing)
      assert.same({ "", "over", "GET" }, { take(b, "GET") })
    end
  end)

  it("is as long as Content-Length says, and leaves what follows", function()
    local function body() return request_body "Content-Length: 5\r\n" end
    takes(body, "helloGET", "hello", "over", "GET")
    takes(body, "hell", "hell", "need", "")
  end)

  it("is made of chunks, up to the trailers", function()
    local function body() return request_body "Transfer-Encoding: chunked\r\n" end
    takes(body, "3\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n", "abcde", "trailer", "X: y\r\n\r\n")
    takes(body, "3\r\nab", "ab", "need", "")
    assert.equal("invalid chunk", (select(2, take(body(), "3\r\nabcd"))))
  end)

  it("is over when the trailers are read", function()
    local b = request_body "Transfer-Encoding: chunked\r\n"
    take(b, "0\r\n")
    assert.equal("trailer", (select(2, take(b, "\r\n"))))
    lib.h1_trailer_taken(b)
    assert.same({ "", "over", "GET" }, { take(b, "GET") })
  end)

  it("counts its bytes of data", function()
    local b = request_body "Transfer-Encoding: chunked\r\n"
    take(b, "3\r\nabc\r\n2\r\nde\r\n")
    assert.equal(5, tonumber(b.total))
  end)
end)

describe("a response's body", function()
  it("ends with the connection where nothing says its length", function()
    local b = response_body(200, "")
    assert.equal(BY_END, b.framing)
    assert.same({ "rest", "need", "" }, { take(b, "rest") })
  end)

  it("has a length or chunks as a request's", function()
    takes(function() return response_body(200, "Content-Length: 2\r\n") end, "abHTTP", "ab", "over", "HTTP")
    assert.is_true(response_body(200, "Content-Length: 0\r\n").over)
    takes(function() return response_body(205, "Content-Length: 2\r\n") end, "abHTTP", "ab", "over", "HTTP")
    takes(function() return response_body(404, "Transfer-Encoding: chunked\r\n") end, "1\r\na\r\n0\r\n", "a",
      "trailer", "")
  end)

  it("is not there in answers to HEAD, in 1xx, 204 and 304, whatever their fields say", function()
    for _, fields in ipairs { "", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n" } do
      assert.is_true(response_body(200, fields, true).over)
      for _, status in ipairs { 100, 101, 103, 204, 304 } do assert.is_true(response_body(status, fields).over) end
    end
  end)
end)

describe("whether the connection goes on", function()
  local function peer(fields, line)
    local p = ffi.new("struct http_peer")
    lib.h1_peer_of(p, request(fields, line))
    return p
  end

  it("is asked by HTTP/1.0, and assumed of HTTP/1.1", function()
    local old = "GET / HTTP/1.0\r\n"
    assert.is_true(peer("").keep_alive)
    assert.is_false(peer("Connection: close\r\n").keep_alive)
    assert.is_false(peer("Connection: keep-alive, close\r\n").keep_alive)
    assert.is_false(peer("", old).keep_alive)
    assert.is_true(peer("Connection: keep-alive\r\n", old).keep_alive)
    assert.is_false(peer("Connection: keep-alive, close\r\n", old).keep_alive)
  end)

  it("stands beside what the client can be told", function()
    assert.is_true(peer("", "HEAD / HTTP/1.0\r\n").head)
    assert.is_true(peer("", "HEAD / HTTP/1.0\r\n").old)
    assert.is_false(peer("", "head / HTTP/1.1\r\nHost: a\r\n").head)
    assert.is_false(peer("", "GET / HTTP/1.2\r\nHost: a\r\n").old)
    assert.is_true(peer("", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n").connect)
    assert.is_false(peer("").connect)
  end)
end)

describe("a response that is written", function()
  local out, o, blocks

  before_each(function()
    blocks = lib.sys_allocated()
    out, o = ffi.new("struct buf"), ffi.new("struct http_out")
  end)

  after_each(function()
    lib.buf_fini(out)
    assert.equal(blocks, lib.sys_allocated())
  end)

  local function written()
    local text = units.buf_len(out) == 0 and "" or ffi.string(out.bytes + out.start, units.buf_len(out))
    lib.buf_consume(out, #text)
    return text
  end

  local function begin(status, length, p, date)
    local peer = ffi.new("struct http_peer", { keep_alive = true })
    for name, value in pairs(p or {}) do peer[name] = value end
    assert.equal(0, lib.h1_begin_response(o, peer, out, status, length, date))
    return written()
  end

  -- Writes s as data -> what http_before_data said.
  local function write(s)
    local muted = ffi.new("bool[1]")
    local got = lib.h1_before_data(o, out, #s, muted)
    if got ~= 0 then return got end
    if not muted[0] then s = s .. ffi.string(lib.h1_after_data(o, #s)) end
    return muted[0] and 0 or lib.buf_append(out, s, #s)
  end

  it("has a length where that is known", function()
    assert.equal("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", begin(200, 5))
    assert.equal(0, write "hel")
    assert.equal(0, write "lo")
    assert.equal(0, lib.h1_finish(o, out))
    assert.equal("hello", written())
    assert.is_true(o.keep_alive)
  end)

  it("has chunks where it is not; none of them is empty but the last", function()
    assert.equal("HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n", begin(404, -1))
    write "hello"
    write ""
    write(("x"):rep(31))
    assert.equal(0, lib.h1_finish(o, out))
    assert.equal("5\r\nhello\r\n1f\r\n" .. ("x"):rep(31) .. "\r\n0\r\n\r\n", written())
  end)

  it("ends with the connection where HTTP/1.0 is not told a length", function()
    assert.equal("HTTP/1.1 200 OK\r\nConnection: close\r\n", begin(200, -1, { old = true }))
    write "hello"
    assert.equal(0, lib.h1_finish(o, out))
    assert.equal("hello", written())
    assert.is_false(o.keep_alive)
  end)

  it("tells HTTP/1.0 that the connection goes on, and everybody that it does not", function()
    assert.equal("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n", begin(200, 0, { old = true }))
    assert.equal("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n", begin(200, 0, { keep_alive = false }))
  end)

  it("has a head only as an answer to HEAD", function()
    assert.equal("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", begin(200, 5, { head = true }))
    assert.equal(0, write "hello")
    assert.equal(0, lib.h1_finish(o, out))
    begin(200, -1, { head = true })
    write "hello"
    assert.equal(0, lib.h1_finish(o, out))
    assert.equal("", written())
    assert.is_true(o.keep_alive)
  end)

  it("has no body and no length in 1xx, 204 and 304", function()
    for status, line in pairs { [103] = "103 Early Hints", [204] = "204 No Content", [304] = "304 Not Modified" } do
      assert.equal("HTTP/1.1 " .. line .. "\r\n", begin(status, 5))
      assert.equal(0, write "hello")
      assert.equal(0, lib.h1_finish(o, out))
      assert.equal("", written())
    end
  end)

  it("has a length of 0 in 205 and no body, to HEAD too", function()
    for _, head in ipairs { false, true } do
      for _, length in ipairs { -1, 0, 5 } do
        assert.equal("HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n", begin(205, length, { head = head }))
        assert.equal(0, write "hello!")
        assert.equal(0, lib.h1_finish(o, out))
        assert.equal("", written())
        assert.is_true(o.keep_alive)
        assert.equal(0, tonumber(o.total))
      end
    end
    assert.equal("HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\nConnection: keep-alive\r\n",
      begin(205, -1, { old = true }))
  end)

  it("has neither body nor length nor coding in a 2xx to CONNECT, and the connection is a tunnel then", function()
    local lines = { [200] = "200 OK", [204] = "204 No Content", [205] = "205 Reset Content", [299] = "299 " }
    for status, line in pairs(lines) do
      for _, length in ipairs { -1, 0, 5 } do
        for _, old in ipairs { false, true } do
          assert.equal("HTTP/1.1 " .. line .. "\r\n", begin(status, length, { connect = true, old = old }))
          assert.equal(0, write "hello!")
          assert.equal(0, lib.h1_finish(o, out))
          assert.same({ "", true, false }, { written(), o.tunnel, o.keep_alive })
        end
      end
    end
    assert.equal("HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n", begin(404, 5, { connect = true }))
    assert.same({ false, true }, { o.tunnel, o.keep_alive })
  end)

  it("is never longer than was announced, and where it is shorter the connection cannot go on", function()
    begin(200, 5)
    assert.equal(0, write "hell")
    assert.equal(lib.HTTP_TOO_LONG, write "oo")
    assert.equal(lib.HTTP_TOO_SHORT, lib.h1_finish(o, out))
    assert.is_false(o.keep_alive)
  end)

  it("has a date and fields of the caller's", function()
    local date = "Sun, 06 Nov 1994 08:49:37 GMT"
    assert.equal("HTTP/1.1 299 \r\nDate: " .. date .. "\r\nContent-Length: 18446744073709551\r\n",
      begin(299, 18446744073709551LL, nil, date))
    assert.equal(0, lib.h1_add_field(out, "X", 1, "y z", 3))
    assert.equal(0, lib.h1_end_head(out))
    assert.equal("X: y z\r\n\r\n", written())
  end)

  it("has the longest reason in its room", function()
    local longest = 0
    for status = 100, 999 do
      longest = math.max(longest, #begin(status, 999999999999999999LL, { old = true }, ("d"):rep(29)))
    end
    assert.is_true(longest > 100 and longest <= 256)
  end)

  if units.hard then
    it("is nothing where there is no memory for it", function()
      local peer = ffi.new("struct http_peer")
      lib.hard_fail_alloc(1)
      assert.equal(-units.ENOMEM, lib.h1_begin_response(o, peer, out, 200, 5, nil))
      lib.hard_fail_alloc(0)
      assert.equal("", written())
    end)
  end

  it("is read again as it was written", function()
    for _, length in ipairs { 5, -1 } do
      local head = begin(200, length)
      assert.is_not_nil(head)
      write "hello"
      lib.h1_finish(o, out)
      local body = response_body(200, head:match "\r\n(.*)")
      assert.equal(length < 0 and BY_CHUNKS or BY_LENGTH, body.framing)
      assert.equal("hello", (take(body, written())))
    end
  end)
end)

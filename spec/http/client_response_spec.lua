-- SPDX-License-Identifier: MIT
-- What the client makes of the bytes of a response: folded fields, transfer codings that nobody asked for, many fields.

local http = require "moonpark.http"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local peers = require "support.http_client"

local OK = "HTTP/1.1 200 OK\r\n"
local function chunked(fields, trailers)
  return OK .. fields .. "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n" .. (trailers or "") .. "\r\n"
end

after_each(peers.stop_all)

describe("folded fields", function()
  -- What comes back of an answer whose bytes are written with that many a time.
  local function get(bytes, step, options)
    local server = peers.scripted(function(conn)
      peers.request(conn)
      for at = 1, #bytes, step do
        conn:write(bytes:sub(at, at + step - 1))
        moonpark.yield()
      end
    end)
    return http.get(server.url, options)
  end

  it("are taken: each fold is a space", function()
    local bytes = OK .. "X-Device: a=1;\r\n b=2\r\nContent-Length:\r\n\t2\r\nX-Empty: \t\r\n \r\n\r\nok"
    for _, step in ipairs { #bytes, 7, 1 } do
      local answer = assert(get(bytes, step))
      assert.same({ "a=1; b=2", "2", "", "ok" }, { answer.headers["x-device"], answer.headers["content-length"],
        answer.headers["x-empty"], answer.body })
    end
  end)

  it("are taken in interim answers, in redirects and in trailers too", function()
    local bytes = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n ;x\r\n\r\n"
      .. chunked("X: 1\r\n  2\r\n", "X-Sum:\r\n 9\r\n\t8 \r\nY: z\r\n")
    for _, step in ipairs { #bytes, 1 } do
      local answer = assert(get(bytes, step))
      assert.same({ "1 2", "ab", "9 8", "z" }, { answer.headers["x"], answer.body, answer:trailers()["x-sum"],
        answer:trailers()["y"] })
    end
    local server = peers.saying("HTTP/1.1 302 Found\r\nLocation:\r\n /there\r\nContent-Length: 0\r\n\r\n",
      peers.ok "there")
    assert.equal("there", assert(http.get(server.url)).body)
  end)

  it("are passed on by a proxy without the fold", function()
    local target = peers.saying(OK .. "X: a\r\n\tb\r\nContent-Length: 2\r\n\r\nok")
    local front = peers.serve(http.proxy(target.url))
    local conn = assert(net.dial(front.address))
    conn:write("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert.equal("a b", conn:read_until "\r\n\r\n":lower():match "\nx: ([^\r]*)")
    conn:close()
  end)

  it("count into the limit of the head, and as one field", function()
    local bytes = OK .. "X: a\r\n" .. (" b\r\n"):rep(300) .. "Content-Length: 0\r\n\r\n"
    assert.equal("a" .. (" b"):rep(300), assert(get(bytes, #bytes)).headers.x)
    assert.same({ nil, "too long" }, { get(bytes, #bytes, { max_head = 1000 }) })
    assert.same({ nil, "too long" }, { get(chunked("", "X: a\r\n" .. (" b\r\n"):rep(3000)), 100000) })
  end)

  it("need a field to go on with", function()
    for _, bytes in ipairs { OK .. " X: a\r\n\r\n", OK .. "\t\r\nX: a\r\n\r\n", chunked("", " X: a\r\n"),
      chunked("X\r\n : a\r\n"),
      "HTTP/1.1 200\r\n OK\r\n\r\n", chunked("X: a\r\n b\rc\r\n") } do
      assert.same({ nil, "malformed message" }, { get(bytes, #bytes) }, bytes)
    end
  end)

  it("are refused in requests all the same, in their trailers too", function()
    local server = peers.serve(function(req, res)
      local body, err = req:body()
      if not body then return res:refuse(err) end
      res:send "ok"
    end)
    for _, request in ipairs { "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: a\r\n b\r\n\r\n" } do
      local conn = assert(net.dial(server.address))
      conn:write(request)
      assert.equal("HTTP/1.1 400 Bad Request", conn:read_line())
      conn:close()
    end
  end)
end)

describe("a transfer coding that does not end in chunked", function()
  -- Answers a request a connection, and closes.
  local function once(text)
    return peers.scripted(function(conn)
      peers.request(conn)
      conn:write(text)
    end)
  end

  it("has a body up to the connection's end, as it was sent; the connection is not used again", function()
    for _, coding in ipairs { "gzip", "identity", "x-unknown", "chunked, gzip", "Gzip, deflate" } do
      local server = once(OK .. "Transfer-Encoding: " .. coding .. "\r\n\r\n2\r\nab\r\n0\r\n\r\n")
      local client = http.client()
      local answer = assert(client:get(server.url))
      assert.same({ "2\r\nab\r\n0\r\n\r\n", coding }, { answer.body, answer.headers["transfer-encoding"] })
      assert.same({ open = 0, idle = 0 }, client:stats())
    end
  end)

  it("beneath chunked leaves the body as it is inside of the chunks", function()
    local server = peers.saying(OK .. "Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", peers.ok "next")
    local answer = assert(http.get(server.url))
    assert.same({ "ab", "gzip, chunked" }, { answer.body, answer.headers["transfer-encoding"] })
    assert.equal("next", assert(http.get(server.url)).body)
    assert.equal(1, server.count)
  end)

  it("may be said in several fields, which are one list", function()
    for fields, said in pairs {
      ["Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"] = "gzip, chunked",
      ["Transfer-Encoding: identity\r\nX: 1\r\nTransfer-Encoding: chunked\r\n"] = "identity, chunked",
    } do
      local server = peers.saying(OK .. fields .. "\r\n2\r\nab\r\n0\r\n\r\n", peers.ok "next")
      local answer = assert(http.get(server.url))
      assert.same({ "ab", said }, { answer.body, answer.headers["transfer-encoding"] })
      assert.equal("next", assert(http.get(server.url)).body)
      assert.equal(1, server.count)
    end
  end)

  it("keeps the content coding packed, too", function()
    local server = once(OK .. "Transfer-Encoding: gzip\r\nContent-Encoding: gzip\r\n\r\nno gzip")
    local answer = assert(http.get(server.url))
    assert.same({ "no gzip", "gzip" }, { answer.body, answer.headers["content-encoding"] })
  end)

  it("is malformed beside a length, in HTTP/1.0, twice, and where it can be read in two ways", function()
    for _, fields in ipairs { "Transfer-Encoding: gzip\r\nContent-Length: 4\r\n",
      "Transfer-Encoding: chunked, chunked\r\n",
      "Content-Length: 4\r\nTransfer-Encoding: identity\r\n",
      "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
      "Transfer-Encoding:\r\n", "Transfer-Encoding: chunked;q=1\r\n", "Transfer-Encoding: chunked,\r\n" } do
      assert.same({ nil, "malformed message" }, { http.get(once(OK .. fields .. "\r\nbody").url) }, fields)
    end
    local old = once "HTTP/1.0 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nbody"
    assert.same({ nil, "malformed message" }, { http.get(old.url) })
  end)

  it("says nothing where there is no body", function()
    local server = peers.saying("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: gzip\r\n\r\n",
      OK .. "Transfer-Encoding: gzip\r\n\r\n", peers.ok "next")
    assert.equal("", assert(http.get(server.url)).body)
    assert.equal("", assert(http.head(server.url)).body)
    assert.equal("next", assert(http.get(server.url)).body)
    assert.equal(1, server.count)
    local client = http.client()
    assert.equal("", assert(client:get(once("HTTP/1.1 204 No Content\r\nTransfer-Encoding: gzip\r\n\r\n").url)).body)
    assert.same({ open = 0, idle = 0 }, client:stats())
  end)

  it("is not passed on by a proxy: whoever gets the answer could not undo it", function()
    for _, coding in ipairs { "gzip", "gzip, chunked", "chunked, identity", "gzip\r\nTransfer-Encoding: chunked",
      "chunked\r\nTransfer-Encoding: identity" } do
      local target = once(OK .. "Transfer-Encoding: " .. coding .. "\r\n\r\n2\r\nab\r\n0\r\n\r\n")
      local front = peers.serve(http.proxy(target.url))
      assert.equal(502, assert(http.get(front.url)).status)
    end
    local plain = once(OK .. "Transfer-Encoding: identity\r\n\r\nbody")
    assert.equal("body", assert(http.get(peers.serve(http.proxy(plain.url)).url)).body)
  end)
end)

describe("more than a hundred fields", function()
  it("are too long", function()
    local function answer(n) return OK .. ("X: a\r\n"):rep(n - 1) .. "Content-Length: 0\r\n\r\n" end
    assert.equal(200, assert(http.get(peers.saying(answer(100)).url)).status)
    assert.same({ nil, "too long" }, { http.get(peers.saying(answer(101)).url) })
    local interim = "HTTP/1.1 103 E\r\n" .. ("X: a\r\n"):rep(101) .. "\r\n"
    assert.same({ nil, "too long" }, { http.get(peers.saying(interim).url) })
  end)
end)

-- SPDX-License-Identifier: MIT
-- request_spec.lua - what a handler is told, and how it reads a body.

local collect = require "support.collect"
local http = require "moonpark.http"
local http_fields = require "moonpark.http.fields"
local support = require "support.http"

describe("a request", function()
  after_each(support.stop_all)

  -- What fn(req) returns for one request, up to four values.
  local function told(fn, head, body)
    local values
    local server = support.start(function(req, res)
      values = { fn(req) }
      res:send "ok"
    end)
    local answer = server:ask(head, body)
    assert.equal(200, answer.status)
    return unpack(values, 1, 4)
  end

  describe("has", function()
    it("its target in parts", function()
      local function parts(req) return req.path, req.raw_path, req.query_string, req.target end
      assert.same({ "/a b/", "/a%20b/", "x=1&y", "/a%20b/?x=1&y" }, { told(parts, "GET /a%20b/?x=1&y HTTP/1.1") })
      assert.same({ "/", "/", "", "/" }, { told(parts, "GET / HTTP/1.1") })
    end)

    it("the host, of the Host field or the target, and the version", function()
      local function host(req) return req.host, req.version, req.target end
      assert.same({ "a.example:8080", "1.1", "/" }, { told(host, "GET / HTTP/1.1\nHost: a.example:8080") })
      assert.same({ "b.example", "1.0", "http://b.example/x" },
        { told(host, "GET http://b.example/x HTTP/1.0\nHost: b.example") })
    end)

    it("both addresses of its connection", function()
      local function addresses(req) return req.address, req.local_address end
      local peer, own = told(addresses, "GET / HTTP/1.1")
      if not peer:find "^127" then return pending "the connection has no addresses here" end
      assert.matches("^127%.0%.0%.1:%d+$", own)
      assert.not_equal(peer, own)
    end)

    it("query values: the last of each name, or all in their order", function()
      local function query(req) return req.query, req:queries() end
      local last, all = told(query, "GET /?a=1&b=x+y%26&a=2&&c HTTP/1.1")
      assert.same({ a = "2", b = "x y&", c = "" }, last)
      assert.same({ { "a", "1" }, { "b", "x y&" }, { "a", "2" }, { "c", "" } }, all)
    end)

    it("fields by any case of their name; repeated ones joined, or one by one", function()
      local function fields(req)
        local names = {}
        for name in req:each_header() do names[#names + 1] = name end
        return req.headers["x-LIST"], req:header "X-List", req:header_values "X-lisT", names
      end
      local a, b, values, names = told(fields, "GET / HTTP/1.1\nX-List: 1\nOther: x\nx-list: 2, 3\nHost: h")
      assert.same({ "1, 2, 3", "1, 2, 3" }, { a, b })
      assert.same({ "1", "2, 3" }, values)
      assert.same({ "x-list", "other", "x-list", "host" }, names)
      assert.is_nil(told(function(req) return req:header "None" or req.headers.none end, "GET / HTTP/1.1"))
    end)

    it("cookies, as they were sent; the first of a name counts", function()
      assert.same({ a = "1", b = "x=y", c = "q r", d = "" },
        told(function(req) return req.cookies end, 'GET / HTTP/1.1\nCookie: a=1; b=x=y; a=2; c="q r"; d=; bad'))
      assert.same({}, told(function(req) return req.cookies end, "GET / HTTP/1.1"))
      assert.same({ a = "1", b = "2", c = "3" },
        told(function(req) return req.cookies end, "GET / HTTP/1.1\nCookie: a=1\nCookie: b=2; c=3"))
    end)

    it("the client's address, and room for what middleware adds", function()
      assert.truthy(told(function(req) return req.address end, "GET / HTTP/1.1"):find("^127%.0%.0%.1:%d+$"))
      assert.equal("x", told(function(req)
        req.user = "x"
        return req.user
      end, "GET / HTTP/1.1"))
    end)
  end)

  describe("gives its body", function()
    local chunked = "POST / HTTP/1.1\nTransfer-Encoding: chunked"

    it("whole, and the same again", function()
      local function twice(req) return req:body(), req:body(), req:content_length() end
      assert.same({ "hello", "hello", 5 }, { told(twice, "POST / HTTP/1.1", "hello") })
      assert.same({ "abc", "abc" }, { told(twice, chunked, "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n") })
      assert.same({ "", "", 0 }, { told(twice, "GET / HTTP/1.1") })
    end)

    it("piece by piece, and then 'eof'", function()
      local function pieces(req)
        local all = {}
        for piece in req:chunks(4) do all[#all + 1] = piece end
        return table.concat(all), #all >= 3, select(2, req:read()), req.body_error
      end
      assert.same({ "0123456789", true, "eof" }, { told(pieces, "POST / HTTP/1.1", "0123456789") })
    end)

    it("what is left of it after some was read", function()
      local function rest(req)
        local first = req:read(3)
        return #first >= 1 and #first <= 3, first .. req:body()
      end
      assert.same({ true, "0123456789" }, { told(rest, "POST / HTTP/1.1", "0123456789") })
    end)

    it("and the fields behind it", function()
      local function trailers(req) return req:body(), req:trailers()["x-sum"] end
      assert.same({ "a", "7" }, { told(trailers, chunked, "1\r\na\r\n0\r\nX-Sum: 7\r\n\r\n") })
    end)

    it("as JSON, whatever its type", function()
      local function json(req) return req:json() end
      assert.same({ a = { 1, "x", http.null } }, (told(json, "POST / HTTP/1.1", '{"a":[1,"x",null]}')))
      assert.equal(http.null, (told(json, "POST / HTTP/1.1", "null")))
      assert.equal(false, (told(json, "POST / HTTP/1.1", "false")))
      for _, text in ipairs { "", "{", "{} x", "[0x10]", "[NaN]", "nan", ("["):rep(101) .. ("]"):rep(101) } do
        assert.same({ nil, "invalid JSON" }, { told(json, "POST / HTTP/1.1", text) }, text)
      end
    end)

    it("as a form of the right type", function()
      local function form(req) return req:form() end
      local head = "POST / HTTP/1.1\nContent-Type: application/x-www-form-urlencoded; charset=utf-8"
      assert.same({ a = "2", b = "x y", ["é"] = "" }, told(form, head, "a=1&b=x+y&a=2&%C3%A9="))
      assert.same({ { "a", "1" }, { "a", "2" } }, told(function(req) return req:form_list() end, head, "a=1&a=2"))
      assert.same({ nil, "not a form" }, { told(form, "POST / HTTP/1.1", "a=1") })
      assert.same({ nil, "too many fields" }, { told(form, head, ("a&"):rep(1001)) })
    end)
  end)

  it("takes any whole number of bytes as a limit, math.huge too", function()
    assert.equal("abc", told(function(req) return (req:body(math.huge)) end, "POST / HTTP/1.1", "abc"))
    assert.equal("abc", told(function(req) return (req:body(3)) end, "POST / HTTP/1.1", "abc"))
  end)

  describe("whose body cannot be taken", function()
    local function status(handler, head, body, options)
      local server = support.start(handler, options)
      local answer = server:ask(head, body)
      return answer.status, answer.body
    end

    it("is answered for a handler that says nothing: 413, 400, 415", function()
      local long, json, form = "too long\n", "invalid JSON\n", "not a form\n"
      assert.same({ 413, long }, { status(function(req) req:body(3) end, "POST / HTTP/1.1", "four") })
      assert.same({ 413, long }, { status(function(req) req:body(3) end,
        "POST / HTTP/1.1\nTransfer-Encoding: chunked", "4\r\nfour\r\n0\r\n\r\n") })
      assert.same({ 400, json }, { status(function(req) req:json() end, "POST / HTTP/1.1", "four") })
      assert.same({ 415, form }, { status(function(req) req:form() end, "POST / HTTP/1.1", "four") })
      assert.equal(415, (status(function(req) for _ in req:multipart() do error "none" end end,
        "POST / HTTP/1.1", "x")))
    end)

    it("is answered so by res:refuse", function()
      assert.same({ 400, "invalid JSON\n" }, { status(function(req, res)
        local value, err = req:json()
        if not value then return res:refuse(err) end
      end, "POST / HTTP/1.1", "{") })
      assert.equal(413, (status(function(req, res)
        for _ in req:chunks() do end
        res:refuse(req.body_error)
      end, "POST / HTTP/1.1\nTransfer-Encoding: chunked", "4\r\nfour\r\n0\r\n\r\n", { max_body = 3 })))
    end)
  end)

  it("that is kept too long raises instead of telling of the next one", function()
    local kept
    local server = support.start(function(req, res)
      kept = kept or req
      res:send(kept == req and "first" or tostring(pcall(kept.header, kept, "Host")))
    end)
    local conn = server:dial()
    conn:write(support.request "GET /1 HTTP/1.1")
    support.read_answer(conn)
    conn:write(support.request "GET /2 HTTP/1.1")
    assert.equal("false", support.read_answer(conn).body)
    conn:close()
  end)

  it("that a finalizer hijacks while its trailers are made gives all of them or raises", function()
    local count, answers = 60, 0
    local server = support.start(function(req)
      local armed, hijacked = false, false
      local function hijack()
        if not armed or hijacked then return end
        hijacked = true
        req:hijack():close()
      end
      req:body()
      for _ = 1, 500 do getmetatable(newproxy(true)).__gc = hijack end
      repeat
        armed = true
        local ok, trailers = pcall(req.trailers, req)
        armed = false
        local n = 0
        for _ in http_fields.each(ok and trailers or http_fields.received {}) do n = n + 1 end
        assert(n == (ok and count or 0))
      until hijacked
      answers = answers + 1
    end)
    local text = { support.request "POST / HTTP/1.1\nTransfer-Encoding: chunked" .. "0\r\n" }
    for i = 1, count do text[#text + 1] = ("X-%d: %s\r\n"):format(i, ("v"):rep(60) .. i) end
    for _ = 1, 5 do server:raw(table.concat(text) .. "\r\n") end
    assert.equal(5, answers)
  end)

  it("is not hijacked by a finalizer while a string is made of its body", function()
    local refused
    local server = support.start(function(req, res)
      local function hijack() refused = { pcall(req.hijack, req) } end
      local data = collect.within(hijack, function() return req:read(7000) end)
      res:send(data .. req:body())
    end)
    local body = {}
    for i = 1, 10000 do body[i] = ("%07d"):format(i) end
    body = table.concat(body)
    assert.equal(body, server:ask("POST / HTTP/1.1", body).body)
    assert.is_false(refused[1])
    assert.matches("another task is using this request's connection", refused[2])
  end)
end)

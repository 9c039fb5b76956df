-- SPDX-License-Identifier: MIT
-- response_spec.lua - what a handler answers, and what it is told when that is no answer.

local http = require "moonpark.http"
local support = require "support.http"

describe("a response", function()
  after_each(support.stop_all)

  local function answer(handler, head)
    return support.start(handler):ask(head or "GET / HTTP/1.1")
  end

  -- What handler raises, without the place, which must be this file; the client gets 500.
  local function misuse(handler)
    local server = support.start(function(req, res)
      handler(req, res)
      return true -- no tail call
    end)
    local found = server:ask("GET / HTTP/1.1")
    local file, text = server:take_log():match("error in the handler for GET /: ([^:]+):%d+: ([^\n]*)")
    server:stop()
    assert.truthy(file and file:find("response_spec.lua", 1, true), tostring(file) .. " " .. tostring(text))
    return text, found.status
  end

  describe("sends", function()
    it("text, numbers and nothing", function()
      local function sent(value)
        local a = answer(function(_, res) res:send(value) end)
        return { a.status, a.body, a.headers["content-type"], a.headers["content-length"] }
      end
      local text = "text/plain; charset=utf-8"
      assert.same({ 200, "hello", text, "5" }, sent "hello")
      assert.same({ 200, "42", text, "2" }, sent(42))
      assert.same({ 200, "", text, "0" }, sent(nil))
    end)

    it("text and numbers only: the rest raises", function()
      for _, wrong in ipairs { {}, false, print } do
        local kind = type(wrong)
        assert.equal("body must be a string or number, got " .. kind, (misuse(function(_, res) res:send(wrong) end)))
        local want = "data must be a string or number, got " .. kind
        assert.equal(want, (misuse(function(_, res) res:fail(500, wrong) end)))
        assert.equal(want, (misuse(function(_, res) res:write(wrong) end)))
        assert.equal(want, (misuse(function(_, res) res:write("a", wrong) end)))
      end
      assert.equal("404\n", answer(function(_, res) res:fail(404, 404) end).body)
    end)

    it("nothing for a handler that says nothing: 200", function()
      local function nothing() end
      local server = support.start(nothing)
      for _ = 1, 2 do
        local a = server:ask "GET /x HTTP/1.1"
        assert.same({ 200, "" }, { a.status, a.body })
      end
      assert.matches("response_spec.lua:%d+: handler has not answered GET /x: the client gets an empty 200[^\n]*$",
        server:take_log())
    end)

    it("JSON, with empty lists where they are called so", function()
      local function json(method, value)
        local a = answer(function(_, res) res[method](res, value) end)
        assert.equal("application/json", a.headers["content-type"])
        return a.body
      end
      assert.equal('{"a":[1,null,"x"]}', json("json", { a = { 1, http.null, "x" } }))
      assert.equal("{}", json("json", {}))
      assert.equal("null", json("json", http.null))
      assert.equal('"text"', json("json", "text"))
      assert.equal("[]", json("json_list", {}))
      assert.equal("[1,2]", json("json_list", { 1, 2 }))
    end)

    it("all names of Vary, however they were added, once", function()
      local vary = answer(function(_, res)
        res:add("Vary", "Origin"):add("Vary", "Cookie"):vary("Accept-Encoding"):vary("cookie")
        res:send()
      end).list.vary
      assert.same({ "Origin, Cookie, Accept-Encoding" }, vary)
    end)

    it("redirects, and plain words for a status", function()
      local a = answer(function(_, res) res:redirect "/there?x=%20" end)
      assert.same({ 302, "/there?x=%20" }, { a.status, a.headers.location })
      assert.equal(308, answer(function(_, res) res:redirect("/", 308) end).status)
      a = answer(function(_, res) res:fail(404) end)
      assert.same({ 404, "Not Found\n" }, { a.status, a.body })
      a = answer(function(_, res) res:fail(418, "short and stout") end)
      assert.same({ 418, "short and stout\n" }, { a.status, a.body })
    end)

    it("a type and a status of the handler's", function()
      local a = answer(function(_, res)
        res.status, res.type = 201, "text/html"
        res:send "<p>"
      end)
      assert.same({ 201, "text/html" }, { a.status, a.headers["content-type"] })
      assert.truthy(a.first:find("201 Created", 1, true))
    end)

    it("no body with 204, 205 and 304, whatever is sent", function()
      local ways = {
        function(res) res:send "body" end, function(res) res:json { "body" } end,
        function(res) res:fail(res.status) end,
        function(res) res:write("bo", "dy") end, function(res) return res:begin(4) and res:write "body" end,
        function(res) res:set("Content-Length", 4):write "body" end, function() end,
        function(res) res:file("spec/http/response_spec.lua") end,
      }
      for i, way in ipairs(ways) do
        local server = support.start(function(req, res)
          res.status = tonumber(req.path:sub(2))
          way(res)
          assert(req.path == "/200" or select(2, res:sent()) == 0)
        end)
        local conn = server:dial()
        for _, path in ipairs { "/204", "/205", "/304", "/200" } do -- on one connection: a stray body would show
          conn:write(support.request("GET " .. path .. " HTTP/1.1"))
          local a = support.read_answer(conn)
          assert.same({ i, tonumber(path:sub(2)) }, { i, a.status })
          if path == "/205" then assert.same({ i, "", "0" }, { i, a.body, a.headers["content-length"] }) end
        end
        conn:close()
        server:stop()
      end
    end)
  end)

  it("is the same through a table that stands before it, but for what that has of its own", function()
    local function through(own, fn)
      return answer(function(_, res)
        res.status, res.type = 203, "text/html"
        res:set("X-Outer", "1")
        return fn(setmetatable(own, { __index = res }))
      end)
    end
    local a = through({}, function(res) return res:send "x" end)
    assert.same({ 203, "text/html", "1", "x" }, { a.status, a.headers["content-type"], a.headers["x-outer"], a.body })
    a = through({}, function(res)
      res.status = 404
      res:set("X-Inner", "2")
      return res:json { 1 }
    end)
    assert.same({ 404, "text/html", "1", "2", "[1]" },
      { a.status, a.headers["content-type"], a.headers["x-outer"], a.headers["x-inner"], a.body })
    a = through({ type = "text/css" }, function(res)
      res:write "x"
      return res:finish()
    end)
    assert.same({ 203, "text/css", "1", "x" }, { a.status, a.headers["content-type"], a.headers["x-outer"], a.body })
  end)

  describe("has fields", function()
    it("that are set once, added, read and removed by any case of their name", function()
      local seen
      local a = answer(function(_, res)
        res:set("X-A", "1"):set("x-a", 2):add("X-B", "1"):add("x-b", "2"):set("X-C", "3"):set("x-c", nil)
        res:set("content-TYPE", "text/css")
        seen = { res:get "X-A", res:get "x-B", res:get "X-C", res:get "Content-Type" }
        res:send ""
      end)
      assert.same({ "2", "1", nil, "text/css" }, seen)
      assert.same({ { "2" }, { "1", "2" } }, { a.list["x-a"], a.list["x-b"] })
      assert.same({ nil, { "text/css" } }, { a.list["x-c"], a.list["content-type"] })
    end)

    it("Vary, which is added to", function()
      local a = answer(function(_, res) res:vary "Origin":vary "Accept-Encoding":vary "origin":send "" end)
      assert.same({ "Origin, Accept-Encoding" }, a.list.vary)
    end)

    it("of which those that frame the message are the server's", function()
      local a = answer(function(_, res)
        res:set("Content-Length", 99):set("Date", "never"):set("Connection", "close")
        res:send "four"
      end)
      assert.same({ { "4" }, { "close" } }, { a.list["content-length"], a.list.connection })
      assert.equal(1, #a.list.date)
      assert.not_equal("never", a.headers.date)
    end)

    it("Set-Cookie, one for each cookie", function()
      local a = answer(function(_, res)
        res:cookie("a", "1"):cookie("b", "x=y", { path = "/", domain = "example.org", max_age = 60, expires = 0,
          secure = true, http_only = true, same_site = "Lax" })
        res:send ""
      end)
      assert.same({ "a=1", "b=x=y; Path=/; Domain=example.org; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT; "
        .. "Secure; HttpOnly; SameSite=Lax" }, a.list["set-cookie"])
    end)
  end)

  describe("streams", function()
    local function abc(_, res)
      res:write "a"
      res:write("b", 1)
      res:write ""
      res:write "c"
    end

    it("in chunks, with an end where the handler returns", function()
      local a = answer(abc)
      assert.same({ "chunked", "ab1c" }, { a.headers["transfer-encoding"], a.body })
    end)

    it("to the end of the connection under HTTP/1.0", function()
      local a = answer(abc, "GET / HTTP/1.0\nConnection: keep-alive")
      assert.same({ nil, nil, "ab1c" }, { a.headers["transfer-encoding"], a.headers["content-length"], a.body })
    end)

    it("a length that is known", function()
      for _, how in ipairs {
        function(res) res:begin(4) end,
        function(res) res:set("Content-Length", 4) end,
        function(res) res:set("Content-Length", "4") end,
      } do
        local a = answer(function(req, res)
          how(res)
          abc(req, res)
        end)
        assert.same({ nil, "4", "ab1c" }, { a.headers["transfer-encoding"], a.headers["content-length"], a.body })
      end
    end)

    it("nothing to a HEAD, with the head that a GET gets", function()
      local server = support.start(abc)
      local conn = server:dial()
      conn:write(support.request "HEAD / HTTP/1.1")
      local a = support.read_answer(conn, "HEAD")
      assert.same({ 200, "chunked" }, { a.status, a.headers["transfer-encoding"] })
      conn:write(support.request "GET / HTTP/1.1")
      assert.equal("ab1c", support.read_answer(conn).body)
      conn:close()
    end)
  end)

  describe("raises at the handler's line, and the client gets 500, where", function()
    it("a field would split the header", function()
      local function bad(set)
        local text, status = misuse(function(_, res)
          set(res)
          res:send "x"
        end)
        assert.equal(500, status)
        return text
      end
      assert.equal("invalid value of header 'X-A'", bad(function(res) res:set("X-A", "a\r\nX-B: b") end))
      assert.equal("invalid value of header 'X-A'", bad(function(res) res:add("X-A", "a\nb") end))
      assert.equal("invalid header name 'X A'", bad(function(res) res:set("X A", "a") end))
      assert.equal("invalid header name ''", bad(function(res) res:set("", "a") end))
      assert.truthy(bad(function(res) res:set("X:\r\nB", "a") end):find("^invalid header name"))
      assert.equal("invalid value of header 'X-A'", bad(function(res) res.fields = { "X-A", true } end))
    end)

    it("a type, a location or a reason would", function()
      assert.equal("invalid value of header 'Content-Type'", (misuse(function(_, res)
        res.type = "a\r\nb"
        res:send ""
      end)))
      assert.equal("invalid value of header 'Location'", (misuse(function(_, res) res:redirect "/\r\nX: y" end)))
      assert.equal("invalid value of header 'X'", (misuse(function(_, res)
        res:set("X", "\0")
        res:write "a"
      end)))
    end)

    it("a cookie would not be one", function()
      local function bad(...)
        local arguments = { ... }
        return (misuse(function(_, res) res:cookie(unpack(arguments, 1, 3)) end))
      end
      assert.equal('invalid cookie value: "a;b"', bad("x", "a;b"))
      assert.equal('invalid cookie name: "x y"', bad("x y", ""))
      assert.equal('invalid cookie value: "a\\13\\nb"', bad("x", "a\r\nb"))
      assert.equal("cookie name is empty", bad("", ""))
      assert.equal("cookie value must be a string, got nil", bad("x"))
      assert.equal('invalid cookie path: "/;x"', bad("x", "", { path = "/;x" }))
      assert.equal("unknown cookie option 'httponly'", bad("x", "", { httponly = true }))
      assert.equal("cookie option 'same_site' must be 'Strict', 'Lax' or 'None', got lax",
        bad("x", "", { same_site = "lax" }))
      assert.equal("cookie option 'same_site' 'None' needs 'secure'", bad("x", "", { same_site = "None" }))
    end)

    it("it says where the message ends in its own words", function()
      assert.equal("header 'Transfer-Encoding' is set by the server",
        (misuse(function(_, res) res:set("Transfer-Encoding", "chunked") end)))
      assert.equal("header 'Connection' can only be set to 'close'",
        (misuse(function(_, res) res:set("Connection", "x") end)))
      assert.equal("header 'Content-Length' must be a whole number of bytes, got -1",
        (misuse(function(_, res) res:set("Content-Length", -1) end)))
    end)

    it("the status, the body or a field's value is none", function()
      local function status(value)
        return (misuse(function(_, res)
          res.status = value
          res:send ""
        end))
      end
      assert.equal("status must be a whole number from 200 to 999, got 99", status(99))
      assert.equal("status must be a whole number from 200 to 999, got abc", status "abc")
      assert.equal("status must be a whole number from 200 to 999, got 200.5", status(200.5))
      assert.equal("status must be a whole number from 200 to 999, got table", status {})
      assert.equal("body must be a string or number, got table", (misuse(function(_, res) res:send {} end)))
      assert.equal("header 'X' must be a string or number, got boolean",
        (misuse(function(_, res) res:set("X", true) end)))
      assert.equal("header name must be a string, got nil", (misuse(function(_, res) res:add(nil, "x") end)))
    end)

    it("an argument is of another type", function()
      local function of(fn) return (misuse(fn)) end
      assert.equal("max must be a whole number of at least 0, got x", of(function(req) req:body "x" end))
      assert.equal("max must be a whole number of at least 0, got -1", of(function(req) req:json(-1) end))
      assert.equal("max must be a whole number of at least 0, got nan", of(function(req) req:form(0 / 0) end))
      assert.equal("max must be a whole number of at least 1, got 0", of(function(req) req:read(0) end))
      assert.equal("max must be a whole number of at least 1, got 1.5", of(function(req) req:chunks(1.5) end))
      assert.equal("header name must be a string, got nil", of(function(_, res) res:get() end))
      assert.equal("header name must be a string, got nil", of(function(req) req:header() end))
      assert.equal("status must be a whole number from 200 to 999, got x", of(function(_, res) res:fail "x" end))
      assert.equal("function expected, got number", of(function(_, res) res:after(5) end))
      assert.equal("data must be a string or number, got table", of(function(_, res) res:write("a", {}) end))
    end)

    it("a value is no JSON", function()
      local text, status = misuse(function(_, res) res:json { print } end)
      assert.same({ "Cannot serialise function: type not supported", 500 }, { text, status })
      assert.equal("list expected", (misuse(function(_, res) res:json_list { a = 1 } end)))
    end)
  end)

  describe("that was sent raises at the handler's line when", function()
    -- The client has its answer by then.
    local function late(handler)
      local text, status = misuse(handler)
      assert.equal(200, status)
      return text
    end

    it("it is sent again", function()
      assert.equal("response has already been sent", late(function(_, res)
        res:send "a"
        res:send "b"
      end))
      assert.equal("response has already been sent", late(function(_, res)
        res:send "a"
        res:json {}
      end))
    end)

    it("more is written", function()
      assert.equal("response has not begun, or has already finished", late(function(_, res)
        res:send "a"
        res:write "b"
      end))
      assert.equal("response has not begun, or has already finished", late(function(_, res)
        res:write "a"
        res:finish()
        res:write "b"
      end))
    end)

    it("more comes than was announced", function()
      assert.equal("response body is longer than its Content-Length", late(function(_, res)
        res:begin(1)
        res:write "a"
        res:write "b"
      end))
    end)
  end)

  it("that falls short of its length is cut off, and logged", function()
    local server = support.start(function(_, res)
      res:begin(5)
      res:write "abc"
    end)
    local all = server:raw(support.request "GET / HTTP/1.1")
    assert.truthy(all:find("\r\n\r\nabc$"))
    assert.truthy(server:take_log():find("shorter than its Content-Length", 1, true))
  end)

  it("answers 500 for a handler that fails, and keeps what browsers and logs need of its fields", function()
    local server = support.start(function(_, res)
      res:set("X-Request-Id", "7"):set("Access-Control-Allow-Origin", "*"):set("ETag", '"x"'):cookie("a", "1")
      error "boom"
    end)
    local a = server:ask "GET / HTTP/1.1"
    assert.same({ 500, "Internal Server Error\n", "7", "*" },
      { a.status, a.body, a.headers["x-request-id"], a.headers["access-control-allow-origin"] })
    assert.same({}, { a.headers.etag, a.headers["set-cookie"] })
    assert.truthy(server:take_log():find("error in the handler for GET /: .*boom"))
  end)

  it("tells functions of res:after what was sent, when it is over", function()
    local seen = {}
    local server = support.start(function(req, res)
      res:after(function(_, r) seen[#seen + 1] = { r:sent() } end)
      if req.path == "/stream" then
        res:write "ab"
        res:write "c"
      elseif req.path == "/boom" then error "boom"
      else res:send "four" end
    end)
    server:ask "GET / HTTP/1.1"
    server:ask "GET /stream HTTP/1.1"
    server:ask "HEAD / HTTP/1.1"
    server:ask "GET /boom HTTP/1.1"
    assert.same({ { 200, 4 }, { 200, 3 }, { 200, 0 }, { 500, 22 } }, seen)
    server:take_log()
  end)
end)

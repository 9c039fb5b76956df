-- SPDX-License-Identifier: MIT
-- logger_spec.lua - http.logger, http.request_id and http.secure_headers.

local http = require "moonpark.http"
local moonpark = require "moonpark"
local support = require "support.http"

describe("http.logger", function()
  after_each(support.stop_all)

  -- The lines that are logged while the requests are made.
  local function logged(options, heads, extra)
    local lines, app = {}, http.router()
    options.write = function(line) lines[#lines + 1] = line end
    app:use(http.logger(options))
    if extra then app:use(extra) end
    app:get("/a", function(_, res) res:send "hello" end)
    app:get("/boom", function() error "boom" end)
    app:get("/gone", function(req) req:hijack():close() end)
    app:get("/stream", function(_, res) for _ = 1, 3 do res:write "four" end end)
    local server = support.start(app)
    for _, head in ipairs(heads) do
      if head:find "/gone" then server:raw(support.request(head)) else server:ask(head) end
    end
    server:take_log()
    server:stop()
    return lines
  end

  local TIME = "%[%d%d/%a%a%a/%d%d%d%d:%d%d:%d%d:%d%d %+0000%]"

  it("writes the combined format of Apache and nginx", function()
    local lines = logged({}, { "GET /a?b=c HTTP/1.1\nReferer: http://r.example/\nUser-Agent: test/1",
      "HEAD /a HTTP/1.1" })
    assert.truthy(lines[1]:find('^127%.0%.0%.1 %- %- ' .. TIME
      .. ' "GET /a%?b=c HTTP/1%.1" 200 5 "http://r%.example/" "test/1"$'), lines[1])
    assert.truthy(lines[2]:find('"HEAD /a HTTP/1%.1" 200 %- "%-" "%-"$'), lines[2])
  end)

  it("writes key=value, with the time that it took, the request's id and the user", function()
    local lines = logged({ format = "pairs" }, { "GET /a HTTP/1.1\nX-Request-Id: abc-1" }, function(req, res, next)
      req.user = "a b"
      return http.request_id()(req, res, next)
    end)
    assert.truthy(lines[1]:find('^time=%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ address=127%.0%.0%.1:%d+ method=GET '
      .. 'target=/a status=200 bytes=5 seconds=%d+%.%d%d%d%d%d%d id=abc%-1 user="a b"$'), lines[1])
  end)

  it("tells what was sent in the end: of failures, missing paths, streams and connections taken over", function()
    local function format(req, _, status, bytes) return req.path .. " " .. status .. " " .. bytes end
    local lines = logged({ format = format }, {
      "GET /boom HTTP/1.1", "GET /none HTTP/1.1", "GET /stream HTTP/1.1", "POST /a HTTP/1.1", "GET /gone HTTP/1.1",
    })
    assert.same({ "/boom 500 22", "/none 404 10", "/stream 200 12", "/a 405 19", "/gone 0 0" }, lines)
  end)

  it("writes the combined format of a connection that was taken over, and of a client that has left", function()
    local lines = logged({}, { "GET /gone?x HTTP/1.1\nUser-Agent: test/1" })
    assert.matches('^127%.0%.0%.1 %- %- ' .. TIME .. ' "GET /gone%?x HTTP/1%.1" 0 %- "%-" "test/1"$', lines[1])
    local left, begun = {}, moonpark.event()
    local app = http.router():use(http.logger { write = function(line) left[#left + 1] = line end })
    app:get("/", function(req)
      begun:set()
      while not req:is_gone() do moonpark.yield() end
    end)
    local server = support.start(app)
    local conn = server:dial()
    conn:write(support.request "GET / HTTP/1.1")
    begun:wait()
    conn:close()
    server:stop()
    assert.matches('^127%.0%.0%.1 %- %- ' .. TIME .. ' "GET / HTTP/1%.1" %d+ %- "%-" "%-"$', left[1])
  end)

  it("runs the functions of res:after in their order, those too that are added meanwhile", function()
    local seen = {}
    local function note(name, more)
      return function(_, res)
        seen[#seen + 1] = name
        if more then res:after(more) end
      end
    end
    local server = support.start(function(_, res)
      res:after(note("first", note "third")):after(note "second"):send ""
    end)
    server:ask "GET / HTTP/1.1"
    server:stop()
    assert.same({ "first", "second", "third" }, seen)
    seen = {}
    server = support.start(function(_, res) res:after(note("only", note "added")):send "" end)
    server:ask "GET / HTTP/1.1"
    server:stop()
    assert.same({ "only", "added" }, seen)
  end)

  it("logs what a table has that stands before the request", function()
    local lines, app = {}, http.router()
    app:use(http.logger { write = function(line) lines[#lines + 1] = line end })
    app:get("/a", function(req, res)
      req.user = "anne"
      res:send "hello"
    end)
    local server = support.start(function(req, res) return app(setmetatable({}, { __index = req }), res) end)
    server:ask "GET /a HTTP/1.1"
    server:stop()
    assert.matches('^127%.0%.0%.1 %- anne ' .. TIME .. ' "GET /a HTTP/1%.1" 200 5 ', lines[1])
  end)

  it("writes a user and an id that are numbers", function()
    local lines = logged({ format = "pairs" }, { "GET /a HTTP/1.1" }, function(req, _, next)
      req.user, req.id = 7, 42
      return next()
    end)
    assert.matches(" id=42 user=7$", lines[1])
  end)

  it("escapes what could forge a line or talk to a terminal", function()
    local lines = logged({}, { 'GET /a HTTP/1.1\nUser-Agent: x" 200 "\\\27[2J\255é' })
    if #lines == 1 then -- the parser may refuse it before
      assert.is_nil(lines[1]:find("[%z\1-\31\127-\255]"))
      assert.is_nil(lines[1]:find('x" 200', 1, true))
    end
    lines = logged({}, { 'GET /a HTTP/1.1\nUser-Agent: x" \\ é' })
    assert.truthy(lines[1]:find('"x\\x22 \\x5c \\xc3\\xa9"', 1, true), lines[1])
  end)

  it("raises for a format that there is not", function()
    local err = select(2, pcall(function() http.logger { format = "fancy" } end))
    assert.truthy(err:find("logger_spec%.lua:%d+: logger: option 'format' must be 'combined', 'common', 'json', 'pairs' or a function"))
  end)
end)

describe("http.request_id", function()
  after_each(support.stop_all)

  local function serve(options)
    local app = http.router()
    app:use(http.request_id(options)):get("/", function(req, res) res:send(req.id) end)
    return support.start(app)
  end

  local function ask(server, id)
    local answer = server:ask("GET / HTTP/1.1" .. (id and "\nX-Request-Id: " .. id or ""))
    assert.equal(answer.body, answer.headers["x-request-id"])
    return answer.body
  end

  it("makes one for each request", function()
    local server, seen = serve(), {}
    for _ = 1, 5 do
      local id = ask(server)
      assert.truthy(id:find("^%x+%-%x+$"))
      assert.is_nil(seen[id])
      seen[id] = true
    end
  end)

  it("takes the client's, if it is a plain word of up to 128 characters", function()
    local server = serve()
    assert.equal("abc_1.2-3", ask(server, "abc_1.2-3"))
    for _, bad in ipairs { "a b", "<x>", ("x"):rep(129), "a,b", "é" } do assert.not_equal(bad, ask(server, bad)) end
    assert.not_equal("abc", ask(serve { accept = false }, "abc"))
  end)

  it("may have another header and maker", function()
    local server = serve { header = "X-Trace", make = function() return "made" end }
    local answer = server:ask "GET / HTTP/1.1"
    assert.same({ "made", "made" }, { answer.headers["x-trace"], answer.body })
  end)

  it("raises for a header that there cannot be, and not at each request", function()
    for _, name in ipairs { "", "a b", "a:", "a\r\nb" } do
      local err = select(2, pcall(function() http.request_id { header = name } end))
      assert.matches("logger_spec%.lua:%d+: request_id: option 'header' must be a header's name", err)
    end
  end)
end)

describe("http.secure_headers", function()
  after_each(support.stop_all)

  it("sets them on every answer; a handler may say otherwise", function()
    local app = http.router()
    app:use(http.secure_headers { ["x-frame-options"] = "DENY", ["Content-Security-Policy"] = false, ["X-Own"] = "1" })
    app:get("/", function(_, res) res:set("Referrer-Policy", "no-referrer"):send "" end)
    local server = support.start(app)
    local h = server:ask("GET / HTTP/1.1").headers
    assert.same({ "nosniff", "DENY", "no-referrer", nil, "1" }, { h["x-content-type-options"], h["x-frame-options"],
      h["referrer-policy"], h["content-security-policy"], h["x-own"] })
    assert.equal("nosniff", server:ask("GET /none HTTP/1.1").headers["x-content-type-options"])
  end)

  it("raises for what is no field, and not at each request", function()
    local function refused(wrong, fields)
      local err = select(2, pcall(function() http.secure_headers(fields) end))
      assert.matches("logger_spec%.lua:%d+: secure_headers: " .. wrong, err)
    end
    refused("table of fields expected, got string", "X-Own")
    for _, name in ipairs { 1, "", "a b", "a:", "a\r\nb" } do
      refused("header name expected, got ", { [name] = "1" })
    end
    for _, value in ipairs { true, {}, "a\r\nb", "a\0" } do
      refused("header 'X%-Own' must be a line of text, or false", { ["X-Own"] = value })
    end
  end)
end)

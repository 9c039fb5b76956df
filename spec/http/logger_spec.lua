-- SPDX-License-Identifier: MIT
-- logger_spec.lua - http.logger, http.request_id and http.secure_headers.

local json = require "cjson"
local http = require "moonpark.http"
local log = require "moonpark.log"
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

  it("writes the common format, which is the combined one without its last two fields", function()
    local lines = logged({ format = "common" }, { "GET /a?b=c HTTP/1.1\nReferer: x", "HEAD /a HTTP/1.0",
      'GET /gone?"x HTTP/1.1' })
    assert.matches('^127%.0%.0%.1 %- %- ' .. TIME .. ' "GET /a%?b=c HTTP/1%.1" 200 5$', lines[1])
    assert.matches('"HEAD /a HTTP/1%.0" 200 %-$', lines[2])
    if lines[3] then assert.matches('"GET /gone%?\\x22x HTTP/1%.1" 0 %-$', lines[3]) end
  end)

  it("writes JSON, with what there is", function()
    local lines = logged({ format = "json" }, {
      'GET /a?b=c HTTP/1.1\nX-Request-Id: abc-1\nUser-Agent: te"st\255\nReferer: http://r.example/',
      "HEAD /none HTTP/1.1",
      "GET /gone HTTP/1.1\nUser-Agent: x\\y",
    }, function(req, res, next)
      req.user = "ada"
      return http.request_id()(req, res, next)
    end)
    local first, second, third = json.decode(lines[1]), json.decode(lines[2]), json.decode(lines[3])
    assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$", first.time)
    assert.matches("^127%.0%.0%.1:%d+$", first.client)
    assert.is_true(first.duration >= 0 and first.duration < 60)
    first.time, first.client, first.duration = nil, nil, nil
    assert.same({ method = "GET", path = "/a", query = "b=c", protocol = "HTTP/1.1", status = 200, bytes = 5,
      user = "ada", user_agent = 'te"st\239\191\189', referer = "http://r.example/", request_id = "abc-1" }, first)
    assert.same({ "/none", nil, 404, 0 }, { second.path, second.query, second.status, second.bytes })
    assert.is_nil(second.failure)
    assert.same({ "/gone", 0, "x\\y", "HTTP/1.1" }, { third.path, third.status, third.user_agent, third.protocol })
  end)

  it("names the server that a proxy has asked, and why a response was cut off", function()
    local behind = support.start(function(_, res) res:send "hello" end)
    local lines, app = {}, http.router()
    app:use(http.logger { format = "json", write = function(line) lines[#lines + 1] = line end })
    app:get("/x", http.proxy("http://" .. behind.address))
    app:get("/cut", function(_, res)
      res:write "x"
      error "boom"
    end)
    local server = support.start(app)
    assert.equal("hello", server:ask("GET /x HTTP/1.1").body)
    server:raw(support.request "GET /cut HTTP/1.1")
    server:take_log()
    server:stop()
    behind:stop()
    assert.equal(behind.address, json.decode(lines[1]).upstream)
    assert.equal(200, json.decode(lines[2]).status)
    assert.is_string(json.decode(lines[2]).failure)
  end)

  for name, expected in pairs { name = "one", url = false } do
    it("names a proxy's target by its " .. (expected and "name" or "address if it has none"), function()
      local behind = support.start(function(_, res) res:send "hello" end)
      local lines, app = {}, http.router()
      app:use(http.logger { format = "json", write = function(line) lines[#lines + 1] = line end })
      app:get("/", http.proxy { url = "http://" .. behind.address, [name] = expected or "http://" .. behind.address })
      local server = support.start(app)
      assert.equal("hello", server:ask("GET / HTTP/1.1").body)
      server:stop()
      behind:stop()
      assert.equal(expected or behind.address, json.decode(lines[1]).upstream)
    end)
  end

  it("writes 101 for a WebSocket, also for one that a proxy passes on", function()
    local behind = support.start(function(_, res) res:websocket({}, function(ws) ws:receive() end) end)
    for _, format in ipairs { "combined", "json" } do
      local lines, app = {}, http.router()
      app:use(http.logger { format = format, write = function(line) lines[#lines + 1] = line end })
      app:get("/", http.proxy("http://" .. behind.address))
      local server = support.start(app)
      local ws = assert(http.websocket("ws://" .. server.address))
      ws:close()
      server:stop()
      assert.equal(1, #lines)
      assert.equal("101", lines[1]:match '" (%d+) %-' or lines[1]:match '"status":(%d+),')
    end
    behind:stop()
  end)

  it("hides queries, or the values of some parameters, in every format, and in Referer", function()
    local head = "GET /a?token=s3cret&x=1&TOKEN=s3cret&%74oken=s3cret HTTP/1.1\n"
      .. "Referer: http://r.example/?token=s3cret#f"
    for _, format in ipairs { "combined", "common", "json", "pairs" } do
      for _, query in ipairs { false, { "Token" } } do
        local lines = logged({ format = format, query = query }, { head, (head:gsub("/a", "/gone")) })
        for i = 1, 2 do
          assert.is_nil(lines[i]:find("s3cret", 1, true), lines[i])
          assert.equal(query ~= false, lines[i]:find("x=1", 1, true) ~= nil, lines[i])
        end
      end
      local all = logged({ format = format, query = true }, { head })[1]
      assert.truthy(all:find("s3cret", 1, true), all)
    end
    local line = logged({ format = "combined", query = { "token" } }, { head })[1]
    assert.truthy(line:find('"GET /a?token=hidden&x=1&TOKEN=hidden&%74oken=hidden HTTP/1.1"', 1, true), line)
    assert.truthy(line:find('"http://r.example/?token=hidden#f"', 1, true), line)
  end)

  it("raises for a format that there is not", function()
    local err = select(2, pcall(function() http.logger { format = "fancy" } end))
    assert.matches("logger_spec%.lua:%d+: logger: option 'format' must be 'combined', 'common', 'json', 'pairs' or a "
      .. "function", err)
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

  it("is a field of all lines that are logged for the request, and of no other", function()
    local lines = {}
    log.configure { format = "json", output = function(line) lines[#lines + 1] = json.decode(line) end }
    local app = http.router():use(http.request_id { header = "X-Id" })
    app:get("/", function(_, res)
      log.info "handler"
      moonpark.go(function() log.named("db").info "child" end):join()
      res:send ""
    end)
    app:get("/boom", function() error "boom" end)
    local server = assert(http.server(app, { address = "127.0.0.1:0" }))
    local serving = moonpark.go(server.run, server)
    for path, id in pairs { ["/"] = "one", ["/boom"] = "two" } do
      assert(http.get("http://" .. server:address() .. path, { headers = { ["X-Id"] = id } }))
    end
    log.info "outside"
    server:close()
    serving:join()
    table.sort(lines, function(a, b) return (a.request_id or "z") < (b.request_id or "z") end)
    if lines[1].message == "child" then lines[1], lines[2] = lines[2], lines[1] end
    log.configure { format = "text", output = "stderr" }
    local seen = {}
    for i, line in ipairs(lines) do seen[i] = { line.message:match "^[^:]*", line.request_id, line.logger } end
    assert.same({ { "handler", "one" }, { "child", "one", "db" },
      { "error in the handler for GET /boom", "two", "http" }, { "outside" } }, seen)
  end)

  it("and what else is set for a request are gone with the request", function()
    local lines = {}
    log.configure { format = "json", output = function(line) lines[#lines + 1] = json.decode(line) end }
    local server = support.start(function(req, res)
      if req.path == "/first" then log.set { secret = 1 } end
      log.info(req.path)
      res:send ""
    end)
    local conn = server:dial()
    for _, path in ipairs { "/first", "/second" } do
      conn:write(support.request("GET " .. path .. " HTTP/1.1\nHost: x"))
      assert(conn:read())
    end
    conn:close()
    server:stop()
    log.configure { format = "text", output = "stderr" }
    assert.same({ "/first", 1, "/second" }, { lines[1].message, lines[1].secret, lines[2].message })
    assert.is_nil(lines[2].secret)
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

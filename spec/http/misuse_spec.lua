-- SPDX-License-Identifier: MIT
-- misuse_spec.lua - mistakes with what moonpark.http has: each is said at the script's line, and no client is left with
-- an empty answer, or none.

local http = require "moonpark.http"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local support = require "support.http"

local TAIL = ' local _ = 1' -- no case is a tail call

-- Code with these names in it, as a script that is called script.lua.
local function script(code, names)
  local chunk = assert(loadstring(code .. TAIL, "@script.lua"))
  return setfenv(chunk, setmetatable(names, { __index = _G }))
end

describe("a call that cannot be meant", function()
  after_each(support.stop_all)

  local near, far, listener

  before_each(function()
    near, far = net.pipe()
    listener = assert(net.listen "127.0.0.1:0")
  end)

  after_each(function()
    listener:close()
    near:close()
    far:close()
  end)

  local function names()
    local app = http.router()
    return { http = http, app = app, client = http.client(), conn = near, h = function() end, NAN = 0 / 0,
      listener = listener, task = moonpark.go(function() end), scope = moonpark.scope(function(scope) return scope end),
      group = http.group(), server = support.start(app:get("/", print)).server }
  end

  -- code, what the error says after the line
  local cases = {
    { [[http.post("http://h/", "body")]], "http.post: a table of options expected, got string, as in http.post(" },
    { [[http.get("http://h/", 5)]], "http.get: a table of options expected, got number" },
    { [[http.get("http://h/", {}, {})]], "http.get takes a URL and a table of options" },
    { [[http.get()]], "http.get: URL expected, got nil" },
    { [[http.get { url = "http://h/" }]], "http.get: URL expected, got table: http.request takes a table" },
    { [[http:get("http://h/")]], "call it with a dot, http.get(url)" },
    { [[http.get("http://h/", { url = "http://i/" })]], "option 'url' is said already" },
    { [[http.request()]], "table of options expected, got nil" },
    { [[http.request "http://h/"]], "table of options expected, got string" },
    { [[http.request { url = "http://h/", method = "get" }]], "methods must be in upper case: GET" },
    { [[http.request { url = 5 }]], "option 'url' must be a string, not a number" },
    { [[http.client(5)]], "http.client: a table of options expected, got number" },
    { [[http.client { base_url = "127.0.0.1:80/" }]], "invalid URL: no scheme, such as http://" },
    { [[http.client { headers = { "x" } }]], "http.client: invalid header name '1'" },
    { [[http.client { auth = {} }]], "option 'auth' must be { name, password }" },
    { [[http.client { max_conections = 1 }]], "did you mean 'max_connections'?" },
    { [[client.get("http://h/")]], "client expected, got string: use client:get(...)" },
    { [[client.request { url = "http://h/" }]], "client expected, got table: use client:request(...)" },
    { [[client.stats()]], "client expected, got nil: use client:stats(...)" },
    { [[client:get("http://h/", { heders = {} })]], "unknown option 'heders'; did you mean 'headers'?" },
    { [[client:get("http://h/", { timeout = "5" })]], "option 'timeout' must be a number of at least 0, not a string" },
    { [[client:get("http://h/", { timeout = NAN })]], "option 'timeout' must be a number of at least 0, not NaN" },
    { [[client:get("http://h/", { redirects = -1 })]], "option 'redirects' must be a whole number" },
    { [[client:get("http://h/", { query = { a = print } })]], "option 'query' must map names to texts" },
    { [[client:post("http://h/", { form = { a = {{}} } })]], "option 'form' must map names to texts" },
    { [[client:post("http://h/", { json = 1, body = "x" })]], "option 'json': there is a body already" },
    { [[client:post("http://h/", { json = 1, form = {} })]], "option 'form': there is a body already" },
    { [[client:post("http://h/", { json = print })]], "option 'json': Cannot serialise function" },
    { [[http.server(h, { address = "localhost" })]], "http.server: missing port: 'localhost'" },
    { [[http.server(h, { address = 8080 })]], "option 'address' must be a string, not a number" },
    { [[http.server(h, { adress = ":0" })]], "unknown option 'adress'; did you mean 'address'?" },
    { [[http.server(h, { port = 8080 })]], [[unknown option 'port': address = "127.0.0.1:8080"]] },
    { [[http.server(h, { address = ":0", workers = 2 })]], "option 'workers' is one of http.serve" },
    { [[http.server(h, { address = ":0", max_head = NAN })]], "option 'max_head' must be a whole number" },
    { [[http.serve()]], "http.serve: handler expected, got nil" },
    { [[http.serve {}]], "http.serve: handler expected, got table" },
    { [[http.serve { address = ":0" }]], "http.serve: handler expected before the options" },
    { [[http.serve(h)]], "http.serve: address or listener expected, as in {" },
    { [[http.serve(h, {})]], "http.serve: address or listener expected" },
    { [[http.serve(h, 8080)]], "http.serve: a table of options expected, got number, as in {" },
    { [[http:serve(h, { address = ":0" })]], "got the module: call it with a dot" },
    { [[http.serve(http.router, { address = ":0" })]], "handler expected, got http.router itself" },
    { [[http.static()]], "path of a folder expected" },
    { [[http.static("/", { indx = {} })]], "unknown option 'indx'; did you mean 'index'?" },
    { [[http.static("/", { index = "index.html" })]], "option 'index' must be a list of names" },
    { [[http.logger { formt = "pairs" }]], "unknown option 'formt'; did you mean 'format'?" },
    { [[http.compress { min = -1 }]], "option 'min' must be a whole number of at least 0, not -1" },
    { [[http.cors "*"]], "cors: a table of options expected, got string" },
    { [[http.cors { max_age = NAN }]], "option 'max_age' must be a whole number of at least 0, not NaN" },
    { [[http.basic_auth()]], "basic_auth: a realm and either users or check expected" },
    { [[http.basic_auth { realm = "r", user = {} }]], "unknown option 'user'; did you mean 'users'?" },
    { [[http.request_id { header = "a b" }]], "option 'header' must be a header's name" },
    { [[http.secure_headers { ["a b"] = "c" }]], "header name expected" },
    { [[http.redirect_to_https { port = -1 }]], "option 'port' must be a whole number from 1 to 65535" },
    { [[http.group { max_queue = NAN }]], "option 'max_queue' must be a whole number of at least 0, not NaN" },
    { [[http.group { policy = "x" }]], "option 'policy' must be" },
    { [[http.websocket()]], "URL expected, got nil" },
    { [[http.websocket("ws://h/", 5)]], "a table of options expected, got number" },
    { [[http.websocket "127.0.0.1:80"]], "a URL that begins with ws:// or wss:// expected" },
    { [[http.reason()]], "reason: status expected, got nil" },
    { [[http.ngx(5)]], "function expected, got number" },
    { [[http.sever(h)]], "moonpark.http has no 'sever'; did you mean 'server'?" },
    { [[http.Router()]], "moonpark.http has no 'Router'; did you mean 'router'?" },
    { [[app.get("/x", h)]], "router expected, got string: use app:get(...)" },
    { [[app.use(h)]], "router expected, got function: use app:use(...)" },
    { [[app.use()]], "router expected, got nil: use app:use(...)" },
    { [[app.group("/x")]], "use app:group(...)" },
    { [[app.mount("/x", h)]], "use app:mount(...)" },
    { [[app.not_found(h)]], "use app:not_found(...)" },
    { [[app.route("GET", "/x", h)]], "use app:route(...)" },
    { [[app:get(h)]], "path must begin with '/', got a function" },
    { [[app:get("/x")]], "handler expected, got nil" },
    { [[app:get("/x", "hello")]], "handler expected, got string" },
    { [[app:get("/x", h, h)]], "a route has one handler: add middleware with app:use" },
    { [[app:any("/x", h, h)]], "a route has one handler" },
    { [[app:get("x", h)]], "path must begin with '/', got 'x'" },
    { [[app:get("/a", h):get("/a", h)]], "a route for GET /a already exists" },
    { [[app:route("get", "/x", h)]], "methods must be in upper case: GET" },
    { [[app:get("/x", http.static)]], "handler expected, got http.static itself: call it, http.static(...)" },
    { [[app:use "/x"]], "middleware expected, got string: app:group and app:mount" },
    { [[app:use("/x", h)]], "middleware expected, got string: app:group and app:mount" },
    { [[app:use(h, h)]], "use takes one function" },
    { [[app:use(http.logger)]], "middleware expected, got http.logger itself: call it, http.logger(...)" },
    { [[app:use(http.router())]], [[got a router, which calls no next(): app:mount("/", router)]] },
    { [[app:mount("/x", app)]], "a router cannot be mounted in itself" },
    { [[app:gte("/x", h)]], "attempt to call method 'gte' (a nil value)" },
    { [[server.shutdown(1)]], "server expected, got number: use server:shutdown(...)" },
    { [[server:shutdown "now"]], "number of seconds expected" },
    { [[group.send("x")]], "group expected, got string: use group:send(...)" },
    { [[conn.read(10)]], "connection expected, got number: methods take a colon, as in object:read(...)" },
    { [[conn.lines()]], "connection expected, got nil: methods take a colon, as in object:lines(...)" },
    { [[listener.serve(h)]], "listener expected, got function: methods take a colon, as in object:serve(...)" },
    { [[listener.accepts()]], "listener expected, got nil: methods take a colon, as in object:accepts(...)" },
    { [[task.join()]], "task expected, got nil: methods take a colon, as in task:join(...)" },
    { [[task.join(5)]], "task expected, got number: methods take a colon, as in task:join(...)" },
    { [[task.cancel()]], "task expected, got nil: methods take a colon, as in task:cancel(...)" },
    { [[task.cancel("why")]], "task expected, got string: methods take a colon, as in task:cancel(...)" },
    { [[task.name()]], "task expected, got nil: methods take a colon, as in task:name(...)" },
    { [[task.cancel_reason()]], "task expected, got nil: methods take a colon, as in task:cancel_reason(...)" },
    { [[task.status()]], "task expected, got no value: methods take a colon, as in object:status(...)" },
    { [[scope.go(h)]], "scope expected, got function: methods take a colon, as in scope:go(...)" },
    { [[scope.go(h, h)]], "scope expected, got function: methods take a colon, as in scope:go(...)" },
    { [[scope.go()]], "scope expected, got nil: methods take a colon, as in scope:go(...)" },
    { [[scope:go(5)]], "bad argument #1 to 'go' (function expected, got number)" },
    { [[scope.cancel()]], "scope expected, got no value: methods take a colon, as in object:cancel(...)" },
    { [[conn.write("x")]], "connection expected, got string: methods take a colon, as in object:write(...)" },
  }

  -- Each way to call fn, with what it raises.
  local ways = {
    ["pcall"] = function(fn) return pcall(fn) end,
    ["xpcall"] = function(fn) return xpcall(fn, function(err) return err end) end,
    ["a coroutine"] = function(fn) return coroutine.resume(coroutine.create(fn)) end,
    ["a wrapped one"] = function(fn) return pcall(coroutine.wrap(fn)) end,
    ["a task"] = function(fn) return moonpark.go(function() fn() return 1 end):join() end,
    ["a hot loop"] = function(fn)
      local ok, err
      for _ = 1, 100 do ok, err = pcall(fn) end
      return ok, err
    end,
  }

  for way, call in pairs(ways) do
    it("names the script's line: in " .. way, function()
      local with = names()
      for _, case in ipairs(cases) do
        local ok, err = call(script(case[1], with))
        assert.is_not_true(ok, case[1])
        assert.equal("script.lua:1: ", tostring(err):sub(1, 14), case[1])
        assert.matches(case[2], err, 1, true)
      end
    end)
  end

  it("is no URL without a scheme, which is said", function()
    for _, text in ipairs { "127.0.0.1:80/", "localhost:80", "localhost", "example.com/x", "h:1?x" } do
      assert.same({ nil, "invalid URL: no scheme, such as http://" }, { http.get(text) }, text)
    end
    for _, text in ipairs { "/x", "" } do assert.same({ nil, "invalid URL" }, { http.get(text) }, text) end
  end)
end)

describe("a handler", function()
  after_each(support.stop_all)

  local OWN = "Internal Server Error\n"

  -- What a client gets from a handler with that code; what was logged; how often a second request logs something.
  local function asked(code, middleware)
    local handler = script("local req, res = ... " .. code, { http = http, moonpark = moonpark })
    local app = http.router()
    if middleware then app:use(script("local req, res, next = ... " .. middleware, { http = http })) end
    local server = support.start(app:any("/", handler))
    local answer = server:ask("POST / HTTP/1.1", "a body")
    local log = server:take_log()
    server:ask("POST / HTTP/1.1", "a body")
    return answer, log, server:take_log()
  end

  local meant = {
    { [[if true then return "hello" end]], 200, "hello", "text/plain; charset=utf-8" },
    { [[if true then return "" end]], 200, "", "text/plain; charset=utf-8" },
    { [[if true then return { a = 1 } end]], 200, [[{"a":1}]], "application/json" },
    { [[if true then return { 1, 2 } end]], 200, "[1,2]", "application/json" },
    { [[res.status = 404 if true then return "no such page" end]], 404, "no such page", "text/plain; charset=utf-8" },
    { [[res.type = "text/html" if true then return "<p>" end]], 200, "<p>", "text/html" },
    { [[res.status = 404]], 404, "", "text/plain; charset=utf-8" },
    { [[if true then return res:send "x" end]], 200, "x", "text/plain; charset=utf-8" },
    { [[res:send "x" if true then return "y" end]], 200, "x", "text/plain; charset=utf-8" },
    { [[res:send(("a-b"):gsub("-", "+"))]], 200, "a+b", "text/plain; charset=utf-8" },
    { [[res:json({ 1 }, 7)]], 200, "[1]", "application/json" },
    { [[coroutine.wrap(function() res:send "x" end)()]], 200, "x", "text/plain; charset=utf-8" },
    { [[req.mine = 1 req.usr = req.mine res.locals = req.usr res:send(tostring(res.locals + req.usr))]], 200, "2",
      "text/plain; charset=utf-8" },
  }

  it("may return its answer, and may do what is no mistake without a word", function()
    for _, case in ipairs(meant) do
      local answer, log = asked(case[1])
      assert.same({ case[2], case[3], case[4], "" },
        { answer.status, answer.body, answer.headers["content-type"], log }, case[1])
    end
  end)

  -- code, what is logged; the client gets 500, and so does the next one
  local wrong = {
    { [[if true then return 404 end]], "script.lua:0: handler returned the number 404: use res:fail(404)" },
    { [[if true then return 201 end]], "returned the number 201: set res.status = 201" },
    { [[if true then return nil, "no luck" end]], [[script.lua:0: handler returned nil, "no luck"]] },
    { [[if true then return print end]], "handler returned a function" },
    { [[if true then return "x", 404 end]], "returned a string and 404: only one value can be the answer" },
    { [[if true then return ("a"):gsub("a", "b") end]], "put a call that returns more, as text:gsub(...)," },
    { [[if true then return http.router() end]], "handler returned an object" },
    { [[if true then return { print } end]], "Cannot serialise function: type not supported" },
    { [[res:send(404, "x")]], "script.lua:1: send takes no status: set res.status = 404 before it" },
    { [[res:json(404, { a = 1 })]], "script.lua:1: json takes no status" },
    { [[res:send(nil, "no such file")]], "script.lua:1: send: nil, no such file" },
    { [[res:json(nil, "no such row")]], "script.lua:1: json: nil, no such row" },
    { [[res:json()]], "script.lua:1: json: value expected, got nil; http.null is JSON's null" },
    { [[res:json(print)]], "script.lua:1: Cannot serialise function: type not supported" },
    { [[res:json { a = coroutine.create(print) }]], "script.lua:1: Cannot serialise thread: type not supported" },
    { [[res:json { 1LL }]], "script.lua:1: Cannot serialise cdata: type not supported" },
    { [[local a = {} a.a = a res:json(a)]], "script.lua:1: Cannot serialise, excessive nesting" },
    { [[res:json_list()]], "script.lua:1: json_list: list expected, got nil" },
    { [[res:send {}]], "script.lua:1: body must be a string or number, got table" },
    { [[res:send(req.body)]], "script.lua:1: body must be a string or number, got function" },
    { [[res:redirect(301, "/x")]], "script.lua:1: redirect: location expected, got number: the status comes after it" },
    { [[res:redirect()]], "script.lua:1: redirect: location expected, got nil" },
    { [[res:fail "no such page"]], "script.lua:1: status must be a whole number from 200 to 999, got no such page" },
    { [[res:fail()]], "script.lua:1: status must be a whole number from 200 to 999, got nil" },
    { [[res.send("x")]], "script.lua:1: response expected, got string: use res:send(...)" },
    { [[res.json { a = 1 }]], "script.lua:1: response expected, got table: use res:json(...)" },
    { [[res.json { "a" }]], "script.lua:1: response expected, got table: use res:json(...)" },
    { [[res.fail(404)]], "script.lua:1: response expected, got number: use res:fail(...)" },
    { [[res.set("A", "b")]], "script.lua:1: response expected, got string: use res:set(...)" },
    { [[req.header("Host")]], "script.lua:1: request expected, got string: use req:header(...)" },
    { [[req.body()]], "script.lua:1: request expected, got nil: use req:body(...)" },
    { [[res:status(404)]], "hint: 'status' is a field, not a method: res.status = 404 sets it" },
    { [[res.status(404)]], "hint: 'status' is a field, not a method" },
    { [[req:path()]], "hint: 'path' is a field, not a method" },
    { [[res:send("x" .. req.body)]], "hint: 'body' is a method: call it, as in req:body()" },
    { [[res:send(req.json.name)]], "hint: 'json' is a method: call it, as in req:json()" },
    { [[res.json = { a = 1 }]], "script.lua:1: 'json' is a method: call it, res:json(...)" },
    { [[res.status = "no"  res:send "x"]], "script.lua:1: status must be a whole number from 200 to 999, got no" },
    { [[res:type "text/html"]], "hint: 'type' is a field, not a method: res.type" },
    { [[res.type = {} res:send "x"]], "script.lua:1: type must be a string, got table" },
    { [[res.status = 99 res:send()]], "script.lua:1: status must be a whole number from 200 to 999, got 99" },
    { [[res:begin "x"]], "script.lua:1: bad argument #3 to 'begin' (number expected, got string)" },
    { [[res:write(nil)]], "script.lua:1: data must be a string or number, got nil" },
    { [[res:finish()]], "script.lua:1: response has not begun, or has already finished" },
    { [[res:set { A = "b" }]], "script.lua:1: header name must be a string, got table" },
    { [[res:add "A"]], "script.lua:1: header 'A' must be a string or number, got nil" },
    { [[res:vary()]], "script.lua:1: header name must be a string, got nil" },
    { [[res:cookie("a", "b", 5)]], "script.lua:1: cookie: a table of options expected, got number" },
    { [[res:cookie("a", "b", { maxage = 1 })]], "script.lua:1: unknown cookie option 'maxage'" },
    { [[res:events(5)]], "script.lua:1: events: a table of options expected, got number" },
    { [[res:websocket(5)]], "script.lua:1: websocket: a table of options expected, got number" },
    { [[res:file()]], "script.lua:1: bad argument #1 to 'file' (path expected, got nil)" },
    { [[res:after(5)]], "script.lua:1: function expected, got number" },
    { [[req:body "x"]], "script.lua:1: max must be a whole number of at least 0, got x" },
    { [[req:read(0 / 0)]], "script.lua:1: max must be a whole number of at least 1, got nan" },
    { [[req:header_values()]], "script.lua:1: header name must be a string, got nil" },
    { [[req:multipart { max_part = -1 }]], "script.lua:1: multipart: option 'max_part' must be a whole number" },
    { [[error { code = 404 }]], "POST /: { code = 404 }\n" },
    { [[error { 1, status = 404, more = {} }]], "hint: an error is answered with 500; res:fail(404) answers with" },
  }

  it("that returns, calls or takes what cannot be meant is named, and its client gets 500", function()
    for _, case in ipairs(wrong) do
      local answer, log, again = asked(case[1])
      assert.same({ 500, OWN }, { answer.status, answer.body }, case[1])
      assert.matches(case[2]:gsub(":0: ", ":"), log:gsub("script.lua:0: ", "script.lua:"), 1, true)
      assert.matches("error in the handler for POST /", again, 1, true)
    end
  end)

  -- What a tail call raises, whose frame is gone: the place of the handler stands for the line.
  local tail_calls = {
    { [[return res:fail("bad")]], "status must be a whole number from 200 to 999, got bad" },
    { [[return res:send {}]], "body must be a string or number, got table" },
    { [[return res:send(404, "x")]], "send takes no status: set res.status = 404 before it" },
    { [[return res:send(nil, "no luck")]], "send: nil, no luck" },
    { [[return res:json(nil)]], "json: value expected, got nil" },
    { [[return res:json(404, {})]], "json takes no status" },
    { [[return res:json(print)]], "Cannot serialise function: type not supported" },
    { [[return res:json_list()]], "json_list: list expected, got nil" },
    { [[return res:html(nil)]], "" },
    { [[return res:redirect(nil)]], "redirect: location expected, got nil" },
    { [[return res:file(nil)]], "bad argument #1 to 'file' (path expected, got nil)" },
    { [[return res:websocket { max = 1 }]], "unknown" },
    { [[return res:events { heartbeet = 1 }]], "unknown" },
    { [[return res:write(nil)]], "data must be a string or number, got nil" },
    { [[return res:begin "x"]], "(number expected, got string)" },
    { [[return res:set { A = "b" }]], "header name must be a string, got table" },
    { [[return res:cookie("a", "b", 5)]], "cookie: a table of options expected, got number" },
    { [[return res.json { a = 1 }]], "response expected, got table: use res:json(...)" },
    { [[return req:body "x"]], "max must be a whole number of at least 0, got x" },
    { [[return req.body()]], "request expected, got nil: use req:body(...)" },
    { [[return req:multipart { max_part = -1 }]], "multipart: option 'max_part' must be a whole number" },
    { [[return http.get()]], "http.get: URL expected, got nil" },
    { [[res:send "x" return http.proxy "http://h:1"(req, res)]], "response has already been sent" },
    { [[res:send "x" return res:send "y"]], "response has already been sent" },
  }

  local function tail_called(code)
    return setfenv(assert(loadstring("\nreturn function(req, res, next) " .. code .. " end", "@script.lua")),
      setmetatable({ http = http }, { __index = _G }))()
  end

  it("that ends with a call which raises is named by the place where it begins", function()
    for _, case in ipairs(tail_calls) do
      local server = support.start(http.router():any("/", tail_called(case[1])))
      server:ask "GET / HTTP/1.1"
      local log = server:take_log()
      assert.matches("GET /: script.lua:2: in the handler that begins here: ", log, 1, true, case[1])
      assert.matches(case[2], log, 1, true)
      server:stop()
    end
  end)

  it("that is the server's only one is named, too; so is what another function of the script has called", function()
    local server = support.start(tail_called [[return res:fail "bad"]])
    assert.equal(500, server:ask("GET / HTTP/1.1").status)
    assert.matches("^error in the handler for GET /: script.lua:2: in the handler that begins here: status must be",
      server:take_log())
    server = support.start(tail_called [[local function help() return res:fail "bad" end local _ = help()]])
    server:ask "GET / HTTP/1.1"
    assert.matches("GET /: script.lua:2: status must be", server:take_log(), 1, true)
  end)

  -- code, status, body, what is logged, once
  local warned = {
    { [[]], 200, "", "handler has not answered POST /: the client gets an empty 200; res:send() says so on purpose" },
    { [[moonpark.go(function() pcall(res.send, res, "late") end)]], 200, "", "handler has not answered POST /" },
    { [[res:send("x", 404)]], 200, "x", "send takes one value; the second, 404, is not sent" },
    { [[res:json({ 1 }, 404)]], 200, "[1]", "json takes one value; the second, 404, is not sent" },
    { [[res:send("x", "text/html")]], 200, "x", "send takes one value; the second, text/html, is not sent" },
    { [[res:send "x" local _ = req.parms]], 200, "x", "requests have no 'parms'; did you mean 'params'?" },
    { [[res:send "x" local _ = req.heders]], 200, "x", "requests have no 'heders'; did you mean 'headers'?" },
    { [[res:send "x" local _ = req.args]], 200, "x", "requests have no 'args'; did you mean 'query'?" },
    { [[res.stauts = 404 res:send "x"]], 200, "x", "responses have no 'stauts'; did you mean 'status'?" },
    { [[res.body = "x" res:send "y"]], 200, "y", "responses have no 'body'; did you mean 'send'?" },
    { [[res.fail = function() end res:fail(404)]], 404, "Not Found\n", "set as res.fail has not answered for 404" },
  }

  it("that only looks mistaken is answered for, and named once", function()
    for _, case in ipairs(warned) do
      local answer, log, again = asked(case[1])
      assert.same({ case[2], case[3] }, { answer.status, answer.body }, case[1])
      assert.matches("^script%.lua:%d+: ", log, nil, case[1])
      assert.matches(case[4], log, 1, true)
      if case[4]:find "fail" then again = "" end -- a function of its own for each request
      assert.equal("", again, case[1])
    end
  end)

  it("that answers too late, or twice, is named; the first answer stands", function()
    for code, text in pairs {
      [ [[res:send "x" res:send "y"]] ] = "script.lua:1: response has already been sent",
      [ [[res:send "x" res:set("A", "b")]] ] = "header 'A' comes too late: response has already been sent",
      [ [[res:send "x" res:cookie("a", "b")]] ] = "header 'Set-Cookie' comes too late: response has already been sent",
      [ [[res:send "x" res.status = 404]] ] = "script.lua:1: response has already been sent",
      [ [[res:send "x" res:fail(404)]] ] = "script.lua:1: response has already been sent",
      [ [[res:send "x" res:redirect("/")]] ] = "script.lua:1: response has already been sent",
      [ [[res:send "x" res:write("y")]] ] = "script.lua:1: response has not begun, or has already finished",
    } do
      local answer, log = asked(code)
      assert.same({ 200, "x" }, { answer.status, answer.body }, code)
      assert.matches(text, log, 1, true)
    end
  end)

  it("that answers what it has begun by res:write is told so, and its client sees a cut", function()
    local begun = "script.lua:1: response has already begun"
    for code, text in pairs { ["res:send 'y'"] = begun .. ": go on with res:write()", ["res:json {}"] = begun,
      ["res:fail(404)"] = begun, ["res:redirect '/'"] = begun, ["res:begin()"] = begun, ["res:html 'y'"] = begun,
      ["res:file '/etc/hostname'"] = begun, ["res:events()"] = begun } do
      local server = support.start(script("local req, res = ... res:write 'x' " .. code, {}))
      local got = server:raw "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
      assert.matches("\r\n\r\n1\r\nx\r\n$", got, nil, code)
      assert.matches(text, server:take_log(), 1, true, code)
      server:stop()
    end
  end)

  it("whose res.fail answers nothing still gives its client an answer", function()
    for _, code in ipairs { "error 'x'", "res:fail(500)", "res.status = 500 if true then return 1 end" } do
      local answer = asked("res.fail = function() end " .. code)
      assert.same({ 500, OWN }, { answer.status, answer.body }, code)
    end
  end)

  it("of an event stream has its methods checked, too", function()
    for code, text in pairs { [ [[events.send("x")]] ] = "event stream expected, got string: use events:send(...)",
      [ [[events.send { data = "x" }]] ] = "event stream expected, got table: use events:send(...)",
      [ [[events.close()]] ] = "event stream expected, got nil: use events:close(...)" } do
      local handler = script("local _, events = ... " .. code, {})
      local message
      local server = support.start(function(req, res)
        local events = res:events()
        message = select(2, pcall(handler, req, events))
        events:close()
      end)
      server:ask "GET / HTTP/1.1"
      assert.equal("script.lua:1: " .. text, message)
    end
  end)
end)

describe("middleware", function()
  after_each(support.stop_all)

  local function asked(code)
    local fn = script("local req, res, next = ... " .. code, {})
    local server = support.start(http.router():use(fn):get("/", function() return "inner" end))
    local answer = server:ask "GET / HTTP/1.1"
    return answer.status, answer.body, server:take_log()
  end

  it("that neither answers nor calls next() is a mistake: 500", function()
    local status, _, log = asked "local _ = next"
    assert.equal(500, status)
    assert.matches("^script%.lua:%d+: middleware has neither answered GET / nor called next%(%)$", log)
  end)

  it("that passes next() something, as in Express, does not get to the handler", function()
    for _, code in ipairs { "next 'no'", "next(false)", "next(nil, 'no')", "next(req, res)", "pcall(next, 'no')",
      "if true then return next('no') end" } do
      local ran = false
      local fn = script("local req, res, next = ... " .. code, {})
      local server = support.start(http.router():use(fn):get("/", function() ran = true end))
      assert.equal(500, server:ask("GET / HTTP/1.1").status)
      local log = server:take_log()
      if code:find "^next" then
        assert.matches("GET /: script.lua:1: next takes no argument: answer with res:fail(401)", log, 1, true)
      end
      assert.is_false(ran, code)
    end
  end)

  it("that ends with a call which raises is named, not what it is around, nor what raises the error again", function()
    local around = "function(_, _, next) local ok, err = pcall(next) if not ok then error(err, 0) end end"
    local begins = "script.lua:1: in the middleware that begins here: "
    local fails = "use(function(_, res) return res:fail 'bad' end)"
    for code, expected in pairs {
      [fails] = begins .. "status",
      ["use(function(_, _, next) return next 'bad' end)"] = begins .. "next ",
      [("use(%s):%s"):format(around, fails)] = "returned.lua:",
      ["use(http.limit_concurrency { max = 1 }):" .. fails] = begins .. "status",
    } do
      local app = http.router()
      script("app:" .. code, { app = app, http = http })()
      local server = support.start(app:get("/", function() return "secret" end))
      assert.equal(500, server:ask("GET / HTTP/1.1").status)
      assert.matches(expected, server:take_log(), 1, true)
    end
  end)

  it("may forget to return what next() has returned", function()
    assert.same({ 200, "inner", "" }, { asked "next()" })
    assert.same({ 200, "inner", "" }, { asked "if true then return next() end" })
  end)

  it("may answer by what it returns, or by a status", function()
    assert.same({ 200, "mine", "" }, { asked "if true then return 'mine' end" })
    assert.same({ 204, "", "" }, { asked "res.status = 204" })
  end)

  it("that makes middleware is not called for one", function()
    local status, _, log = asked "if true then return function() return next() end end"
    assert.equal(500, status)
    assert.matches("middleware returned a function: if it makes middleware or handlers, call it", log, 1, true)
  end)

  it("sees a returned answer as sent", function()
    local phases = {}
    local app = http.router():use(function(_, res, next)
      phases[1] = res:is_begun()
      next()
      phases[2] = res:is_begun()
    end)
    app:get("/", function() return "x" end)
    support.start(app):ask "GET / HTTP/1.1"
    assert.same({ false, true }, phases)
  end)
end)

describe("a server", function()
  after_each(support.stop_all)

  -- What it logs of a router with the middleware m, the handler h, and what answers where there is no route.
  local function said_of(code)
    local app = http.router()
    script(code, { app = app, http = http, m = function(_, _, next) return next() end, h = function() end,
      last = function(_, res) res:fail(404) end })()
    local server = support.start(app)
    moonpark.yield()
    local log = server:take_log()
    server:stop()
    return log
  end

  it("names middleware that is added after all routes", function()
    local none = "middleware that is added after all routes "
    local outside = none .. "is around none of them, only around 404, 405, 501 and OPTIONS"
    for code, text in pairs {
      ["app:get('/', h)\napp:use(m)"] = "script.lua:2: " .. outside,
      ["app:get('/', h)\napp:use(m)\napp:use(http.cors())"] = ("script.lua:2: %s\nscript.lua:3: %s"):format(outside,
        outside),
      ["app:group('/x', function(g) g:get('', h)\ng:use(m) end)\napp:get('/', h)"] = "script.lua:2: " .. none
        .. "of its group is around none of them",
      ["app:group('/x'):get('', h)\napp:use(m)"] = "script.lua:2: " .. outside,
      ["app:mount('/x', h)\napp:use(m)"] = "script.lua:2: " .. outside,
      ["app:mount('/x', http.router():get('/', h):use(m))"] = "script.lua:1: " .. outside,
    } do
      assert.equal(text, said_of(code), code)
    end
  end)

  it("says nothing of middleware that has a route, or is for requests without one", function()
    for _, code in ipairs {
      "app:use(m):get('/', h)", "app:get('/', h):use(m):get('/x', h)", "app:get('/', h):use(m):mount('/x', h)",
      "app:get('/', h):use(m):group('/x'):get('', h)",
      "app:get('/', h) local g = app:group '/x' app:use(m) g:get('', h)",
      "app:use(m)", "app:get('/', h):use(last)", "app:get('/', h):use(m):not_found(h)",
      "app:not_found(h):get('/', h):use(m)", "app:get('/', h) app:group('/x'):use(m):get('', h)",
    } do
      assert.equal("", said_of(code), code)
    end
  end)

  it("says that its router has no routes", function()
    local server = support.start(http.router())
    assert.equal(404, server:ask("GET / HTTP/1.1").status)
    assert.equal("the router has no routes: every request gets 404", server:take_log())
  end)
end)

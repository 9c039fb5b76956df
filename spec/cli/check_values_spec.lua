-- SPDX-License-Identifier: MIT
-- check_values_spec.lua - moonpark check: what it knows of the values of a script: modules, objects, options, handlers,
-- loops.

local check = require "moonpark.check"
local process = require "support.process"
local testing = require "moonpark.testing"

testing.timeout(120)

local HEAD = [[
local moonpark, net, http = require "moonpark", require "moonpark.net", require "moonpark.http"
local fs, process, app = moonpark.fs, moonpark.process, http.router()
print(moonpark, net, http, fs, process, app)
]]

local function write(text, name)
  local path = testing.tempdir() .. "/" .. (name or "script.lua")
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  return path
end

-- What is found in the lines after HEAD: "line:column: message"
local function found(text, name)
  local lines = {}
  for _, finding in ipairs((check.check { write(HEAD .. text, name) })) do
    local said = check.text(finding):match "^.-:%d+:(.*)$"
    lines[#lines + 1] = ("%d:%s"):format(finding.line - 3, said)
  end
  return table.concat(lines, "\n")
end

-- {what is wrong, what is said of it}
local wrong = {
  { 'app:gett("/", print)', "1:5: a router has no method 'gett' (did you mean 'get'?)" },
  { 'app.get("/", print)', "1:5: app.get(...) is missing its object: use app:get(...)" },
  { 'app:get("/a", print):pots("/b", print)', "1:22: a router has no method 'pots' (did you mean 'post'?)" },
  { 'app:get("/", function(req, res) res:jsn {} print(req) end)',
    "1:37: a response has no method 'jsn' (did you mean 'json'?)" },
  { 'app:get("/", function(_, res) res.json {} end)', "1:35: res.json(...) is missing its object: use res:json(...)" },
  { 'app:get("/", function(q, r) r:send(q:heder "x") end)',
    "1:38: a request has no method 'heder' (did you mean 'header'?)" },
  { 'app:get("/", function(req, res) res:send(req.parmas.id) end)',
    "1:46: a request has no 'parmas' (did you mean 'params'?)" },
  { 'app:group("/a", function(g) g:pst("/", print) end)',
    "1:31: a router has no method 'pst' (did you mean 'post'?)" },
  { 'local function show(_, res) res:snd "x" end app:get("/", show)',
    "1:33: a response has no method 'snd' (did you mean 'send'?)" },
  { 'app:get("/", function(_, res) local e = res:events() e:snd "x" end)',
    "1:56: an events has no method 'snd' (did you mean 'send'?)" },
  { 'app:get("/", 5)', "1:14: router:get: 'handler' must be a function or a table, not a number" },
  { 'app:use(http.logger)', "1:14: router:use: http.logger makes what is expected here: use http.logger()" },
  { 'http.serve(app, { adress = "x" })',
    "1:19: http.serve: unknown option 'adress'; did you mean 'address'?" },
  { 'http.serve(app, { address = 8080 })', "1:19: http.serve: option 'address' must be a string, not a number" },
  { 'http.serve(app, "x")', "1:17: http.serve: 'options' must be a table, not a string" },
  { 'app:use(http.cors { origns = {} })', "1:21: http.cors: unknown option 'origns'; did you mean 'origins'?" },
  { 'http.get("http://x", { heders = {} })', "1:24: http.get: unknown option 'heders'; did you mean 'headers'?" },
  { 'http.post("http://x", "body")', "1:23: http.post: 'options' must be a table, not a string" },
  { 'http.get(5)', "1:10: http.get: 'url' must be a string, not a number" },
  { 'http.client(5)', "1:13: http.client: 'options' must be a table, not a number" },
  { 'http.websocket("ws://x", { orign = "x" })',
    "1:28: http.websocket: unknown option 'orign'; did you mean 'origin'?" },
  { 'net.listen(8080)', "1:12: net.listen: 'address' must be a string, not a number (\":8080\"?)" },
  { 'net.listen("x:1", { backlg = 1 })', "1:21: net.listen: unknown option 'backlg'; did you mean 'backlog'?" },
  { 'net.dial("x:1", { timeout = "x" })', "1:19: net.dial: option 'timeout' must be a number, not a string" },
  { 'net:dial("x:1")', "1:5: net:dial(...) passes net itself: use net.dial(...)" },
  { 'local l = assert(net.listen "x:1") for c in l:accepts() do c:reed() end',
    "1:62: a connection has no method 'reed' (did you mean 'read'?)" },
  { 'local l = net.listen "x:1" l:serve(function(c) c.read() end)',
    "1:50: c.read(...) is missing its object: use c:read(...)" },
  { 'local a, b = net.pipe() print(a) b:wirte "x"',
    "1:36: a connection has no method 'wirte' (did you mean 'write'?)" },
  { 'local ch = moonpark.chan() ch:snd(1)', "1:31: a channel has no method 'snd' (did you mean 'send'?)" },
  { 'local t = moonpark.go(print) t:joi()', "1:32: a task has no method 'joi' (did you mean 'join'?)" },
  { 'moonpark.go(5)', "1:13: moonpark.go: 'fn' must be a function, not a number" },
  { 'moonpark.sleep "soon"', "1:16: moonpark.sleep: 'seconds' must be a number, not a string" },
  { 'app:get("/", function(_, res) res.status(404) end)',
    "1:35: 'status' is a field, not a method: res.status = 404 sets it" },
  { 'app:get("/", function(_, res) res.status = 200 res:status(404) end)',
    "1:52: 'status' is a field, not a method: res.status = 404 sets it" },
  { 'app:get("/", function(_, res) res:type "text/html" end)',
    "1:35: 'type' is a field, not a method: res.type = \"text/html\" sets it" },
  { 'app:get("/", function(req, res) res:send(req:path()) end)',
    "1:46: 'path' is a field, not a method: use req.path" },
  { 'app:get("/", function(q, res) res:send(q.method()) end)',
    "1:42: 'method' is a field, not a method: use q.method" },
  { 'app:get("/", function(q, res) res:send(q.params "id") end)',
    "1:42: 'params' is a field, not a method: use q.params" },
  { 'local t = moonpark.go(print) t:wait()', "1:32: a task has no method 'wait' (did you mean 'join'?)" },
  { 'local s = moonpark.go(print) s:awaitt()', "1:32: a task has no method 'awaitt'" },
  { 'app:use("/x", function() end)',
    "1:9: router:use: 'fn' must be a function, not a string: app:group and app:mount work below a path" },
  { 'app:use(print, function() end)', "1:16: router:use: use takes one function: call it once for each" },
  { 'app:route("GET", "/", print, function() end)', "1:30: router:route: a route has one handler: add middleware with "
    .. "app:use before it, or to a group" },
  { 'app:get("/", print, function() end)',
    "1:21: router:get: a route has one handler: add middleware with app:use before it, or to a group" },
  { 'app:use(http.sessions { secret = "x" })', "1:25: http.sessions: unknown option 'secret'; 'keys' is needed" },
  { 'app:use(http.sessions { kyes = "x" })', "1:25: http.sessions: unknown option 'kyes'; did you mean 'keys'?" },
  { 'fs.raed "x"', "1:4: moonpark.fs has no 'raed' (did you mean 'read'?)" },
  { 'fs.write("x", "y", { atomc = true })', "1:22: fs.write: unknown option 'atomc'; did you mean 'atomic'?" },
  { 'process.run({ "ls" }, { evn = {} })', "1:25: process.run: unknown option 'evn'; did you mean 'env'?" },
  { 'moonpark.shared.dict("x"):gett "a"', "1:27: a dict has no method 'gett' (did you mean 'get'?)" },
  { 'app:get("/", function(req, res) print(req) end)',
    "1:14: this handler answers nothing: it never uses its response" },
  { 'app:get("/", function() return 404 end)',
    "1:32: a handler returns a number, which is no answer: use res:send or res:fail" },
  { 'while true do moonpark.go(print) end',
    "1:1: warning: this loop never waits: no other task runs until it ends" },
  { 'while moonpark.now() < 5 do end',
    "1:1: warning: this loop never waits: no other task runs until it ends" },
  { 'local e = moonpark.event() repeat until e:is_set()',
    "1:28: warning: this loop never waits: no other task runs until it ends" },
}

local ENDLESS = "warning: this loop does not end when its task is canceled: the wait returns nil at once, and the loop "
  .. "runs without a pause: use '%s'"

-- {a loop, the place of the wait, what to write instead}
local endless = {
  { "while true do work() moonpark.sleep(10) end", "1:31", "while moonpark.sleep(10) do" },
  { "while true do if work() then moonpark.sleep(1) end end", "1:39", "if not moonpark.sleep(1) then return end" },
  { "while true do for _ = 1, 2 do if work() then break end end moonpark.yield() end", "1:69",
    "while moonpark.yield() do" },
  { "repeat moonpark.sleep(0.5) until false", "1:17", "until not moonpark.sleep(0.5)" },
  { "while true do while true do moonpark.sleep(1) end end", "1:38", "while moonpark.sleep(1) do" },
  { "while true do local pause = work() moonpark.sleep(pause) end", "1:45",
    "if not moonpark.sleep(...) then return end" },
  { "local ch = moonpark.chan() while true do ch:recv() end", "1:45", "if not ch:recv(...) then return end" },
  { "local c = assert(net.dial 'x:1') while true do c:read_line() end", "1:50",
    "if not c:read_line(...) then return end" },
  { "app:get('/', function(_, res) local e = res:events() while true do e:send { data = 1 } end end)", "1:70",
    "if not e:send(...) then return end" },
  { "app:get('/', function(_, res) res:websocket(function(ws) while true do ws:send 'x' end end) end)", "1:75",
    "if not ws:send(...) then return end" },
}

local LOST = "warning: the task's error is lost: look at what join returns, or use a scope"

-- Lines that are right, or of which nothing is certain.
local right = {
  'app:get("/:id", function(req, res) res:json { id = req.params.id } end)',
  'app:get("/", function() return "hello" end) app:get("/b", function() return { a = 1 } end)',
  'app:get("/", function(_, res) return render(res) end) function render(res) res:send "x" end',
  'app:get("/", function() error { status = 404 } end)',
  'app:get("/", function(req) return other(req) end) other = print',
  'app:use(http.logger()) app:use(http.logger { format = "combined" })',
  'app:mount("/x", http.router()) http.serve(app, { address = ":0", on_listen = print })',
  'app = {} app:gett() app.get "x"',
  'local function f(app) app:gett() end f {}',
  'do local app = {} app:gett() end',
  'for _, app in ipairs {} do app:gett() end',
  'app.mine = print app:mine()',
  'if app.later then app:later() end',
  'net.mine = print net.mine() function net.own() end net.own()',
  'local listen = net.listen listen ":0"',
  'local c = net.dial "x:1" c.write(c, "x") pcall(c.write, c, "x") c = {} c:anything()',
  'http.get("http://x", { headers = { ["X-A"] = 1 }, stream = true })',
  'http.get("http://x", options()) function options() return {} end',
  'net.dial("x:1", { timeout = tonumber "5" }) net.dial("udp:x:1", nil)',
  'moonpark.sleep "0.1" moonpark.timeout(1, print)',
  'while true do if not moonpark.sleep(1) then break end end',
  'while true do local c = net.listen(":0"):accept() print(c) end',
  'while true do work() end function work() moonpark.sleep(1) end',
  'while moonpark.now() < 5 do work() end function work() end',
  'while true do moonpark.go(print) break end',
  'app:get("/", function(_, res) res:after(function() print(1) end) res:before(function() end) res:send "x" end)',
  'app:use(function(_, res, next) res:after(function() now = now - 1 end) return next() end) now = 1',
  'app:get("/", function(req) error("no " .. req.path) end) app:get("/a", function() error "x" end)',
  'app:get("/", function(req, res) req.user = function() return "x" end res:send(req.user()) end)',
  'print(moonpark.go(print):site()[1], moonpark.shared.dict("x"):keys()[1])',
  'while moonpark.sleep(1) do work() end function work() end',
  'while true do if not moonpark.sleep(1) then break end end while true do assert(moonpark.sleep(1)) end',
  'while true do moonpark.sleep(1) if work() then return end end function work() end',
  'while true do moonpark.sleep(1) if work() then os.exit(1) end end function work() end',
  'while true do moonpark.sleep(1) work(error("x")) end function work() end',
  'while work() do moonpark.sleep(1) end repeat moonpark.sleep(1) until work() function work() end',
  'for x in coroutine.wrap(function() while true do moonpark.sleep(1) coroutine.yield(1) end end) do print(x) end',
  'while true do local ok = moonpark.sleep(1) work(ok) end function work() end',
  'while true do moonpark.go(function() moonpark.sleep(1) end) work() end function work() end',
  'local t = moonpark.go(print) local ok = t:join() print(ok) if not t:join() then print(1) end assert(t:join())',
  'local t = moonpark.go(print) t:cancel() t:join()',
  'moonpark.scope(function(scope) local t = scope:go(print) t:join() scope:go(print):join() end)',
  'local function f(t) t:join() end f(moonpark.go(print))',
  'app:get("/", function(req, res) req.session = {} res:send(req.session.id) end)',
}

describe("moonpark check of values", function()
  for _, case in ipairs(wrong) do
    it("finds: " .. case[1], function() assert.equal(case[2], found(case[1])) end)
  end

  for _, text in ipairs(right) do
    it("says nothing of: " .. text, function() assert.equal("", found(text)) end)
  end

  for _, case in ipairs(endless) do
    it("finds that a cancellation does not end: " .. case[1], function()
      local text = case[1] .. (case[1]:find "work" and " function work() end" or "")
      assert.equal(case[2] .. ": " .. ENDLESS:format(case[3]), found(text))
      assert.equal("", found(text, "a_spec.lua"))
    end)
  end

  it("finds joins that lose a task's error", function()
    assert.equal("1:32: " .. LOST, found "local t = moonpark.go(print) t:join()")
    assert.equal("1:20: " .. LOST, found "moonpark.go(print):join(1)")
    assert.equal("", found("local t = moonpark.go(print) t:join()", "a_spec.lua"))
  end)

  it("reads long chains, deep nesting, every statement and operator", function()
    assert.equal("", found(("app" .. (':get("/%d", print)'):rep(200)):gsub("%%d", "x") .. "\n"))
    assert.equal("", found("local x = " .. ("("):rep(100) .. "1" .. (")"):rep(100) .. " print(x)"))
    assert.equal("2:5: a router has no method 'gett' (did you mean 'get'?)", found([==[
local a, b = -1 ^ 2 .. [[x]], not #"y" == nil; ::done:: a, b = b, a; do local c = { 1, x = 2, [3] = 4; 5 } c[1] = a end
app:gett(function(...) for i = 1, 2, 3 do while i do repeat local z = ... until z break end end
goto done; ::done:: return 1, b end)
]==]))
  end)

  it("of a spec leaves alone what is done wrong on purpose", function()
    local text = [[
assert.has_error(function() net.listen(8080) end)
pcall(function() app:gett() end)
for _, f in ipairs { function() moonpark.sleep {} end } do print(f) end
app:get("/", function() end)
net.listen(8080)
]]
    assert.equal("5:12: net.listen: 'address' must be a string, not a number (\":8080\"?)", found(text, "a_spec.lua"))
  end)

  it("prints findings as JSON, a line each", function()
    local path = write "x x"
    local r = process.run(process.moonpark("check", "--json", path))
    assert.equal(1, r.status)
    assert.same({ file = path, line = 1, column = 3, severity = "error", message = "'=' expected near 'x'" },
      require("cjson").decode(r.out))
  end)

  it("finds nothing in what moonpark init writes, nor in the specs of this repository", function()
    local folder = testing.tempdir() .. "/made"
    assert.equal(0, process.run(process.moonpark("init", folder)).status)
    local r = process.run(("find '%s' -name '*.lua' | xargs '%s' '%s/lua/bin/moonpark' check"):format(folder,
      process.interpreter, process.root))
    assert.same({ 0, "", "" }, { r.status, r.out, r.err })
    local paths = {}
    local list = process.run(("cd '%s' && find $PWD/spec -name '*_spec.lua'"):format(process.root))
    for path in list.out:gmatch "[^\n]+" do paths[#paths + 1] = path end
    assert.is_true(#paths > 50)
    local lines = {}
    for _, finding in ipairs((check.check(paths))) do
      if not finding.message:find "^global " then lines[#lines + 1] = check.text(finding) end
    end
    assert.same({}, lines)
  end)
end)

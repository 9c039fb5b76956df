-- SPDX-License-Identifier: MIT
-- silence_spec.lua - nothing fails in silence: each way in which code of a script can run fails here, and what it says
-- is found on standard error, once. Each case is a program of its own.

local process = require "support.process"

local PREAMBLE = [[
local moonpark = require "moonpark"
local http = require "moonpark.http"
local net = moonpark.net
local function fails() error "E-ONE" end
local function serve(handler, path, options)
  options = options or {}
  options.address = "127.0.0.1:0"
  local server = assert(http.server(handler, options))
  local running = moonpark.go(server.run, server)
  local response = http.get("http://" .. server:address() .. (path or "/"))
  moonpark.sleep(0.01)
  server:shutdown(1)
  running:join()
  return response
end
]]

local function run(text, env) return process.run(process.moonpark("-e", PREAMBLE .. text), { env = env }) end

local function count(text, what) return select(2, text:gsub(what, "")) end

-- [what fails] = a program. It raises "E-ONE" once.
local ways = {
  ["a task"] = "moonpark.go(fails)",
  ["a task whose handle is kept"] = "kept = moonpark.go(fails)",
  ["a daemon"] = "moonpark.go_daemon(fails) moonpark.sleep(0.01)",
  ["a task that runs at once"] = "moonpark.go_now(fails)",
  ["the loop over a signal"] = [[
    moonpark.go(function() for _ in moonpark.signals "USR2" do fails() end end)
    moonpark.sleep(0)
    require("ffi").cdef "int raise(int);"
    require("ffi").C.raise(12)]],
  ["a connection's handler"] = [[
    local listener = assert(net.listen "127.0.0.1:0")
    local serving = moonpark.go(function() return listener:serve(fails) end)
    net.dial(listener:address()):read()
    listener:close()
    serving:join()]],
  ["a handler of HTTP"] = "serve(fails)",
  ["a handler of HTTP, after its response"] = "serve(function(_, res) res:send 'x' fails() end)",
  ["a task that a handler starts"] = "serve(function(_, res) moonpark.go(fails) res:send 'x' end)",
  ["a stream of events"] = "serve(function(_, res) res:events():send 'x' fails() end)",
  ["a function of res:after"] = "serve(function(_, res) res:after(fails) res:send 'x' end)",
  ["the write function of a logger"] = [[
    local app = http.router()
    app:use(http.logger { write = fails })
    app:get("/", function(_, res) res:send "x" end)
    serve(app)]],
  ["a handler of WebSockets"] = [[
    local server = assert(http.server(function(_, res) res:websocket({}, fails) end, { address = "127.0.0.1:0" }))
    local running = moonpark.go(server.run, server)
    local ws = assert(http.websocket("ws://" .. server:address() .. "/"))
    ws:receive()
    ws:close()
    server:shutdown(1)
    running:join()]],
  ["the close function of a pool"] = [[
    local pool = moonpark.pool_of { open = function() return {} end, close = fails }
    pool:with(print)
    pool:close()]],
  ["the check function of a pool"] = [[
    local pool = moonpark.pool_of { open = function() return {} end, close = function() end, check = fails }
    pool:with(print)
    pool:with(print)
    pool:close()]],
  ["a timer of ngx"] = "require('moonpark.ngx').ngx.timer.at(0, fails) moonpark.sleep(0.01)",
  ["a timer of ngx that repeats"] = [[
    local once = true
    require('moonpark.ngx').ngx.timer.every(0.001, function() if once then once = false fails() end end)
    moonpark.sleep(0.05)]],
  ["a timer of ngx that is premature"] = [[
    require('moonpark.ngx').ngx.timer.at(3600, function(premature) if premature then fails() end end)]],
  ["a light thread of ngx"] = "require('moonpark.ngx').ngx.thread.spawn(fails)",
  ["a light thread of ngx beside one that was waited for"] = [[
    local thread = require('moonpark.ngx').ngx.thread
    local other = thread.spawn(function() moonpark.sleep(0.01) fails() end)
    thread.wait(thread.spawn(print), other)]],
  ["a child of a scope, after another one"] = [[
    pcall(moonpark.scope, function(scope)
      scope:go(error, "first")
      scope:go(fails)
    end)]],
  ["a child of a scope, after its body"] = [[
    pcall(moonpark.scope, function(scope)
      scope:go(function() moonpark.sleep(3600) fails() end)
      moonpark.yield()
      error "first"
    end)]],
  ["the body of a scope, after a child"] = [[
    pcall(moonpark.scope, function(scope)
      scope:go(error, "first")
      moonpark.sleep(3600)
      fails()
    end)]],
  ["a function of worker.on_drain"] = [[
    local worker = require "moonpark.worker"
    worker.on_drain(fails)
    require("moonpark.worker.drain").begin(0, false)
    moonpark.sleep(0.05)]],
}

describe("an error is said once", function()
  after_each(process.stop_all)

  for name, text in pairs(ways) do
    it("in " .. name, function()
      local r = run(text)
      assert.matches("E%-ONE", r.err)
      assert.equal(1, count(r.err, "E%-ONE"), r.err)
      assert.matches("stack traceback:\n", r.err)
    end)
  end

  it("in a task that is not joined when the program calls os.exit, under the command and without it", function()
    local text = PREAMBLE .. "moonpark.run(function() kept = moonpark.go(fails) moonpark.sleep(0) os.exit(7, true) end)"
    for _, words in ipairs { process.moonpark("-e", text), { process.interpreter, "-e", text } } do
      local r = process.run(words)
      assert.equal(7, r.status)
      assert.equal(1, count(r.err, "E%-ONE"), r.err)
    end
  end)

  it("in the function of ngx.on_abort, and of a handler that gave up", function()
    for _, handler in ipairs { "while ngx.say 'x' and ngx.flush(true) do ngx.sleep(0.001) end",
      "while true do assert(ngx.say 'x') assert(ngx.flush(true)) ngx.sleep(0.001) end" } do
      local r = run([[
        local ngx = require("moonpark.ngx").ngx
        local done = moonpark.event()
        local server = assert(http.server(http.ngx(function()
          ngx.on_abort(function() done:set() fails() end)
          ]] .. handler .. [[ end), { address = "127.0.0.1:0" }))
        local running = moonpark.go(server.run, server)
        local conn = assert(net.dial(server:address()))
        conn:write "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        conn:read()
        conn:close()
        done:wait(10)
        server:shutdown(1)
        running:join()]])
      assert.equal(1, count(r.err, "error in an on_abort function: [^\n]*E%-ONE"), r.err)
    end
  end)
end)

describe("an error that was heard is not said again", function()
  after_each(process.stop_all)

  local heard = {
    ["if a join has taken it"] = "print(moonpark.go(fails):join())",
    ["if a scope raises it, which is caught"] = "print(pcall(moonpark.scope, function(scope) scope:go(fails) end))",
    ["if another task of the scope passes it on"] = [[
      print(pcall(moonpark.scope, function(scope)
        local first = scope:go(fails)
        scope:go(function() assert(first:join()) end)
        scope:go(function() local _, why = first:join() error("because of " .. why) end)
      end))]],
    ["if the scope's body passes it on"] = [[
      print(pcall(moonpark.scope, function(scope) assert(scope:go(fails):join()) end))]],
    ["if the others of its scope gave up because they were cancelled"] = [[
      print(pcall(moonpark.scope, function(scope)
        scope:go(function() assert(moonpark.sleep(3600)) end)
        scope:go(fails)
        assert(moonpark.sleep(3600))
      end))]],
    ["if the body of the scope joins the second that failed"] = [[
      print(pcall(moonpark.scope, function(scope)
        scope:go(error, "first")
        local second = scope:go(fails)
        moonpark.shield(function() print(second:join()) end)
      end))]],
  }
  for name, text in pairs(heard) do
    it(name, function()
      local r = run(text .. " collectgarbage() moonpark.sleep(0.01)")
      assert.same({ 0, "" }, { r.status, r.err })
      assert.matches("E%-ONE", r.out)
    end)
  end
end)

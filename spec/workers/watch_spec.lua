-- SPDX-License-Identifier: MIT
-- watch_spec.lua - `moonpark --watch`, run as a process: what counts as a change, and what clients see of a restart.

local moonpark = require "moonpark"
local net = require "moonpark.net"
local process = require "support.process"
local watched = require "support.watched"

local SAVES = 50

local function module(text) return ("return %q\n"):format(text) end

describe("moonpark --watch", function()
  after_each(process.stop_all)

  local function start(files, options)
    files["app.lua"] = files["app.lua"] or watched.server_of "greet"
    local program = watched.start(files, options)
    program:listening()
    return program
  end

  local function restarts_for(program, what)
    assert.matches("^moonpark: restarted in %d+ ms: " .. what:gsub("%p", "%%%0") .. " changed$", program:restarted())
  end

  describe("starts the program again when", function()
    it("a module that it has required is replaced, as editors do", function()
      local program = start { ["greet.lua"] = module "one" }
      assert.equal("one", program:get().body)
      program:save("greet.lua", module "two")
      restarts_for(program, "greet.lua")
      assert.equal("two", program:get().body)
      assert.equal(0, (program:stop()))
    end)

    it("the script itself is written in place", function()
      local program = start { ["greet.lua"] = module "one", ["other.lua"] = module "other" }
      program:write("app.lua", watched.server_of "other")
      restarts_for(program, "app.lua")
      assert.equal("other", program:get().body)
      program:stop()
    end)

    it("a file of loadfile or dofile changes", function()
      local program = start { ["greet.lua"] = "return dofile 'parts/a.lua' .. loadfile 'parts/b.lua' ()",
        ["parts/a.lua"] = module "a", ["parts/b.lua"] = module "b" }
      assert.equal("ab", program:get().body)
      program:save("parts/b.lua", module "B")
      restarts_for(program, "parts/b.lua")
      program:write("parts/a.lua", module "A")
      restarts_for(program, "parts/a.lua")
      assert.equal("AB", program:get().body)
      program:stop()
    end)

    it("a module changes that a handler has required later", function()
      local program = start { ["app.lua"] = [[
        require("moonpark.http").serve(function(_, res) res:send(require "late.greet") end, { address = "127.0.0.1:0",
          on_listen = function(server) print("listening on " .. server:address()) end })
      ]], ["late/greet.lua"] = module "one" }
      assert.equal("one", program:get().body)
      program:save("late/greet.lua", module "two")
      restarts_for(program, "late/greet.lua")
      assert.equal("two", program:get().body)
      program:stop()
    end)

    it("a library of a rock in C is replaced", function()
      local program = start { ["greet.lua"] = [[
        package.cpath = "./?.so"
        local ok = pcall(require, "native")
        return tostring(ok)
      ]], ["native.so"] = "this is no library" }
      assert.equal("false", program:get().body)
      program:save("native.so", "nor is this")
      restarts_for(program, "native.so")
      program:stop()
    end)

    it("a module appears that was not there", function()
      local program = start { ["greet.lua"] = "return (select(2, pcall(require, 'plugins.extra'))):sub(1, 5)" }
      assert.equal("modul", program:get().body)
      program:write("plugins/extra.lua", module "extra")
      program:restarted()
      while program:get().body ~= "extra" do program:restarted() end -- the folder was a change of its own
      program:stop()
    end)

    it("what a link leads to changes", function()
      local program = start { ["greet.lua"] = "return require 'parts.linked'", ["parts/linked.lua"] = module "file",
        ["store/real.lua"] = module "one" }
      program:remove "parts/linked.lua"
      program:failed()
      assert.equal(0, process.run({ "ln", "-s", "../store/real.lua", program:path "parts/linked.lua" }).status)
      restarts_for(program, "parts/linked.lua")
      assert.equal("one", program:get().body)
      program:save("store/real.lua", module "two")
      assert.matches("store/real.lua changed", program:restarted())
      assert.equal("two", program:get().body)
      program:stop()
    end)

    it("something in a folder of --watch-also changes, in new folders too, but not editors' own files", function()
      local program = start({ ["greet.lua"] = "return io.open('pages/deep/a.html'):read '*a'",
        ["pages/deep/a.html"] = "one" }, { "--watch-also", "pages" })
      program:write("pages/deep/.a.html.swp", "")
      program:write("pages/deep/4913", "")
      program:write("pages/deep/a.html~", "")
      program:write("pages/deep/a.html", "two")
      restarts_for(program, "pages/deep/a.html")
      assert.equal("two", program:get().body)
      program:write("pages/new/b.html", "")
      assert.matches("pages/new", program:restarted())
      program:write("pages/new/b.html", "b")
      while not program:restarted():find "pages/new/b.html" do watched.pause() end
      program:stop()
    end)

    it("a reload is asked for", function()
      local program = start { ["greet.lua"] = module "one" }
      program.child:kill "HUP"
      assert.matches("a reload was asked for", program:restarted())
      assert.equal("one", program:get().body)
      program:stop()
    end)
  end)

  it("takes a burst of saves as one change", function()
    local program = start { ["greet.lua"] = "return require 'a' .. require 'b' .. require 'c'", ["a.lua"] = module "1",
      ["b.lua"] = module "1", ["c.lua"] = module "1" }
    for _, name in ipairs { "a", "b", "c" } do program:save(name .. ".lua", module "2") end
    program:restarted()
    while program:get().body ~= "222" do program:restarted() end
    local _, _, err = program:stop()
    local _, restarts = err:gsub("restarted in", "")
    assert.is_true(restarts < 3 or not err:find("a.lua changed.*b.lua changed.*c.lua changed"))
  end)

  it("refuses no connection and loses no request during " .. SAVES .. " saves; after a restart only new code answers",
    function()
      local program = start { ["greet.lua"] = module "0" }
      local saving, asked = true, 0
      local newest = 0 -- of the saves that a restart was reported for
      local client = function()
        while saving do
          local least = newest
          local answer = program:get()
          assert.equal(200, answer.status)
          assert.is_true(tonumber(answer.body) >= least, "an old answer")
          asked = asked + 1
        end
      end
      local tasks = { moonpark.go(client), moonpark.go(client), moonpark.go(client) }
      for i = 1, SAVES do
        program:save("greet.lua", module(tostring(i)))
        program:restarted()
        newest = i
        assert.equal(tostring(i), program:get().body)
      end
      saving = false
      for _, task in ipairs(tasks) do assert(task:join()) end
      assert.is_true(asked > 0)
      program:stop()
    end)

  it("answers with new code on the next request of a client that keeps its connections", function()
    local http = require "moonpark.http"
    local program = start { ["greet.lua"] = module "one" }
    local client = http.client()
    local url = "http://" .. program.address .. "/"
    assert.equal("one", assert(client:get(url)).body)
    program:save("greet.lua", module "two")
    program:restarted()
    assert.equal("two", assert(client:get(url)).body)
    program:save("greet.lua", "return (")
    program:failed()
    assert.equal(500, assert(client:get(url)).status)
    client:close_idle()
    program:stop()
  end)

  it("lets connections wait in the backlog while the new code starts", function()
    local program = start { ["greet.lua"] = module "one" }
    local gate = program:path "gate"
    assert.equal(0, process.run({ "mkfifo", gate }).status)
    program:save("greet.lua", ("io.open(%q):close() return 'two'"):format(gate)) -- blocks until it is opened
    local answer = moonpark.go(function()
      local body
      repeat body = program:get().body until body == "two"
      return body
    end)
    local opened = process.run({ "sh", "-c", "exec 3>" .. gate }) -- waits for the reader
    assert.equal(0, opened.status)
    assert.same({ true, "two" }, { answer:join() })
    program:stop()
  end)

  it("lets a running request end, and cuts a stream that does not end", function()
    local program = start { ["app.lua"] = [[
      local http = require "moonpark.http"
      local moonpark = require "moonpark"
      local text = require "greet"
      local router = http.router()
      router:get("/", function(_, res) res:send(text) end)
      router:get("/events", function(_, res)
        local events = res:events()
        events:send { data = text }
        repeat until not moonpark.sleep(60)
      end)
      http.serve(router, { address = "127.0.0.1:0",
        on_listen = function(server) print("listening on " .. server:address()) end })
    ]], ["greet.lua"] = module "one" }
    local conn = assert(net.dial(program.address))
    assert(conn:write "GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
    repeat until assert(conn:read_line()):find "one"
    program:save("greet.lua", module "two")
    program:restarted()
    assert.equal("two", program:get().body)
    repeat local line = conn:read_line() until not line
    conn:close()
    program:stop()
  end)

  it("runs several workers, which all have the new code", function()
    local program = start({ ["greet.lua"] = "return 'one ' .. moonpark_number()", ["app.lua"] = [[
      local worker = require "moonpark.worker"
      function moonpark_number() return worker.number() .. " of " .. worker.count() end
      ]] .. watched.server_of "greet" }, { "--workers", "2" })
    assert.matches("^one %d of 2$", program:get().body)
    program:save("greet.lua", "return 'two ' .. moonpark_number()")
    program:restarted()
    local seen, both = {}, 0
    while both < 2 do
      local number = program:get().body:match "^two (%d) of 2$"
      assert(number, "the old code")
      if not seen[number] then both = both + 1 end
      seen[number] = true
    end
    program:stop()
  end)

  describe("with code that does not start", function()
    local BROKEN = "local x =\n"

    it("prints the error once, and answers with it until it is mended", function()
      local program = start { ["greet.lua"] = module "one" }
      program:save("greet.lua", BROKEN)
      local said = program:failed()
      assert.matches("greet.lua:2: unexpected symbol", said)
      assert.equal(1, select(2, said:gsub("unexpected symbol", "")))
      assert.matches("app.lua does not start, %d+ ms after greet.lua changed: $", said)
      local answer = program:get()
      assert.equal(500, answer.status)
      assert.matches("\r\nContent%-Type: text/plain", answer.head)
      assert.matches("greet.lua:2: unexpected symbol", answer.body)
      assert.matches("app.lua:2: in main chunk", answer.body)
      program:save("greet.lua", module "two")
      program:restarted()
      assert.equal("two", program:get().body)
      local _, _, err = program:stop()
      assert.equal(1, select(2, err:gsub("unexpected symbol", "")))
    end)

    it("shows browsers a page with the lines around the failure, in which nothing is markup", function()
      local program = start { ["greet.lua"] = module "one" }
      program:save("greet.lua", "local before = 1\nlocal function inner() error('<script>alert(1)</script> & \"') end\n"
        .. "local after = '<b>'\ninner()\nreturn 'x'\n")
      program:failed()
      local page = program:get("/", "text/html,application/xhtml+xml").body
      assert.matches("&lt;script&gt;alert%(1%)&lt;/script&gt; &amp; &quot;", page)
      assert.is_nil(page:find("<script>alert", 1, true))
      assert.matches('<span class="failed"><i>2</i>local function inner', page)
      assert.matches("<i>3</i>local after = &#39;&lt;b&gt;&#39;", page)
      assert.matches('<span class="place">./greet.lua:4</span> in main chunk', page)
      assert.matches('<span class="place">app.lua:2</span> in main chunk', page)
      assert.matches('<noscript><meta http%-equiv="refresh"', page)
      local posted = program:get("/", "text/html", "POST").body
      assert.is_nil(posted:find("<script>", 1, true))
      assert.is_nil(posted:find("http-equiv", 1, true))
      program:stop()
    end)

    it("answers the page that waits once a file has changed, and an event stream so that it connects again", function()
      local program = start { ["greet.lua"] = module "one" }
      program:save("greet.lua", BROKEN)
      program:failed()
      local stream = program:get("/events", "text/event-stream")
      assert.equal(200, stream.status)
      assert.matches("^retry: %d+\n\n$", stream.body)
      local conn = assert(net.dial(program.address))
      assert(conn:write "GET /.moonpark/changed HTTP/1.1\r\nHost: a\r\n\r\n")
      assert(program:get().status == 500) -- accepted after that one
      program:save("greet.lua", module "two")
      assert.matches("changed$", assert(conn:read_all()))
      conn:close()
      program:restarted()
      assert.equal("two", program:get().body)
      program:stop()
    end)

    it("waits for the first version that starts", function()
      local program = watched.start { ["app.lua"] = "error 'not yet'" }
      local said = program:failed()
      assert.matches("app.lua:1: not yet", said)
      assert.equal(1, select(2, said:gsub("not yet", "")))
      program:save("app.lua", watched.server_of "greet")
      assert.matches("module 'greet' not found", program:failed())
      program:write("greet.lua", module "here")
      program:listening()
      assert.equal("here", program:get().body)
      program:stop()
    end)

    it("comes back when the script has been away", function()
      local program = start { ["greet.lua"] = module "one" }
      program:remove "app.lua"
      assert.matches("cannot open the script", program:failed())
      program:write("app.lua", watched.server_of "greet")
      program:restarted()
      assert.equal("one", program:get().body)
      program:stop()
    end)
  end)

  it("shows browsers the failure of a handler, on a page that waits for the next change", function()
    local program = start { ["app.lua"] = [[
      local http = require "moonpark.http"
      local app = http.router()
      app:get("/", function() error "<no> greeting" end)
      app:get("/secret", function() error("./secret.txt:1: what a client has sent", 0) end)
      http.serve(app, { address = "127.0.0.1:0", on_error = function() end,
        on_listen = function(server) print("listening on " .. server:address()) end })
    ]] }
    local page = program:get("/", "text/html")
    assert.equal(500, page.status)
    assert.matches("<h1>error in the handler for GET /</h1>", page.body)
    assert.matches('<span class="failed"><i>3</i>.*&lt;no&gt; greeting', page.body)
    program:write("secret.txt", "not to be shown")
    page = program:get("/secret", "text/html")
    assert.matches("what a client has sent", page.body)
    assert.is_nil(page.body:find("not to be shown", 1, true))
    local text = program:get("/")
    assert.equal(500, text.status)
    assert.equal("Internal Server Error\n", text.body)
    local conn = assert(net.dial(program.address))
    assert(conn:write "GET /.moonpark/changed HTTP/1.1\r\nHost: a\r\n\r\n")
    assert(program:get().status == 500) -- accepted after that one
    program:write("app.lua", watched.server_of "greet")
    program:failed()
    assert.matches("changed$", assert(conn:read_all()))
    conn:close()
    program:stop()
  end)

  it("waits for a change when the script has ended, or failed after it had served", function()
    local program = watched.start { ["app.lua"] = "print 'done'" }
    program.child:expect "done"
    assert.equal("moonpark: app.lua has ended: ", program:failed())
    program:save("app.lua", [[
      local moonpark, http = require "moonpark", require "moonpark.http"
      local wish = moonpark.event()
      local server = assert(http.server(function(_, res)
        wish:set()
        res:send "once"
      end, { address = "127.0.0.1:0" }))
      moonpark.go(server.run, server)
      print("listening on " .. server:address())
      wish:wait()
      moonpark.sleep(0.05)
      error "enough"
    ]])
    program:listening()
    program:restarted()
    assert.equal("once", program:get().body)
    assert.matches("enough.*app.lua has failed: $", program:failed())
    assert.matches("app.lua has failed.*enough", program:get().body)
    program:save("app.lua", "print 'over'")
    program.child:expect "over"
    program:failed()
    assert.equal(0, (program:stop()))
  end)

  it("ends at once at Ctrl-C, in each of its states, and leaves no process behind", function()
    local program = start { ["greet.lua"] = "return tostring(io.open('/proc/self/stat'):read '*n')" }
    local worker = program:get().body
    assert.is_truthy(io.open("/proc/" .. worker))
    assert.equal(0, (program:stop()))
    assert.is_nil(io.open("/proc/" .. worker))
    program = start { ["greet.lua"] = module "one" }
    program:save("greet.lua", "return")
    program:restarted()
    program:save("greet.lua", "return (")
    program:failed()
    assert.equal(0, (program:stop()))
  end)

  it("says what does not go with it", function()
    local function says(...)
      local r = process.run(process.moonpark(...))
      assert.equal(2, r.status)
      return r.err:match "^moonpark: ([^\n]*)"
    end
    assert.equal("--watch-also needs --watch", says("--watch-also", "x", "app.lua"))
    assert.equal("--watch does not go with -i", says("--watch", "-i"))
    assert.equal("--watch needs a script that is a file", says("--watch", "-"))
    assert.equal("--watch does not go with --max-requests or --max-memory",
      says("--watch", "--workers=2", "--max-memory=1g", "app.lua"))
  end)
end)

-- SPDX-License-Identifier: MIT
-- A program with workers that is loaded again, and what is under way then.

local http = require "moonpark.http"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local workers = require "support.workers"


describe("a reload", function()
  after_each(workers.stop_all)

  local function server(version)
    return workers.SERVER .. ("app:get('/version', function(_, res) res:send '%s' end)\n"):format(version)
      .. workers.SERVE
  end

  it("takes the new program over, and no request fails meanwhile", function()
    local program = workers.start(server "one", { "--workers", "2" })
    local asked, going = 0, true
    local asker = moonpark.go(function()
      while going do
        assert(program:get "/version")
        asked = asked + 1
      end
    end)
    for i = 1, 5 do
      workers.write(program.path, server("version " .. i))
      assert.same({ ("generation %d serves\n"):format(i + 1), 0 }, { program:ask "reload" })
      repeat until program:get "/version" == "version " .. i
    end
    going = false
    assert.is_true(asker:join())
    assert.is_true(asked > 5)
    assert.equal(0, (program:stop()))
  end)

  it("that does not start leaves the old ones, and tells who asked", function()
    local program = workers.start(server "one", { "--workers", "2" })
    for text, said in pairs {
      ["local x ="] = "server.lua:1: unexpected symbol", ["error 'not today'"] = "not today",
      ["os.exit(7)"] = "ended with status 7 before it was ready",
    } do
      workers.write(program.path, text)
      local answer, status = program:ask "reload"
      assert.equal(1, status)
      assert.is_truthy(answer:find(said, 1, true), answer)
      assert.equal("one", (program:get "/version"))
    end
    for _, late in ipairs { "error 'too late'", "moonpark.go(function() end) error 'too late'" } do
      workers.write(program.path, workers.SERVER .. "moonpark.net.listen '127.0.0.3:0'\n" .. late)
      local answer, status = program:ask "reload"
      assert.equal(1, status)
      assert.is_truthy(answer:find("too late", 1, true), answer)
      assert.equal("one", (program:get "/version"))
    end
    workers.write(program.path, server "two")
    assert.same({ "generation 7 serves\n", 0 }, { program:ask "reload" })
    repeat until program:get "/version" == "two"
    assert.equal(1, select(2, program:ask("status"):gsub("leads", "")))
    program:stop()
  end)

  it("closes an address that the new program does not ask for", function()
    local program = workers.start(workers.SERVER .. [[
      local extra = assert(moonpark.net.listen "127.0.0.2:0")
      print("extra " .. extra:address())
    ]] .. workers.SERVE, { "--workers", "1" }, { silent = true })
    local extra = program:line():match "^extra (.+)$"
    program.address = program:line():match "^listening on (.+)$"
    net.dial(extra):close()
    workers.write(program.path, server "two")
    assert.equal(0, select(2, program:ask "reload"))
    local conn, err
    repeat
      conn, err = net.dial(extra)
      if conn then conn:close() end
    until not conn
    assert.equal("connection refused", err)
    program:stop()
  end)
end)

describe("what is under way when the program is reloaded", function()
  after_each(workers.stop_all)

  local function dial(program)
    local conn = assert(net.dial(program.address, { timeout = 60 }))
    conn:set_timeout(60)
    return conn
  end

  it("is finished: an upload, a download, a WebSocket by 1001, an event stream by its end", function()
    local program = workers.start(workers.SERVER .. [[
      app:post("/up", function(req, res) res:send(tostring(#req:body())) end)
      app:get("/down", function(_, res)
        res:write "first"
        moonpark.sleep(0.3)
        res:write " last"
      end)
      app:get("/socket", function(_, res)
        local ws = res:websocket()
        for text in ws:messages() do ws:send(text) end
      end)
      app:get("/events", function(_, res)
        local events = res:events()
        events:send "one"
        while events:send "more" and moonpark.sleep(0.02) do end
      end)
    ]] .. workers.SERVE, { "--workers", "2" })
    local up, down, events = dial(program), dial(program), dial(program)
    up:write "POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello"
    down:write "GET /down HTTP/1.1\r\nHost: x\r\n\r\n"
    events:write "GET /events HTTP/1.1\r\nHost: x\r\n\r\n"
    local ws = assert(http.websocket("ws://" .. program.address .. "/socket"))
    assert(ws:send "echo")
    assert.equal("echo", ws:receive())
    assert(down:read_until "first")
    assert(events:read_until "one")
    assert.equal(0, select(2, program:ask "reload"))
    assert.same({ nil, "eof" }, { ws:receive() })
    assert.equal(1001, (ws:status()))
    up:write "world"
    assert.matches("connection: close\r\n.*\r\n\r\n10$", (up:read_all():lower():gsub("content%-length: 2\r\n", "")))
    assert.matches(" last\r\n0\r\n\r\n$", down:read_all())
    assert(events:read_all())
    for _, conn in ipairs { up, down, events } do conn:close() end
    assert.equal(0, (program:stop()))
  end)

  it("may be an idle connection that asks once more: it is answered, and told that this was the last", function()
    local program = workers.start(workers.SERVER .. workers.SERVE, { "--workers", "1" })
    local conn = dial(program)
    conn:write "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    assert(conn:read_exactly(tonumber(conn:read_until("\r\n\r\n"):lower():match "content%-length: (%d+)")))
    assert.equal(0, select(2, program:ask "reload"))
    conn:write "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    assert.matches("^http/1.1 200 .*\r\nconnection: close\r\n", conn:read_all():lower())
    conn:close()
    program:stop()
  end)
end)

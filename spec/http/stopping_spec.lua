-- SPDX-License-Identifier: MIT
-- stopping_spec.lua - what SIGTERM and SIGINT do to a program while http.serve runs, with real processes.

local http = require "moonpark.http"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local process = require "support.process"
local support = require "support.net"

-- The script has `wait(name)`, which returns once the spec has made that file, and say(line).
local PREAMBLE = [[
local moonpark = require "moonpark"
local http = moonpark.http
local folder = arg[1]
local function wait(name)
  while not moonpark.fs.stat(folder .. "/" .. name) do
    if not moonpark.sleep(0.002) then return nil, "canceled" end
  end
  return true
end
local function say(...) io.stdout:write(table.concat({ ... }, " "), "\n") io.stdout:flush() end
local function tell(server) say("listening on", server:address()) end
local app = http.router()
app:get("/now", function(_, res) res:send "now" end)
app:get("/slow", function(_, res)
  say "asked"
  local ok, err = wait "go"
  say("answers", tostring(err))
  res:send "slow"
end)
local unpack = unpack
]]

local ways = {
  ["plain luajit"] = function(path, ...) return { process.interpreter, path, ... } end,
  ["the command"] = function(path, ...) return process.moonpark(path, ...) end,
  ["the command with --workers"] = function(path, ...) return process.moonpark("--workers", "1", path, ...) end,
  ["the command with --watch"] = function(path, ...) return process.moonpark("--watch", path, ...) end,
}

describe("http.serve", function()
  after_each(process.stop_all)

  -- fn(child, folder, address): a program of that text runs, started in that way.
  local function with(way, text, fn)
    support.with_folder(function(folder)
      local path = folder .. "/server.lua"
      assert(moonpark.fs.write(path, (PREAMBLE:gsub("\n", " ")) .. text))
      local child = process.start(ways[way](path, folder))
      local ok, err = pcall(fn, child, folder, (child:line() or ""):match "^listening on (.+)$")
      for _, name in ipairs { "server.lua", "go", "cleaned", "end" } do os.remove(folder .. "/" .. name) end
      if not ok then error(err, 0) end
    end)
  end

  local function make(folder, name) assert(moonpark.fs.write(folder .. "/" .. name, "")) end

  -- Asks in a task of its own; -> the task, whose result is the answer's body.
  local function ask(address, path)
    return moonpark.go(function()
      return assert(http.get("http://" .. address .. path, { keep_alive = false })).body
    end)
  end

  local function until_refused(address)
    local conn, err
    repeat
      conn, err = net.dial(address)
      if conn then conn:close() end
    until err == "connection refused"
  end

  local SIMPLE = 'http.serve(app, { address = "127.0.0.1:0", on_listen = tell }) say "behind it"'

  for way in pairs(ways) do
    for _, signal in ipairs { "TERM", "INT" } do
      it(("drains on SIG%s under %s: running requests are answered; the status is 0"):format(signal, way), function()
        with(way, SIMPLE, function(child, folder, address)
          local asking = ask(address, "/slow")
          assert.equal("asked", child:line())
          child:kill(signal)
          until_refused(address)
          make(folder, "go")
          assert.equal("answers nil", child:line())
          assert.same({ true, "slow" }, { asking:join() })
          assert.equal("behind it", child:line())
          assert.equal(0, (child:wait()))
        end)
      end)
    end
  end

  for _, way in ipairs { "plain luajit", "the command" } do
    it("ends at once on a second signal under " .. way, function()
      with(way, SIMPLE, function(child, _, address)
        local asking = moonpark.go(http.get, "http://" .. address .. "/slow")
        assert.equal("asked", child:line())
        child:kill "TERM"
        until_refused(address)
        child:kill "INT"
        assert.equal(130, (child:wait()))
        assert.is_nil((select(2, asking:join())))
      end)
    end)

    it("cancels what has not ended after the grace under " .. way, function()
      with(way, 'http.serve(app, { address = "127.0.0.1:0", on_listen = tell, grace = 0.05 })',
        function(child, _, address)
          moonpark.go(http.get, "http://" .. address .. "/slow")
          assert.equal("asked", child:line())
          child:kill()
          assert.equal("answers canceled", child:line())
          assert.equal(0, (child:wait()))
        end)
    end)

    it("leaves the signals alone with a grace of 0 under " .. way, function()
      with(way, 'http.serve(app, { address = "127.0.0.1:0", on_listen = tell, grace = 0 })',
        function(child, _, address)
          moonpark.go(http.get, "http://" .. address .. "/slow")
          assert.equal("asked", child:line())
          child:kill()
          assert.equal(143, (child:wait()))
        end)
    end)

    it("leaves a signal that the script subscribes to alone under " .. way, function()
      with(way, [[
        moonpark.run(function()
          moonpark.go(function()
            local signals = moonpark.signals "TERM"
            say("the script got", signals:next())
            wait "end"
            os.exit(7)
          end)
          http.serve(app, { address = "127.0.0.1:0", on_listen = tell })
        end)
      ]], function(child, folder, address)
        child:kill()
        assert.equal("the script got TERM", child:line())
        assert.same({ true, "now" }, { ask(address, "/now"):join() })
        make(folder, "end")
        assert.equal(7, (child:wait()))
      end)
    end)

    it("drains on a signal to which the script does not subscribe under " .. way, function()
      with(way, [[
        moonpark.run(function()
          moonpark.go(function() moonpark.signals("TERM"):next() end)
          http.serve(app, { address = "127.0.0.1:0", on_listen = tell })
        end)
      ]], function(child)
        child:kill "INT"
        assert.equal(0, (child:wait()))
      end)
    end)

    it("calls what on_drain was given, which can still write to event streams, under " .. way, function()
      with(way, [[
        local streams = {}
        app:get("/events", function(_, res)
          local events = res:events()
          streams[#streams + 1] = events
          say "subscribed"
          wait "never"
        end)
        moonpark.worker.on_drain(function(seconds)
          for _, events in ipairs(streams) do events:send("goodbye") end
          say(tostring(moonpark.worker.is_draining()), type(seconds))
        end)
        moonpark.worker.on_drain(function() error("mine", 0) end)
        assert(http.serve(app, { address = "127.0.0.1:0", on_listen = tell }))]], function(child, _, address)
        local asked = ask(address, "/events")
        assert.equal("subscribed", child:line())
        child:kill "TERM"
        assert.matches("data: goodbye", select(2, asked:join()))
        assert.equal("true number", child:line())
        local status, _, err = child:wait()
        assert.equal(0, status)
        assert.matches("error while draining: mine", err, 1, true)
      end)
    end)

    it("drains all servers, then lets what called it finish, then cancels the other tasks under " .. way, function()
      with(way, [[
        moonpark.run(function()
          moonpark.go(function()
            local _, err = moonpark.chan():recv()
            say("the ticker got", err)
          end)
          moonpark.go(function()
            http.serve(app, { address = "127.0.0.1:0", on_listen = function(server) tell(server) end })
            say "first server ended"
            wait "cleaned"
            say "first server cleaned up"
          end)
          http.serve(app, { address = "127.0.0.1:0" })
        end)
      ]], function(child, folder, address)
        local asking = ask(address, "/slow")
        assert.equal("asked", child:line())
        child:kill()
        make(folder, "go")
        assert.equal("answers nil", child:line())
        assert.equal("first server ended", child:line())
        make(folder, "cleaned")
        assert.equal("first server cleaned up", child:line())
        assert.equal("the ticker got canceled", child:line())
        assert.same({ true, "slow" }, { asking:join() })
        assert.equal(0, (child:wait()))
      end)
    end)

    it("removes the path of a unix listener under " .. way, function()
      with(way, [[
        local path = folder .. "/socket"
        http.serve(app, { address = "unix:" .. path, on_listen = tell })
      ]], function(child, folder)
        child:kill()
        assert.equal(0, (child:wait()))
        assert.is_nil((moonpark.fs.stat(folder .. "/socket")))
      end)
    end)

    it("ends event streams at once, so that they do not hold the program up, under " .. way, function()
      with(way, [[
        app:get("/events", function(_, res)
          local events = res:events()
          events:send "one"
          say("waits", tostring(select(2, moonpark.chan():recv())))
          say("sends", tostring(select(2, events:send "two")))
        end)
        http.serve(app, { address = "127.0.0.1:0", on_listen = tell, grace = 3600 })
      ]], function(child, _, address)
        local answer = assert(http.get("http://" .. address .. "/events", { stream = true }))
        assert.equal("data: one\n\n", answer:read())
        child:kill()
        assert.same({ nil, "eof" }, { answer:read() }) -- the last chunk has come: the stream ends, and is not cut
        assert.equal("waits canceled", child:line())
        assert.equal("sends canceled", child:line())
        assert.equal(0, (child:wait()))
      end)
    end)

    it("works again in the same process, and gives the signals back in between, under " .. way, function()
      with(way, [[
        local function stop(server) moonpark.go(server.shutdown, server) end
        assert(http.serve(app, { address = "127.0.0.1:0", on_listen = stop }))
        assert(http.serve(app, { address = "127.0.0.1:0", on_listen = stop }))
        say "listening on nothing"
        moonpark.run(function() moonpark.chan(1):recv(3600) end)
      ]], function(child)
        child:kill()
        assert.equal(143, (child:wait()))
      end)
    end)
  end

  it("can be stopped while a handler computes, by a second Ctrl-C", function()
    with("plain luajit", [[
      app:get("/spin", function() say "spins" while true do end end)
      http.serve(app, { address = "127.0.0.1:0", on_listen = tell })
    ]], function(child, _, address)
      local asking = moonpark.go(http.get, "http://" .. address .. "/spin")
      assert.equal("spins", child:line())
      repeat -- two that come before the process runs are one
        child:kill "INT"
        moonpark.sleep(0.001)
      until child:ended()
      assert.equal(130, (child:wait()))
      asking:join()
    end)
  end)

  it("has the status 1 where a task does not end", function()
    for _, way in ipairs { "plain luajit", "the command" } do
      with(way, [[
        moonpark.run(function()
          moonpark.go(function() moonpark.shield(function() moonpark.chan():recv(3600) end) end)
          http.serve(app, { address = "127.0.0.1:0", on_listen = tell, grace = 0.05 })
        end)
      ]], function(child)
        child:kill()
        local status, _, err = child:wait()
        assert.matches("SIGTERM: 1 task has not ended", err, 1, true)
        assert.equal(1, status)
      end)
    end
  end)

  for _, way in ipairs { "plain luajit", "the command" } do
    it("names a handler that goes on though it was cancelled, with the status 1, under " .. way, function()
      with(way, [[
        app:get("/deaf", function(_, res)
          say "deaf"
          while true do moonpark.sleep(0.01) end
        end)
        http.serve(app, { address = "127.0.0.1:0", on_listen = tell, grace = 0.05 })]], function(child, _, address)
        local asking = moonpark.go(http.get, "http://" .. address .. "/deaf", { keep_alive = false })
        assert.equal("deaf", child:line())
        child:kill "TERM"
        local status, _, err = child:wait()
        assert.equal(1, status, err)
        assert.matches("SIGTERM: %d tasks? ha.*GET /deaf", err)
        asking:join()
      end)
    end)
  end

  it("that cannot listen does not end the command in silence, unless a later one serves", function()
    local listener = assert(net.listen "127.0.0.1:0")
    local taken = listener:address()
    local refused = ("moonpark: http.serve: %s: address already in use\n"):format(taken)
    local text = [[local http = require "moonpark.http" local function app() end local taken = ...
      local function serve(address, on_listen)
        return http.serve(app, { address = address, on_listen = on_listen })
      end ]]
    local function run(code)
      local child
      support.with_folder(function(folder)
        assert(moonpark.fs.write(folder .. "/it.lua", text .. code))
        child = { process.start(process.moonpark(folder .. "/it.lua", taken)):wait() }
        os.remove(folder .. "/it.lua")
      end)
      return child
    end
    assert.same({ 1, "", refused }, run "serve(taken)")
    assert.same({ 0, "", "" },
      run "if not serve(taken) then assert(serve('127.0.0.1:0', function(server) server:shutdown() end)) end")
    local failed = run "assert(serve(taken))"
    assert.equal(1, failed[1])
    assert.matches("^moonpark: %S+/it%.lua:%d+: address already in use\n", failed[3])
    assert.same({ 7, "mine: address already in use\n", "" }, run [[
      local _, err = serve(taken) io.write("mine: ", err, "\n") os.exit(7)]])
    local told = run [[require("moonpark").go(serve, taken) require("moonpark").sleep(0.01) io.write "went on\n"]]
    assert.same({ 0, "went on\n", refused }, told)
    assert.same({ 0, "went on\n", "" }, run [[
      serve(taken) require("moonpark").sleep(0.01) io.write "went on\n"]])
    assert.same({ 0, "nil\ttimeout\n", "" }, run 'print(require("moonpark").timeout(0.01, serve, "127.0.0.1:0"))')
    listener:close()
  end)

  it("refuses a grace that is not a time", function()
    for _, grace in ipairs { "5", -1, 0 / 0 } do
      local ok, err = pcall(http.serve, print, { address = "127.0.0.1:0", grace = grace })
      assert.is_false(ok)
      assert.matches("http.serve: option 'grace'", err, 1, true)
    end
  end)
end)

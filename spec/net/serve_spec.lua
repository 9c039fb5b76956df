-- SPDX-License-Identifier: MIT
-- listener:serve and listener:accepts: a task per connection, and what goes wrong in one of them.

local core = require "moonpark.core"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local process = require "support.process"
local support = require "support.net"
local task_state = require "support.task_state"

-- A server under way, with what it logs; server:stop() closes the listener and joins.
local function serve(handler, options)
  local server = { log = {}, listener = assert(net.listen("127.0.0.1:0")) }
  options = options or {}
  options.on_error = options.on_error or function(text) server.log[#server.log + 1] = text end
  server.task = moonpark.go(function() return server.listener:serve(handler, options) end)
  function server.dial() return assert(net.dial(server.listener:address())) end
  function server.stop()
    server.listener:close()
    return server.task:join()
  end
  return server
end

-- A request and its answer on a connection of its own.
local function ask(server, line)
  local client = server.dial()
  assert(client:write(line, "\n"))
  local answer, err = client:read_line()
  client:close()
  return answer, err
end

-- Answers every line, and does what some lines say.
local deeds = {}
local function answering(conn)
  for line in conn:lines() do
    if deeds[line] then deeds[line](conn) end
    conn:write("you said ", line, "\n")
  end
end

local function assert_alive(server) assert.equal("you said hello", ask(server, "hello")) end

describe("serve", function()
  -- The body of an `it` that leaves no descriptor and no connection behind.
  local function leaving_nothing(body)
    return function()
      local before = support.descriptors()
      body()
      assert.equal(before, support.descriptors())
      assert.same({}, core.conns())
      core.check()
    end
  end

  it("runs the handler in a task of its own for each connection", leaving_nothing(function()
    local server = serve(function(conn)
      conn:write(tostring(moonpark.current():id()), "\n")
      conn:read()
    end)
    local first, second = server.dial(), server.dial()
    assert.not_equal(first:read_line(), second:read_line())
    first:close()
    second:close()
    assert.same({ true, true }, { server.stop() })
  end))

  it("closes the connection when the handler returns", leaving_nothing(function()
    local server = serve(function(conn) conn:write("bye") end)
    local client = server.dial()
    assert.equal("bye", client:read_all())
    client:close()
    server.stop()
  end))

  it("does not mind a handler that has closed its connection", leaving_nothing(function()
    local server = serve(function(conn) conn:close() end)
    local client = server.dial()
    assert.same({ nil, "eof" }, { client:read() })
    client:close()
    server.stop()
    assert.same({}, server.log)
  end))

  it("returns true once the listener is closed and every handler has ended, not earlier", leaving_nothing(function()
    local server = serve(answering)
    local client = server.dial()
    client:write("one\n")
    assert.equal("you said one", client:read_line())
    server.listener:close()
    support.settle()
    task_state.assert_waits(server.task)
    client:write("two\n")
    assert.equal("you said two", client:read_line())
    client:close()
    assert.same({ true, true }, { server.task:join() })
  end))

  it("cancelled cancels its handlers, waits for them, and closes all connections", leaving_nothing(function()
    local ended = 0
    local server = serve(function(conn)
      local _, err = conn:read()
      assert.equal("canceled", err)
      ended = ended + 1
    end)
    local clients = { server.dial(), server.dial(), server.dial() }
    support.settle()
    server.task:cancel()
    assert.same({ true, nil, "canceled" }, { server.task:join() })
    assert.equal(3, ended)
    for _, client in ipairs(clients) do
      assert.same({ nil, "eof" }, { client:read() })
      client:close()
    end
    assert.is_false(server.listener:is_closed())
    server.listener:close()
    assert.same({}, server.log)
  end))

  it("ends with timeout when the listener's deadline comes, once the handlers have ended", leaving_nothing(function()
    local listener = assert(net.listen("127.0.0.1:0"))
    listener:set_deadline(moonpark.now() + 0.005)
    assert.same({ nil, "timeout" }, { listener:serve(answering) })
    listener:close()
  end))

  it("may run twice on one listener", leaving_nothing(function()
    local listener = assert(net.listen("127.0.0.1:0"))
    local first = moonpark.go(function() return listener:serve(answering) end)
    local second = moonpark.go(function() return listener:serve(answering) end)
    for _ = 1, 4 do assert_alive { dial = function() return assert(net.dial(listener:address())) end } end
    listener:close()
    assert.same({ true, true }, { first:join() })
    assert.same({ true, true }, { second:join() })
  end))

  it("serves unix sockets as well", leaving_nothing(function()
    support.with_folder(function(folder)
      local listener = assert(net.listen("unix:" .. folder .. "/s"))
      local server = moonpark.go(function() return listener:serve(answering) end)
      assert_alive { dial = function() return assert(net.dial(listener:address())) end }
      listener:close()
      assert.same({ true, true }, { server:join() })
    end)
  end))

  it("refuses what is no handler, no listener, no option", support.listening(function(listener)
    local a, b = net.pipe()
    assert.error_matches(function() listener:serve() end, "function expected, got nil")
    assert.error_matches(function() listener:serve {} end, "function expected, got table")
    assert.error_matches(function() a:serve(print) end, "listener expected")
    assert.error_matches(function() listener:serve(print, 5) end, "table expected")
    assert.error_matches(function() listener:serve(print, { color = 1 }) end, "unknown option 'color'")
    assert.error_matches(function() listener:serve(print, { on_error = "stderr" }) end, "on_error")
    for _, n in ipairs { 0, -1, 1.5, 0 / 0 } do
      assert.error_matches(function() listener:serve(print, { max_connections = n }) end, "max_connections")
    end
    a:close()
    b:close()
  end))
end)

describe("a handler", function()
  -- What a handler may do to itself; each is logged with these words, ends its connection, and no other.
  local ways = {
    { "raises a string", function() error("I give up") end, "I give up" },
    { "raises a table", function() error({}) end, "{}" },
    { "raises nothing", function() error() end, "nil" },
    { "raises an object whose __tostring fails",
      function() error(setmetatable({}, { __tostring = function() error("again") end })) end, "__tostring failed" },
    { "raises an error in an error handler",
      function() assert(xpcall(error, function() error("once more") end)) end, "error in error handling" },
    { "calls a nil", function() local f f() end, "attempt to call" }, -- luacheck: ignore
    { "recurses without end", function() local function f() return 1 + f() end f() end, "stack overflow" },
    { "misuses a method", function(conn) conn:read(-1) end, "bad argument" },
    { "yields plainly", function() coroutine.yield(1) end, "use moonpark.yield()" },
    { "yields plainly within pcall", function() assert(pcall(coroutine.yield, 1)) end, "use moonpark.yield()" },
    { "waits across a C call",
      function() table.sort({ 3, 2, 1 }, function(x, y) moonpark.sleep(0) return x < y end) end, "across a C call" },
  }

  for _, way in ipairs(ways) do
    it("that " .. way[1] .. " is logged and ends its own connection only", function()
      local before = support.descriptors()
      deeds["do it"] = way[2]
      local server = serve(answering, { max_connections = 2 })
      local witness = server.dial()
      assert(witness:write("before\n"))
      assert.equal("you said before", witness:read_line())
      for i = 1, 3 do
        assert.same({ nil, "eof" }, { ask(server, "do it") })
        assert.equal(i, #server.log)
        assert.is_true(server.log[i]:find(way[3], 1, true) ~= nil, server.log[i])
        assert.is_true(server.log[i]:find("tcp 127.0.0.1:", 1, true) ~= nil or
          server.log[i]:find("127.0.0.1:", 1, true) ~= nil, server.log[i])
      end
      assert(witness:write("after\n"))
      assert.equal("you said after", witness:read_line())
      witness:close()
      assert_alive(server)
      assert.same({ true, true }, { server.stop() })
      assert.equal(before, support.descriptors())
      core.check()
    end)
  end

  it("that raises is logged with its traceback", function()
    deeds["do it"] = function() error("I give up") end
    local server = serve(answering)
    ask(server, "do it")
    assert.matches("serve_spec.lua:%d+: I give up", server.log[1])
    assert.matches("serve_spec.lua:%d+: in function", server.log[1])
    server.stop()
  end)

  it("that raises because it was cancelled is not logged", function()
    local server = serve(function(conn) assert(conn:read()) end)
    local client = server.dial()
    support.settle()
    server.task:cancel()
    server.task:join()
    client:close()
    server.listener:close()
    assert.same({}, server.log)
  end)

  it("whose error cannot be logged ends all the same, and the server lives on", function()
    local before = support.descriptors()
    local uncaught = process.run({ process.interpreter, "-e", [[
      local moonpark = require "moonpark"
      local net = moonpark.net
      moonpark.run(function()
        local listener = assert(net.listen("127.0.0.1:0"))
        local server = moonpark.go(function()
          return listener:serve(function(conn)
            local line = conn:read_line()
            if line == "die" then error("handler's error") end
            conn:write("alive\n")
          end, { max_connections = 1, on_error = function() error("logger's error") end })
        end)
        for i = 1, 3 do
          local client = assert(net.dial(listener:address()))
          client:write("die\n")
          assert(select(2, client:read()) == "eof")
          client:close()
        end
        local client = assert(net.dial(listener:address()))
        client:write("hello\n")
        print(client:read_line())
        client:close()
        listener:close()
        print(server:join())
      end)
    ]] })
    assert.equal("alive\ntrue\ttrue\n", uncaught.out)
    assert.matches("logger's error", uncaught.err)
    assert.equal(0, uncaught.status)
    assert.equal(before, support.descriptors())
  end)
end)

describe("max_connections", function()
  it("lets that many in and the next when one leaves", function()
    local inside, most = 0, 0
    local server = serve(function(conn)
      inside = inside + 1
      most = math.max(most, inside)
      conn:write("in\n")
      conn:read()
      inside = inside - 1
    end, { max_connections = 2 })
    local clients = {}
    for i = 1, 5 do clients[i] = server.dial() end
    assert.equal("in", clients[1]:read_line())
    assert.equal("in", clients[2]:read_line())
    support.settle()
    assert.equal(2, inside)
    for i = 1, 5 do
      if i > 2 then assert.equal("in", clients[i]:read_line()) end
      clients[i]:close()
    end
    assert.same({ true, true }, { server.stop() })
    assert.equal(2, most)
    assert.equal(0, inside)
  end)

  it("of one serves them one after another", function()
    local server = serve(answering, { max_connections = 1 })
    for _ = 1, 5 do assert_alive(server) end
    assert.same({ true, true }, { server.stop() })
  end)

  it("that are all taken do not keep a cancelled serve from ending", function()
    local server = serve(answering, { max_connections = 1 })
    local client = server.dial()
    support.settle()
    server.task:cancel()
    assert.same({ true, nil, "canceled" }, { server.task:join() })
    client:close()
    server.listener:close()
  end)
end)

describe("a server without descriptors", function()
  it("says so, waits, and serves again when there are some", function()
    local gone = moonpark.event()
    local log = {}
    local server = serve(answering, { on_error = function(text)
      log[#log + 1] = text
      gone:set()
    end })
    local witness, waiting = server.dial(), server.dial()
    assert(witness:write("hello\n"))
    assert.equal("you said hello", witness:read_line())
    waiting:write("let me in\n")
    assert.equal("you said let me in", waiting:read_line())

    local late = server.dial() -- in the queue: nothing has let the server run since
    local give_back = support.use_up_descriptors()
    local ok, err = gone:wait(5)
    assert(witness:write("still there?\n"))
    local answer = witness:read_line()
    give_back()
    assert.is_true(ok, err)
    assert.equal("you said still there?", answer)
    assert.matches("^accept: too many open files; trying again in 0.005 s$", log[1])

    assert(late:write("at last\n"))
    assert.equal("you said at last", late:read_line())
    for _, client in ipairs { witness, waiting, late } do client:close() end
    assert.same({ true, true }, { server.stop() })
  end)

  it("waits twice as long each time, up to a second, and can be cancelled meanwhile", function()
    local pauses = {}
    local listener = assert(net.listen("127.0.0.1:0"))
    local client = assert(net.dial(listener:address()))
    core.clock_freeze() -- the connection is there already: the kernel's clock does not matter
    local give_back = support.use_up_descriptors()
    local server = moonpark.go(function()
      return listener:serve(answering, { on_error = function(text)
        pauses[#pauses + 1] = tonumber(text:match("in ([%d.]+) s$"))
      end })
    end)
    while #pauses < 10 do moonpark.sleep(0.001) end
    server:cancel()
    local result = { server:join() }
    give_back()
    core.clock_thaw()
    assert.same({ 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1, 1 }, pauses)
    assert.same({ true, nil, "canceled" }, result)
    client:close()
    listener:close()
  end)

  it("fails dial and listen with the system's words", function()
    local give_back = support.use_up_descriptors()
    local listened, dialled = { net.listen("127.0.0.1:0") }, { net.dial("127.0.0.1:1") }
    local a, b = net.pipe() -- needs none
    give_back()
    assert.same({ nil, "too many open files", 24 }, listened)
    assert.same({ nil, "too many open files", 24 }, dialled)
    a:close()
    b:close()
  end)

  it("fails a plain accept, which may be called again", support.listening(function(listener)
    local client = assert(net.dial(listener:address()))
    local give_back = support.use_up_descriptors()
    local accepted = { listener:accept() }
    give_back()
    assert.same({ nil, "too many open files", 24 }, accepted)
    local server = assert(listener:accept())
    assert.equal(client:local_address(), server:peer_address())
    server:close()
    client:close()
  end))
end)

describe("accepts", function()
  it("goes over connections until the listener is closed", support.listening(function(listener)
    local clients = {}
    for i = 1, 3 do clients[i] = assert(net.dial(listener:address())) end
    local seen = 0
    for conn in listener:accepts() do
      seen = seen + 1
      assert.equal(clients[seen]:local_address(), conn:peer_address())
      conn:close()
      if seen == 3 then listener:close() end
    end
    assert.equal(3, seen)
    for _, client in ipairs(clients) do client:close() end
  end))

  it("ends when the task is cancelled", support.listening(function(listener)
    local task = support.parked(function()
      for conn in listener:accepts() do conn:close() end
      return "ended"
    end)
    task:cancel()
    assert.same({ true, "ended" }, { task:join() })
  end))
end)

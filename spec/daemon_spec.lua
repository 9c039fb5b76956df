-- SPDX-License-Identifier: MIT
-- daemon_spec.lua - tasks for which moonpark.run does not wait, those that do not end though they are cancelled, and
-- tasks that run at once.

local moonpark = require "moonpark"
local process = require "support.process"

local function run(script)
  return process.run { process.interpreter, "-e", 'local moonpark = require "moonpark"\n' .. script }
end

describe("a cancelled task", function()
  it("that goes on as if nothing had been is named once, with where it is; one that ends is not", function()
    local r = run [[
      moonpark.run(function()
        local other = moonpark.go(function()
          for _ = 1, 1000 do moonpark.sleep(1e6) end
          moonpark.shield(function() for _ = 1, 20000 do moonpark.sleep(0) end end)
        end)
        other:cancel()
        local task = moonpark.go(function()
          local function wait() moonpark.chan():recv() end
          for _ = 1, 50000 do wait() end
          for _ = 1, 50000 do moonpark.yield() end
        end)
        task:cancel "enough"
        task:join()
        moonpark.timeout(0.001, function() for _ = 1, 30000 do moonpark.sleep(1e6) end end)
      end)
    ]]
    local told = {}
    for who in r.err:gmatch "moonpark: (task %d+[^,]*), [^\n]- goes on: " do told[#told + 1] = who end
    assert.same({ "task 3", 'task 1 "main"' }, told)
    assert.matches("was cancelled %(enough%).-:9: in function", r.err)
  end)
end)

describe("the report of a cancelled task that goes on", function()
  it("may fail, and the task has its turn all the same", function()
    local r = run [[
      require("moonpark.core").on_heedless(function() error "no memory, for one" end)
      moonpark.run(function()
        local task = moonpark.go(function()
          for _ = 1, 20000 do moonpark.sleep(1e6) end
          return "ended"
        end)
        task:cancel()
        print(task:join())
      end)
    ]]
    assert.same({ 0, "true\tended\n", "" }, { r.status, r.out, r.err })
  end)
end)

describe("a daemon", function()
  it("does not keep run alive: it is cancelled when the others have ended, and may clean up", function()
    local r = run [[
      print(moonpark.run(function()
        moonpark.go_daemon(function()
          print("daemon", moonpark.sleep(1e6))
          moonpark.shield(function() moonpark.sleep(0.01) end)
          print "cleaned up"
        end)
        moonpark.go(function() moonpark.sleep(0.01) print "task" end)
        return "main"
      end))
    ]]
    assert.same({ 0, "task\ndaemon\tnil\tcanceled\ncleaned up\nmain\n", "" }, { r.status, r.out, r.err })
  end)

  it("that has not begun yet is cancelled as well, and so is one that a daemon starts", function()
    local r = run [[
      moonpark.run(function()
        moonpark.go_daemon(function()
          moonpark.go_daemon(function() print("inner", moonpark.sleep(1e6)) end)
          print("outer", moonpark.sleep(1e6))
        end)
      end)
      print "over"
    ]]
    assert.same({ 0, "" }, { r.status, r.err })
    assert.matches("outer\tnil\tcanceled\n", r.out, 1, true)
    assert.matches("inner\tnil\tcanceled\n", r.out, 1, true)
    assert.matches("over\n$", r.out)
  end)

  it("has daemons in its scopes, which are cancelled with it, and none that it starts by go", function()
    local r = run [[
      moonpark.run(function()
        moonpark.go_daemon(function()
          moonpark.scope(function(scope)
            scope:go(function()
              moonpark.scope(function(inner) inner:go(function() print("child", moonpark.sleep(1e6)) end) end)
            end)
            scope:go(function()
              moonpark.sleep(1e6)
              scope:go(function() print("late", moonpark.sleep(1e6)) end)
              print("cleaned up", moonpark.shield(moonpark.sleep, 0.01))
            end)
          end)
        end)
        moonpark.go_daemon(function() moonpark.go(function() print("task", moonpark.sleep(0.02)) end) end)
        moonpark.yield()
      end)
      print "over"
    ]]
    assert.same({ 0, "" }, { r.status, r.err })
    local lines = {}
    for line in r.out:gmatch "[^\n]+" do lines[#lines + 1] = line end
    assert.same({ "task\ttrue", "over" }, { lines[1], lines[5] })
    table.sort(lines)
    assert.same({ "child\tnil\tcanceled", "cleaned up\ttrue", "late\tnil\tcanceled", "over", "task\ttrue" }, lines)
  end)

  it("that drops a scope, as a generator does, leaves tasks for which run waits", function()
    local r = run [[
      local generator
      moonpark.run(function()
        moonpark.go_daemon(function()
          generator = coroutine.wrap(function()
            moonpark.scope(function(scope)
              scope:go(function() print("left", moonpark.sleep(0.02)) end)
              coroutine.yield()
            end)
          end)
          generator()
        end)
        moonpark.sleep(0.001)
      end)
      print "over"
    ]]
    assert.same({ 0, "left\ttrue\nover\n", "" }, { r.status, r.out, r.err })
  end)

  it("may be a server, whose connections do not keep the program", function()
    local r = run [[
      local http, net = moonpark.http, moonpark.net
      local server = assert(http.server(function(_, res) res:send "x" end, { address = "127.0.0.1:0" }))
      local listener = assert(net.listen "127.0.0.1:0")
      moonpark.run(function()
        moonpark.go_daemon(server.run, server)
        moonpark.go_daemon(listener.serve, listener, function(conn) conn:read() end)
        local conn = assert(net.dial(listener:address()))
        assert(conn:write "x")
        print(assert(http.get("http://" .. server:address())).body)
      end)
      print "over"
    ]]
    assert.same({ 0, "x\nover\n", "" }, { r.status, r.out, r.err })
  end)

  it("may wake the others: only where it cannot are they deadlocked, and alone it never is", function()
    local r = run [[
      print(moonpark.run(function()
        local ch = moonpark.chan()
        moonpark.go_daemon(function() moonpark.sleep(0.01) ch:send "woken" end)
        return ch:recv()
      end))
      print(pcall(moonpark.run, function()
        moonpark.go_daemon(function() moonpark.chan():recv() end)
        moonpark.chan():recv()
      end))
    ]]
    assert.matches("^woken\nfalse\tdeadlock: ", r.out)
    r = run [[
      moonpark.run(function() moonpark.go_daemon(function() moonpark.chan():recv() end) end)
      print "fine"
    ]]
    assert.same({ 0, "fine\n", "" }, { r.status, r.out, r.err })
  end)

  it("is joined, cancelled and reported as any task", function()
    local daemon = moonpark.go_daemon(function(...) moonpark.sleep(0.001) return ... end, 1, 2)
    assert.same({ true, 1, 2 }, { daemon:join() })
    daemon = moonpark.go_daemon(moonpark.sleep, 1000)
    daemon:cancel()
    assert.same({ true, nil, "canceled" }, { daemon:join() })
    local r = run [[
      moonpark.run(function()
        moonpark.go_daemon(function() error "broken" end)
        moonpark.sleep(0.01)
      end)
    ]]
    assert.matches("broken", r.err)
    assert.error_matches(function() moonpark.go_daemon(5) end, "bad argument #1 to 'go_daemon'")
  end)

  it("ends with the program under the command", function()
    local r = process.run(process.moonpark("-e", [[
      local moonpark = require "moonpark"
      moonpark.go_daemon(function() print(moonpark.sleep(1e6)) end)
      moonpark.sleep(0.01)
    ]]))
    assert.same({ 0, "nil\tcanceled\n", "" }, { r.status, r.out, r.err })
  end)
end)

describe("go_now", function()
  it("runs the task until its first wait, then the caller, then the others", function()
    local order = {}
    local function add(what) order[#order + 1] = what end
    local other = moonpark.go(add, "other")
    local task = moonpark.go_now(function(a, b)
      add("child " .. a .. b)
      moonpark.yield()
      add "child again"
      return "result"
    end, 1, 2)
    add "caller"
    assert.same({ true, "result" }, { task:join() })
    other:join()
    assert.same({ "child 12", "caller", "other", "child again" }, order)
  end)

  it("gives back a task that has ended already, or failed", function()
    local task = moonpark.go_now(function() return "done" end)
    assert.equal("done", task:status())
    assert.same({ true, "done" }, { task:join() })
    task = moonpark.go_now(error, "at once", 0)
    assert.equal("failed", task:status())
    assert.same({ nil, "at once" }, { (task:join()), (select(2, task:join())) })
  end)

  it("is like go where the caller cannot wait, and works in generators", function()
    local order = {}
    ("x"):gsub("x", function()
      moonpark.go_now(function() order[#order + 1] = "child" end)
      order[#order + 1] = "caller"
    end)
    moonpark.yield()
    assert.same({ "caller", "child" }, order)
    order = {}
    coroutine.wrap(function()
      moonpark.go_now(function() order[#order + 1] = "child" end)
      order[#order + 1] = "generator"
    end)()
    assert.same({ "child", "generator" }, order)
  end)

  it("in itself goes as deep as one likes", function()
    local deepest = 0
    local function go_down(n)
      deepest = n
      if n < 1000 then assert(moonpark.go_now(go_down, n + 1):join()) end
    end
    go_down(1)
    assert.equal(1000, deepest)
  end)

  it("of a cancelled task still starts it", function()
    local ran = false
    local canceled = moonpark.go(function()
      moonpark.sleep(1000)
      moonpark.go_now(function() ran = true end)
      return ran
    end)
    moonpark.yield()
    canceled:cancel()
    assert.same({ true, true }, { canceled:join() })
  end)
end)

-- SPDX-License-Identifier: MIT
-- moonpark.run in a process of its own: results, errors, deadlocks, uncaught errors. Each case is a script
-- run by plain luajit, because a run cannot be nested in the run that a test is.

local process = require "support.process"

local function run_script(text)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  local pipe = assert(io.popen(("'%s' %s 2>&1; echo \"status=$?\""):format(process.interpreter, path)))
  local out = pipe:read("*a")
  pipe:close()
  os.remove(path)
  local body, status = out:match("^(.*)status=(%d+)\n$")
  return body, tonumber(status)
end

local PRELUDE = 'local moonpark = require "moonpark"\n'

describe("moonpark's modules", function()
  it("are its fields, loaded when they are first asked for", function()
    local names = { "fs", "http", "net", "netpoll", "process", "shared", "systemd", "testing", "tls", "worker" }
    local out = run_script(PRELUDE .. "arg = { '" .. table.concat(names, "', '") .. "' }" .. [[
      for _, name in ipairs(arg) do
        local lazy = name ~= "http" or not package.loaded["moonpark.http"]
        local module = moonpark[name]
        print(name, lazy, module == require("moonpark." .. name), rawget(moonpark, name) == module)
      end
      print(moonpark.none)
    ]])
    local wanted = {}
    for i, name in ipairs(names) do
      wanted[i] = name .. "\ttrue\ttrue\ttrue\n"
    end
    assert.equal(table.concat(wanted) .. "nil\n", out)
  end)
end)

describe("another Lua than LuaJIT", function()
  it("is told what to run instead, by moonpark and by busted's helper", function()
    for module, hint in pairs { moonpark = "luajit", ["moonpark.testing"] = "busted --lua=luajit" } do
      local r = process.run { "lua5.1", "-e", ("require %q"):format(module) }
      assert.equal(1, r.status)
      assert.matches("moonpark needs LuaJIT, and this is Lua 5.1: run .*" .. hint:gsub("%p", "%%%0"), r.err)
    end
  end)
end)

describe("run", function()
  it("returns the main task's results when all tasks have ended", function()
    local out, status = run_script(PRELUDE .. [[
      local log = {}
      local a, b = moonpark.run(function(x)
        moonpark.go(function() moonpark.sleep(0.01) log[1] = "child" end)
        return x, "second"
      end, "first")
      print(a, b, log[1])
      print(moonpark.run(function() return "again" end))
    ]])
    assert.equal("first\tsecond\tchild\nagain\n", out)
    assert.equal(0, status)
  end)

  it("raises the main task's error with its traceback, and cancels the others", function()
    local out = run_script(PRELUDE .. [[
      local function broken() error("broken main") end
      local ok, err = pcall(moonpark.run, function()
        moonpark.go(function() print(moonpark.sleep(1e6)) end)
        moonpark.yield()
        broken()
      end)
      print(ok)
      print(err)
      local object = {}
      print(select(2, pcall(moonpark.run, function() error(object) end)) == object)
    ]])
    assert.matches("^nil\tcanceled\nfalse\n", out)
    assert.matches("broken main\nstack traceback:.*in function 'broken'", out)
    assert.matches("true\n$", out)
  end)

  it("called in a task runs the function right there", function()
    local out = run_script(PRELUDE .. [[
      moonpark.run(function()
        print(moonpark.run(function(...) moonpark.yield() return moonpark.current():name(), ... end, "x"))
        print(pcall(moonpark.run, error, "raised"))
      end)
    ]])
    assert.equal("main\tx\nfalse\traised\n", out)
  end)

  it("survives an endless recursion in a scope, and says what it was", function()
    local out = run_script(PRELUDE .. [[
      moonpark.run(function()
        local function deeper() return 1 + deeper() end
        print(pcall(moonpark.scope, deeper))
        print(pcall(moonpark.timeout, 1, deeper))
        print(moonpark.go(deeper):join() == nil, moonpark.yield())
      end)
    ]])
    -- Where the stack ended in a C function there is no line to name; and where it ended just before our handler of
    -- errors, LuaJIT says "error in error handling".
    for i = 1, 2 do
      local line = out:match(("[^\n]*\n"):rep(i - 1) .. "(false\t[^\n]*)\n")
      assert.is_truthy(line and (line:find "stack overflow" or line:find "error in error handling"), out)
    end
    assert.matches("true\ttrue\n$", out)
  end)

  it("reports a deadlock exactly, at once, and can run again", function()
    local out = run_script(PRELUDE .. [[
      local ok, err = pcall(moonpark.run, function()
        local one, two = moonpark.mutex(), moonpark.mutex()
        local other = moonpark.go(function()
          two:lock()
          moonpark.yield()
          one:lock()
        end)
        other:name("other")
        one:lock()
        moonpark.yield()
        two:lock()
      end)
      print(err)
      print(moonpark.run(function() return "alive" end))
    ]])
    assert.matches("^deadlock: all 2 tasks are parked", out)
    assert.matches('task 1 "main" waits in lock on mutex held by task 2 "other"\n    at [^\n]+:12', out)
    assert.matches('task 2 "other" waits in lock on mutex held by task 1 "main"\n    at [^\n]+:7', out)
    assert.matches("alive\n$", out)
  end)

  it("does not take a wait for the outside for a deadlock", function()
    local out = run_script(PRELUDE .. [[
      local net = require "moonpark.net"
      moonpark.run(function()
        local listener = net.listen("127.0.0.1:0")
        local ch = moonpark.chan()
        moonpark.go(function() ch:send((listener:accept())) end)
        moonpark.go(function() moonpark.sleep(0.01) net.dial(listener:address()):close() end)
        print(ch:recv() ~= nil)
        print(moonpark.timeout(0.01, function() return moonpark.chan():recv() end))
      end)
    ]])
    assert.equal("true\nnil\ttimeout\n", out)
  end)

  it("finds a deadlock around an in-memory pair", function()
    local out = run_script(PRELUDE .. [[
      local a, b = require("moonpark.net").pipe()
      print(select(2, pcall(moonpark.run, function() return b:read() end)))
    ]])
    assert.matches("deadlock: the only task is parked.*waits in read on pipe", out)
  end)
end)

describe("a deadlock around a select", function()
  it("is found when the deadline that kept it alive is cleared", function()
    local out = run_script(PRELUDE .. [[
      local a, b = require("moonpark.net").pipe()
      print(select(2, pcall(moonpark.run, function()
        b:set_read_deadline(moonpark.now() + 1000)
        moonpark.go(function() moonpark.select { { b, "r" } } end)
        moonpark.yield()
        b:set_read_deadline(nil)
      end)))
    ]])
    assert.matches("^deadlock: the only task is parked.*waits in select on 1 case\n", out)
  end)
end)

describe("an error that nobody can join any more", function()
  it("is reported while the program goes on", function()
    local out, status = run_script(PRELUDE .. [[
      io.stdout:setvbuf("no")
      moonpark.run(function()
        moonpark.go(function() error("nobody cares") end)
        moonpark.sleep(0.05)
        print("goes on")
      end)
    ]])
    assert.matches("uncaught error in a task: [^\n]*nobody cares\nstack traceback", out)
    assert.matches("started at:\n\t[^\n]+:4", out)
    assert.matches("goes on\n$", out)
    assert.equal(0, status)
  end)

  it("is not reported where somebody joins later", function()
    local out = run_script(PRELUDE .. [[
      moonpark.run(function()
        local task = moonpark.go(function() error("expected", 0) end)
        moonpark.sleep(0.02)
        print((select(2, task:join())))
      end)
    ]])
    assert.equal("expected\n", out)
  end)

  it("is reported at the end where the handle was kept and never joined", function()
    local out = run_script(PRELUDE .. [[
      kept = nil
      moonpark.run(function() kept = moonpark.go(function() error("kept") end) end)
    ]])
    assert.matches("uncaught error in a task: [^\n]*kept\n", out)
  end)
end)

describe("outside of run", function()
  it("what waits says so", function()
    local out = run_script(PRELUDE .. [[
      for _, name in ipairs { "sleep", "yield" } do print(pcall(moonpark[name], 1)) end
      print(pcall(moonpark.go, print))
      print(pcall(moonpark.chan().recv, moonpark.chan()))
      print(pcall(moonpark.scope, print))
    ]])
    local count = select(2, out:gsub("false\t[^\n]*inside moonpark%.run", ""))
    assert.equal(5, count, out)
  end)
end)

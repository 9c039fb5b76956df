-- SPDX-License-Identifier: MIT
-- moonpark.systemd: what a service manager is told, against a small one of our own.

local net = require "moonpark.net"
local process = require "support.process"
local support = require "support.net"

local exists = process.run({ "which", "systemd-notify" }).status == 0

-- The words that run a script in a task, in which `systemd` is the module.
local function script(text)
  return { process.interpreter, "-e", [[
    io.stdout:setvbuf("line")
    local moonpark = require "moonpark"
    local systemd = moonpark.systemd
    moonpark.run(function() ]] .. text .. [[ end)]] }
end

-- The body of an `it`: body(manager, start). start(text, env) runs a script whose service manager is that packet
-- socket; start.run(text, env) to its end, and returns what it printed.
local function with_manager(body, abstract)
  return function()
    support.with_folder(function(folder)
      local path = (abstract and "@" or "") .. folder .. "/notify"
      local manager = assert(net.packet("unixgram:" .. path))
      local function start(text, env)
        local all = { NOTIFY_SOCKET = path, WATCHDOG_USEC = false, WATCHDOG_PID = false }
        for name, value in pairs(env or {}) do all[name] = value end
        return process.start(type(text) == "table" and text or script(text), { env = all })
      end
      local function run(text, env)
        local status, out, err = start(text, env):wait()
        assert.same({ 0, "" }, { status, err })
        return out
      end
      body(manager, run, start, path)
      manager:close()
    end)
  end
end

-- The datagrams that came before this call.
local function received(manager)
  local sender = assert(net.packet "unixgram:")
  assert(sender:send_to("that is all", manager:address()))
  sender:close()
  local list = {}
  while true do
    local text = assert(manager:recv())
    if text == "that is all" then return list end
    list[#list + 1] = text
  end
end

describe("systemd.notify", function()
  after_each(process.stop_all)

  it("tells the service manager each thing in its own words", with_manager(function(manager, run)
    local cases = {
      { "{ ready = true }", "READY=1" },
      { "{ stopping = true }", "STOPPING=1" },
      { "{ status = 'two of 3 = ready' }", "STATUS=two of 3 = ready" },
      { "{ ready = true, status = 'x', mainpid = 4294967 }", "READY=1\nSTATUS=x\nMAINPID=4294967" },
      { "{ errno = 0 }", "ERRNO=0" },
      { "{ watchdog = true }", "WATCHDOG=1" },
      { "{ watchdog = 'trigger' }", "WATCHDOG=trigger" },
      { "{ watchdog_timeout = 0.25 }", "WATCHDOG_USEC=250000" },
      { "{ extend_timeout = 3600 }", "EXTEND_TIMEOUT_USEC=3600000000" },
      { "'READY=1\\nX_MINE=2'", "READY=1\nX_MINE=2" },
    }
    local calls, expected = {}, {}
    for i, case in ipairs(cases) do
      calls[i] = ("print(systemd.notify(%s))"):format(case[1])
      expected[i] = case[2]
    end
    assert.equal(("true\n"):rep(#cases), run(table.concat(calls, "\n")))
    assert.same(expected, received(manager))
  end))

  it("says when it began to reload, as Type=notify-reload asks", with_manager(function(manager, run)
    local before = tonumber(run [[
      local function now() return ("%.0f"):format(require("moonpark.core").real() * 1e6) end
      local before = now()
      systemd.notify { reloading = true, status = "reloading" }
      systemd.notify("AFTER=" .. now())
      print(before)
    ]])
    local state, after = unpack(received(manager))
    local time = tonumber(state:match "^RELOADING=1\nMONOTONIC_USEC=(%d+)\nSTATUS=reloading$")
    assert.is_true(before <= time and time <= tonumber(after:match "%d+"))
  end))

  it("reaches a socket without a path", with_manager(function(manager, run)
    assert.equal("true\n", run "print(systemd.notify { ready = true })")
    assert.same({ "READY=1" }, received(manager))
  end, true))

  it("works outside of tasks too", with_manager(function(manager, run)
    assert.equal("true\n", run { process.interpreter, "-e", "print(require('moonpark.systemd').notify 'READY=1')" })
    assert.same({ "READY=1" }, received(manager))
  end))

  it("sends nothing where no service manager listens", with_manager(function(manager, run)
    for _, nothing in ipairs { false, "" } do
      assert.equal("false\tfalse\nfalse\n", run("print(systemd.notify { ready = true }, systemd.listens()) "
        .. "print(systemd.watch())", { NOTIFY_SOCKET = nothing }))
    end
    assert.same({}, received(manager))
  end))

  it("hides the service manager from children, and goes on itself", with_manager(function(manager, run)
    assert.equal("here\ntrue\nunset unset unset\ntrue\t1.5\n", run([[
      os.execute "echo ${NOTIFY_SOCKET+here}"
      print(systemd.notify({}, { unset = true }))
      os.execute "echo ${NOTIFY_SOCKET-unset} ${WATCHDOG_USEC-unset} ${WATCHDOG_PID-unset}"
      print(systemd.notify { ready = true }, systemd.watchdog_interval())
    ]], { WATCHDOG_USEC = "1500000" }))
    assert.same({ "READY=1" }, received(manager))
  end))

  it("returns in words why it could not", with_manager(function(_, run)
    local function refused(socket) return run("print(systemd.notify 'READY=1')", { NOTIFY_SOCKET = socket }) end
    assert.equal("nil\tno such file or directory\t2\n", refused "/nonexistent/socket")
    assert.equal("nil\tconnection refused\t111\n", refused "@moonpark/nobody/listens/here")
    assert.equal("nil\tinvalid NOTIFY_SOCKET 'vsock:2:1234': an absolute path, or '@' and a name, expected\n",
      refused "vsock:2:1234")
    assert.equal(("nil\tinvalid NOTIFY_SOCKET '/%s': unix path too long\n"):format(("x"):rep(200)),
      refused("/" .. ("x"):rep(200)))
  end))

  it("waits in a task while the manager's queue is full, and loses nothing", with_manager(function(manager, _, start)
    local child = start [[
      local before = 0
      moonpark.timeout(3600, function()
        local core = require "moonpark.core"
        while core.notify_send("unixgram:" .. os.getenv "NOTIFY_SOCKET", "FULL=1") do before = before + 1 end
        local main = moonpark.go(function() print(systemd.notify { ready = true }) end)
        moonpark.yield()
        print(before, main:status())
        main:join()
      end)
    ]]
    local full = tonumber(child:line():match "^(%d+)\tparked$")
    assert.is_true(full >= 1)
    for _ = 1, full do assert.equal("FULL=1", manager:recv()) end
    assert.equal("READY=1", manager:recv())
    assert.equal("true", child:line())
    assert.equal(0, child:wait())
  end))

  it("raises for what cannot be told", function()
    local systemd = require "moonpark.systemd"
    local function message(...)
      local ok, err = pcall(systemd.notify, ...)
      assert.is_false(ok)
      return err
    end
    assert.matches("unknown option 'redy'; did you mean 'ready'%?", message { redy = true })
    assert.matches("option 'status' must be one line of text", message { status = "a\nREADY=1" })
    assert.matches("option 'watchdog' must be true, false or \"trigger\"", message { watchdog = "yes" })
    assert.matches("option 'mainpid' must be a positive whole number", message { mainpid = 0 })
    assert.matches("table or string expected, got nil", message())
    assert.matches("unknown option 'unse'", message("READY=1", { unse = true }))
  end)

  it("says what systemd-notify says", with_manager(function(manager, run, start)
    if not exists then pending "no systemd-notify here" end
    local child = start { "systemd-notify", "--no-block", "--ready", "--status=all is well" }
    local theirs = manager:recv()
    assert.equal(0, child:wait())
    run "systemd.notify { ready = true, status = 'all is well' }"
    local ours = received(manager)[1]
    for line in ours:gmatch "[^\n]+" do
      assert.is_truthy(("\n" .. theirs .. "\n"):find("\n" .. line .. "\n", 1, true), theirs)
    end
  end))
end)

describe("the watchdog", function()
  after_each(process.stop_all)

  it("tells its interval to the process that it watches", with_manager(function(_, run)
    local show = "print(systemd.watchdog_interval())"
    assert.equal("nil\n", run(show))
    assert.equal("30\n", run(show, { WATCHDOG_USEC = "30000000" }))
    assert.equal("nil\n", run(show, { WATCHDOG_USEC = "30000000", WATCHDOG_PID = "1" }))
    assert.equal("30\n", run({ "sh", "-c", "WATCHDOG_PID=$$ exec \"$@\"", "sh", unpack(script(show)) },
      { WATCHDOG_USEC = "30000000" }))
    assert.equal("nil\tinvalid WATCHDOG_USEC '1s'\n", run(show, { WATCHDOG_USEC = "1s" }))
    assert.equal("nil\tinvalid WATCHDOG_USEC '0'\n", run(show, { WATCHDOG_USEC = "0" }))
    assert.equal("nil\tinvalid WATCHDOG_PID 'me'\n", run(show, { WATCHDOG_USEC = "1000", WATCHDOG_PID = "me" }))
  end))

  it("is told twice in each interval, until the task is cancelled", with_manager(function(manager, run)
    assert.equal("nil\tcanceled\n", run([[
      local clock = require("moonpark.testing").clock()
      local began = moonpark.now()
      local watch = moonpark.go(systemd.watch)
      moonpark.sleep(35)
      watch:cancel()
      print(select(2, watch:join()))
      clock:resume()
    ]], { WATCHDOG_USEC = "20000000" }))
    assert.same({ "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1" }, received(manager)) -- at 0, 10, 20, 30
  end))

  it("is told nothing while the program finds that it is not well", with_manager(function(manager, run)
    run([[
      local clock = require("moonpark.testing").clock()
      local asked = 0
      local watch = moonpark.go(systemd.watch, function()
        asked = asked + 1
        return asked ~= 2 -- at 10
      end)
      moonpark.sleep(25)
      watch:cancel()
      watch:join()
      clock:resume()
    ]], { WATCHDOG_USEC = "20000000" })
    assert.same({ "WATCHDOG=1", "WATCHDOG=1" }, received(manager)) -- at 0 and 20
  end))
end)

-- SPDX-License-Identifier: MIT
-- The control socket: moonpark status, reload, stop, dump, eval.

local net = require "moonpark.net"
local workers = require "support.workers"

local everybody = workers.everybody

describe("the control socket", function()
  after_each(workers.stop_all)

  it("shows the workers, their tasks, and runs a line in one of them", function()
    local program = workers.start(workers.SERVER .. "answer = 42\n" .. workers.SERVE, { "--workers", "2" })
    everybody(program, 2)
    local status = program:ask "status"
    assert.matches("\n1 +%d+ +1 +ready", status)
    assert.matches("\n2 +%d+ +1 +ready", status)
    assert.equal(1, select(2, status:gsub("leads", "")))
    local line = "answer, require('moonpark.worker').number()"
    assert.same({ "42\t2\n", 0 }, { program:ask("eval", "--worker", "2", line) })
    assert.same({ "1\n", 0 }, { program:ask("eval", "require('moonpark').sleep(0.01); return 1") })
    local text, failed = program:ask("eval", "error 'on purpose'")
    assert.equal(1, failed)
    assert.matches("on purpose", text)
    assert.matches("no worker 7 is ready", (program:ask("eval", "--worker", "7", "1")))
    local dump = program:ask "dump"
    assert.matches("worker 1, pid %d+:\nmoonpark: %d tasks", dump)
    assert.matches("worker 2, pid", dump)
    assert.same({ "stopped\n", 0 }, { program:ask "stop" })
    assert.equal(0, (program.child:wait()))
    assert.matches("no supervisor of this user is running", (program:ask "status"))
  end)

  it("counts requests of programs that have pools, whose idle objects are closed when the worker drains", function()
    local program = workers.start(([[
      local moonpark = require "moonpark"
      local pool = moonpark.pool_of { open = function() return {} end, close = function()
        io.stdout:write "closed\n"
        io.stdout:flush()
      end }
      moonpark.go(function() pool:with(function() end) end)
    ]]) .. workers.SERVER .. workers.SERVE, { "--workers", "1" })
    program:get "/"
    local status = program:ask "status"
    assert.matches("\n1 +%d+ +1 +ready", status)
    assert.not_matches("does not answer", status)
    assert.same({ "stopped\n", 0 }, { program:ask "stop" })
    assert.equal("closed", program.child:line())
  end)

  it("is for the same user alone", function()
    local program = workers.start(workers.SERVER .. workers.SERVE, { "--workers", "1" })
    local pipe = assert(io.popen(("stat -c '%%a %%u' %s/run %s/run/*.sock"):format(program.folder, program.folder)))
    local text = pipe:read "*a"
    pipe:close()
    assert.matches("^700 %d+\n600 %d+\n$", text)
    program:stop()
  end)

  it("asks which one where several run, and takes no nonsense", function()
    local one = workers.start(workers.SERVER .. workers.SERVE, { "--workers", "1" })
    local two = workers.start(workers.SERVER .. workers.SERVE, { "--workers", "1" }, { env = one.env })
    local text, status = one:ask "reload"
    assert.equal(1, status)
    assert.matches("several supervisors are running; which one, %-%-pid says:", text)
    assert.equal(0, select(2, one:ask("reload", "--pid", tostring(two.child.pid))))
    local path = ("unix:%s/run/%d.sock"):format(one.folder, one.child.pid)
    for _, bytes in ipairs { "", "x", "\255\255\255\255", "\0\0\0\2{}", "\0\0\0\4null", ("\1\0\0\1x"):rep(10) } do
      local conn = assert(net.dial(path))
      conn:write(bytes)
      conn:close_write()
      conn:set_timeout(10)
      conn:read_all()
      conn:close()
    end
    assert.matches("ready", (one:ask("status", "--pid", tostring(one.child.pid))))
    one:stop()
    two:stop()
  end)
end)

-- SPDX-License-Identifier: MIT
-- moonpark attach: a prompt in a program that runs, with workers and without.

local links = require "moonpark.link"
local net = require "moonpark.net"
local process = require "support.process"
local terminal = require "support.terminal"
local testing = require "moonpark.testing"
local workers = require "support.workers"

testing.timeout(60)

-- A server that the specs look into.
local SERVER = workers.SERVER .. [[
answer, events = 42, {}
function spin() while true do end end
]] .. workers.SERVE

local function start(...) return workers.start(SERVER, { ... }) end

-- What a prompt prints whose lines come from a pipe.
local function attached(program, text, ...)
  local r = process.run(process.moonpark("--attach", ...), { stdin = text, env = program.env })
  assert.equal(0, r.status)
  return r.out, r.err
end

for name, words in pairs { workers = { "--workers", "2" }, ["--attachable"] = { "--attachable" } } do
  describe("moonpark attach, of a program with " .. name .. ",", function()
    local program

    before_each(function() program = start(unpack(words)) end)
    after_each(workers.stop_all)

    it("runs lines in the live process, and shows results, output and errors here", function()
      local out, err = attached(program, "answer\nprint('seen', answer)\nanswer = answer + 1\nreturn answer, nil\n"
        .. "function twice(x)\nreturn 2 * x\nend\ntwice(4)\nmoonpark.sleep(0.001)\nnobody.x\nx x\n")
      assert.equal("42\nseen\t42\n43\n8\ntrue\n", out)
      assert.equal("stdin:1: attempt to index global 'nobody' (a nil value)\nstack traceback:\n"
        .. "\tstdin:1: in main chunk\nstdin:1: '=' expected near 'x'\n", err)
    end)

    it("has moonpark, its modules and help without require, and leaves the program's globals alone", function()
      local out = attached(program, "net == require 'moonpark.net'\nhelp(net.pipe)\nrawget(_G, 'net')\n"
        .. "mine = 1\nrawget(_G, 'mine')\nmine = nil\n")
      assert.matches("^true\nnet%.pipe%(.*\nnil\n1\n$", out)
    end)

    it("stops a line that computes without end, and the server serves on", function()
      local out, err = attached(program, "spin()\n'on'\n")
      assert.equal("on\n", out)
      assert.matches("ran for 5 s without waiting", err)
      assert.truthy((program:get "/"))
    end)

    it("bounds what is sent", function()
      local out = attached(program, "('x'):rep(1e6)\nfor _ = 1, 100 do print(('y'):rep(1e5)) end\n")
      assert.matches("^x+%.%.%. %(cut off%)\n", out)
      assert.matches("what else it prints is left out\n$", out)
      assert.is_true(#out < 1200000)
    end)

    it("cancels what runs once the prompt is gone", function()
      local child = process.start(process.moonpark "attach", { stdin = true, env = program.env })
      child:write "moonpark.go(function() events.child = true end) pcall(moonpark.sleep, 3600) events.ended = true\n"
      local function wait_for(event)
        repeat until attached(program, "events." .. event .. " or moonpark.sleep(0.01) and false\n") == "true\n"
      end
      wait_for "child"
      child:stop "KILL"
      wait_for "ended"
    end)

    it("completes there, cancels with Ctrl-C, and leaves with Ctrl-D", function()
      if not terminal.editors().readline then return pending "the system has no readline" end
      local child = terminal.start("exec " .. terminal.command "attach", { MOONPARK_EDITING = "readline",
        MOONPARK_RUN_DIR = program.env.MOONPARK_RUN_DIR })
      child:expect "lines run in it; Ctrl-C cancels the line, Ctrl-D leaves\r\n> "
      child:write "answ\t\n"
      child:expect "42\r\n> "
      child:write "print('star' .. 'ted') return moonpark.sleep(3600)\n"
      child:expect "started\r\n"
      child:write "\3"
      child:expect "nil\tcanceled\r\n> "
      child:write "\4"
      assert.equal(0, (child:wait()))
      assert.truthy((program:get "/"))
    end)

    it("says so and ends when the program ends", function()
      local child = terminal.start("exec " .. terminal.command "attach", { MOONPARK_EDITING = "off",
        MOONPARK_RUN_DIR = program.env.MOONPARK_RUN_DIR })
      child:expect "> "
      program:stop()
      child:expect "moonpark: the program has ended"
      child:wait()
    end)

    it("takes names, pids, and no nonsense", function()
      for _, target in ipairs { "server", "server.lua", tostring(program.child.pid) } do
        assert.equal("42\n", (attached(program, "answer\n", target)))
      end
      local r = process.run(process.moonpark("attach", "other"), { stdin = "", env = program.env })
      assert.same({ 1, "", "moonpark: no program 'other' of this user takes prompts: a program must be started "
        .. "with --attachable or --workers\n" }, { r.status, r.out, r.err })
      local path = ("unix:%s/run/%d.sock"):format(program.folder, program.child.pid)
      for _, message in ipairs { { op = "what", id = 1 }, { op = "line" }, { op = "line", id = "x" }, {},
        { op = "line", id = 1, text = {} }, { op = "complete", id = 2 }, { op = "cancel", id = 99 } } do
        local link = links.new(assert(net.dial(path)))
        link:post { command = "attach" }
        link:post(message)
        link:finish()
        link:flush()
        link.conn:set_timeout(10)
        assert.equal("attached", link:receive().op)
        link.conn:close()
      end
      assert.equal("42\n", (attached(program, "answer\n")))
    end)
  end)
end

describe("moonpark attach", function()
  after_each(workers.stop_all)

  it("looks into the worker that --worker says", function()
    local program = start("--workers", "2")
    workers.everybody(program, 2)
    assert.equal("2\n", (attached(program, "require('moonpark.worker').number()\n", "--worker", "2")))
    local r = process.run(process.moonpark("attach", "--worker", "7"), { stdin = "", env = program.env })
    assert.same({ 1, "moonpark: no worker 7 runs\n" }, { r.status, r.err })
  end)

  it("finds nothing where a program did not ask for it", function()
    local program = start()
    local r = process.run(process.moonpark "attach", { stdin = "", env = program.env })
    assert.same({ 1, "moonpark: no supervisor of this user is running: a program must be started with "
      .. "--attachable or --workers\n" }, { r.status, r.err })
    r = process.run(process.moonpark("attach", tostring(program.child.pid)), { stdin = "", env = program.env })
    assert.matches(("^moonpark: process %d has no control socket of this user %%(.*%%): a program must be started with "
      .. "%%-%%-attachable or %%-%%-workers\n$"):format(program.child.pid), r.err)
    program.child:kill "KILL"
    program.child:wait()
    r = process.run(process.moonpark("attach", tostring(program.child.pid)), { stdin = "", env = program.env })
    assert.same({ 1, ("moonpark: no process %d is running\n"):format(program.child.pid) }, { r.status, r.err })
  end)

  it("is for the same user alone, and removes its socket", function()
    local program = start "--attachable"
    local pipe = assert(io.popen(("stat -c '%%a' %s/run %s/run/*.sock"):format(program.folder, program.folder)))
    assert.equal("700\n600\n", pipe:read "*a")
    pipe:close()
    assert.matches("^process %d+: .*no workers\n$", (program:ask "status"))
    assert.matches("^moonpark: %d+ tasks", (program:ask "dump"))
    assert.same({ "stopped\n", 0 }, { program:ask "stop" })
    assert.equal(0, (program.child:wait()))
    assert.is_nil(io.open(("%s/run/%d.sock"):format(program.folder, program.child.pid)))
  end)
end)

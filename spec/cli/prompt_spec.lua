-- SPDX-License-Identifier: MIT
-- prompt_spec.lua - moonpark -i with its lines from a pipe or a file.

local core = require "moonpark.core"
local process = require "support.process"
local testing = require "moonpark.testing"

local function run(text, ...) return process.run(process.moonpark("-i", ...), { stdin = text }) end

-- Through a pipe, which can be polled; the text is all there before the command looks.
local function piped(text)
  local child = process.start(process.moonpark "-i", { stdin = true })
  child:write(text)
  child:close_stdin()
  local status, out, err = child:wait()
  return { status = status, out = out, err = err }
end

-- What the lines print, none of them failing.
local function printed(text)
  local r = run(text)
  assert.same({ 0, "" }, { r.status, r.err })
  return r.out
end

describe("moonpark -i without a terminal", function()
  after_each(process.stop_all)

  for name, read in pairs { ["a file"] = run, ["a pipe"] = piped } do
    it("runs the lines of " .. name .. ", without prompts, to its end", function()
      local r = read "print(1)\nprint(2)\nprint(3)"
      assert.same({ 0, "1\n2\n3\n", "" }, { r.status, r.out, r.err })
      r = read ""
      assert.same({ 0, "", "" }, { r.status, r.out, r.err })
    end)
  end

  it("has nothing to read where the standard input is closed", function()
    local words = process.moonpark "-i"
    local r = process.run { "sh", "-c", 'exec "$0" "$@" <&-', unpack(words) }
    assert.same({ 0, "", "" }, { r.status, r.out, r.err })
  end)

  it("fails where the script waits for the standard input itself", function()
    local child = process.start(process.moonpark("-i", "-e", "mine = require('moonpark.netpoll').open(0)"),
      { stdin = true })
    local status, out, err = child:wait()
    assert.same({ 1, "" }, { status, out })
    assert.matches("^moonpark: cannot wait for the standard input: file exists\n", err)
  end)

  it("comes after -e, -l and the script, whose globals it has", function()
    local path = testing.tempdir() .. "/script.lua"
    local file = assert(io.open(path, "w"))
    file:write "script = ... print 'script'"
    file:close()
    local r = run("print(e, l ~= nil, script)\n", "-e", "e = 1", "-ll=moonpark.net", path, "argument")
    assert.same({ 0, "script\n1\ttrue\targument\n", "" }, { r.status, r.out, r.err })
  end)

  it("does not come where the script fails", function()
    local r = run("print 'never'\n", "-e", "error('boom', 0)")
    assert.same({ 1, "" }, { r.status, r.out })
    assert.matches("^moonpark: boom\n", r.err)
  end)

  describe("results", function()
    it("of expressions are printed, with or without =, several, nil and none", function()
      assert.equal("2\n3\n1\tnil\tx\nnil\n",
        printed "1 + 1\n= 1 + 2\n1, nil, 'x'\nnil\n(function() end)()\nlocal x = 1\n")
    end)

    it("of a return are printed", function()
      assert.equal("1\t2\n", printed "return 1, 2")
    end)

    it("of calls that wait are printed when they are there", function()
      assert.equal("true\ntrue\n", printed "moonpark.sleep(0.001)\n= moonpark.yield()")
    end)

    it("that are tables are shown by their entries", function()
      assert.equal('{ 1, "two", n = { x = {} } }\n', printed "{ 1, 'two', n = { x = {} } }")
    end)
  end)

  describe("statements", function()
    it("may have several lines", function()
      assert.equal("1\n2\n3\n", printed "for i = 1, 2 do\n\n  print(i)\nend\n1 +\n2\n")
      assert.equal("a\nb\n", printed "[[a\nb]]\n")
    end)

    it("that never become complete are told at the end of the input", function()
      local r = run "print(1)\nfor i = 1, 2 do\n"
      assert.same({ 0, "1\n" }, { r.status, r.out })
      assert.equal("stdin:1: 'end' expected near '<eof>'\n", r.err)
    end)

    it("each are a chunk: a local is gone with its line, a global stays", function()
      assert.equal("nil\n2\n", printed "local a = 1\na\nb = 2\nb")
    end)
  end)

  it("has moonpark and its modules without require, and what the script calls so first", function()
    assert.equal("true\ttrue\ttrue\n",
      printed "moonpark == require 'moonpark', net == require 'moonpark.net', netpoll == require 'moonpark.netpoll'\n")
    assert.equal("true\n", printed "http == require 'moonpark.http' and http == moonpark.http\n")
    assert.equal("nil\n", printed "task\n")
    local r = run("net\ngo\nother\n", "-e", "net = 'mine'", "-e",
      "setmetatable(_G, { __index = function(_, k) return k .. '!' end })")
    assert.same({ "mine\ngo!\nother!\n", "" }, { r.out, r.err })
  end)

  it("runs text alone, no bytecode", function()
    local r = run(string.dump(function() end):gsub("\n", "") .. "\nprint 'on'\n")
    assert.same({ 0, "on\n" }, { r.status, r.out })
    assert.equal("attempt to load chunk with wrong mode\n", r.err)
  end)

  describe("errors", function()
    it("are told with their traceback, and the next line runs", function()
      local r = run "local function f() error 'boom' end f()\nprint 'on'"
      assert.same({ 0, "on\n" }, { r.status, r.out })
      assert.equal("stdin:1: boom\nstack traceback:\n\t[C]: in function 'error'\n\tstdin:1: in function 'f'\n" ..
        "\tstdin:1: in main chunk\n", r.err)
    end)

    it("of an expression's call have the line in their traceback", function()
      assert.matches("stdin:1: in main chunk\n$", run("error 'boom'").err)
    end)

    it("of syntax are told and nothing runs", function()
      local r = run "x x\n=1 1\nprint 'on'\n"
      assert.equal("on\n", r.out)
      assert.equal("stdin:1: '=' expected near 'x'\nstdin:1: '<eof>' expected near '1'\n", r.err)
    end)

    it("may be values whose __tostring fails", function()
      local r = run "error(setmetatable({}, { __tostring = error }))\nerror()\nprint 'on'"
      assert.equal("on\n", r.out)
      assert.matches("__tostring failed", r.err)
    end)

    it("of other tasks are told as in every program, and are its status", function()
      local r = run "moonpark.go(error, 'detached', 0) and nil\nmoonpark.sleep(0.001)\n"
      assert.same({ 1, "nil\ntrue\n" }, { r.status, r.out })
      assert.matches("^moonpark: uncaught error in a task: detached\n.*started at:\n\tstdin:1\n$", r.err)
    end)
  end)

  it("lets other tasks run while no line comes", function()
    local child = process.start(process.moonpark "-i", { stdin = true })
    child:write "task = moonpark.go(function() moonpark.sleep(0.001) print 'ran' end)\n"
    assert.equal("ran", child:line())
    child:write "print(task:join())\n"
    assert.equal("true", child:line())
    child:close_stdin()
    assert.equal(0, (child:wait()))
  end)

  it("puts a line together that comes in pieces", function()
    local child = process.start(process.moonpark "-i", { stdin = true })
    child:write "print 'first'\npri"
    assert.equal("first", child:line())
    child:write "nt 'second'\n"
    assert.equal("second", child:line())
    child:close_stdin()
    assert.equal(0, (child:wait()))
  end)

  it("leaves what follows a line to code that reads the standard input itself", function()
    for _, read in ipairs { run, piped } do
      assert.equal("taken\nlast\n", read("io.read()\ntaken\nprint 'last'\n").out)
    end
  end)

  it("never makes the standard input non-blocking", function()
    local child = process.start(process.moonpark "-i", { stdin = true })
    child:write([[
      require('ffi').cdef 'int fcntl(int fd, int command, ...);'
      print(bit.band(require('ffi').C.fcntl(0, 3), 0x800))]] .. "\n")
    assert.equal("0", child:line())
    child:close_stdin()
    child:wait()
  end)

  it("ends when all tasks have ended, not with its input", function()
    assert.equal("nil\nlast\n", printed "moonpark.go(function() moonpark.sleep(0.001) print 'last' end) and nil\n")
  end)

  it("tells a deadlock, status 3", function()
    local r = run "moonpark.chan():recv()\n"
    assert.same({ 3, "" }, { r.status, r.out })
    assert.matches("^moonpark: deadlock: all 2 tasks are parked", r.err)
  end)

  it("ends by os.exit, and by SIGTERM as every program", function()
    assert.equal(7, run("os.exit(7)\nprint 'never'").status)
    local child = process.start(process.moonpark "-i", { stdin = true })
    child:write "print 'ready' print(moonpark.sleep(3600))\n"
    assert.equal("ready", child:line())
    child:kill "TERM"
    assert.same({ 143, "ready\nnil\tcanceled\n", "" }, { child:wait() })
    assert.is_nil(child.signal)
    child = process.start(process.moonpark("-i", "-e", "print 'ready'"), { stdin = true })
    assert.equal("ready", child:line())
    child:kill "INT"
    assert.equal(128 + core.signal_number "INT", (child:wait()))
  end)
end)

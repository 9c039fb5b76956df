-- SPDX-License-Identifier: MIT
-- cli_spec.lua - the real command, as child processes.

local core = require "moonpark.core"
local moonpark = require "moonpark"
local process = require "support.process"
local support = require "support.net"

local net = require "moonpark.net"

-- What scripts in here begin with. raise(name) sends the script itself a signal: it has come when that returns.
local PREAMBLE = [[
local moonpark = require "moonpark"
local net = require "moonpark.net"
local function raise(name)
  local ffi = require "ffi"
  ffi.cdef "int kill(int pid, int signal); int getpid(void);"
  ffi.C.kill(ffi.C.getpid(), require("moonpark.core").signal_number(name))
end
]]

local SIGPIPE, SIGTERM = core.signal_number "PIPE", core.signal_number "TERM"
local FOLDER = process.run("mktemp -d").out:match "^[^\n]+"
local numbered = 0

local function write_file(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  return path
end

-- A script's path; the preamble takes no line of its own.
local function script(text, first_line)
  numbered = numbered + 1
  local path = ("%s/script%d.lua"):format(FOLDER, numbered)
  return write_file(path, (first_line or "") .. PREAMBLE:gsub("\n", " ") .. text)
end

local function socket_path()
  numbered = numbered + 1
  return ("%s/socket%d"):format(FOLDER, numbered)
end

local function exists(path)
  local r = process.run { "test", "-e", path }
  return r.status == 0
end

local function command(...) return process.run(process.moonpark(...)) end
local function run(text, ...) return command(script(text), ...) end
local function start(text, ...) return process.start(process.moonpark(script(text), ...)) end

-- Runs it with one option before the script.
local function run_with(option, text) return command(option, script(text)) end

local function count(text, what)
  local n, at = 0, 1
  while true do
    local from, to = text:find(what, at, true)
    if not from then return n end
    n, at = n + 1, to + 1
  end
end

describe("the moonpark command", function()
  after_each(process.stop_all)
  teardown(function() os.execute("rm -rf " .. FOLDER) end)

  describe("command line", function()
    it("runs a script as the main task, with its arguments in ... and in arg", function()
      local r = run("print(moonpark.current():name(), arg[1], ...)", "a", "b c", "-v")
      assert.same({ 0, "main\ta\ta\tb c\t-v\n", "" }, { r.status, r.out, r.err })
    end)

    it("makes arg as luajit does: the script is 0, what stands before it is negative", function()
      local path = script "print(arg[0], arg[-1], arg[-2], #arg)"
      local r = command(path)
      assert.equal(table.concat({ path, process.root .. "/lua/bin/moonpark", process.interpreter, "0" }, "\t") .. "\n",
        r.out)
    end)

    it("skips a first line that begins with #!", function()
      local r = command(script("print 'ran'", "#!/usr/bin/env moonpark\n"))
      assert.same({ 0, "ran\n" }, { r.status, r.out })
    end)

    it("runs the code of -e, several in their order, before the script", function()
      local r = process.run(process.moonpark("-e", "a = 1", "-eb = a + 1", script "print(a, b, ...)", "x"))
      assert.same({ 0, "1\t2\tx\n" }, { r.status, r.out })
      assert.same({ 0, "3\n" }, { command("-e", "print(3)").status, command("-e", "print(3)").out })
    end)

    it("takes what follows -- as the script, whatever its name", function()
      local path = script "print 'dash'"
      process.run { "cp", path, FOLDER .. "/-dash.lua" }
      local r = process.run(process.moonpark("--", "-dash.lua"), { cwd = FOLDER })
      assert.same({ 0, "dash\n" }, { r.status, r.out })
    end)

    it("ends when all tasks have ended, not only the main task", function()
      local r = run "moonpark.go(function() moonpark.yield() moonpark.yield() print 'last' end) print 'main'"
      assert.same({ 0, "main\nlast\n" }, { r.status, r.out })
    end)

    it("tells its version, LuaJIT's and the poller", function()
      for _, option in ipairs { "-v", "--version" } do
        local r = command(option)
        assert.equal(0, r.status)
        assert.matches("^moonpark %d+%.%d+%.%d+, LuaJIT 2%.%S+, %a+\n$", r.out)
      end
      local r = process.run(process.moonpark "-v", { env = { MOONPARK_POLLER = "poll" } })
      assert.matches(", poll\n$", r.out)
    end)

    it("explains itself with --help", function()
      for _, option in ipairs { "-h", "--help" } do
        local r = command(option)
        assert.same({ 0, "" }, { r.status, r.err })
        assert.matches("^usage: moonpark ", r.out)
      end
    end)

    it("without arguments explains itself on stderr, status 2", function()
      local r = command()
      assert.same({ 2, "" }, { r.status, r.out })
      assert.matches("^usage: moonpark ", r.err)
    end)

    it("says what is wrong with its options and where help is, status 2", function()
      local wrong = {
        ["unknown option '-x'"] = { "-x" },
        ["unknown option '--wrong=1'"] = { "--wrong=1" },
        ["option '-e' needs a value"] = { "-e" },
        ["option '--grace' needs a value"] = { "--grace" },
        ["--grace: a number of seconds expected, got 'soon'"] = { "--grace", "soon" },
        ["--grace: a number of seconds expected, got '-1'"] = { "--grace=-1" },
        ["--grace: a number of seconds expected, got 'nan'"] = { "--grace=nan" },
      }
      for text, words in pairs(wrong) do
        local r = command(unpack(words))
        assert.same({ 2, "" }, { r.status, r.out })
        assert.equal("moonpark: " .. text .. "\nmoonpark: try 'moonpark --help'\n", r.err)
      end
    end)

    it("says that a script is missing or cannot be read, status 1", function()
      local r = command(FOLDER .. "/none.lua")
      assert.same({ 1, "" }, { r.status, r.out })
      assert.equal(("moonpark: cannot open the script: %s/none.lua: No such file or directory\n"):format(FOLDER), r.err)
      r = command(FOLDER)
      assert.same({ 1, ("moonpark: cannot open the script: %s: Is a directory\n"):format(FOLDER) }, { r.status, r.err })
    end)

    it("shows a syntax error and runs nothing, status 1", function()
      local r = command("-e", "print 'ran'", script "\n= 1")
      assert.same({ 1, "" }, { r.status, r.out })
      assert.matches("^moonpark: .*script%d+%.lua:2: unexpected symbol near '='\n$", r.err)
      r = command("-e", "x x")
      assert.equal(1, r.status)
      assert.matches("^moonpark: %(command line%):1: ", r.err)
    end)

    it("says which pollers there are when another is asked for, status 1", function()
      local r = process.run(process.moonpark("-e", "print(1)"), { env = { MOONPARK_POLLER = "none" } })
      assert.same({ 1, "" }, { r.status, r.out })
      assert.matches("^moonpark: MOONPARK_POLLER: unknown poller 'none' %(available: [%a, ]+%)\n", r.err)
      for _, name in ipairs { "epoll", "poll" } do assert.matches("[ ,]" .. name .. "[,)]", r.err) end
    end)
  end)

  describe("where it is", function()
    local bin = process.root .. "/lua/bin/moonpark"
    local library = process.root .. "/lua/moonpark"
    local module = assert(package.searchpath("moonpark.core", package.cpath))
    if not module:find "^/" then module = process.run("pwd").out:match "^[^\n]+" .. "/" .. module end

    -- Lays out files as `made` says; {[place] = what to link there}; returns the copied command.
    local function layout(name, command_at, links)
      local base = ("%s/%s%%20x"):format(FOLDER, name)
      process.run { "mkdir", "-p", base .. "/" .. command_at:match "^(.*)/" }
      process.run { "cp", bin, base .. "/" .. command_at }
      for place, target in pairs(links) do
        process.run { "mkdir", "-p", base .. "/" .. place:match "^(.*)/" }
        process.run { "ln", "-s", target, base .. "/" .. place }
      end
      return base .. "/" .. command_at, base
    end

    local function version_of(path, env)
      return process.run({ process.interpreter, path, "-v" }, { env = env, cwd = "/" })
    end

    local no_paths = { LUA_PATH = false, LUA_CPATH = false }

    it("finds the library of its checkout", function()
      local path = layout("checkout", "lua/bin/moonpark",
        { ["lua/moonpark"] = library, ["build/release/moonpark/core.so"] = module })
      local r = version_of(path, no_paths)
      assert.same({ 0, "" }, { r.status, r.err })
    end)

    it("finds the library of the tree it is installed in", function()
      local path = layout("tree", "bin/moonpark",
        { ["share/lua/5.1/moonpark"] = library, ["lib/lua/5.1/moonpark/core.so"] = module })
      local r = version_of(path, no_paths)
      assert.same({ 0, "" }, { r.status, r.err })
    end)

    it("finds it through a symbolic link, and after the script has changed its directory", function()
      local path, base = layout("linked", "lua/bin/moonpark",
        { ["lua/moonpark"] = library, ["build/release/moonpark/core.so"] = module })
      process.run { "ln", "-s", path, base .. "/link" }
      local r = process.run({ process.interpreter, "link", "-e", [[
        require("ffi").cdef "int chdir(const char *path);"
        require("ffi").C.chdir("/")
        print(require("moonpark.net") ~= nil)]] }, { env = no_paths, cwd = base })
      assert.same({ 0, "true\n", "" }, { r.status, r.out, r.err })
    end)

    it("prefers what LUA_PATH and LUA_CPATH name", function()
      local path, base = layout("chosen", "lua/bin/moonpark", { ["lua/moonpark"] = library })
      process.run { "mkdir", "-p", base .. "/own/moonpark" }
      write_file(base .. "/own/moonpark/cli.lua", "return { main = function() print 'chosen' return 0 end }")
      local r = version_of(path, { LUA_PATH = base .. "/own/?.lua" })
      assert.same({ 0, "chosen\n" }, { r.status, r.out })
    end)

    it("says that it has no library, status 1", function()
      local path = layout("lost", "bin/moonpark", {})
      local r = version_of(path, { LUA_PATH = "/nowhere/?.lua", LUA_CPATH = "/nowhere/?.so" })
      assert.same({ 1, "" }, { r.status, r.out })
      assert.matches("^moonpark: cannot load its library", r.err)
    end)
  end)

  describe("failures", function()
    it("an uncaught error of the main task is told with its traceback, status 1", function()
      local r = run "\nlocal function f()\n  error 'boom'\nend\nf()"
      assert.same({ 1, "" }, { r.status, r.out })
      assert.matches("^moonpark: .*script%d+%.lua:3: boom\nstack traceback:\n", r.err)
      assert.matches("script%d+%.lua:5: in main chunk\n$", r.err)
    end)

    it("a child's error is told with the child's traceback and where it was started", function()
      local r = run [[

        local function deep() error "boom" end
        local function child() deep() end
        moonpark.scope(function(scope)
          scope:go(child)
          moonpark.sleep(3600)
        end)]]
      assert.equal(1, r.status)
      assert.matches("script%d+%.lua:2: boom\n", r.err)
      assert.matches("script%d+%.lua:2: in function 'deep'\n.*script%d+%.lua:3: in function ", r.err)
      assert.matches("started at:\n\t[^\n]*script%d+%.lua:5\n", r.err)
      assert.matches("script%d+%.lua:4: in main chunk\n$", r.err)
    end)

    it("an error object is told by its __tostring, and one whose __tostring fails all the same", function()
      local r = run "error(setmetatable({}, { __tostring = function() return 'my error' end }))"
      assert.equal(1, r.status)
      assert.matches("^moonpark: my error\n", r.err)
      r = run "error(setmetatable({}, { __tostring = function() error 'again' end }))"
      assert.equal(1, r.status)
      assert.matches("__tostring failed", r.err)
      assert.equal(1, run("error()").status)
    end)

    it("a main task that was canceled by the script and gave up for that has failed", function()
      local r = run "moonpark.current():cancel() error(select(2, moonpark.sleep(1)), 0)"
      assert.equal(1, r.status)
      assert.matches("^moonpark: canceled\n", r.err)
    end)

    it("a stack overflow is an error like others", function()
      local r = run "local function f() return 1 + f() end f()"
      assert.equal(1, r.status)
      assert.matches("stack overflow", r.err)
    end)

    it("a failed main task is told at once and cancels the others, which may end in order", function()
      local child = process.start(process.moonpark(script [[
        moonpark.go(function()
          print(moonpark.sleep(3600))
          io.read "*l"
          print "ended"
        end)
        moonpark.yield()
        error "boom"]]), { stdin = true })
      assert.matches("^moonpark: .*: boom$", child:line "err")
      child:write "\n"
      local status, out, err = child:wait()
      assert.same({ 1, "nil\tcanceled\nended\n", 1 }, { status, out, count(err, "moonpark: ") })
    end)

    it("a failed main task does not wait for ever for tasks that go on all the same", function()
      local r = run_with("--grace=0.05", [[

        moonpark.go(function() while true do moonpark.sleep(3600) end end):name "stubborn"
        moonpark.yield()
        error "boom"]])
      assert.equal(1, r.status)
      assert.matches(": boom\n", r.err)
      assert.matches('\nmoonpark: the main task failed: 1 task has not ended after 0%.05 s:\n' ..
        '  task %d+ "stubborn", in %a+ at %S+script%d+%.lua:2, started at %S+script%d+%.lua:2\n$', r.err)
    end)

    it("an uncaught error of another task is told, the program goes on, and the status is 1", function()
      local r = run [[
        moonpark.go(function() error "detached" end)
        moonpark.sleep(0.001)
        print "went on"]]
      assert.same({ 1, "went on\n" }, { r.status, r.out })
      assert.matches("^moonpark: uncaught error in a task: .*: detached\nstack traceback:\n.*started at:\n", r.err)
      assert.equal(1, count(r.err, "detached"))
    end)

    it("an error that somebody joined is nobody else's business", function()
      local r = run [[
        print(moonpark.go(error, "joined", 0):join())
        print(pcall(moonpark.scope, function(scope) scope:go(error, "child", 0) end))]]
      assert.same({ 0, "" }, { r.status, r.err })
      assert.matches("^nil\tjoined\t", r.out)
    end)

    it("a deadlock is told with who waits for whom, status 3", function()
      local r = run [[

        local lock, channel = moonpark.mutex(), moonpark.chan()
        lock:lock()
        moonpark.go(function()
          lock:lock()
        end):name "second"
        channel:recv()]]
      assert.same({ 3, "" }, { r.status, r.out })
      assert.matches("^moonpark: deadlock: all 2 tasks are parked, and nothing outside can wake any of them\n", r.err)
      assert.matches('  task 1 "main" waits in recv on channel [^\n]+\n    at [^\n]*script%d+%.lua:7: in main chunk\n',
        r.err)
      assert.matches('  task 2 "second" waits in lock[^\n]*\n    at [^\n]*script%d+%.lua:5: in function', r.err)
      assert.equal(1, count(r.err, "moonpark: "))
    end)

    it("os.exit works as ever: the status, what was printed, and unix paths go with it", function()
      local path = socket_path()
      local r = run([[
        io.stdout:setvbuf "full"
        local listener = assert(net.listen("unix:" .. ...))
        moonpark.go(function()
          io.write "no line feed"
          os.exit(7)
        end)
        listener:accept()]], path)
      assert.same({ 7, "no line feed", "" }, { r.status, r.out, r.err })
      assert.is_false(exists(path))
      assert.equal(0, run("os.exit()").status)
      assert.equal(1, run("os.exit(false)").status)
      assert.same({ 5, "x\n" }, { run("print 'x' os.exit(5, true)").status, run("print 'x' os.exit(5, true)").out })
    end)

    it("os.exit still tells errors that nobody can join any more", function()
      local r = run "kept = moonpark.go(error, 'kept', 0) moonpark.yield() os.exit(4)"
      assert.equal(4, r.status)
      assert.matches("^moonpark: uncaught error in a task: kept\n", r.err)
    end)

    it("removes the paths of unix listeners that are still open at the end", function()
      local path = socket_path()
      assert.equal(0, run("kept = assert(net.listen('unix:' .. ...))", path).status)
      assert.is_false(exists(path))
    end)
  end)

  describe("output", function()
    it("is written line by line, so that a log can be followed", function()
      local child = start "print 'first' moonpark.sleep(3600)"
      assert.equal("first", child:line())
    end)

    it("to a pipe that nobody reads ends a script that waits, as SIGPIPE does, and cleans up", function()
      local path = socket_path()
      local child = start([[
        local listener = assert(net.listen("unix:" .. ...))
        print "ready"
        while moonpark.sleep(0.001) do print "more" end]], path)
      assert.equal("ready", child:line())
      child:close_output()
      assert.equal(128 + SIGPIPE, (child:wait()))
      assert.is_nil(child.signal)
      assert.is_false(exists(path))
    end)

    for _, lines in ipairs { 2, 3, 1000 } do
      it(("to a pipe that nobody reads, %d lines before a wait, ends a script in order"):format(lines), function()
        local path = socket_path()
        local child = process.start(process.moonpark(script [[
          local path, lines = ...
          local listener = assert(net.listen("unix:" .. path))
          moonpark.go(function()
            local data, err = listener:accept()
            for _ = 1, 3 do print(data, err) end
            moonpark.shield(moonpark.sleep, 0.01)
            io.stderr:write(err, ", and went on to its end")
          end)
          moonpark.yield()
          print "ready"
          io.read "*l"
          for _ = 1, lines do print "more" end
          io.stderr:write "printed, "
          moonpark.sleep(3600)]], path, tostring(lines)), { stdin = true })
        assert.equal("ready", child:line())
        child:close_output()
        child:write "\n"
        local status, _, err = child:wait()
        assert.same({ 128 + SIGPIPE, "printed, canceled, and went on to its end" }, { status, err })
        assert.is_nil(child.signal)
        assert.is_false(exists(path))
      end)
    end

    for name, loop in pairs {
      ["prints without waiting"] = "while true do print 'more' end",
      ["catches all errors meanwhile"] = "while true do pcall(print, 'more') end",
      ["never ends when it is canceled"] = "while true do moonpark.sleep(0.001) for _ = 1, 1e9 do print 'more' end end",
      ["writes in compiled code"] = "while true do io.write 'more\\n' end",
    } do
      it("to a pipe that nobody reads ends a script that " .. name .. ", and removes its paths", function()
        local path = socket_path()
        local child = start("listener = assert(net.listen('unix:' .. ...)) print 'ready' " .. loop, path)
        assert.equal("ready", child:line())
        child:close_output()
        assert.equal(128 + SIGPIPE, (child:wait()))
        assert.is_nil(child.signal)
        assert.is_false(exists(path))
      end)
    end

    it("to a pipe that nobody reads is lost without harm where the command was started with SIGPIPE ignored", function()
      local words = process.moonpark(script [[
        print "ready"
        moonpark.sleep(0.001)
        io.read "*l"
        print "lost"
        io.stderr:write "went on\n"]])
      local child = process.start({ "sh", "-c", "trap '' PIPE; exec \"$0\" \"$@\"", unpack(words) }, { stdin = true })
      assert.equal("ready", child:line())
      child:close_output()
      child:write "\n"
      assert.same({ 0, "ready\n", "went on\n" }, { child:wait() })
    end)
  end)

  describe("SIGINT and SIGTERM", function()
    for name, status in pairs { INT = 130, TERM = 143 } do
      it(("SIG%s ends the program, status %d: peers see the end, the port and the path are free"):format(name, status),
        function()
          local path = socket_path()
          local child = start([[
            local tcp = assert(net.listen(select(2, ...) .. ":0"))
            local unix = assert(net.listen("unix:" .. ...))
            print(tcp:address())
            local function echo(conn)
              conn:write "hello"
              assert(conn:read())
            end
            moonpark.go(function() unix:serve(echo) end)
            assert(tcp:serve(echo))]], path, support.own_host())
          local address = child:line()
          local a = assert(net.dial(address, { timeout = 60 }))
          local b = assert(net.dial("unix:" .. path, { timeout = 60 }))
          assert.same({ "hello", "hello" }, { a:read_exactly(5), b:read_exactly(5) })
          child:kill(name)
          assert.same({ status, address .. "\n", "" }, { child:wait() })
          assert.is_nil(child.signal)
          assert.same({ nil, "eof" }, { a:read() })
          assert.same({ nil, "eof" }, { b:read() })
          a:close()
          b:close()
          assert.is_false(exists(path))
          local again = assert(net.listen(address))
          again:close()
        end)
    end

    it("cancel every task with the signal as its reason; each may still say farewell", function()
      local r = run [[
        moonpark.go(function()
          print(moonpark.sleep(3600))
          moonpark.shield(moonpark.sleep, 0.001)
          print "farewell"
        end)
        moonpark.yield()
        raise "TERM"
        print(moonpark.sleep(3600))
        print(moonpark.dump():match "canceled %b()")]]
      assert.same({ 143, "" }, { r.status, r.err })
      assert.equal(2, count(r.out, "nil\tcanceled\n"))
      assert.equal(1, count(r.out, "canceled (SIGTERM)\n"))
      assert.equal(1, count(r.out, "farewell\n"))
    end)

    it("cancel tasks that are started while the program ends, too", function()
      local r = run [[
        raise "TERM"
        moonpark.sleep(3600)
        moonpark.go(function() print(moonpark.sleep(3600)) end)]]
      assert.same({ 143, "nil\tcanceled\n", "" }, { r.status, r.out, r.err })
    end)

    it("do not hide errors that come on the way", function()
      local r = run [[
        moonpark.go(function() moonpark.sleep(3600) error("another", 0) end)
        moonpark.yield()
        raise "TERM"
        moonpark.sleep(3600)
        error("mine", 0)]]
      assert.equal(143, r.status)
      assert.equal(1, count(r.err, "moonpark: mine\n"))
      assert.equal(1, count(r.err, "moonpark: uncaught error in a task: another\n"))
    end)

    it("end the program by force after the grace period, and name who did not end", function()
      local path = socket_path()
      local r = command("--grace", "0.05", script([[

        local listener = assert(net.listen("unix:" .. ...))
        moonpark.go(function() while true do moonpark.sleep(3600) end end):name "stubborn"
        moonpark.go(function() moonpark.shield(moonpark.sleep, 3600) end)
        moonpark.yield()
        raise "TERM"]]), path)
      assert.same({ 143, "" }, { r.status, r.out })
      assert.matches('moonpark: SIGTERM: 2 tasks have not ended after 0%.05 s:\n' ..
        '  task 2 "stubborn", in %a+ at %S+script%d+%.lua:3, started at %S+script%d+%.lua:3\n' ..
        '  task 3, in sleep at %S+script%d+%.lua:4, started at %S+script%d+%.lua:4\n$', r.err)
      assert.matches('^moonpark: task 2 "stubborn", started at %S+script%d+%.lua:3, was cancelled %(SIGTERM%), ' ..
        'and goes on: .-\nstack traceback:\n.-script%d+%.lua:3: in function', r.err)
      assert.equal(1, count(r.err, "and goes on:"))
      assert.is_false(exists(path))
    end)

    it("end the program at once when the second one comes", function()
      local path = socket_path()
      local child = process.start(process.moonpark("--grace", "3600", script [[
        local listener = assert(net.listen("unix:" .. ...))
        print "ready"
        moonpark.sleep(3600)
        print "canceled"
        moonpark.shield(moonpark.sleep, 3600)]], path))
      assert.equal("ready", child:line())
      child:kill "TERM"
      assert.equal("canceled", child:line())
      child:kill "INT"
      assert.same({ 143, "ready\ncanceled\n", "" }, { child:wait() })
      assert.is_nil(child.signal)
      assert.is_false(exists(path))
    end)

    it("end a program that is already closing: luajit's own handler would meet a state that is gone", function()
      local first = [[
        local ffi = require "ffi"
        ffi.cdef "int getpid(void); int kill(int pid, int signal);"
        last = newproxy(true) -- made before the library's, so it is finalized after them
        getmetatable(last).__gc = function() ffi.C.kill(ffi.C.getpid(), 2) print "goes on" end]]
      local r = process.run(process.moonpark("-e", "print 'ran'"), { env = { LUA_INIT = first } })
      assert.same({ 130, "ran\n", "" }, { r.status, r.out, r.err })
    end)

    it("kill a script that never waits when the second one comes", function()
      local child = start [[
        raise "TERM"
        print "one"
        raise "TERM"
        print "two"]]
      assert.same({ 143, "one\n", "" }, { child:wait() })
      assert.equal(SIGTERM, child.signal)
    end)
  end)

  describe("SIGQUIT and SIGUSR1", function()
    local server = [[
      local listener = assert(net.listen("unix:" .. ...))
      moonpark.go(function() moonpark.sleep(3600) end):name "sleeper"
      print "ready"
      listener:accept()]]

    it("SIGQUIT prints what every task is doing and exits with status 2; unix paths are removed", function()
      local path = socket_path()
      local child = start(server, path)
      assert.equal("ready", child:line())
      child:kill "QUIT"
      local status, out, err = child:wait()
      assert.same({ 2, "ready\n" }, { status, out })
      assert.matches("^moonpark: 2 tasks\n", err)
      assert.matches('task 1 "main" parked in accept on unix listener [^\n]+\n', err)
      assert.matches('task 2 "sleeper" parked in sleep, [^\n]+, deadline in ', err)
      assert.is_false(exists(path))
    end)

    it("SIGUSR1 prints it and the program goes on", function()
      local path = socket_path()
      local child = start(server, path)
      assert.equal("ready", child:line())
      child:kill "USR1"
      assert.equal("moonpark: 2 tasks", child:line "err")
      local conn = assert(net.dial("unix:" .. path, { timeout = 60 }))
      conn:close()
      child:kill "TERM"
      assert.equal(143, (child:wait()))
    end)

    it("SIGUSR1 twice before the script waits is one, and kills nothing", function()
      local r = run "raise 'USR1' raise 'USR1' print(moonpark.sleep(0.001))"
      assert.same({ 0, "true\n" }, { r.status, r.out })
      assert.equal(1, count(r.err, "moonpark: 1 task\n"))
    end)
  end)

  it("runs clients of the very loop that waits for it", function()
    local listener = assert(net.listen "127.0.0.1:0")
    local server = moonpark.go(function()
      local conn = assert(listener:accept())
      conn:write(conn:read_line(), " back\n")
      conn:close()
    end)
    local client = "local c = assert(net.dial(...)) c:write 'there\\n' print(c:read_line()) c:close()"
    local r = run(client, listener:address())
    assert.same({ 0, "there back\n", "" }, { r.status, r.out, r.err })
    server:join()
    listener:close()
  end)
end)

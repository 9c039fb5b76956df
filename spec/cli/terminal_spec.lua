-- SPDX-License-Identifier: MIT
-- terminal_spec.lua - moonpark -i where somebody types: with each library for line editing, and with none.

local process = require "support.process"
local terminal = require "support.terminal"
local testing = require "moonpark.testing"

testing.timeout(60)

local editors = terminal.editors()

local INT = 2
local GETPID = "require 'ffi'.cdef 'int getpid(void);' pid = require 'ffi'.C.getpid()"

local function read(path)
  local file = io.open(path)
  local text = file and file:read "*a"
  if file then file:close() end
  return text
end

for _, editor in ipairs { "readline", "edit", "off" } do
  describe("moonpark -i at a terminal, editing: " .. editor .. ",", function()
    local child

    local function start(env, ...)
      env = env or {}
      env.MOONPARK_EDITING = editor
      child = terminal.start("exec " .. terminal.command("-i", ...), env)
      child:expect "Ctrl-D exits\r\n"
      child:expect "> "
      return child
    end

    -- Ctrl-D is one at the prompt alone; between two lines the terminal takes it as the end of what it holds.
    local function leave()
      while not child.text.out:find "> $" do child:expect "> " end
      child:write "\4"
      return (child:wait())
    end

    -- it, but pending without the library.
    local function at_terminal(name, body)
      it(name, function()
        if not editors[editor] then return pending("the system has no such library") end
        body()
      end)
    end

    after_each(process.stop_all)

    at_terminal("shows results and prompts, and ends with Ctrl-D, status 0", function()
      start()
      child:write "6 * 7\n"
      child:expect "42\r\n> "
      child:write "for i = 1, 2 do\n"
      child:expect ">> "
      child:write "print('<' .. i .. '>')\n"
      child:expect ">> "
      child:write "end\n"
      child:expect "<1>\r\n<2>\r\n> "
      assert.equal(0, leave())
    end)

    at_terminal("tells an error and goes on", function()
      start()
      child:write "error 'boom'\n"
      child:expect "stdin:1: boom"
      child:expect "> "
      assert.equal(0, leave())
    end)

    at_terminal("lets other tasks run while somebody types", function()
      start()
      child:write "task = moonpark.go(function() moonpark.sleep(0.01) print('r' .. 'an') end)\n"
      child:expect "ran\r\n"
      child:write "typed = true\nprint(typed, task:status())\n"
      child:expect "true\tdone\r\n"
      assert.equal(0, leave())
    end)

    at_terminal("cancels the line that runs with Ctrl-C; what it has started goes on", function()
      start()
      child:write "other = moonpark.go(function() moonpark.sleep(3600) end)\n"
      child:write "print('star' .. 'ted') return moonpark.sleep(3600)\n"
      child:expect "started\r\n"
      child:write "\3"
      child:expect "nil\tcanceled\r\n"
      child:expect "> "
      child:write "other:is_canceled(), other:status()\n"
      child:expect "false\tparked\r\n"
      assert.equal(0, leave())
    end)

    at_terminal("leaves a line alone that goes on after two Ctrl-C", function()
      start(nil, "--grace=0.01")
      child:write "print('star' .. 'ted') moonpark.sleep(3600) print('ca' .. 'nceled') "
      child:write "moonpark.shield(moonpark.sleep, 3600)\n"
      child:expect "started\r\n"
      child:write "\3"
      child:expect "canceled\r\n"
      child:write "\3"
      child:expect '"stdin" continues\r\n'
      child:expect "> "
      assert.equal(0, leave())
    end)

    at_terminal("raises in a line that computes without end at the second Ctrl-C", function()
      start(nil, "-e", GETPID)
      child:write "print('pid' .. ' ' .. pid) while true do end\n"
      child:expect "pid "
      local pid = child:line():match "%d+"
      child:write "\3"
      child:expect "^C" -- the terminal has sent the signal
      process.until_taken(pid, INT) -- two that come at once are one
      child:write "\3"
      child:expect "stdin:1: interrupted"
      child:expect "> "
      child:write "print('o' .. 'n')\n"
      child:expect "on\r\n"
      assert.equal(0, leave())
    end)

    at_terminal("does so beside --slow and --limit", function()
      start(nil, "--slow", "0.05", "--limit", "3600", "-e", GETPID)
      child:write "print('pid' .. ' ' .. pid) while true do end\n"
      child:expect "pid "
      local pid = child:line():match "%d+"
      child:expect "stdin:1: in main chunk"
      child:write "\3"
      child:expect "^C"
      process.until_taken(pid, INT)
      child:write "\3"
      child:expect "stdin:1: interrupted"
      child:expect "> " -- what is typed before is dropped
      assert.equal(0, leave())
    end)

    at_terminal("is not ended by Ctrl-C while it shows a result itself, however many come", function()
      start(nil, "-e", GETPID .. " require 'ffi'.cdef 'int kill(int pid, int signal);'")
      child:write "shown = setmetatable({}, { __tostring = function() for _ = 1, 99 do\n"
      child:expect ">> "
      child:write "require 'ffi'.C.kill(pid, 2) end return 'to' .. 'ld' end }) return shown\n"
      child:expect "told\r\n"
      child:expect "> "
      child:expect "\n> " -- now the loop has heard of them
      child:write "print('o' .. 'n')\n"
      child:expect "on\r\n"
      assert.equal(0, leave())
    end)

    at_terminal("forgets what is typed with Ctrl-C, a statement of several lines too", function()
      start()
      child:write "print('gar' .. 'bage')"
      child:expect "'bage')"
      child:write "\3"
      child:expect "> "
      child:write "for i = 1, 2 do\n"
      child:expect ">> "
      child:write "\3"
      child:expect "> "
      child:write "print('o' .. 'n')\n"
      child:expect "on\r\n"
      assert.equal(0, leave())
      assert.is_nil(child.text.out:find("garbage", 1, true))
    end)

    at_terminal("winds down what still runs at its end, and takes its time limit", function()
      start(nil, "--grace=0.01")
      child:write "moonpark.go(function() print(moonpark.sleep(3600)) end)\n"
      child:write "moonpark.go(function() while true do moonpark.shield(moonpark.sleep, 9) end end):name 'stubborn'\n"
      child:expect "stubborn"
      child:write "print('rea' .. 'dy')\n"
      child:expect "ready\r\n"
      assert.equal(0, leave())
      assert.matches("nil\tcanceled\r\n", child.text.out)
      assert.matches('the input has ended: 1 task has not ended after 0.01 s:\r\n  task %d+ "stubborn"', child.text.out)
    end)

    at_terminal("goes on when it hears that it was stopped, and in a window of another size", function()
      start(nil, "-e", GETPID)
      child:write "print('pid' .. ' ' .. pid)\n"
      child:expect "pid "
      local pid = child:line():match "%d+"
      child:expect "> "
      child:write "print('be' .. "
      for _, signal in ipairs { "CONT", "WINCH" } do process.run { "kill", "-" .. signal, pid } end
      child:write "'hind')\n"
      child:expect "behind\r\n"
      assert.equal(0, leave())
    end)

    at_terminal("tells an error of another task, and shows again what is typed", function()
      start()
      child:write "moonpark.go(function() moonpark.sleep(0.01) error('de' .. 'tached', 0) end) and nil\n"
      child:expect "nil\r\n"
      child:expect "moonpark: uncaught error in a task: detached\r\n"
      child:write "print('o' .. 'n')\n"
      child:expect "on\r\n"
      assert.equal(0, leave())
    end)

    at_terminal("writes what is logged meanwhile beside what is typed", function()
      start()
      child:write "moonpark.go(function() moonpark.sleep(0.01) log.info('log' .. 'ged') end) and nil\n"
      child:expect "nil\r\n"
      child:expect "INFO  logged\r\n"
      child:write "print('o' .. 'n')\n"
      child:expect "on\r\n"
      assert.equal(0, leave())
    end)

    for name, status in pairs { TERM = 143, QUIT = 2 } do
      at_terminal(("puts the terminal back when SIG%s ends it"):format(name), function()
        child = terminal.start(("stty -g; %s; echo status $?; stty -g"):format(terminal.command("-i", "-e", GETPID)),
          { MOONPARK_EDITING = editor })
        local before = child:line()
        child:expect "> "
        child:write "print('pid' .. ' ' .. pid)\n"
        child:expect "pid "
        local pid = child:line():match "%d+"
        child:expect "> "
        process.run { "kill", "-" .. name, pid }
        child:expect(("status %d\r\n"):format(status))
        assert.equal(before, child:line())
        child:wait()
      end)
    end

    if editor ~= "off" then
      at_terminal("remembers what was typed, for the next time too, in a file of its owner's", function()
        local folder = testing.tempdir()
        start { XDG_STATE_HOME = folder .. "/state" }
        child:write "print('fir' .. 'st')\n"
        child:expect "first\r\n> "
        child:write "print('fir' .. 'st')\n"
        child:expect "first\r\n> "
        assert.equal(0, leave())
        assert.equal("print('fir' .. 'st')\n", read(folder .. "/state/moonpark/history"))
        local own = folder .. "/state/moonpark"
        local mode = process.run { "stat", "-c", "%a", own .. "/history", own }
        assert.equal("600\n700\n", mode.out)
        start { XDG_STATE_HOME = folder .. "/state" }
        child:write "\16\n" -- Ctrl-P: the one before
        child:expect "first\r\n"
        assert.equal(0, leave())
      end)
    end
  end)
end

describe("moonpark -i at a terminal", function()
  after_each(process.stop_all)

  it("has its own prompt where _PROMPT cannot be told", function()
    local child = terminal.start(terminal.command("-i", "-e", "_PROMPT = setmetatable({}, { __tostring = error })"),
      { MOONPARK_EDITING = "off" })
    child:expect "exits\r\n> "
    child:write "\4"
    assert.equal(0, (child:wait()))
  end)

  it("has the prompts that _PROMPT and _PROMPT2 say", function()
    local child = terminal.start(terminal.command("-i", "-e", "_PROMPT, _PROMPT2 = 'one? ', 'two? '"),
      { MOONPARK_EDITING = "off" })
    child:expect "one? "
    child:write "print(\n"
    child:expect "two? "
    child:write "'x' .. 'y')\n"
    child:expect "xy\r\none? "
    child:write "\4"
    assert.equal(0, (child:wait()))
  end)
end)

-- SPDX-License-Identifier: MIT
-- completing_spec.lua - the prompt: completion with Tab, help, exit, and how values are shown.

local annotations = require "moonpark.annotations"
local complete = require "moonpark.repl.complete"
local http = require "moonpark.http"
local help = require "moonpark.repl.help"
local lend = require "moonpark.repl.lend"
local moonpark = require "moonpark"
local members = require "moonpark.repl.members"
local net = require "moonpark.net"
local process = require "support.process"
local show = require "moonpark.repl.show"
local signatures = require "moonpark.signatures"
local terminal = require "support.terminal"
local testing = require "moonpark.testing"

testing.timeout(60)

local function candidates(text)
  local word, list = complete.candidates(text, lend)
  return table.concat(list, " "), word
end

-- What the lines print, none of them failing.
local function printed(text)
  local r = process.run(process.moonpark "-i", { stdin = text })
  assert.same({ 0, "" }, { r.status, r.err })
  return r.out
end

describe("completion", function()
  it("knows globals, keywords, and what is there without require", function()
    assert.equal("moonpark", candidates "moonp")
    assert.equal("repeat require return", (candidates "x = re"))
    assert.equal("netpoll", candidates "netp")
    assert.same({ "help", "hel" }, { candidates "hel" })
  end)

  it("knows fields, of modules that are not loaded yet too", function()
    assert.equal("dial", candidates "c = net.di")
    assert.equal("compress", candidates "http.comp")
    assert.equal("listen", candidates "moonpark.net.lis")
    assert.equal("systemd", candidates "moonpark.syst")
    assert.equal("", candidates "nothing.at.all")
  end)

  it("knows methods of tables, strings and the core's objects", function()
    local conn, other = net.pipe()
    _G.kept, _G.text = { app = http.router(), conn = conn }, "x"
    assert.equal("get group", (candidates "kept.app:g"))
    assert.equal("read_line", candidates "kept.conn:read_l")
    assert.equal("upper", candidates "text:up")
    assert.equal("app", candidates "kept.a")
    _G.kept, _G.text = nil, nil
    conn:close()
    other:close()
  end)

  it("leaves out what is not for scripts", function()
    _G.kept = { app = http.router(), task = moonpark.current() }
    assert.equal("any delete get group handle head mount not_found options patch post put route use",
      (candidates "kept.app:"))
    assert.equal((candidates "kept.app:"), (candidates "kept.app."))
    assert.equal("cancel cancel_reason id is_canceled join name status", (candidates "kept.task:"))
    _G.kept = nil
  end)

  it("knows the modules of moonpark that scripts may require, loaded or not, and no others", function()
    assert.equal(table.concat(annotations.modules, " "), (candidates 'require "moonpark'))
    assert.equal("moonpark.systemd", (candidates 'require "moonpark.sys'))
    assert.equal("coroutine", (candidates 'require "corou'))
  end)

  it("shows names that begin with _ when they are asked for", function()
    assert.is_nil(candidates("moonpark."):find("_VERSION", 1, true))
    assert.equal("_VERSION", candidates "moonpark._V")
  end)

  it("knows modules within require, and nothing within other strings", function()
    for _, text in ipairs { 'x = require "moonpark.netp', "require('moonpark.netp" } do
      assert.same({ "moonpark.netpoll", "moonpark.netp" }, { candidates(text) })
    end
    assert.equal("", candidates 'print("net.')
    assert.equal("", candidates "print(f().")
  end)

  it("runs nothing of a script's", function()
    local function never() error "ran" end
    _G.guarded = setmetatable({ a = 1 }, { __index = never, __newindex = never, __pairs = never, __len = never })
    assert.equal("a", candidates "guarded.")
    assert.equal("", candidates "guarded.b.c")
    _G.guarded = nil
  end)

  it("finds what all have in common", function()
    assert.equal("read_", complete.common { "read_line", "read_all" })
    assert.equal("", complete.common {})
  end)
end)

describe("help", function()
  it("explains functions, methods, modules, objects, and names", function()
    local text = printed [[
help(net.pipe)
help "moonpark.go"
help(http.router().group)
a = net.pipe()
help(a.read)
]]
    assert.matches("^net%.pipe%(%[capacity: integer%]%) %-> moonpark%.connection|nil", text)
    assert.matches("\n  An in%-memory pair with the methods", text)
    assert.matches("\nmoonpark%.go%(fn: function, %.%.%.%) %-> moonpark%.task\n", text)
    assert.matches("\nhttp%.router:group%(prefix: string, ", text)
    assert.matches("\nconnection:read%(%[max: integer%]%) %-> string|nil", text)
    text = printed "help(net)\nhelp(http.router())\nhelp 'http.router.get'\nhelp(net.listen)"
    assert.matches("\n  dial%(address: string", text)
    assert.matches("\n  mount%(prefix: string", text)
    assert.matches("\nhttp%.router:get%(path: string", text)
    assert.matches("backlog%??: integer", text)
  end)

  it("shows of an object what is for everybody", function()
    local text = help.of(moonpark.current(), lend)
    local names = {}
    for name in text:gmatch "\n  ([%w_]+)%(" do names[#names + 1] = name end
    assert.equal("cancel cancel_reason id is_canceled join name status", table.concat(names, " "))
    assert.equal(text, help.of("task", lend))
  end)

  it("calls a function of a module by its name there, and says what is written where it is made", function()
    assert.matches("^http%.proxy%(target: ", help.of("http.proxy", lend))
    assert.matches("^moonpark%.pool%(n: integer, .*\n  Calls fn%(item, index%) for each item",
      help.of(moonpark.pool, lend))
    assert.matches("^moonpark%.retry%(.*\n  Calls fn%(%.%.%.%) until it succeeds", help.of("moonpark.retry", lend))
    assert.matches("^moonpark%.run%(", help.of(moonpark.run, lend))
  end)

  it("has the whole of an option's text, and nothing of parameters that are there for mistakes", function()
    assert.matches("grace: number%?  for http%.serve: seconds .*; 0: it leaves those signals alone%.",
      help.of(http.serve, lend))
    local text = help.of(http.router().use, lend)
    assert.matches("^http%.router:use%(fn: fun%(.*%)%) %-> moonpark%.http%.router\n", text)
    assert.is_nil(text:find("extra", 1, true))
  end)

  it("knows objects by the names that the pages give them", function()
    for name, title in pairs { ["res:json"] = "http.response:json(", ["req:json"] = "http.request:json(",
      ["app:get"] = "http.router:get(", ["conn:read"] = "connection:read(", ["ws:send"] = "websocket:send(",
      ["websocket:send"] = "websocket:send(", ["group:send"] = "websocket.group:send(",
      ["task:join"] = "task:join(", ["req.query"] = "http.request.query" } do
      assert.equal(title, help.of(name, lend):sub(1, #title))
    end
    assert.matches("^http%.response\n", help.of("res", lend))
  end)

  it("names no file of the sources", function()
    for _, module in ipairs(annotations.modules) do
      local class = package.loaded[module] and module
      for name, entry in pairs(class and members.of(class, true) or {}) do
        local text = help.of(module .. "." .. name, lend)
        assert.is_nil(text:match "see [%w_/]+%.lua", module .. "." .. name)
        assert.is_nil(table.concat(entry.text, " "):match "see [%w_/]+%.lua", module .. "." .. name)
      end
    end
    for _, class in ipairs(signatures.names()) do
      for name, entry in pairs(class:find "^moonpark%.[^.]+$" and members.of(class, false) or {}) do
        assert.is_nil(table.concat(entry.text, " "):match "see [%w_/]+%.lua", class .. ":" .. name)
      end
    end
  end)

  it("says so of what it does not know", function()
    assert.matches("^nothing is known of 'nobody'\na table\n.*written in C",
      printed "help 'nobody'\nhelp {}\nhelp(print)")
    assert.matches("^a function of stdin:1\n", printed "help(function() end)")
  end)

  it("alone says what a prompt is; a global of the script's comes first", function()
    for _, line in ipairs { "help", "help()" } do
      assert.matches("help%(net%.dial%).*exit, quit, Ctrl%-D.*http, .*moonpark, net, ", printed(line))
    end
    assert.equal("mine\n", printed "help = 'mine'\nhelp\n")
  end)
end)

describe("exit and quit", function()
  it("end the program", function()
    for _, word in ipairs { "exit", "quit", "exit()", " quit() " } do
      assert.equal("1\n", printed("print(1)\n" .. word .. "\nprint(2)\n"))
    end
    assert.equal("mine\n2\n", printed "exit = 'mine'\nexit\nprint(2)\n")
  end)
end)

describe("a value", function()
  it("of moonpark's is shown in words, without its insides", function()
    assert.equal("<http.router>", show.show(http.router()))
    assert.equal("{ app = <http.router> }", show.show { app = http.router() })
    assert.equal("<channel>", show.show(require("moonpark").chan()))
    assert.matches("^task %d+", show.show(require("moonpark").current()))
    assert.equal('{ x = 1 }', show.show(setmetatable({ x = 1 }, { __index = { y = 2 } })))
  end)
end)

for _, editor in ipairs { "readline", "edit" } do
  describe("Tab at a terminal, editing: " .. editor .. ",", function()
    after_each(process.stop_all)

    local function at_terminal(name, body)
      it(name, function()
        if not terminal.editors()[editor] then return pending("the system has no such library") end
        local child = terminal.start("exec " .. terminal.command "-i", { MOONPARK_EDITING = editor })
        child:expect "Ctrl-D exits\r\n"
        child:expect "> "
        body(child)
        child:expect "> "
        child:write "exit\n"
        assert.equal(0, (child:wait()))
      end)
    end

    at_terminal("completes, in the middle of what is typed", function(child)
      child:write "print(#string.for\t('x%d', 42))\n"
      child:expect "3\r\n"
    end)

    at_terminal("lists what there is, and goes on", function(child)
      child:write "many = { alpha1 = 1, alpha2 = 2 }\n"
      child:expect "> "
      child:write "many.al\t"
      child:expect "many.alpha"
      child:write "\t"
      child:expect "alpha1  alpha2"
      child:write "2\n"
      child:expect "2\r\n"
    end)
  end)
end

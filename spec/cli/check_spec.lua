-- SPDX-License-Identifier: MIT
-- check_spec.lua - moonpark check: what it finds, and what it leaves alone.

local process = require "support.process"
local testing = require "moonpark.testing"

local function check(text) return process.run(process.moonpark("check", "-"), { stdin = text }) end

-- What is found in a script, without "stdin:" and the columns.
local function found(text)
  local r = check(text)
  assert.equal("", r.err)
  assert.equal(r.out == "" and 0 or 1, r.status)
  return (r.out:gsub("stdin:(%d+):%d+: ", "%1: "))
end

-- With the two modules that most scripts have; on the first line.
local function in_script(text)
  return found('local moonpark = require "moonpark" local net = require "moonpark.net" print(moonpark, net) ' .. text)
end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  return path
end

describe("moonpark check", function()
  after_each(process.stop_all)

  it("says nothing of a script without mistakes, status 0", function()
    assert.equal("", found "local x = ... print(x)")
    assert.equal("", found "")
  end)

  it("tells a syntax error with its line, status 1, and skips a first line with #!", function()
    assert.equal("2: '=' expected near 'x'\n", found "#!/usr/bin/env moonpark\nx x\n")
    assert.equal("4: 'end' expected (to close 'if' at line 1) near '<eof>'\n", found "if x then\n\n\n")
  end)

  it("names the file, and goes through several; one that cannot be read is status 2", function()
    local folder = testing.tempdir()
    local a, b = write(folder .. "/a.lua", "x x"), write(folder .. "/b.lua", "\nprint(nobody)")
    local r = process.run(process.moonpark("check", a, b))
    assert.equal(1, r.status)
    assert.equal(("%s:1:3: '=' expected near 'x'\n%s:2:7: global 'nobody' is read but never defined\n"):format(a, b),
      r.out)
    r = process.run(process.moonpark("check", folder .. "/none.lua", a))
    assert.equal(2, r.status)
    assert.matches("^%S+/a%.lua:1:3: ", r.out)
    assert.equal(("moonpark: cannot read %s/none.lua: No such file or directory\n"):format(folder), r.err)
    assert.equal(2, process.run(process.moonpark("check", folder)).status)
  end)

  it("leaves lines out whose comment says so", function()
    assert.equal("", found "print(nobody) -- moonpark: ignore\nprint(nobody) -- moonpark: ignore: because")
    assert.equal("2: global 'nobody' is read but never defined\n",
      found "-- moonpark: ignore\nprint(nobody)")
  end)

  it("without a script, or with an option that it has not, explains itself, status 2", function()
    for _, words in ipairs { { "check" }, { "check", "--all", "x.lua" } } do
      local r = process.run(process.moonpark(unpack(words)))
      assert.same({ 2, "" }, { r.status, r.out })
      assert.matches("try 'moonpark check %-%-help'\n$", r.err)
    end
    local r = process.run(process.moonpark("check", "--help"))
    assert.equal(0, r.status)
    assert.matches("^usage: moonpark check %[options%] script.lua %.%.%.\n", r.out)
  end)

  describe("globals:", function()
    it("tells one that nobody defines, and which was meant", function()
      assert.equal("2: global 'moonprak' is read but never defined (did you mean 'moonpark'?)\n",
        found "\nmoonprak.go(print)")
      assert.equal("1: global 'moonpark' is read but never defined (require \"moonpark\")\n",
        found "moonpark.go(print)")
      assert.equal("1: global 'prnit' is read but never defined (did you mean 'print'?)\n",
        found "local function f() return function() prnit() end end f()")
    end)

    it("knows those of LuaJIT, of the script, and arg", function()
      assert.equal("", found "x = 1 print(x, arg, jit, bit, unpack, loadstring, _VERSION, _G, setfenv and 1)")
      assert.equal("", found "function f() return g() end function g() return f() end")
      assert.equal("", found "_G.x = 1 _G['y'] = 2 print(x, y)")
    end)

    it("knows those of the scripts that are checked with it", function()
      local folder = testing.tempdir()
      local a, b = write(folder .. "/a.lua", "shared = 1"), write(folder .. "/b.lua", "print(shared)")
      assert.equal(0, process.run(process.moonpark("check", a, b)).status)
      assert.equal(1, process.run(process.moonpark("check", b)).status)
    end)

    it("leaves those alone that the script asks for", function()
      assert.equal("", found "if ngx then ngx.log() end local u = utf8 or {} print(u)")
      assert.equal("", found "local b = bit32 and bit32.band print(b)")
      assert.equal("", found "if ngx == nil then print(ngx) end if not other then print(1) end")
    end)

    it("leaves scripts alone that change what a global is", function()
      for _, text in ipairs { "setfenv(1, {}) print(x)", "module('m', package.seeall) print(x)",
        "setmetatable(_G, {}) print(x)", "for k, v in pairs {} do _G[k] = v end print(x)" } do
        assert.equal("", found(text))
      end
    end)

    it("knows busted's where specs are", function()
      local folder = testing.tempdir()
      local spec = write(folder .. "/a_spec.lua", "describe('x', function() it('y', function() end) end)")
      assert.equal("", process.run(process.moonpark("check", spec)).out)
      assert.equal(1, process.run(process.moonpark("check", write(folder .. "/a.lua", "describe()"))).status)
    end)

    it("tells one that only functions assign", function()
      assert.equal("1: global 'x' is assigned in a function (is 'local' missing?)\n",
        found "local function f() x = 1 end f()")
      assert.equal("", found "x = 0 local function f() x = 1 end f()")
      assert.equal("", found "local function f() arg = {} end f()")
    end)
  end)

  describe("modules:", function()
    it("tells what they do not have, and what was meant", function()
      assert.equal("1: moonpark.net has no 'lisen' (did you mean 'listen'?)\n", in_script "net.lisen()")
      assert.equal("1: moonpark has no 'slep' (did you mean 'sleep'?)\n", in_script "moonpark.slep(1)")
      assert.equal("1: moonpark.net has no 'foo'\n", in_script "moonpark.net.foo()")
      assert.equal("1: moonpark.net has no 'foo'\n", found "print(require('moonpark.net').foo)")
      assert.equal("1: moonpark.net has no 'foo'\n", found "local m = require 'moonpark' local n = m.net print(n.foo)")
    end)

    it("leaves a name alone that is something else somewhere", function()
      assert.equal("", in_script "local function f(net) return net.foo end f()")
      assert.equal("", in_script "for net in pairs {} do print(net.foo) end")
      assert.equal("", in_script "net = { foo = 1 } print(net.foo)")
      assert.equal("", in_script "local a, net = 1, {} print(a, net.foo)")
      assert.equal("", in_script "local x = { net = {} } print(x.net.foo, x.moonpark.foo)")
    end)

    it("leaves alone what the script adds to them", function()
      assert.equal("", in_script "net.mine = 1 print(net.mine) function moonpark.other() end moonpark.other()")
    end)

    it("says nothing of strings and comments", function()
      assert.equal("", in_script "print('net.lisen()', [[net.lisen()]]) -- net.lisen()\n--[[ net.lisen() ]]")
    end)
  end)

  describe("connections:", function()
    it("tells a method that is called with a dot", function()
      for _, maker in ipairs { "local c = net.dial('x')", "local c = assert(net.dial('x'))",
        "local l = net.listen('x') local c, err = l:accept() print(err)" } do
        assert.equal("2: c.write(...) is missing its object: use c:write(...)\n", in_script(maker .. "\nc.write('x')"))
      end
      assert.equal("1: c.read(...) is missing its object: use c:read(...)\n",
        in_script "local l = net.listen 'x' for c in l:accepts() do c.read() end")
      assert.equal("1: c.read(...) is missing its object: use c:read(...)\n",
        in_script "local l = net.listen 'x' l:serve(function(c) c.read() end)")
    end)

    it("tells a method that there is none of", function()
      assert.equal("1: a connection has no method 'reed' (did you mean 'read'?)\n",
        in_script "local c = net.dial('x') c:reed()")
    end)

    it("leaves alone what is called with its object, and what may be something else", function()
      assert.equal("", in_script "local c = net.dial('x') c.write(c, 'x') pcall(c.write, c, 'x')")
      assert.equal("", in_script "local c = net.dial('x') c = {} c.write('x')")
      assert.equal("", in_script "local function f(c) c.write('x') end f(net.dial('x'))")
    end)
  end)

  describe("the loop:", function()
    it("warns of calls for which all tasks wait", function()
      assert.equal("1: warning: os.execute blocks the whole loop: use moonpark.process.run\n",
        in_script "os.execute 'ls'")
      assert.equal("1: warning: io.popen blocks the whole loop: use moonpark.process.run, or spawn to read while it "
        .. "runs\n", in_script "io.popen('ls')")
      assert.equal("1: warning: io.lines blocks the whole loop: no task runs until a line arrives\n",
        in_script "for line in io.lines() do print(line) end")
      assert.equal("", in_script "for line in io.lines 'file' do print(line) end")
      assert.matches("^1: warning: io%.read blocks", in_script "io.read()")
      assert.matches("^1: warning: io%.stdin:read blocks", in_script "io.stdin:read()")
      assert.equal("1: warning: 'socket' blocks the whole loop: use moonpark.net, or install a façade: "
        .. "moonpark.compat\n", in_script "print(require 'socket')")
      assert.equal("1: warning: 'socket.http' blocks the whole loop: use http.get of moonpark.http, or install a "
        .. "façade: moonpark.compat\n", in_script "print(require 'socket.http')")
      assert.equal("1: warning: 'socket.smtp' blocks the whole loop: install a façade: moonpark.compat\n",
        in_script "print(require 'socket.smtp')")
      assert.equal("1: warning: 'luasql.postgres' blocks the whole loop: use pgmoon\n",
        in_script "print(require 'luasql.postgres')")
    end)

    it("does not where the script installs a façade", function()
      assert.equal("", in_script "require('moonpark.compat').install 'socket' print(require 'socket')")
      assert.equal("", in_script "require('moonpark.compat').install 'socket' print(require 'socket.http')")
    end)

    it("does not in scripts without moonpark, nor in specs, nor of another os", function()
      assert.equal("", found "os.execute 'ls'")
      assert.equal("", in_script "local os = { execute = print } os.execute 'ls'")
      assert.equal("", in_script "local x = { os = {} } x.os.execute 'ls'")
      local spec = write(testing.tempdir() .. "/a_spec.lua", "require 'moonpark' os.execute 'ls'")
      assert.equal("", process.run(process.moonpark("check", spec)).out)
    end)

    it("tells moonpark.go of a call that returns no function", function()
      assert.equal("1: moonpark.go(f(...)) calls it here and starts what it returns: use moonpark.go(f, ...)\n",
        in_script "local function f() print(1) end moonpark.go(f())")
      assert.equal("1: moonpark.go(moonpark.sleep(...)) calls it here and starts what it returns: use " ..
        "moonpark.go(moonpark.sleep, ...)\n", in_script "moonpark.go(moonpark.sleep(1))")
      assert.equal("1: moonpark.go(l:serve(...)) calls it here and starts what it returns: use " ..
        "moonpark.go(l.serve, l, ...)\n", in_script "local l = net.listen 'x' moonpark.go(l:serve(print))")
    end)

    it("leaves alone calls that may return one", function()
      assert.equal("", in_script "local function f() return print end moonpark.go(f())")
      assert.equal("", in_script "local function f() if 1 then return print end end moonpark.go(f(), 1)")
      assert.equal("", in_script "moonpark.go(coroutine.wrap(print)) moonpark.go(loadstring 'x = 1')")
      assert.equal("", in_script "local function f() print(1) end moonpark.go(f)")
      assert.equal("", in_script "local function f() end moonpark.go(f() or print)")
    end)
  end)

  it("finds nothing in this repository's own examples, library and command", function()
    local r = process.run(("cd '%s' && find examples lua spec/support -name '*.lua' "
      .. "| xargs '%s' lua/bin/moonpark check lua/bin/moonpark"):format(process.root, process.interpreter))
    assert.same({ 0, "", "" }, { r.status, r.out, r.err })
  end)

  it("of a library names what the façades do not have of ngx and socket", function()
    local function library(text) return found(text) end
    assert.equal("", library "local ngx = ngx local tcp = ngx.socket.tcp return ngx.null, ngx.re.match, ngx.OK, tcp")
    assert.equal("", library "ngx.shared.any:get 'x' ngx.var.any = 1 return ngx.ctx.any, ngx.req.get_headers()")
    assert.equal("1: ngx.location is not there on moonpark: there are no subrequests\n",
      library "return ngx.location.capture '/x'")
    assert.equal("1: ngx.slep is not there (did you mean ngx.sleep?)\n", library "ngx.slep(1)")
    assert.equal("1: ngx.req.socket is not there on moonpark\n", library "return ngx.req.socket()")
    assert.equal("", library "local ngx = { own = print } ngx.own()")
    assert.equal("", library "local s = require 'socket' s.mine = 1 return s.tcp(), s.try, s.mine")
    assert.equal("1: socket.serial is not there on moonpark: see docs/luasocket.md\n",
      library "local s = require 'socket' return s.serial()")
    assert.matches("global 'ngx' is read but never defined", in_script "ngx.say 'x'")
  end)

  -- {a line that is wrong, what is said of it}
  local wrong = {
    { "ngx.socket.tpc()", "ngx.socket.tpc is not there on moonpark (did you mean 'tcp'?)" },
    { "ngx.exec '/x'", "ngx.exec is not there on moonpark: there are no internal redirects" },
    { "local c = ngx.location.capture", "ngx.location is not there on moonpark: there are no subrequests" },
    { "ngx.re.matsh('a', 'b')", "ngx.re.matsh is not there on moonpark (did you mean 'match'?)" },
    { "ngx.req.sockett()", "ngx.req.sockett is not there on moonpark" },
    { "ngx.req.get_header 'x'", "ngx.req.get_header is not there on moonpark (did you mean 'get_headers'?)" },
    { "ngx.timer.after(1, print)", "ngx.timer.after is not there on moonpark" },
    { "ngx.thread.spwan(print)", "ngx.thread.spwan is not there on moonpark (did you mean 'spawn'?)" },
    { "ngx.encode_base46 'x'", "ngx.encode_base46 is not there (did you mean ngx.encode_base64?)" },
    { "ngx.balancer.set_current_peer()", "ngx.balancer is not there on moonpark: use http.proxy" },
    { "ngx.run_worker_thread 'x'", "ngx.run_worker_thread is not there on moonpark: start a worker, or a process" },
    { "ngx['prnt'] 'x'", "ngx.prnt is not there (did you mean ngx.print?)" },
    { "local s = ngx.socket s.tcpp()", "ngx.socket.tcpp is not there on moonpark (did you mean 'tcp'?)" },
    { "local re = ngx.re re.gsubb('a')", "ngx.re.gsubb is not there on moonpark (did you mean 'gsub'?)" },
    { "ngx.worker.idd()", "ngx.worker.idd is not there on moonpark (did you mean 'id'?)" },
    { "ngx.resp.get_hdrs()", "ngx.resp.get_hdrs is not there on moonpark" },
    { "ngx.shared.dict:gett 'x'", "a dict of ngx.shared has no method 'gett' (did you mean 'get'?)" },
    { "local d = ngx.shared['a'] d:incrr 'x'", "a dict of ngx.shared has no method 'incrr' (did you mean 'incr'?)" },
    { "local t = ngx.socket.tcp() t:recieve()", "a cosocket has no method 'recieve' (did you mean 'receive'?)" },
    { "local tcp = ngx.socket.tcp local t = assert(tcp()) t:opn()", "a cosocket has no method 'opn'" },
    { "local u = ngx.socket.udp() u:sedn()", "a datagram cosocket has no method 'sedn' (did you mean 'send'?)" },
    { "require('ngx.semaphore').neww()", "ngx.semaphore.neww is not there on moonpark (did you mean 'new'?)" },
    { "local s = require('ngx.semaphore').new() s:psot()",
      "a semaphore of ngx has no method 'psot' (did you mean 'post'?)" },
    { "local re = require 'ngx.re' re.splitt 'a'", "ngx.re.splitt is not there on moonpark (did you mean 'split'?)" },
    { "require 'ngx.base64'.encod()", "ngx.base64.encod is not there on moonpark" },
    { "local pipe = require 'ngx.pipe' pipe.spawn 'ls'", "ngx.pipe.spawn is not there on moonpark" },
    { "require('socket').gettim()",
      "socket.gettim is not there on moonpark: see docs/luasocket.md (did you mean 'gettime'?)" },
    { "local s = require 'socket' s.dns.tohostnme 'x'",
      "socket.dns.tohostnme is not there on moonpark: see docs/luasocket.md (did you mean 'tohostname'?)" },
    { "local s = require 'socket.core' s.udpp()",
      "socket.udpp is not there on moonpark: see docs/luasocket.md (did you mean 'udp'?)" },
    { "local s = require 'socket' local t = s.tcp() t:setoptions 'x'",
      "a socket of LuaSocket has no method 'setoptions' (did you mean 'setoption'?)" },
    { "local s = require 'socket' local u = assert(s.udp()) u:sendtoo 'x'",
      "a datagram socket of LuaSocket has no method 'sendtoo' (did you mean 'sendto'?)" },
    { "require('socket.unix').strem()",
      "socket.unix.strem is not there on moonpark: see docs/luasocket.md (did you mean 'stream'?)" },
    { "local ssl = require 'ssl' ssl.wrapp()",
      "ssl.wrapp is not there on moonpark: see docs/luasec.md (did you mean 'wrap'?)" },
  }

  it("names wrong calls of façades, also through local names and of the objects that they make", function()
    for _, case in ipairs(wrong) do assert.equal("1: " .. case[2] .. "\n", found(case[1])) end
  end)

  it("says nothing of what may be right", function()
    for _, text in ipairs {
      "if ngx.own_extension then ngx.own_extension() end", "return ngx._mark",
      "local s = require 'socket' if s.unheard_of then s.unheard_of() end", "function ngx.mine() end ngx.mine()",
      "local function f(t) t:anything() end f() local t = ngx.socket.tcp() t:anything()", -- t is two things
      "local s = require 'socket' local l = s.bind('*', 0) local c = l:accept() c:settimeout(1)",
      "local t = ngx.socket.tcp() function t:mine() end t:mine()", "local ok = require 'ngx.unheard_of'.anything()",
      "return require('socket').http, require 'socket'.url", "local s = {} s.socket = 1 return s.socket.tpc",
      "local d = ngx.shared.a:get 'x' d:anything()", "local name = 'x' return ngx[name], ngx.shared[name]:get(name)",
      "return ngx.var.anything, ngx.ctx.anything, ngx.header.anything, ngx.re.match('a', 'b')",
    } do
      assert.equal("", found(text))
    end
    local page = "return function(self) return self:html(function() h1 'a title' end) end"
    assert.equal("", found(page))
  end)
end)

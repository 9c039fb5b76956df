-- SPDX-License-Identifier: MIT
-- program_spec.lua - the log of whole programs: what the operator asks for, slow and broken outputs, the program's end,
-- several processes.

local json = require "cjson"
local process = require "support.process"
local terminal = require "support.terminal"

local PREAMBLE = [[
local moonpark, core = require "moonpark", require "moonpark.core"
local log = require "moonpark.log"
local ffi = require "ffi"
ffi.cdef "int pipe2(int *, int); int dup2(int, int); int close(int); long read(int, void *, size_t); int getpid(void);"
ffi.cdef "int fork(void); int waitpid(int, int *, int); void _exit(int); int fcntl(int, int, ...);"
-- A pipe in the place of standard error -> fn() that reads what is in it, without waiting.
local function stderr_to_pipe()
  local ends, bytes = ffi.new "int[2]", ffi.new "char[65536]"
  assert(ffi.C.pipe2(ends, 0x80000) == 0 and ffi.C.dup2(ends[1], 2) == 2 and ffi.C.close(ends[1]) == 0)
  ffi.C.fcntl(ends[0], 4, ffi.new("int", 0x800))
  return function()
    local n = tonumber(ffi.C.read(ends[0], bytes, 65536))
    return n > 0 and ffi.string(bytes, n) or ""
  end, ends[0]
end
]]

local function script_of(text)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(PREAMBLE, text)
  file:close()
  return path
end

-- Runs it by the command, with options before it; redirected as a shell does.
local function run(text, options)
  options = options or {}
  local path = script_of(text)
  local words = process.moonpark(unpack(options.words or {}))
  if options.plain then
    words = { process.interpreter, path }
  else
    words[#words + 1] = path
  end
  local env = { MOONPARK_LOG = false, MOONPARK_LOG_FORMAT = false, NO_COLOR = false }
  for name, value in pairs(options.env or {}) do env[name] = value end
  local r = process.run({ "sh", "-c", '"$@"' .. (options.redirect or ""), "sh", unpack(words) }, { env = env })
  os.remove(path)
  return r
end

-- Without its times.
local function plain(text) return (text:gsub("%d%d%d%d%-%d%d%-%d%dT[%d:.]+Z ", "")) end

local function objects(text)
  local list = {}
  for line in text:gmatch "[^\n]+" do list[#list + 1] = json.decode(line) end
  return list
end

local EACH = 'for _, level in ipairs { "trace", "debug", "info", "warn", "error" } do log[level] "x" end\n'

describe("what the operator asks for", function()
  it("is MOONPARK_LOG, or --log, which win over the program", function()
    local text = 'log.configure { level = "off" }\n' .. EACH .. 'log.named("http").info "y"'
    assert.equal("", run(text).err)
    assert.equal("WARN  x\nERROR x\nINFO  http: y\n",
      plain(run(text, { env = { MOONPARK_LOG = "warn,http=debug" } }).err))
    assert.equal("ERROR x\n", plain(run(text, { words = { "--log", "error" } }).err))
    assert.equal("ERROR x\n", plain(run(text, { words = { "--log=error" }, env = { MOONPARK_LOG = "trace" } }).err))
    assert.equal("WARN  x\nERROR x\n", plain(run(text, { plain = true, env = { MOONPARK_LOG = "warn" } }).err))
  end)

  it("is told with the nearest level if that does not exist", function()
    local r = run('log.info "x"', { env = { MOONPARK_LOG = "wran,http=debug", MOONPARK_LOG_FORMAT = "xml" } })
    assert.equal([[
WARN  log: MOONPARK_LOG_FORMAT: text or json expected, got 'xml'
WARN  log: MOONPARK_LOG: unknown level 'wran' (did you mean 'warn'?)
INFO  x
]], plain(r.err))
    r = run("", { words = { "--log", "wran" } })
    assert.equal(2, r.status)
    assert.matches("^moonpark: %-%-log: unknown level 'wran' %(did you mean 'warn'%?%)\n", r.err)
  end)

  it("is the form of all lines: moonpark's own are JSON, too", function()
    local r = run([[
      moonpark.go(function() error "in a task" end)
      moonpark.sleep(0.01)
      log.info "x"
      error "the end"
    ]], { env = { MOONPARK_LOG_FORMAT = "json" } })
    local lines = objects(r.err)
    assert.same({ "moonpark", "error", "info", "moonpark", 3 },
      { lines[1].logger, lines[1].level, lines[2].level, lines[3].logger, #lines })
    assert.matches("^uncaught error in a task: .*: in a task$", lines[1].message)
    assert.matches("^stack traceback:\n.*\nstarted at:\n", lines[1].traceback)
    assert.matches(": the end$", lines[3].message)
    assert.equal(1, r.status)
  end)

  it("has no effect on a program that does not log: moonpark's own lines are as they are", function()
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write 'require("moonpark").go(function() error("boom", 0) end)'
    file:close()
    local r = process.run(process.moonpark(path), { env = { MOONPARK_LOG = false, MOONPARK_LOG_FORMAT = false } })
    os.remove(path)
    assert.matches("^moonpark: uncaught error in a task: boom\nstack traceback:\n", r.err)
  end)

  it("may be colours, at a terminal that has them", function()
    local function shown(env)
      local path = script_of 'log.info("x", { a = 1 })'
      env.MOONPARK_LOG, env.MOONPARK_LOG_FORMAT = false, false
      local child = terminal.start(terminal.command(path), env)
      local _, text = child:wait()
      os.remove(path)
      return (plain(text):gsub("%d%d:%d%d:%d%d%.%d%d%d", "NOW"))
    end
    local bright = "\27[2mNOW\27[0m \27[32mINFO \27[0m x \27[2ma=\27[0m1\r\n"
    assert.equal(bright, shown { TERM = "xterm", NO_COLOR = false })
    assert.equal(bright, shown { TERM = "xterm", NO_COLOR = "" })
    for _, env in ipairs { { TERM = "dumb", NO_COLOR = false }, { TERM = "xterm", NO_COLOR = "1" } } do
      assert.equal("INFO  x a=1\r\n", shown(env))
    end
  end)
end)

describe("a burst of 10,000 lines into a pipe that nobody reads", function()
  it("does not hold up the loop; what does not fit is counted, and the count is written", function()
    local r = run [[
      local read = stderr_to_pipe()
      local ticks = 0
      moonpark.go_daemon(function() while moonpark.yield() do ticks = ticks + 1 end end)
      log.configure { format = "json" }
      for i = 1, 10000 do
        log.info("line", { i = i, filler = ("x"):rep(200) })
        if i % 100 == 0 then moonpark.yield() end
      end
      assert(ticks >= 50, "the loop did not turn")
      assert(log.stats().lost > 0 and log.stats().pending > 0)
      local parts = {}
      repeat
        local done, text = log.flush(0), read()
        parts[#parts + 1] = text
        moonpark.sleep(0)
      until done and text == ""
      io.stdout:write(table.concat(parts))
    ]]
    assert.same({ 0, "" }, { r.status, r.err })
    local count, last, lost = 0, 0, 0
    for _, line in ipairs(objects(r.out)) do
      if line.message == "line" then
        assert.is_true(line.i > last)
        count, last = count + 1, line.i
      else
        assert.same({ "warn", "log", "lines were lost", "stderr", "the queue was full" },
          { line.level, line.logger, line.message, line.output, line.reason })
        lost = lost + line.lines
      end
    end
    assert.equal(10000, count + lost)
    assert.is_true(lost > 0 and count > 1000)
  end)
end)

describe("an output that does not work", function()
  it("is nobody's failure: a full disk, a closed descriptor, a pipe whose reader is gone", function()
    local many = [[
      for i = 1, 1000 do log.info("x", { i = i }) end
      log.flush()
      print(log.stats().lost, log.stats().error)
    ]]
    local r = run(many, { redirect = " 2> /dev/full" })
    assert.same({ 0, "1000\tno space left on device\n" }, { r.status, r.out })
    r = run(many, { redirect = " 2>&-" })
    assert.same({ 0, "0\tnil\n" }, { r.status, r.out })
    r = run("local read, fd = stderr_to_pipe() ffi.C.close(fd)\n" .. many)
    assert.same({ 0, "1000\tbroken pipe\n" }, { r.status, r.out })
  end)

  it("never becomes a connection: a closed standard descriptor is filled, under plain luajit, too", function()
    for _, plain_luajit in ipairs { false, true } do
      local r = run([[
        moonpark.run(function()
          local listener = assert(moonpark.net.listen "127.0.0.1:0")
          local conn = assert(moonpark.net.dial(listener:address()))
          local server = assert(listener:accept())
          log.info "to nobody"
          conn:write "x"
          print(server:fd() > 2 and conn:fd() > 2, server:read())
          conn:close() server:close() listener:close()
        end)
      ]], { redirect = " 2>&- 0<&-", plain = plain_luajit })
      assert.equal("true\tx\n", r.out)
    end
  end)

  it("does not keep a program from its end", function()
    local r = run([[
      local read = stderr_to_pipe()
      for i = 1, 2000 do log.info("x", { filler = ("x"):rep(200) }) end
      print "end"
    ]])
    assert.same({ 0, "end\n" }, { r.status, r.out })
  end)

  it("does not keep moonpark from reporting, and ending, after the loop", function()
    for _, plain_luajit in ipairs { false, true } do
      local r = run([[
        local moonpark_run = moonpark.run
        moonpark_run(function()
          local read = stderr_to_pipe()
          for i = 1, 2000 do log.info("x", { filler = ("x"):rep(200) }) end
          kept = moonpark.go(error, "never joined")
        end)
        print "end"
      ]], { plain = plain_luajit })
      assert.equal("end\n", r.out)
      assert.is_nil(r.signal)
    end
  end)

  it("if it is a function that fails, goes to the standard error, and so does what it logs itself", function()
    local r = run [[
      log.configure { output = function(line) if line:find "bad" then error("boom", 0) end log.info "inside" end }
      log.info "good"
      log.info "bad"
    ]]
    assert.equal("INFO  inside\nmoonpark: error in the log's output: boom\nINFO  bad\n", plain(r.err))
  end)
end)

describe("lines", function()
  it("are all there at the end, however it comes, also through a file, before and after the loop", function()
    for _, ending in ipairs { "", "os.exit(0)", "os.exit(0, true)", "error('x', 0)" } do
      for _, plain_luajit in ipairs { false, true } do
        local path = os.tmpname()
        local r = run(([[
          log.info "before"
          log.configure { output = %q }
          log.info "1"
          moonpark.run(function() for i = 2, 500 do log.info(tostring(i)) end end)
          log.info "501"
          %s
        ]]):format(path, ending), { plain = plain_luajit })
        assert.matches("^INFO  before\n", plain(r.err))
        local i = 0
        for line in io.lines(path) do
          i = i + 1
          if i <= 501 then assert.equal("INFO  " .. i, plain(line)) end
        end
        assert.is_true(i >= 501, i .. " lines")
        os.remove(path)
      end
    end
  end)

  it("come from finalizers, cancelled tasks, loops over signals, generators and forked children", function()
    local r = run [[
      kept = newproxy(true)
      getmetatable(kept).__gc = function() log.info "finalizer" end
      local task = moonpark.go(function() moonpark.sleep(60) log.info "cancelled" end)
      moonpark.yield()
      task:cancel()
      moonpark.go(function()
        for name in moonpark.signals "WINCH" do return log.info(name) end
      end)
      moonpark.yield()
      ffi.cdef "int kill(int, int);"
      ffi.C.kill(ffi.C.getpid(), 28)
      moonpark.sleep(0.01)
      coroutine.wrap(function() log.info "generator" end)()
      log.flush()
      local pid = ffi.C.fork()
      if pid == 0 then
        log.info "child"
        ffi.C._exit(0)
      end
      ffi.C.waitpid(pid, nil, 0)
    ]]
    local seen = {}
    for line in plain(r.err):gmatch "INFO  ([^\n]+)" do seen[#seen + 1] = line end
    table.sort(seen)
    assert.same({ "WINCH", "cancelled", "child", "finalizer", "generator" }, seen)
  end)

  it("are in their order with what the script itself writes to the same pipe", function()
    local r = run 'for i = 1, 100 do log.info "x" io.stderr:write("y\\n") end'
    assert.equal(("INFO  x\ny\n"):rep(100), plain(r.err))
  end)

  it("of workers and their supervisor are whole", function()
    local r = run([[
      for i = 1, 300 do
        log.info("line", { i = i, filler = ("x"):rep(i * 13 % 3000) })
        if i % 10 == 0 then moonpark.yield() end
      end
    ]], { words = { "--workers", "3" }, env = { MOONPARK_LOG_FORMAT = "json" } })
    local seen, count = {}, 0
    for _, line in ipairs(objects(r.err)) do
      if line.message == "line" then
        seen[line.i] = (seen[line.i] or 0) + 1
        count = count + 1
      end
    end
    assert.equal(900, count)
    for i = 1, 300 do assert.equal(3, seen[i]) end
  end)
end)

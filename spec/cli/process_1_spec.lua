-- SPDX-License-Identifier: MIT
-- process_1_spec.lua - the command as process 1, as a container runs it: orphans are reaped, signals act, and no child
-- is taken from those who wait for it.

local fds = require "support.fds"
local net = require "moonpark.net"
local pidns = require "support.pidns"
local process = require "support.process"
local terminal = require "support.terminal"

local missing = pidns.missing()
local plain_it = it
local it = missing and function(name) pending(name .. " (" .. missing .. ")") end or it

-- A program that is started as process 1.
local function start(script, ...)
  return process.start(pidns.words(process.moonpark("-e", script, ...)))
end

local function finish(child)
  local status, out, err = child:wait()
  return { status, out, err }
end

local REQUIRED = [[
  moonpark = require "moonpark"
  function kill(name) moonpark.process.run { "kill", "-" .. name, "1" } end
]]

-- The shell ends at once; what it has started ends with its input. A process that nobody has reaped can be signalled.
local ORPHAN = REQUIRED .. [[
  local shell = assert(moonpark.process.spawn({ "sh", "-c", "exec 3<&0; cat <&3 >/dev/null & echo $!" },
    { stdin = "pipe", stdout = "pipe" }))
  local orphan = shell.stdout:read_line()
  print(shell:wait())
  local function signalled() return os.execute("kill -0 " .. orphan .. " 2>/dev/null") end
  print("orphan:", signalled())
  shell.stdin:close()
  while signalled() == 0 do moonpark.sleep(0.01) end
  print "gone"
]]

describe("the command as process 1", function()
  after_each(process.stop_all)

  it("reaps processes whose parents have ended", function()
    assert.same({ 0, "exited\t0\norphan:\t0\ngone\n", "" }, finish(start(ORPHAN)))
  end)

  it("takes no child's status from those who wait for it", function()
    local child = start(REQUIRED .. [[
      local process = moonpark.process
      local wrong = 0
      for round = 1, 20 do
        local shell = assert(process.spawn { "sh", "-c", "(exit 0) & exit 7" })
        local pipe = io.popen("(exit 0) & exit 0")
        if os.execute("(exit 0) & exit 3") ~= 768 then wrong = wrong + 1 end
        local how, status = shell:wait()
        if how ~= "exited" or status ~= 7 then wrong = wrong + 1 end
        if not pipe:close() then wrong = wrong + 1 end
        if process.run({ "sh", "-c", "(exit 0) & exit 5" }).code ~= 5 then wrong = wrong + 1 end
      end
      print(wrong)
    ]])
    assert.same({ 0, "0\n", "" }, finish(child))
  end)

  it("ends with the program's status", function()
    assert.same({ 7, "", "" }, finish(start "os.exit(7)"))
    assert.equal(1, finish(start "error 'wrong'")[1])
    assert.same({ 137, "", "" }, finish(start(REQUIRED .. [[
      require("ffi").cdef "int raise(int);"
      require("ffi").C.raise(9)
    ]])))
  end)

  for name, status in pairs { TERM = 143, INT = 130, HUP = 129, USR2 = 140, ALRM = 142 } do
    it(("ends by SIG%s, as every process does: status %d"):format(name, status), function()
      local result = finish(start(REQUIRED .. ("kill '%s' while moonpark.sleep(60) do end"):format(name)))
      assert.same({ status, "" }, { result[1], result[3] })
    end)
  end

  it("passes on signals that the program has subscribed to, and the dump's", function()
    local child = process.start(pidns.words(process.moonpark("-e", REQUIRED .. [[
      local hups = moonpark.signals "HUP"
      kill "USR1"
      local stdin = assert(moonpark.net.from_fd(0))
      print(stdin:read_line())
      stdin:close()
      kill "HUP"
      print(hups:next())
    ]])), { stdin = true })
    child:expect("task 1 ", "err")
    child:write "go on\n"
    local result = finish(child)
    assert.same({ 0, "go on\nHUP\n" }, { result[1], result[2] })
  end)

  it("ends a program that never waits by the second SIGTERM", function()
    local child = start [[
      os.execute "(while kill -TERM 1; do :; done) >/dev/null 2>&1 &"
      while true do end
    ]]
    assert.equal(143, finish(child)[1])
  end)

  it("stays what it is for the sockets that it was started with", function()
    local listener = assert(net.listen "127.0.0.1:0")
    local copy = fds.dup(listener:fd())
    local words = { process.interpreter, process.root .. "/spec/support/activate.lua", tostring(copy), "web" }
    for _, word in ipairs(process.moonpark("-e", [[
      local sockets = assert(require("moonpark.net").inherited())
      print(#sockets, sockets.web:address())
    ]])) do words[#words + 1] = word end
    assert.same({ 0, "1\t" .. listener:address() .. "\n", "" }, finish(process.start(pidns.words(words))))
    fds.close(copy)
    listener:close()
  end)

  -- The first process below that one in which there are two process namespaces: the children's children, and so on.
  local function first_inside(pid)
    while true do
      local file = assert(io.open(("/proc/%d/task/%d/children"):format(pid, pid)))
      pid = assert(tonumber(file:read("*a"):match "^%d+"), "it has no child")
      file:close()
      local status = assert(io.open(("/proc/%d/status"):format(pid)))
      local inside = status:read("*a"):match "\nNSpid:[\t%d]*\t1\n"
      status:close()
      if inside then return pid end
    end
  end

  it("hands on what comes from a terminal no second time", function()
    local words = pidns.words(process.moonpark("-e", REQUIRED .. [[
      local signals, count = moonpark.signals("INT", "USR2"), 0
      print "ready"
      for name in signals do
        if name == "USR2" then break end
        count = count + 1
        print("INT", count)
      end
      print("INTs:", count)
    ]]))
    for i, word in ipairs(words) do words[i] = "'" .. word:gsub("'", "'\\''") .. "'" end
    local child = terminal.start("exec " .. table.concat(words, " "))
    child:expect "ready\r\n"
    local first = first_inside(child.pid)
    local function signal(name) assert.equal(0, process.run({ "kill", "-" .. name, first }).status) end
    signal "STOP" -- so that what it does comes after what the program has done
    child:write "\3"
    child:expect "INT\t1\r\n"
    signal "CONT"
    signal "USR2"
    child:expect "INTs:\t1\r\n"
    assert.equal(0, finish(child)[1])
  end)
end)

describe("the command as process 1 that may start no other process", function()
  local words = pidns.words { "setpriv", "--reuid=64321", "--clear-groups", "prlimit", "--nproc=1",
    unpack(process.moonpark("-e", "print 'runs'")) }
  local refused = missing or process.run({ "id", "-u" }).out ~= "0\n" and "only root can become another user"

  plain_it("runs the program itself, and says so" .. (refused and " (" .. refused .. ")" or ""), function()
    if refused then return pending(refused) end
    local status, out, err = process.start(words, { cwd = "/" }):wait()
    assert.same({ 0, "runs\n" }, { status, out })
    assert.equal("moonpark: process 1 cannot start the program as a child, and runs it itself: "
      .. "resource temporarily unavailable\n", err)
  end)
end)

describe("the command as a subreaper", function()
  after_each(process.stop_all)

  local become = [[
    local ffi = require "ffi"
    ffi.cdef "int prctl(int, unsigned long, long, long, long); int execvp(const char *, const char *const *);"
    ffi.C.prctl(36, 1, 0, 0, 0) -- PR_SET_CHILD_SUBREAPER
    local words = ffi.new("const char *[?]", #arg + 1)
    for i = 1, #arg do words[i - 1] = arg[i] end
    ffi.C.execvp(words[0], words)
  ]]

  local function become_one(script)
    return process.start { process.interpreter, "-e", become, "-", unpack(process.moonpark("-e", script)) }
  end

  plain_it("reaps processes whose parents have ended", function()
    assert.same({ 0, "exited\t0\norphan:\t0\ngone\n", "" }, finish(become_one(ORPHAN)))
  end)

  plain_it("does not outlive what it was started as", function()
    local child = become_one(REQUIRED .. "print 'ready' while moonpark.sleep(60) do end")
    assert.equal("ready", child:line())
    child:kill "KILL"
    assert.equal(137, child:wait())
    while child.fds.out do assert.is_nil(child:line()) end -- the program held it open
  end)
end)

-- SPDX-License-Identifier: MIT
-- Child processes with real programs. After each case no child, no zombie and no descriptor is left.

local ffi = require "ffi"
local core = require "moonpark.core"
local files = require "support.fs"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local outside = require "support.process"
local support = require "support.net"

local process = moonpark.process

ffi.cdef [[
int child_waitpid(int pid, int *status, int options) __asm__("waitpid");
int child_getpgid(int pid) __asm__("getpgid");
int child_getsid(int pid) __asm__("getsid");
int child_open(const char *path, int flags, ...) __asm__("open");
]]
local WNOHANG = 1
local C = ffi.C

-- How waitpid answers where there is no child at all, not even a zombie.
local function has_children() return C.child_waitpid(-1, nil, WNOHANG) ~= -1 end

-- A zombie of somebody else's does not count.
local function exists(pid)
  local file = io.open(("/proc/%d/stat"):format(pid))
  if not file then return false end
  local state = file:read("*a"):match "%) (%a)"
  file:close()
  return state ~= nil and state ~= "Z"
end

local function wait_until(what, look)
  local since = os.time()
  while not look() do
    assert(os.time() - since < 60, what)
    moonpark.sleep(0.001)
  end
end

local function spawn(argv, options) return assert(process.spawn(argv, options)) end

-- A shell that says "ready" when it has got so far, and its script goes on.
local function shell(script, options)
  options = options or {}
  options.stdout = "pipe"
  local child = spawn({ "sh", "-c", script }, options)
  assert.equal("ready", child.stdout:read_line())
  return child
end

local stubborn = [[trap "" TERM; echo ready; while :; do sleep 0.01; done]]

-- In a scope that is over when body is: so are the keepers.
local function scoped(body)
  return function() moonpark.scope(body) end
end

local before

describe("process", function()
  before_each(function() before = support.descriptors() end)

  after_each(function()
    files.settle() -- a start that was cancelled under way
    assert.is_false(has_children(), "a child is left")
    assert.same({}, { select(2, before == support.descriptors() or "descriptors are left") })
  end)

  describe("spawn()", function()
    it("starts a program, which wait() hears the end of", scoped(function()
      local child = spawn { "true" }
      assert.equal("process " .. child:pid(), tostring(child))
      assert.same({ "exited", 0 }, { child:wait() })
      assert.same({ "exited", 3 }, { spawn { "sh", "-c", "exit 3" }:wait() })
      assert.same({ "signaled", "KILL" }, { spawn { "sh", "-c", "kill -9 $$" }:wait() })
    end))

    it("gives pipes that are connections", scoped(function()
      local child = spawn({ "sort" }, { stdin = "pipe", stdout = "pipe" })
      assert.equal(4, child.stdin:write("b\n", "a\n"))
      child.stdin:close()
      assert.equal("a\nb\n", child.stdout:read_all())
      assert.same({ "exited", 0 }, { child:wait() })
      assert.is_nil(child.stderr)
      child.stdout:close()
    end))

    it("gives deadlines on them, as on every connection", scoped(function()
      local child = spawn({ "cat" }, { stdin = "pipe", stdout = "pipe" })
      child.stdout:set_read_deadline(moonpark.now() + 0.001)
      assert.same({ nil, "timeout" }, { child.stdout:read() })
      child.stdout:set_read_deadline(nil)
      child.stdin:write "x"
      assert.equal("x", child.stdout:read())
      child.stdin:close()
      assert.same({ nil, "eof" }, { child.stdout:read() })
      child.stdout:close()
    end))

    it("gives them names for people", scoped(function()
      local child = spawn({ "cat" }, { stdin = "pipe", stdout = "pipe" })
      assert.equal("fd " .. child.stdin:fd(), tostring(child.stdin))
      assert.same({ nil, "socket operation on non-socket", 88 }, { child.stdout:peer_address() })
      child.stdin:close()
      child.stdout:close()
    end))

    it("carries much in both directions at once", scoped(function(scope)
      local child, sent = spawn({ "cat" }, { stdin = "pipe", stdout = "pipe" }), support.random_bytes(200000)
      scope:go(function()
        child.stdin:write(sent)
        child.stdin:close()
      end)
      assert.is_true(child.stdout:read_all() == sent)
      child.stdout:close()
    end))

    it("puts stderr where stdout goes, or elsewhere", scoped(function()
      local both = spawn({ "sh", "-c", "echo out; echo err >&2" }, { stdout = "pipe", stderr = "stdout" })
      assert.equal("out\nerr\n", both.stdout:read_all())
      local one = spawn({ "sh", "-c", "echo out; echo err >&2" }, { stdout = "null", stderr = "pipe" })
      assert.equal("err\n", one.stderr:read_all())
      both.stdout:close()
      one.stderr:close()
    end))

    it("gives an empty input with null", scoped(function()
      local child = spawn({ "cat" }, { stdin = "null", stdout = "pipe" })
      assert.equal("", child.stdout:read_all())
      child.stdout:close()
    end))

    it("takes a descriptor's number, in any place", scoped(function()
      local script = [[local p = require "moonpark.process"
        require("moonpark").run(function()
          p.run({ "sh", "-c", "echo out; echo err >&2" }, { stdout = 2, stderr = 1 })
        end)]]
      local r = outside.run { outside.interpreter, "-e", script }
      assert.same({ 0, "err\n", "out\n" }, { r.status, r.out, r.err })
    end))

    it("hands a connection over: it is the child's then", scoped(function()
      local far, near = support.connected("127.0.0.1:0")
      local child = spawn({ "tr", "a-z", "A-Z" }, { stdin = near, stdout = near })
      assert.is_true(near:is_closed())
      far:write "hello"
      far:close_write()
      assert.equal("HELLO", far:read_all())
      assert.same({ "exited", 0 }, { child:wait() })
      far:close()
    end))

    it("hands one child's output to the next", scoped(function()
      local first = spawn({ "printf", "b\\na\\n" }, { stdout = "pipe" })
      local second = spawn({ "sort" }, { stdin = first.stdout, stdout = "pipe" })
      assert.equal("a\nb\n", second.stdout:read_all())
      second.stdout:close()
    end))

    it("hands no connection over that holds bytes already, or is closed", scoped(function()
      local far, near = support.connected("127.0.0.1:0")
      far:write "a line\nand more"
      near:read_line()
      assert.same({ nil, "device or resource busy", 16 },
        { process.spawn({ "cat" }, { stdin = near, stdout = "null" }) })
      assert.equal("and more", near:read_exactly(8))
      near:close()
      far:close()
      assert.same({ nil, "closed" }, { process.spawn({ "cat" }, { stdin = near }) })
    end))

    it("lets no descriptor of ours leak into the child", scoped(function()
      local fd = C.child_open("/dev/null", 0) -- not close-on-exec
      local r = assert(process.run { "sh", "-c", "ls /proc/$$/fd" })
      assert.equal("0\n1\n2\n", r.stdout:gsub("1%d\n", "")) -- dash keeps copies above 9
      C.close(fd)
    end))

    it("leaves the child's ends blocking, and those it inherits as they are", scoped(function()
      local command = { "sh", "-c", "grep flags /proc/self/fdinfo/0 /proc/self/fdinfo/1" }
      local r = assert(process.run(command, { stdin = "x" }))
      local flags = {}
      for octal in r.stdout:gmatch "flags:%s*(%d+)" do table.insert(flags, tonumber(octal, 8)) end
      assert.equal(2, #flags)
      for _, value in ipairs(flags) do assert.equal(0, bit.band(value, 0x800)) end
    end))

    it("has no signal blocked, and those that we catch at their default", scoped(function()
      local signals = moonpark.signals("TERM", "HUP")
      local r = assert(process.run { "grep", "-E", "^Sig(Blk|Cgt|Ign)", "/proc/self/status" })
      assert.equal("0000000000000000", r.stdout:match "SigBlk:%s*(%x+)")
      local ignored = r.stdout:match "SigIgn:%s*(%x+)"
      assert.equal(0, bit.band(tonumber(ignored:sub(-8), 16), 2 ^ 14 + 2 ^ 0))
      signals:close()
    end))

    it("adds to the environment, takes from it, or begins with none", scoped(function()
      local r = assert(process.run({ "sh", "-c", 'echo "$ADDED,$PATH,${HOME-none}"' },
        { env = { ADDED = "a=b", HOME = false } }))
      assert.equal("a=b," .. os.getenv "PATH" .. ",none\n", r.stdout)
      r = assert(process.run({ "env" }, { env = { ONLY = "1" }, clear_env = true }))
      assert.equal("ONLY=1\n", r.stdout)
      r = assert(process.run({ "env" }, { clear_env = true }))
      assert.equal("", r.stdout)
    end))

    it("starts it in another folder", scoped(function()
      assert.equal("/\n", assert(process.run({ "pwd" }, { cwd = "/" })).stdout)
    end))

    it("says what could not be executed", scoped(function()
      assert.same({ nil, "no such file or directory", 2 }, { process.spawn { "moonpark-no-such-program" } })
      assert.same({ nil, "no such file or directory", 2 }, { process.spawn { "/nowhere/sh" } })
      assert.same({ nil, "permission denied", 13 }, { process.spawn { "/etc/passwd" } })
      assert.same({ nil, "no such file or directory", 2 }, { process.spawn({ "true" }, { cwd = "/nowhere" }) })
      assert.same({ nil, "not a directory", 20 }, { process.spawn({ "true" }, { cwd = "/dev/null" }) })
      assert.same({ nil, "bad file descriptor", 9 }, { process.spawn({ "true" }, { stdin = 1000000 }) })
      assert.same({ nil, "argument list too long", 7 }, { process.spawn { "true", ("x"):rep(2 ^ 20) } })
    end))

    it("is refused in a task that is cancelled", scoped(function(scope)
      local _, child, err = scope:go(function()
        core.current():cancel()
        return process.spawn { "true" }
      end):join()
      assert.same({ nil, "canceled" }, { child, err })
    end))

    it("leaves nothing open where descriptors run out", scoped(function()
      local all = { stdin = "pipe", stdout = "pipe", stderr = "pipe" }
      local refused, started = 0, 0
      for spare = 0, 9 do
        local give_back = support.use_up_descriptors(spare)
        local child, err, errno = process.spawn({ "true" }, all)
        give_back()
        if child then
          started = started + 1
          for _, name in ipairs { "stdin", "stdout", "stderr" } do child[name]:close() end
          child:wait()
        else
          refused = refused + 1
          assert.same({ "too many open files", 24 }, { err, errno })
        end
        assert.equal(before, support.descriptors())
        assert.is_false(has_children())
      end
      assert.same({ 7, 3 }, { refused, started }) -- three pipes, and one to wait on
    end))

    it("raises for what is no command", scoped(function()
      local wrong = {
        { "array of strings expected, got nil" },
        { "array of strings expected, got string", "true" },
        { "the array is empty: no program to start", {} },
        { "word 2: string expected, got number", { "true", 1 } },
        { "word 1 contains a zero byte", { "tr\0ue" } },
        { "table expected, got boolean", { "true" }, true },
        { "unknown option 'stdinn'", { "true" }, { stdinn = "pipe" } },
        { "option 'stdin' must be", { "true" }, { stdin = "stdout" } },
        { "option 'stdout' must be", { "true" }, { stdout = -1 } },
        { "option 'stdout' must be", { "true" }, { stdout = 1.5 } },
        { "option 'stderr' must be", { "true" }, { stderr = {} } },
        { "option 'env' must be", { "true" }, { env = { ["A=B"] = "c" } } },
        { "option 'env' must be", { "true" }, { env = { [""] = "c" } } },
        { "option 'env' must be", { "true" }, { env = { A = "c\0d" } } },
        { "option 'env' must be", { "true" }, { env = { A = 1 } } },
        { "option 'cwd' must be", { "true" }, { cwd = "/\0" } },
        { "option 'group' must be", { "true" }, { group = 1 } },
        { "option 'grace' must be", { "true" }, { grace = 0 / 0 } },
      }
      for _, case in ipairs(wrong) do
        local ok, err = pcall(function()
          local child = process.spawn(case[2], case[3])
          return child
        end)
        assert.is_false(ok)
        assert.truthy(err:find(case[1], 1, true), err)
        assert.truthy(err:find("process_spec.lua:", 1, true), err)
      end
      local a, b = net.pipe()
      assert.error_matches(function() process.spawn({ "true" }, { stdin = a }) end, "a connection with a descriptor")
      a:close()
      b:close()
      assert.error_matches(function() process.spawn({ "true" }).pid() end, "process expected, got no value")
    end))

    it("raises outside of a task", function()
      local r = outside.run { outside.interpreter, "-e", 'require("moonpark").process.spawn { "true" }' }
      assert.equal(1, r.status)
      assert.truthy(r.err:find("must be called in a task", 1, true))
    end)
  end)

  describe("wait()", function()
    it("of several tasks, and again later, tells all of them", scoped(function(scope)
      local child = spawn({ "cat" }, { stdin = "pipe", stdout = "null" })
      local waiters = {}
      for i = 1, 3 do waiters[i] = scope:go(child.wait, child) end
      moonpark.yield()
      child.stdin:close()
      for _, waiter in ipairs(waiters) do assert.same({ true, "exited", 0 }, { waiter:join() }) end
      assert.same({ "exited", 0 }, { child:wait() })
      assert.is_false(has_children())
    end))

    it("gives up after its timeout, or when its task is cancelled", scoped(function(scope)
      local child = spawn({ "cat" }, { stdin = "pipe", stdout = "null" })
      assert.same({ nil, "timeout" }, { child:wait(0.001) })
      local waiter = scope:go(child.wait, child)
      moonpark.yield()
      assert.truthy(moonpark.dump():find("parked in wait on process " .. child:pid(), 1, true))
      waiter:cancel()
      assert.same({ true, nil, "canceled" }, { waiter:join() })
      child.stdin:close()
      assert.same({ "exited", 0 }, { child:wait() })
    end))

    it("returns though a grandchild holds the pipe; reading goes on until that closes it", scoped(function()
      local child = shell("exec 3<&0; (read line <&3; echo late) & echo ready", { stdin = "pipe" })
      assert.same({ "exited", 0 }, { child:wait() })
      child.stdin:write "go\n"
      assert.equal("late\n", child.stdout:read_all())
      child.stdin:close()
      child.stdout:close()
    end))
  end)

  describe("kill()", function()
    it("sends TERM, or what it is told", scoped(function()
      local child = spawn { "sleep", "inf" }
      assert.is_true(child:is_running())
      assert.is_true(child:kill())
      assert.same({ "signaled", "TERM" }, { child:wait() })
      child = spawn { "sleep", "inf" }
      assert.is_true(child:kill "SIGHUP")
      assert.same({ "signaled", "HUP" }, { child:wait() })
      assert.error_matches(function() child:kill "FOO" end, "unknown signal 'FOO'")
    end))

    it("reaches nobody once the child has ended, reaped or not", scoped(function()
      local child = spawn({ "cat" }, { stdin = "pipe", stdout = "null" })
      child.stdin:close()
      wait_until("the end of cat", function() return not child:is_running() end)
      assert.same({ nil, "no such process", 3 }, { child:kill() })
      child:wait()
      assert.same({ nil, "no such process", 3 }, { child:kill "KILL" })
      assert.is_false(child:is_running())
    end))

    it("racing with the end is harmless", scoped(function()
      for _ = 1, 20 do
        local child = spawn { "true" }
        while child:kill "CONT" do moonpark.yield() end
        assert.same({ "exited", 0 }, { child:wait() })
      end
    end))

    it("of a group reaches all of it", scoped(function()
      local child = shell("sleep inf & echo ready; echo $!; wait", { group = true })
      local grandchild = tonumber(child.stdout:read_line())
      assert.equal(child:pid(), C.child_getpgid(grandchild))
      child:kill()
      assert.same({ nil, "eof" }, { child.stdout:read() }) -- sleep held it too
      assert.same({ "signaled", "TERM" }, { child:wait() })
      child.stdout:close()
    end))
  end)

  it("writing to a child that is gone is a broken pipe, and no signal", scoped(function()
    local child = spawn({ "true" }, { stdin = "pipe" })
    child:wait()
    assert.same({ nil, "broken pipe", 32, 0 }, { child.stdin:write "x" })
    child.stdin:close()
  end))

  it("short children in a row leave nothing behind, however many", scoped(function()
    local blocks
    for i = 1, 300 do -- each is the same
      assert(process.run({ "true" }, { stdin = "" }))
      if i == 20 then
        collectgarbage()
        collectgarbage()
        blocks = core.stats().blocks
      end
    end
    collectgarbage()
    collectgarbage()
    assert.is_true(core.stats().blocks <= blocks)
    assert.is_false(has_children())
  end))

  describe("a scope", function()
    it("waits for its children's end", function()
      local child
      moonpark.scope(function() child = spawn { "sleep", "0.05" } end)
      assert.is_false(child:is_running())
      assert.same({ "exited", 0 }, { child:wait() })
    end)

    it("that is cancelled ends them", function()
      local child
      moonpark.scope(function(scope)
        child = spawn { "sleep", "inf" }
        scope:cancel()
        assert.same({ nil, "canceled" }, { child:wait() })
      end)
      assert.same({ "signaled", "TERM" }, { child:wait() })
    end)

    it("whose body fails ends them", function()
      local child
      assert.error_matches(function()
        moonpark.scope(function()
          child = spawn { "sleep", "inf" }
          error "enough"
        end)
      end, "enough")
      assert.same({ "signaled", "TERM" }, { child:wait() })
    end)

    it("kills one that ignores TERM, after its grace", function()
      local child
      moonpark.scope(function(scope)
        child = shell(stubborn, { grace = 0.01 })
        scope:cancel()
      end)
      assert.same({ "signaled", "KILL" }, { child:wait() })
      child.stdout:close()
    end)

    it("ends one that is stopped", function()
      local child
      moonpark.scope(function(scope)
        child = spawn { "sleep", "inf" }
        child:kill "STOP"
        scope:cancel()
      end)
      assert.same({ "signaled", "TERM" }, { child:wait() })
    end)

    it("ends the whole group of one that has its own, even those that ignore TERM", function()
      local child, grandchild
      moonpark.scope(function(scope)
        child = shell("sh -c 'trap \"\" TERM; echo ready; echo $$; exec sleep inf' & wait",
          { group = true, grace = 60 })
        grandchild = tonumber(child.stdout:read_line())
        scope:cancel()
      end)
      assert.same({ "signaled", "TERM" }, { child:wait() })
      assert.same({ nil, "eof" }, { child.stdout:read() })
      child.stdout:close()
      wait_until("the grandchild's end", function() return not exists(grandchild) end)
    end)

    it("has the children that its tasks start", function()
      local child
      moonpark.scope(function(scope)
        scope:go(function() child = spawn { "sleep", "inf" } end):join()
        assert.is_true(child:is_running())
        scope:cancel()
      end)
      assert.same({ "signaled", "TERM" }, { child:wait() })
    end)

    it("keeps those that a timeout or a shield in it has started", function()
      for _, within in ipairs { function(fn) return moonpark.timeout(60, fn) end, moonpark.shield } do
        local child
        moonpark.scope(function(scope)
          child = within(function() return spawn { "sleep", "inf" } end)
          moonpark.yield()
          assert.is_true(child:is_running())
          scope:cancel()
        end)
        assert.same({ "signaled", "TERM" }, { child:wait() })
      end
    end)

    it("that is cancelled under a shield ends the child when the shield does", function()
      local child
      moonpark.scope(function(scope)
        moonpark.shield(function()
          child = spawn { "sleep", "inf" }
          scope:cancel()
          assert.is_nil((child:wait(0.01)))
          assert.is_true(child:is_running())
        end)
      end)
      assert.same({ "signaled", "TERM" }, { child:wait() })
    end)

    it("waits for no child that only waits for pipes which nobody refers to", function()
      moonpark.scope(function()
        do spawn({ "cat" }, { stdin = "pipe", stdout = "null" }) end
        moonpark.yield()
        collectgarbage()
        collectgarbage()
      end)
    end)

    it("reaps a child that nobody refers to", function()
      moonpark.scope(function()
        spawn { "sleep", "0.01" }
        collectgarbage()
        collectgarbage()
      end)
      assert.is_false(has_children())
    end)
  end)

  it("a timeout ends the children started in it", function()
    local child, seconds = nil, 0.005
    repeat -- until that is long enough for its start
      seconds = seconds * 2
      assert.same({ nil, "timeout" }, { moonpark.timeout(seconds, function()
        child = spawn { "sleep", "inf" }
        return child:wait()
      end) })
    until child
    assert.same({ "signaled", "TERM" }, { child:wait() })
  end)

  it("the dump names the keeper", scoped(function()
    local child = spawn({ "/bin/cat" }, { stdin = "pipe", stdout = "null" })
    moonpark.yield()
    assert.truthy(moonpark.dump():find(('"process %d: cat" parked in end'):format(child:pid()), 1, true))
    child.stdin:close()
  end))

  describe("detach", function()
    it("starts a process in its own session, which nobody waits for and no scope ends", function()
      local child
      moonpark.scope(function(scope)
        child = spawn({ "sleep", "inf" }, { detach = true })
        scope:cancel()
      end)
      assert.is_true(child:is_running())
      wait_until("its session", function() return C.child_getsid(child:pid()) == child:pid() end) -- qemu's has to begin
      assert.error_matches(function() child:wait() end, "a detached process cannot be waited for")
      assert.is_true(child:kill())
      wait_until("its end", function() return not has_children() end) -- reaped by itself
      assert.same({ nil, "no such process", 3 }, { child:kill() })
      child = nil
      collectgarbage()
      collectgarbage()
    end)

    it("is reaped though nobody refers to it", function()
      spawn({ "true" }, { detach = true })
      collectgarbage()
      collectgarbage()
      wait_until("its end", function() return not has_children() end)
    end)
  end)

  describe("run()", function()
    it("returns what came out, and how it ended", function()
      assert.same({ code = 0, stdout = "a\nb\n", stderr = "" }, process.run({ "sort" }, { stdin = "b\na\n" }))
      assert.same({ code = 3, stdout = "out\n", stderr = "err\n" },
        process.run { "sh", "-c", "echo out; echo err >&2; exit 3" })
      assert.same({ signal = "KILL", stdout = "", stderr = "" }, process.run { "sh", "-c", "kill -9 $$" })
      assert.same({ code = 0, stdout = "", stderr = "" }, process.run { "cat" })
    end)

    it("says what could not be started", function()
      assert.same({ nil, "no such file or directory", 2 }, { process.run { "moonpark-no-such-program" } })
    end)

    it("is not blocked by a child that floods stderr, or that does not read its input", function()
      local r = process.run({ "sh", "-c", "head -c 300000 /dev/zero >&2; echo done" }, { stdin = ("x"):rep(300000) })
      assert.same({ 0, "done\n", 300000 }, { r.code, r.stdout, #r.stderr })
    end)

    it("kills a child that writes too much, and returns what fits", function()
      local r, err, errno, partial = process.run({ "yes" }, { max = 1000 })
      assert.same({ nil, "too long", nil }, { r, err, errno })
      assert.same({ signal = "KILL", stdout = ("y\n"):rep(500), stderr = "", truncated = true }, partial)
      partial = select(4, process.run({ "sh", "-c", "printf out; yes >&2" }, { max = 999, group = true }))
      assert.same({ signal = "KILL", stdout = "out", stderr = ("y\n"):rep(500):sub(1, 999), truncated = true }, partial)
      assert.equal("abc", process.run({ "printf", "abc" }, { max = 3 }).stdout)
      assert.equal("", select(4, process.run({ "printf", "abc" }, { max = 0 })).stdout)
    end)

    -- The results of a run whose timeout has let the child come as far as writing something, on a busy machine too.
    local function run_until_timeout(argv, options)
      for _, seconds in ipairs { 0.05, 0.5, 5, 50 } do
        options.timeout = seconds
        local r, err, errno, partial = process.run(argv, options)
        assert.same({ nil, "timeout", nil }, { r, err, errno })
        if partial and partial.stdout ~= "" then return partial end
      end
    end

    it("ends the child after its timeout, and returns what came before", function()
      assert.same({ signal = "TERM", stdout = "hello\n", stderr = "", timed_out = true },
        run_until_timeout({ "sh", "-c", "echo hello; exec sleep inf" }, {}))
      assert.same({ signal = "KILL", stdout = "hello\n", timed_out = true },
        run_until_timeout({ "sh", "-c", "trap '' TERM; echo hello; while :; do sleep 0.01; done" },
          { grace = 0.01, stderr = "null" }))
      assert.equal(0, process.run({ "true" }, { timeout = 60 }).code)
    end)

    it("reads what the child says when it is ended, in a cancelled task too", function()
      local path = os.tmpname()
      os.remove(path)
      local task = moonpark.go(process.run, { "sh", "-c", [[trap 'echo bye; head -c 20000 /dev/zero >&2; exit 7' TERM
        echo hello; : >"$0"; while :; do sleep 0.01; done]], path })
      wait_until("the child has started", function() return outside.run({ "test", "-e", path }).status == 0 end)
      task:cancel()
      local ok, r, err, errno, partial = task:join()
      os.remove(path)
      assert.same({ true, nil, "canceled", nil }, { ok, r, err, errno })
      assert.same({ 7, "hello\nbye\n", 20000 }, { partial.code, partial.stdout, #partial.stderr })
      assert.is_nil(partial.timed_out)
    end)

    it("does not wait for a process that the child has left behind with its pipes", function()
      local path = os.tmpname()
      local partial = run_until_timeout({ "sh", "-c", [[sleep inf & echo $! >"$0"; echo hello; wait]], path }, {})
      local file = assert(io.open(path))
      local pid = file:read "*a"
      file:close()
      os.remove(path)
      outside.run { "kill", "-9", (pid:gsub("%s", "")) }
      assert.same({ signal = "TERM", stdout = "hello\n", stderr = "", timed_out = true }, partial)
    end)

    it("ends the child when its task is cancelled", function()
      local task = moonpark.go(process.run, { "sleep", "inf" })
      moonpark.sleep(0.001)
      task:cancel()
      local ok, r, err = task:join()
      assert.same({ true, nil, "canceled" }, { ok, r, err })
    end)

    it("has no fourth result if nothing was started", function()
      assert.equal(3, select("#", process.run { "moonpark-no-such-program" }))
      assert.is_nil((select(4, process.run({ "moonpark-no-such-program" }, { timeout = 60 }))))
    end)

    it("leaves outputs alone that are to go elsewhere", function()
      assert.same({ code = 0, stdout = "err\nout\n" },
        process.run({ "sh", "-c", "echo err >&2; echo out" }, { stderr = "stdout" }))
      assert.same({ code = 0 }, process.run({ "sh", "-c", "echo out" }, { stdout = "null", stderr = "null" }))
    end)

    it("raises for options that are not its own", function()
      assert.error_matches(function() process.run({ "true" }, { detach = true }) end, "cannot be used with run")
      assert.error_matches(function() process.run({ "true" }, { stdin = 1 }) end, "'stdin' must be a string")
      assert.error_matches(function() process.run({ "true" }, { max = -1 }) end, "'max' must be a whole number")
    end)
  end)
end)

---------------------------------------------------------------------------------------------------

describe("the program's end", function()
  after_each(outside.stop_all)

  local function started(words)
    local child = outside.start(words)
    return child, tonumber(child:line())
  end

  local function gone(pid)
    wait_until("the child's end", function() return not exists(pid) end)
  end

  local function script(body)
    return 'local moonpark = require "moonpark"; io.stdout:setvbuf "line"; ' .. body
  end

  local waiting = [[local child = moonpark.process.spawn { "sleep", "inf" }; print(child:pid()); print(child:wait())]]

  it("by SIGTERM to the command ends the children", function()
    local command, pid = started(outside.moonpark("-e", script(waiting)))
    command:kill "TERM"
    local status, out = command:wait()
    assert.same({ 143, pid .. "\nnil\tcanceled\n" }, { status, out })
    gone(pid)
  end)

  it("by SIGTERM to the command kills those that do not listen", function()
    local command, pid = started(outside.moonpark("--grace", "0.05", "-e", script(
      [[local child = moonpark.process.spawn({ "sh", "-c", "trap '' TERM; echo $$; while :; do sleep 0.01; done" })
      child:wait()]])))
    command:kill "TERM"
    assert.equal(143, (command:wait()))
    gone(pid)
  end)

  it("by os.exit sends them TERM", function()
    local command, pid = started(outside.moonpark("-e", script(
      [[local child = moonpark.process.spawn { "sleep", "inf" }; print(child:pid()); os.exit(4)]])))
    assert.equal(4, (command:wait()))
    gone(pid)
  end)

  it("by an error of the main task ends them, in plain luajit too", function()
    local waits = waiting:gsub("; print%(child:wait.*", "")
    local code = script(([[moonpark.run(function() %s; error "enough" end)]]):format(waits))
    local command, pid = started { outside.interpreter, "-e", code }
    assert.equal(1, (command:wait()))
    gone(pid)
  end)

  it("in which a Lua state is closed kills what it kept", function()
    local code = script(([[moonpark.run(function() %s; os.exit(0, true) end)]]):format(
      waiting:gsub("; print%(child:wait.*", "")))
    local command, pid = started { outside.interpreter, "-e", code }
    assert.equal(0, (command:wait()))
    gone(pid)
  end)

  it("comes only after the children's where nothing is wrong", function()
    local r = outside.run(outside.moonpark("-e", script(
      [[moonpark.process.spawn { "sh", "-c", "sleep 0.02; echo late" }]])))
    assert.same({ 0, "late\n" }, { r.status, r.out })
  end)

  it("of children is heard though whoever started us ignores SIGCHLD", function()
    local words = { outside.interpreter, "-e", script(
      [[moonpark.run(function() print(moonpark.process.spawn { "sh", "-c", "exit 3" }:wait()) end)]]) }
    local r = outside.run { "sh", "-c", 'trap "" CHLD; exec "$@"', "sh", unpack(words) }
    assert.equal("exited\t3\n", r.out)
  end)

  it("a program without standard descriptors can have children with pipes", function()
    local words = { outside.interpreter, "-e", [[require("moonpark").run(function()
      local r = require("moonpark.process").run({ "sort" }, { stdin = "b\na\n", stderr = "stdout" })
      os.exit(r.stdout == "a\nb\n" and 0 or 1) end)]] }
    local r = outside.run { "sh", "-c", 'exec <&- >&- 2>&-; exec "$@"', "sh", unpack(words) }
    assert.equal(0, r.status)
  end)
end)

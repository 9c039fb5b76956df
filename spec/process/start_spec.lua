-- SPDX-License-Identifier: MIT
-- Starting a child process holds up its own task alone. What keeps a start waiting here is that all helper threads hang
-- in opening FIFOs; after each case no child, no descriptor and no memory is left.

local ffi = require "ffi"
local core = require "moonpark.core"
local files = require "support.fs"
local moonpark = require "moonpark"
local outside = require "support.process"
local support = require "support.net"
local task_state = require "support.task_state"

local process = moonpark.process

ffi.cdef [[
int start_waitpid(int pid, int *status, int options) __asm__("waitpid");
int start_fcntl(int fd, int command, ...) __asm__("fcntl");
int start_dup(int fd) __asm__("dup");
int start_close(int fd) __asm__("close");
int start_getpid(void) __asm__("getpid");
]]
local C = ffi.C
local WNOHANG, F_GETFL, O_NONBLOCK = 1, 3, 0x800
local THREADS = 4

local function has_children() return C.start_waitpid(-1, nil, WNOHANG) ~= -1 end

local scope -- of the case: its children are gone when it is over

-- body(folder), where a folder is at hand; nothing may be left then.
local function clean(body)
  return files.in_folder(function(folder)
    moonpark.scope(function(its_own)
      scope = its_own
      body(folder)
    end)
    scope = nil
    files.settle()
    assert.is_false(has_children(), "a child is left")
    assert.same({}, core.process_detached())
  end)
end

-- The same while no thread is idle until let_go() is called: body(let_go, folder).
local function held_up(body)
  return clean(function(folder)
    local _, let_go = files.hang(folder, THREADS)
    body(let_go, folder)
  end)
end

-- A task that has parked in fn.
local function parked(fn, ...)
  local task = scope:go(fn, ...)
  moonpark.yield()
  task_state.assert_waits(task)
  return task
end

local function starting(argv, options) return parked(process.spawn, argv, options) end

local function is_blocking(conn) return bit.band(C.start_fcntl(conn:fd(), F_GETFL), O_NONBLOCK) == 0 end

-- far, near: connected, and nothing is in near that was not taken.
local function pair() return support.connected("127.0.0.1:0") end

local function exchange(far, near)
  assert(far:write "ping\n")
  assert.equal("ping", near:read_line())
  assert(near:write "pong\n")
  assert.equal("pong", far:read_line())
end

describe("a start", function()
  it("lets other tasks run until the program is loaded", held_up(function(let_go)
    local task, count = starting { "true" }, 0
    for _ = 1, 10 do
      moonpark.sleep(0.0001)
      count = count + 1
    end
    task_state.assert_waits(task)
    assert.equal(10, count)
    let_go()
    local _, child = assert(task:join())
    assert.same({ "exited", 0 }, { child:wait() })
  end))

  it("is in the dump, with the program", held_up(function(let_go)
    local task = starting { "/bin/true" }
    local dump = moonpark.dump()
    assert.is_truthy(dump:find("parked in spawn on /bin/true", 1, true), dump)
    let_go()
    task:join()
  end))

  it("takes copies of what it is told", held_up(function(let_go)
    local argv, env = { "sh", "-c", "echo $0 $MINE; pwd", "first" }, { MINE = "one" }
    local task = parked(process.run, argv, { env = env, cwd = "/" })
    argv[1], argv[4], env.MINE = "false", "second", "two"
    collectgarbage()
    collectgarbage()
    let_go()
    assert.equal("first one\n/\n", select(2, task:join()).stdout)
  end))

  it("gives the child what a descriptor was when it was named", held_up(function(let_go)
    local a, b = pair()
    local fd = C.start_dup(a:fd())
    local task = starting({ "echo", "hello" }, { stdout = fd })
    C.start_close(fd)
    let_go()
    assert(task:join())
    a:close()
    assert.equal("hello\n", b:read_all())
    b:close()
  end))

  it("says what could not be executed", held_up(function(let_go)
    local task = starting { "/nowhere" }
    let_go()
    assert.same({ true, nil, "no such file or directory", 2 }, { task:join() })
  end))

  it("lets virtual time stand still", clean(function()
    core.clock_freeze()
    local started = moonpark.now()
    local child, err = moonpark.timeout(3600, process.spawn, { "true" }, { detach = true })
    local passed = moonpark.now() - started
    core.clock_thaw()
    assert(child, err)
    assert.equal(0, passed)
    while has_children() do moonpark.sleep(0.001) end
    moonpark.sleep(0.001)
  end))

  it("is one of many at once", function() -- the loop keeps what it has needed for so many
    local tasks = {}
    for i = 1, 40 do
      tasks[i] = moonpark.go(process.run, { "echo", tostring(i) })
    end
    for i, task in ipairs(tasks) do
      assert.same({ true, { code = 0, stdout = i .. "\n", stderr = "" } }, { task:join() })
    end
    assert.is_false(has_children())
  end)

  it("raises where a task cannot wait", clean(function()
    assert.error_matches(function()
      ("x"):gsub("x", function() process.spawn { "true" } end)
    end, "cannot wait here")
  end))
end)

describe("a connection that is handed over", function()
  it("is nobody else's until the program is loaded: who reads it waits, and hears that it is closed", held_up(
    function(let_go)
      local far, near = pair()
      local task = starting({ "cat" }, { stdin = near, stdout = near })
      local reader = parked(near.read, near)
      assert.same({ nil, "device or resource busy", 16 }, { process.spawn({ "cat" }, { stdin = near }) })
      far:write "for cat\n"
      moonpark.sleep(0.001)
      task_state.assert_waits(reader)
      let_go()
      assert(task:join())
      assert.same({ true, nil, "closed" }, { reader:join() })
      assert.is_true(near:is_closed())
      assert.equal("for cat", far:read_line())
      far:close()
    end))

  it("comes back where the program cannot be started, and who waited for it goes on", held_up(function(let_go)
    local far, near = pair()
    local task = starting({ "/nowhere" }, { stdin = near, stdout = near })
    local reader = parked(near.read_line, near)
    far:write "for us\n"
    let_go()
    assert.same({ true, nil, "no such file or directory", 2 }, { task:join() })
    assert.same({ true, "for us" }, { reader:join() })
    assert.is_false(is_blocking(near))
    exchange(far, near)
    near:close()
    far:close()
  end))

  it("comes back where its start is cancelled before a thread has begun with it", held_up(function(let_go)
    local far, near = pair()
    local task = starting({ "cat" }, { stdin = near, stdout = near })
    far:write "for us\n"
    task:cancel()
    assert.same({ true, nil, "canceled" }, { task:join() })
    assert.is_false(is_blocking(near))
    assert.equal("for us", near:read_line())
    exchange(far, near)
    let_go()
    near:close()
    far:close()
  end))

  it("may be closed meanwhile: the child has it all the same", held_up(function(let_go)
    local far, near = pair()
    local task = starting({ "echo", "hello" }, { stdout = near })
    near:close()
    let_go()
    assert(task:join())
    assert.equal("hello\n", far:read_all())
    far:close()
  end))

  it("that was closed meanwhile stays closed where the program cannot be started", held_up(function(let_go)
    local far, near = pair()
    local task = starting({ "/nowhere" }, { stdout = near })
    near:close()
    let_go()
    task:join()
    assert.is_true(near:is_closed())
    assert.equal("", far:read_all())
    far:close()
  end))

  it("comes back where another of the three cannot be had", clean(function()
    local far, near = pair()
    assert.same({ nil, "bad file descriptor", 9 }, { process.spawn({ "cat" }, { stdin = near, stdout = 1000000 }) })
    assert.is_false(is_blocking(near))
    exchange(far, near)
    local other_far, other = pair()
    other:close()
    assert.same({ nil, "closed" }, { process.spawn({ "cat" }, { stdin = near, stdout = other }) })
    exchange(far, near)
    other_far:close()
    near:close()
    far:close()
  end))
end)

describe("a start that is cancelled", function()
  it("returns at once, and starts nothing", held_up(function(let_go, folder)
    local task = starting({ "touch", folder .. "/made" }, { stdin = "pipe", stdout = "pipe", stderr = "pipe" })
    local before = support.descriptors()
    task:cancel()
    assert.same({ true, nil, "canceled" }, { task:join() })
    assert.equal(before - 6, support.descriptors())
    assert.equal(THREADS, core.stats().jobs)
    let_go()
    assert.same({ nil, "no such file or directory", 2 }, { moonpark.fs.stat(folder .. "/made") })
  end))

  it("returns so for a timeout, and for a detached one", held_up(function(let_go)
    assert.same({ nil, "timeout" }, { moonpark.timeout(0.001, process.spawn, { "true" }, { detach = true }) })
    assert.same({ nil, "timeout" }, { process.run({ "true" }, { timeout = 0.001 }) })
    assert.same({}, core.process_detached())
    let_go()
  end))

  it("goes on under a shield", held_up(function(let_go)
    local task = parked(moonpark.shield, process.spawn, { "true" }, { detach = true })
    task:cancel()
    task_state.assert_waits(task)
    let_go()
    local ok, child = task:join()
    assert.is_true(ok)
    assert.is_truthy(child)
    while child:is_running() do moonpark.sleep(0.001) end
    while has_children() do moonpark.sleep(0.001) end
  end))

  for _, detach in ipairs { false, true } do
    it(("gives its %schild or leaves none, whenever that comes"):format(detach and "detached " or ""), clean(function()
      local given, refused = 0, 0
      for round = 1, core.hard and 20 or 150 do
        local far, near = pair()
        local task = moonpark.go(process.spawn, { "sleep", "inf" }, { stdin = near, stdout = "pipe", detach = detach })
        for _ = 1, round % 20 ~= 1 and round % 7 or 0 do moonpark.yield() end -- of 20, one is refused for sure
        if round % 20 ~= 1 and round % 3 > 0 then moonpark.sleep(round % 30 * 0.0001) end
        while round % 20 == 7 and task:status() ~= "done" do moonpark.sleep(0.001) end -- however long a start takes
        task:cancel()
        local _, child, err = task:join()
        if child then
          given = given + 1
          assert.is_true(near:is_closed())
          child:kill "KILL"
          if not detach then child:wait() end
          child.stdout:close()
        else
          refused = refused + 1
          assert.equal("canceled", err)
          if not near:is_closed() then exchange(far, near) end
        end
        files.settle()
        while has_children() do moonpark.sleep(0.001) end -- one that was given
        near:close()
        far:close()
      end
      assert.is_true(given > 0 and refused > 0, ("%d given, %d refused"):format(given, refused))
    end))
  end

  it("leaves no child where its Lua state is closed meanwhile, detached or not", clean(function()
    local seconds = ("4%d"):format(C.start_getpid()) -- nobody else's
    for _, detach in ipairs { "false", "true" } do
      local r = outside.run { outside.interpreter, "-e", ([[
        local moonpark = require "moonpark"
        local given = {}
        moonpark.run(function()
          for i = 1, 20 do
            moonpark.go(function()
              given[i] = moonpark.process.spawn({ "sleep", "%s" }, { detach = %s, stdout = "null", stderr = "null" })
            end)
          end
          moonpark.yield()
          for _, child in pairs(given) do child:kill "KILL" end
          os.exit(3, true)
        end)]]):format(seconds, detach) }
      assert.same({ 3, "", "" }, { r.status, r.out, r.err })
    end
    for _, pid in ipairs(moonpark.fs.list "/proc") do
      local file = pid:find "^%d+$" and io.open("/proc/" .. pid .. "/cmdline")
      if file then
        assert.is_nil((file:read "*a" or ""):find("sleep\0" .. seconds .. "\0", 1, true), pid)
        file:close()
      end
    end
  end))
end)

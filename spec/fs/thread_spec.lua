-- SPDX-License-Identifier: MIT
-- What the helper threads behind moonpark.fs promise: the loop goes on while they hang, who waits for them may
-- leave, and nothing is lost. What hangs here is the opening of a FIFO that nobody writes.

local core = require "moonpark.core"
local fs = require "moonpark.fs"
local files = require "support.fs"
local moonpark = require "moonpark"
local process = require "support.process"
local support = require "support.net"
local task_state = require "support.task_state"

local in_folder = files.in_folder
local THREADS = 4

describe("while a thread hangs", function()
  it("other tasks go on, also with files", in_folder(function(folder)
    local tasks, let_go = files.hang(folder, 1)
    local ran = moonpark.go(function()
      for _ = 1, 10 do
        moonpark.yield()
        assert(fs.write(folder .. "/a", "x"))
      end
      return "ran"
    end)
    assert.same({ true, "ran" }, { ran:join(30) })
    task_state.assert_waits(tasks[1])
    let_go()
    assert.equal("opened", (select(2, tasks[1]:join())))
  end))

  it("the dump says what is waited for, and that is no deadlock", in_folder(function(folder)
    local tasks, let_go = files.hang(folder, 1)
    local dump = moonpark.dump()
    assert.is_truthy(dump:find("parked in fs.open on " .. folder .. "/fifo1", 1, true), dump)
    local feeder = process.start(("sleep 0.05; exec 3<>%s/fifo1; sleep 0.05"):format(folder))
    assert.same({ true, "opened" }, { tasks[1]:join() }) -- nothing but the thread can end this
    feeder:wait()
    let_go()
  end))

  it("its task is cancelled at once, and what the thread opens later is closed", in_folder(function(folder)
    local tasks, let_go = files.hang(folder, 1)
    local before = support.descriptors()
    tasks[1]:cancel()
    assert.same({ true, "canceled" }, { tasks[1]:join() })
    assert.equal(1, core.stats().jobs)
    let_go()
    assert.equal(0, core.stats().jobs)
    assert.equal(before, support.descriptors())
  end))

  it("its task's time may pass", in_folder(function(folder)
    local path = files.fifo(folder .. "/fifo1")
    assert.same({ nil, "timeout" }, { moonpark.timeout(0.01, fs.open, path) })
    local close = files.feed(path)
    files.settle()
    close()
  end))

  it("a cancelled task starts nothing", in_folder(function(folder)
    local task = moonpark.go(function()
      moonpark.sleep(3600)
      return fs.write(folder .. "/a", "x")
    end)
    task:cancel()
    assert.same({ true, nil, "canceled" }, { task:join() })
    files.settle()
    assert.same({}, fs.list(folder))
  end))
end)

describe("more jobs than threads", function()
  it("wait for a thread, in the order they came", in_folder(function(folder)
    local _, let_go = files.hang(folder, THREADS)
    local order, tasks = {}, {}
    for i = 1, 3 do
      tasks[i] = support.parked(function()
        assert(fs.append(folder .. "/a", i))
        order[#order + 1] = i
      end)
    end
    support.settle()
    assert.same({}, order)
    let_go()
    for _, task in ipairs(tasks) do assert(task:join()) end
    assert.equal(6, order[1] + order[2] + order[3])
  end))

  it("are not begun with where their task is cancelled before", in_folder(function(folder)
    local _, let_go = files.hang(folder, THREADS)
    local task = support.parked(fs.write, folder .. "/a", "x")
    task:cancel()
    assert.same({ true, nil, "canceled" }, { task:join() })
    assert.equal(THREADS, core.stats().jobs)
    let_go()
    assert.same({ nil, "no such file or directory", 2 }, { fs.stat(folder .. "/a") })
  end))

  it("all come to their end", in_folder(function(folder)
    local count = 0
    moonpark.scope(function(scope)
      for i = 1, 200 do
        scope:go(function()
          assert(fs.write(folder .. "/" .. i, i))
          assert(fs.read(folder .. "/" .. i) == tostring(i))
          count = count + 1
        end)
      end
    end)
    assert.equal(200, count)
    assert.equal(200, #fs.list(folder))
  end))
end)

describe("an open with \"wx\"", function()
  local function exists(path)
    local file = io.open(path)
    if file then file:close() end
    return file ~= nil
  end

  -- A task that opens the path; a thread has made the file, and the loop does not know of that yet.
  local function opening(path)
    while true do
      local task = moonpark.go(fs.open, path, "wx")
      moonpark.yield()
      if task:status() == "parked" then
        repeat until exists(path)
        return task
      end
      local _, file = task:join() -- the thread was quicker
      assert(file):close()
      assert(os.remove(path))
    end
  end

  it("that is cancelled leaves no file, though the thread has made it", in_folder(function(folder)
    local path = folder .. "/a"
    local task = opening(path)
    task:cancel()
    assert.same({ true, nil, "canceled" }, { task:join() })
    files.settle()
    assert.is_false(exists(path))
  end))

  it("leaves alone what has its name by then", in_folder(function(folder)
    local path = folder .. "/a"
    local task = opening(path)
    assert(os.remove(path))
    local other = assert(io.open(path, "w"))
    task:cancel()
    task:join()
    files.settle()
    assert.is_true(exists(path))
    other:close()
  end))

  it("is there in full where its task is shielded, or is cancelled too late", in_folder(function(folder)
    local path = folder .. "/a"
    local task = support.parked(function()
      local file = moonpark.shield(fs.open, path, "wx")
      return file and file:close()
    end)
    task:cancel()
    assert.same({ true, true }, { task:join() })
    assert.is_true(exists(path))
  end))

  it("gives its file or leaves none, whenever it is cancelled", in_folder(function(folder)
    local path = folder .. "/a"
    for round = 1, 300 do
      local task = moonpark.go(fs.open, path, "wx")
      for _ = 1, round % 12 do moonpark.yield() end
      if round % 3 == 0 then moonpark.sleep(0.00005) end
      task:cancel()
      local ok, file, err = task:join()
      assert.is_true(ok)
      files.settle()
      assert.equal(file ~= nil, exists(path), err)
      if file then
        file:close()
        assert(os.remove(path))
      else
        assert.equal("canceled", err)
      end
    end
  end))
end)

describe("cancelling while threads are at work", function()
  it("loses and leaks nothing, whenever it comes", in_folder(function(folder)
    assert(fs.write(folder .. "/a", ("x"):rep(1000)))
    local canceled, done = 0, 0
    for round = 1, 100 do
      local task = moonpark.go(function()
        local file, err = fs.open(folder .. "/a")
        if not file then return err end
        local data
        data, err = file:read_at(0, 1000)
        file:close()
        return data and #data or err
      end)
      for _ = 1, round % 12 do moonpark.yield() end
      if round % 3 == 0 then moonpark.sleep(0.00005) end
      task:cancel()
      local _, result = task:join()
      assert.is_true(result == 1000 or result == "canceled", tostring(result))
      if result == 1000 then done = done + 1 else canceled = canceled + 1 end
    end
    assert.equal(100, done + canceled)
    files.settle()
    assert.same({}, core.files())
  end))

  it("leaves a generator that waits in one of them to the collector", in_folder(function(folder)
    local tasks, let_go = files.hang(folder, 1)
    tasks[1]:cancel()
    local generator = coroutine.wrap(function()
      local file = assert(fs.open("/dev/null"))
      coroutine.yield(file:size())
      file:close()
    end)
    assert.equal(0, generator())
    let_go()
  end))
end)

describe("a virtual clock", function()
  it("stands still while a thread is waited for", in_folder(function(folder)
    local path = files.fifo(folder .. "/fifo1")
    core.clock_freeze()
    local started = moonpark.now()
    local feeder = process.start(("sleep 0.05; exec 3<>%s; sleep 0.05"):format(path))
    local file, err = moonpark.timeout(3600, fs.open, path)
    local passed = moonpark.now() - started
    core.clock_thaw()
    assert(file, err)
    feeder:wait()
    file:close()
    assert.equal(0, passed)
  end))
end)

-- Runs a script in a process of its own, in which a FIFO lies at $FIFO.
local function run(folder, script)
  local path = files.fifo(folder .. "/fifo1")
  return process.run({ process.interpreter, "-e", script }, { env = { FIFO = path, OTHER = folder .. "/other" } })
end

describe("the end of a process", function()
  after_each(process.stop_all)

  it("waits for what threads have begun", in_folder(function(folder)
    local size = core.hard and 10000 or 1000000 -- there each byte is a call
    local r = run(folder, [[
      local moonpark = require "moonpark"
      moonpark.run(function()
        local task = moonpark.go(moonpark.fs.write, os.getenv "OTHER", ("x"):rep(]] .. size .. [[))
        while require("moonpark.core").stats().jobs == 0 do moonpark.yield() end
        while not io.open(os.getenv "OTHER") do moonpark.yield() end
        task:cancel()
      end)
    ]])
    assert.same({ 0, "", "" }, { r.status, r.out, r.err })
    assert.equal(size, fs.stat(folder .. "/other").size)
  end))

  it("is not kept from coming by a thread that hangs, nor by what is queued behind it", in_folder(function(folder)
    local r = run(folder, [[
      local moonpark = require "moonpark"
      moonpark.run(function()
        local tasks, core = {}, require "moonpark.core"
        for i = 1, 4 do tasks[i] = moonpark.go(moonpark.fs.open, os.getenv "FIFO") end
        repeat moonpark.yield() until core.stats().jobs == 4 and core.stats().queued == 0
        print(moonpark.timeout(0.001, moonpark.fs.write, os.getenv "OTHER", "x"))
        for i = 1, 4 do tasks[i]:cancel() end
      end)
      print "ran"
    ]])
    assert.same({ 0, "nil\ttimeout\nran\n", "" }, { r.status, r.out, r.err })
    assert.same({ "fifo1" }, fs.list(folder))
  end))
end)

describe("moonpark.testing", function()
  after_each(process.stop_all)

  it("names a file that a test has left open", in_folder(function(folder)
    assert(fs.write(folder .. "/left_spec.lua", [[
      it("leaves a file", function() kept = assert(require("moonpark.fs").open("/dev/null")) end)
    ]]))
    local r = process.run({ process.interpreter, "/usr/bin/busted", "--helper=moonpark.testing", "-o", "plainTerminal",
      folder .. "/left_spec.lua" }, { cwd = process.root })
    assert.matches("left behind: 1 file\n  file /dev/null, descriptor %d+\n    opened at .*left_spec", r.out)
  end))
end)

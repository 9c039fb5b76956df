-- SPDX-License-Identifier: MIT
-- What fs.watch promises.

local core = require "moonpark.core"
local fs = require "moonpark.fs"
local files = require "support.fs"
local moonpark = require "moonpark"
local process = require "support.process"
local support = require "support.net"

local in_folder = files.in_folder

-- "created a", "moved from a", "removed": an event in words.
local function words(event)
  local text = event.event
  if event.direction then text = text .. " " .. event.direction end
  return event.name and text .. " " .. event.name or text
end

local function expect(watcher, ...)
  for i = 1, select("#", ...) do
    local event, err = watcher:next(30)
    assert.equal((select(i, ...)), event and words(event) or err)
  end
end

local function nothing_more(watcher) assert.same({ nil, "timeout" }, { watcher:next(0) }) end

describe("fs.watch", function()
  it("tells what happens in a directory", in_folder(function(folder)
    local watcher = assert(fs.watch(folder))
    assert(fs.append(folder .. "/a", "x"))
    expect(watcher, "created a", "modified a")
    assert(fs.append(folder .. "/a", "x"))
    expect(watcher, "modified a")
    assert(fs.rename(folder .. "/a", folder .. "/b"))
    local from, to = watcher:next(), watcher:next()
    assert.same({ "moved from a", "moved to b" }, { words(from), words(to) })
    assert.equal(from.cookie, to.cookie)
    assert.is_false(from.directory)
    assert(fs.remove(folder .. "/b"))
    expect(watcher, "removed b")
    assert(fs.mkdir(folder .. "/d"))
    local event = watcher:next()
    assert.same({ "created d", true }, { words(event), event.directory })
    nothing_more(watcher)
    watcher:close()
  end))

  it("tells what happens to a file, until it is gone", in_folder(function(folder)
    assert(fs.write(folder .. "/a", "x"))
    local watcher = assert(fs.watch(folder .. "/a"))
    assert(fs.append(folder .. "/a", "x"))
    expect(watcher, "modified")
    assert(fs.write(folder .. "/a", "")) -- cut short
    expect(watcher, "modified")
    assert(fs.rename(folder .. "/a", folder .. "/b"))
    expect(watcher, "moved self")
    assert(fs.append(folder .. "/b", "x"))
    expect(watcher, "modified")
    assert(fs.remove(folder .. "/b"))
    expect(watcher, "attributes", "removed", "eof", "eof")
    watcher:close()
  end))

  it("tells of an atomic write as of what it is: another file takes the name", in_folder(function(folder)
    assert(fs.write(folder .. "/a", "x"))
    local watcher = assert(fs.watch(folder, { events = { "moved" } }))
    assert(fs.write(folder .. "/a", "y", { atomic = true }))
    local from, to = watcher:next(), watcher:next()
    assert.same({ "from", "to", "a" }, { from.direction, to.direction, to.name })
    nothing_more(watcher)
    watcher:close()
  end))

  it("tells only what is asked for", in_folder(function(folder)
    local watcher = assert(fs.watch(folder, { events = { "created", "removed" } }))
    assert(fs.write(folder .. "/a", "x"))
    assert(fs.append(folder .. "/a", "x"))
    assert(fs.remove(folder .. "/a"))
    expect(watcher, "created a", "removed a")
    nothing_more(watcher)
    watcher:close()
  end))

  it("is an iterator, which ends with what is watched", in_folder(function(folder)
    assert(fs.write(folder .. "/a", "x"))
    local watcher, seen = assert(fs.watch(folder .. "/a", { events = { "modified", "removed" } })), {}
    moonpark.go(function()
      assert(fs.append(folder .. "/a", "x"))
      while #seen == 0 do moonpark.yield() end
      assert(fs.remove(folder .. "/a"))
    end)
    for event in watcher do seen[#seen + 1] = words(event) end
    assert.same({ "modified", "removed" }, seen)
    watcher:close()
  end))

  it("keeps what happens while nobody waits, in its order", in_folder(function(folder)
    local watcher, expected = assert(fs.watch(folder, { events = { "created" } })), {}
    for i = 1, 300 do
      local name = ("%03d"):format(i) .. ("n"):rep(i % 200)
      assert(io.open(folder .. "/" .. name, "w")):close()
      expected[i] = "created " .. name
    end
    expect(watcher, unpack(expected))
    nothing_more(watcher)
    watcher:close()
  end))

  it("says so when more has happened than the kernel keeps", in_folder(function(folder)
    local limit = assert(io.open("/proc/sys/fs/inotify/max_queued_events")):read("*n")
    if limit > 20000 then return pending("the kernel keeps too many events here") end
    local watcher = assert(fs.watch(folder, { events = { "moved" } }))
    local a, b = folder .. "/a", folder .. "/b"
    assert(io.open(a, "w")):close()
    for _ = 1, limit / 2 + 10 do
      assert(os.rename(a, b))
      a, b = b, a
    end
    local event
    repeat event = assert(watcher:next(0)) until event.event ~= "moved"
    assert.equal("overflow", event.event)
    assert.is_nil(event.name)
    watcher:close()
  end))

  it("fails for what is not there", in_folder(function(folder)
    assert.same({ nil, "no such file or directory", 2 }, { fs.watch(folder .. "/a") })
  end))

  it("needs no task to begin, and a thread never", function()
    local r = process.run({ process.interpreter, "-e", [[
      local moonpark = require "moonpark"
      local watcher = assert(moonpark.fs.watch("/"))
      print(moonpark.run(function() return watcher:next(0.001) end))
      for line in io.lines("/proc/self/status") do
        if line:find("^Threads") then print(line:match("%d+")) end
      end
    ]] })
    assert.same({ 0, "nil\ttimeout\n1\n", "" }, { r.status, r.out, r.err })
  end)
end)

describe("who waits on a watcher", function()
  it("is no deadlock", in_folder(function(folder)
    local watcher = assert(fs.watch(folder))
    local child = process.start(("sleep 0.05; : > %s/a"):format(folder))
    assert.equal("created a", words(assert(watcher:next()))) -- nothing but the kernel can end this
    child:wait()
    watcher:close()
  end))

  it("is named by the dump", in_folder(function(folder)
    local watcher = assert(fs.watch(folder))
    local task = support.parked(watcher.next, watcher)
    assert.is_truthy(moonpark.dump():find("watch of " .. folder, 1, true))
    assert.equal("watch of " .. folder, core.conns()[1].text)
    watcher:close()
    assert.same({ true, nil, "closed" }, { task:join() })
    assert.same({ nil, "closed" }, { watcher:next() })
    assert.is_true(watcher:close())
  end))

  it("may be cancelled, and loses no event", in_folder(function(folder)
    local watcher = assert(fs.watch(folder))
    for round = 1, 20 do
      local task = support.parked(watcher.next, watcher)
      assert(io.open(folder .. "/a", "w")):close()
      if round % 2 == 0 then moonpark.yield() end
      task:cancel()
      local _, event, err = task:join()
      if not event then
        assert.equal("canceled", err)
        expect(watcher, "created a")
      end
      assert(os.remove(folder .. "/a"))
      repeat event = assert(watcher:next(30)) until event.event == "removed"
    end
    watcher:close()
  end))

  it("shares the events with others who wait", in_folder(function(folder)
    local watcher, names = assert(fs.watch(folder, { events = { "created" } })), {}
    moonpark.scope(function(scope)
      for _ = 1, 3 do
        scope:go(function()
          for event in watcher do names[#names + 1] = event.name end
        end)
      end
      for i = 1, 9 do assert(fs.write(folder .. "/" .. i, "")) end
      while #names < 9 do moonpark.yield() end
      watcher:close()
    end)
    table.sort(names)
    assert.equal("123456789", table.concat(names))
  end))

  it("may look for what has come already", in_folder(function(folder)
    local watcher = assert(fs.watch(folder))
    assert.same({ nil, "timeout" }, { watcher:next(0) })
    assert(fs.mkdir(folder .. "/a"))
    assert.equal("created a", words(assert(watcher:next(0))))
    assert.same({ nil, "timeout" }, { watcher:next(-1) })
    watcher:close()
    assert.same({ nil, "closed" }, { watcher:next(0) })
    local ok, err = pcall(watcher.next, watcher, "1")
    assert.same({ false, true }, { ok, err:find("number of seconds expected", 1, true) ~= nil })
  end))

  it("raises for events that are none, and says where", function()
    for _, events in ipairs { {}, { "x" }, { 1 }, { "created", true } } do
      local ok, err = pcall(function() fs.watch("/", { events = events }) end)
      assert.is_false(ok)
      assert.matches("^spec/fs/watch_spec%.lua:%d+: watch: ", err)
    end
  end)

  it("must have a watcher", function()
    for _, name in ipairs { "next", "close" } do
      local ok, err = pcall(getmetatable(assert(fs.watch("/"))).__index[name], {})
      assert.is_false(ok)
      assert.is_truthy(err:find(("bad argument #1 to '%s' (watcher expected, got table)"):format(name), 1, true), err)
    end
    collectgarbage()
    collectgarbage()
  end)
end)

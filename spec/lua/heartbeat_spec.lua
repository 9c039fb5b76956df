-- SPDX-License-Identifier: MIT
-- heartbeat_spec.lua - the words that a loop writes for those who watch it, in its own memory and in a file.

local core = require "moonpark.core"
local ffi = require "ffi"
local moonpark = require "moonpark"
local process = require "support.process"
local testing = require "moonpark.testing"

local SIZE = 16

ffi.cdef [[
struct heartbeat_spec { uint64_t turn_since_ns; uint32_t resumes, unused; };
int heartbeat_open(const char *path, int flags, ...) __asm__("open");
int heartbeat_close(int fd) __asm__("close");
]]

local function open(path) return assert(ffi.C.heartbeat_open(path, 2)) end

local function file_of(bytes)
  local path = testing.tempdir() .. "/beat"
  local file = assert(io.open(path, "wb"))
  file:write(("\0"):rep(bytes))
  file:close()
  return path
end

local function read(path, offset)
  local file = assert(io.open(path, "rb"))
  file:seek("set", offset or 0)
  local words = ffi.new "struct heartbeat_spec"
  ffi.copy(words, file:read(SIZE), SIZE)
  file:close()
  return words
end

describe("the heartbeat", function()
  after_each(function() core.heartbeat_at() end)
  after_each(process.stop_all)

  it("says since when this turn runs tasks, on the system's monotonic clock", function()
    local before = core.real()
    moonpark.sleep(0.001)
    local since = core.heartbeat()
    assert.is_true(before < since and since <= core.real())
    assert.equal(since, (core.heartbeat()))
  end)

  it("is not that of virtual time", function()
    testing.clock()
    moonpark.sleep(3600)
    assert.is_true(core.heartbeat() <= core.real())
  end)

  it("counts what tasks are given to do, and stands still while one holds the loop", function()
    local _, n = core.heartbeat()
    assert.equal(n, (select(2, core.heartbeat())))
    moonpark.go(function() end):join()
    assert.is_true(select(2, core.heartbeat()) >= n + 2)
  end)

  it("lies where it is told, and back in the process's own memory", function()
    local path = file_of(3 * SIZE)
    local fd = open(path)
    assert.is_true(core.heartbeat_at(fd, 2 * SIZE))
    ffi.C.heartbeat_close(fd)
    local words = read(path, 2 * SIZE)
    assert.equal((core.heartbeat()), tonumber(words.turn_since_ns) / 1e9)
    moonpark.yield()
    assert.is_true(read(path, 2 * SIZE).resumes > words.resumes)
    assert.equal(0, read(path, SIZE).resumes)
    assert.is_true(core.heartbeat_at())
    assert.equal(0, tonumber(read(path, 2 * SIZE).turn_since_ns))
    assert.truthy(core.heartbeat())
  end)

  it("tells another process whether the loop waits", function()
    local path = file_of(SIZE)
    local script = testing.tempdir() .. "/it.lua"
    local file = assert(io.open(script, "w"))
    file:write(([[
      local moonpark, core, ffi = require "moonpark", require "moonpark.core", require "ffi"
      ffi.cdef "int open(const char *path, int flags, ...);"
      assert(core.heartbeat_at(ffi.C.open(%q, 2)))
      moonpark.run(function()
        local signals = moonpark.signals "USR1"
        moonpark.go(function() signals:next() while true do end end)
        moonpark.yield()
        print "waits"
        io.stdout:flush()
        moonpark.sleep(3600)
      end)]]):format(path))
    file:close()
    local child = process.start { process.interpreter, script }
    assert.equal("waits", child:line())
    repeat moonpark.sleep(0.001) until tonumber(read(path).turn_since_ns) == 0
    child:kill "USR1"
    repeat moonpark.sleep(0.001) until tonumber(read(path).turn_since_ns) ~= 0
    child:stop()
  end)

  it("is refused where the file is too short, and at an odd place", function()
    local fd = open(file_of(SIZE))
    assert.same({ nil, "invalid argument", 22 }, { core.heartbeat_at(fd, SIZE) })
    assert.same({ nil, "bad file descriptor", 9 }, { core.heartbeat_at(-1) })
    assert.has_error(function() core.heartbeat_at(fd, 8) end)
    assert.has_error(function() core.heartbeat_at(fd, -SIZE) end)
    ffi.C.heartbeat_close(fd)
    assert.truthy(core.heartbeat())
  end)
end)

-- SPDX-License-Identifier: MIT
-- wait_level_spec.lua - pd:wait_level: waits for what is, not for what has happened. For libraries that ask for
-- readiness without having met EAGAIN.

local moonpark = require "moonpark"
local ffi = require "ffi"
local netpoll = require "moonpark.netpoll"

ffi.cdef [[
int wait_level_socketpair(int domain, int type, int protocol, int *fds) __asm__("socketpair");
long wait_level_read(int fd, void *bytes, size_t size) __asm__("read");
long wait_level_write(int fd, const void *bytes, size_t size) __asm__("write");
int wait_level_close(int fd) __asm__("close");
]]

local C = ffi.C
local AF_UNIX, STREAM, NONBLOCK = 1, 1, 2048

describe("pd:wait_level", function()
  local ours, theirs, pd

  local function read(fd)
    local bytes = ffi.new "char[10]"
    local n = tonumber(C.wait_level_read(fd, bytes, 10))
    return n > 0 and ffi.string(bytes, n) or nil
  end

  local function write(fd, text) assert(C.wait_level_write(fd, text, #text) == #text) end

  before_each(function()
    local fds = ffi.new "int[2]"
    assert(C.wait_level_socketpair(AF_UNIX, STREAM + NONBLOCK, 0, fds) == 0)
    ours, theirs = fds[0], fds[1]
    pd = assert(netpoll.open(ours))
  end)

  after_each(function()
    if pd then
      pd:unblock()
      pd:close()
    end
    for _, fd in pairs { ours, theirs } do C.wait_level_close(fd) end
  end)

  it("returns at once while the descriptor is ready, again and again, where wait would need a new event", function()
    for _ = 1, 3 do assert.is_true(pd:wait_level "w") end
    write(theirs, "x")
    for _ = 1, 3 do assert.is_true(pd:wait_level "r") end
    assert.equal("x", read(ours))
  end)

  it("parks until it is ready, and does not take a stale event for readiness", function()
    write(theirs, "a")
    assert.is_true(pd:wait "r")
    write(theirs, "b") -- an event that nobody takes
    moonpark.yield()
    assert.equal("ab", read(ours))
    local task = moonpark.go(pd.wait_level, pd, "r")
    moonpark.yield()
    moonpark.yield()
    assert.equal("parked", task:status())
    write(theirs, "c")
    assert.same({ true, true }, { task:join() })
  end)

  it("reports the end of the stream as readiness", function()
    C.wait_level_close(theirs)
    theirs = nil
    assert.is_true(pd:wait_level "r")
    assert.is_nil(read(ours))
  end)

  it("goes by deadline, cancellation, unblock and close, as wait does", function()
    pd:set_deadline(moonpark.now() + 0.001, "r")
    assert.same({ nil, "timeout" }, { pd:wait_level "r" })
    assert.is_true(pd:wait_level "w")
    pd:set_deadline(moonpark.now() - 1, "w")
    assert.same({ nil, "timeout" }, { pd:wait_level "w" }) -- though it is ready
    pd:set_deadline(nil, "rw")
    local parked = moonpark.go(pd.wait_level, pd, "r")
    moonpark.yield()
    parked:cancel()
    assert.same({ true, nil, "canceled" }, { parked:join() })
    local late = moonpark.go(function()
      moonpark.sleep(1000)
      return pd:wait_level "w"
    end)
    moonpark.yield()
    late:cancel()
    assert.same({ true, nil, "canceled" }, { late:join() }) -- though it is ready
    local waiting = moonpark.go(pd.wait_level, pd, "r")
    moonpark.yield()
    pd:unblock()
    assert.same({ true, nil, "closed" }, { waiting:join() })
    assert.same({ nil, "closed" }, { pd:wait_level "w" })
    pd:close()
    assert.same({ nil, "closed" }, { pd:wait_level "r" })
    pd = nil
  end)

  it("allows one task on a side", function()
    local task = moonpark.go(pd.wait_level, pd, "r")
    moonpark.yield()
    assert.error_matches(function() pd:wait_level "r" end, "double wait")
    assert.is_true(pd:wait_level "w")
    task:cancel()
    task:join()
  end)

  it("lets other tasks run though it never has to wait", function()
    local ran = false
    moonpark.go(function() ran = true end)
    local tries = 0
    while not ran and tries < 1e6 do
      assert.is_true(pd:wait_level "w")
      tries = tries + 1
    end
    assert.is_true(ran)
  end)

  it("says that other code has closed the descriptor", function()
    C.wait_level_close(ours)
    ours = nil
    assert.same({ nil, "bad file descriptor", 9 }, { pd:wait_level "r" })
  end)

  it("takes a side, and needs a task", function()
    assert.error_matches(function() pd:wait_level "rw" end, "invalid option 'rw'")
    assert.error_matches(function() pd.wait_level(5, "r") end, "pollDesc expected")
  end)
end)

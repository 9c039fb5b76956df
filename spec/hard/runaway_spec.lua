-- SPDX-License-Identifier: MIT
-- Limits on tasks where the system has no timer and no memory. Needs the hard build.

local core = require "moonpark.core"
local ffi = require "ffi"
local moonpark = require "moonpark"
local testing = require "moonpark.testing"

local hard = core.hard
local ENOMEM = 12

if jit.status() then jit.off() end -- LuaJIT's compiler does not survive a failed allocation

ffi.cdef [[ int hard_runaway_open(const char *path, int flags, ...) __asm__("open");
int hard_runaway_close(int fd) __asm__("close"); ]]

local function works()
  hard.fail_syscall(0)
  hard.fail_alloc(0)
end

-- Are limits on: is a task stopped?
local function stops()
  local ok, err = moonpark.go(function()
    local before = moonpark.now()
    while moonpark.now() - before < 3 do end
    return "went on"
  end):join()
  return not ok and err:find("ran for 0.1 s without waiting", 1, true) ~= nil
end

describe("limits", function()
  setup(function() assert.is_table(hard, "MODE=hard is needed") end)

  after_each(function()
    works()
    moonpark.limits {}
  end)

  it("raise where the system has no timer, with all off, and can be set later", function()
    moonpark.limits { limit = 0.1 }
    hard.fail_syscall(1)
    local ok, err = pcall(moonpark.limits, { limit = 0.1 })
    works()
    assert.same({ false, "limits: resource temporarily unavailable" }, { ok, err })
    assert.is_false(stops())
    moonpark.limits { limit = 0.1 }
    assert.is_true(stops())
  end)

  it("are set or raise, whichever allocation fails", function()
    local raised, set, limits = 0, 0, { limit = 0.1 }
    for n = 1, 30 do
      hard.fail_alloc(n)
      local ok, err = pcall(moonpark.limits, limits)
      works()
      assert.is_true(ok or err == "not enough memory", tostring(err))
      if ok then set = set + 1 else raised = raised + 1 end
    end
    assert.is_true(raised > 0 and set > 0)
    moonpark.limits { limit = 0.1 }
    assert.is_true(stops())
  end)
end)

describe("the heartbeat", function()
  it("stays where it is if the file cannot be mapped", function()
    local path = testing.tempdir() .. "/beat"
    local file = assert(io.open(path, "w"))
    file:write(("\0"):rep(16))
    file:close()
    local fd = ffi.C.hard_runaway_open(path, 2)
    hard.fail_syscall(1)
    local ok, err, errno = core.heartbeat_at(fd)
    works()
    assert.same({ nil, "not enough memory", ENOMEM }, { ok, err, errno })
    assert.truthy(core.heartbeat())
    assert.is_true(core.heartbeat_at(fd))
    assert.is_true(core.heartbeat_at())
    ffi.C.hard_runaway_close(fd)
  end)
end)

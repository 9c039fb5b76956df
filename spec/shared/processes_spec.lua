-- SPDX-License-Identifier: MIT
-- processes_spec.lua - eight processes on one dict, while some of them are killed.

local core = require "moonpark.core"
local ffi = require "ffi"
local moonpark = require "moonpark"
local process = require "support.process"

ffi.cdef "int processes_close(int fd) __asm__(\"close\");\nint processes_dup(int fd) __asm__(\"dup\");"

local PROCESSES, KILLS, CALLS = 8, 16, 4000
local WORKER = process.root .. "/spec/support/shared_worker.lua"

local function dict_in(fd, size)
  local dict = core.shared_dict()
  assert(core.shared_dict_open(dict, ffi.C.processes_dup(fd), "many", size))
  return dict
end

describe("eight processes on one dict", function()
  local fd

  after_each(function()
    if fd then ffi.C.processes_close(fd) end
    fd = nil
  end)

  local function start(i, seed, size)
    return assert(moonpark.process.spawn({ process.interpreter, WORKER, "w" .. i, seed, CALLS .. "", size .. "" },
      { stdin = fd, stdout = "pipe", stderr = "pipe" }))
  end

  local function close(child)
    child.stdout:close()
    child.stderr:close()
  end

  -- One worker's place: it is killed as often as `kills` says, and begun again.
  local function keep(i, random, kills, size)
    while true do
      local child = start(i, random(2 ^ 30) .. "", size)
      if kills == 0 then
        local errors = child.stderr:read_all()
        child.stdout:read_all()
        assert.equal("", errors)
        assert.same({ "exited", 0 }, { child:wait() })
        return close(child)
      end
      kills = kills - 1
      for _ = 1, random(CALLS / 400) do assert(child.stdout:read_line()) end
      child:kill "KILL"
      child.stdout:read_all()
      assert.equal("", child.stderr:read_all())
      child:wait()
      close(child)
    end
  end

  local function run(size, seed)
    print(("seed %d"):format(seed))
    math.randomseed(seed)
    fd = assert(core.shared_memory("many", size))
    moonpark.scope(function(scope)
      for i = 1, PROCESSES do scope:go(keep, i, math.random, KILLS / PROCESSES, size) end
    end)
    core.check()
    return dict_in(fd, size)
  end

  it("lose nothing, and count everything once, though two in three are killed", function()
    local dict = run(8 * 2 ^ 20, 11)
    local sum = 0
    for i = 1, PROCESSES do sum = sum + dict:get("w" .. i) end
    local lost = sum - dict:get "all"
    assert.is_true(lost >= 0 and lost <= KILLS, "lost: " .. lost)
    local stats = dict:stats()
    assert.equal(0, stats.evicted)
    assert.equal(0, stats.emptied)
    print(("%d changes were taken back"):format(stats.repaired))
    core.check()
  end)

  it("find what they have kept or nothing in a dict that is always full", function()
    local stats = run(65536, 12):stats()
    assert.is_true(stats.evicted > 100, "evicted: " .. stats.evicted)
    assert.equal(0, stats.emptied)
    core.check()
  end)
end)

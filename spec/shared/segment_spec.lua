-- SPDX-License-Identifier: MIT
-- segment_spec.lua - memory and counters while processes die in the middle of laying it out, or of naming a counter.
-- See kill_spec.lua.
-- moonpark: ignore

local ffi = require "ffi"
local shared = require "support.shared"
local steps = require "support.steps"
local units = require "support.units"
local lib, C = units.lib, ffi.C

ffi.cdef "int segment_spec_memcmp(const void *a, const void *b, size_t n) __asm__(\"memcmp\");"

-- The memory as it is now and then, while a child steps through act(): after each change, or each `every`-th.
local function watch(fd, size, every, prepare, act)
  local at = ffi.new "void *[1]"
  assert(lib.sys_map(at, fd, size) == 0)
  local base, pictures, changes = ffi.cast("char *", at[0]), {}, 0
  local last = ffi.new("char[?]", size)
  ffi.copy(last, base, size)
  local pid = steps.start(prepare, act)
  while pid and steps.step(pid) do
    if C.segment_spec_memcmp(base, last, size) ~= 0 then
      ffi.copy(last, base, size)
      changes = changes + 1
      if changes % every == 0 then pictures[#pictures + 1] = ffi.string(base, size) end
    end
  end
  if pid then assert(steps.finish(pid) == 0) end
  pictures[#pictures + 1] = ffi.string(base, size)
  lib.sys_unmap(base, size)
  return pid and pictures
end

local function open_counters(fd)
  local counters = ffi.new "struct counters"
  assert(lib.counters_open(counters, fd, "spec") == 0)
  return counters
end

describe("A process that is killed in the middle of", function()
  after_each(steps.stop_all)

  it("laying out a dict leaves memory that the next one lays out", function()
    local size = C.DICT_SIZE_MIN
    local fd = lib.sys_memfd("spec", size)
    local pictures = watch(fd, size, 41, function() end, function()
      steps.mark()
      local d = shared.open(size, fd)
      steps.mark()
      assert(d)
    end)
    units.close(fd)
    if not pictures then return pending "processes cannot be traced here" end
    assert.is_true(#pictures > 10)
    for i, bytes in ipairs(pictures) do
      local copy = shared.copy(bytes, i == #pictures and 1 or nil)
      local d, why = shared.open(size, copy)
      assert(d, why)
      assert.equal(0, (d:set("key", "value")))
      assert.equal("value", d:get "key")
      assert.is_nil(d:fault())
      d:close()
      units.close(copy)
    end
  end)

  it("naming a counter leaves a free place or the counter", function()
    local fd = lib.sys_memfd("spec", C.COUNTERS_SIZE)
    local counters, theirs = open_counters(fd), nil
    lib.counters_set(lib.counters_find(counters, "first"), 7)
    local pictures = watch(fd, C.COUNTERS_SIZE, 1, function() theirs = open_counters(fd) end, function()
      steps.mark()
      lib.counters_find(theirs, "a counter with a long name")
      steps.mark()
    end)
    lib.counters_close(counters)
    units.close(fd)
    if not pictures then return pending "processes cannot be traced here" end
    assert.is_true(#pictures > 4)
    for _, bytes in ipairs(pictures) do
      for _, free in ipairs { false, 1 } do
        local copy = shared.copy(bytes, 2, free or nil)
        local found = open_counters(copy)
        assert.is_true(lib.counters_fault(found) == nil)
        assert.equal(7, tonumber(lib.counters_get(lib.counters_find(found, "first"))))
        assert.equal(0, tonumber(lib.counters_get(lib.counters_find(found, "another"))))
        assert.equal(0, tonumber(lib.counters_get(lib.counters_find(found, "a counter with a long name"))))
        assert.is_true(lib.counters_fault(found) == nil)
        lib.counters_close(found)
        units.close(copy)
      end
    end
  end)
end)

-- SPDX-License-Identifier: MIT
-- kill_spec.lua - a process is killed at any instruction of a call: the dict is as before the call, or as after it.
--
-- A child makes the call one instruction at a time. Whenever the shared memory has changed, a copy of it is what others
-- would find if the child died there; the kernel's part, which frees the place of the dead, is shared.copy's.
-- moonpark: ignore

local ffi = require "ffi"
local shared = require "support.shared"
local steps = require "support.steps"
local units = require "support.units"
local lib, C = units.lib, ffi.C

ffi.cdef "int kill_spec_memcmp(const void *a, const void *b, size_t n) __asm__(\"memcmp\");"

local SIZE = 65536
local PARENT, CHILD = 1, 2    -- their places

local big, bigger = ("0123456789"):rep(60), ("abcdefghijk"):rep(70)

-- What is in the dict before each call.
local function fill(d)
  for i = 1, 5 do d:set("key" .. i, "value" .. i) end
  d:set("long", big)
  d:set("number", 1.5)
  d:set("yes", true)
end

-- So many entries of `big` that not another one fits.
local function fill_up(d)
  fill(d)
  local i = 0
  repeat
    i = i + 1
    local _, evicted = d:set("fill" .. i, big)
  until evicted
end

local calls = {
  { "get of the least recently used", fill, function(d) d:get "key1" end },
  { "get in the middle", fill, function(d) d:get "key3" end },
  { "set of a new key", fill, function(d) d:set("new", "x") end },
  { "set of another value", fill, function(d) d:set("key3", "other") end },
  { "set of a longer value", fill, function(d) d:set("long", bigger) end },
  { "set of a shorter value", fill, function(d) d:set("long", "x") end },
  { "set of a number", fill, function(d) d:set("number", 2.25) end },
  { "set of another type", fill, function(d) d:set("number", "two") end },
  { "set in an empty dict", function() end, function(d) d:set("new", "x") end },
  { "set with eviction", fill_up, function(d) d:set("new", bigger) end },
  { "add", fill, function(d) d:add("new", big) end },
  { "replace", fill, function(d) d:replace("key1", big) end },
  { "compare_and_set", fill, function(d) d:compare_and_set("key2", "value2", "other") end },
  { "incr", fill, function(d) d:incr("number", 1) end },
  { "incr of a new key", fill, function(d) d:incr("new", 1, 0) end },
  { "expire", fill, function(d) d:expire("key2", 1000) end },
  { "delete of the newest", fill, function(d) d:delete "yes" end },
  { "delete of the oldest", fill, function(d) d:delete "key1" end },
  { "delete in the middle", fill, function(d) d:delete "long" end },
  { "delete of the only one", function(d) d:set("a", "b") end, function(d) d:delete "a" end },
  { "get of one that is over", function(d)
    fill(d)
    d:set("over", big, 5)
    d.after = 2000
  end, function(d) d:get "over" end },
  { "flush", fill, function(d) d:flush() end },
}

-- Opens a copy of these bytes. The opener takes the place of the dead process, or another one.
local function open_copy(bytes, in_its_place, now)
  local fd = shared.copy(bytes, CHILD, not in_its_place and PARENT or nil)
  local copy, why = shared.open(SIZE, fd)
  assert(copy, why)
  units.close(fd)
  lib.clock_advance_to(copy.clock, now)
  assert.equal(in_its_place and CHILD or PARENT, copy.d.segment.me)
  return copy
end

-- What is found after a death there; fails if it is not whole.
local function found(bytes, in_its_place, now)
  local copy = open_copy(bytes, in_its_place, now)
  assert.is_nil(copy:fault())
  assert.equal(0, tonumber(copy:stats().emptied))
  local picture = copy:picture()
  copy:close()
  return picture
end

local function lines_of(picture)
  local lines = {}
  for line in picture:gmatch "[^\n]+" do lines[#lines + 1] = line end
  return lines
end

-- Evictions and the steps of flush are changes of their own: the oldest entries go one after the other.
local function states(before, after)
  local allowed, lines = { [after] = true }, lines_of(before)
  for n = #lines, 0, -1 do allowed[table.concat(lines, "\n", 1, n)] = true end
  return allowed
end

local function starts(call)
  local d = assert(shared.open(SIZE))
  call[2](d)
  lib.clock_advance_to(d.clock, d.after or 0)
  local other
  local pid = steps.start(function()
    other = assert(shared.open(SIZE, d.fd))
    lib.clock_advance_to(other.clock, d.after or 0)
    shared.around = steps.mark
  end, function() call[3](other) end)
  return d, pid
end

local function ends(d)
  d:close()
  units.close(d.fd)
end

-- A step takes as long in every build, and the sanitizers' code has many more: there, one call in three.
local sanitized = (os.getenv "LD_PRELOAD" or ""):find("asan", 1, true)
local function is_left_out(i) return sanitized and i % 3 ~= 1 end

describe("A process that is killed in the middle of", function()
  after_each(steps.stop_all)

  for n, call in ipairs(calls) do
    if is_left_out(n) then goto continue end
    it(call[1] .. " leaves the old dict or the new one", function()
      local d, pid = starts(call)
      if not pid then
        ends(d)
        return pending "processes cannot be traced here"
      end
      local base, contents, now = d.d.segment.base, C.SEGMENT_CONTENTS, d.after or 0
      local pictures = { ffi.string(base, SIZE) }
      while steps.step(pid) do
        if C.kill_spec_memcmp(base + contents, ffi.cast("const char *", pictures[#pictures]) + contents,
          SIZE - contents) ~= 0 then
          pictures[#pictures + 1] = ffi.string(base, SIZE)
        end
      end
      assert.equal(0, steps.finish(pid))
      assert.is_true(#pictures > 3, "the call was not seen")
      local allowed = states(found(pictures[1], true, now), found(pictures[#pictures], true, now))
      for i, bytes in ipairs(pictures) do
        for _, in_its_place in ipairs { true, false } do
          local picture = found(bytes, in_its_place, now)
          assert.is_true(allowed[picture], ("after change %d of %d:\n%s"):format(i, #pictures, picture))
        end
      end
      ends(d)
    end)
    ::continue::
  end

  -- Steps the child until it has the lock, and then as many further steps. -> does it still have the lock
  local function run_into_lock(d, pid, further)
    local lock = d.d.shard[0].head.lock
    repeat local alive = steps.step(pid) until lock.owner == CHILD or not alive
    for _ = 1, further do
      if not steps.step(pid) then break end
    end
    return lock.owner == CHILD
  end

  local function steps_with_lock(call)
    local d, pid = starts(call)
    if not pid then return nil, ends(d) end
    run_into_lock(d, pid, 0)
    local count, lock = 0, d.d.shard[0].head.lock
    while lock.owner == CHILD and steps.step(pid) do count = count + 1 end
    steps.finish(pid)
    ends(d)
    return count
  end

  it("a call leaves it to the next one, which repairs it: the kernel's part", function()
    local call = { "set", fill, function(d) d:set("long", bigger) end }
    local count = steps_with_lock(call)
    if not count then return pending "processes cannot be traced here" end
    local repaired, points = 0, 20
    for i = 0, points do
      local d, pid = starts(call)
      local held = run_into_lock(d, pid, math.floor(count * i / points))
      steps.kill(pid)
      local value = d:get "long"
      assert.is_true(value == big or value == bigger)
      assert.equal("value1", d:get "key1")
      assert.is_nil(d:fault())
      assert.equal(held and 1 or 0, tonumber(d:stats().repaired))
      assert.equal(0, tonumber(d:stats().emptied))
      repaired = repaired + tonumber(d:stats().repaired)
      ends(d)
    end
    assert.is_true(repaired >= points / 2, "hardly any child was killed with the lock")
  end)
end)

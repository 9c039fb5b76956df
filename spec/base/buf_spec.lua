-- SPDX-License-Identifier: MIT
-- buf_spec.lua - growing bytes, alone: appended at the end, consumed at the front.

local ffi = require "ffi"
local process = require "support.process"
local units = require "support.units"
local lib = units.lib

describe("buf", function()
  local b, blocks

  before_each(function()
    blocks = lib.sys_allocated()
    b = ffi.new("struct buf")
  end)

  after_each(function()
    lib.buf_check(b)
    lib.buf_fini(b)
    assert.equal(blocks, lib.sys_allocated())
  end)

  local function len() return units.buf_len(b) end
  local function held() return len() == 0 and "" or ffi.string(b.bytes + b.start, len()) end
  local function append(s) assert.equal(0, lib.buf_append(b, s, #s)) end
  local function find(s) return tonumber(lib.buf_find(b, s, #s)) end
  local function find_from(at, s) return tonumber(lib.buf_find_from(b, at, s, #s)) end
  local function rewind() b.searched = 0 end

  it("holds what was appended, in order", function()
    append "one" append "" append ", two"
    assert.equal("one, two", held())
  end)

  it("holds any byte", function()
    append "a\0b\255"
    assert.equal("a\0b\255", held())
  end)

  it("needs no memory to append nothing", function()
    append ""
    assert.is_true(b.bytes == nil)
  end)

  it("gives room to write into, which counts once it is committed", function()
    local to = lib.buf_reserve(b, 5)
    ffi.copy(to, "hello", 5)
    assert.equal("", held())
    lib.buf_commit(b, 4)
    assert.equal("hell", held())
  end)

  it("keeps what it holds when it grows", function()
    append "begin"
    append(("x"):rep(100000))
    assert.equal("begin" .. ("x"):rep(100000), held())
  end)

  it("reserves at least what was asked for", function()
    append "abc"
    for _, n in ipairs { 1, 100, 4096, 5000, 70000 } do
      assert.is_true(lib.buf_reserve(b, n) ~= nil)
      assert.is_true(b.capacity - b["end"] >= n)
      assert.equal("abc", held())
    end
  end)

  it("drops bytes at the front", function()
    append "abcdef"
    lib.buf_consume(b, 2)
    assert.equal("cdef", held())
    lib.buf_consume(b, 0)
    assert.equal("cdef", held())
    lib.buf_consume(b, 4)
    assert.equal("", held())
  end)

  it("uses the room at the front again before it asks for more", function()
    append(("x"):rep(60))
    lib.buf_reserve(b, 1)
    local capacity = tonumber(b.capacity)
    for _ = 1, 200 do
      lib.buf_consume(b, 30)
      append(("y"):rep(30))
    end
    assert.is_true(tonumber(b.capacity) <= math.max(capacity, 90))
    assert.equal(("y"):rep(60), held())
  end)

  it("refuses what no memory could hold and stays as it was", function()
    append "abc"
    assert.is_true(lib.buf_reserve(b, 0xffffffffffffffffULL) == nil)
    assert.equal(-units.ENOMEM, lib.buf_append(b, "x", 0xfffffffffffffffdULL))
    assert.equal("abc", held())
  end)

  if units.hard then
    it("without memory stays as it was", function()
      append "abc"
      lib.hard_fail_alloc(1)
      assert.equal(-units.ENOMEM, lib.buf_append(b, ("x"):rep(100), 100))
      lib.hard_fail_alloc(0)
      assert.equal("abc", held())
    end)
  end

  describe("find", function()
    it("counts from the front, 0 first", function()
      append "GET / HTTP/1.1\r\n"
      assert.equal(14, find "\r\n")
      assert.equal(0, find "GET")
    end)

    it("says -1 where it finds nothing, or holds nothing", function()
      assert.equal(-1, find "x")
      append "abc"
      assert.equal(-1, find "abcd")
      assert.equal(-1, find "d")
    end)

    it("finds what arrived in pieces", function()
      append "line\r"
      assert.equal(-1, find "\r\n")
      append "\nrest"
      assert.equal(4, find "\r\n")
    end)

    it("does not search twice what it has searched", function()
      append "abcdef"
      assert.equal(-1, find "\r\n")
      assert.equal(5, tonumber(b.searched)) -- the last byte may begin a match
      append "\r\n"
      assert.equal(6, find "\r\n")
    end)

    it("counts from the new front after bytes are consumed", function()
      append "abcdef"
      assert.equal(-1, find "\n")
      lib.buf_consume(b, 4)
      assert.equal(2, tonumber(b.searched))
      append "\n"
      assert.equal(2, find "\n")
      lib.buf_consume(b, 3)
      assert.equal(0, tonumber(b.searched))
    end)

    it("looks for something else after a rewind", function()
      append "a,b"
      assert.equal(-1, find "\n")
      rewind()
      assert.equal(1, find ",")
    end)

    it("from an offset on finds what lies there, whatever was searched", function()
      append "abcabc\r\n"
      assert.equal(-1, find "x")
      for _, case in ipairs { { 0, "a", 0 }, { 1, "a", 3 }, { 3, "abc", 3 }, { 4, "abc", -1 }, { 4, "\r\n", 6 },
        { 7, "\n", 7 }, { 8, "\n", -1 }, { 100, "\n", -1 }, { 0, ("a"):rep(9), -1 } } do
        assert.equal(case[3], find_from(case[1], case[2]))
      end
      lib.buf_consume(b, 2)
      assert.equal(1, find_from(0, "a"))
    end)

    it("finds the first of several, and overlapping ones", function()
      append "xxaxxax"
      assert.equal(2, find "a")
      assert.equal(1, find "xax")
    end)
  end)

  describe("giving the memory back", function()
    it("happens on release where nothing is held", function()
      append "abc"
      lib.buf_consume(b, 3)
      lib.buf_release(b)
      assert.is_true(b.bytes == nil)
      assert.equal(blocks, lib.sys_allocated())
    end)

    it("does not happen on release while something is held", function()
      append "abc"
      lib.buf_release(b)
      assert.equal("abc", held())
    end)

    it("happens on fini whatever is held, and the buffer can be used again", function()
      append "abc"
      lib.buf_fini(b)
      assert.equal(blocks, lib.sys_allocated())
      append "def"
      assert.equal("def", held())
    end)
  end)

  it("breaks a promise where more is consumed or committed than there is", function()
    local code = 'local b = ffi.new("struct buf") lib.buf_append(b, "abc", 3) lib.buf_%s(b, 100000)'
    assert.matches("assertion failed: n <= buf_len(b)", units.dying(code:format("consume")), 1, true)
    assert.matches("assertion failed: n <= buf_room(b)", units.dying(code:format("commit")), 1, true)
  end)

  it("lives a long random life as a string would", function()
    local random, model = units.random(77), ""

    local function bytes(n)
      local parts = {}
      for i = 1, n do parts[i] = string.char(96 + random(4)) end
      return table.concat(parts)
    end

    local function step()
      local what = random(10)
      if what <= 3 then
        local s = bytes(random(random(40)) - 1)
        append(s)
        model = model .. s
      elseif what == 4 then
        local s = bytes(random(30))
        ffi.copy(lib.buf_reserve(b, #s + random(50)), s, #s)
        lib.buf_commit(b, #s)
        model = model .. s
      elseif what <= 7 then
        local n = random(#model + 1) - 1
        if random(10) == 1 then n = #model end
        lib.buf_consume(b, n)
        model = model:sub(n + 1)
      elseif what == 8 then
        local n, c = random(#model + 1) - 1, bytes(1)
        local left = model:sub(1, n):gsub(c, "")
        assert.equal(#left, tonumber(lib.buf_drop(b, n, c:byte())))
        model = left .. model:sub(n + 1)
      elseif what == 9 then
        local s = bytes(random(6))
        rewind()
        local want = (model:find(s, 1, true) or 0) - 1
        for _ = 1, 3 do -- until it is found, piece by piece, without searching twice
          assert.equal(want, find(s))
          if want >= 0 then break end
          local more = bytes(random(5))
          append(more)
          model = model .. more
          want = (model:find(s, 1, true) or 0) - 1
        end
      else
        lib.buf_release(b)
      end
    end

    for n = 1, 20000 do
      step()
      lib.buf_check(b)
      if held() ~= model then error("step " .. n .. ": not what the string holds") end
      if #model == 0 and random(50) == 1 then lib.buf_release(b) end
    end
  end)
end)

-- Prints how many pages were faulted in for each MiB of large buffers, after a round of them.
local FAULTS = [[
local ffi = require "ffi"
require "moonpark.core"
ffi.cdef "void *malloc(size_t n); void *memset(void *p, int c, size_t n); void free(void *p);"
local function faults()
  local file = assert(io.open "/proc/self/stat")
  local count = file:read("*a"):match("%) %S+ %S+ %S+ %S+ %S+ %S+ %S+ (%d+)")
  file:close()
  return tonumber(count)
end
local function round()
  local held = {}
  for i = 1, 4 do held[i] = ffi.C.memset(ffi.C.malloc(1048576), 1, 1048576) end
  for i = 1, 4 do ffi.C.free(held[i]) end
end
round()
local before = faults()
for _ = 1, 25 do round() end
print((faults() - before) / 100)
]]

-- The sanitizers have an allocator of their own, and an emulator's pages are not the program's.
if not os.getenv "ASAN_OPTIONS" and jit.arch == "x64" then
  describe("memory that large buffers gave back", function()
    local function faults_with(env)
      local ran = process.run({ process.interpreter, "-joff", "-e", FAULTS }, { env = env })
      return assert(tonumber(ran.out), ran.err)
    end

    it("is not faulted in again for the next ones", function()
      assert.is_true(faults_with({}) < 10)
    end)

    it("leaves the process at once if the environment says so", function()
      assert.is_true(faults_with({ MALLOC_TRIM_THRESHOLD_ = "131072" }) > 200)
    end)
  end)
end

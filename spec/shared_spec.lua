-- SPDX-License-Identifier: MIT
-- shared_spec.lua - moonpark.shared: dicts and counters by name, as scripts see them.

local ffi = require "ffi"
local core = require "moonpark.core"
local moonpark = require "moonpark"
local process = require "support.process"
local testing = require "moonpark.testing"

local shared = moonpark.shared
local segments = require "moonpark.shared.segments"

ffi.cdef "int shared_spec_dup(int fd) __asm__(\"dup\");"

local count = 0
local function name()
  count = count + 1
  return "spec " .. count
end

-- fn(...) must raise, with the line of its call in this file.
local function raises(text, fn)
  local ok, err = pcall(fn)
  assert.is_false(ok)
  local line = debug.getinfo(fn, "S").linedefined
  assert.truthy(tostring(err):find(("shared_spec.lua:%d: "):format(line), 1, true), err)
  assert.truthy(tostring(err):find(text, 1, true), err)
end

describe("shared.dict", function()
  local d

  before_each(function() d = assert(shared.dict(name(), { size = "64k" })) end)
  after_each(function() core.check() end)

  describe("by name", function()
    it("is the same for the same name", function()
      local n = name()
      local first = shared.dict(n, { size = "1m" })
      first:set("key", "value")
      assert.equal(first, shared.dict(n))
      assert.equal(first, shared.dict(n, { size = 2 ^ 20 }))
      assert.equal("value", shared.dict(n):get "key")
    end)

    it("has 1 MiB by default, and takes sizes in words", function()
      assert.equal(2 ^ 20, shared.dict(name()):stats().size)
      assert.equal(70000, shared.dict(name(), { size = 70000 }):stats().size)
      assert.equal(2 ^ 21, shared.dict(name(), { size = "2M" }):stats().size)
      assert.equal(66560, shared.dict(name(), { size = "65k" }):stats().size)
    end)

    it("says what it is", function()
      assert.equal("shared dict 'of mine'", tostring(shared.dict("of mine")))
    end)

    it("outlives every reference to it", function()
      local n = name()
      shared.dict(n):set("key", "value")
      collectgarbage()
      collectgarbage()
      assert.equal("value", shared.dict(n):get "key")
    end)

    it("raises for another size or kind than it has", function()
      local n, c = name(), name()
      shared.dict(n, { size = "1m" })
      raises(("shared.dict '%s' has 1048576 bytes, not 2097152"):format(n),
        function() shared.dict(n, { size = "2m" }) end)
      raises(("shared.counter '%s' is a dict already"):format(n), function() shared.counter(n) end)
      shared.counter(c)
      raises(("shared.dict '%s' is a counter already"):format(c), function() shared.dict(c) end)
    end)

    it("raises for names and sizes that are none", function()
      raises("string expected, got nil", function() shared.dict() end)
      raises("a name has 1 to 127 bytes, none of them zero", function() shared.dict "" end)
      raises("a name has 1 to 127 bytes", function() shared.dict(("x"):rep(128)) end)
      raises("a name has 1 to 127 bytes", function() shared.dict "a\0b" end)
      raises("must be at least 65536 bytes and at most 1099511627776, got 65535",
        function() shared.dict(name(), { size = 65535 }) end)
      raises("must be a whole number of bytes", function() shared.dict(name(), { size = 66560.5 }) end)
      raises('text such as "512k"', function() shared.dict(name(), { size = "10 MB" }) end)
      raises("unknown option 'sise'; did you mean 'size'?", function() shared.dict(name(), { sise = 1 }) end)
      raises("table expected, got number", function() shared.dict(name(), 65536) end)
    end)
  end)

  describe("memory", function()
    local function mapped(what)
      local file = assert(io.open "/proc/self/maps")
      local _, n = file:read("*a"):gsub("memfd:" .. what, "")
      file:close()
      return n
    end

    it("stays mapped as long as a dict can be reached", function()
      local dict = core.shared_dict()
      assert.is_true(core.shared_dict_open(dict, core.shared_memory("reachable", 65536), "reachable", 65536))
      collectgarbage()
      assert.equal(1, mapped "reachable")
      assert.is_nil(dict:get "key")
      dict = nil -- luacheck: ignore 311
      collectgarbage()
      collectgarbage()
      assert.equal(0, mapped "reachable")
    end)

    it("that is gone is no crash for a finalizer that comes later", function()
      local script = [[
        local early = newproxy(true)
        local dict, counter
        getmetatable(early).__gc = function()
          print(pcall(dict.get, dict, "key"))
          print(pcall(dict.set, dict, "key", 1))
          print(pcall(counter.get, counter))
        end
        local shared = require "moonpark.shared"
        dict, counter = shared.dict "one", shared.counter "two"
        early = nil
      ]]
      local result = process.run { process.interpreter, "-e", script }
      assert.equal(0, result.status)
      local _, closed = result.out:gsub("false\t[^\n]*shared [a-z]+ is closed\n", "")
      assert.equal(3, closed, result.out .. result.err)
    end)
  end)

  describe("memory from elsewhere", function()
    after_each(function() segments.set_source(nil) end)

    it("is asked for by kind, name and size", function()
      local asked
      segments.set_source(function(...)
        asked = { ... }
        return core.shared_memory("elsewhere", 65536)
      end)
      local n = name()
      assert.truthy(shared.dict(n, { size = 65536 }))
      assert.same({ "dict", n, 65536 }, asked)
    end)

    it("that cannot be had is no error of the script", function()
      segments.set_source(function() return nil, "too many open files", 24 end)
      assert.same({ nil, "too many open files", 24, n = 3 }, { n = select("#", shared.dict "far"), shared.dict "far" })
    end)

    it("of another size or kind raises, and nothing is left open", function()
      segments.set_source(function() return core.shared_memory("elsewhere", 131072) end)
      raises("has 131072 bytes, not 65536", function() shared.dict("elsewhere", { size = 65536 }) end)
      local all, fd = core.shared_counters(), core.shared_memory("elsewhere", 65536)
      assert.is_true(core.shared_counters_open(all, ffi.C.shared_spec_dup(fd), "elsewhere"))
      segments.set_source(function() return fd end)
      raises("shared.dict 'elsewhere' is of the kind 'counters', not 'dict'",
        function() shared.dict("elsewhere", { size = 65536 }) end)
    end)
  end)

  describe("values", function()
    it("are strings, numbers and booleans, and come back as they were", function()
      for _, value in ipairs { "", "text", "a\0b", ("long"):rep(5000), 0, -1.5, 2 ^ 53, math.huge, true, false } do
        assert.is_true(d:set("key", value))
        assert.equal(value, d:get "key")
      end
    end)

    it("of other types raise, with the type", function()
      raises("a table cannot be shared", function() d:set("key", {}) end)
      raises("a function cannot be shared", function() d:set("key", print) end)
      raises("a nil cannot be shared", function() d:set("key", nil) end)
      raises("a userdata cannot be shared", function() d:add("key", d) end)
      raises("a thread cannot be shared", function() d:replace("key", coroutine.create(print)) end)
      raises("a cdata cannot be shared", function() d:compare_and_set("key", nil, 1LL) end)
      raises("a table cannot be shared", function() d:compare_and_set("key", {}, 1) end)
    end)

    it("have keys: strings of 1 to 65535 bytes", function()
      raises("string expected as key, got nil", function() d:get() end)
      raises("string expected as key, got number", function() d:get(1) end)
      raises("string expected as key, got table", function() d:set({}, 1) end)
      raises("key is empty", function() d:get "" end)
      raises("key is empty", function() d:incr "" end)
      raises("key is longer than 65535 bytes", function() d:delete(("x"):rep(65536)) end)
    end)

    it("are methods' alone: self must be a dict", function()
      raises("shared dict expected, got table", function() d.get({}, "key") end)
      raises("shared dict expected, got nil", function() d.set(nil, "key", 1) end)
      raises("shared dict expected, got userdata", function() d.incr(io.stdout, "key") end)
      raises("shared dict expected, got userdata", function() d.get(newproxy(), "key") end)
      raises("shared dict expected, got string", function() d.get "key" end)
    end)
  end)

  it("get returns nil for what is not there", function()
    assert.equal(1, select("#", d:get "nothing"))
    assert.is_nil(d:get "nothing")
  end)

  it("set says whether others had to go for it", function()
    assert.same({ true, false }, { d:set("key", "value") })
    local evicted
    for i = 1, 1000 do
      evicted = select(2, d:set("key" .. i, ("x"):rep(70)))
      if evicted then break end
    end
    assert.is_true(evicted)
    assert.equal(1, d:stats().evicted)
    assert.same({ nil, "no memory" }, { d:set("large", ("x"):rep(60000)) })
    assert.same({ nil, "no memory" }, { d:add("large", ("x"):rep(60000)) })
    assert.is_nil(d:get "large")
  end)

  it("add, replace, delete", function()
    assert.same({ nil, "not found" }, { d:replace("key", 1) })
    assert.same({ true, false }, { d:add("key", 1) })
    assert.same({ nil, "exists" }, { d:add("key", 2) })
    assert.same({ true, false }, { d:replace("key", 3) })
    assert.equal(3, d:get "key")
    assert.is_true(d:delete "key")
    assert.is_false(d:delete "key")
  end)

  it("incr adds to numbers, and begins where it is told to", function()
    assert.same({ nil, "not found" }, { d:incr("n") })
    assert.same({ nil, "not found" }, { d:incr("n", 5) })
    assert.same({ 15, false }, { d:incr("n", 5, 10) })
    assert.same({ 16, false }, { d:incr("n") })
    assert.same({ 15.5, false }, { d:incr("n", -0.5, 100) })
    d:set("text", "1")
    assert.same({ nil, "not a number" }, { d:incr("text") })
    raises("number expected, got string", function() d:incr("n", "many") end)
  end)

  it("compare_and_set changes only what has not changed", function()
    assert.same({ nil, "changed" }, { d:compare_and_set("key", "a", "b") })
    assert.same({ true, false }, { d:compare_and_set("key", nil, "a") })
    assert.same({ nil, "changed" }, { d:compare_and_set("key", nil, "b") })
    assert.same({ nil, "changed" }, { d:compare_and_set("key", 1, "b") })
    assert.same({ true, false }, { d:compare_and_set("key", "a", false) })
    assert.same({ nil, "changed" }, { d:compare_and_set("key", true, 1) })
    assert.same({ true, false }, { d:compare_and_set("key", false, 1) })
    assert.equal(1, d:get "key")
  end)

  describe("time", function()
    it("ends entries, by the clock of moonpark.now", function()
      local clock = testing.clock()
      d:set("short", "lived", 10)
      d:set("long", "lived")
      d:incr("count", 1, 0, 20)
      assert.equal(10, d:ttl "short")
      assert.equal(math.huge, d:ttl "long")
      clock:advance(9.5)
      assert.equal("lived", d:get "short")
      assert.equal(0.5, d:ttl "short")
      d:incr("count", 1, 0, 1000)
      clock:advance(0.5)
      assert.is_nil(d:get "short")
      assert.same({ nil, "not found" }, { d:ttl "short" })
      assert.is_true((d:add("short", "again")))
      clock:advance(10)
      assert.is_nil(d:get "count", "the ttl is of the first call")
      assert.equal(2, d:stats().expired)
    end)

    it("is set anew by each write, and by expire", function()
      local clock = testing.clock()
      d:set("key", 1, 10)
      d:set("key", 2)
      assert.equal(math.huge, d:ttl "key")
      assert.is_true(d:expire("key", 5))
      assert.equal(5, d:ttl "key")
      assert.is_true(d:expire("key", math.huge))
      assert.equal(math.huge, d:ttl "key")
      d:expire("key", 5)
      clock:advance(5)
      assert.same({ nil, "not found" }, { d:expire("key", 5) })
      assert.same({ nil, "not found" }, { d:expire("never", 5) })
    end)

    it("is a positive number of seconds", function()
      raises("positive number of seconds expected", function() d:set("key", 1, 0) end)
      raises("positive number of seconds expected", function() d:set("key", 1, -1) end)
      raises("positive number of seconds expected", function() d:expire("key", 0 / 0) end)
      raises("number expected, got string", function() d:set("key", 1, "soon") end)
      raises("value expected", function() d:expire "key" end)
    end)
  end)

  it("keys lists the most recently used first, without those that are over", function()
    local clock = testing.clock()
    for i = 1, 5 do d:set("key" .. i, i) end
    d:set("over", 1, 1)
    clock:advance(1)
    d:get "key2"
    assert.same({ "key2", "key5", "key4", "key3", "key1" }, d:keys())
    assert.same({ "key2", "key5" }, d:keys(2))
    assert.equal(5, #d:keys(math.huge))
    raises("whole number of at least 1", function() d:keys(0) end)
    for i = 1, 300 do d:set("more" .. i, i) end
    assert.equal(305, #d:keys())
  end)

  it("keys has 1024 by default", function()
    local large = shared.dict(name(), { size = "4m" })
    for i = 1, 2000 do large:set("key" .. i, i) end
    assert.equal(1024, #large:keys())
    assert.equal(2000, #large:keys(5000))
  end)

  it("flush removes all", function()
    for i = 1, 100 do d:set("key" .. i, ("x"):rep(i * 3)) end
    assert.equal(100, d:stats().entries)
    d:flush()
    assert.same({}, d:keys())
    local stats = d:stats()
    assert.same({ 0, 0, 0 }, { stats.entries, stats.bytes, stats.evicted })
    assert.is_nil(d:get "key1")
  end)

  it("takes the same calls interpreted and compiled", function()
    local wrong = 0
    for i = 1, 3000 do
      local key = "key" .. i % 50
      d:set(key, i)
      if d:get(key) ~= i or d:incr(key, 1) ~= i + 1 then wrong = wrong + 1 end
      d:set(key, "text" .. i)
      if d:get(key) ~= "text" .. i then wrong = wrong + 1 end
      d:set(key, i % 2 == 0)
      if d:get(key) ~= (i % 2 == 0) then wrong = wrong + 1 end
      if d:get "none" ~= nil then wrong = wrong + 1 end
    end
    assert.equal(0, wrong)
  end)
end)

describe("shared.counter", function()
  after_each(function() core.check() end)

  it("counts whole numbers by name", function()
    local n = name()
    local c = shared.counter(n)
    assert.equal(0, c:get())
    assert.equal(1, c:add())
    assert.equal(11, c:add(10))
    assert.equal(8, c:add(-3))
    c:set(100)
    assert.equal(100, shared.counter(n):get())
    assert.equal(c, shared.counter(n))
    assert.equal(("shared counter '%s'"):format(n), tostring(c))
  end)

  it("stays within 2^53", function()
    local c = shared.counter(name())
    c:set(2 ^ 53)
    assert.same({ nil, "out of range" }, { c:add() })
    assert.equal(2 ^ 53, c:get())
    assert.equal(0, c:add(-2 ^ 53))
    assert.equal(-2 ^ 53, c:add(-2 ^ 53))
    assert.same({ nil, "out of range" }, { c:add(-1) })
    for _, n in ipairs { 0.5, 2 ^ 54, math.huge, 0 / 0 } do
      raises("whole number within 2^53 expected", function() c:add(n) end)
      raises("whole number within 2^53 expected", function() c:set(n) end)
    end
    raises("number expected, got no value", function() c:set() end)
  end)

  it("raises for names that are none", function()
    raises("string expected, got number", function() shared.counter(1) end)
    raises("a name has 1 to 55 bytes", function() shared.counter(("x"):rep(56)) end)
    assert.equal(0, shared.counter(("y"):rep(55)):get())
  end)

  it("has room for hundreds of names, and says so when there is none left", function()
    local all, made = core.shared_counters(), 0
    assert.is_true(core.shared_counters_open(all, core.shared_memory("counters", 65536), "counters"))
    repeat
      local c, err = core.shared_counter(all, "c" .. made)
      if c then
        made = made + 1
        c:set(made)
      else
        assert.equal("no memory", err)
      end
    until not c
    assert.is_true(made > 700)
    for i = 1, made do assert.equal(i, core.shared_counter(all, "c" .. i - 1):get()) end
  end)
end)

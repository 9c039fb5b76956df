-- SPDX-License-Identifier: MIT
-- dict_spec.lua - a dict alone: against a model, when it is full, with keys that collide, in memory of any size.

local ffi = require "ffi"
local shared = require "support.shared"
local units = require "support.units"
local lib, C = units.lib, ffi.C

local LEAST = C.DICT_SIZE_MIN

describe("a dict", function()
  local opened, blocks

  before_each(function() opened, blocks = {}, lib.sys_allocated() end)

  after_each(function()
    for _, d in ipairs(opened) do
      assert.is_nil(d:fault())
      d:close()
    end
    for _, d in ipairs(opened) do
      if d.owns then units.close(d.fd) end
    end
    assert.equal(blocks, lib.sys_allocated())
  end)

  local function open(size, fd, name)
    local d, why = shared.open(size, fd, name)
    if not d then return nil, why end
    d.owns = not fd
    opened[#opened + 1] = d
    return d
  end

  local function fill_until_evicted(d, value)
    for i = 1, 1e6 do
      local r, evicted = d:set("key" .. i, value)
      assert.equal(0, r)
      if evicted then return i end
    end
  end

  describe("of any size", function()
    local sizes = { LEAST, LEAST + 1, LEAST + 127, 100003, 2 ^ 17, 2 ^ 20 - 1, 2 ^ 21, 3000001, 2 ^ 23 + 4097 }
    for _, size in ipairs(sizes) do
      it(("%d bytes is whole, stays within them, and holds what it says"):format(size), function()
        local d = open(size)
        assert.is_nil(d:fault())
        local n = fill_until_evicted(d, ("x"):rep(50))
        local stats = d:stats()
        assert.is_true(tonumber(stats.bytes) <= size)
        assert.is_true(tonumber(stats.bytes) > (size - C.SEGMENT_CONTENTS) * 0.8, "much is not used")
        assert.equal(n - tonumber(stats.evicted), tonumber(stats.entries))
        d:flush()
        assert.equal(0, tonumber(d:stats().bytes))
      end)
    end

    it("has shards of a mebibyte and more", function()
      assert.equal(1, open(2 ^ 20).d.shards)
      assert.equal(1, open(2 ^ 21 - 1).d.shards)
      assert.equal(8, open(10 * 2 ^ 20).d.shards)
    end)
  end)

  describe("that is full", function()
    it("forgets the least recently used first, and counts them", function()
      local d = open(LEAST)
      local n = fill_until_evicted(d, ("x"):rep(50))
      assert.is_nil(d:get "key1")
      assert.truthy(d:get "key2")
      d:set("another", "x")
      assert.truthy(d:get "key2", "it was used just now")
      assert.is_nil(d:get "key3")
      assert.equal(2, tonumber(d:stats().evicted))
      assert.equal("key2", d:keys()[1])
      assert.equal(n - 1, #d:keys())
    end)

    it("counts those that were over apart", function()
      local d = open(LEAST)
      d:set("short", "lived", 10)
      lib.clock_advance_to(d.clock, 2000)
      local n = fill_until_evicted(d, ("x"):rep(50))
      assert.equal(1, tonumber(d:stats().expired))
      assert.equal(1, tonumber(d:stats().evicted))
      assert.equal(n - 1, tonumber(d:stats().entries))
    end)

    it("refuses what needs more than half of a shard, and leaves the rest as it is", function()
      local d = open(LEAST)
      local half = math.floor(d.d.shard[0].chunks.count / 2)
      local most = C.CHUNK_FIRST + (half - 1) * C.CHUNK_NEXT - #"key"
      d:set("other", "stays")
      assert.equal(C.DICT_NO_ROOM, (d:set("key", ("x"):rep(most + 1))))
      assert.equal("stays", d:get "other")
      assert.equal(0, (d:set("key", ("x"):rep(most))))
      assert.equal(most, #d:get "key")
      assert.equal(0, (d:set("key", ("y"):rep(most))))
      assert.equal(("y"):rep(most), d:get "key")
    end)
  end)

  describe("with keys that collide", function()
    it("keeps those of one bucket apart", function()
      local d = open(LEAST)
      local mask, keys, want = d.d.shard[0].mask, {}, nil
      for i = 1, 1e6 do
        local key = "c" .. i
        local bucket = bit.band(tonumber(bit.band(d:key(key).hash, 0xffffffffULL)), mask)
        want = want or bucket
        if bucket == want then keys[#keys + 1] = key end
        if #keys == 40 then break end
      end
      for i, key in ipairs(keys) do d:set(key, i) end
      for i = 1, #keys, 2 do assert.is_true(d:delete(keys[i])) end
      for i, key in ipairs(keys) do assert.equal(i % 2 == 0 and i or nil, d:get(key)) end
    end)

    it("keeps those of the same 32 bits apart", function()
      local d, seen = open(LEAST), {}
      for i = 1, 1e6 do
        local key = "k" .. i
        local hash = tonumber(bit.band(d:key(key).hash, 0xffffffffULL))
        if seen[hash] and #seen[hash] == #key then
          d:set(key, "one")
          d:set(seen[hash], "other")
          assert.equal("one", d:get(key))
          assert.equal("other", d:get(seen[hash]))
          return
        end
        seen[hash] = key
      end
      error("no two of a million keys have the same 32 bits")
    end)

    it("finds keys of every length, and only whole ones", function()
      local d = open(2 ^ 20)
      local long = ("0123456789abcdef"):rep(4096)
      for _, n in ipairs { 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 71, 72, 73, 79, 80, 81, 203, 204, 205, 1000, 65535 } do
        local key = long:sub(1, n)
        for _, value in ipairs { n, "v" .. n, true } do
          d:set(key, value)
          assert.equal(value, d:get(key))
        end
        assert.is_nil(d:get(key:sub(1, -2) .. "z"))
      end
    end)
  end)

  describe("keeps values as they are:", function()
    it("strings of any length and any bytes", function()
      local d = open(2 ^ 20)
      local bytes = {}
      for i = 0, 255 do bytes[#bytes + 1] = string.char(i) end
      local all = table.concat(bytes):rep(20)
      for _, n in ipairs { 0, 1, 76, 77, 78, 200, 201, 202, 255, 1000, 4095, 4096, 4097, 5120 } do
        d:set("key", all:sub(1, n))
        assert.equal(all:sub(1, n), d:get "key")
      end
    end)

    it("numbers to the last bit", function()
      local d = open(LEAST)
      for _, number in ipairs { 0, -1, 0.1, 2 ^ 53 + 2, -2 ^ -1074, 1.7976931348623157e308, math.huge, -math.huge } do
        d:set("n", number)
        assert.equal(number, d:get "n")
      end
      d:set("n", -1 / math.huge) -- -0
      assert.equal(-math.huge, 1 / d:get "n")
      d:set("n", 0 / 0)
      assert.is_true(d:get "n" ~= d:get "n")
      assert.equal(0, (d:compare_and_set("n", 0 / 0, 1)))
    end)
  end)

  -- One long life, which a table and a list of the order follow.
  it("does what a table does, in 2500 random calls", function()
    local seed = 20261129
    print("seed " .. seed)
    local random = units.random(seed)
    local d, model, order = open(LEAST), {}, {}

    local function drop(key)
      model[key] = nil
      for i, other in ipairs(order) do
        if other == key then table.remove(order, i) end
      end
    end

    local function use(key)
      for i, other in ipairs(order) do
        if other == key then table.remove(order, i) end
      end
      order[#order + 1] = key
    end

    local function over(key)
      local entry = model[key]
      if entry and entry.ends and entry.ends <= d.clock.now then drop(key) end
      return model[key]
    end

    -- What had to go went from the front; what stays is the end of the order.
    local function settle()
      local keys = d:keys()
      local have = {}
      for _, key in ipairs(keys) do have[key] = true end
      local front = true
      for _, key in ipairs { unpack(order) } do
        local gone = not have[key]
        if gone and not over(key) then goto continue end
        if gone then
          assert.is_true(front, key .. " went before its time")
          drop(key)
        else
          front = false
        end
        ::continue::
      end
      for i, key in ipairs(keys) do assert.equal(order[#order - i + 1], key) end
      assert.equal(#order, #keys)
    end

    local function some_value()
      local kind = random(6)
      if kind == 1 then return random(1000) - 500 end
      if kind == 2 then return random(2) == 1 end
      return string.char(96 + random(26)):rep(random(kind == 3 and 3000 or 150))
    end

    local function put(key, value, ttl)
      model[key] = { value = value, ends = ttl > 0 and d.clock.now + ttl or nil }
      use(key)
    end

    local calls = {
      function(key)
        local entry = over(key)
        assert.equal(entry and entry.value, d:get(key))
        if entry then use(key) end
      end,
      function(key)
        local value, ttl = some_value(), random(3) == 1 and random(200) or 0
        assert.equal(0, (d:set(key, value, ttl)))
        put(key, value, ttl)
      end,
      function(key)
        local value, there = some_value(), over(key)
        assert.equal(there and C.DICT_EXISTS or 0, (d:add(key, value)))
        if not there then put(key, value, 0) end
      end,
      function(key)
        local value, there = some_value(), over(key)
        assert.equal(there and 0 or C.DICT_NOT_FOUND, (d:replace(key, value)))
        if there then put(key, value, 0) end
      end,
      function(key)
        local entry, value = over(key), some_value()
        local old = random(2) == 1 and entry and entry.value or nil
        local same = (entry and entry.value) == old
        assert.equal(same and 0 or C.DICT_CHANGED, (d:compare_and_set(key, old, value)))
        if same then put(key, value, 0) end
      end,
      function(key)
        local there = over(key) ~= nil
        assert.equal(there, d:delete(key))
        drop(key)
      end,
      function(key)
        local entry, by = over(key), random(100)
        local sum = d:incr(key, by, 7)
        if not entry then
          assert.equal(7 + by, sum)
          put(key, sum, 0)
        elseif type(entry.value) == "number" then
          assert.equal(entry.value + by, sum)
          entry.value = sum
          use(key)
        else
          assert.is_nil(sum)
        end
      end,
      function(key)
        local entry, ttl = over(key), random(100)
        assert.equal(entry and 0 or C.DICT_NOT_FOUND, d:expire(key, ttl))
        if entry then entry.ends = d.clock.now + ttl end
      end,
      function() lib.clock_advance_to(d.clock, d.clock.now + random(20)) end,
    }

    for i = 1, 2500 do
      local key = "key" .. random(400)
      calls[random(#calls)](key)
      settle()
      if i % 500 == 0 then assert.is_nil(d:fault()) end
      if i % 2100 == 0 then
        d:flush()
        model, order = {}, {}
      end
    end
    assert.is_true(tonumber(d:stats().evicted) > 50, "it was never full")
    assert.is_true(tonumber(d:stats().expired) > 20, "hardly anything was over")
  end)

  describe("of other memory", function()
    it("is refused for its name, its kind, its size, and for being none", function()
      local d = open(LEAST)
      local function refused(why, size, fd, name)
        local other, reason = shared.open(size, fd, name)
        assert.is_nil(other)
        assert.equal(why, reason)
      end
      refused(C.SEGMENT_OTHER_SIZE, 2 * LEAST, d.fd, "spec")
      refused(C.SEGMENT_OTHER_NAME, LEAST, d.fd, "other")
      local counters, fd = ffi.new "struct counters", lib.sys_memfd("counters", C.COUNTERS_SIZE)
      assert.equal(0, lib.counters_open(counters, fd, "spec"))
      refused(C.SEGMENT_OTHER_KIND, C.COUNTERS_SIZE, fd, "spec")
      lib.counters_close(counters)
      local file = units.file()
      refused(C.SEGMENT_NOT_ONE, LEAST, file, "spec")
      units.close(fd, file)
    end)

    it("that something has written over is refused, or emptied after its last user has died", function()
      local d = open(LEAST)
      d:set("key", "value")
      local entry = ffi.cast("struct shard_entry *", d.d.shard[0].chunks.at)
      local hash = entry.hash
      entry.hash = hash + 1
      local other, reason = shared.open(LEAST, d.fd)
      assert.is_nil(other)
      assert.equal(C.SEGMENT_DAMAGED, reason)
      assert.equal("an entry has another key", d:fault())
      local dead = 77 -- nobody has that place
      d.d.shard[0].head.lock.owner = dead
      assert.is_nil(d:get "key")
      assert.equal(1, tonumber(d:stats().emptied))
      assert.equal(0, tonumber(d:stats().entries))
    end)

    -- Each word of the shard, one at a time: what leads astray is found, and nothing outside is touched.
    it("is checked without trusting any word of it", function()
      local d = open(LEAST)
      for i = 1, 30 do d:set("key" .. i, ("v"):rep(i * 10)) end
      local shard = d.d.shard[0]
      local words, wrong = ffi.cast("uint32_t *", shard.head), 0
      for at = 0, shard.words - 1, 7 do
        local old = words[at]
        if at ~= 0 then -- the lock
          words[at] = bit.bxor(old, 0x5a5a5a5a)
          if lib.shard_fault(shard, d.d.segment.seed, d.d.marks, d.d.key) ~= nil then wrong = wrong + 1 end
          words[at] = old
        end
      end
      assert.is_true(wrong > 80, "hardly any damage was found: " .. wrong)
    end)
  end)

  it("gives a place to each process, and no more than there are", function()
    local d = open(LEAST)
    local users = {}
    for i = 1, C.ALIVE_MOST - 1 do users[i] = assert(shared.open(LEAST, d.fd)) end
    local more, why = shared.open(LEAST, d.fd)
    assert.is_nil(more)
    assert.is_true(why < 0)
    users[10]:close()
    users[10] = assert(shared.open(LEAST, d.fd))
    for _, user in ipairs(users) do user:close() end
  end)
end)

-- SPDX-License-Identifier: MIT
-- expired_spec.lua - dicts that keep what is over, and writes that evict nothing.

local moonpark = require "moonpark"
local shared = require "moonpark.shared"
local testing = require "moonpark.testing"

local number = 0

local function dict(options)
  number = number + 1
  return assert(shared.dict("expired " .. number, options))
end

describe("a dict with keep_expired", function()
  before_each(function() testing.clock() end)

  it("finds what is over by get_stale, and nowhere else", function()
    local d = dict { keep_expired = true }
    d:set("a", "value", 1)
    d:set("b", 5)
    assert.same({ "value", false }, { d:get_stale "a" })
    moonpark.sleep(2)
    assert.is_nil(d:get "a")
    assert.same({ "value", true }, { d:get_stale "a" })
    assert.same({ 5, false }, { d:get_stale "b" })
    assert.same({ "b" }, d:keys())
    assert.is_true(d:ttl "a" < 0)
    assert.same({ nil, "not found" }, { d:incr("a", 1) })
    assert.same({ nil, "not found" }, { d:replace("a", 1) })
    assert.same({ "value", true }, { d:get_stale "a" })
    assert.is_true(d:expire("a", 1))
    assert.equal("value", d:get "a")
  end)

  it("replaces what is over by what is written", function()
    local d = dict { keep_expired = true }
    for _, write in ipairs { "set", "add", "safe_set", "safe_add" } do
      d:set("k", "old", 1)
      moonpark.sleep(2)
      assert.is_true((d[write](d, "k", "new")))
      assert.same({ "new", false }, { d:get_stale "k" })
      assert.equal(1, d:stats().entries)
    end
    d:set("n", 1, 1)
    moonpark.sleep(2)
    assert.equal(7, (d:incr("n", 2, 5)))
    d:set("n", 1, 1)
    moonpark.sleep(2)
    assert.is_false(d:delete "n")
    assert.is_nil(d:get_stale "n")
  end)

  it("gives the room of what is over back", function()
    local d = dict { keep_expired = true }
    for i = 1, 10 do d:set("k" .. i, i, i <= 6 and 1 or nil) end
    moonpark.sleep(2)
    assert.equal(4, d:flush_expired(4))
    assert.equal(2, d:flush_expired())
    assert.equal(0, d:flush_expired())
    assert.equal(4, d:stats().entries)
    d:expire_all()
    assert.same({}, d:keys())
    assert.equal(4, d:flush_expired())
    assert.equal(0, d:stats().bytes)
  end)
end)

describe("a write that is safe", function()
  local FULL = ("x"):rep(1000)

  local function filled(options)
    local d, n = dict(options or { size = "64k" }), 0
    while d:safe_set("k" .. n, FULL) do n = n + 1 end
    return d, n
  end

  it("evicts nothing", function()
    local d, n = filled()
    assert.same({ nil, "no memory" }, { d:safe_set("more", FULL) })
    assert.same({ nil, "no memory" }, { d:safe_add("more", FULL) })
    assert.equal(n, d:stats().entries)
    assert.equal(0, d:stats().evicted)
    assert.same({ true, true }, { d:set("more", FULL) })
  end)

  it("takes the place of its key's value", function()
    local d, n = filled()
    for i = 0, n - 1 do assert.is_true((d:safe_set("k" .. i, ("y"):rep(1000)))) end
    assert.is_true((d:safe_compare_and_set("k0", ("y"):rep(1000), ("z"):rep(1000))))
    assert.same({ nil, "changed" }, { d:safe_compare_and_set("k0", "other", "z") })
    assert.equal(("z"):rep(1000), d:get "k0")
    assert.equal(n, d:stats().entries)
    assert.equal(0, d:stats().evicted)
  end)

  it("takes the room of what is over", function()
    testing.clock()
    local d = dict { size = "64k", keep_expired = true }
    local n = 0
    while d:safe_set("old" .. n, FULL, 1) do n = n + 1 end
    moonpark.sleep(2)
    for i = 1, n do assert.same({ true, false }, { d:safe_add("new" .. i, FULL) }) end
    assert.is_nil((d:safe_add("more", FULL)))
  end)
end)

describe("compare_and_delete", function()
  it("deletes only what it was told of", function()
    local d = dict()
    d:set("k", "v")
    assert.same({ nil, "changed" }, { d:compare_and_delete("k", "w") })
    assert.same({ nil, "changed" }, { d:compare_and_delete("none", "w") })
    assert.equal("v", d:get "k")
    assert.is_true(d:compare_and_delete("k", "v"))
    assert.is_nil(d:get "k")
    assert.is_false((pcall(d.compare_and_delete, d, "k", nil)))
  end)
end)

-- SPDX-License-Identifier: MIT
-- proxy_balance_spec.lua - which target each policy chooses, and what becomes of the choices when targets come and go.

local balance = require "moonpark.http.proxy_balance"

local policies = balance.policies

local function targets(weights)
  local list = {}
  for i, weight in ipairs(weights) do
    list[i] = { name = "http://10.0.0." .. i, weight = weight, share = weight, in_flight = 0, current = 0 }
  end
  return list
end

local function chosen(policy, list, key, load) return policies[policy](list, #list, key, load) end

local function letters(policy, list, n)
  local text = {}
  for i = 1, n do
    local target = chosen(policy, list)
    for at, one in ipairs(list) do
      if one == target then text[i] = ("abcdefgh"):sub(at, at) end
    end
  end
  return table.concat(text)
end

describe("round_robin", function()
  it("takes turns", function() assert.equal("abcabcabc", letters("round_robin", targets { 1, 1, 1 }, 9)) end)

  it("spreads the turns of a heavy target, and gives each exactly its share", function()
    assert.equal("aabacaa", letters("round_robin", targets { 5, 1, 1 }, 7))
    local list = targets { 7, 3, 1, 0.5 }
    local counts = {}
    for _ = 1, 2300 do
      local target = chosen("round_robin", list)
      counts[target] = (counts[target] or 0) + 1
    end
    assert.same({ 1400, 600, 200, 100 }, { counts[list[1]], counts[list[2]], counts[list[3]], counts[list[4]] })
  end)
end)

describe("least_connections", function()
  it("takes the one with the fewest requests for its weight, whatever comes and goes", function()
    math.randomseed(20261129)
    local list = targets { 1, 2, 3, 1 }
    for _ = 1, 20000 do
      local target = chosen("least_connections", list)
      for _, other in ipairs(list) do
        assert.is_true((target.in_flight + 1) / target.weight <= (other.in_flight + 1) / other.weight)
      end
      target.in_flight = target.in_flight + 1
      local leaving = list[math.random(#list)]
      leaving.in_flight = math.max(0, leaving.in_flight - math.random(0, 2))
    end
  end)

  it("fills them evenly, and takes turns among equals", function()
    local list = targets { 1, 1, 1 }
    assert.equal("abcabc", letters("least_connections", list, 6))
    for _ = 1, 300 do
      local target = chosen("least_connections", list)
      target.in_flight = target.in_flight + 1
    end
    assert.same({ 100, 100, 100 }, { list[1].in_flight, list[2].in_flight, list[3].in_flight })
  end)
end)

describe("random_two", function()
  it("never takes the busiest of three or more, and the other one of two only if it is not busier", function()
    local list = targets { 1, 1, 1 }
    list[2].in_flight = 5
    for _ = 1, 1000 do assert.not_equal(list[2], chosen("random_two", list)) end
    local two = targets { 1, 1 }
    two[1].in_flight = 1
    for _ = 1, 100 do assert.equal(two[2], chosen("random_two", two)) end
    assert.equal("aaa", letters("random_two", targets { 1 }, 3))
  end)

  it("keeps many targets close to each other", function()
    local list = targets { 1, 1, 1, 1, 1, 1, 1, 1 }
    for _ = 1, 8000 do
      local target = chosen("random_two", list)
      target.in_flight = target.in_flight + 1
    end
    for _, target in ipairs(list) do assert.is_true(math.abs(target.in_flight - 1000) < 20, target.in_flight) end
  end)
end)

describe("hash", function()
  local KEYS = 20000

  local function assigned(list)
    local of = {}
    for i = 1, KEYS do of[i] = chosen("hash", list, "user-" .. i) end
    return of
  end

  local function counted(of)
    local counts = {}
    for _, target in ipairs(of) do counts[target] = (counts[target] or 0) + 1 end
    return counts
  end

  it("gives a key to the same target, in any order of the list and in any process", function()
    local list = targets { 1, 1, 1, 1, 1 }
    local before = assigned(list)
    list[1], list[2], list[3], list[4], list[5] = list[5], list[3], list[1], list[2], list[4]
    assert.same(before, assigned(list))
    local named = {}
    for i, key in ipairs { "", "a", "b", "ä", ("x"):rep(1000) } do named[i] = chosen("hash", list, key).name end
    assert.same(named, (function()
      local again = {}
      for i, key in ipairs { "", "a", "b", "ä", ("x"):rep(1000) } do
        again[i] = chosen("hash", targets { 1, 1, 1, 1, 1 }, key).name
      end
      return again
    end)())
  end)

  it("moves only the keys of a target that goes, to all the others", function()
    local list = targets { 1, 1, 1, 1, 1 }
    local before = assigned(list)
    local gone = table.remove(list, 3)
    local after, moved = assigned(list), {}
    for i = 1, KEYS do
      if before[i] ~= gone then assert.equal(before[i], after[i]) else moved[#moved + 1] = after[i] end
    end
    local counts = counted(moved)
    for _, target in ipairs(list) do assert.is_true(math.abs(counts[target] - #moved / 4) < #moved / 25) end
  end)

  it("moves only keys to a target that comes, about its share", function()
    local list = targets { 1, 1, 1, 1, 1 }
    local new = table.remove(list)
    local before = assigned(list)
    list[5] = new
    local after, moved = assigned(list), 0
    for i = 1, KEYS do
      if before[i] ~= after[i] then
        assert.equal(new, after[i])
        moved = moved + 1
      end
    end
    assert.is_true(math.abs(moved - KEYS / 5) < KEYS / 50, moved)
  end)

  it("gives targets their shares of the keys", function()
    local list = targets { 1, 2, 5 }
    local counts = counted(assigned(list))
    for _, target in ipairs(list) do
      local share = KEYS * target.weight / 8
      assert.is_true(math.abs(counts[target] - share) < share * 0.06, counts[target])
    end
    local fifty = {}
    for i = 1, 50 do fifty[i] = 1 end
    local many = targets(fifty)
    counts = counted(assigned(many))
    for _, target in ipairs(many) do assert.is_true(math.abs(counts[target] - KEYS / 50) < 100, counts[target]) end
  end)

  it("lets no target have more than `hash_load` times its share, and leaves the others' keys where they are", function()
    local list = targets { 1, 1, 2 }
    local total = 0
    for _ = 1, 400 do -- one key that everybody asks for
      local target = chosen("hash", list, "popular", 1.25)
      target.in_flight = target.in_flight + 1
      total = total + 1
      for _, one in ipairs(list) do
        assert.is_true(one.in_flight <= math.ceil(1.25 * total * one.weight / 4), one.in_flight)
      end
    end
    local calm = targets { 1, 1, 2 }
    for i = 1, 100 do
      assert.equal(chosen("hash", calm, "k" .. i).name, chosen("hash", calm, "k" .. i, 1.25).name)
    end
  end)

  it("takes turns where there is no key", function()
    local list = targets { 1, 1 }
    assert.equal("abab", letters("hash", list, 4))
  end)
end)

describe("random()", function()
  it("is from 0 up to 1, and even", function()
    local cells, n = {}, 100000
    for _ = 1, n do
      local value = balance.random()
      assert.is_true(value >= 0 and value < 1)
      local cell = math.floor(value * 10)
      cells[cell] = (cells[cell] or 0) + 1
    end
    for cell = 0, 9 do assert.is_true(math.abs(cells[cell] - n / 10) < n / 100, cells[cell]) end
  end)
end)

-- SPDX-License-Identifier: MIT
-- addr_rank_spec.lua - which addresses are tried first (RFC 6724, 6), alone. The kernel says from which address it
-- would speak; what depends on that is asked of loopback alone, so that all machines give the same answers.

local ffi = require "ffi"
local units = require "support.units"
local lib = units.lib

-- A socket address of a text, numeric.
local function address(text)
  local a, name = ffi.new("struct addr"), (text:find(":", 1, true) and "[%s]:1" or "%s:1"):format(text)
  local wrong = lib.addr_parse(a, name, #name)
  assert(wrong == nil, wrong ~= nil and ffi.string(wrong))
  return a
end

local function rank(text)
  local a = address(text)
  return lib.addr_rank(a.any, a.len)
end

-- Texts in the order in which they are tried, equal ones as they come.
local function sorted(list)
  local ranks, order = {}, {}
  for i, text in ipairs(list) do
    ranks[text] = { rank(text), i }
    order[i] = text
  end
  table.sort(order, function(a, b)
    if ranks[a][1] ~= ranks[b][1] then return ranks[a][1] > ranks[b][1] end
    return ranks[a][2] < ranks[b][2]
  end)
  return table.concat(order, " ")
end

local has_ipv6 = io.open("/proc/sys/net/ipv6/conf/lo/disable_ipv6")
if has_ipv6 then
  local off = has_ipv6:read("*l")
  has_ipv6:close()
  has_ipv6 = off == "0"
end

describe("an address", function()
  it("that cannot be reached comes last", function()
    assert.equal("127.0.0.1 255.255.255.255", sorted { "255.255.255.255", "127.0.0.1" })
  end)

  it("of IPv6's loopback comes before IPv4's", function()
    if not has_ipv6 then return pending "there is no IPv6 here" end
    assert.equal("::1 127.0.0.1", sorted { "127.0.0.1", "::1" })
  end)

  it("has an equal rank among its like, so their order stays", function()
    assert.equal(rank "127.0.0.1", rank "127.9.8.7")
    assert.equal("127.0.0.3 127.0.0.1 127.0.0.2", sorted { "127.0.0.3", "127.0.0.1", "127.0.0.2" })
  end)

  it("that cannot be reached has its precedence still, and a small scope before a large one", function()
    -- multicast, reserved and documentation addresses of these kinds: no route, or nothing that changes the order
    local before = 2 ^ 24
    local function precedence(text) return math.floor(rank(text) % before / 65536) end
    for text, expected in pairs { ["::1"] = 50, ["2001:db8::1"] = 40, ["127.0.0.1"] = 35, ["192.0.2.1"] = 35,
      ["::ffff:192.0.2.1"] = 35, ["2002:c000:201::1"] = 30, ["2001:0:1::1"] = 5, ["fd00::1"] = 3, ["fc00::1"] = 3,
      ["fec0::1"] = 1, ["3ffe::1"] = 1, ["::192.0.2.1"] = 1, ["fe80::1"] = 40, ["ff02::1"] = 40 } do
      assert.equal(expected, precedence(text), text)
    end
    local function scope(text) return 15 - math.floor(rank(text) % 65536 / 256) end
    for text, expected in pairs { ["::1"] = 2, ["fe80::1"] = 2, ["fec0::1"] = 5, ["2001:db8::1"] = 14, ["fd00::1"] = 14,
      ["127.1.2.3"] = 2, ["169.254.1.1"] = 2, ["10.0.0.1"] = 14, ["192.0.2.1"] = 14, ["ff02::1"] = 2, ["ff0e::1"] = 14,
      ["ff05::1"] = 5 } do
      assert.equal(expected, scope(text), text)
    end
  end)
end)

-- SPDX-License-Identifier: MIT
-- board_spec.lua - the words that workers publish, and the rule by which they leave accepting to each other.

local ffi = require "ffi"
local units = require "support.units"
local lib, C = units.lib, ffi.C

local NONE = C.BOARD_SLOTS
local names = { [0] = "absent", "accepting", "holding", "away" }

local boards = {}
after_each(function()
  for _, board in ipairs(boards) do
    lib.board_unmap(board.words)
    C.close(board.fd)
  end
  boards = {}
end)

local function open(slots)
  local fd = lib.board_make(slots)
  assert(fd >= 0)
  local out = ffi.new("struct board *[1]")
  assert(lib.board_map(fd, out) == 0)
  boards[#boards + 1] = { fd = fd, words = out[0] }
  return out[0], fd
end

-- A board on which each slot is in that state, with as many open and as many accepted: { state, open, accepted }.
local function board(slots)
  local b = open(#slots)
  for i, slot in ipairs(slots) do
    local s = b.slot[i - 1]
    for state, name in pairs(names) do
      if name == slot[1] then s.state = state end
    end
    s.open, s.accepted, s.balance = slot[2] or 0, slot[3] or 0, slot[3] or 0
  end
  return b
end

local function states(b)
  local list = {}
  for i = 1, b.slots do list[i] = names[tonumber(b.slot[i - 1].state)] end
  return list
end

local function ahead(...) return lib.board_is_ahead(board { ... }, 0) end

local function hold(b, slot)
  local wake = ffi.new "uint32_t[1]"
  return lib.board_hold(b, slot, wake), wake[0]
end

describe("a board", function()
  it("is a line of the cache for each worker", function()
    assert.equal(64, ffi.sizeof "struct board_slot")
    assert.equal(64, ffi.offsetof("struct board", "slot"))
  end)

  it("begins with all slots free", function() assert.same({ "absent", "absent" }, states((open(2)))) end)

  it("is refused where the descriptor is something else", function()
    local out = ffi.new("struct board *[1]")
    local reader, writer = units.pipe()
    assert.equal(-units.EINVAL, lib.board_map(reader, out))
    C.close(reader)
    C.close(writer)
    assert.equal(-units.EBADF, lib.board_map(-1, out))
    local b, fd = open(3)
    b.slots = 200
    assert.equal(-units.EINVAL, lib.board_map(fd, out))
    b.slots, b.magic = 3, 7
    assert.equal(-units.EINVAL, lib.board_map(fd, out))
  end)

  it("gives a slot to one process, which is away until it waits for connections", function()
    local b = open(2)
    assert.equal(0, lib.board_join(b, 1, 77))
    assert.same({ "absent", "away" }, states(b))
    assert.equal(-units.EBUSY, lib.board_join(b, 1, 78))
    assert.equal(77, b.slot[1].pid)
    lib.board_return(b, 1)
    assert.same({ "absent", "accepting" }, states(b))
    lib.board_leave(b, 1)
    assert.same({ "absent", "absent" }, states(b))
    assert.equal(0, lib.board_join(b, 1, 78))
  end)

  it("can be copied whole", function()
    local b, fd = open(2)
    b.slot[1].open = 5
    local copy = ffi.new("struct board_slot[?]", NONE)
    assert.equal(2, lib.board_read(fd, copy))
    assert.equal(5, copy[1].open)
  end)
end)

describe("a worker is ahead", function()
  it("with two more open than another one", function()
    assert.is_false(ahead({ "accepting", 1 }, { "accepting", 0 }))
    assert.is_true(ahead({ "accepting", 2 }, { "accepting", 0 }))
    assert.is_true(ahead({ "accepting", 2 }, { "holding", 0 }, { "accepting", 9 }))
  end)

  it("with nine more accepted, if it has no fewer open", function()
    assert.is_false(ahead({ "accepting", 1, 108 }, { "accepting", 1, 100 }))
    assert.is_true(ahead({ "accepting", 1, 109 }, { "accepting", 1, 100 }))
    assert.is_false(ahead({ "accepting", 0, 109 }, { "accepting", 1, 100 }))
    assert.is_false(ahead({ "accepting", 0, 112 }, { "accepting", 1, 100 }))
    assert.is_true(ahead({ "accepting", 0, 113 }, { "accepting", 1, 100 }))
  end)

  it("with five more accepted, if it holds", function()
    assert.is_false(ahead({ "holding", 1, 104 }, { "accepting", 1, 100 }))
    assert.is_true(ahead({ "holding", 1, 105 }, { "accepting", 1, 100 }))
  end)

  it("of nobody who is away or absent, nor if it is alone", function()
    assert.is_false(ahead({ "accepting", 9, 99 }, { "away", 0, 0 }, { "absent", 0, 0 }))
    assert.is_false(ahead { "accepting", 9, 99 })
  end)

  it("by accepted ones only if somebody else accepts", function()
    assert.is_false(ahead({ "accepting", 1, 200 }, { "holding", 1, 100 }))
  end)

  it("in counts that have gone beyond 32 bits", function()
    assert.is_true(ahead({ "accepting", 1, 5 }, { "accepting", 1, 4294967290 }))
    assert.is_false(ahead({ "accepting", 1, 4294967290 }, { "accepting", 1, 5 }))
  end)
end)

describe("a worker that is ahead", function()
  it("holds while others accept", function()
    local b = board { { "accepting", 5 }, { "accepting", 1 }, { "holding", 1 } }
    assert.same({ true, NONE }, { hold(b, 0) })
    assert.same({ "holding", "accepting", "holding" }, states(b))
  end)

  it("makes the holder with the fewest open accept, if nobody else does", function()
    local b = board { { "accepting", 5 }, { "holding", 4 }, { "holding", 3 }, { "away", 0 } }
    assert.same({ true, 2 }, { hold(b, 0) })
    assert.same({ "holding", "holding", "accepting", "away" }, states(b))
  end)

  it("goes on if it is not ahead, or is away", function()
    local b = board { { "accepting", 1 }, { "accepting", 0 }, { "away", 9 } }
    assert.same({ false, NONE }, { hold(b, 0) })
    assert.same({ false, NONE }, { hold(b, 2) })
    assert.same({ "accepting", "accepting", "away" }, states(b))
  end)
end)

describe("holders", function()
  it("are released one by one when they are not ahead any more", function()
    local b = board { { "holding", 2 }, { "accepting", 1 }, { "holding", 3 }, { "holding", 2 } }
    assert.same({ 0, 3, NONE }, { lib.board_release(b), lib.board_release(b), lib.board_release(b) })
    assert.same({ "accepting", "accepting", "holding", "accepting" }, states(b))
  end)
end)

describe("what a worker does not take", function()
  it("is for the one with the fewest open among those that accept", function()
    assert.equal(2, lib.board_successor(
      board { { "accepting", 0 }, { "accepting", 4 }, { "accepting", 3 }, { "holding", 0 } }, 0))
  end)

  it("is for a holder if nobody accepts, and for one that is away if nobody holds", function()
    local b = board { { "accepting" }, { "holding", 4 }, { "holding", 3 }, { "away" } }
    assert.equal(2, lib.board_successor(b, 0))
    assert.same({ "accepting", "holding", "accepting", "away" }, states(b))
    assert.equal(1, lib.board_successor(board { { "accepting" }, { "away" }, { "absent" } }, 0))
    assert.equal(NONE, lib.board_successor(board { { "accepting" }, { "absent" } }, 0))
  end)

  it("takes those that accept for stuck", function()
    local b = board { { "accepting" }, { "holding" }, { "accepting" }, { "away" } }
    local told = {}
    local tell = ffi.cast("void (*)(void *, uint32_t)", function(_, slot) told[#told + 1] = slot end)
    lib.board_give_up(b, tell, nil)
    tell:free()
    assert.same({ 0, 2 }, told)
    assert.same({ "away", "holding", "away", "away" }, states(b))
    assert.same({ 1, 0, 1, 0 }, { b.slot[0].stuck, b.slot[1].stuck, b.slot[2].stuck, b.slot[3].stuck })
  end)
end)

describe("a worker that comes back", function()
  it("need not make up for more than 64 connections", function()
    local b = board { { "away", 0, 3 }, { "accepting", 0, 500 }, { "holding", 0, 480 } }
    lib.board_return(b, 0)
    assert.equal(480 - 64, b.slot[0].balance)
    assert.equal(3, b.slot[0].accepted)
    assert.same({ "accepting", "accepting", "holding" }, states(b))
  end)

  it("keeps what it was behind, if that is less", function()
    local b = board { { "away", 0, 470 }, { "accepting", 0, 500 } }
    lib.board_accepted(b, 0)
    assert.same({ 471, 471, 1 }, { b.slot[0].balance, b.slot[0].accepted, b.slot[0].open })
    lib.board_closed(b, 0)
    assert.equal(0, b.slot[0].open)
  end)
end)

-- Workers that accept in any order, as fast or slow as they may be: an exact model of what they do between wakes.
describe("a long random life", function()
  it("leaves somebody accepting, and open connections even", function()
    local random = units.random(20)
    local SLOTS = 6
    local b = open(SLOTS)
    for slot = 0, SLOTS - 1 do
      assert(lib.board_join(b, slot, slot + 1) == 0)
      lib.board_return(b, slot)
    end
    local function accepting()
      local list = {}
      for slot = 0, SLOTS - 1 do
        if b.slot[slot].state == C.BOARD_ACCEPTING then list[#list + 1] = slot end
      end
      return list
    end
    for step = 1, 20000 do
      local who = accepting()
      assert(#who > 0, "nobody accepts at step " .. step)
      local slot = who[random(#who)]
      lib.board_accepted(b, slot)
      hold(b, slot)
      repeat until lib.board_release(b) == NONE
      local least, most = math.huge, 0
      for i = 0, SLOTS - 1 do
        least, most = math.min(least, b.slot[i].open), math.max(most, b.slot[i].open)
      end
      assert(most - least <= 2, ("%d to %d open at step %d"):format(least, most, step))
    end
  end)
end)

-- SPDX-License-Identifier: MIT
-- share_spec.lua - workers that share a listener spread its connections evenly; real processes, and their ends.
-- The rule alone is in board_spec.lua.

local core = require "moonpark.core"
local fleet = require "support.fleet"
local moonpark = require "moonpark"
local testing = require "moonpark.testing"
local tls = require "support.tls"

local WORKERS, LONG, SHORT, ROUNDS = 4, 64, 4000, 5

testing.timeout(120) -- thousands of connections, on a machine that has other work

after_each(fleet.stop_all)

local kinds = {
  plain = { count = WORKERS, kind = "plain" },
  http = { count = WORKERS, kind = "http" },
  tls = { count = WORKERS, kind = "tls", tls = tls.client(), server_name = "localhost",
    worker = { cert = tls.files.host_crt, key = tls.files.host_key } },
}

for _, kind in ipairs { "plain", "http", "tls" } do
  describe("workers that share a listener: " .. kind, function()
    it("differ by at most 3 of 64 connections that come at once", function()
      local workers = fleet.start(kinds[kind])
      local counts = workers:open(LONG, true)
      assert.is_true(fleet.spread(counts) <= 3, table.concat(counts, " ") .. "\n" .. workers:describe())
    end)

    it("differ by at most 3 of 64 connections that come one after another", function()
      local workers = fleet.start(kinds[kind])
      local counts = workers:open(LONG, false)
      assert.is_true(fleet.spread(counts) <= 3, table.concat(counts, " ") .. "\n" .. workers:describe())
    end)

    it("count a connection until it is closed", function()
      local workers = fleet.start(kinds[kind])
      workers:open(LONG, true)
      workers:close_all()
      workers:await(function(slots)
        local open, accepted = 0, 0
        for _, s in ipairs(slots) do open, accepted = open + s.open, accepted + s.accepted end
        return open == 0 and accepted == LONG
      end, "none is open")
    end)
  end)
end

local function exists(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

-- Connects and leaves, n times, from several tasks.
local function come_and_go(workers, n, tasks)
  moonpark.scope(function(scope)
    for _ = 1, tasks do
      scope:go(function()
        for _ = 1, n / tasks do workers:connect():close() end
      end)
    end
  end)
end

local function accepted(slots)
  local counts = {}
  for i, s in ipairs(slots) do counts[i] = s.accepted end
  return counts
end

-- How often any worker was taken for stuck.
local function all_stuck(workers)
  local sum = 0
  for _, s in ipairs(workers:slots()) do sum = sum + s.stuck end
  return sum
end

local function is_even(counts) return fleet.spread(counts) <= 0.05 * SHORT / WORKERS end

describe("short connections", function()
  for _, kind in ipairs { "plain", "http" } do
    for _, tasks in ipairs { 1, 8 } do
      it(("are spread within 5 %%: %s, %d at a time"):format(kind, tasks), function()
        local workers = fleet.start(kinds[kind])
        local counts
        for _ = 1, ROUNDS do
          local before, stuck = accepted(workers:slots()), all_stuck(workers)
          come_and_go(workers, SHORT, tasks)
          counts = accepted(workers:slots())
          for i, n in ipairs(before) do counts[i] = counts[i] - n end
          if all_stuck(workers) == stuck and is_even(counts) then break end -- else the system has not let one run
        end
        assert.is_true(is_even(counts), workers:describe())
      end)
    end
  end
end)

-- The worker of slot 1 holds, because that of slot 2, which is new, has none open.
local function one_holds()
  local workers = fleet.start { count = 1, slots = 2, kind = "plain" }
  workers:open(5, false)
  workers:start_one(2)
  workers:await(function(slots) return slots[2].state == "accepting" end, "the new one accepts")
  repeat
    workers:connect()
  until workers:slots()[1].state == "holding"
  return workers
end

describe("a worker that is ahead", function()
  it("leaves accepting to the others, and comes back when its connections have closed", function()
    local workers = one_holds()
    local open = workers:slots()[2].open
    for i = 1, 3 do
      if workers:slots()[1].state ~= "holding" then break end -- the others have caught up
      assert.equal(2, select(2, workers:connect()))
      assert.equal(open + i, workers:slots()[2].open)
    end
    workers:close_all()
    workers:await(function(slots) return slots[1].state == "accepting" end, "it accepts again")
  end)

  it("comes back when the others have caught up", function()
    local workers = one_holds()
    local counts = { [1] = 0, [2] = 0 }
    repeat
      local _, slot = workers:connect()
      counts[slot] = counts[slot] + 1
    until counts[1] >= 3 and counts[2] >= 3
    assert.is_true(fleet.spread { workers:slots()[1].open, workers:slots()[2].open } <= 3, workers:describe())
  end)
end)

describe("if the only worker that accepts", function()
  it("is killed, another one takes over, before its slot is cleared and afterwards", function()
    local workers = one_holds()
    workers.child[2]:kill "KILL"
    workers.child[2]:wait()
    assert.equal(1, select(2, workers:connect()))
    assert(core.share_clear(workers.segment, workers.wakes, 2))
    assert.same({ state = "absent", pid = 0, open = 0, accepted = 0, woken = 0, stuck = 0 }, workers:slots()[2])
    assert.equal(1, select(2, workers:connect()))
    workers:start_one(2)
    repeat local _, slot = workers:connect() until slot == 2
  end)

  it("is killed, and its slot is cleared at once, the others know at once", function()
    local workers = one_holds()
    workers.child[2]:kill "KILL"
    workers.child[2]:wait()
    assert(core.share_clear(workers.segment, workers.wakes, 2))
    assert.equal("accepting", workers:slots()[1].state)
    assert.equal(1, select(2, workers:connect()))
  end)

  it("is stopped, another one takes over, and it takes part again when it goes on", function()
    local workers = one_holds()
    workers.child[2]:kill(19)
    assert.equal(1, select(2, workers:connect()))
    assert.equal("away", workers:slots()[2].state)
    for _ = 1, 3 do assert.equal(1, select(2, workers:connect())) end
    workers.child[2]:kill(18)
    workers:await(function(slots) return slots[2].state == "accepting" end, "it accepts again")
    repeat local _, slot = workers:connect() until slot == 2
  end)

  it("is busy, another one takes over", function()
    local workers = one_holds()
    local begun, over = os.tmpname(), os.tmpname()
    workers:tell(2, ("os.remove(%q) while exists(%q) do end"):format(begun, over)) -- does not wait: it computes
    workers:await(function() return not exists(begun) end, "it is busy")
    assert.equal(1, select(2, workers:connect()))
    os.remove(over)
    assert.equal("yes nil", workers.control[2]:read_line())
    workers:await(function(slots) return slots[2].state == "accepting" end, "it accepts again")
  end)
end)

describe("if a worker that holds is killed", function()
  it("the others do not compare with it once its slot is cleared", function()
    local workers = one_holds()
    workers.child[1]:kill "KILL"
    workers.child[1]:wait()
    assert(core.share_clear(workers.segment, workers.wakes, 1))
    for _ = 1, 5 do assert.equal(2, select(2, workers:connect())) end
    workers:start_one(1)
    repeat local _, slot = workers:connect() until slot == 1
  end)
end)

describe("a worker that joins late", function()
  it("is not flooded with what the others have accepted before", function()
    local workers = fleet.start { count = 3, slots = 4, kind = "plain" }
    come_and_go(workers, 600, 2)
    workers:start_one(4)
    workers:await(function(slots) return slots[4].state == "accepting" end, "it accepts")
    local before = accepted(workers:slots())
    come_and_go(workers, 400, 2)
    local got = workers:slots()[4].accepted - before[4]
    assert.is_true(got > 50 and got < 200, workers:describe())
  end)

  it("gets the next connections that last, until it has as many as the others", function()
    local workers = fleet.start { count = 3, slots = 4, kind = "plain" }
    workers:open(18, false)
    workers:start_one(4)
    workers:await(function(slots) return slots[4].state == "accepting" end, "it accepts")
    for _ = 1, 10 do workers:connect() end
    local open = {}
    for i, s in ipairs(workers:slots()) do open[i] = s.open end
    assert.is_true(fleet.spread(open) <= 3, workers:describe())
  end)
end)

describe("connections that wait", function()
  it("are all taken when workers that were stopped go on", function()
    local workers = fleet.start(kinds.plain)
    for _, child in ipairs(workers.child) do child:kill(19) end
    local clients = {}
    for i = 1, 12 do clients[i] = moonpark.go(function() return workers:connect() end) end
    for _, child in ipairs(workers.child) do child:kill(18) end
    for _, client in ipairs(clients) do assert.is_true(client:join()) end
  end)

  for _, kind in ipairs { "plain", "http" } do
    it("go to others if a worker has as many as it may: " .. kind, function()
      local workers = fleet.start { count = 1, slots = 2, kind = kind, worker = { max_connections = 1 } }
      workers:start_one(2, { slot = 2, kind = kind, max_connections = 1000 })
      workers:await(function(slots) return slots[2].state == "accepting" end, "the second one accepts")
      local counts = { 0, 0 }
      for _ = 1, 12 do
        local conn, slot = workers:connect()
        counts[slot] = counts[slot] + 1
        if kind == "http" then -- it would close an idle one to make room
          assert(conn:write "GET / HTTP/1.1\r\n")
        end
      end
      assert.is_true(counts[1] <= 1 or kind == "http", workers:describe())
      assert.is_true(counts[2] >= 5, workers:describe())
    end)
  end

  it("go to others if a worker does not accept at all", function()
    local workers = fleet.start { count = 2, slots = 3, kind = "plain" }
    workers:start_one(3, { slot = 3, kind = "idle" })
    for _ = 1, 12 do assert.is_true(select(2, workers:connect()) <= 2) end
    assert.equal("away", workers:slots()[3].state)
  end)

  it("go to others if a worker closes its listener, and leaves", function()
    local workers = fleet.start(kinds.plain)
    workers:open(12, true)
    assert.equal("true", workers:run(3, "listener:close() return core.share_leave()"))
    assert.equal("absent", workers:slots()[3].state)
    for _ = 1, 12 do assert.are_not.equal(3, (select(2, workers:connect()))) end
  end)
end)

describe("on an idle machine", function()
  it("one connection wakes one worker", function()
    if os.getenv "MOONPARK_POLLER" == "poll" then return pending "poll(2) wakes all of them" end
    local workers = fleet.start(kinds.plain)
    local function count()
      local woken, taken = 0, 0
      for _, s in ipairs(workers:slots()) do woken, taken = woken + s.woken, taken + s.accepted end
      return woken, taken
    end
    local woken, taken = count()
    for _ = 1, 40 do
      workers:await_sleep()
      workers:connect()
    end
    local woken_now, taken_now = count()
    assert.equal(40, taken_now - taken)
    assert.equal(40, woken_now - woken, workers:describe())
  end)
end)

-- SPDX-License-Identifier: MIT
-- dial_spec.lua - which addresses of a name are tried, when, and how long. The schedule is tested on a virtual clock
-- with a dial of one address that the test decides; the rest on loopback. Other networks: dial_netns_spec.lua.

local core = require "moonpark.core"
local dial = require "moonpark.net.dial"
local moonpark = require "moonpark"
local names = require "support.names"
local net = require "moonpark.net"
local support = require "support.net"
local testing = require "moonpark.testing"

---------------------------------------------------------------------------------------------------
-- a world in which the test decides what each address does

local A, B, C = "127.0.0.1", "127.0.0.2", "127.0.0.3"
local A6, B6, C6 = "::1", "::2", "::3"

local world -- of the test that runs

local function near(seconds) return math.floor(seconds * 1000 + 0.5) / 1000 end

-- What stands for dial.attempt: hosts[host] = {seconds[, err[, errno]]}; after so many seconds it connects, or fails.
-- {event}: it connects when the event is set.
local function attempt(address, timeout, from)
  if select(2, core.split_address(address)) or from and select(2, core.split_address(from)) then return false end
  local host = address:match("^%[(.*)%]:1$") or address:match("^(.*):1$")
  local try = { host = host, at = near(world.clock:now()), share = timeout and near(timeout), from = from }
  table.insert(world.tries, try)
  local wait, err, errno = unpack(world.hosts[host])
  local late = timeout and timeout < wait
  local ok, why
  if type(wait) == "number" then ok, why = moonpark.sleep(late and timeout or wait) else ok, why = wait:wait() end
  try.ended = near(world.clock:now())
  try.outcome = not ok and why or late and "timeout" or err or "connected"
  if not ok or late or err then return nil, try.outcome, not late and ok and errno or nil end
  local conn, peer = net.pipe()
  table.insert(world.conns, conn)
  table.insert(world.peers, peer)
  return conn
end

-- The hosts that were tried, and when: "127.0.0.1 at 0, ::1 at 0.3".
local function tried()
  local words = {}
  for i, try in ipairs(world.tries) do words[i] = ("%s at %g"):format(try.host, try.at) end
  return table.concat(words, ", ")
end

local function outcome_of(host)
  for _, try in ipairs(world.tries) do
    if try.host == host then return try.outcome end
  end
end

-- Every connection that was made but `kept` has been closed: its peer reads the end.
local function assert_closed_but(kept)
  for i, conn in ipairs(world.conns) do
    assert.equal(conn ~= kept, conn:is_closed())
    if conn ~= kept then assert.same({ nil, "eof" }, { world.peers[i]:read() }) end
  end
end

local function in_world(hosts, list, body)
  return function()
    local real = dial.attempt
    world = { hosts = hosts, tries = {}, conns = {}, peers = {}, clock = testing.clock() }
    dial.attempt = attempt
    local ok, err = pcall(names.known, { name = list }, body)
    dial.attempt = real
    world.clock:resume()
    if not ok then error(err, 0) end
    for _, conn in ipairs(world.conns) do conn:close() end
    for _, peer in ipairs(world.peers) do peer:close() end
  end
end

-- -> connection or nil, err, errno; and when it was over
local function timed_dial(options)
  local conn, err, errno = net.dial("name:1", options)
  return conn, err, errno, near(world.clock:now())
end

local GOOD, DEAD, REFUSED = { 0.01 }, { 3600, "connection timed out", 110 }, { 0, "connection refused", 111 }

---------------------------------------------------------------------------------------------------

describe("a dial by name", function()
  -- What Go's TestDialParallel expects; ends: when, in seconds.
  for _, case in ipairs {
    { "the only address", { A }, { [A] = GOOD }, "127.0.0.1 at 0", 0.01 },
    { "the first of two families", { A, A6 }, { [A] = GOOD, [A6] = GOOD }, "127.0.0.1 at 0", 0.01 },
    { "IPv6 where that is first", { A6, A }, { [A] = GOOD, [A6] = GOOD }, "::1 at 0", 0.01 },
    { "the next of a family where the first is refused", { A, B }, { [A] = REFUSED, [B] = GOOD },
      "127.0.0.1 at 0, 127.0.0.2 at 0", 0.01 },
    { "the other family after the head start", { A, A6 }, { [A] = DEAD, [A6] = GOOD }, "127.0.0.1 at 0, ::1 at 0.3",
      0.31 },
    { "the other family at once where the first is refused", { A6, A }, { [A6] = REFUSED, [A] = GOOD },
      "::1 at 0, 127.0.0.1 at 0", 0.01 },
    { "the other family when all of the first have failed", { A, A6, B }, { [A] = { 0.1, "x" }, [B] = { 0.1, "y" },
      [A6] = GOOD }, "127.0.0.1 at 0, 127.0.0.2 at 0.1, ::1 at 0.2", 0.21 },
    { "both families each in its order", { A, A6, B, B6 }, { [A] = { 0.2, "x" }, [B] = DEAD, [A6] = { 0.1, "y" },
      [B6] = GOOD }, "127.0.0.1 at 0, 127.0.0.2 at 0.2, ::1 at 0.3, ::2 at 0.4", 0.41 },
    { "the first family though it was slow", { A, A6 }, { [A] = { 0.4 }, [A6] = { 0.2 } }, "127.0.0.1 at 0, ::1 at 0.3",
      0.4 },
    { "the first family after the other has failed", { A, A6 }, { [A] = { 5 }, [A6] = REFUSED },
      "127.0.0.1 at 0, ::1 at 0.3", 5 },
  } do
    local words, list, hosts, order, ends = unpack(case)
    it("connects to " .. words, in_world(hosts, list, function()
      local conn, err, _, over = timed_dial()
      assert.is_nil(err)
      assert.equal(order, tried())
      assert.equal(ends, over)
      assert_closed_but(conn)
    end))
  end

  it("tries a thousand addresses of a family", function()
    local list, hosts = {}, {}
    for i = 1, 1000 do list[i], hosts["::" .. i] = "::" .. i, REFUSED end
    hosts["::1000"] = GOOD
    in_world(hosts, list, function()
      assert_closed_but(assert((timed_dial())))
      assert.equal(1000, #world.tries)
    end)()
  end)

  it("cancels the loser", in_world({ [A] = DEAD, [A6] = GOOD }, { A, A6 }, function()
    assert(net.dial("name:1"))
    assert.equal("canceled", outcome_of(A))
  end))

  it("cancels the other family's where the first wins after all", in_world({ [A] = { 0.5 }, [A6] = DEAD }, { A, A6 },
    function()
      assert(net.dial("name:1"))
      assert.equal("canceled", outcome_of(A6))
    end))

  it("keeps one connection and closes the other where both succeed at once", in_world({ [A] = { 0.4 }, [A6] = { 0.1 } },
    { A, A6 }, function()
      local conn = assert(net.dial("name:1"))
      assert.equal(2, #world.conns)
      assert_closed_but(conn)
    end))

  it("fails with the first one's error, whatever the others say, and in which order", function()
    for _, waits in ipairs { { 0, 0, 0 }, { 2, 1, 0 }, { 0, 1, 2 }, { 1, 1, 1 } } do
      in_world({ [A] = { waits[1], "first", 1 }, [B] = { waits[2], "second", 2 }, [A6] = { waits[3], "third", 3 } },
        { A, B, A6 }, function()
          assert.same({ nil, "first", 1 }, { net.dial("name:1") })
          assert.equal(3, #world.tries)
        end)()
    end
  end)

  it("passes on why a name has no addresses", in_world({}, nil, function()
    assert.same({ nil, "no such host" }, { net.dial("other:1") })
    names.known({ mute = function() return nil, "too many open files", 24 end, empty = {} }, function()
      assert.same({ nil, "too many open files", 24 }, { net.dial("mute:1") })
      assert.same({ nil, "too many open files", 24 }, { net.listen("mute:1") })
      assert.same({ nil, "too many open files", 24 }, { net.dial("127.0.0.1:1", { local_address = "mute:1" }) })
      assert.same({ nil, "no such host" }, { net.dial("empty:1") })
    end)
    assert.equal("", tried())
  end))
end)

describe("fallback_delay", function()
  it("is the head start of the first family", in_world({ [A] = DEAD, [A6] = GOOD }, { A, A6 }, function()
    assert(net.dial("name:1", { fallback_delay = 0.05 }))
    assert.equal("127.0.0.1 at 0, ::1 at 0.05", tried())
  end))

  it("of 0 starts both at once", in_world({ [A] = DEAD, [A6] = GOOD }, { A, A6 }, function()
    assert(net.dial("name:1", { fallback_delay = 0 }))
    assert.equal("127.0.0.1 at 0, ::1 at 0", tried())
  end))

  it("does not delay what need not wait", in_world({ [A] = REFUSED, [A6] = GOOD }, { A, A6 }, function()
    local _, _, _, over = timed_dial({ fallback_delay = 3600 })
    assert.equal(0.01, over)
  end))

  it("below 0 tries all addresses one after the other", in_world({ [A] = { 1, "x" }, [A6] = { 1, "y" }, [B] = GOOD },
    { A, A6, B }, function()
      assert(net.dial("name:1", { fallback_delay = -1 }))
      assert.equal("127.0.0.1 at 0, ::1 at 1, 127.0.0.2 at 2", tried())
    end))

  it("is a number", function()
    assert.error_matches(function() net.dial("name:1", { fallback_delay = "soon" }) end, "fallback_delay")
  end)
end)

describe("the time of a dial by name", function()
  -- What Go's TestPartialDeadline expects: seconds, addresses, the share of the first.
  for _, case in ipairs { { 12, 1, 12 }, { 12, 2, 6 }, { 12, 3, 4 }, { 12, 999, 2 }, { 1.9, 999, 1.9 },
    { 0.001, 5, 0.001 } } do
    local seconds, n, share = unpack(case)
    it(("of %g s, for %d addresses, gives the first %g s"):format(seconds, n, share), function()
      local list, hosts = {}, {}
      for i = 1, n do list[i], hosts["::" .. i] = "::" .. i, DEAD end
      in_world(hosts, list, function()
        local _, err, errno, over = timed_dial({ timeout = seconds })
        assert.same({ nil, "timeout" }, { errno, err })
        assert.equal(share, world.tries[1].share)
        assert.equal(seconds, over)
      end)()
    end)
  end

  it("is shared anew among those that are left", in_world({ [A] = { 1, "x" }, [B] = DEAD, [C] = DEAD }, { A, B, C },
    function()
      local _, err, _, over = timed_dial({ timeout = 13 })
      assert.equal("x", err)
      assert.equal("127.0.0.1 at 0, 127.0.0.2 at 1, 127.0.0.3 at 7", tried())
      assert.equal(13, over)
    end))

  it("leaves nothing for those that come after the end of it", in_world({ [A] = DEAD, [B] = DEAD, [C] = DEAD },
    { A, B, C }, function()
      local _, err, _, over = timed_dial({ timeout = 3 })
      assert.equal("timeout", err)
      assert.equal("127.0.0.1 at 0, 127.0.0.2 at 2", tried())
      assert.equal(3, over)
    end))

  it("is each family's for itself", in_world({ [A] = DEAD, [B] = DEAD, [A6] = DEAD, [B6] = DEAD, [C6] = DEAD },
    { A, B, A6, B6, C6 }, function()
      local _, err, _, over = timed_dial({ timeout = 9.3 })
      assert.equal("timeout", err)
      assert.equal("127.0.0.1 at 0, ::1 at 0.3, ::2 at 3.3, 127.0.0.2 at 4.65, ::3 at 6.3", tried())
      assert.equal(9.3, over)
    end))

  it("without a limit is each address's own", in_world({ [A] = DEAD, [B] = GOOD }, { A, B }, function()
    for _, options in ipairs { {}, { timeout = math.huge }, { deadline = math.huge } } do
      world.tries = {}
      assert(net.dial("name:1", options))
      assert.is_nil(world.tries[1].share)
    end
  end))

  it("is the earlier of timeout and deadline", in_world({ [A] = DEAD }, { A }, function()
    local now = moonpark.now()
    assert.same({ nil, "timeout" }, { net.dial("name:1", { timeout = 5, deadline = now + 3 }) })
    assert.equal(3, world.clock:now())
    assert.same({ nil, "timeout" }, { net.dial("name:1", { timeout = 1, deadline = now + 90 }) })
    assert.equal(4, world.clock:now())
  end))

  it("includes the look-up, which is told the deadline", in_world({ [A] = DEAD }, nil, function()
    local began, told = moonpark.now(), nil
    local function slow(_, deadline)
      told = deadline
      moonpark.sleep(2)
      return { A }
    end
    names.known({ slow = slow }, function()
      assert.same({ nil, "timeout" }, { net.dial("slow:1", { timeout = 5 }) })
    end)
    assert.equal(5, near(told - began))
    assert.equal(3, world.tries[1].share)
    assert.equal(5, world.clock:now())
  end))

  it("that is over before the first address is tried is a timeout", in_world({ [A] = GOOD, [A6] = GOOD }, { A, A6 },
    function()
      assert.same({ nil, "timeout" }, { net.dial("name:1", { timeout = 0 }) })
      assert.same({ nil, "timeout" }, { net.dial("name:1", { deadline = moonpark.now() - 1 }) })
      assert.same({}, world.conns)
    end))
end)

describe("a dial by name that is cancelled", function()
  local hosts, list = { [A] = { 0.4 }, [A6] = { 0.1 }, [B] = DEAD }, { A, A6, B }

  it("ends at once, and so do all of its tries", in_world({ [A] = DEAD, [A6] = DEAD }, { A, A6 }, function()
    local task = moonpark.go(net.dial, "name:1")
    moonpark.sleep(0.5)
    task:cancel()
    assert.same({ true, nil, "canceled" }, { task:join() })
    assert.equal("canceled", outcome_of(A))
    assert.equal("canceled", outcome_of(A6))
    assert.equal(0.5, world.clock:now())
  end))

  it("says so, whatever the tries before have said", in_world({ [A] = { 0.1, "x" }, [B] = DEAD }, { A, B }, function()
    local task = moonpark.go(net.dial, "name:1")
    moonpark.sleep(0.2)
    task:cancel()
    assert.same({ true, nil, "canceled" }, { task:join() })
  end))

  it("in the turn in which it succeeds is cancelled, since another try was", in_world({ [A6] = DEAD }, { A, A6 },
    function()
      local go_on = moonpark.event()
      world.hosts[A] = { go_on }
      local task = moonpark.go(net.dial, "name:1")
      moonpark.sleep(0.5)
      go_on:set()
      task:cancel()
      assert.same({ true, nil, "canceled" }, { task:join() })
      assert.equal("canceled", outcome_of(A6))
      assert.equal(1, #world.conns)
      assert_closed_but(nil)
    end))

  it("fails in a task or scope that is cancelled already", in_world(hosts, list, function()
    local task = moonpark.go(function() return net.dial("name:1") end)
    task:cancel()
    assert.same({ true, nil, "canceled" }, { task:join() })
    moonpark.scope(function(scope)
      scope:cancel()
      assert.same({ nil, "canceled" }, { net.dial("name:1") })
    end)
    assert.same({}, world.conns)
  end))

  it("does not fail where a shield stands between", in_world(hosts, list, function()
    local task = moonpark.go(function()
      return moonpark.shield(net.dial, "name:1")
    end)
    moonpark.sleep(0.2)
    task:cancel()
    local _, conn = assert(task:join())
    assert_closed_but(assert(conn))
  end))

  -- At 0.4 both families connect: whatever order the timers and tasks run in, there is one owner or none.
  it("exactly as it succeeds has a connection or is canceled, and leaves none behind", function()
    local seen = {}
    for _, when in ipairs { 0.3, 0.39, 0.4, 0.41 } do
      for _, order in ipairs { "before", "after" } do
        in_world(hosts, list, function()
          local task
          local function killer()
            moonpark.sleep(when)
            task:cancel()
          end
          local other = order == "before" and moonpark.go(killer)
          task = moonpark.go(net.dial, "name:1")
          other = other or moonpark.go(killer)
          local joined, conn, err = task:join()
          other:join()
          assert.is_true(joined)
          seen[conn and "connected" or err] = true
          assert_closed_but(conn)
        end)()
      end
    end
    assert.same({ connected = true, canceled = true }, seen)
  end)

  it("by a timeout around it is a timeout or has a connection", function()
    local seen = {}
    for _, seconds in ipairs { 0.29, 0.3, 0.39, 0.399999, 0.4, 0.400001, 0.41 } do
      in_world(hosts, list, function()
        local conn, err = moonpark.timeout(seconds, net.dial, "name:1")
        seen[conn and "connected" or err] = true
        assert_closed_but(conn)
      end)()
    end
    assert.same({ connected = true, timeout = true }, seen)
  end)
end)

describe("many dials by name", function()
  -- What must come of it, by the rules: when it ends, and with which host or error.
  local function predict(list, hosts, delay, limit)
    local function walk(hosts_of, from)
      local at, err = from, nil
      for i, host in ipairs(hosts_of) do
        local wait, why = unpack(hosts[host])
        local left = limit and limit - at
        if left and left <= 0 and err then break end
        local share = left and math.max(0, math.min(left, math.max(left / (#hosts_of - i + 1), 2)))
        if share and share < wait then wait, why = share, "timeout" end
        at = at + wait
        if not why then return at, nil end
        err = err or why
      end
      return at, err
    end
    local mine, others = {}, {}
    for _, host in ipairs(list) do
      local same = (host:find(":") == nil) == (list[1]:find(":") == nil)
      table.insert(same and mine or others, host)
    end
    local at, err = walk(mine, 0)
    if not others[1] then return at, err end
    local at2, err2 = walk(others, err and math.min(at, delay) or delay)
    if not err and (err2 or at <= at2 or at <= delay) then return at, nil end
    if not err2 then return at2, nil end
    return math.max(at, at2), err
  end

  it("of random names end when and as the rules say", function()
    local random = require("support.units").random(4)
    for _ = 1, 300 do
      local list, hosts = {}, {}
      for i = 1, random(6) do
        local host = random(2) == 1 and "127.0.1." .. i or "::" .. i
        list[i] = host
        hosts[host] = { random(40) / 16, random(3) > 1 and "error " .. i or nil }
      end
      local limit = random(2) == 1 and random(5) + 1 / 128 or nil
      local delay = random(16) / 16 - 1 / 32
      in_world(hosts, list, function()
        local conn, err, _, over = timed_dial({ timeout = limit, fallback_delay = delay })
        local expected_over, expected_err = predict(list, hosts, delay, limit)
        local context = table.concat(list, " ") .. ": " .. tried()
        assert.equal(expected_err, err, context)
        assert.equal(near(expected_over), over, context)
        assert_closed_but(conn)
      end)()
    end
  end)

  it("that are cancelled at random leave nothing behind", function()
    local random = require("support.units").random(7)
    local seen = { connected = 0, canceled = 0 }
    for _ = 1, 200 do
      in_world({ [A] = { random(8) / 16 }, [A6] = { random(4) / 16, random(3) == 1 and "x" or nil }, [B] = { 0.25 } },
        { A, A6, B }, function()
          local tasks, killers = {}, {}
          for i = 1, 3 do
            tasks[i] = moonpark.go(net.dial, "name:1", { fallback_delay = (random(5) - 1) / 16 })
            if random(2) == 1 then
              table.insert(killers, moonpark.go(function()
                moonpark.sleep((random(9) - 1) / 16)
                tasks[i]:cancel()
              end))
            end
          end
          for i = 1, 3 do
            local joined, conn, err = tasks[i]:join()
            assert.is_true(joined)
            seen[conn and "connected" or err] = seen[conn and "connected" or err] + 1
            if conn then conn:close() end
          end
          for _, killer in ipairs(killers) do killer:join() end
          assert_closed_but(nil)
        end)()
    end
    assert.is_true(seen.connected > 100 and seen.canceled > 100)
  end)

  it("at once do not disturb each other", in_world({ [A] = DEAD, [A6] = { 0.1 }, [B] = { 0.2, "x" } }, { A, B, A6 },
    function()
      local tasks = {}
      for i = 1, 50 do tasks[i] = moonpark.go(net.dial, "name:1") end
      for i = 1, 50 do assert(select(2, assert(tasks[i]:join()))) end
      assert.equal(0.4, world.clock:now())
      assert.equal(50, #world.conns)
    end))
end)

---------------------------------------------------------------------------------------------------

-- Two listeners of the same port number: 127.0.0.1 and ::1; nil where there is no IPv6.
local function both_families()
  for _ = 1, 20 do
    local four = assert(net.listen("127.0.0.1:0"))
    local six, err = net.listen("[::1]:" .. names.port_of(four))
    if six then return four, six end
    four:close()
    if err ~= "address already in use" then return nil end
  end
end

describe("on loopback, a dial by name", function()
  local hosts = { name = { A6, A }, four = { A, A6 }, second = { B, A }, none = { B, C } }

  local function listening(body) return names.with(hosts, support.listening(body)) end

  it("reaches who listens on one of the addresses", listening(function(listener)
    local before = support.descriptors()
    for _, name in ipairs { "name", "four", "second" } do
      local client = assert(net.dial(name .. ":" .. names.port_of(listener)))
      local server = assert(listener:accept())
      assert.equal(listener:address(), client:peer_address())
      assert.equal(client:local_address(), server:peer_address())
      client:close()
      server:close()
    end
    assert.equal(before, support.descriptors())
  end))

  it("is refused where nobody does", listening(function(listener)
    local before = support.descriptors()
    assert.same({ nil, "connection refused", 111 }, { net.dial("none:" .. names.port_of(listener)) })
    assert.equal(before, support.descriptors())
  end))

  it("takes the first family where both listen", names.with(hosts, function()
    local four, six = both_families()
    if not four then return pending("this host has no IPv6") end
    for name, family in pairs { name = "^%[::1%]", four = "^127%.0%.0%.1" } do
      local client = assert(net.dial(name .. ":" .. names.port_of(four)))
      assert.matches(family, client:peer_address())
      client:close()
    end
    four:close()
    six:close()
  end))

  it("races both without a head start, and leaves one connection", names.with(hosts, function()
    local four, six = both_families()
    if not four then return pending("this host has no IPv6") end
    local before = support.descriptors()
    for _ = 1, 50 do
      local client = assert(net.dial("name:" .. names.port_of(four), { fallback_delay = 0 }))
      assert.equal(before + 1, support.descriptors())
      client:close()
    end
    four:close()
    six:close()
  end))

  it("may come from a local address, which may be a name too", listening(function(listener)
    local address = "name:" .. names.port_of(listener)
    for _, from in ipairs { "127.3.2.1:0", "source:0" } do
      names.known({ name = { A6, A }, source = { "127.3.2.1", "fe80::1" } }, function()
        local client = assert(net.dial(address, { local_address = from }))
        assert.matches("^127%.3%.2%.1:", client:local_address())
        client:close()
      end)
    end
    local client = assert(net.dial(address, { local_address = ":0" }))
    client:close()
    assert.same({ nil, "no such host" }, { net.dial(address, { local_address = "nobody:0" }) })
  end))

  it("tries only addresses that its local address can reach", names.with(hosts, function()
    local real, seen = dial.attempt, {}
    dial.attempt = function(address, timeout, from)
      local conn, err, errno = real(address, timeout, from)
      if conn ~= false then table.insert(seen, address .. " from " .. from) end
      return conn, err, errno
    end
    net.dial("name:1", { local_address = "127.0.0.1:0" })
    local _, err, errno = net.dial("none:1", { local_address = "[::1]:0" })
    dial.attempt = real
    assert.same({ "127.0.0.1:1 from 127.0.0.1:0", "127.0.0.2:1 from [::1]:0" }, seen)
    assert.is_string(err)
    assert.is_number(errno)
  end))

  it("may be called in a generator", listening(function(listener)
    local dialled = coroutine.wrap(function()
      for _ = 1, 3 do coroutine.yield(assert(net.dial("name:" .. names.port_of(listener)))) end
    end)
    for _ = 1, 3 do
      local client = dialled()
      local server = assert(listener:accept())
      server:write("x")
      assert.equal("x", client:read())
      client:close()
      server:close()
    end
  end))

  it("makes a connection that neither the dial's time nor its scope can harm", listening(function(listener)
    local client
    moonpark.scope(function(scope)
      client = assert(net.dial("name:" .. names.port_of(listener), { timeout = 30, fallback_delay = 0 }))
      scope:cancel()
    end)
    local server = assert(listener:accept())
    local late
    support.with_frozen_clock(function()
      late = moonpark.go(function()
        moonpark.sleep(31) -- the dial's time is over by then
        server:write("late")
      end)
      assert.equal("late", client:read_exactly(4))
    end)
    assert.equal(4, client:write("back"))
    assert.equal("back", server:read_exactly(4))
    late:join()
    client:close()
    server:close()
  end))

  it("is the dialling task's: reports say who made it, and where", listening(function(listener)
    local client = assert(net.dial("name:" .. names.port_of(listener)))
    local mine
    for _, info in ipairs(core.conns()) do
      if info.fd == client:fd() then mine = info end
    end
    assert.equal(moonpark.current():id(), mine.creator)
    assert.matches("dial_spec%.lua:%d+$", mine.site[#mine.site])
    client:close()
  end))

  it("cancelled by others at every moment leaves no descriptor", listening(function(listener)
    local before = support.descriptors()
    local address = "name:" .. names.port_of(listener)
    for rounds = 0, 20 do
      local task = moonpark.go(net.dial, address, { fallback_delay = 0 })
      for _ = 1, rounds do moonpark.yield() end
      task:cancel()
      local _, conn = task:join()
      if conn then conn:close() end
    end
    assert.equal(before, support.descriptors())
  end))

  it("that raises leaves no task and no descriptor", listening(function(listener)
    local real, before = dial.attempt, support.descriptors()
    dial.attempt = function(address, ...)
      if address:find("^%[") then
        moonpark.yield()
        error("out of luck", 0)
      end
      return real(address, ...)
    end
    for _, name in ipairs { "name", "four" } do
      local ok, err = pcall(net.dial, name .. ":" .. names.port_of(listener), { fallback_delay = 0 })
      if not ok then assert.matches("out of luck", err) else err:close() end
    end
    dial.attempt = real
    assert.equal(before, support.descriptors())
  end))
end)

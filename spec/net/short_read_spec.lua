-- SPDX-License-Identifier: MIT
-- After a short read the next one parks without asking the kernel: worth a system call a request. Here
-- is everything that may happen around such a read, and that none of it is lost: a lost wake-up is a
-- "timeout" in these specs, never a hang.

local moonpark = require "moonpark"
local support = require "support.net"

local LONG = 5 -- seconds: only a lost wake-up takes so long

-- body(a, b): a has parked once and then read short, so its next read goes straight to the poller.
local function after_a_short_read(transport, body)
  return support.pair_of(transport, function(a, b)
    a:set_timeout(LONG)
    local reader = support.parked(function() return a:read() end)
    assert(b:write("short"))
    assert.same({ true, "short" }, { reader:join() })
    body(a, b)
  end)
end

-- What happens between the short read and the next one may be seen by the loop before, or not.
local sights = {
  { name = "not yet seen by the loop", look = function() end },
  { name = "seen by the loop already", look = support.settle },
}

for _, transport in ipairs(support.transports) do
  describe("after a short read over " .. transport.name, function()
    local function case(body) return after_a_short_read(transport, body) end

    it("a read waits for what comes next", case(function(a, b)
      for i = 1, 5 do
        local reader = support.parked(function() return a:read() end)
        b:write(("x"):rep(i))
        assert.same({ true, ("x"):rep(i) }, { reader:join() })
      end
    end))

    it("a parked read is woken by the peer's end", case(function(a, b)
      local reader = support.parked(function() return a:read() end)
      b:close_write()
      assert.same({ true, nil, "eof" }, { reader:join() })
    end))

    it("a parked read is woken by data and then sees the end", case(function(a, b)
      local reader = support.parked(function() return a:read() end)
      b:write("last")
      b:close()
      assert.same({ true, "last" }, { reader:join() })
      assert.same({ nil, "eof" }, { a:read() })
    end))

    for _, sight in ipairs(sights) do
      describe("with what is " .. sight.name .. ",", function()
        it("data is read", case(function(a, b)
          b:write("more")
          sight.look()
          assert.equal("more", a:read())
        end))

        it("data is read piece by piece, however the pieces fit", case(function(a, b)
          b:write("abcdef")
          sight.look()
          assert.equal("a", a:read(1))
          sight.look()
          assert.equal("bc", a:read(2))
          assert.equal("def", a:read(3))
          b:write("ghi")
          sight.look()
          assert.equal("ghi", a:read(3))
          b:write("j")
          sight.look()
          assert.equal("j", a:read(100))
        end))

        it("data of many short writes is read", case(function(a, b)
          for i = 1, 20 do
            b:write(("%d\n"):format(i))
            if i % 3 == 0 then sight.look() end
            assert.equal(tostring(i), a:read_line())
          end
        end))

        it("the peer's end is read", case(function(a, b)
          b:close()
          sight.look()
          assert.same({ nil, "eof" }, { a:read() })
        end))

        it("data and the end behind it are read", case(function(a, b)
          b:write("last")
          b:close_write()
          sight.look()
          assert.equal("last", a:read())
          assert.same({ nil, "eof" }, { a:read() })
        end))

        it("data is read, then an end that comes only afterwards", case(function(a, b)
          b:write("last")
          sight.look()
          assert.equal("last", a:read())
          b:close_write()
          sight.look()
          assert.same({ nil, "eof" }, { a:read() })
        end))

        it("data that came while a read timed out is read", case(function(a, b)
          a:set_read_deadline(moonpark.now() + 0.002)
          assert.same({ nil, "timeout" }, { a:read() })
          b:write("late")
          sight.look()
          a:set_read_deadline(nil)
          assert.equal("late", a:read())
        end))

        it("data that came with a deadline past is read once it is gone", case(function(a, b)
          a:set_read_deadline(moonpark.now() - 1)
          b:write("late")
          sight.look()
          assert.same({ nil, "timeout" }, { a:read() })
          a:set_read_deadline(nil)
          assert.equal("late", a:read())
        end))

        it("data that came when a read was cancelled is read, by it or by the next", case(function(a, b)
          local reader = support.parked(function() return a:read() end)
          b:write("late")
          reader:cancel()
          sight.look()
          local _, data, err = reader:join()
          if not data then
            assert.equal("canceled", err)
            data = a:read()
          end
          assert.equal("late", data)
        end))

        it("data is read after wait_readable has seen it", case(function(a, b)
          local waiter = support.parked(function() return a:wait_readable() end)
          b:write("seen")
          assert.same({ true, true }, { waiter:join() })
          sight.look()
          assert.equal("seen", a:read())
        end))

        it("data is read after a select has waited for it", case(function(a, b)
          local selecting = support.parked(function() return moonpark.select { { a, "r" }, timeout = LONG } end)
          b:write("seen")
          assert.same({ true, 1, true }, { selecting:join() })
          sight.look()
          assert.equal("seen", a:read())
        end))

        it("data is read after a select that it woke chose another case", case(function(a, b)
          for _ = 1, 8 do -- select picks at random among what is ready
            local channel = moonpark.chan()
            local selecting = support.parked(function() return moonpark.select { { a, "r" }, { channel } } end)
            b:write("seen")
            channel:close()
            assert.is_true(selecting:join())
            sight.look()
            assert.equal("seen", a:read())
          end
        end))

        it("data of two connections is read after a select that waited for both", case(function(a, b)
          local c, d = transport.pair()
          c:set_timeout(LONG)
          for _ = 1, 8 do
            local selecting = support.parked(function() return moonpark.select { { a, "r" }, { c, "r" } } end)
            b:write("one")
            d:write("two")
            assert.is_true(selecting:join())
            sight.look()
            assert.equal("one", a:read())
            assert.equal("two", c:read())
          end
          c:close()
          d:close()
        end))

        it("data is read after a select gave up on it", case(function(a, b)
          assert.same({ nil, "timeout" }, { moonpark.select { { a, "r" }, timeout = 0.002 } })
          b:write("late")
          sight.look()
          assert.equal("late", a:read())
        end))

        it("data is read by the second in the queue when the first took only a part", case(function(a, b)
          local first = support.parked(function() return a:read(2) end)
          local second = support.parked(function() return a:read(100) end)
          b:write("abcd")
          sight.look()
          assert.same({ true, "ab" }, { first:join() })
          assert.same({ true, "cd" }, { second:join() })
        end))

        it("data for the second in the queue is not lost when the first took all there was", case(function(a, b)
          local first = support.parked(function() return a:read() end)
          local second = support.parked(function() return a:read() end)
          b:write("ab")
          sight.look()
          assert.same({ true, "ab" }, { first:join() })
          b:write("cd")
          assert.same({ true, "cd" }, { second:join() })
        end))
      end)
    end
  end)
end

describe("after a short read over tcp", function()
  local tcp = support.transports[1]
  local function case(body) return after_a_short_read(tcp, body) end

  for _, sight in ipairs(sights) do
    it("a reset is read, " .. sight.name, case(function(a, b)
      b:setoption("linger", 0)
      b:close()
      sight.look()
      assert.equal("connection reset by peer", select(2, a:read()))
    end))

    -- Urgent data cuts a read short though more is there: "short" must not be taken for "drained".
    it("data on both sides of an urgent byte is read, " .. sight.name, case(function(a, b)
      b:write("before")
      support.send_urgent(b, "!")
      b:write("behind")
      sight.look()
      assert.equal("before", a:read())
      sight.look()
      assert.equal("behind", a:read())
    end))

    it("data behind an urgent byte that came after a look is read, " .. sight.name, case(function(a, b)
      b:write("before")
      support.settle()
      support.send_urgent(b, "!")
      b:write("behind")
      sight.look()
      assert.equal("beforebehind", assert(a:read_exactly(12)))
    end))

    it("an urgent byte alone gives nothing, and what follows is read, " .. sight.name, case(function(a, b)
      local reader = support.parked(function() return a:read() end)
      support.send_urgent(b, "!")
      sight.look()
      b:write("behind")
      assert.same({ true, "behind" }, { reader:join() })
    end))

    it("urgent bytes one after another lose no data, " .. sight.name, case(function(a, b)
      local sent = {}
      for i = 1, 20 do
        sent[i] = ("%d;"):format(i)
        b:write(sent[i])
        support.send_urgent(b, "!")
        if i % 4 == 0 then sight.look() end
        if i % 5 == 0 then assert.is_string(a:read_until(";")) end
      end
      b:close_write()
      local rest = assert(a:read_all())
      -- Only the last urgent byte is out of line; Linux leaves the older ones in the stream.
      assert.equal("5;6;7;8;9;10;11;12;13;14;15;16;17;18;19;20;", (rest:gsub("!", "")))
    end))
  end

  it("a parked read is woken by a reset", case(function(a, b)
    local reader = support.parked(function() return a:read() end)
    b:setoption("linger", 0)
    b:close()
    assert.equal("connection reset by peer", select(3, reader:join()))
  end))
end)

-- One long life with everything mixed: what arrives must be what was sent, in full.
for _, transport in ipairs(support.transports) do
  local name = "any order of writes, looks and reads over " .. transport.name .. " loses nothing"
  it(name, support.pair_of(transport, function(a, b)
    local seed = 20240229
    local function random(n)
      seed = (seed * 16807) % 2147483647
      return seed % n + 1
    end
    local sent, got, pending = {}, {}, 0
    local function take(data)
      got[#got + 1] = data
      pending = pending - #data
    end
    local steps = {
      function()
        local data = ("%x"):format(random(2 ^ 30)):rep(random(4))
        assert(b:write(data))
        sent[#sent + 1] = data
        pending = pending + #data
      end,
      function() moonpark.yield() end,
      function() if pending > 0 then take(assert(a:read(random(40)))) end end,
      function() if pending > 0 then take(assert(a:read_exactly(random(pending)))) end end,
      function()
        a:set_read_deadline(moonpark.now() - (random(2) - 1))
        a:set_read_deadline(nil)
      end,
      function()
        local index = moonpark.select { { a, "r" }, timeout = pending > 0 and LONG or 0 }
        assert.equal(pending > 0 and 1 or nil, index)
      end,
      function()
        if pending > 0 then return end
        local reader = support.parked(function() return a:read() end)
        if random(2) == 1 then
          reader:cancel()
          assert.same({ true, nil, "canceled" }, { reader:join() })
        else
          b:write("x")
          sent[#sent + 1] = "x"
          pending = pending + 1
          local _, data = reader:join()
          take(assert(data))
        end
      end,
    }
    a:set_timeout(LONG)
    for _ = 1, 3000 do steps[random(#steps)]() end
    b:close()
    take(assert(a:read_all()))
    assert.is_true(table.concat(got) == table.concat(sent))
    assert.equal(0, pending)
  end))
end

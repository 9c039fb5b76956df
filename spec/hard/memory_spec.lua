-- SPDX-License-Identifier: MIT
-- What an operation that finds no memory, or whose system call fails, leaves behind: nothing is lost without a word.
-- Needs the hard build: a read and a write move one byte.

local core = require "moonpark.core"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local support = require "support.net"
local testing = require "moonpark.testing"

local hard = core.hard
local NO_MEMORY, ENOMEM = "not enough memory", 12
local MANY = 50       -- failures in a row: more than anybody tries again
local FRESH = 200     -- bytes from here on stand alone in no script: a string of one needs memory

if jit.status() then jit.off() end -- LuaJIT's compiler does not survive a failed allocation

-- fn(...) with its n-th allocation, and those after it up to `times`, failing -> pcall's results
local function without_memory(n, times, fn, ...)
  hard.fail_times(times)
  hard.fail_alloc(n)
  local ok, a, b, c = pcall(fn, ...)
  hard.fail_alloc(0)
  hard.fail_times(1)
  return ok, a, b, c
end

-- body(n) for n = 1, 2, ... until it says that its n-th call was not reached; at least one was.
local function for_each_call(body)
  local n = 1
  while body(n) do n = n + 1 end
  assert.is_true(n > 1, "no call could fail")
end

local function allocations()
  return (select(2, hard.counts()))
end

local function have_memory()
  hard.fail_times(1)
  hard.fail_alloc(0)
  collectgarbage("restart")
end

-- A stack that must grow needs memory too: not in the middle of what is looked at.
local function grow_stack() return select("#", unpack({}, 1, 40)) end

-- A task that is parked in fn(...) -> a function: woken(n) lets it find no memory n times from now until fn returns
-- -> what fn returned. No collection comes between: it shrinks stacks.
local function parked(fn, ...)
  local a, b, c
  collectgarbage()
  collectgarbage("stop")
  local task = support.parked(function(...)
    grow_stack()
    a, b, c = fn(...)
    hard.fail_alloc(0)
  end, ...)
  return function(times)
    grow_stack()
    hard.fail_times(times)
    hard.fail_alloc(1)
    local ok = task:join()
    have_memory()
    assert.is_true(ok)
    return a, b, c
  end
end

describe("without memory", function()
  setup(function() assert.is_table(hard, "MODE=hard is needed") end)

  after_each(have_memory)

  it("accept takes no connection that it could not hand out", support.listening(function(listener)
    for_each_call(function(n)
      local client = assert(net.dial(listener:address()))
      local reached
      local ok, server = without_memory(n, 1, function()
        local conn = listener:accept()
        reached = allocations()
        return conn
      end)
      if not ok then server = assert(listener:accept()) end
      assert(client:write("x"))
      assert.equal("x", server:read())
      client:close()
      server:close()
      return not ok or reached >= n
    end)
  end))

  it("an accept that waits needs no more", support.listening(function(listener)
    local woken = parked(listener.accept, listener)
    local client = assert(net.dial(listener:address()))
    local server = assert(woken(MANY))
    assert(server:write("x"))
    assert.equal("x", client:read())
    client:close()
    server:close()
  end))

  for _, transport in ipairs(support.transports) do
    describe("over " .. transport.name, function()
      local function with_pair(body) return support.pair_of(transport, body) end

      it("read_line and read_exactly keep what came", with_pair(function(a, b)
        for_each_call(function(n)
          assert(b:write("a line\n", "nine more"))
          local failed = 0
          local function until_it_works(method, ...)
            while true do
              local ok, data, err = without_memory(n, 1, method, a, ...)
              if ok and data then return data end
              assert.is_truthy(tostring(err or data):find(NO_MEMORY, 1, true))
              failed = failed + 1
              n = n + failed -- a fault at the same place for ever would never end
            end
          end
          assert.equal("a line", until_it_works(a.read_line))
          assert.equal("nine more", until_it_works(a.read_exactly, 9))
          return failed > 0
        end)
      end))

      it("read hands out every byte in its order, or says from then on that some are lost", with_pair(function(a, b)
        local sent, broken = 0, false
        assert(b:write(string.char(FRESH, FRESH + 1, FRESH + 2)))
        repeat
          collectgarbage()
          local ok, data, err = without_memory(sent == 1 and 1 or 0, 1, a.read, a)
          if ok and data then
            assert.equal(FRESH + sent, data:byte())
          else
            assert.is_truthy(tostring(err or data):find(NO_MEMORY, 1, true))
            broken = true
          end
          sent = sent + 1
        until broken
        assert.equal(2, sent)
        assert.same({ nil, NO_MEMORY, ENOMEM }, { a:read() })
        assert.same({ nil, NO_MEMORY, ENOMEM }, { a:read_line() })
      end))

    end)
  end
end)

-- Not over a pair in memory: there the write that wakes a reader lets it run at once.
for _, name in ipairs { "tcp", "unix" } do
  describe("without memory over " .. name .. ", a read that waits", function()
    after_each(have_memory)

    it("tries again", support.on(name, function(a, b)
      local woken = parked(a.read, a)
      assert(b:write(string.char(FRESH + 10, FRESH + 11)))
      assert.equal(FRESH + 10, woken(1):byte())
    end))

    it("and never finds any fails, and the stream says that it is broken", support.on(name, function(a, b)
      local woken = parked(a.read, a)
      assert(b:write(string.char(FRESH + 20, FRESH + 21)))
      assert.same({ nil, NO_MEMORY, ENOMEM }, { woken(MANY) })
      assert.same({ nil, NO_MEMORY, ENOMEM }, { a:read() })
    end))
  end)
end

describe("a datagram that no memory could hold", function()
  local function pair()
    return assert(net.packet("udp:127.0.0.1:0")), assert(net.packet("udp:127.0.0.1:0"))
  end

  for _, method in ipairs { "recv_from", "recv_many" } do
    it("is lost with a word, and the next is not: " .. method, function()
      for_each_call(function(n)
        local a, b = pair()
        a:send_to(string.char(FRESH + 30, FRESH + 31), b:address())
        a:send_to("next", b:address())
        collectgarbage()
        local reached
        local ok, data, err = without_memory(n, 1, function()
          local got, why = b[method](b, method == "recv_many" and 1 or nil)
          reached = allocations()
          return got, why
        end)
        local failed = not (ok and data)
        if failed then assert.is_truthy(tostring(err or data):find(NO_MEMORY, 1, true)) end
        assert.equal("next", b:recv())
        a:close()
        b:close()
        return failed or reached >= n
      end)
    end)
  end

  it("is tried again by a receive that waits", function()
    local a, b = pair()
    local woken = parked(b.recv_from, b)
    a:send_to(string.char(FRESH + 40, FRESH + 41), b:address())
    assert.equal(string.char(FRESH + 40, FRESH + 41), woken(1))
    a:close()
    b:close()
  end)

  it("fails a receive that waits and never finds any, and only that", function()
    local a, b = pair()
    local woken = parked(b.recv_from, b)
    a:send_to(string.char(FRESH + 42, FRESH + 43), b:address())
    assert.same({ nil, NO_MEMORY, ENOMEM }, { woken(MANY) })
    a:send_to("next", b:address())
    assert.equal("next", b:recv())
    a:close()
    b:close()
  end)
end)

describe("a write whose system call fails", function()
  for _, name in ipairs { "tcp", "unix" } do
    it("says how much of it is out, over " .. name, function()
      for_each_call(function(n)
        local result
        support.on(name, function(a, b)
          hard.fail_syscall(n)
          result = { a:write("ab", "", "cde") }
          local calls = hard.counts()
          hard.fail_syscall(0)
          a:close()
          local sent = result[1] or result[4]
          assert.equal(("abcde"):sub(1, sent), b:read_all())
          if result[1] then assert.equal(5, result[1]) end
          result.reached = calls >= n
        end)()
        return result.reached
      end)
    end)
  end
end)

describe("a task that fails without memory", function()
  for _, times in ipairs { 1, 2 } do
    it(("ends its scope, %d allocation%s failing"):format(times, times == 1 and "" or "s"), function()
      for_each_call(function(n)
        local reached = false
        local ok, err = pcall(moonpark.scope, function(scope)
          scope:go(function() return moonpark.sleep(3600) end)
          scope:go(function()
            hard.fail_times(times)
            hard.fail_alloc(n)
            error("as asked", 0)
          end)
          repeat
            local goes_on = moonpark.yield()
            local _, count = hard.counts()
            reached = reached or count >= n
          until not goes_on
          hard.fail_alloc(0)
          hard.fail_times(1)
        end)
        assert.is_false(ok)
        assert.is_truthy(tostring(err):find("as asked", 1, true) or tostring(err):find(NO_MEMORY, 1, true), err)
        for _, text in ipairs(testing.uncaught()) do assert.matches(NO_MEMORY, text) end -- the other one's
        return reached
      end)
    end)
  end
end)

-- SPDX-License-Identifier: MIT
-- Listeners that workers share, where a call fails: a share is joined or not, and no connection is left waiting.
-- Needs the hard build.

local core = require "moonpark.core"
local fds = require "support.fds"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local support = require "support.net"

local hard = core.hard

if jit.status() then jit.off() end -- LuaJIT's compiler does not survive a failed allocation

local function descriptors()
  collectgarbage()
  collectgarbage()
  return support.descriptors()
end

-- step(fault) again and again: the first call of that kind within fault(fn, ...) fails, then the second, until there is
-- none to fail. fault returns fn's results, or nil and the error.
local function sweep(kind, step)
  local n, reached, failed = 0, true, 0
  local function fault(fn, ...)
    collectgarbage "stop"
    hard["fail_" .. kind](n)
    local ok, a, b, c = pcall(fn, ...)
    local calls, allocs = hard.counts()
    hard["fail_" .. kind](0)
    collectgarbage "restart"
    reached = (kind == "alloc" and allocs or calls) >= n
    if not ok or not a then failed = failed + 1 end
    if not ok then return nil, a end
    return a, b, c
  end
  while reached do
    n = n + 1
    step(fault)
    core.check()
  end
  return failed
end

for _, kind in ipairs { "alloc", "syscall" } do
  describe(("where one of the %ss fails,"):format(kind == "alloc" and "allocation" or "system call"), function()
    local segment, wakes
    setup(function() assert.is_table(hard, "MODE=hard is needed") end)
    before_each(function() segment, wakes = assert(core.share_make(2)) end)
    after_each(function()
      core.share_leave()
      segment:close()
      for _, wake in ipairs(wakes) do wake:close() end
    end)

    local function join()
      local copies = { fds.dup(wakes[1]:number()), fds.dup(wakes[2]:number()) }
      local own = fds.dup(segment:number())
      return own, copies
    end

    it("a share is made, read and cleared, or is not", function()
      local before = descriptors()
      assert.is_true(sweep(kind, function(fault)
        local made, all = fault(core.share_make, 3)
        if made then
          made:close()
          for _, wake in ipairs(all) do wake:close() end
        end
        local slots = fault(core.share_read, segment)
        assert.is_true(not slots or #slots == 2)
        fault(core.share_clear, segment, wakes, 2)
        assert.equal(before, descriptors())
      end) > 0)
    end)

    it("a share is joined, or its descriptors are still the caller's", function()
      local before = descriptors()
      assert.is_true(sweep(kind, function(fault)
        local own, copies = join()
        if not fault(core.share_join, own, copies, 1) then fds.close(own, unpack(copies)) end
        local slot = core.share_read(segment)[1]
        assert.is_true(core.share_leave())
        assert.equal("absent", core.share_read(segment)[1].state)
        assert.is_true(slot.state == "away" or slot.state == "absent")
        assert.equal(before, descriptors())
      end) > 0)
    end)

    it("a listener is shared, or accepts as before; and after leaving it does so again", function()
      local own, copies = join()
      assert(core.share_join(own, copies, 1))
      sweep(kind, function(fault)
        local listener = assert(net.listen("127.0.0.1:0"))
        fault(core.share_listener, listener)
        for _ = 1, 2 do
          local accepting = moonpark.go(function() return assert(listener:accept()) end)
          local client = assert(net.dial(listener:address()))
          local _, conn = assert(accepting:join())
          client:close()
          conn:close()
          fault(core.share_leave)
        end
        assert.is_true(core.share_leave())
        listener:close()
        own, copies = join()
        assert(core.share_join(own, copies, 1))
      end)
    end)

    it("whoever connects is accepted in the end", function()
      local own, copies = join()
      assert(core.share_join(own, copies, 1))
      local listener = assert(net.listen("127.0.0.1:0"))
      assert(core.share_listener(listener))
      local serving = moonpark.go(function()
        return listener:serve(function(conn) conn:read() end, { on_error = function() end })
      end)
      local accepted = core.share_read(segment)[1].accepted
      sweep(kind, function(fault)
        local client = fault(net.dial, listener:address()) or assert(net.dial(listener:address()))
        while core.share_read(segment)[1].accepted == accepted do moonpark.yield() end
        accepted = core.share_read(segment)[1].accepted
        client:close()
        while core.share_read(segment)[1].open > 0 do moonpark.yield() end
      end)
      listener:close()
      serving:join()
    end)
  end)
end

-- SPDX-License-Identifier: MIT
-- What sendfile and copy say was moved when a call of theirs fails is what arrives, and no descriptor is left.
-- Needs the hard build: a call moves one byte, and so few bytes are spliced already.

local core = require "moonpark.core"
local moonpark = require "moonpark"
local moving = require "support.moving"
local net = require "moonpark.net"
local support = require "support.net"

local hard = core.hard
local BYTES = "some bytes to be moved"

if jit.status() then jit.off() end -- LuaJIT's compiler does not survive a failed allocation

local function works()
  hard.fail_times(1)
  hard.fail_syscall(0)
  hard.fail_alloc(0)
end

-- body(n) for n = 1, 2, ... until it says that the n-th call was not reached -> how many were.
local function for_each_call(body)
  local n = 1
  while body(n) do n = n + 1 end
  return n - 1
end

-- move() in a task, with its n-th call and those after it up to `times` failing -> bytes moved, where it could say;
-- did it succeed; was n reached.
local function faulted(kind, n, times, move)
  local calls, allocs
  local task = moonpark.go(function()
    hard.fail_times(times)
    hard["fail_" .. kind](n)
    local moved, err, _, part = move()
    calls, allocs = hard.counts()
    hard.fail_syscall(0)
    hard.fail_alloc(0)
    return moved, err, part
  end)
  local joined, moved, err, part = task:join()
  works()
  if not joined then
    assert.is_truthy(moved:find("not enough memory", 1, true), moved)
    return nil, false, true
  end
  local reached = (kind == "syscall" and calls or allocs) >= n
  assert.is_true(moved ~= nil or reached, err)
  return moved or part, moved ~= nil, reached
end

-- What was moved arrives: all of it, and nothing else. Where an error was raised nobody says how much it was.
local function arrived(moved, b, whole)
  local got = moving.read_whole(b)
  assert.equal(whole:sub(1, #got), got)
  if moved then assert.equal(moved, #got) end
end

local ways = {
  { "tcp", function() return support.connected("127.0.0.1:0") end },
  { "in-memory pairs", function() return net.pipe() end },
}

for _, kind in ipairs { "syscall", "alloc" } do
  for _, times in ipairs { 1, 3 } do
    describe(("with %d %s in a row failing"):format(times, kind), function()
      setup(function() assert.is_table(hard, "MODE=hard is needed") end)
      after_each(works)

      for _, way in ipairs(ways) do
        it("sendfile to " .. way[1] .. " tells what it has sent", moving.counted(function()
          moving.with_file(BYTES, function(path)
            local done = 0
            assert.is_true(for_each_call(function(n)
              local a, b = way[2]()
              local moved, ok, reached = faulted(kind, n, times, function() return a:sendfile(path) end)
              a:close()
              arrived(moved, b, BYTES)
              b:close()
              if ok then done = done + 1 end
              return reached
            end) > 0)
            assert.is_true(done > 0)
          end)
        end))

        for _, other in ipairs(ways) do
          it(("copy from %s to %s tells what it has moved"):format(way[1], other[1]), moving.counted(function()
            assert.is_true(for_each_call(function(n)
              local a, src = way[2]()
              local dst, b = other[2]()
              assert(a:write(BYTES))
              a:close()
              local moved, ok, reached = faulted(kind, n, times, function() return net.copy(dst, src) end)
              if ok then assert.equal(#BYTES, moved) end
              dst:close()
              arrived(moved, b, BYTES)
              src:close()
              b:close()
              return reached
            end) > 0)
          end))
        end
      end
    end)
  end
end

describe("in the hard build", function()
  after_each(works)

  it("sendfile and splice that are refused are done by hand, unnoticed", moving.counted(function()
    moving.with_file(BYTES, function(path)
      local unnoticed = 0
      for_each_call(function(n)
        local a, b = support.connected("127.0.0.1:0")
        local moved, ok, reached = faulted("syscall", n, 1, function() return a:sendfile(path) end)
        if ok and reached then unnoticed = unnoticed + 1 end
        a:close()
        arrived(moved, b, BYTES)
        b:close()
        return reached
      end)
      assert.is_true(unnoticed >= #BYTES, unnoticed .. " faults did no harm")
    end)
  end))

  it("a copy whose destination cannot be spliced to writes what is in the pipe already", moving.counted(function()
    local a, src = support.connected("127.0.0.1:0")
    local dst, b = net.pipe()
    local hose = core.hose()
    a:write("abc")
    assert.equal(1, core.splice_in(src, hose, 3))
    assert.equal(1, core.splice_out(dst, hose))
    assert.equal("a", b:read())
    assert.same({ nil, "invalid argument", 22 }, { core.splice_in(src, hose, 3) }) -- and from now on by hand
    hose:close()
    for _, conn in ipairs { a, src, dst, b } do conn:close() end
  end))

  it("a pipe that still holds something is closed, not kept for the next copy", moving.counted(function()
    local a, src = support.connected("127.0.0.1:0")
    local dst, b = support.connected("127.0.0.1:0")
    local one, other, before = core.hose(), core.hose(), moving.kernel_pipes()
    a:write("ab")
    assert.equal(1, core.splice_in(src, one, 1))
    assert.equal(before + 2, moving.kernel_pipes())
    one:close()
    assert.equal(before, moving.kernel_pipes())
    assert.equal(1, core.splice_in(src, other, 1))
    assert.equal(1, core.splice_out(dst, other))
    assert.equal(before + 2, moving.kernel_pipes()) -- empty: idle
    assert.equal("b", b:read())
    other:close()
    assert.equal(before, moving.kernel_pipes()) -- nobody copies
    for _, conn in ipairs { a, src, dst, b } do conn:close() end
  end))

  it("a hose that is garbage is closed", moving.counted(function()
    local a, src = support.connected("127.0.0.1:0")
    local before = moving.kernel_pipes()
    a:write("a")
    assert.equal(1, core.splice_in(src, core.hose(), 1))
    collectgarbage()
    assert.equal(before, moving.kernel_pipes())
    a:close()
    src:close()
  end))

  it("core raises for what is no hose, a closed one, and one that is not empty", support.on("tcp", function(a, b)
    local hose = core.hose()
    b:write("x")
    assert.has_error(function() core.splice_in(a, io.stdout, 1) end)
    assert.has_error(function() core.splice_in(hose, hose, 1) end)
    assert.equal(1, core.splice_in(a, hose, 1))
    assert.has_error(function() core.splice_in(a, hose, 1) end)
    hose:close()
    hose:close()
    assert.has_error(function() core.splice_out(a, hose) end)
  end))
end)

-- SPDX-License-Identifier: MIT
-- Passed and adopted descriptors, and unix paths, where a call fails: nothing leaks, nothing is half done.
-- Needs the hard build.

local core = require "moonpark.core"
local net = require "moonpark.net"
local fds = require "support.fds"
local support = require "support.net"

local hard = core.hard
local MANY = 50 -- failures in a row: more than anybody tries again

if jit.status() then jit.off() end -- LuaJIT's compiler does not survive a failed allocation

local function descriptors()
  collectgarbage()
  collectgarbage()
  return support.descriptors()
end

-- fn(...) with its n-th call of that kind failing, and those after it -> was there an n-th, pcall's results
local function with_fault(kind, n, times, fn, ...)
  collectgarbage("stop")
  hard.fail_times(times)
  hard["fail_" .. kind](n)
  local ok, a, b, c = pcall(fn, ...)
  local calls, allocs = hard.counts()
  hard.fail_times(1)
  hard["fail_" .. kind](0)
  collectgarbage("restart")
  return (kind == "alloc" and allocs or calls) >= n, ok, a, b, c
end

-- step(fault) until fault(fn, ...) has had no n-th call to fail; fault -> fn's results, or nil and the error.
local function sweep(kind, times, step)
  local n, reached, failed = 0, true, 0
  local function fault(fn, ...)
    local ok, a, b, c
    reached, ok, a, b, c = with_fault(kind, n, times, fn, ...)
    if not ok or not a then failed = failed + 1 end
    if not ok then return nil, a end
    return a, b, c
  end
  while reached do
    n = n + 1
    step(fault)
    core.check()
  end
  assert.is_true(failed > 0, "no call failed")
end

local function each_kind(body)
  for _, kind in ipairs { "alloc", "syscall" } do
    for _, times in ipairs { 1, MANY } do body(kind, times) end
  end
end

describe("where a call fails,", function()
  setup(function() assert.is_table(hard, "MODE=hard is needed") end)

  it("recv_fds leaks no descriptor and loses no byte", support.on("unix", function(a, b)
    each_kind(function(kind, times)
      sweep(kind, times, function(fault)
        local before = descriptors()
        assert(a:send_fds("x", { 0, 1, 2 }))
        local data, list = fault(b.recv_fds, b)
        if data then
          assert.equal("x", data)
          for _, fd in ipairs(list) do fd:close() end
        else
          assert.equal("x", b:read())
        end
        assert.equal(before, descriptors())
      end)
    end)
  end))

  it("a recv_fds that has waited leaks no descriptor and loses no byte", support.on("unix", function(a, b)
    local before, data, err = descriptors(), nil, nil
    local receiver = support.parked(function()
      data, err = b:recv_fds()
      hard.fail_alloc(0) -- there is memory again before anybody else goes on
    end)
    assert(a:send_fds("x", { 0, 1, 2 }))
    local _, ok = with_fault("alloc", 1, MANY, receiver.join, receiver)
    assert.is_true(ok)
    assert.same({ nil, "not enough memory" }, { data, err })
    receiver = nil -- luacheck: ignore
    assert.equal("x", b:read())
    assert.equal(before, descriptors())
  end))

  it("send_fds sends all or nothing, and leaks nothing", support.on("unix", function(a, b)
    each_kind(function(kind, times)
      sweep(kind, times, function(fault)
        local before = descriptors()
        local sent = fault(a.send_fds, a, "x", { 0, 1 })
        if not sent then assert(a:send_fds("y", { 0, 1 })) end
        local data, list = b:recv_fds()
        assert.equal(sent and "x" or "y", data)
        assert.equal(2, #list)
        for _, fd in ipairs(list) do fd:close() end
        assert.equal(before, descriptors())
      end)
    end)
  end))

  it("a send_fds that must wait sends nothing, where it could not copy what it sends", support.on("unix", function(a, b)
    support.fill(a)
    local before = descriptors()
    local reached, _, sent, err = with_fault("syscall", 2, MANY, a.send_fds, a, "x", { 0, 1 })
    assert.is_true(reached)
    assert.same({ nil, "too many open files" }, { sent, err })
    assert.equal(before, descriptors())
    a:close()
    support.drain(b)
  end))

  it("listening on a stale path takes it over or leaves it, and leaks nothing", function()
    support.with_folder(function(folder)
      local path = folder .. "/s"
      each_kind(function(kind, times)
        sweep(kind, times, function(fault)
          assert(net.listen("unix:" .. path, { unlink = false })):close()
          local before = descriptors()
          local listener = fault(net.listen, "unix:" .. path, { mode = "0600" })
          if listener then
            assert.equal("600", fds.permissions(path))
            listener:close()
          end
          listener = nil -- luacheck: ignore
          assert.equal(before, descriptors())
          os.remove(path)
        end)
      end)
    end)
  end)

  it("listening where somebody listens never removes the path", function()
    support.with_folder(function(folder)
      local address = "unix:" .. folder .. "/s"
      local listener = assert(net.listen(address))
      each_kind(function(kind, times)
        sweep(kind, times, function(fault)
          assert.is_nil((fault(net.listen, address)))
          local client = assert(net.dial(address))
          assert(listener:accept()):close()
          client:close()
        end)
      end)
      listener:close()
    end)
  end)

  it("from_fd leaves the descriptor open and blocking, and the caller's", function()
    each_kind(function(kind, times)
      sweep(kind, times, function(fault)
        local one, other = fds.socketpair()
        local reader, writer = fds.pipe()
        for _, fd in ipairs { one, reader } do
          local conn = fault(net.from_fd, fd)
          if conn then
            conn:close()
          else
            assert.is_true(fds.is_open(fd))
            assert.is_false(fds.is_nonblocking(fd))
            fds.close(fd)
          end
        end
        fds.close(other, writer)
      end)
    end)
  end)
end)

-- SPDX-License-Identifier: MIT
-- netpoll, conn, http_server: descriptors that other code closes while tasks wait for them.

local core = require "moonpark.core"
local ffi = require "ffi"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local netpoll = require "moonpark.netpoll"
local fds = require "support.fds"
local http = require "support.http"
local units = require "support.units"
local wire = require "support.http_wire"

local C = ffi.C
local LOST = { nil, "bad file descriptor", units.EBADF }

-- fn(...) as a task that waits when this returns.
local function waiting(fn, ...)
  local task = moonpark.go(fn, ...)
  for _ = 1, 3 do moonpark.yield() end
  assert.not_equal("done", task:status())
  return task
end

local function is_lost(task)
  local result = { task:join() }
  assert.same({ true, unpack(LOST, 1, 3) }, { result[1], result[2], result[3], result[4] })
end

-- The number's descriptor is closed, and where `by` is given, that one is open under it now.
local function close_behind(fd, by)
  if by then assert.equal(fd, C.dup2(by, fd)) else fds.close(fd) end
end

describe("a descriptor that is closed behind moonpark's back", function()
  after_each(core.check)

  local function cases(name, body)
    it(name .. ", its number is free", function() body(function(fd) close_behind(fd) return function() end end) end)
    it(name .. ", its number is another file's", function()
      body(function(fd)
        local file = fds.open("/proc/self/exe")
        close_behind(fd, file)
        return function() fds.close(file, fd) end
      end)
    end)
    it(name .. ", its number is another socket's", function()
      body(function(fd)
        local a, b = fds.socketpair()
        close_behind(fd, a)
        return function() fds.close(a, b, fd) end
      end)
    end)
  end

  describe("fails", function()
    for _, side in ipairs { "r", "w" } do
      cases("who waits on a pollDesc, " .. side, function(close)
        local a, b = units.socketpair()
        units.fill(a)
        local pd = assert(netpoll.open(a))
        pd:reset(side)
        local task = waiting(pd.wait, pd, side)
        local undo = close(a)
        is_lost(task)
        assert.same(LOST, { pd:wait(side) })
        assert.same(LOST, { pd:reset(side) })
        pd:unblock()
        pd:close()
        undo()
        units.close(b)
      end)
    end

    cases("who waits for readiness alone", function(close)
      local a, b = units.socketpair()
      local pd = assert(netpoll.open(a))
      pd:reset "r"
      local task = waiting(pd.wait_canceled, pd, "r")
      local undo = close(a)
      is_lost(task)
      pd:unblock()
      pd:close()
      undo()
      units.close(b)
    end)

    cases("who reads a connection, and who queues behind", function(close)
      local a, b = fds.socketpair()
      local conn = assert(net.from_fd(a))
      local tasks = { waiting(conn.read, conn), waiting(conn.read_line, conn) }
      local undo = close(conn:fd())
      for _, task in ipairs(tasks) do is_lost(task) end
      assert.same(LOST, { conn:read() })
      assert.same(LOST[2], select(2, conn:write "x"))
      conn:close()
      undo() -- raises where conn has closed what was not its own
      fds.close(b)
    end)

    cases("who writes one", function(close)
      local a, b = units.socketpair()
      units.fill(a)
      local conn = assert(net.from_fd(a))
      local task = waiting(conn.write, conn, "x")
      local undo = close(conn:fd())
      is_lost(task)
      conn:close()
      undo()
      fds.close(b)
    end)

    cases("who accepts", function(close)
      local listener = assert(net.listen "127.0.0.1:0")
      local task = waiting(listener.accept, listener)
      local undo = close(listener:fd())
      is_lost(task)
      listener:close()
      undo()
    end)

    cases("who waits in select", function(close)
      local a, b = fds.socketpair()
      local conn = assert(net.from_fd(a))
      local task = waiting(moonpark.select, { { conn, "r" }, timeout = 3600 })
      local undo = close(conn:fd())
      assert.same({ true, 1, unpack(LOST, 1, 3) }, { task:join() })
      assert.same(LOST, { conn:read() })
      conn:close()
      undo()
      fds.close(b)
    end)
  end)

  it("is noticed though others keep the loop busy", function()
    local a, b = fds.socketpair()
    local conn = assert(net.from_fd(a))
    local busy = moonpark.go(function()
      while moonpark.yield() do end
    end)
    local task = waiting(conn.read, conn)
    close_behind(conn:fd())
    is_lost(task)
    busy:cancel()
    conn:close()
    fds.close(b)
  end)

  it("is noticed among many", function()
    local many, tasks = {}, {}
    for i = 1, 300 do
      local a, b = fds.socketpair()
      many[i] = { conn = assert(net.from_fd(a)), peer = b }
    end
    for i, one in ipairs(many) do tasks[i] = moonpark.go(one.conn.read, one.conn) end
    moonpark.sleep(0.001)
    for i = 1, 300, 3 do close_behind(many[i].conn:fd()) end
    for i = 1, 300, 3 do is_lost(tasks[i]) end
    for i, one in ipairs(many) do
      if i % 3 ~= 1 then
        fds.write(one.peer, "x")
        assert.same({ true, "x" }, { tasks[i]:join() })
      end
      one.conn:close()
      fds.close(one.peer)
    end
  end)

  it("is noticed at once when its number is opened anew, and the new one is not harmed by the old one's end", function()
    local a, b = fds.socketpair()
    local old = assert(net.from_fd(a))
    local task = waiting(old.read, old)
    local c, d = fds.socketpair()
    close_behind(a, c)
    fds.close(c)
    local new = assert(net.from_fd(a))
    local reading = waiting(new.read_exactly, new, 5)
    is_lost(task)
    old:close()
    fds.write(d, "hello")
    assert.same({ true, "hello" }, { reading:join() })
    assert.equal(a, new:fd())
    assert.is_true(new:close())
    fds.close(b, d)
  end)

  it("that is open still under another number does not wake who waits for the new one", function()
    local a, b = fds.socketpair()
    local kept = fds.dup(a)
    local old = assert(net.from_fd(a))
    local task = waiting(old.read, old)
    local c, d = fds.socketpair()
    close_behind(a, c)
    fds.close(c)
    local new = assert(net.from_fd(a))
    local reading = waiting(new.read_exactly, new, #"for the new one")
    is_lost(task)
    fds.write(b, "for the old one")
    moonpark.sleep(0.001)
    fds.write(d, "for the new one")
    assert.same({ true, "for the new one" }, { reading:join() })
    old:close()
    new:close()
    fds.close(b, d, kept)
  end)

  for _, kind in ipairs { "dialled", "accepted" } do
    it("leaves its number to a connection that is " .. kind .. " and has not waited yet, whatever closes", function()
      local listener = assert(net.listen "127.0.0.1:0")
      local early = kind == "accepted" and assert(net.dial(listener:address()))
      local a, b = fds.socketpair()
      local old = assert(net.from_fd(a))
      local reading = waiting(old.read, old)
      fds.write(b, "x")
      assert.same({ true, "x" }, { reading:join() })
      close_behind(a)
      local new = early and listener:accept() or assert(net.dial(listener:address()))
      assert.equal(a, new:fd())
      old:close()
      local other = early or listener:accept()
      assert.equal(1, new:write "y")
      assert.equal("y", other:read(1))
      new:close()
      other:close()
      listener:close()
      fds.close(b)
    end)
  end

  it("still cannot be registered twice while it is open", function()
    local a, b = fds.socketpair()
    local pd = assert(netpoll.open(a))
    assert.same({ nil, "file exists", units.EEXIST }, { netpoll.open(a) })
    pd:unblock()
    pd:close()
    fds.close(a, b)
  end)
end)

describe("an HTTP server whose descriptors are closed behind its back", function()
  after_each(http.stop_all)

  local function descriptor_of(pattern)
    for _, info in ipairs(core.conns()) do
      if info.text:find(pattern) then return info.fd end
    end
  end

  it("forgets an idle connection, and leaves its number alone", function()
    local server = http.start(wire.plain)
    local conn = server:dial()
    assert.equal(200, wire.status_of(conn, wire.GET))
    local fd = assert(descriptor_of("^tcp 127.0.0.1:" .. server.port .. " to"))
    local a, b = fds.socketpair()
    close_behind(fd, a)
    wire.is_closed(conn)
    while server.server:stats().connections > 0 do moonpark.sleep(0.001) end
    fds.close(fd, a, b) -- raises where the server has closed it
    conn:close()
  end)

  it("ends and says why when it cannot accept, after the answers that were under way", function()
    local came, go_on = moonpark.event(), moonpark.event()
    local server = http.start(function(_, res)
      came:set()
      go_on:wait()
      res:send "done"
    end)
    local conn = server:dial()
    conn:write(wire.GET)
    came:wait()
    close_behind(assert(descriptor_of "^tcp listener"))
    while descriptor_of "^tcp listener" do moonpark.sleep(0.001) end
    go_on:set()
    assert.equal(200, http.read_answer(conn).status)
    conn:close()
    assert.same({ true, nil, "bad file descriptor", units.EBADF }, { server.task:join() })
    assert.equal("", server:take_log())
  end)
end)

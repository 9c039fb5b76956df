-- SPDX-License-Identifier: MIT
-- wait_spec.lua - every wait leaves its queue when it is cancelled or its time is up: the object then works
-- for the others, and hands nothing to the one that left.
--
-- One table of everything that can be waited for, and one set of promises that holds for each row.

local moonpark = require "moonpark"
local net = require "moonpark.net"
local core = require "moonpark.core"
local units = require "support.units"
local task_state = require "support.task_state"

-- A row makes an object with
--   wait(id, timeout)  parks -> "served" or nil, err
--   serve()            lets one wait be served; `all`: every wait there is
--   close()
-- single: one waiter at a time is allowed. no_timeout: the wait takes no timeout of its own.
local rows = {}

local function served(ok, err)
  if ok then return "served" end
  return nil, err
end

local function row(name, make, options)
  options = options or {}
  options.name, options.make = name, make
  rows[#rows + 1] = options
end

local function nothing() end

row("mutex:lock", function()
  local m = moonpark.mutex()
  m:lock()
  return {
    wait = function(_, timeout)
      local ok, err = m:lock(timeout)
      if ok then m:unlock() end
      return served(ok, err)
    end,
    serve = function() m:unlock() end,
    close = function() assert(not m:is_locked()) end,
  }
end, { all = true }) -- each unlocks for the next

row("semaphore:acquire", function()
  local s = moonpark.semaphore(0)
  return {
    wait = function(_, timeout) return served(s:acquire(timeout)) end,
    serve = function() s:release() end,
    close = function() assert(s:count() == 0) end,
  }
end)

row("event:wait", function()
  local e = moonpark.event()
  return {
    wait = function(_, timeout) return served(e:wait(timeout)) end,
    serve = function() e:set() end,
    close = nothing,
  }
end, { all = true })

-- Sends to, or receives from, whoever waits, now; else in a task of its own, to whoever comes.
local function exchange(ch, method, ...)
  local args = { ... }
  args[#args + 1] = 0
  if ch[method](ch, unpack(args)) then return end
  args[#args] = nil
  moonpark.go(function() assert(ch[method](ch, unpack(args))) end)
  moonpark.yield()
end

local function channel_recv(capacity)
  return function()
    local ch = moonpark.chan(capacity)
    return {
      wait = function(_, timeout) return served(ch:recv(timeout)) end,
      serve = function() exchange(ch, "send", "value") end,
      close = function() assert(#ch == 0) end,
    }
  end
end

row("channel:recv", channel_recv(0))
row("channel:recv of one that holds values", channel_recv(3))

local function channel_send(capacity)
  return function()
    local ch, sent = moonpark.chan(capacity), {}
    for i = 1, capacity do ch:send(i) end
    return {
      wait = function(id, timeout)
        local ok, err = ch:send(id, timeout)
        if ok then sent[id] = true end
        return served(ok, err)
      end,
      serve = function() exchange(ch, "recv") end,
      close = function() -- what is held now was sent by one that was served
        ch:close()
        for v in ch:iter() do assert(type(v) == "number" or sent[v], v) end
      end,
    }
  end
end

row("channel:send", channel_send(0))
row("channel:send to one that is full", channel_send(2))

row("select of receives", function()
  local one, two = moonpark.chan(), moonpark.chan()
  return {
    wait = function(_, timeout) return served(moonpark.select { { one }, { two }, timeout = timeout }) end,
    serve = function() exchange(two, "send", "value") end,
    close = function() -- nobody is left in the other case's queue either
      for _, ch in ipairs { one, two } do assert(not ch:send("value", 0)) end
    end,
  }
end)

row("select of sends", function()
  local one, two = moonpark.chan(), moonpark.chan()
  return {
    wait = function(id, timeout) return served(moonpark.select { { one, id }, { two, id }, timeout = timeout }) end,
    serve = function() exchange(one, "recv") end,
    close = function()
      for _, ch in ipairs { one, two } do assert(not ch:recv(0)) end
    end,
  }
end)

local function streams(open)
  return function(ops)
    return function()
      local a, b, also = open()
      local object = ops(a, b)
      local close = object.close or nothing
      function object.close()
        close()
        a:close()
        b:close()
        if also then also:close() end
      end
      return object
    end
  end
end

local on_pipe = streams(function() return net.pipe(1) end)

local number = 0
local on_unix = streams(function()
  number = number + 1
  local listener = assert(net.listen(("unix:@moonpark-wait-%d-%d"):format(units.pid(), number)))
  local a = assert(net.dial(listener:address()))
  return a, assert(listener:accept()), listener
end)

local function timed(conn, timeout, method, ...)
  conn:set_timeout(timeout)
  return served(conn[method](conn, ...))
end

for where, on in pairs { ["an in-memory pair"] = on_pipe, ["a socket"] = on_unix } do
  row("read on " .. where, on(function(a, b)
    return {
      wait = function(_, timeout) return timed(a, timeout, "read") end,
      serve = function() b:write("x") end,
    }
  end))

  row("read_line on " .. where, on(function(a, b)
    return {
      wait = function(_, timeout) return timed(a, timeout, "read_line") end,
      serve = function()
        moonpark.go(function() b:write("x\n") end)
      end,
    }
  end))

  row("wait_readable on " .. where, on(function(a, b)
    return {
      wait = function(_, timeout) return timed(a, timeout, "wait_readable") end,
      serve = function() b:write("x") end,
    }
  end), { all = true })

  row("select of readiness on " .. where, on(function(a, b)
    local never = moonpark.chan()
    return {
      wait = function(_, timeout) return served(moonpark.select { { a, "r" }, { never }, timeout = timeout }) end,
      serve = function() b:write("x") end,
      close = function() assert(not never:send("value", 0)) end,
    }
  end), { single = true, all = true })
end

row("write on an in-memory pair", on_pipe(function(a, b)
  a:write("x")
  local sent = {}
  return {
    wait = function(id, timeout)
      local ok, err = timed(a, timeout, "write", id)
      sent[id] = ok
      return ok, err
    end,
    serve = function() b:read(1) end,
    close = function()
      local byte = b:read(1)
      assert(sent[byte], "written by one that left: " .. byte)
    end,
  }
end))

row("write on a socket", on_unix(function(a, b)
  units.fill(a:fd())
  local sent = {}
  return {
    wait = function(id, timeout)
      local ok, err = timed(a, timeout, "write", id)
      sent[id] = ok
      return ok, err
    end,
    serve = function() while units.read(b:fd(), 65536) do end end,
    close = function()
      a:close()
      for byte in (b:read_all() or ""):gmatch("%u") do assert(sent[byte], "written by one that left: " .. byte) end
    end,
  }
end), { all = true })

row("wait_writable on a socket", on_unix(function(a, b)
  units.fill(a:fd())
  return {
    wait = function(_, timeout) return timed(a, timeout, "wait_writable") end,
    serve = function() while units.read(b:fd(), 65536) do end end,
  }
end), { all = true })

row("accept", function()
  local listener, dialled = assert(net.listen "127.0.0.1:0"), {}
  return {
    wait = function(_, timeout)
      listener:set_timeout(timeout)
      local conn, err = listener:accept()
      if conn then conn:close() end
      return served(conn, err)
    end,
    serve = function() dialled[#dialled + 1] = assert(net.dial(listener:address())) end,
    close = function()
      for _, conn in ipairs(dialled) do conn:close() end
      listener:close()
    end,
  }
end)

row("netpoll's wait", function()
  local fd, peer = units.socketpair()
  local pd = assert(moonpark.netpoll.open(fd))
  return {
    wait = function() return served(pd:wait "r") end,
    serve = function() units.write(peer, "x") end,
    close = function()
      pd:unblock()
      pd:close()
      units.close(fd, peer)
    end,
  }
end, { single = true, all = true, no_timeout = true })

row("join", function()
  local gate = moonpark.event()
  local target = moonpark.go(function() gate:wait() end)
  return {
    wait = function(_, timeout) return served(target:join(timeout)) end,
    serve = function() gate:set() end,
    close = nothing,
  }
end, { all = true })

-- How a wait is left: enter(object, id) waits; leave(task) makes it go where it does not go by itself.
local ways = {
  ["is cancelled"] = {
    enter = function(object, id) return object.wait(id) end,
    leave = function(task) task:cancel() end,
    err = "canceled",
  },
  ["runs out of the time of a scope"] = {
    enter = function(object, id) return moonpark.timeout(0.001, object.wait, id) end,
    leave = nothing,
    err = "timeout",
  },
  ["runs out of its own time"] = {
    enter = function(object, id) return object.wait(id, 0.001) end,
    leave = nothing,
    err = "timeout",
    own = true,
  },
}

local function parked(task)
  while task:status() == "ready" do moonpark.yield() end
  return task:status() == "parked"
end

local function waiter(object, id)
  local task = moonpark.go(function() return object.wait(id) end)
  assert.is_true(parked(task))
  return task
end

-- One that waits in that way, and when it has left parks on something of its own.
local function leaver(object, way)
  local self = { own = moonpark.chan() }
  self.task = moonpark.go(function()
    self.ok, self.err = way.enter(object, "A")
    self.left = true
    return moonpark.shield(function() return self.own:recv() end)
  end)
  assert.is_true(parked(self.task))
  return self
end

local function leaves(self, way)
  way.leave(self.task)
  while not self.left do moonpark.yield() end
  assert.is_nil(self.ok)
  assert.equal(way.err, self.err)
  assert.is_true(parked(self.task))
end

-- It was not woken by anything but what it is parked on now.
local function was_left_alone(self)
  moonpark.yield()
  moonpark.yield()
  task_state.assert_waits(self.task)
  self.own:send "bye"
  assert.same({ true, "bye" }, { self.task:join() })
end

local function is_served(task) assert.same({ true, "served" }, { task:join() }) end

-- A wait of `timeout` must not be served, whoever left before.
local function is_not_served(object) assert.same({ nil, "timeout" }, { object.wait("D", 0.001) }) end

describe("a wait", function()
  local before

  before_each(function() before = core.stats() end)

  after_each(function()
    core.check()
    local after = core.stats()
    for _, what in ipairs { "outside", "waiters", "polls", "timers" } do
      assert.equal(before[what], after[what], what)
    end
  end)

  for _, kind in ipairs(rows) do
    describe("in " .. kind.name, function()
      local object
      before_each(function() object = nil end)

      local function each(body)
        return function()
          object = kind.make()
          body()
          object.close()
        end
      end

      for how, way in pairs(ways) do
        if not (way.own and kind.no_timeout) then
          if not kind.single then
            it("that " .. how .. " lets the next in line be served", each(function()
              local a = leaver(object, way)
              local b = waiter(object, "B")
              leaves(a, way)
              object.serve()
              is_served(b)
              was_left_alone(a)
            end))

            it("that " .. how .. " lets the one before it be served", each(function()
              local b = waiter(object, "B")
              local a = leaver(object, way)
              leaves(a, way)
              object.serve()
              is_served(b)
              was_left_alone(a)
            end))
          end

          it("that " .. how .. " leaves the object to one that comes later", each(function()
            local a = leaver(object, way)
            leaves(a, way)
            local c = waiter(object, "C")
            object.serve()
            is_served(c)
            if not kind.all then is_not_served(object) end
            was_left_alone(a)
          end))
        end
      end

      it("that is cancelled as it is served loses nothing: it or the next gets it", each(function()
        local a = moonpark.go(function() return object.wait "A" end)
        assert.is_true(parked(a))
        object.serve()
        a:cancel()
        local _, ok, err = a:join()
        if ok == "served" then
          if not kind.all then is_not_served(object) end
        else
          assert.equal("canceled", err)
          assert.equal("served", (object.wait "C"))
        end
      end))

      it("is refused in a cancelled task, which takes nothing", each(function()
        object.serve()
        local a = moonpark.go(function() return object.wait "A" end)
        a:cancel()
        assert.same({ true, nil, "canceled" }, { a:join() })
        assert.equal("served", (object.wait "C"))
      end))
    end)
  end

  describe("in sleep", function()
    for how, way in pairs(ways) do
      if not way.own then
        it("that " .. how .. " leaves no timer behind", function()
          local a = leaver({ wait = function() return moonpark.sleep(3600) end }, way)
          leaves(a, way)
          assert.equal(before.timers, core.stats().timers)
          was_left_alone(a)
        end)
      end
    end
  end)
end)

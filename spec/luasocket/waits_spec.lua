-- SPDX-License-Identifier: MIT
-- waits_spec.lua - LuaSocket's calls in tasks: they wait alone, are cancelled, and meet peers of every kind.

local moonpark = require "moonpark"
local net = require "moonpark.net"
local socket = require "moonpark.luasocket.core"
local support = require "support.net"

-- A listener of moonpark's whose connections are served by fn; and a function that ends it.
local function serving(fn)
  local listener = assert(net.listen "127.0.0.1:0")
  local task = moonpark.go(listener.serve, listener, fn)
  local host, port = listener:address():match "^(.*):(%d+)$"
  return host, port, function()
    listener:close()
    task:cancel()
    task:join()
  end
end

local function connected(host, port)
  local client = socket.tcp()
  assert(client:connect(host, port))
  return client
end

describe("a LuaSocket call in a task", function()
  it("waits alone: a thousand of them at once", function()
    local host, port, stop = serving(function(conn)
      for line in conn:lines() do conn:write(line:upper(), "\n") end
    end)
    local tasks = {}
    for i = 1, 1000 do
      tasks[i] = moonpark.go(function()
        local client = connected(host, port)
        for round = 1, 3 do
          assert(client:send(("task %d round %d\n"):format(i, round)))
          assert.equal(("TASK %d ROUND %d"):format(i, round), client:receive())
        end
        client:close()
      end)
    end
    for _, task in ipairs(tasks) do assert.is_true(task:join()) end
    stop()
  end)

  local waits = {
    receive = function(client) return client:receive() end,
    ["receive of a number"] = function(client) return client:receive(5) end,
    ["receive of all"] = function(client) return client:receive "*a" end,
    ["receive of nothing"] = function(client) return client:receive(0) end,
    send = function(client) return client:send(("x"):rep(64 * 2 ^ 20)) end,
    select = function(client) return select(3, socket.select({ client }, nil)) end,
  }

  for name, wait in pairs(waits) do
    it("is cancelled: " .. name, function()
      local host, port, stop = serving(function() moonpark.sleep(1000) end)
      local client = connected(host, port)
      local waiting = support.parked(function() return wait(client) end)
      waiting:cancel()
      local results = { waiting:join() }
      assert.is_true(results[1])
      assert.is_true(results[2] == "canceled" or results[3] == "canceled", tostring(results[3]))
      local late = moonpark.timeout(0.01, function() return wait(client) end)
      assert.is_nil(late)
      client:close()
      stop()
    end)

    it("ends when another task closes the socket: " .. name, function()
      local host, port, stop = serving(function() moonpark.sleep(1000) end)
      local client = connected(host, port)
      local waiting = support.parked(function() return wait(client) end)
      client:close()
      local results = { waiting:join() }
      assert.is_true(results[1])
      if name ~= "select" then assert.equal("closed", results[3]) end
      stop()
    end)
  end

  it("is cancelled while it accepts, connects or waits for datagrams", function()
    local listener = assert(socket.connect and socket.tcp())
    assert(listener:bind("127.0.0.1", 0))
    assert(listener:listen())
    local u = socket.udp()
    assert(u:setsockname("127.0.0.1", 0))
    for _, wait in ipairs { function() return listener:accept() end, function() return u:receive() end,
      function() return u:receivefrom() end } do
      local waiting = support.parked(wait)
      waiting:cancel()
      assert.same({ true, nil, "canceled" }, { waiting:join() })
    end
    listener:close()
    u:close()
  end)

  it("meets a peer that answers by halves, late, with nothing, or is cut anywhere", function()
    local answer = "first line\r\nsecond\n12345rest"
    for cut = 0, #answer do
      local host, port, stop = serving(function(conn)
        conn:write(answer:sub(1, cut))
        if cut % 2 == 0 then moonpark.yield() end
      end)
      local client = connected(host, port)
      local got, err, partial = {}, nil, nil
      for _, pattern in ipairs { "*l", "*l", 5, "*a" } do
        local data
        data, err, partial = client:receive(pattern)
        if not data then break end
        got[#got + 1] = data
      end
      local text = table.concat(got, "|") .. "|" .. (partial or "")
      local whole = answer:sub(1, cut):gsub("\r", "")
      assert.equal((whole:gsub("\n", "")), (text:gsub("|", "")), cut)
      if err then assert.equal("closed", err) end
      client:close()
      stop()
    end
  end)

  it("of two tasks at once queue, each with a line of its own", function()
    local host, port, stop = serving(function(conn) conn:write("one\ntwo\n") conn:read() end)
    local client = connected(host, port)
    local a = moonpark.go(client.receive, client)
    local b = moonpark.go(client.receive, client)
    local _, one = a:join()
    local _, two = b:join()
    assert.same({ "one", "two" }, { one, two })
    client:close()
    stop()
  end)

  it("from a finalizer closes, and does not wait", function()
    local host, port, stop = serving(function(conn) conn:read() end)
    local client, err = connected(host, port), nil
    local proxy = newproxy(true)
    getmetatable(proxy).__gc = function()
      local ok, why = pcall(client.receive, client)
      err = not ok and why or "it waited"
      client:close()
    end
    proxy = nil -- luacheck: ignore 311
    collectgarbage()
    collectgarbage()
    assert.matches("cannot wait here", err)
    assert.same({ nil, "closed", "" }, { client:receive() })
    stop()
  end)
end)

describe("socket.select", function()
  it("watches a thousand sockets, and finds the one that is ready", function()
    local host, port, stop = serving(function(conn)
      local line = conn:read_line()
      if line == "ping" then conn:write "pong\n" end
      conn:read()
    end)
    local clients = {}
    for i = 1, 1000 do clients[i] = connected(host, port) end
    local waiting = support.parked(function() return socket.select(clients, nil, 10) end)
    assert(clients[777]:send "ping\n")
    local _, readable = waiting:join()
    assert.same({ 1, true, 1 }, { #readable, readable[1] == clients[777], readable[clients[777]] })
    assert.error_matches(function()
      local many = {}
      for i = 1, 1025 do many[i] = clients[1] end
      socket.select(many, nil, 0)
    end, "too many sockets")
    for _, client in ipairs(clients) do client:close() end
    stop()
  end)

  it("watches descriptors of others, and connections of moonpark's", function()
    local a, b = support.connected "127.0.0.1:0"
    local foreign = { getfd = function() return a:fd() end, dirty = function() return false end }
    local waiting = support.parked(function() return socket.select({ foreign }, nil, 10) end)
    b:write "x"
    local _, readable = waiting:join()
    assert.equal(foreign, readable[1])
    assert.same({ "timeout" }, { select(3, socket.select({ foreign }, nil, 0)) or "timeout" })
    a:close()
    b:close()
  end)

  it("lets others run in a program that selects for ever", function()
    local host, port, stop = serving(function(conn) conn:write "x" conn:read() end)
    local client, rounds = connected(host, port), 0
    moonpark.go(function()
      for _ = 1, 10 do moonpark.yield() end
      rounds = -1
    end)
    while rounds >= 0 and rounds < 1000 do
      socket.select({ client }, nil, 0)
      rounds = rounds + (rounds >= 0 and 1 or 0)
    end
    assert.equal(-1, rounds)
    client:close()
    stop()
  end)
end)

-- SPDX-License-Identifier: MIT
-- Connections that a client keeps: when they are used again, and when not.

local core = require "moonpark.core"
local http = require "moonpark.http"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local peers = require "support.http_client"
local support = require "support.net"

describe("a client's connections", function()
  local client

  after_each(function()
    if client then client:close() end
    client = nil
    peers.stop_all()
  end)

  -- Answers every request with the number of its connection, and does what else is said.
  local function numbered(before)
    return peers.scripted(function(conn, number)
      while true do
        local head = peers.request(conn)
        if not head then return end
        if before then before(conn, number, head) end
        conn:write(peers.ok(tostring(number)))
      end
    end)
  end

  local function get(server, options)
    local answer, err = client:get(server.url, options)
    return answer and answer.body, err
  end

  it("are used again, the one that was used last first", function()
    local server = numbered()
    client = http.client()
    assert.equal("1", get(server))
    assert.equal("1", get(server))
    local streams = {}
    for i = 1, 2 do streams[i] = assert(client:get(server.url, { stream = true })) end
    assert.same({ open = 2, idle = 0 }, client:stats())
    assert.equal("2", streams[2]:read_all(10))
    assert.equal("1", streams[1]:read_all(10))
    assert.equal("1", get(server))
    assert.same({ open = 2, idle = 2 }, client:stats())
    assert.equal(2, server.count)
  end)

  it("are not used for another place", function()
    local one, two = numbered(), numbered()
    client = http.client()
    for _ = 1, 2 do
      get(one)
      get(two)
    end
    assert.same({ 1, 1 }, { one.count, two.count })
    local way = client:get("http://elsewhere.invalid/", { proxy = one.url })
    assert.equal("2", way.body) -- through a proxy is another place than the proxy itself
  end)

  it("are not kept where one side has said so", function()
    local server = numbered()
    client = http.client()
    get(server, { keep_alive = false })
    assert.same({ open = 0, idle = 0 }, client:stats())
    for _, text in ipairs { "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
      "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n" } do
      local other = peers.saying(text, text)
      assert(client:get(other.url))
      assert.same({ open = 0, idle = 0 }, client:stats())
    end
    local old = peers.saying("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", peers.ok "")
    assert(client:get(old.url))
    assert.same({ open = 1, idle = 1 }, client:stats())
  end)

  it("are not kept where more has come than an answer", function()
    local server = peers.saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nmore")
    client = http.client()
    assert(client:get(server.url))
    local kept = core.hard and 1 or 0 -- it reads byte by byte: the rest is found when the connection is to be used
    assert.same({ open = kept, idle = kept }, client:stats())
  end)

  it("are not kept behind an answer that says it has a body where none may be", function()
    for _, field in ipairs { "Content-Length: 2", "Transfer-Encoding: chunked" } do
      local server = peers.saying("HTTP/1.1 204 No Content\r\n" .. field .. "\r\n\r\n", peers.ok "")
      client = http.client()
      assert(client:get(server.url))
      assert.same({ open = 0, idle = 0 }, client:stats())
    end
  end)

  it("are free at once where a streamed answer has no body", function()
    local server = peers.scripted(function(conn)
      while peers.request(conn) do conn:write "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" end
    end)
    client = http.client { max_per_host = 1 }
    for _ = 1, 2 do
      local answer = assert(client:get(server.url, { stream = true }))
      assert.same({ open = 1, idle = 1 }, client:stats())
      assert.same({ nil, "eof" }, { answer:read() })
      assert.is_true(answer:close())
    end
    assert.equal(1, server.count)
  end)

  it("are free again once a streamed answer that nobody has read to its end is collected", function()
    local server = peers.scripted(function(conn)
      peers.request(conn)
      conn:write "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"
      conn:read_all()
    end)
    client = http.client { max_per_host = 1, max_connections = 1 }
    local function forget() assert(assert(client:get(server.url, { stream = true })):read()) end
    for _ = 1, 2 do
      forget()
      collectgarbage()
      collectgarbage()
      assert.same({ open = 0, idle = 0 }, client:stats())
    end
  end)

  it("are not used again once anything has come on them", function()
    local said = core.event()
    local server = peers.scripted(function(conn, number)
      peers.request(conn)
      conn:write(peers.ok(tostring(number)))
      if number == 1 then
        conn:write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfalse")
        said:set()
      end
      peers.request(conn)
      conn:write(peers.ok(tostring(number)))
    end)
    client = http.client()
    assert(client:post(server.url, { body = "" }))
    said:wait()
    support.settle()
    assert.equal("2", assert(client:post(server.url, { body = "" })).body)
  end)

  it("are not used again while something on them is unread, wherever a read has ended", function()
    local size
    local server = peers.scripted(function(conn)
      peers.request(conn)
      local head = "HTTP/1.1 200 OK\r\nContent-Length: %06d\r\n\r\n"
      local length = size - #head:format(0)
      conn:write(head:format(length), ("x"):rep(length), peers.ok "poison")
      if peers.request(conn) then conn:write(peers.ok "another") end
    end)
    client = http.client()
    for power = 8, core.hard and 10 or 17 do
      size = 2 ^ power
      for _ = 1, 3 do assert.equal("x", get(server):sub(1, 1), "2^" .. power) end
    end
  end)

  it("that the server has closed are replaced", function()
    local closed = {}
    local server = peers.scripted(function(conn, number)
      peers.request(conn)
      conn:write(peers.ok(tostring(number)))
      conn:close()
      closed[number] = true
    end)
    client = http.client()
    for i = 1, 3 do
      local answer = assert(client:post(server.url, { body = "x" }))
      assert.equal(tostring(i), answer.body)
      while not closed[i] do moonpark.yield() end
    end
  end)

  it("that die as they are used are replaced once, where the request may be repeated", function()
    local function dying(dead)
      return peers.scripted(function(conn, number)
        if not dead[number] then
          peers.request(conn)
          conn:write(peers.ok(tostring(number)))
        end
        peers.request(conn) -- and no answer
      end)
    end
    client = http.client()
    local server = dying {}
    assert.equal("1", get(server))
    assert.equal("2", get(server))
    assert.same({ nil, "unexpected eof" }, { client:post(server.url, { body = "x" }) })
    server = dying { [2] = true }
    assert.equal("1", get(server))
    assert.same({ nil, "unexpected eof" }, { get(server) })
    assert.equal(2, server.count)
  end)

  -- Answers a first request, and of a second one's answer this.
  local function beginning(piece, resets)
    return peers.scripted(function(conn)
      peers.request(conn)
      conn:write(peers.ok "first")
      conn:read_until("\r\n\r\n")
      conn:write(piece)
      if resets then conn:setoption("linger", 0) end
    end)
  end

  for _, how in ipairs { "closed", "reset" } do
    it("that die in the middle of an answer's head are not replaced: " .. how, function()
      for _, body in ipairs { false, "x", ("x"):rep(500000) } do -- the last one is on its way up meanwhile
        local server = beginning("HTTP/1.1 20", how == "reset")
        client = http.client()
        assert.equal("first", get(server))
        local options = { method = body and "PUT" or "GET", url = server.url, body = body or nil }
        local answer, err = client:request(options)
        assert.same({ nil, 1 }, { answer, server.count }, err)
        client:close()
      end
    end)
  end

  it("that die after a 100 Continue are not replaced", function()
    local server = beginning("HTTP/1.1 100 Continue\r\n\r\n")
    client = http.client()
    assert.equal("first", get(server))
    local answer = client:put(server.url, { body = "x", expect = true })
    assert.same({ nil, 1 }, { answer, server.count })
  end)

  it("are limited for each place, and who waits for one can be cancelled or time out", function()
    local server = numbered()
    client = http.client { max_per_host = 1 }
    local stream = assert(client:get(server.url, { stream = true }))
    assert.same({ nil, "timeout" }, { client:get(server.url, { timeout = 0.01 }) })
    local result
    local task = support.parked(function() result = { client:get(server.url) } end)
    task:cancel()
    task:join()
    assert.same({ nil, "canceled" }, result)
    local waiting = support.parked(function() return get(server) end)
    stream:read_all(10)
    assert.same({ true, "1" }, { waiting:join() })
    assert.equal(1, server.count)
  end)

  it("are limited in all: one that is idle elsewhere makes room", function()
    local one, two = numbered(), numbered()
    client = http.client { max_connections = 1 }
    get(one)
    get(two)
    assert.same({ open = 1, idle = 1 }, client:stats())
    local stream = assert(client:get(two.url, { stream = true }))
    assert.same({ nil, "timeout" }, { client:get(one.url, { timeout = 0.01 }) })
    stream:close()
    assert.equal("2", get(one))
  end)

  it("count among all while they are being made", function()
    local here, there = numbered(), numbered()
    client = http.client { max_connections = 2 }
    local streams = {}
    for i = 1, 2 do streams[i] = assert(client:get(here.url, { stream = true })) end
    for i = 1, 2 do streams[i]:read_all(10) end
    local dial, most, tasks = net.dial, 0, {}
    finally(function() net.dial = dial end)
    net.dial = function(...)
      moonpark.yield() -- it takes its time
      return dial(...)
    end
    for i = 1, 2 do
      tasks[i] = moonpark.go(function()
        local answer = assert(client:get(there.url, { stream = true }))
        most = math.max(most, client:stats().open)
        return answer:read_all(10)
      end)
    end
    for i = 1, 2 do assert(tasks[i]:join()) end
    assert.equal(2, most)
  end)

  it("count for their place when a request wants one of its own", function()
    local server = peers.scripted(function(conn, number)
      peers.request(conn)
      if number == 1 then
        conn:write(peers.ok "")
        assert.same({ nil, "eof" }, { conn:read() })
      else
        conn:write "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
      end
    end)
    client = http.client { max_per_host = 1 }
    get(server)
    assert(client:get(server.url, { upgrade = "x" })).connection:close()
    assert.same({ open = 0, idle = 0 }, client:stats())
  end)

  it("give their place back when they cannot be made", function()
    client = http.client { max_per_host = 1, max_connections = 1 }
    for _ = 1, 3 do
      local answer, err = client:get("http://" .. support.NOBODY .. "/")
      assert.same({ nil, "connection refused" }, { answer, err })
    end
    for _ = 1, 2 do assert.is_nil((client:get(peers.saying("garbage\r\n\r\n").url))) end
    assert.equal("fine", get(peers.saying(peers.ok "fine")))
  end)

  it("are not kept beyond their number and their time", function()
    local server = numbered()
    client = http.client { max_idle_per_host = 1 }
    local streams = {}
    for i = 1, 3 do streams[i] = assert(client:get(server.url, { stream = true })) end
    for i = 1, 3 do streams[i]:read_all(10) end
    assert.same({ open = 1, idle = 1 }, client:stats())
    client:close()
    client = http.client { idle_timeout = 0 }
    get(server)
    get(server)
    assert.equal(5, server.count)
  end)

  it("keep no program alive, and need not be closed by a test", function()
    local server = numbered()
    assert(http.get(server.url))
    assert.equal(1, require("moonpark.http.client").default():stats().idle)
  end)
end)

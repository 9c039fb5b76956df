-- SPDX-License-Identifier: MIT
-- Slow clients by the hundred: those who send or read a byte at a time hold nobody up, and leave nothing behind.

local core = require "moonpark.core"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local http = require "support.http"
local support = require "support.net"

local SLOW, REQUESTS = 100, 50
local PACE = 0.01 -- seconds between two bytes
local GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

local PIECE, PIECES = ("m"):rep(65536), core.hard and 4 or 16 -- of an answer that no buffer holds
local writing = 0                                             -- handlers that wait for their clients to read

local function stream(res)
  writing = writing + 1
  res:begin(#PIECE * PIECES)
  for _ = 1, PIECES do assert(res:write(PIECE)) end
  writing = writing - 1
end

local function handler(req, res)
  local body = assert(req:body())
  if req.raw_path == "/much" then return stream(res) end
  res:send(body)
end

-- Its connections keep little of what is written, so that a client that does not read is felt at once.
local function start()
  local listener = assert(net.listen "127.0.0.1:0")
  assert(listener:setoption("sndbuf", 65536))
  return http.start(handler, { listener = listener, head_timeout = 60 })
end

-- Sends bytes slowly until it may stop, then the rest at once.
local function send_slowly(conn, bytes, stop)
  local at = 1
  while at <= #bytes and not stop.now do
    assert(conn:write(bytes:sub(at, at)))
    at = at + 1
    moonpark.sleep(PACE)
  end
  assert(conn:write(bytes:sub(at)))
end

local ways = {
  ["send their heads"] = function(conn, stop) send_slowly(conn, GET, stop) end,
  ["send their bodies"] = function(conn, stop)
    conn:write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200\r\n\r\n")
    send_slowly(conn, ("b"):rep(200), stop)
  end,
  ["send their bodies in chunks"] = function(conn, stop)
    conn:write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    send_slowly(conn, ("1\r\nb\r\n"):rep(20) .. "0\r\n\r\n", stop)
  end,
  ["read their answers"] = function(conn, stop)
    conn:write("GET /much HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    local bytes = {}
    while not stop.now do
      bytes[#bytes + 1] = assert(conn:read(1))
      moonpark.sleep(PACE)
    end
    local answer = table.concat(bytes) .. assert(conn:read_all())
    local head, body = answer:match("^(HTTP/1%.1 200 .-\r\n\r\n)(m*)$")
    return head ~= nil and #body == #PIECE * PIECES
  end,
}

-- What shows that they are all in the middle of it.
local busy = { ["read their answers"] = function() return writing == SLOW end }

describe("a hundred clients that", function()
  after_each(http.stop_all)

  for what, slowly in pairs(ways) do
    it(what .. " slowly hold nobody up", function()
      local server = start()
      local stop, served = {}, 0
      local are_busy = busy[what] or function() return true end
      writing = 0
      moonpark.scope(function(scope)
        for _ = 1, SLOW do
          scope:go(function()
            local conn = server:dial()
            local ok = slowly(conn, stop)
            if ok == nil then ok = http.read_answer(conn).status == 200 end
            if ok then served = served + 1 end
            conn:close()
          end)
        end
        while server.server:stats().connections < SLOW or not are_busy() do moonpark.sleep(0.001) end
        local quick = server:dial()
        for _ = 1, REQUESTS do
          quick:write(GET)
          assert.equal(200, http.read_answer(quick).status)
        end
        quick:close()
        assert.equal(0, served) -- none of them was waited for
        assert.is_true(are_busy())
        stop.now = true
      end)
      assert.equal(SLOW, served)
    end)
  end

  it("vanish at once are forgotten, and so is what was theirs", function()
    local server = http.start(function(req, res)
      req:body()
      moonpark.sleep(3600)
      res:send("nobody reads this")
    end)
    local head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"
    local function visit()
      local conns, requests = {}, server.server:stats().requests
      for i = 1, SLOW do
        local bytes = (head .. "abc"):sub(1, 10 + i)
        if #bytes >= #head then requests = requests + 1 end
        conns[i] = server:dial()
        conns[i]:write(bytes)
      end
      repeat -- until each whole head has its worker: what these keep is compared
        moonpark.sleep(0.001)
        local stats = server.server:stats()
      until stats.connections == SLOW and stats.requests == requests
      for i = 1, SLOW do conns[i]:close() end
      while server.server:stats().connections > 0 do moonpark.sleep(0.001) end
      for _ = 1, 3 do collectgarbage() end
      local stats = core.stats()
      return { stats.polls, stats.timers, stats.blocks - stats.sites }
    end
    local first = visit()
    for _ = 1, 3 do
      local now = visit()
      assert.same({ first[1], first[2] }, { now[1], now[2] })
      assert.is_true(now[3] <= first[3] + SLOW, "memory grows") -- buffers that idle workers keep
    end
  end)
end)

-- Bytes in a unix socket are there at once, so a virtual clock does not run ahead of them.
describe("a client that takes its time", function()
  local STEP, TIMES, PAUSE = 1000000, 5, 40 -- bytes, more than the system holds for a socket; seconds

  local function serving(respond, body)
    support.with_folder(function(folder)
      local server = http.start(respond, { address = "unix:" .. folder .. "/s", io_timeout = 60 })
      local conn = assert(net.dial(server.address))
      support.with_frozen_clock(function() body(conn) end)
      conn:close()
      server:stop()
    end)
  end

  local function reads_slowly(respond)
    return function()
      serving(respond, function(conn)
        conn:write(GET)
        assert(conn:read_until("\r\n\r\n"))
        for _ = 1, TIMES do
          assert(conn:read_exactly(STEP))
          moonpark.sleep(PAUSE)
        end
      end)
    end
  end

  local much = ("m"):rep(STEP * TIMES)
  it("reads a whole answer, as long as some of it moves", reads_slowly(function(_, res) res:send(much) end))
  it("reads a large piece of a stream", reads_slowly(function(_, res)
    res:begin(#much)
    res:write(much)
  end))

  it("sends a whole body, as long as some of it moves", function()
    serving(function(req, res) res:send(#assert(req:body()) .. "\n") end, function(conn)
      conn:write(("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"):format(#much))
      for i = 1, TIMES do
        assert(conn:write(much:sub(1, STEP)))
        if i < TIMES then moonpark.sleep(PAUSE) end
      end
      assert.equal(tostring(#much), http.read_answer(conn).body:match("%d+"))
    end)
  end)

  it("is given up when nothing moves", function()
    local err
    serving(function(_, res) err = select(2, res:send(much)) end, function(conn)
      conn:write(GET)
      assert(conn:read_exactly(STEP))
      moonpark.sleep(61)
    end)
    assert.equal("timeout", err)
  end)
end)

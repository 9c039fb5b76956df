-- SPDX-License-Identifier: MIT
-- ws_socket, ws_send, ws_group: pongs, messages of groups and of tasks share one stream. Whichever has begun to leave
-- goes on, over a stream that takes a few bytes at a time, and over TLS, which may hold bytes that it has not counted.

local certificates = require "support.tls"
local core = require "moonpark.core"
local http = require "moonpark.http"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local support = require "support.net"
local wire = require "support.websocket"

local TEXT, BINARY, FIN, CLOSE, PING = wire.TEXT, wire.BINARY, wire.FIN, wire.CLOSE, wire.PING
local KEY = "\18\52\171\205"

local function plain(capacity) return net.pipe(capacity) end

local function encrypted(capacity)
  local a, b = net.pipe(capacity)
  certificates.over(b, a, certificates.server(), certificates.client())
  certificates.shake(b, a)
  return a, b
end

local kinds = { { "a pipe", plain, 10 }, { "TLS", encrypted, 100 } }

local function finish(ws, other)
  ws:abort()
  other:close()
  core.check()
end

for _, kind in ipairs(kinds) do
  local name, make, capacity = unpack(kind)

  describe("over " .. name .. ", what has begun to leave goes on:", function()
    local function socket(options)
      local a, b = make(capacity)
      return wire.over(a, true, options), b
    end

    it("a ping, before the messages of a group and a close frame", function()
      local ws, other = socket()
      local group = http.group()
      group:add(ws)
      local pings = {}
      for i = 1, 5 do
        pings[i] = ("ping %d "):format(i):rep(15)
        ws:ping(pings[i])
      end
      assert.equal(1, group:send "message")
      local reader = moonpark.go(ws.close, ws)
      support.settle()
      local got = {} -- whole frames, pings in their order, the close frame last
      for i = 1, 7 do
        local first, payload = wire.read_frame(other)
        got[i] = first == FIN + CLOSE and "close" or payload
      end
      local seen = {}
      for _, payload in ipairs(got) do
        if payload ~= "message" then seen[#seen + 1] = payload end
      end
      pings[6] = "close"
      assert.same(pings, seen)
      assert.equal("close", got[7])
      other:write(wire.frame(FIN + CLOSE, wire.code(1000), KEY))
      reader:join()
      finish(ws, other)
    end)

    it("a message of a group, before a pong", function()
      local ws, other = socket()
      local group = http.group()
      group:add(ws)
      local sent = {}
      for i = 1, 3 do
        sent[i] = support.random_bytes(300, i)
        assert.equal(1, group:send_binary(sent[i]))
      end
      local reader = support.parked(ws.receive, ws)
      for i = 1, 3 do
        ws:ping("ping " .. i)
        support.settle()
      end
      local messages, pings = {}, {}
      for _ = 1, 6 do
        local first, payload = wire.read_frame(other)
        local list = first == FIN + PING and pings or messages
        list[#list + 1] = payload
        assert.is_true(first == FIN + PING or first == FIN + BINARY)
      end
      assert.same(sent, messages)
      assert.same({ "ping 1", "ping 2", "ping 3" }, pings)
      reader:cancel()
      reader:join()
      finish(ws, other)
    end)

    it("messages of a group, while a send in its turn is given up", function()
      local ws, other = socket()
      local group = http.group()
      group:add(ws)
      local sent = {}
      for i = 1, 3 do
        sent[i] = support.random_bytes(300, i)
        assert.equal(1, group:send_binary(sent[i]))
      end
      local sender = support.parked(ws.send, ws, "never")
      sender:cancel()
      assert.same({ true, nil, "canceled" }, { sender:join() })
      local reader = support.parked(ws.receive, ws)
      for i = 1, 3 do
        local first, payload = wire.read_frame(other)
        assert.equal(FIN + BINARY, first)
        assert.is_true(payload == sent[i])
      end
      assert.is_true(ws:is_open())
      local again = moonpark.go(ws.send, ws, "last")
      assert.same({ FIN + TEXT, "last", false }, { wire.read_frame(other) })
      again:join()
      reader:cancel()
      reader:join()
      finish(ws, other)
    end)

    it("a message in pieces, before one that was sent meanwhile", function()
      local ws, other = socket()
      local first = support.parked(ws.send_some, ws, ("a"):rep(1000), "text", false)
      local second = support.parked(ws.send, ws, "whole")
      local read = { wire.read_frame(other) }
      assert.same({ TEXT, ("a"):rep(1000), false }, read)
      assert.same({ true, true }, { first:join() })
      local last = moonpark.go(ws.send_some, ws, "b", "text", true)
      assert.same({ FIN, "b", false }, { wire.read_frame(other) })
      assert.same({ true, true }, { last:join() })
      assert.same({ true, nil, "device or resource busy", 16 }, { second:join() })
      finish(ws, other)
    end)
  end)
end

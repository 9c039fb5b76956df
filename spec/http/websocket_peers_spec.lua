-- SPDX-License-Identifier: MIT
-- websocket_peers_spec.lua - WebSockets against those that others have written, in both roles: Node's ws and Python's
-- websockets. What is missing of them is a failure: `make test` installs them.

local core = require "moonpark.core"
local http = require "moonpark.http"
local moonpark = require "moonpark"
local net = require "support.net"
local process = require "support.process"
local server_of = require "support.http"

local peers = {
  { name = "Node's ws", words = { "node", process.root .. "/spec/support/websocket_peer.js" } },
  { name = "Python's websockets", words = { "/usr/bin/python3", process.root .. "/spec/support/websocket_peer.py" } },
}

-- Of messages, in bytes. A byte at a time the long ones take minutes.
local LENGTHS = { 0, 1, 125, 126, 127, 4096 }
if not core.hard then
  for _, n in ipairs { 65535, 65536, 300000 } do LENGTHS[#LENGTHS + 1] = n end
end

local PATIENCE = 60 -- seconds, for one message

-- Neither knows a sanitizer that this process was started with.
local ENV = { LD_PRELOAD = false, LD_LIBRARY_PATH = false, NODE_PATH = "/usr/share/nodejs",
  LENGTHS = table.concat(LENGTHS, " ") }

local function words_of(peer, ...)
  local words = { peer.words[1], peer.words[2] }
  for _, word in ipairs { ... } do words[#words + 1] = word end
  return words
end

local ways = { { "plain" }, { "compress", true }, { "compress", { takeover = false, peer_takeover = false } },
  { "compress", { window_bits = 10, peer_window_bits = 10 } }, { "compress fresh", true } }

for _, peer in ipairs(peers) do
  describe(peer.name, function()
    after_each(function()
      process.stop_all()
      server_of.stop_all()
    end)

    for i, way in ipairs(ways) do
      local kind = ("%s (%d)"):format(way[1], i)
      local first, second = way[1]:match "^(%S+) ?(%S*)$"

      it("is served: " .. kind, function()
        local server = server_of.start(function(_, res)
          local ws = res:websocket { compress = way[2], subprotocols = { "chat" } }
          for message, what in ws:messages() do
            if what == "text" then ws:send(message) else ws:send_binary(message) end
          end
        end)
        local r = process.run(words_of(peer, "ask", "ws://" .. server.address .. "/", first, second), { env = ENV })
        local extension = way[2] and "permessage-deflate" or ""
        local told = ("%d messages, 1 pong, 3333, chat, %s"):format(2 * #LENGTHS, extension)
        assert.equal(told, (r.out:gsub("%s+$", ""):gsub(",$", ", ")))
        assert.same({ 0, "" }, { r.status, r.err })
      end)

      it("serves: " .. kind, function()
        local child = process.start(words_of(peer, "serve", first, second), { env = ENV })
        local address = assert(child:line()):match "^listening on (.+)$"
        local ws = assert(http.websocket("ws://" .. address, { compress = way[2], subprotocols = { "chat" } }))
        assert.equal("chat", ws.subprotocol)
        for _, n in ipairs(LENGTHS) do
          local bytes = net.random_bytes(n, n + 1)
          local text = ("Grüße, "):rep(math.ceil(n / 9))
          assert(ws:send_binary(bytes))
          assert(ws:send(text))
          assert.is_true(ws:receive(PATIENCE) == bytes)
          local got, what = ws:receive(PATIENCE)
          assert.is_true(got == text)
          assert.equal("text", what)
        end
        assert(ws:send_some("in ", "text", false))
        assert(ws:ping "between")
        assert(ws:send_some("fragments", "text", true))
        assert.equal("in fragments", (ws:receive(PATIENCE)))
        assert.is_true(ws:close(3333, "done"))
        assert.equal(3333, (ws:status()))
        assert.equal("closed 3333 done", (child:line()))
        child:stop()
      end)
    end

    it("is told that the server goes away", function()
      local server = server_of.start(function(_, res)
        local ws = res:websocket { subprotocols = { "chat" } }
        while ws:receive() do moonpark.go(server_of.stop_all) end
      end)
      local r = process.run(words_of(peer, "ask", "ws://" .. server.address .. "/", "plain"), { env = ENV })
      assert.matches("1001", r.out .. r.err, 1, true)
    end)
  end)
end

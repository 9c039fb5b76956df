-- SPDX-License-Identifier: MIT
-- tls: what may happen in the middle of a handshake, on either side, after any of its bytes.

local collect = require "support.collect"
local core = require "moonpark.core"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local support = require "support.net"
local tls = require "moonpark.tls"
local certificates = require "support.tls"

local STEP = 137 -- bytes from one moment to the next

-- Passes bytes on, and calls at(moment) when so many have passed; how many there were.
local function relay(from, to, moment, at)
  local total = 0
  while true do
    if total == moment then at() end
    local bytes = from:read(total < moment and moment - total or 65536)
    if not bytes or not to:write(bytes) then break end
    total = total + #bytes
  end
  to:close_write()
  return total
end

-- The server is on the transport, the client on a pipe, and a relay between them. happens(conn, task) on that side once
-- so many of its bytes have come: the results of its handshake, and how many bytes it got.
local function handshake(transport, side, moment, server, happens)
  local a, b = transport.pair()
  local c, d = net.pipe()
  certificates.over(c, b, server)
  local conns = { client = c, server = b }
  local tasks = { client = moonpark.go(c.handshake, c), server = moonpark.go(b.handshake, b) }
  local function at() happens(conns[side], tasks[side]) end
  local up = moonpark.go(relay, d, a, side == "server" and moment or -1, at)
  local down = moonpark.go(relay, a, d, side == "client" and moment or -1, at)
  local results = { select(2, tasks[side]:join()) }
  c:close()
  b:close()
  tasks.client:join()
  tasks.server:join()
  local _, sent = up:join()
  local _, received = down:join()
  a:close()
  d:close()
  return results, side == "server" and sent or received
end

-- [what happens] = { the function, how the handshake of its side ends }
local happenings = {
  ["a close"] = { function(conn) conn:close() end, { nil, "closed" } },
  ["a cancellation"] = { function(_, task)
    task:cancel()
    while task:status() == "ready" do moonpark.yield() end -- before more comes, with which it could be done
  end, { nil, "canceled" } },
  ["a deadline"] = { function(conn) conn:set_deadline(moonpark.now() - 1) end, { nil, "timeout" } },
  ["a finalizer that closes"] = { function(conn)
    collect.within(function() conn:close() end, function() return {} end)
  end, { nil, "closed" } },
}

for _, transport in ipairs(support.transports) do
  for _, side in ipairs { "client", "server" } do
    describe(("in a handshake over %s, at the %s,"):format(transport.name, side), function()
      local server = certificates.server()

      for name, case in pairs(happenings) do
        it(name .. " ends it, whenever it comes, and nothing is left", function()
          local open, ended = tls.stats().open, 0
          local total = 1
          local moment = 0
          while moment < total do
            local results, got = handshake(transport, side, moment, server, case[1])
            if results[1] then -- it was over by then
              assert.is_true(moment > 300, moment)
            else
              assert.same(case[2], { results[1], results[2] })
              ended = ended + 1
            end
            total = math.max(total, got)
            if moment == 0 then total = 2000 end
            moment = moment + STEP
          end
          assert.is_true(ended >= 3, ended)
          assert.equal(open, tls.stats().open)
          core.check()
        end)
      end

      it("another start_tls is refused, and closes", function()
        local results = handshake(transport, side, 0, server, function(conn)
          assert.same({ nil, "device or resource busy", 16 }, { conn:start_tls(certificates.server()) })
          assert.is_true(conn:is_closed())
        end)
        assert.same({ nil, "closed" }, results)
      end)

      it("a reload of the context, and its end, change nothing", function()
        for moment = 0, 600, STEP do
          local mine = certificates.server()
          local results = handshake(transport, side, moment, mine, function()
            assert.is_true(mine:reload())
            mine = nil
            collectgarbage()
            collectgarbage()
          end)
          assert.same({ true }, results)
        end
      end)
    end)
  end
end

describe("connection:start_tls", function()
  it("is refused while another task reads, after a close, and on TLS", function()
    local a, b = net.pipe()
    local reader = support.parked(b.read, b)
    assert.same({ nil, "device or resource busy", 16 }, { b:start_tls(certificates.server()) })
    assert.same({ true, nil, "closed" }, { reader:join() })
    assert.same({ nil, "closed" }, { b:start_tls(certificates.server()) })
    a:close()
  end)

  it("lies over TLS as over any stream", function()
    local open = tls.stats().open
    local a, b = certificates.over(net.pipe())
    assert.same({ { true }, { true } }, { certificates.shake(a, b) })
    certificates.over(a, b)
    assert.same({ { true }, { true } }, { certificates.shake(a, b) })
    assert.equal(open + 4, tls.stats().open)
    local writer = moonpark.go(a.write, a, ("x"):rep(100000))
    assert.equal(100000, #b:read_exactly(100000))
    writer:join()
    a:close()
    assert.same({ nil, "eof" }, { b:read() })
    b:close()
    assert.equal(open, tls.stats().open)
  end)

  it("ends at the deadline that the connection has", function()
    local a, b = net.pipe()
    b:set_deadline(moonpark.now() + 0.01)
    assert.same({ nil, "timeout" }, { b:start_tls(certificates.server()) })
    assert.is_true(b:is_closed())
    a:close()
  end)

  it("ends with its task", function()
    local a, b = net.pipe()
    local task = support.parked(b.start_tls, b, certificates.server())
    task:cancel()
    assert.same({ true, nil, "canceled" }, { task:join() })
    assert.is_true(b:is_closed())
    a:close()
  end)
end)

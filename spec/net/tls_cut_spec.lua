-- SPDX-License-Identifier: MIT
-- tls: a handshake that is cut at any byte, or that comes in small pieces.

local core = require "moonpark.core"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local tls = require "moonpark.tls"
local certificates = require "support.tls"

-- Passes on what comes until `limit` bytes have, then ends; how many that were.
local function relay(from, to, limit)
  local total = 0
  while total < limit do
    local bytes = from:read(limit - total)
    if not bytes or not to:write(bytes) then break end
    total = total + #bytes
  end
  to:close_write()
  return total
end

-- A handshake of which so many bytes get through to the server, and to the client: both results, and the bytes.
local function through(server, client, to_server, to_client)
  local a, b = net.pipe()
  local c, d = net.pipe()
  certificates.over(a, d, server, client)
  local up, down = moonpark.go(relay, b, c, to_server), moonpark.go(relay, c, b, to_client)
  local mine, theirs
  moonpark.scope(function(scope)
    scope:go(function()
      mine = { a:handshake() }
      if not mine[1] then a:close() end
    end)
    scope:go(function()
      theirs = { d:handshake() }
      if not theirs[1] then d:close() end
    end)
  end)
  a:close()
  d:close()
  b:close()
  c:close()
  local _, sent = up:join()
  local _, received = down:join()
  return mine, theirs, sent, received
end

describe("a handshake that is cut", function()
  it("fails with unexpected eof, at whatever byte that is", function()
    local server, client, open = certificates.server(), certificates.client(), tls.stats().open
    local mine, theirs, sent = through(server, client, math.huge, math.huge)
    assert.same({ { true }, { true } }, { mine, theirs })
    assert.is_true(sent > 300)
    local shaken = 0
    for n = 0, sent - 1, 3 do
      local _, ended = through(server, client, n, math.huge)
      if ended[1] then shaken = shaken + 1 else assert.same({ nil, "unexpected eof" }, ended) end
    end
    assert.is_true(shaken < 20, shaken .. " of them") -- what is cut there is the client's close_notify
    for n = 0, 600, 7 do
      mine = through(server, client, math.huge, n)
      assert.same({ nil, "unexpected eof" }, mine)
    end
    assert.equal(open, tls.stats().open)
    core.check()
  end)
end)

describe("a handshake in small pieces", function()
  it("succeeds", function()
    local server, client = certificates.server(), certificates.client()
    for _, sizes in ipairs { { 1 }, { 1, 2, 3 }, { 5, 1 }, { 16, 1, 700 } } do
      local a, b = net.pipe(17)
      core.fragment(a, sizes)
      core.fragment(b, sizes)
      certificates.over(a, b, server, client)
      assert.same({ { true }, { true } }, { certificates.shake(a, b) })
      local writer = moonpark.go(a.write, a, ("x"):rep(1000))
      assert.equal(("x"):rep(1000), b:read_exactly(1000))
      assert.same({ true, 1000 }, { writer:join() })
      a:close()
      b:close()
    end
  end)
end)

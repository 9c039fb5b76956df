-- SPDX-License-Identifier: MIT
-- What a WebSocket is after a send or a receive has found no memory: as it was, or over; never one that goes on with
-- other bytes. Needs the hard build.

local core = require "moonpark.core"
local http = require "moonpark.http"
local support = require "support.net"
local wire = require "support.websocket"

local hard = core.hard
local NO_MEMORY = "not enough memory"
local AGREED = { out_bits = 9, in_bits = 9, level = 1, memory = 1, threshold = 0 }
local TRIES = 3 -- of the loop, to make what an operation returns

if jit.status() then jit.off() end -- LuaJIT's compiler does not survive a failed allocation

local function have_memory()
  hard.fail_times(1)
  hard.fail_alloc(0)
  collectgarbage("restart")
end

-- A stack that must grow needs memory too: not in the middle of what is looked at.
local function grow_stack() return select("#", unpack({}, 1, 150)) end

-- fn(...) with its n-th allocation, and those after it up to `times`, failing -> true, or nil and why; how many there
-- were.
local function without_memory(n, times, fn, ...)
  grow_stack()
  collectgarbage()
  collectgarbage("stop")
  hard.fail_times(times)
  hard.fail_alloc(n)
  local ok, sent, err = pcall(fn, ...)
  local count = select(2, hard.counts())
  have_memory()
  if not ok then sent, err = nil, tostring(sent) end
  assert.is_true(sent or err:find(NO_MEMORY, 1, true) ~= nil, err)
  return sent, err, count
end

-- Sockets at both ends of a connection; what is small waits in the kernel.
local function both(agreed)
  local a, b = support.transports[1].pair()
  return wire.over(a, true, {}, agreed), wire.over(b, false, {}, agreed)
end

-- send(ws), with its n-th allocation failing, n = 1, 2, ... If it has failed and the socket is open it is tried again.
-- What the other end receives is `expected`, or a cut -> how many allocations failed, how many cuts there were.
local function sweep(agreed, times, begin, send, expected)
  local n, cuts = 0, 0
  while true do
    n = n + 1
    local ws, other = both(agreed)
    begin(ws)
    local ok, _, count = without_memory(n, times, send, ws)
    if not ok and ws:is_open() then ok = send(ws) end
    cuts = cuts + (ok and 0 or 1)
    assert.equal(ok or false, ws:is_open())
    if ok then assert.same({ expected, "text", true }, { other:receive() })
    else assert.same({ nil, "unexpected eof" }, { other:receive() }) end
    ws:abort()
    other:abort()
    core.check()
    if count < n then return n - 1, cuts end
  end
end

local text = ("a piece of a message, "):rep(40)

describe("a WebSocket without memory", function()
  setup(function() assert.is_table(hard, "MODE=hard is needed") end)

  after_each(have_memory)

  for _, times in ipairs { 1, 3 } do
    it(("sends a compressed message whole, or not at all (%d)"):format(times), function()
      local tried, cuts = sweep(AGREED, times, function() end, function(ws) return ws:send(text) end, text)
      assert.is_true(tried > 5)
      assert.equal(0, cuts)
    end)

    it(("does not end a compressed message with other bytes than were given (%d)"):format(times), function()
      local rest = support.random_bytes(30000):gsub(".", function(c) return ("%x"):format(c:byte()) end)
      local tried, cuts = sweep(AGREED, times, function(ws) assert(ws:send_some(text, "text", false)) end,
        function(ws) return ws:send_some(rest, "text", true) end, text .. rest)
      assert.is_true(tried > 0)
      assert.is_true(cuts > 0)
    end)

    it(("sends a plain message in pieces, whatever was tried (%d)"):format(times), function()
      local _, cuts = sweep(nil, times, function(ws) assert(ws:send_some(text, "text", false)) end,
        function(ws) return ws:send_some("the end", "text", true) end, text .. "the end")
      assert.equal(0, cuts)
    end)
  end

  it("leaves its groups when it is closed after a message that could not be made", function()
    local a, b = support.transports[1].pair()
    local ws, group, got, err = wire.over(a, true), http.group(), nil, nil
    local frame = wire.frame(wire.FIN + wire.BINARY, support.random_bytes(2000), "abcd") -- the payload is no string
    group:add(ws)
    local reader = support.parked(function()
      grow_stack()
      collectgarbage()
      collectgarbage("stop")
      got, err = ws:receive()
      have_memory()
    end)
    assert(b:write(frame))
    hard.fail_times(TRIES)
    hard.fail_alloc(1)
    reader:join()
    assert.same({ nil, NO_MEMORY }, { got, err })
    ws:abort()
    support.settle()
    assert.equal(0, group:count())
    b:close()
  end)
end)

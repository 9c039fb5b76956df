-- SPDX-License-Identifier: MIT
-- Channels: exchange, capacity, close, order, time limits.

local moonpark = require "moonpark"

local function settle()
  for _ = 1, 10 do moonpark.yield() end
end

describe("a channel without capacity", function()
  it("makes the sender wait for the receiver", function()
    local ch, sent = moonpark.chan(), false
    moonpark.go(function() sent = ch:send("x") end)
    settle()
    assert.is_false(sent)
    assert.equal("x", ch:recv())
    settle()
    assert.is_true(sent)
  end)

  it("makes the receiver wait for the sender", function()
    local ch, got = moonpark.chan(), nil
    moonpark.go(function() got = ch:recv() end)
    settle()
    assert.is_true(ch:send("x"))
    settle()
    assert.equal("x", got)
  end)

  it("serves senders and receivers in the order they came", function()
    local ch, got = moonpark.chan(), {}
    for i = 1, 5 do moonpark.go(function() ch:send(i) end) end
    settle()
    for i = 1, 5 do got[i] = ch:recv() end
    assert.same({ 1, 2, 3, 4, 5 }, got)
    for i = 1, 5 do moonpark.go(function() got[i] = { i, (ch:recv()) } end) end
    settle()
    for i = 1, 5 do ch:send(i * 10) end
    settle()
    assert.same({ { 1, 10 }, { 2, 20 }, { 3, 30 }, { 4, 40 }, { 5, 50 } }, got)
  end)
end)

describe("a channel with a capacity", function()
  it("holds that many values and then makes the sender wait", function()
    local ch, sent = moonpark.chan(3), 0
    moonpark.go(function()
      for i = 1, 5 do
        ch:send(i)
        sent = sent + 1
      end
    end)
    settle()
    assert.equal(3, sent)
    local got = {}
    for i = 1, 5 do got[i] = ch:recv() end
    assert.same({ 1, 2, 3, 4, 5 }, got)
  end)

  it("tells how many it holds", function()
    local ch = moonpark.chan(3)
    ch:send("a")
    ch:send("b")
    assert.equal(2, #ch)
    ch:recv()
    assert.equal(1, #ch)
  end)

  it("keeps the order through many turns of its ring", function()
    local ch, got = moonpark.chan(7), {}
    moonpark.go(function()
      for i = 1, 1000 do ch:send(i) end
      ch:close()
    end)
    for value in ch:iter() do got[#got + 1] = value end
    assert.equal(1000, #got)
    for i = 1, 1000 do assert.equal(i, got[i]) end
  end)
end)

describe("close", function()
  it("lets receivers have what is held, then says closed", function()
    local ch = moonpark.chan(2)
    ch:send(1)
    ch:send(2)
    ch:close()
    assert.same({ 1, 2 }, { (ch:recv()), (ch:recv()) })
    assert.same({ nil, "closed" }, { ch:recv() })
    assert.is_true(ch:is_closed())
  end)

  it("fails every waiting receiver and sender", function()
    local empty, full, got = moonpark.chan(), moonpark.chan(), {}
    for i = 1, 2 do
      moonpark.go(function() got[i] = { empty:recv() } end)
      moonpark.go(function() got[i + 2] = { full:send(i) } end)
    end
    settle()
    empty:close()
    full:close()
    settle()
    local closed = { nil, "closed" }
    assert.same({ closed, closed, closed, closed }, got)
  end)

  it("fails sends, and is harmless twice", function()
    local ch = moonpark.chan(1)
    ch:close()
    assert.is_true(ch:close())
    assert.same({ nil, "closed" }, { ch:send(1) })
  end)
end)

describe("a time limit", function()
  it("ends the wait and leaves nothing in the queue", function()
    local ch = moonpark.chan()
    assert.same({ nil, "timeout" }, { ch:recv(0.001) })
    assert.same({ nil, "timeout" }, { ch:send("lost", 0.001) })
    moonpark.go(function() ch:send("found") end)
    assert.equal("found", ch:recv())
    assert.same({ nil, "timeout" }, { ch:recv(0) })
  end)

  it("of zero still takes what is there", function()
    local ch = moonpark.chan(1)
    assert.is_true(ch:send("x", 0))
    assert.same({ nil, "timeout" }, { ch:send("y", 0) })
    assert.equal("x", ch:recv(0))
  end)
end)

describe("what is sent", function()
  it("may be any value but nil", function()
    local ch, table_value = moonpark.chan(8), {}
    for _, value in ipairs { false, 0, "", table_value, print } do
      ch:send(value)
      assert.equal(value, (ch:recv()))
    end
    assert.error_matches(function() ch:send(nil) end, "nil cannot be sent")
    assert.error_matches(function() ch:send() end, "nil cannot be sent")
  end)

  it("refuses impossible capacities", function()
    for _, capacity in ipairs { -1, 0.5, 0 / 0, math.huge } do
      assert.error(function() moonpark.chan(capacity) end)
    end
  end)
end)

describe("a long random life", function()
  it("loses, doubles and reorders nothing, whatever is cancelled on the way", function()
    math.randomseed(7)
    local ch, sent, got, next_value = moonpark.chan(3), {}, {}, 0
    local function producer()
      for _ = 1, 50 do
        next_value = next_value + 1
        local value = next_value
        if ch:send(value, math.random() < 0.3 and 0 or nil) then sent[#sent + 1] = value end
        if math.random() < 0.5 then moonpark.yield() end
      end
    end
    local function consumer()
      while true do
        local value, err = ch:recv(math.random() < 0.3 and 0 or nil)
        if value then
          got[#got + 1] = value
        elseif err ~= "timeout" then
          return
        end
        if math.random() < 0.5 then moonpark.yield() end
      end
    end
    local consumers = {}
    moonpark.scope(function(scope)
      for i = 1, 6 do consumers[i] = moonpark.go(consumer) end
      for _ = 1, 8 do scope:go(producer) end
      for i = 1, 3 do
        moonpark.yield()
        consumers[i]:cancel()
      end
    end)
    ch:close()
    for _, task in ipairs(consumers) do task:join() end
    table.sort(sent)
    table.sort(got)
    assert.same(sent, got)
  end)
end)

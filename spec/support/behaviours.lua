-- SPDX-License-Identifier: MIT
-- support/behaviours.lua - what every connection does, whatever carries it: eleven behaviours.
--
--   for _, behaviour in ipairs(require "support.behaviours") do
--     it(behaviour.name, support.pair_of(transport, behaviour.body))
--   end

local assert = require "luassert"
local core = require "moonpark.core"
local moonpark = require "moonpark"
local support = require "support.net"

local CHUNK = 1024
local MEGABYTE = core.hard and 2 ^ 16 or 2 ^ 20 -- bytes; one at a time they take a while
local PAST = -5

local function in_chunks(data)
  local at = 1 - CHUNK
  return function()
    at = at + CHUNK
    if at <= #data then return data:sub(at, at + CHUNK - 1) end
  end
end

local function little_endian(n)
  return string.char(n % 256, math.floor(n / 256)) .. ("\0"):rep(6)
end

local function number_of(bytes)
  return bytes:byte(1) + 256 * bytes:byte(2)
end

-- The echoing peer of c2 sends "Hello, world!" back.
local function round_trip(c1)
  assert(c1:set_deadline(nil))
  assert.equal(13, c1:write("Hello, world!"))
  assert.equal("Hello, world!", c1:read_exactly(13))
end

-- Throws away what earlier operations left on the way. No other data holds a byte 255.
local function resync(c1)
  assert(c1:set_deadline(nil))
  local writer = moonpark.go(function() return c1:write("\255") end)
  repeat
    local data = assert(c1:read(CHUNK))
    local at = data:find("\255", 1, true)
    assert.is_true(at == nil or at == #data, "nothing follows the mark")
  until at
  assert.is_true(writer:join())
end

local function write_until_error(conn)
  local chunk = ("w"):rep(CHUNK)
  while true do
    local n, err = conn:write(chunk)
    if not n then return err end
  end
end

local function read_until_error(conn)
  local _, err = support.drain(conn)
  return err
end

local M = {} ---@type {name: string, body: fun(c1: moonpark.connection, c2: moonpark.connection)}[]

local function behaviour(name, body) M[#M + 1] = { name = name, body = body } end

behaviour("carries a megabyte unchanged, then its end", function(c1, c2)
  local sent, got = support.random_bytes(MEGABYTE), {}
  moonpark.scope(function(scope)
    scope:go(function()
      for chunk in in_chunks(sent) do assert.equal(#chunk, c1:write(chunk)) end
      assert.is_true(c1:close())
    end)
    repeat
      local data, err = c2:read(CHUNK)
      got[#got + 1] = data
      assert.is_true(data ~= nil or err == "eof", err)
    until not data
    assert.is_true(c2:close())
  end)
  assert.is_true(table.concat(got) == sent, "identical bytes")
end)

behaviour("plays ping-pong with counted messages", function(c1, c2)
  local function player(conn)
    local before
    while true do
      local bytes, err = conn:read_exactly(8)
      if not bytes then return assert.equal("eof", err) end
      local v = number_of(bytes)
      assert.is_true(before == nil or v == before + 2)
      before = v
      if v == 1000 then return end -- the other one sees the end
      assert.equal(8, conn:write(little_endian(v + 1)))
    end
  end
  moonpark.scope(function(scope)
    scope:go(function() player(c1) assert(c1:close()) end)
    scope:go(function() player(c2) assert(c2:close()) end)
    assert.equal(8, c1:write(little_endian(0)))
  end)
end)

behaviour("lets ten tasks read against a short deadline and fails them with nothing but timeout",
  function(c1, c2)
  local pattern = support.random_bytes(CHUNK)
  local twice = pattern .. pattern
  local writer = moonpark.go(function() repeat until not c2:write(pattern) end)
  local function reader()
    for _ = 1, 100 do
      local data, err = c1:read(CHUNK)
      if data then
        assert.is_true(twice:find(data, 1, true) ~= nil, "a piece of the stream")
      else
        assert.equal("timeout", err)
        assert(c1:set_read_deadline(moonpark.now() + 0.001))
      end
    end
  end
  assert(c1:set_read_deadline(moonpark.now() + 0.001))
  moonpark.scope(function(scope)
    for _ = 1, 10 do scope:go(reader) end
  end)
  c1:close()
  assert.is_true(writer:join())
end)

behaviour("lets ten tasks write against a short deadline and counts what each got through", function(c1, c2)
  local drained = moonpark.go(support.drain, c2)
  local accounted, chunk = 0, support.random_bytes(CHUNK)
  local function writer()
    for _ = 1, 100 do
      local n, err, _, partial = c1:write(chunk)
      accounted = accounted + (n or partial)
      if not n then
        assert.equal("timeout", err)
        assert(c1:set_write_deadline(moonpark.now() + 0.001))
      end
    end
  end
  assert(c1:set_write_deadline(moonpark.now() + 0.001))
  moonpark.scope(function(scope)
    for _ = 1, 10 do scope:go(writer) end
  end)
  assert(c1:set_write_deadline(nil))
  assert.equal(0, c1:write("")) -- what a write that timed out has left in the stream leaves
  c1:close()
  local _, total, why = drained:join()
  assert.equal("eof", why)
  assert.equal(accounted, total)
end)

behaviour("times a read out and still writes", function(c1, c2)
  local drained = moonpark.go(support.drain, c2)
  assert(c1:set_read_deadline(moonpark.now() + PAST))
  assert.same({ nil, "timeout" }, { c1:read(CHUNK) })
  assert.equal(CHUNK, c1:write(("x"):rep(CHUNK)))
  c1:close()
  assert.same({ true, CHUNK, "eof" }, { drained:join() })
end)

behaviour("times a write out and still reads", function(c1, c2)
  local writer = moonpark.go(write_until_error, c2)
  assert(c1:set_write_deadline(moonpark.now() + PAST))
  assert.same({ nil, "timeout", nil, 0 }, { c1:write(("x"):rep(CHUNK)) })
  assert.is_true(#assert(c1:read(CHUNK)) > 0)
  c1:close()
  assert.is_true(writer:join())
end)

behaviour("works again once a past deadline is gone", function(c1, c2)
  local echo = moonpark.go(support.echo, c2)
  round_trip(c1)
  assert(c1:set_deadline(moonpark.now() + PAST))
  assert.same({ nil, "timeout", nil, 0 }, { c1:write(("x"):rep(CHUNK)) })
  assert.same({ nil, "timeout" }, { c1:read(CHUNK) })
  round_trip(c1)
  c1:close()
  assert.is_true(echo:join())
end)

behaviour("is interrupted in a read and a write by a deadline set to the past meanwhile", function(c1)
  local set = false
  local function timed_out(operation)
    return function()
      assert.equal("timeout", operation(c1))
      assert.is_true(set, "not before the deadline was set")
    end
  end
  moonpark.scope(function(scope)
    scope:go(timed_out(read_until_error))
    scope:go(timed_out(write_until_error))
    moonpark.sleep(0.01)
    set = true
    assert(c1:set_read_deadline(moonpark.now() + PAST))
    assert(c1:set_write_deadline(moonpark.now() + PAST))
  end)
end)

behaviour("times out in a read and a write when a future deadline comes, and is usable afterwards",
  function(c1, c2)
  local deadline = moonpark.now() + 0.02
  assert(c1:set_deadline(deadline))
  moonpark.scope(function(scope)
    scope:go(function() assert.equal("timeout", read_until_error(c1)) end)
    scope:go(function() assert.equal("timeout", write_until_error(c1)) end)
  end)
  assert.is_true(moonpark.now() >= deadline, "not early")
  local echo = moonpark.go(support.echo, c2)
  resync(c1)
  round_trip(c1)
  c1:close()
  assert.is_true(echo:join())
end)

behaviour("ends a read and a write that are going on when it is closed", function(c1, c2)
  local echo = moonpark.go(support.echo, c2)
  moonpark.scope(function(scope)
    scope:go(function() assert.equal("closed", read_until_error(c1)) end)
    scope:go(function() assert.equal("closed", write_until_error(c1)) end)
    moonpark.sleep(0.01)
    assert.is_true(c1:close())
  end)
  assert.is_true(echo:join())
end)

behaviour("takes all its methods at once from many tasks", function(c1, c2)
  local echo = moonpark.go(support.echo, c2)
  local methods = {
    function() c1:read(CHUNK) end,
    function() c1:write(("x"):rep(CHUNK)) end,
    function() c1:set_deadline(moonpark.now() + 0.01) end,
    function() c1:set_read_deadline(moonpark.now() + PAST) end,
    function() c1:set_write_deadline(moonpark.now() + PAST) end,
    function() assert(c1:local_address()) end,
    function() assert(c1:peer_address()) end,
  }
  moonpark.scope(function(scope)
    for _ = 1, 100 do
      for _, method in ipairs(methods) do scope:go(method) end
    end
  end)
  resync(c1)
  round_trip(c1)
  c1:close()
  assert.is_true(echo:join())
end)

return M

-- SPDX-License-Identifier: MIT
-- numbers_spec.lua - what is no number is refused in the same way by every public function that takes one: with an
-- error in the caller's line. A string of digits is none.

local moonpark = require "moonpark"
local fs = require "moonpark.fs"
local net = require "moonpark.net"
local netpoll = require "moonpark.netpoll"
local process = require "moonpark.process"
local testing = require "moonpark.testing"

local NAN = 0 / 0

-- [name] = fn(value, things): calls it with that value. Calls are no tail calls, so that this file has the line.
local calls = {
  sleep = function(v) local r = moonpark.sleep(v) return r end,
  timeout = function(v) local r = moonpark.timeout(v, function() end) return r end,
  semaphore = function(v) local r = moonpark.semaphore(v) return r end,
  chan = function(v) local r = moonpark.chan(v) return r end,
  select = function(v) local r = moonpark.select { { moonpark.chan() }, timeout = v } return r end,
  ["limits.slow"] = function(v) local r = moonpark.limits { slow = v } return r end,
  ["limits.limit"] = function(v) local r = moonpark.limits { limit = v } return r end,
  ["limits.stuck"] = function(v) local r = moonpark.limits { stuck = v } return r end,
  ["pool_of.max"] = function(v) local r = moonpark.pool_of { open = print, max = v } return r end,
  ["pool_of.idle_timeout"] = function(v) local r = moonpark.pool_of { open = print, idle_timeout = v } return r end,
  ["pool_of.timeout"] = function(v) local r = moonpark.pool_of { open = print, timeout = v } return r end,
  ["pool:with"] = function(v) local r = moonpark.pool_of { open = print }:with(print, v) return r end,
  ["task:join"] = function(v, things) local r = things.task:join(v) return r end,
  ["mutex:lock"] = function(v) local r = moonpark.mutex():lock(v) return r end,
  ["semaphore:acquire"] = function(v) local r = moonpark.semaphore(1):acquire(v) return r end,
  ["event:wait"] = function(v) local r = moonpark.event():wait(v) return r end,
  ["chan:send"] = function(v) local r = moonpark.chan(1):send("x", v) return r end,
  ["chan:recv"] = function(v) local r = moonpark.chan(1):recv(v) return r end,
  ["conn:read"] = function(v, things) local r = things.conn:read(v) return r end,
  ["conn:read_exactly"] = function(v, things) local r = things.conn:read_exactly(v) return r end,
  ["conn:read_line"] = function(v, things) local r = things.conn:read_line(v) return r end,
  ["conn:read_until"] = function(v, things) local r = things.conn:read_until("x", v) return r end,
  ["conn:read_all"] = function(v, things) local r = things.conn:read_all(v) return r end,
  ["conn:set_timeout"] = function(v, things) local r = things.conn:set_timeout(v) return r end,
  ["conn:set_deadline"] = function(v, things) local r = things.conn:set_deadline(v) return r end,
  ["conn:set_read_deadline"] = function(v, things) local r = things.conn:set_read_deadline(v) return r end,
  ["conn:set_write_deadline"] = function(v, things) local r = things.conn:set_write_deadline(v) return r end,
  ["conn:sendfile offset"] = function(v, things) local r = things.conn:sendfile("/dev/null", v) return r end,
  ["conn:sendfile length"] = function(v, things) local r = things.conn:sendfile("/dev/null", 0, v) return r end,
  ["listener:set_deadline"] = function(v, things) local r = things.listener:set_deadline(v) return r end,
  ["net.pipe"] = function(v) local r = net.pipe(v) return r end,
  ["net.copy"] = function(v, things) local r = net.copy(things.conn, things.other, v) return r end,
  ["net.dial timeout"] = function(v) local r = net.dial("127.0.0.1:1", { timeout = v }) return r end,
  ["net.dial deadline"] = function(v) local r = net.dial("127.0.0.1:1", { deadline = v }) return r end,
  ["net.listen backlog"] = function(v) local r = net.listen("127.0.0.1:0", { backlog = v }) return r end,
  ["net.resolve timeout"] = function(v) local r = net.resolve("localhost", { timeout = v }) return r end,
  ["packet:recv_from"] = function(v, things) local r = things.packet:recv_from(v) return r end,
  ["packet:set_timeout"] = function(v, things) local r = things.packet:set_timeout(v) return r end,
  ["file:read"] = function(v, things) local r = things.file:read(v) return r end,
  ["file:seek"] = function(v, things) local r = things.file:seek("set", v) return r end,
  ["fs.read"] = function(v) local r = fs.read("/dev/null", v) return r end,
  ["netpoll.open"] = function(v) local r = netpoll.open(v) return r end,
  ["process.run timeout"] = function(v) local r = process.run({ "true" }, { timeout = v }) return r end,
  ["process.run max"] = function(v) local r = process.run({ "true" }, { max = v }) return r end,
  ["process.run grace"] = function(v) local r = process.run({ "true" }, { grace = v }) return r end,
  ["testing.timeout"] = function(v) local r = testing.timeout(v) return r end,
  ["testing.pair capacity"] = function(v) local r = testing.pair { capacity = v } return r end,
}

describe("what is no number", function()
  local things

  before_each(function()
    local conn, other = net.pipe()
    things = { conn = conn, other = other, listener = net.listen "127.0.0.1:0", packet = net.packet "udp:127.0.0.1:0",
      file = fs.open "/dev/null", task = moonpark.go(function() end) }
    things.task:join()
  end)

  after_each(function()
    for _, name in ipairs { "conn", "other", "listener", "packet", "file" } do things[name]:close() end
  end)

  for name, call in pairs(calls) do
    it("is refused by " .. name .. " in the caller's line", function()
      for _, value in ipairs { "1", "soon", true, {}, NAN } do
        local ok, err = pcall(call, value, things)
        local shown = ("%s with %s: %s"):format(name, tostring(value), tostring(err))
        assert.is_false(ok, shown)
        assert.matches("^spec/numbers_spec.lua:%d+: ", err, nil, nil, shown)
        assert.is_true((err:find "expected" or err:find "must be") ~= nil, shown)
      end
    end)
  end
end)

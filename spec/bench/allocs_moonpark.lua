-- SPDX-License-Identifier: MIT
-- What a read and a write allocate on Lua's heap, in bytes, for messages of 64 bytes with the collector stopped.
--
-- usage: luajit allocs_moonpark.lua; prints "NAME BYTES" for each of
--   read          a read that finds its message waiting, the string it returns included
--   parked_read   a read that parks until its message arrives, the string included
--   write         a write that the kernel takes at once
-- The other end works on the bare descriptor without Lua strings: a string that is alive already would be shared, and
-- the read would look cheaper than it is. The median of several passes is given, after unmeasured ones.

local ffi = require "ffi"
local moonpark = require "moonpark"
local net = require "moonpark.net"

ffi.cdef [[
ssize_t write(int fd, const void *bytes, size_t size);
ssize_t read(int fd, void *bytes, size_t size);
]]

local SIZE = 64
local BATCH = 100      -- messages in flight: few enough for the socket's buffer
local BATCHES = 20
local WARM_UP, PASSES = 10, 11

local outgoing = ffi.new("uint64_t[?]", SIZE / 8)
local incoming = ffi.new("uint8_t[?]", SIZE * BATCH)

-- Every message is new to the process.
local function feed(fd)
  outgoing[0] = outgoing[0] + 1
  assert(ffi.C.write(fd, outgoing, SIZE) == SIZE)
end

local function drain(fd)
  local left = SIZE * BATCH
  while left > 0 do
    local count = tonumber(ffi.C.read(fd, incoming, left))
    assert(count > 0)
    left = left - count
  end
end

local function pair()
  local listener = assert(net.listen("127.0.0.1:0"))
  local near = assert(net.dial(listener:address()))
  local far = assert(listener:accept())
  listener:close()
  return near, far
end

local function read_waiting(near, fd)
  for _ = 1, BATCH do feed(fd) end
  local before = collectgarbage("count")
  for _ = 1, BATCH do near:read(SIZE) end
  return collectgarbage("count") - before
end

local function write_at_once(near, fd, message)
  local before = collectgarbage("count")
  for _ = 1, BATCH do near:write(message) end
  local grown = collectgarbage("count") - before
  drain(fd)
  return grown
end

-- The reader is a task of its own, parked whenever a message is fed.
local function read_parked(fd, reader)
  local before = collectgarbage("count")
  for _ = 1, BATCH do
    local due = reader.seen + 1
    feed(fd)
    while reader.seen < due do moonpark.yield() end
  end
  return collectgarbage("count") - before
end

local function start_reader(near)
  local reader = { seen = 0 }
  moonpark.go(function()
    while near:read(SIZE) do reader.seen = reader.seen + 1 end
  end)
  moonpark.yield()
  return reader
end

local function pass(batch, ...)
  local grown = 0
  collectgarbage("stop")
  for _ = 1, BATCHES do grown = grown + batch(...) end
  collectgarbage("restart")
  collectgarbage()
  return grown * 1024 / (BATCH * BATCHES)
end

local function measure(name, batch, ...)
  local passes = {}
  for _ = 1, WARM_UP do pass(batch, ...) end
  for i = 1, PASSES do passes[i] = pass(batch, ...) end
  table.sort(passes)
  print(("%s %.1f"):format(name, passes[(PASSES + 1) / 2]))
end

moonpark.run(function()
  local near, far = pair()
  local fd = far:fd()
  measure("read", read_waiting, near, fd)
  measure("write", write_at_once, near, fd, ("m"):rep(SIZE))
  measure("parked_read", read_parked, fd, start_reader(near))
  io.stdout:flush()
  os.exit(0) -- the reader is still parked
end)

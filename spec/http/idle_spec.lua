-- SPDX-License-Identifier: MIT
-- idle_spec.lua - what a connection costs that waits for its next request, and how many writes answers take. The
-- clients are bare descriptors, so that all that Lua holds is the server's.

local core = require "moonpark.core"
local ffi = require "ffi"
local http = require "support.http"
local moonpark = require "moonpark"
local wire = require "support.http_wire"

ffi.cdef [[
struct idle_address { uint16_t family, port; uint8_t host[4]; uint8_t zero[8]; };
struct idle_tcp_info { uint8_t bytes[8]; uint32_t words[24]; uint64_t longs[4]; uint32_t segs_out, segs_in;
  uint32_t notsent_bytes, min_rtt, data_segs_in, data_segs_out; };
int idle_socket(int domain, int type, int protocol) asm("socket");
int idle_connect(int fd, const void *address, unsigned length) asm("connect");
long idle_send(int fd, const void *bytes, size_t n, int flags) asm("send");
long idle_recv(int fd, void *bytes, size_t n, int flags) asm("recv");
int idle_getsockopt(int fd, int level, int name, void *value, unsigned *length) asm("getsockopt");
int idle_close(int fd) asm("close");
]]
local C = ffi.C
local AF_INET, SOCK_STREAM, MSG_DONTWAIT, IPPROTO_TCP, TCP_INFO = 2, 1, 0x40, 6, 11 -- Linux

local room = ffi.new("char[?]", 65536)
local address = ffi.new("struct idle_address", { family = AF_INET, host = { 127, 0, 0, 1 } })

local function dial(port)
  address.port = bit.bor(bit.lshift(port % 256, 8), bit.rshift(port, 8))
  local fd = C.idle_socket(AF_INET, SOCK_STREAM, 0)
  assert(fd >= 0 and C.idle_connect(fd, address, ffi.sizeof(address)) == 0)
  return fd
end

-- Sends requests and takes n bytes of answers, or what comes first -> how many came; the server runs meanwhile.
local function ask(fd, request, n)
  assert(C.idle_send(fd, request, #request, 0) == #request)
  local all = 0
  repeat
    local got = tonumber(C.idle_recv(fd, room, 65536, MSG_DONTWAIT))
    assert(got ~= 0, "closed")
    if got > 0 then all = all + got else moonpark.sleep(0.0005) end
  until all >= (n or 1)
  return all
end

-- How many segments with data have come; over the loopback each write that is no larger than one makes one.
local function data_segments(fd)
  local info, length = ffi.new("struct idle_tcp_info"), ffi.new("unsigned[1]", ffi.sizeof("struct idle_tcp_info"))
  assert(C.idle_getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, length) == 0)
  assert(length[0] == ffi.sizeof("struct idle_tcp_info"), "the kernel does not count segments")
  return info.data_segs_in
end

-- Bytes of all that Lua holds.
local function held()
  for _ = 1, 3 do collectgarbage() end
  return collectgarbage("count") * 1024
end

describe("an idle connection", function()
  after_each(http.stop_all)

  it("has no coroutine, no userdata, no task and no waiter", function()
    local server = http.start(wire.plain, { idle_timeout = 3600 })
    local port = tonumber(server.port)
    local fds = ffi.new("int[?]", 400)
    local request = wire.GET
    local one = dial(port)
    local length = ask(one, request)
    C.idle_close(one)

    -- That many connections, each of which has had two requests -> what is held while they wait.
    local function idle(n)
      for i = 0, n - 1 do
        fds[i] = dial(port)
        for _ = 1, 2 do ask(fds[i], request, length) end
      end
      assert.equal(n, server.server:stats().connections)
      local bytes, stats = held(), core.stats()
      for i = 0, n - 1 do C.idle_close(fds[i]) end
      while server.server:stats().connections > 0 do moonpark.sleep(0.0005) end
      return { bytes = bytes, tasks = stats.tasks, waiters = stats.waiters, polls = stats.polls, blocks = stats.blocks }
    end

    jit.off() -- traces are Lua's memory too
    idle(400)
    local few, many = idle(10), idle(400)
    jit.on()
    assert.equal(few.tasks, many.tasks)
    assert.equal(few.waiters, many.waiters)
    assert.equal(390, many.polls - few.polls)
    assert.is_true(many.blocks - few.blocks <= 390 + 10, "more than one block of memory each")
    -- The smallest userdata has 40 bytes, a coroutine 540.
    local each = (many.bytes - few.bytes) / 390
    assert.is_true(each < 8, ("%g bytes of Lua's memory each"):format(each))
  end)
end)

describe("the answers to pipelined requests", function()
  after_each(http.stop_all)

  it("leave in one write", function()
    local server = http.start(wire.plain)
    local fd = dial(tonumber(server.port))
    local before = data_segments(fd)
    local length = ask(fd, wire.GET)
    assert.equal(before + 1, data_segments(fd))
    ask(fd, wire.GET:rep(16), 16 * length)
    assert.equal(before + 2, data_segments(fd))
    for _ = 1, 16 do ask(fd, wire.GET, length) end -- the count tells writes apart
    assert.equal(before + 18, data_segments(fd))
    C.idle_close(fd)
  end)

  it("leave in one write with their bodies and whatever the requests carry", function()
    local server = http.start(function(req, res) res:json { got = req:body() } end)
    local fd = dial(tonumber(server.port))
    local length = ask(fd, wire.post(3, "abc"))
    local before = data_segments(fd)
    ask(fd, wire.post(3, "abc"):rep(16), 16 * length)
    assert.equal(before + 1, data_segments(fd))
    C.idle_close(fd)
  end)
end)

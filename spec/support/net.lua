-- SPDX-License-Identifier: MIT
-- support/net.lua - what the specs of moonpark.net share: connected pairs of every transport, folders for
-- unix paths, descriptors counted and used up, a frozen clock.
--
-- Nothing here closes on failure: moonpark.testing names what a failed test has left.

local ffi = require "ffi"
local core = require "moonpark.core"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local task_state = require "support.task_state"

ffi.cdef [[
  char *mkdtemp(char *template);
  int rmdir(const char *path);
  int fcntl(int fd, int command, ...);
  int close(int fd);
  struct net_spec_rlimit { unsigned long now, most; };
  int getrlimit(int resource, struct net_spec_rlimit *limit);
  int setrlimit(int resource, const struct net_spec_rlimit *limit);
  ssize_t send(int fd, const void *bytes, size_t n, int flags);
  int net_spec_getpid(void) __asm__("getpid");
]]

local M = {}

--- An address at which nobody listens: a port that no process is given by chance.
M.NOBODY = "127.83.12.9:1"

function M.pid() return ffi.C.net_spec_getpid() end

--- A loopback address that no other spec uses at the same time. A port there that was closed a moment ago is still
--- free: on 127.0.0.1 it may be anybody's by then.
function M.own_host()
  local pid = M.pid()
  return ("127.%d.%d.%d"):format(64 + bit.rshift(pid, 16) % 64, bit.rshift(pid, 8) % 256, pid % 256)
end

local F_DUPFD, F_GETFD, MSG_OOB, RLIMIT_NOFILE, HIGHEST_FD = 0, 1, 1, 7, 255

--- Runs body(folder) with a fresh folder, which must be empty again afterwards.
function M.with_folder(body)
  local template = ffi.new("char[?]", 64, "/tmp/moonpark-spec-XXXXXX")
  assert(ffi.C.mkdtemp(template) ~= nil)
  local folder = ffi.string(template)
  body(folder)
  assert(ffi.C.rmdir(folder) == 0, "a file was left in " .. folder)
end

--- Two connected ends through a listener on that address: who dialled, who was accepted.
function M.connected(address)
  local listener = assert(net.listen(address))
  local client = assert(net.dial(listener:address()))
  local server = assert(listener:accept())
  listener:close()
  return client, server
end

local function unix_pair()
  local client, server
  M.with_folder(function(folder) client, server = M.connected("unix:" .. folder .. "/s") end)
  return client, server
end

--- Every transport: its name and how a connected pair of it is made.
M.transports = {
  { name = "tcp", pair = function() return M.connected("127.0.0.1:0") end },
  { name = "unix", pair = unix_pair },
  { name = "pipe", pair = function() return net.pipe() end },
}

--- The body of an `it`: body(a, b) with a fresh pair of the transport, closed afterwards.
function M.pair_of(transport, body)
  return function()
    local a, b = transport.pair()
    body(a, b)
    a:close()
    b:close()
    core.check()
  end
end

local transport_of = {}
for _, transport in ipairs(M.transports) do transport_of[transport.name] = transport end

--- The same for one transport by its name.
function M.on(name, body) return M.pair_of(assert(transport_of[name]), body) end

--- The body of an `it`: body(listener) with a TCP listener, closed afterwards.
function M.listening(body)
  return function()
    local listener = assert(net.listen("127.0.0.1:0"))
    body(listener)
    listener:close()
    core.check()
  end
end

--- Runs fn() on a clock that stands still and jumps to the next timer when nothing else can happen.
--- For in-memory pairs only: the kernel does not know that clock.
function M.with_frozen_clock(fn)
  core.clock_freeze()
  local ok, err = pcall(fn)
  core.clock_thaw()
  if not ok then error(err, 0) end
end

--- Starts fn(...) and lets it run until it parks.
function M.parked(fn, ...)
  local task = moonpark.go(fn, ...)
  for _ = 1, 100 do
    if task:status() ~= "ready" then break end
    moonpark.yield()
  end
  task_state.assert_waits(task)
  return task
end

--- Goes round the loop often enough for all that is ready to be seen.
function M.settle()
  for _ = 1, 10 do moonpark.yield() end
end

--- Waits until that instant of moonpark.now()'s clock has passed.
function M.wait_until(instant)
  while moonpark.now() <= instant do moonpark.sleep(instant - moonpark.now()) end
end

--- Writes until nothing more fits (the end must not be read meanwhile); how many bytes went in. What ends a write is no
--- deadline, which could pass before the write has been tried.
function M.fill(conn)
  conn:setoption("sndbuf", 65536) -- or the kernel makes it larger as it sees fit; a pipe has none
  local chunk, total = ("f"):rep(65536), 0
  repeat
    local writer = moonpark.go(conn.write, conn, chunk)
    moonpark.yield()
    if writer:status() == "parked" then moonpark.sleep(0.02) end -- what the kernel moves on its own makes room
    while writer:status() == "ready" do moonpark.yield() end -- in the middle of it, or woken for nothing
    local is_full = writer:status() == "parked"
    if is_full then writer:cancel() end
    local _, n, err, _, partial = writer:join()
    assert(n or err == "canceled", err)
    total = total + (n or partial)
  until is_full
  return total
end

-- How many connections wait to be accepted there, as the kernel says.
local function queued(address)
  local port = (":%04X "):format(tonumber(address:match("%d+$")))
  for line in io.lines("/proc/self/net/tcp") do
    local here, queue = line:match("^%s*%d+: (%x+:%x+ )%x+:%x+ 0A %x+:(%x+)")
    if here and here:sub(-#port) == port then return tonumber(queue, 16) end
  end
  error("nobody listens at " .. address)
end

--- A TCP listener whose queue is full, so that the next dial waits, and the connections that fill it.
function M.clogged()
  local listener = assert(net.listen("127.0.0.1:0", { backlog = 1 }))
  local conns = {}
  while queued(listener:address()) < 2 do conns[#conns + 1] = assert(net.dial(listener:address())) end
  return listener, conns
end

--- Reads to the end: how many bytes came, and why it ended.
function M.drain(conn)
  local total = 0
  while true do
    local data, err = conn:read()
    if not data then return total, err end
    total = total + #data
  end
end

--- Sends back what comes, until it fails.
function M.echo(conn)
  while true do
    local data = conn:read()
    if not data or not conn:write(data) then return end
  end
end

--- One byte of urgent data.
function M.send_urgent(conn, byte)
  assert(ffi.C.send(conn:fd(), byte, 1, MSG_OOB) == 1)
end

--- n bytes that differ from run to run of the generator but not from run to run of the test.
function M.random_bytes(n, seed)
  local bytes, x = {}, seed or 1
  for i = 1, n do
    x = (x * 16807) % 2147483647
    bytes[i] = string.char(x % 251)
  end
  return table.concat(bytes)
end

--- How many descriptors this process has open.
function M.descriptors()
  local n = 0
  for fd = 0, HIGHEST_FD do
    if ffi.C.fcntl(fd, F_GETFD) ~= -1 then n = n + 1 end
  end
  return n
end

local function highest_descriptor()
  for fd = HIGHEST_FD, 0, -1 do
    if ffi.C.fcntl(fd, F_GETFD) ~= -1 then return fd end
  end
end

--- Lets descriptors be opened below that number alone from now on; a function that takes that back.
function M.limit_descriptors(number)
  local before, now = ffi.new("struct net_spec_rlimit"), ffi.new("struct net_spec_rlimit")
  assert(ffi.C.getrlimit(RLIMIT_NOFILE, before) == 0)
  now.now, now.most = number, before.most
  assert(ffi.C.setrlimit(RLIMIT_NOFILE, now) == 0)
  return function() assert(ffi.C.setrlimit(RLIMIT_NOFILE, before) == 0) end
end

--- Lets no descriptor be opened from now on, or no more than `spare`; a function that takes that back.
function M.use_up_descriptors(spare)
  spare = spare or 0
  local take_back = M.limit_descriptors(highest_descriptor() + 1 + spare)
  local fillers = {}
  repeat
    local fd = ffi.C.fcntl(2, F_DUPFD, ffi.new("int", 0))
    fillers[#fillers + 1] = fd
  until fd == -1
  fillers[#fillers] = nil
  for _ = 1, spare do ffi.C.close(table.remove(fillers)) end
  return function()
    for _, fd in ipairs(fillers) do ffi.C.close(fd) end
    take_back()
  end
end

return M

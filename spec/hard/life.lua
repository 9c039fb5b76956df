-- SPDX-License-Identifier: MIT
-- hard/life.lua - a short server life: every kind of wait, every call to the system, a few bytes each.
--
-- Stages follow each other in one run. One that fails has met the fault: it says so, leaves what it had open
-- to the garbage collector, and the next goes on. Whoever may wait for another stands in a scope with it, so a
-- failure on one side ends the other side's wait. What arrives is compared: a fault may cost an operation,
-- never a byte of one that succeeded.

local ffi = require "ffi"
local core = require "moonpark.core"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local name_table = require "support.names"
local netpoll = require "moonpark.netpoll"
local process = require "moonpark.process"
local files = require "hard.life_files"
local life_expect = require "hard.life_expect"
local life_http = require "hard.life_http"
local look_up = require "hard.life_names"
local virtual = require "hard.life_memory"

local WRONG, expect, expect_failure = life_expect.WRONG, life_expect.expect, life_expect.expect_failure

ffi.cdef [[
int life_pipe2(int *fds, int flags) __asm__("pipe2");
long life_write(int fd, const void *bytes, size_t n) __asm__("write");
long life_read(int fd, void *bytes, size_t n) __asm__("read");
int life_close(int fd) __asm__("close");
int life_raise(int signal) __asm__("raise");
int life_unlink(const char *path) __asm__("unlink");
int life_getpid(void) __asm__("getpid");
int life_open(const char *path, int flags, ...) __asm__("open");
]]
local O_WRONLY, O_CREAT, O_NONBLOCK, O_CLOEXEC = 1, 0x40, 0x800, 0x80000

-- Addresses of this process alone: another one that lives beside it takes over ports that are closed here, and may be
-- dialled, or dial, by mistake. `silent` is a second one, where nobody listens, and IPv6 to the dial.
local function own_hosts()
  local pid = ffi.C.life_getpid()
  local tail = ("%d.%d"):format(bit.rshift(pid, 8) % 256, pid % 256)
  local high = bit.rshift(pid, 16) % 64
  return ("127.%d.%s"):format(64 + high, tail), ("::ffff:127.%d.%s"):format(128 + high, tail)
end

local host, silent

---------------------------------------------------------------------------------------------------
-- sockets

-- "3\r\njkl" and so on, as protocols read it.
local function reader(conn)
  local memory, values = ffi.new("uint8_t[2]"), {}
  expect(4, conn:read_unpack "'$'D")
  assert(conn:fill(4))
  expect("j", conn:peek(1))
  expect(1, conn:find "k")
  expect(2, conn:unpack "c2")
  expect(4, conn:unpack_all(values, "c2"))
  expect("jk", values[1])
  expect(1, conn:skip(1))
  expect(2, conn:read_into(memory))
  expect("kl", ffi.string(memory, 2))
end

local function tcp_server(listener)
  local conn = expect("tcp listener", (tostring(listener):match("^tcp listener"))) and assert(listener:accept())
  expect("a", conn:read_line())
  expect("bc", conn:read_exactly(2))
  expect("d", conn:read_until("--"))
  reader(conn)
  assert(conn:write("e", "fg", "", "\n"))
  expect("h", conn:read_all())
  assert(conn:write("i"))
  conn:close()
end

local function tcp()
  local listener = assert(net.listen(host .. ":0"))
  moonpark.scope(function(scope)
    scope:go(tcp_server, listener)
    local conn = assert(net.dial(listener:address(), { timeout = 30 }))
    expect(assert(conn:peer_address()), listener:local_address())
    assert(conn:setoption("linger", false))
    expect(true, conn:getoption("nodelay"))
    assert(conn:wait_writable())
    expect(7, conn:write("a\r\n", "bcd", "-"))
    expect(9, conn:write("-$3\r\njkl", "h"))
    assert(conn:wait_readable())
    expect("e", conn:read(1))
    expect("fg", conn:read_line())
    assert(conn:close_write())
    expect("i", conn:read())
    expect_failure("eof", conn:read())
    conn:close()
  end)
  listener:close()
end

local function datagrams()
  local all, one = assert(net.packet("udp::0", { reuseaddr = true })), assert(net.packet("udp:127.0.0.1:0"))
  local to = "udp:127.0.0.1:" .. assert(all:address()):match("%d+$")
  moonpark.scope(function(scope)
    scope:go(function()
      local data, from = all:recv_from(3)
      expect("abc", data, from)
      expect(0, all:send_to("", from))
      expect(2, all:send_many({ "d", "ef" }, from))
    end)
    assert(moonpark.yield())
    expect(5, one:send_to("abcde", to))
    expect("", one:recv())
    local data, err = one:recv_many(1)
    expect("d", data and data[1], err)
    expect("ef", one:recv())
  end)
  assert(all:setoption("multicast_ttl", 0))
  expect(0, all:getoption("multicast_ttl"))
  assert(all:join_group("239.255.77.3", "127.0.0.1"))
  all:close()
  local nobody = "udp:" .. host .. ":9" -- no other life is given that port
  local connected = assert(net.packet("udp:127.0.0.1:0", { peer = nobody }))
  expect(1, connected:send("x"))
  expect_failure("connection refused", connected:recv())
  connected:close()
  one:close()
end

-- More than the queue of a unix socket holds: the sender looks again and again.
local function full_queue(given)
  local path = given.path .. "d"
  local to = "unixgram:" .. path
  ffi.C.life_unlink(path) -- the life before may have kept it
  local receiver, sender = assert(net.packet(to, { mode = "600" })), assert(net.packet("unixgram:"))
  moonpark.scope(function(scope)
    scope:go(function()
      for i = 1, 14 do expect(1, sender:send_to(string.char(96 + i), to)) end
    end)
    assert(moonpark.sleep(0.001))
    for i = 1, 14 do expect(string.char(96 + i), receiver:recv()) end
  end)
  receiver:close()
  sender:close()
end

local function refused()
  local listener = assert(net.listen(host .. ":0"))
  local address = assert(listener:address())
  listener:close()
  expect_failure("connection refused", net.dial(address))
end

-- Both families at once: the one refuses, or the other connects first.
local function named()
  local listener = assert(net.listen(host .. ":0"))
  local port = assert(listener:address()):match("%d+$")
  local hosts = { name = { silent, host }, twice = { host, silent } }
  for _, options in ipairs { { timeout = 30 }, { fallback_delay = 0 }, { fallback_delay = -1 } } do
    for _, name in ipairs { "name", "twice" } do
      local conn, err = name_table.known(hosts, net.dial, name .. ":" .. port, options)
      -- The error is the first address's: what the other has met is not told.
      if err == "connection refused" then err = "not enough memory, or what else the listener's address met" end
      if not conn then error(err, 0) end
      expect(port, assert(conn:peer_address()):match("%d+$"))
      local server = assert(listener:accept())
      expect(1, server:write("a"))
      expect("a", conn:read())
      server:close()
      conn:close()
    end
  end
  listener:close()
end

local function serve(given)
  local path = given.path
  local listener = assert(net.listen("unix:" .. path))
  local log = {}
  moonpark.scope(function(scope)
    scope:go(function()
      local ok, err = listener:serve(function(conn)
        local line = assert(conn:read_line())
        if line == "x" then error("as asked", 0) end
        assert(conn:write(line, "\n"))
      end, { max_connections = 1, on_error = function(text) log[#log + 1] = text end })
      if not ok then error(err, 0) end
    end)
    for _, word in ipairs { "x", "y" } do
      local conn = assert(net.dial("unix:" .. path))
      expect(2, conn:write(word, "\n"))
      local answer, err = conn:read_line()
      if word == "y" then expect("y", answer, err) end
      conn:close()
    end
    listener:close()
  end)
  if not log[1] then error(given.log_may_fail and "no log: not enough memory" or WRONG .. "nothing was logged", 0) end
end

local function connected()
  local listener = assert(net.listen(host .. ":0"))
  local client = assert(net.dial(listener:address()))
  local server = assert(listener:accept())
  listener:close()
  return client, server
end

-- The file holds "a file".
local function send_file(given)
  for _, pair in ipairs { connected, net.pipe } do
    local a, b = pair()
    if not a then error(b, 0) end
    expect(6, a:sendfile(given.file))
    expect(2, a:sendfile(given.file, 2, 2))
    expect_failure("unexpected eof", a:sendfile(given.file, 7))
    expect_failure("no such file or directory", a:sendfile(given.file .. "x"))
    a:close()
    expect("a filefi", b:read_all())
    b:close()
  end
end

-- So few bytes are spliced here already. A failure ends all, for nobody may wait for it.
local function relay()
  local a, left = connected()
  local right, b = connected()
  moonpark.scope(function(scope)
    scope:go(function()
      local there, back, errno, sent = net.relay(left, right, { idle_timeout = 30 })
      if not there then error(back, 0) end
      if there ~= 8 or back ~= 5 then error(WRONG .. "other numbers of bytes", 0) end
      if errno or sent then error(WRONG .. "success with an error", 0) end
    end)
    expect(8, a:write("question"))
    assert(a:close_write())
    expect("question", b:read_all())
    expect(5, b:write("reply"))
    assert(b:close_write())
    expect("reply", a:read_all())
  end)
  for _, conn in ipairs { a, left, right, b } do conn:close() end
end

-- Closing under those who wait, and a descriptor's deadline.
local function interrupted()
  local listener = assert(net.listen(host .. ":0"))
  moonpark.scope(function(scope)
    local first = scope:go(listener.accept, listener)
    local second = scope:go(listener.accept, listener)
    assert(moonpark.yield())
    second:cancel()
    local joined, conn, err = second:join()
    if joined then expect_failure("canceled", conn, err) end
    assert(listener:set_deadline(moonpark.now() + 0.0001))
    joined, conn, err = first:join()
    if joined then expect_failure("timeout", conn, err) end
    assert(listener:set_deadline(nil))
    local third = scope:go(listener.accept, listener)
    assert(moonpark.yield())
    listener:close()
    joined, conn, err = third:join()
    if joined then expect_failure("closed", conn, err) end
  end)
end

-- Descriptors go through a socket, and are used at the other end: a listener, a connection, a pipe.
local function passing(given)
  local path = "unix:" .. given.stale_path
  assert(net.listen(path, { unlink = false })):close() -- as a server that was killed
  local listener = assert(net.listen(path, { mode = "0666" }))
  moonpark.scope(function(scope)
    scope:go(function()
      local conn = assert(net.dial(path))
      expect(2, conn:send_fds("ab", { listener, conn, given.ends[0] }))
      expect("c", conn:read())
      conn:close()
    end)
    local conn = assert(listener:accept())
    assert(conn:peer_credentials())
    local data, list = conn:recv_fds()
    expect("a", data, list)
    expect(3, #list)
    local again, other, pipe = assert(net.from_fd(list[1], "listener")), net.from_fd(list[2]), net.from_fd(list[3])
    expect("b", conn:read())
    assert(other and pipe)
    assert(pipe:set_deadline(moonpark.now() + 0.0001))
    local read, err = pipe:read()
    if read ~= "r" then expect_failure("timeout", read, err) end -- an earlier life may have stopped before it read
    conn = assert(net.from_fd(assert(conn:detach())))
    expect(1, conn:write("c"))
    expect_failure("not a unix socket", pipe:recv_fds())
    for _, socket in ipairs { conn, other, pipe, again } do socket:close() end
  end)
  listener:close()
end

local byte = ffi.new "char[1]"

local function raw(ends)
  ffi.C.life_read(ends[0], byte, 1) -- an earlier life may have stopped before it read
  local pd = assert(netpoll.open(ends[0]))
  moonpark.scope(function(scope)
    local waiter = scope:go(function()
      assert(pd:reset("r"))
      return pd:wait("r")
    end)
    assert(moonpark.yield())
    ffi.C.life_write(ends[1], "r", 1)
    local ok, ready, err = waiter:join()
    if ok then expect(true, ready, err) end
    ffi.C.life_read(ends[0], byte, 1)
    assert(pd:reset("r"))
    assert(pd:set_deadline(moonpark.now() + 0.0001, "rw"))
    expect_failure("timeout", pd:wait("r"))
    assert(pd:set_deadline(nil, "rw"))
    local blocked = scope:go(pd.wait, pd, "r")
    assert(moonpark.yield())
    pd:unblock()
    ok, ready, err = blocked:join()
    if ok then expect_failure("closed", ready, err) end
  end)
  pd:close()
end

---------------------------------------------------------------------------------------------------
-- signals and processes

local function signals()
  local one, two = moonpark.signals("USR2", "HUP"), moonpark.signals "USR2"
  moonpark.scope(function(scope)
    local waiter = scope:go(one.next, one)
    assert(moonpark.yield())
    ffi.C.life_raise(core.signal_number "USR2")
    local ok, name, err = waiter:join()
    if ok then expect("USR2", name, err) end
    expect("USR2", two:next())
    expect_failure("timeout", two:next(0))
  end)
  one:close()
  two:close()
end

-- Without our environment: the sanitizer's library makes their start slow.
local function processes()
  local result, err = process.run({ "cat" }, { stdin = "ab", clear_env = true, timeout = 30 })
  if not result then error(err, 0) end
  if #result.stdout < 2 then error("broken pipe", 0) end -- it did not get it all
  expect("ab", result.stdout)
  local child
  moonpark.scope(function(scope)
    child, err = process.spawn({ "sleep", "600" }, { clear_env = true, group = true, grace = 0.05 })
    if not child then error(err, 0) end
    expect_failure("timeout", child:wait(0))
    scope:cancel()
  end)
  local how, name = child:wait()
  expect("signaled", how, name)
  expect_failure("no such process", child:kill())
  expect_failure("no such file or directory", process.spawn { "/nowhere" })
end

---------------------------------------------------------------------------------------------------

local M = {}

--- What a life is given from outside: a folder with a file, and a pipe of its own for raw waits.
function M.prepare(folder)
  local ends = ffi.new "int[2]"
  assert(ffi.C.life_pipe2(ends, O_NONBLOCK + O_CLOEXEC) == 0)
  local sent = folder .. "/file"
  local fd = ffi.C.life_open(sent, O_WRONLY + O_CREAT + O_CLOEXEC, ffi.new("int", 384))
  assert(ffi.C.life_write(fd, "a file", 6) == 6)
  ffi.C.life_close(fd)
  return { folder = folder, path = folder .. "/s", stale_path = folder .. "/t", ends = ends, file = sent }
end

function M.clean_up(given)
  ffi.C.life_close(given.ends[0])
  ffi.C.life_close(given.ends[1])
  ffi.C.life_unlink(given.path)
  ffi.C.life_unlink(given.path .. "d")
  os.execute("rm -rf " .. given.folder .. "/files")
  ffi.C.life_unlink(given.stale_path)
  ffi.C.life_unlink(given.file)
end

-- LuaJIT does not survive a stack that cannot grow in the middle of a Lua call; inside a C function it does. So unpack
-- makes the main task's stack large, and what lies on it from then on keeps the collector from making it small again.
local GROWN, KEPT = 400, 150

--- Runs fn where it has room.
function M.with_room(fn)
  local function run(...) -- luacheck: ignore 212
    fn()
  end
  local none = {}
  select("#", unpack(none, 1, GROWN))
  run(unpack(none, 1, KEPT))
end

--- Lives. -> what failed on the way, as an array of errors.
function M.live(given)
  local errors = {}
  core.clock_thaw() -- a life without memory may not have come to that
  host, silent = own_hosts()
  local function attempt(stage, ...)
    local ok, err = pcall(stage, ...)
    if not ok then errors[#errors + 1] = err end
  end
  local function stages()
    attempt(tcp)
    attempt(refused)
    attempt(named)
    attempt(datagrams)
    attempt(full_queue, given)
    attempt(serve, given)
    attempt(passing, given)
    attempt(send_file, given)
    attempt(relay)
    attempt(interrupted)
    attempt(raw, given.ends)
    attempt(files, given)
    attempt(signals)
    attempt(processes)
    attempt(life_http, host)
    attempt(look_up, expect, expect_failure, host)
    core.clock_freeze()
    for _, stage in ipairs(virtual) do attempt(stage) end
  end
  attempt(moonpark.run, function() attempt(M.with_room, stages) end)
  core.clock_thaw()
  return errors
end

M.WRONG = WRONG

return M

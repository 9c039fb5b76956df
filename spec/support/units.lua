-- SPDX-License-Identifier: MIT
-- support/units.lua - the C core below Lua for specs, through ffi and units.so.
--
-- Nothing is declared twice: the declarations are read from runtime/*/*.h, so a field that is added or moved
-- there is added or moved here, and a header that ffi cannot read fails every spec that needs it. Only the
-- system's structs are written out, under names of their own, and their sizes are checked.
-- Inline functions are not read; the few that specs need are written again below.

local ffi = require "ffi"
local process = require "support.process"

local source = debug.getinfo(1, "S").source:match("^@(.*)spec/support/units%.lua$")
  or error("spec/support/units.lua must be loaded from its file")

local headers = { -- lower layers first
  "base/base", "base/list", "base/errors", "base/hard", "base/sys", "base/clock", "loop/timers",
  "base/buf", "base/trail", "base/decimal", "base/spelling", "base/json", "loop/writer_notice", "loop/writer",
  "net/addr", "loop/poller", "loop/sched", "loop/signals", "loop/netpoll", "loop/pool", "loop/heartbeat", "loop/loop",
  "net/stream", "net/socket", "net/accept", "net/pair", "net/addr_rank", "net/resolv_conf", "net/dns_walk",
  "net/dns", "net/resolver",
  "net/board", "net/conn", "net/tls_bio", "net/tls_name", "http/h1_parse", "http/h1_fold", "http/http_message",
  "http/h1_frame", "http/http_form", "http/http_router", "ws/ws_utf8", "ws/ws_frame", "ws/ws_sha1", "ws/ws_pack",
  "base/sys_memory",
  "shared/alive", "shared/plock", "shared/segment", "shared/undo", "shared/chunks", "shared/shard", "shared/dict",
  "shared/dict_keys", "shared/counters",
}

local system = [[
typedef uint32_t units_socklen_t;
struct units_sockaddr { uint16_t sa_family; char sa_data[14]; };
struct units_sockaddr_in { uint16_t sin_family, sin_port; struct { uint32_t s_addr; } sin_addr; char zero[8]; };
struct units_sockaddr_in6 { uint16_t sin6_family, sin6_port; uint32_t flow; uint8_t sin6_addr[16]; uint32_t scope; };
struct units_sockaddr_un { uint16_t sun_family; char sun_path[108]; };
struct units_pollfd { int fd; short events, revents; };
struct units_iovec { void *iov_base; size_t iov_len; };
]]

local sizes = { sockaddr = 16, sockaddr_in = 16, sockaddr_in6 = 28, sockaddr_un = 110, pollfd = 8,
  iovec = 2 * ffi.sizeof("void *") }

local function read(path)
  local file = assert(io.open(path))
  local text = file:read("*a")
  file:close()
  return text
end

-- A header as ffi.cdef takes it.
local function declarations(text)
  text = text:gsub("/%*.-%*/", " "):gsub("\\\n", " "):gsub("\n#[^\n]*", "\n"):gsub("^#[^\n]*", "")
  text = text:gsub("static inline[^{;]*%b{}", " "):gsub("_Noreturn", " "):gsub("%[static ", "[")
  for name in pairs(sizes) do text = text:gsub("struct " .. name .. "%f[^%w_]", "struct units_" .. name) end
  return (text:gsub("%f[%w_]socklen_t%f[^%w_]", "units_socklen_t"))
end

-- The spec files of one process share ffi's names, and busted loads this file once for each of them.
local function declare()
  if pcall(ffi.typeof, "struct units_iovec") then return end
  ffi.cdef(system)
  for name, size in pairs(sizes) do
    local got = ffi.sizeof("struct units_" .. name)
    assert(got == size, ("struct %s: %d bytes, %d expected"):format(name, got, size))
  end
  for _, name in ipairs(headers) do
    local ok, err = pcall(ffi.cdef, declarations(read(source .. "runtime/" .. name .. ".h")))
    if not ok then error(("runtime/%s.h: %s"):format(name, err), 0) end
  end
  ffi.cdef [[
    int pipe2(int *fds, int flags);
    int socketpair(int family, int type, int protocol, int *fds);
    int socket(int family, int type, int protocol);
    int shutdown(int fd, int how);
    int open(const char *path, int flags, ...);
    int close(int fd);
    int dup(int fd);
    int dup2(int fd, int to);
    ssize_t read(int fd, void *bytes, size_t n);
    ssize_t write(int fd, const void *bytes, size_t n);
  ]]
end

declare()

local core = assert(package.searchpath("moonpark.core", package.cpath))
local lib = ffi.load((core:gsub("moonpark/core%.so$", "units.so")))
local C = ffi.C

local M = {
  lib = lib,
  hard = lib.limits.hard,           -- the build whose n-th system call or allocation fails
  poller = os.getenv("MOONPARK_POLLER") or "",
  INT64_MAX = 0x7fffffffffffffffLL,
  WAKE = 0xffffffffffffffffULL,     -- POLLER_WAKE
  EPERM = 1, EBADF = 9, ENOMEM = 12, EBUSY = 16, EEXIST = 17, EINVAL = 22,
}

---------------------------------------------------------------------------------------------------
-- what the headers define inline

function M.buf_len(b) return tonumber(b["end"] - b.start) end
function M.armed(timers) return timers.count - timers.dead end

function M.list_init(list) list.prev, list.next = list, list end

function M.list_push(head, link)
  link.prev, link.next = head.prev, head
  head.prev.next = link
  head.prev = link
end

---------------------------------------------------------------------------------------------------
-- random lives

--- Whole numbers that are the same in every run: next(n) is in 1 .. n.
function M.random(seed)
  local state = seed
  return function(n)
    state = (state * 16807) % 2147483647
    return state % n + 1
  end
end

---------------------------------------------------------------------------------------------------
-- descriptors (Linux)

local O_NONBLOCK, O_CLOEXEC = 0x800, 0x80000
local AF_UNIX, SOCK_STREAM = 1, 1

local function checked(r)
  if r < 0 then error("errno " .. ffi.errno(), 2) end
  return r
end

local two = ffi.typeof("int[2]")

--- A pipe, both ends non-blocking -> where to read, where to write.
function M.pipe()
  local fds = two()
  checked(C.pipe2(fds, O_NONBLOCK + O_CLOEXEC))
  return fds[0], fds[1]
end

--- Two connected stream sockets, non-blocking.
function M.socketpair()
  local fds = two()
  checked(C.socketpair(AF_UNIX, SOCK_STREAM + O_NONBLOCK + O_CLOEXEC, 0, fds))
  return fds[0], fds[1]
end

--- A regular file.
function M.file() return checked(C.open(source .. "runtime/base/base.h", O_CLOEXEC)) end

function M.close(...)
  for i = 1, select("#", ...) do checked(C.close((select(i, ...)))) end
end

function M.write(fd, bytes) return tonumber(C.write(fd, bytes, #bytes)) end

function M.read(fd, n)
  local bytes = ffi.new("char[?]", n or 4096)
  local got = tonumber(C.read(fd, bytes, n or 4096))
  return got >= 0 and ffi.string(bytes, got) or nil
end

--- Writes until no more fits.
function M.fill(fd)
  local block = ("x"):rep(4096)
  while M.write(fd, block) > 0 do end
end

--- No more is sent from fd: the other end reads an end of stream.
function M.shutdown_write(fd) checked(C.shutdown(fd, 1)) end

---------------------------------------------------------------------------------------------------
-- a scheduler with nothing above it

--- Timers and a scheduler, and with_netpoll also a poller and a netpoll, without any Lua: a task is whatever
--- the spec does between `turn` and the next park.
function M.world(with_netpoll)
  local w = { timers = ffi.new("struct timers"), sched = ffi.new("struct sched"), blocks = lib.sys_allocated() }
  local tasks = {}
  lib.timers_init(w.timers)
  lib.sched_init(w.sched, w.timers)
  w.sched.now = 1000
  if with_netpoll then
    local slot = ffi.new("struct poller *[1]")
    assert(lib.poller_open(slot, M.poller) == 0)
    w.poller, w.netpoll = slot[0], ffi.new("struct netpoll")
    lib.netpoll_init(w.netpoll, w.poller, w.sched)
  end

  --- A new task, ready to run; parent: the scope it is started in.
  function w.task(parent)
    local memory = ffi.new("struct task[1]")
    tasks[#tasks + 1] = memory
    lib.sched_start(w.sched, memory, parent)
    return memory + 0
  end

  --- The next task runs -> it, or nil where none is ready.
  function w.turn()
    local t = lib.sched_next(w.sched)
    if t == nil then return nil end
    return t
  end

  --- A new task that is running; none else may be ready.
  function w.running(parent)
    local t = w.task(parent)
    assert(w.turn() == t)
    return t
  end

  --- The running task has parked: as the runner, forget it.
  function w.parked() w.sched.running = nil end

  --- Time passes.
  function w.at(now)
    w.sched.now = now
    while true do
      local timer = lib.timers_pop(w.timers, now)
      if timer == nil then return end
      timer.fire(timer)
    end
  end

  --- Every task that is ready runs and ends.
  function w.finish_ready()
    for t in w.turn do lib.sched_finish(t) end
  end

  function w.check()
    lib.timers_check(w.timers)
    lib.sched_check(w.sched)
    if w.netpoll then lib.netpoll_check(w.netpoll) end
  end

  --- Nothing may be left: no task, nobody waiting, no timer, no descriptor, no memory.
  function w.close()
    w.check()
    local left = ("tasks %d, outside %d, timers %d, waiters %d, opened %d"):format(w.sched.alive, w.sched.outside,
      M.armed(w.timers), w.netpoll and w.netpoll.waiters or 0, w.netpoll and w.netpoll.opened or 0)
    if w.netpoll then
      lib.netpoll_fini(w.netpoll)
      w.poller.ops.close(w.poller)
    end
    lib.timers_fini(w.timers)
    local blocks = tonumber(lib.sys_allocated() - w.blocks)
    assert(left == "tasks 0, outside 0, timers 0, waiters 0, opened 0", left)
    assert(blocks == 0, "memory blocks left: " .. blocks)
  end

  return w
end

require("jit").off(M.world, true) -- a spec's `undo` may be called back from what it calls

---------------------------------------------------------------------------------------------------
-- broken promises

local prelude = [[
  local units = require "support.units"
  local lib, ffi = units.lib, require "ffi"
  require("jit").off()
]]

--- Runs code in a process of its own, with `units`, `lib` and `ffi` in reach -> what it wrote on stderr.
function M.dying(code)
  local script, output = os.tmpname(), os.tmpname()
  local file = assert(io.open(script, "w"))
  file:write(("package.path, package.cpath = %q, %q\n"):format(package.path, package.cpath), prelude, code)
  file:close()
  os.execute(("ulimit -c 0; '%s' %s >/dev/null 2>%s"):format(process.interpreter, script, output))
  local text = read(output)
  os.remove(script)
  os.remove(output)
  return text
end

ffi.cdef "int getpid(void);"
function M.pid() return C.getpid() end

return M

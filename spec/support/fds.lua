-- SPDX-License-Identifier: MIT
-- support/fds.lua - descriptors that specs open behind moonpark's back, and what they look at in one.

local ffi = require "ffi"

ffi.cdef [[
int fds_socket(int family, int type, int protocol) __asm__("socket");
int fds_socketpair(int family, int type, int protocol, int *fds) __asm__("socketpair");
int fds_pipe(int *fds) __asm__("pipe");
int fds_open(const char *path, int flags, ...) __asm__("open");
int fds_close(int fd) __asm__("close");
int fds_dup(int fd) __asm__("dup");
int fds_fcntl(int fd, int command, ...) __asm__("fcntl");
int fds_flock(int fd, int operation) __asm__("flock");
unsigned fds_umask(unsigned mode) __asm__("umask");
int fds_chmod(const char *path, unsigned mode) __asm__("chmod");
int fds_mkfifo(const char *path, unsigned mode) __asm__("mkfifo");
int fds_symlink(const char *target, const char *path) __asm__("symlink");
int fds_getuid(void) __asm__("getuid");
int fds_getgid(void) __asm__("getgid");
int fds_getpid(void) __asm__("getpid");
int fds_eventfd(unsigned value, int flags) __asm__("eventfd");
int fds_posix_openpt(int flags) __asm__("posix_openpt");
int fds_unlockpt(int fd) __asm__("unlockpt");
char *fds_ptsname(int fd) __asm__("ptsname");
long fds_write(int fd, const void *bytes, size_t n) __asm__("write");
]]

local C = ffi.C
local F_GETFD, F_SETFD, F_GETFL, O_NONBLOCK, LOCK_EX = 1, 2, 3, 0x800, 2

local M = {
  UNIX = 1, INET = 2, NETLINK = 16,               -- families
  STREAM = 1, DGRAM = 2, RAW = 3, SEQPACKET = 5,  -- types
  READ = 0, WRITE = 1, BOTH = 2, FOLDER = ffi.arch == "arm64" and 0x4000 or 0x10000, -- how to open
}

local function check(result)
  assert(result >= 0, "errno " .. ffi.errno())
  return result
end

function M.socket(family, type) return check(C.fds_socket(family, type, 0)) end

local function two(make, ...)
  local ends = ffi.new "int[2]"
  local arguments = { ... }
  arguments[#arguments + 1] = ends
  check(make(unpack(arguments)))
  return ends[0], ends[1]
end

function M.socketpair(type) return two(C.fds_socketpair, M.UNIX, type or M.STREAM, 0) end
function M.pipe() return two(C.fds_pipe) end
function M.open(path, flags) return check(C.fds_open(path, flags or M.READ)) end
function M.dup(fd) return check(C.fds_dup(fd)) end
function M.eventfd() return check(C.fds_eventfd(0, 0)) end
function M.close(...) for _, fd in ipairs { ... } do check(C.fds_close(fd)) end end
function M.write(fd, text) return tonumber(C.fds_write(fd, text, #text)) end

--- A terminal: its two ends.
function M.terminal()
  local master = check(C.fds_posix_openpt(M.BOTH + 0x100)) -- O_NOCTTY
  check(C.fds_unlockpt(master))
  return master, M.open(ffi.string(C.fds_ptsname(master)), M.BOTH + 0x100)
end

function M.fifo(path)
  check(C.fds_mkfifo(path, 384)) -- 0600
  return M.open(path, M.BOTH)
end

function M.symlink(target, path) check(C.fds_symlink(target, path)) end
function M.chmod(path, octal) check(C.fds_chmod(path, tonumber(octal, 8))) end

function M.is_open(fd) return C.fds_fcntl(fd, F_GETFD) >= 0 end
function M.is_cloexec(fd) return bit.band(check(C.fds_fcntl(fd, F_GETFD)), 1) == 1 end
function M.is_nonblocking(fd) return bit.band(check(C.fds_fcntl(fd, F_GETFL)), O_NONBLOCK) ~= 0 end
function M.let_inherit(fd) check(C.fds_fcntl(fd, F_SETFD, ffi.new("int", 0))) end

--- Locks a folder as flock(2) does; closing the descriptor ends it.
function M.lock(folder)
  local fd = M.open(folder, M.FOLDER)
  check(C.fds_flock(fd, LOCK_EX))
  return fd
end

--- Runs body() under that umask.
function M.with_umask(octal, body)
  local before = C.fds_umask(tonumber(octal, 8))
  local ok, err = pcall(body)
  C.fds_umask(before)
  if not ok then error(err, 0) end
end

--- The permission bits of a path as `stat` prints them: "660".
function M.permissions(path)
  local pipe = assert(io.popen(("stat -c %%a '%s'"):format(path)))
  local text = pipe:read("*l")
  pipe:close()
  return text
end

function M.user() return C.fds_getuid() end
function M.group() return C.fds_getgid() end
function M.process() return C.fds_getpid() end

return M

-- SPDX-License-Identifier: MIT
-- support/moving.lua - for specs of sendfile, copy and the proxy: files, chunks of random sizes, the kernel's pipes.

local ffi = require "ffi"
local core = require "moonpark.core"
local moonpark = require "moonpark"
local support = require "support.net"

ffi.cdef [[
int moving_open(const char *path, int flags, ...) __asm__("open");
int moving_close(int fd) __asm__("close");
int moving_truncate(const char *path, long length) __asm__("truncate");
int moving_mkfifo(const char *path, unsigned mode) __asm__("mkfifo");
int moving_chmod(const char *path, unsigned mode) __asm__("chmod");
long moving_lseek(int fd, long offset, int whence) __asm__("lseek");
long moving_readlink(const char *path, char *target, size_t size) __asm__("readlink");
]]
local C = ffi.C

local O_CLOEXEC, SEEK_CUR, NOBODY, HIGHEST_FD = 0x80000, 1, 65534, 255

local M = {}

--- Runs body(path) with a fresh file of these bytes.
function M.with_file(bytes, body)
  support.with_folder(function(folder)
    local path = folder .. "/file"
    local file = assert(io.open(path, "wb"))
    assert(file:write(bytes))
    file:close()
    body(path, folder)
    os.remove(path)
  end)
end

--- A file of n bytes that takes no room on the disk.
function M.with_sparse_file(n, body)
  M.with_file("", function(path)
    M.truncate(path, n)
    body(path)
  end)
end

function M.truncate(path, n) assert(C.moving_truncate(path, n) == 0) end

function M.append(path, bytes)
  local file = assert(io.open(path, "ab"))
  assert(file:write(bytes))
  file:close()
end

function M.mkfifo(path) assert(C.moving_mkfifo(path, 384) == 0) end

--- A script for a process that has no right to read the file, whoever we are; `path` is in its reach.
function M.without_rights(path, script)
  assert(C.moving_chmod(path, 0) == 0)
  return ([[local ffi = require "ffi"
    ffi.cdef "int setfsuid(unsigned user);"
    ffi.C.setfsuid(%d)
    local path = %q
    ]]):format(NOBODY, path) .. script
end

function M.open(path)
  local fd = C.moving_open(path, O_CLOEXEC)
  assert(fd >= 0)
  return fd
end

function M.close(fd) assert(C.moving_close(fd) == 0) end

--- Where the next read(2) of the descriptor would begin.
function M.position(fd) return tonumber(C.moving_lseek(fd, 0, SEEK_CUR)) end

--- How many ends of kernel pipes this process has open.
function M.kernel_pipes()
  local target, n = ffi.new "char[64]", 0
  for fd = 3, HIGHEST_FD do
    local length = C.moving_readlink("/proc/self/fd/" .. fd, target, 64)
    if length > 0 and ffi.string(target, length):find("^pipe:") then n = n + 1 end
  end
  return n
end

--- The body of an `it` after which no descriptor is missing or too many.
function M.counted(body)
  return function()
    local before = support.descriptors()
    body()
    collectgarbage()
    assert(support.descriptors() == before, ("%d descriptors before, %d after"):format(before, support.descriptors()))
  end
end

-- Since when it is parked in a write; nil: it is not.
local function in_write_since(task)
  for _, seen in ipairs(core.tasks()) do
    if seen.task == task then return seen.state == "parked" and seen.wait:find "write" and seen.since or nil end
  end
end

--- Waits until the task is parked in a write and stays in that one, however often the loop turns.
function M.stand_still(task)
  local since, still = nil, 0
  while still < 20 do
    moonpark.sleep(0.0002)
    local now = in_write_since(task)
    still = now and now == since and still + 1 or 0
    since = now
  end
end

--- Whole numbers 1 .. n, the same in every run.
function M.random(seed)
  return function(n)
    seed = (seed * 16807) % 2147483647
    return seed % n + 1
  end
end

--- Writes the bytes in pieces of random sizes up to `most`, and lets others run in between at times.
function M.write_fragmented(conn, bytes, seed, most)
  local random, at = M.random(seed), 1
  while at <= #bytes do
    local n = random(random(4) == 1 and most or 300)
    assert(conn:write(bytes:sub(at, at + n - 1)))
    at = at + n
    if random(3) == 1 then moonpark.yield() end
  end
end

--- Reads to the end in pieces of random sizes -> what came, and how it ended.
function M.read_fragmented(conn, seed, most)
  local random, pieces = M.random(seed), {}
  while true do
    local data, err = conn:read(random(random(4) == 1 and most or 300))
    if not data then return table.concat(pieces), err end
    pieces[#pieces + 1] = data
    if random(3) == 1 then moonpark.yield() end
  end
end

--- Reads to the end, as fast as it comes -> what came, and how it ended.
function M.read_whole(conn)
  local pieces = {}
  while true do
    local data, err = conn:read()
    if not data then return table.concat(pieces), err end
    pieces[#pieces + 1] = data
  end
end

return M

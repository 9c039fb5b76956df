-- SPDX-License-Identifier: MIT
-- support/fs.lua - folders, FIFOs and the threads behind moonpark.fs, for specs.

local ffi = require "ffi"
local core = require "moonpark.core"
local fs = require "moonpark.fs"
local moonpark = require "moonpark"
local support = require "support.net"
local assert = require "luassert"

ffi.cdef [[
int support_fs_open(const char *path, int flags, ...) __asm__("open");
int support_fs_close(int fd) __asm__("close");
long support_fs_write(int fd, const void *bytes, size_t n) __asm__("write");
int support_fs_mkfifo(const char *path, unsigned mode) __asm__("mkfifo");
int support_fs_symlink(const char *target, const char *path) __asm__("symlink");
unsigned support_fs_umask(unsigned mask) __asm__("umask");
]]
local C = ffi.C

local O_RDWR, O_NONBLOCK = 2, 0x800

local M = {}

--- Waits until no helper thread is at work any more.
function M.settle()
  while core.stats().jobs > 0 do moonpark.sleep(0.001) end
end

-- What the loop keeps once it has needed it: threads, the heap of timers, pollDescs.
local function warm_up()
  local watcher = assert(fs.watch("/"))
  assert(fs.stat("/"))
  local waiting = moonpark.go(watcher.next, watcher)
  moonpark.sleep(0.0001)
  waiting:cancel()
  waiting:join()
  watcher:close()
  M.settle()
end

--- The body of an `it`: body(folder), a fresh one, removed afterwards; nothing may be open or allocated after it that
--- was not before.
function M.in_folder(body)
  return function()
    warm_up()
    collectgarbage()
    collectgarbage() -- what finalizers held
    local descriptors, blocks = support.descriptors(), core.stats().blocks - core.stats().sites
    support.with_folder(function(folder)
      body(folder)
      M.settle()
      for _, name in ipairs(assert(fs.list(folder))) do
        assert(fs.remove(folder .. "/" .. name, { recursive = true }))
      end
    end)
    jit.flush() -- a trace may hold what a handler was made of
    collectgarbage()
    collectgarbage()
    core.check()
    assert.equal(descriptors, support.descriptors(), "descriptors")
    assert.equal(blocks, core.stats().blocks - core.stats().sites, "blocks of memory")
  end
end

function M.fifo(path)
  assert(C.support_fs_mkfifo(path, 384) == 0)
  return path
end

function M.symlink(target, path)
  assert(C.support_fs_symlink(target, path) == 0)
  return path
end

--- Runs fn with that umask.
function M.with_umask(mask, fn)
  local before = C.support_fs_umask(mask)
  local ok, err = pcall(fn)
  C.support_fs_umask(before)
  if not ok then error(err, 0) end
end

--- Both ends of a FIFO, opened by this thread without waiting: whoever waits to open it goes on. Writes text into it.
--- -> a function that closes them
function M.feed(path, text)
  local fd = C.support_fs_open(path, O_RDWR + O_NONBLOCK)
  assert(fd >= 0)
  if text then assert(C.support_fs_write(fd, text, #text) == #text) end
  return function() C.support_fs_close(fd) end
end

--- Makes n threads hang in opening FIFOs in the folder. -> the tasks, and a function that lets them go
function M.hang(folder, n)
  local tasks = {}
  for i = 1, n do
    local path = M.fifo(folder .. "/fifo" .. i)
    tasks[i] = support.parked(function()
      local file, err = fs.open(path)
      if file then file:close() end
      return file and "opened" or err
    end)
  end
  while core.stats().queued > 0 do moonpark.sleep(0.0005) end
  return tasks, function()
    local ends = {}
    for i = 1, n do ends[i] = M.feed(folder .. "/fifo" .. i) end
    for _, task in ipairs(tasks) do task:join() end
    M.settle()
    for _, close in ipairs(ends) do close() end
  end
end

return M

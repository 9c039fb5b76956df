-- SPDX-License-Identifier: MIT
-- hard/sweep.lua - one life for every call that can fail.
--
--   luajit spec/hard/sweep.lua syscall|alloc [PART PARTS [TIMES]]
--   luajit spec/hard/sweep.lua syscall|alloc only N         that child alone, in this process: for a debugger
--
-- TIMES: so many calls in a row fail, from the n-th on. In the environment: SWEEP_SHOW prints how each life ended,
-- SWEEP_PATIENCE is how many seconds one may take, MOONPARK_POLLER as ever. SWEEP_STAGE: that stage of life_app.lua
-- in place of life.lua.
--
-- For n = 1, 2, ... a forked child lives with its n-th system call (allocation) failing, is looked at, lives once
-- more without a fault, and is looked at again; until a life makes fewer than n calls. Every child starts before
-- the loop is opened, so what is done once in a process fails too. PART of PARTS takes every PARTS-th n, so that
-- several processes share the work.
--
-- A life that met the fault may end stages with an error that names it. It may not crash, hang, deadlock, lose
-- or mix up bytes, or leave anything behind: no task, timer, waiter, connection, descriptor or block of memory.
-- Exits with 0 and prints one line, or prints what broke and exits with 1.

local ffi = require "ffi"
local jit = require "jit"
local kind, part, parts, times = arg[1], arg[2] or 1, tonumber(arg[3] or 1), tonumber(arg[4] or 1)
assert(kind == "syscall" or kind == "alloc", "syscall or alloc expected")
if kind == "alloc" then jit.off() end -- LuaJIT's compiler does not survive a failed allocation

local core = require "moonpark.core"
local moonpark = require "moonpark"
local life = require(os.getenv "SWEEP_STAGE" and "hard.life_app" or "hard.life")
local hard = assert(core.hard, "sweep.lua needs the hard build")

ffi.cdef [[
int sweep_fork(void) __asm__("fork");
int sweep_waitpid(int pid, int *status, int options) __asm__("waitpid");
void sweep_exit(int status) __asm__("_exit");
unsigned sweep_alarm(unsigned seconds) __asm__("alarm");
int sweep_dup2(int from, int to) __asm__("dup2");
int sweep_fileno(void *file) __asm__("fileno");
int sweep_ftruncate(int fd, long length) __asm__("ftruncate");
long sweep_lseek(int fd, long offset, int whence) __asm__("lseek");
int sweep_fcntl(int fd, int command, ...) __asm__("fcntl");
char *sweep_mkdtemp(char *template) __asm__("mkdtemp");
int sweep_rmdir(const char *path) __asm__("rmdir");
]]
local C = ffi.C

local PATIENCE = tonumber(os.getenv "SWEEP_PATIENCE") or 20     -- seconds a life may take; one takes a few milliseconds
local ENOUGH = 10       -- broken lives after which a sweep gives up
local BROKEN, NOT_REACHED = 1, 77
local HIGHEST_FD, F_GETFD = 255, 1
local SHOW = os.getenv "SWEEP_SHOW" -- print how every life ended

---------------------------------------------------------------------------------------------------
-- in the child

local function broken(...)
  io.stderr:write(string.format(...), "\n")
  C.sweep_exit(BROKEN)
end

local function descriptors()
  local n = 0
  for fd = 0, HIGHEST_FD do
    if C.sweep_fcntl(fd, F_GETFD) ~= -1 then n = n + 1 end
  end
  return n
end

-- Every connection that a failed stage has left is garbage now; a second round takes what finalizers held. Compiled
-- traces go first: one that was recorded in a stage's closure holds the sockets of that closure as its constants.
local function look(which)
  core.check()
  if core.stats().tasks > 0 then broken("%s: tasks are left:\n%s", which, moonpark.dump()) end
  jit.flush()
  for _ = 1, 3 do collectgarbage() end
  core.check()
  local stats = core.stats()
  for _, name in ipairs { "tasks", "outside", "waiters", "polls", "timers" } do
    if stats[name] ~= 0 then broken("%s: %d %s left", which, stats[name], name) end
  end
  for _, conn in ipairs(core.conns()) do broken("%s: left open: %s", which, conn.text) end
end

-- n: which call fails, 0: none.
local function live(which, given, n)
  C.sweep_alarm(PATIENCE + 10)
  core.limit(PATIENCE)
  local body, fail = life.live, hard["fail_" .. kind]
  hard.fail_times(times)
  fail(n)
  local ok, errors = pcall(body, given)
  local calls, allocs = hard.counts()
  fail(0)
  core.limit(nil)
  if not ok then errors = { errors } end
  if core.stats().tasks > 0 then
    broken("%s hangs, with %s\n%s", which, table.concat(errors, "; "), moonpark.dump())
  end
  look(which)
  return errors, kind == "syscall" and calls or allocs
end

-- A clean life makes caches and remembers call paths: what is there after it is compared, but for the paths.
local function measure(given)
  local errors = live("a life without a fault", given, 0)
  if errors[1] then broken("a life without a fault: %s", table.concat(errors, "; ")) end
  local stats = core.stats()
  return stats.blocks - stats.sites, descriptors()
end

local promises = { life.WRONG, "deadlock", "attempt to", "has not ended" }
-- Without memory a server's task ends and is reported; its client sees no more than a connection that broke.
local excuses = { "not enough memory", "connection reset by peer", "broken pipe", "eof" }

local function has_one(text, list)
  for _, words in ipairs(list) do
    if text:find(words, 1, true) then return true end
  end
end

local function is_clean(err)
  return type(err) == "string" and not has_one(err, promises) and (kind == "syscall" or has_one(err, excuses))
end

local function first_child(given)
  measure(given)
  local _, count = live("a life", given, 0)
  io.stderr:write(("%d %d %d"):format(count, measure(given)))
  C.sweep_exit(0)
end

local function child(given, n, blocks, fds)
  local errors, count = live("the life", given, n)
  if count < n then C.sweep_exit(NOT_REACHED) end
  for _, err in ipairs(errors) do
    if not is_clean(err) then broken("the life met: %s", tostring(err)) end
  end
  C.life_unlink(given.path) -- the fault may have kept it
  local blocks_now, fds_now = measure(given)
  if blocks and blocks_now ~= blocks then broken("%d blocks of memory, %d expected", blocks_now, blocks) end
  if fds and fds_now ~= fds then broken("%d descriptors, %d expected", fds_now, fds) end
  io.stderr:write(errors[1] and "failed: " or "unharmed", table.concat(errors, "; "))
  C.sweep_exit(0)
end

---------------------------------------------------------------------------------------------------
-- in the parent

local output = assert(io.tmpfile())

-- Runs fn(...) in a child that writes to the output -> its status as a shell says it, and what it wrote.
local function in_child(fn, given, ...)
  C.life_unlink(given.path) -- the life before may have kept it
  local fd, status = C.sweep_fileno(output), ffi.new "int[1]"
  C.sweep_ftruncate(fd, 0)
  C.sweep_lseek(fd, 0, 0)
  io.stdout:flush()
  local pid = C.sweep_fork()
  assert(pid >= 0, "fork")
  if pid == 0 then
    C.sweep_dup2(fd, 1)
    C.sweep_dup2(fd, 2)
    local _, err = pcall(fn, given, ...)
    broken("the driver failed: %s", tostring(err))
  end
  C.sweep_waitpid(pid, status, 0)
  output:seek("set", 0)
  local signal = bit.band(status[0], 0x7f)
  return signal > 0 and 128 + signal or bit.rshift(status[0], 8), output:read("*a")
end

local tally = { lives = 0, failed = 0, broken = 0, crashed = 0, spared = 0 }

-- LuaJIT, without memory in the middle of a call, unwinds frames that are not whole yet. Whether it then crashes
-- depends on what lies in memory: another life with the same fault seldom does. A crash in code of ours is not of
-- that kind. A fault with which LuaJIT always does so is spared; more than a few of them would hide something.
local TRIES, SPARED_MAX = 5, 2

local function is_unwinders_crash(text)
  return kind == "alloc" and text:find("#0 0x%x+ +%(/[^)%s]*luajit[^)%s]*%)") ~= nil
    and text:find("_Unwind_RaiseException", 1, true) ~= nil
end

local function live_and_look(given, n, blocks, fds)
  local status, text
  for _ = 1, TRIES do
    status, text = in_child(child, given, n, blocks, fds)
    if not is_unwinders_crash(text) then break end
    tally.crashed = tally.crashed + 1
  end
  return status, text
end

local function sweep(given, blocks, fds)
  for n = tonumber(part), math.huge, parts do
    local status, text = live_and_look(given, n, blocks, fds)
    if status == NOT_REACHED then return end
    tally.lives = tally.lives + 1
    if is_unwinders_crash(text) and tally.spared < SPARED_MAX then
      tally.spared = tally.spared + 1
    elseif status ~= 0 then
      tally.broken = tally.broken + 1
      print(("%s %d fails: status %d\n%s"):format(kind, n, status, text))
      if tally.broken == ENOUGH then return end
    elseif text:find("failed", 1, true) then
      tally.failed = tally.failed + 1
    end
    if SHOW then print(n, text) end
    if tally.lives % 20 == 0 then io.stderr:write(".") end -- whoever waits sees that it goes on
  end
end

local template = ffi.new("char[?]", 64, "/tmp/moonpark-hard-XXXXXX")
assert(C.sweep_mkdtemp(template) ~= nil)
local given = life.prepare(ffi.string(template))
given.log_may_fail = kind == "alloc"
if part == "only" then child(given, parts) end
local status, text = in_child(first_child, given)
local count, blocks, fds = text:match("(%d+) (%d+) (%d+)")
if status == 0 then
  sweep(given, tonumber(blocks), tonumber(fds))
else
  tally.broken = 1
  print(("status %d\n%s"):format(status, text))
end
life.clean_up(given)
C.sweep_rmdir(ffi.string(template))
local line = "%s: %s calls a life; %d lives, %d stopped by the fault, %d broken, %d spared; LuaJIT crashed %d times"
print(line:format(kind, count or "?", tally.lives, tally.failed, tally.broken, tally.spared, tally.crashed))
os.exit(tally.broken == 0 and tally.lives > 0 and 0 or 1)

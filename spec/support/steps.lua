-- SPDX-License-Identifier: MIT
-- steps.lua - runs code in a child process one machine instruction at a time (ptrace).
--
-- The child calls M.mark where the steps begin, and again where they end.

local ffi = require "ffi"

ffi.cdef [[
long steps_ptrace(int request, int pid, void *address, void *data) __asm__("ptrace");
int steps_fork(void) __asm__("fork");
int steps_raise(int signal) __asm__("raise");
int steps_kill(int pid, int signal) __asm__("kill");
int steps_waitpid(int pid, int *status, int options) __asm__("waitpid");
void steps_exit(int status) __asm__("_exit");
]]

local C = ffi.C
local TRACEME, CONT, SINGLESTEP = 0, 7, 9
local SIGKILL, SIGSTOP = 9, 19

local M = {}

local STOPPED, MARK = 0x7f, 0x137f -- wait statuses: stopped, and that by SIGSTOP

local status = ffi.new "int[1]"
local children = {} -- [pid] = true, until they have ended

local function wait(pid)
  assert(C.steps_waitpid(pid, status, 0) == pid)
  if bit.band(status[0], 0xff) ~= STOPPED then children[pid] = nil end
  return status[0]
end

--- In the child.
function M.mark() C.steps_raise(SIGSTOP) end

--- Starts a child that runs prepare() and act(), which reaches M.mark. -> its pid, or nil: it cannot be traced here.
function M.start(prepare, act)
  collectgarbage "stop" -- no finalizer of ours may run in the child
  local pid = C.steps_fork()
  if pid == 0 then
    local ok = pcall(prepare)
    if C.steps_ptrace(TRACEME, 0, nil, nil) ~= 0 then C.steps_exit(9) end
    C.steps_exit(ok and pcall(act) and 0 or 1)
  end
  collectgarbage "restart"
  assert(pid > 0, "fork failed")
  children[pid] = true
  return wait(pid) == MARK and pid or nil
end

--- One instruction. -> true, or false: the second mark is reached.
function M.step(pid)
  assert(C.steps_ptrace(SINGLESTEP, pid, nil, nil) == 0)
  local now = wait(pid)
  assert(bit.band(now, 0xff) == STOPPED, "the child has ended")
  return now ~= MARK
end

--- The child runs on -> its exit status
function M.finish(pid)
  assert(C.steps_ptrace(CONT, pid, nil, nil) == 0)
  return bit.rshift(wait(pid), 8)
end

--- kill -9
function M.kill(pid)
  C.steps_kill(pid, SIGKILL)
  wait(pid)
end

--- Ends what a failed test left behind.
function M.stop_all()
  for pid in pairs(children) do M.kill(pid) end
end

return M

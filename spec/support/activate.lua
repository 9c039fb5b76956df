-- SPDX-License-Identifier: MIT
-- activate.lua - a little service manager: hands descriptors over as sd_listen_fds(3) has it, then becomes a program.
--
--   luajit activate.lua "7 9" "web:metrics" command argument ...
--
-- 7 and 9 become 3 and 4; no names: "". What is in the environment already as LISTEN_PID, LISTEN_FDS or
-- LISTEN_FDNAMES stays, wrong or right; LISTEN_PID "own" means this process.

local ffi = require "ffi"

ffi.cdef [[
int dup2(int from, int to);
int fcntl(int fd, int command, ...);
int getpid(void);
int setenv(const char *name, const char *value, int overwrite);
int execvp(const char *file, const char *const *argv);
]]
local F_DUPFD, HIGH = 0, 100

local copies = {}
for number in arg[1]:gmatch("%d+") do -- out of the way first: 3 may be among those that are to be 4
  local copy = ffi.C.fcntl(tonumber(number), F_DUPFD, ffi.new("int", HIGH))
  assert(copy >= 0, "no such descriptor: " .. number)
  copies[#copies + 1] = copy
end
for i, copy in ipairs(copies) do
  ffi.C.dup2(copy, 2 + i)
  ffi.C.fcntl(copy, 2, ffi.new("int", 1)) -- close-on-exec
end

local function set(name, value) if not os.getenv(name) then ffi.C.setenv(name, tostring(value), 1) end end

if os.getenv "LISTEN_PID" == "own" then ffi.C.setenv("LISTEN_PID", tostring(ffi.C.getpid()), 1) end
set("LISTEN_PID", ffi.C.getpid())
set("LISTEN_FDS", #copies)
if arg[2] ~= "" then set("LISTEN_FDNAMES", arg[2]) end

local argv = ffi.new("const char *[?]", #arg - 1)
for i = 3, #arg do argv[i - 3] = arg[i] end
ffi.C.execvp(argv[0], argv)
error("cannot run " .. arg[3])

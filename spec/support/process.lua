-- SPDX-License-Identifier: MIT
-- process.lua - child processes for specs: run one, or start it and talk to it line by line.
--
--   local process = require "support.process"
--   local r = process.run({ "redis-cli", "-p", port, "ping" })      r.status, r.out, r.err, r.signal
--   local child = process.start(process.moonpark("server.lua"), { env = { PORT = "0" } })
--   local line = child:line()           the next line of its stdout; child:line("err"): of its stderr
--   local before = child:expect("text")  waits for it, in the middle of a line too
--   child:kill("TERM")
--   local status, out, err = child:wait()
--   after_each(process.stop_all)        ends what a failed test left behind
--
-- A command is an array of words, or a string for sh (then kill() reaches the shell: write "exec ...").
-- Options: env = {NAME = text, or false to unset}, cwd = directory, stdin = text, or true for a pipe
-- that child:write(text) and child:close_stdin() serve; else stdin is /dev/null.
--
-- Nothing in here blocks the loop: in a task every wait lets other tasks run, so a spec may serve its
-- child from the same loop. Outside of tasks (before_each, plain scripts) it blocks. A child that says
-- nothing for PATIENCE seconds makes the wait raise, with what it has written.
--
-- status is what a shell would say: the exit status, or 128 + the signal that ended the child; then
-- child.signal (and run's result.signal) has the signal. A child never outlives this process.

local ffi = require "ffi"
local core = require "moonpark.core"

-- Own names for all of them: other specs may declare the same functions in other words.
ffi.cdef [[
int process_fork(void) __asm__("fork");
int process_getpid(void) __asm__("getpid");
int process_getppid(void) __asm__("getppid");
int process_execvp(const char *file, const char *const *argv) __asm__("execvp");
void process_exit(int status) __asm__("_exit");
int process_kill(int pid, int signal) __asm__("kill");
int process_waitpid(int pid, int *status, int options) __asm__("waitpid");
int process_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d) __asm__("prctl");
void *process_signal(int number, void *handler) __asm__("signal");
int process_pipe(int *fds) __asm__("pipe");
int process_fcntl(int fd, int command, ...) __asm__("fcntl");
int process_dup2(int from, int to) __asm__("dup2");
int process_open(const char *path, int flags, ...) __asm__("open");
int process_close(int fd) __asm__("close");
long process_read(int fd, void *bytes, size_t size) __asm__("read");
long process_write(int fd, const void *bytes, size_t size) __asm__("write");
long process_lseek(int fd, long offset, int whence) __asm__("lseek");
int process_fileno(void *file) __asm__("fileno");
int process_usleep(unsigned microseconds) __asm__("usleep");
int process_setenv(const char *name, const char *value, int overwrite) __asm__("setenv");
int process_unsetenv(const char *name) __asm__("unsetenv");
int process_chdir(const char *path) __asm__("chdir");
long process_readlink(const char *path, char *target, size_t size) __asm__("readlink");
char *process_realpath(const char *path, char *resolved) __asm__("realpath");
]]

local C = ffi.C
local EINTR, EAGAIN = 4, ffi.os == "Linux" and 11 or 35
local O_NONBLOCK = ffi.os == "Linux" and 0x800 or 4
local F_SETFD, F_GETFL, F_SETFL, FD_CLOEXEC = 2, 3, 4, 1
local WNOHANG, PR_SET_PDEATHSIG, SIGKILL = 1, 1, 9
local PATIENCE = 60   -- seconds; nothing in a spec takes as long, so whoever does hangs
local PAUSE = 0.002   -- seconds between two looks
local LAST_READS = 4096 -- after the child's end, of 64 KiB each

local M = {}

---@class process.child
---@field pid integer
---@field status integer|nil once it has ended
---@field signal integer|nil which signal ended it
local Child = {}
Child.__index = Child
local children = {}

---------------------------------------------------------------------------------------------------
-- where things are

local function absolute(path)
  local resolved = ffi.new "char[4096]"
  return C.process_realpath(path, resolved) ~= nil and ffi.string(resolved) or path
end

local function interpreter()
  local target = ffi.new "char[4096]"
  local n = C.process_readlink("/proc/self/exe", target, 4096)
  return n > 0 and ffi.string(target, n) or "luajit"
end

--- The repository.
M.root = absolute(debug.getinfo(1, "S").source:match("^@(.-)[^/]*$") .. "../..")

--- What starts the LuaJIT that runs this: where that is no program of its own (emulation), SPEC_INTERPRETER says it.
M.interpreter = os.getenv "SPEC_INTERPRETER" or interpreter()

--- The words that run the moonpark command of the repository with the LuaJIT that runs the specs.
---@param ... string|number its arguments
---@return string[]
function M.moonpark(...)
  return { M.interpreter, M.root .. "/lua/bin/moonpark", ... }
end

---------------------------------------------------------------------------------------------------
-- starting

local function check(result, what)
  if result < 0 then error(("%s: errno %d"):format(what, ffi.errno()), 0) end
  return result
end

local function close_on_exec(fd) C.process_fcntl(fd, F_SETFD, ffi.new("int", FD_CLOEXEC)) end

local function non_blocking(fd)
  C.process_fcntl(fd, F_SETFL, ffi.new("int", bit.bor(C.process_fcntl(fd, F_GETFL), O_NONBLOCK)))
end

local function pipe()
  local ends = ffi.new "int[2]"
  check(C.process_pipe(ends), "pipe")
  close_on_exec(ends[0])
  close_on_exec(ends[1])
  return ends[0], ends[1]
end

-- -> the child's end, our end of a pipe or nil, what keeps the child's end open
local function input_of(stdin)
  if stdin == true then
    local theirs, ours = pipe()
    return theirs, ours
  end
  if stdin == nil then return check(C.process_open("/dev/null", 0), "/dev/null") end
  local file = assert(io.tmpfile())
  assert(file:write(stdin))
  file:flush()
  local fd = C.process_fileno(file)
  C.process_lseek(fd, 0, 0)
  return fd, nil, file
end

local function words_of(command)
  if type(command) == "string" then command = { "sh", "-c", command } end
  local list = {}
  for i, word in ipairs(command) do list[i] = tostring(word) end
  local argv = ffi.new("const char *[?]", #list + 1)
  for i, word in ipairs(list) do argv[i - 1] = word end
  return argv, list
end

-- What the shell that started the specs may have set to be ignored is the child's own business.
local function default_signals()
  for _, name in ipairs { "HUP", "INT", "QUIT", "PIPE", "TERM", "USR1", "USR2" } do
    C.process_signal(core.signal_number(name), nil)
  end
end

-- In the child, between fork and exec. Never returns.
local function become(parent, argv, fds, options)
  if ffi.os == "Linux" then C.process_prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) end
  if C.process_getppid() ~= parent then C.process_exit(126) end
  default_signals()
  for fd = 0, 2 do C.process_dup2(fds[fd], fd) end
  for name, value in pairs(options.env or {}) do
    if value then C.process_setenv(name, tostring(value), 1) else C.process_unsetenv(name) end
  end
  if not options.cwd or C.process_chdir(options.cwd) == 0 then C.process_execvp(argv[0], argv) end
  local text = "cannot be run: " .. ffi.string(argv[0]) .. "\n"
  C.process_write(2, text, #text)
  C.process_exit(127)
end

--- Starts a command.
---@param command string|(string|number)[]
---@param options? {env?: table<string, string|false>, cwd?: string, stdin?: string|true}
---@return process.child
function M.start(command, options)
  options = options or {}
  local argv, words = words_of(command)
  local input, to_child, file = input_of(options.stdin)
  local from_out, out = pipe()
  local from_err, err = pipe()
  local parent = C.process_getpid()
  io.stdout:flush()
  collectgarbage("stop") -- no finalizer of ours may run in the child
  local pid = C.process_fork()
  if pid == 0 then become(parent, argv, { [0] = input, out, err }, options) end
  collectgarbage("restart")
  check(pid, "fork")
  if file then file:close() else C.process_close(input) end
  C.process_close(out)
  C.process_close(err)
  non_blocking(from_out)
  non_blocking(from_err)
  local self = setmetatable({ pid = pid, words = words, stdin = to_child, fds = { out = from_out, err = from_err },
    text = { out = "", err = "" }, from = { out = 1, err = 1 } }, Child)
  children[self] = true
  return self
end

---------------------------------------------------------------------------------------------------
-- waiting

local bytes = ffi.new "char[65536]"

-- Takes what one read gives: a child that writes without end must not keep us reading. -> did anything come or end?
local function drain_one(self, stream)
  local fd = self.fds[stream]
  if not fd then return false end
  local n = tonumber(C.process_read(fd, bytes, 65536))
  if n > 0 then
    self.text[stream] = self.text[stream] .. ffi.string(bytes, n)
  elseif n == 0 or (ffi.errno() ~= EAGAIN and ffi.errno() ~= EINTR) then
    C.process_close(fd)
    self.fds[stream] = nil
  else
    return false
  end
  return true
end

local function drain(self)
  local out, err = drain_one(self, "out"), drain_one(self, "err")
  return out or err
end

local function pause()
  if core.current() then
    local ok, err = core.sleep(PAUSE)
    if not ok then error("waiting for a child process: " .. err, 0) end
  else
    C.process_usleep(PAUSE * 1e6)
  end
end

local function hangs(self, what)
  error(("%s: no %s in %d s; stdout:\n%s\nstderr:\n%s"):format(table.concat(self.words, " "), what, PATIENCE,
    self.text.out, self.text.err), 0)
end

-- Looks again and again until look() is true. The time is the system's: a virtual clock may stand still.
local function wait_for(self, what, look)
  local since = os.time()
  while not look() do
    if drain(self) then
      since = os.time()
    else
      if os.time() - since > PATIENCE then hangs(self, what) end
      pause()
    end
  end
end

local function reap(self)
  if self.status then return true end
  local status = ffi.new "int[1]"
  if C.process_waitpid(self.pid, status, WNOHANG) ~= self.pid then return false end
  local signal = bit.band(status[0], 0x7f)
  self.signal = signal ~= 0 and signal or nil
  self.status = self.signal and 128 + signal or bit.band(bit.rshift(status[0], 8), 0xff)
  return true
end

local function release(self)
  for stream, fd in pairs(self.fds) do
    C.process_close(fd)
    self.fds[stream] = nil
  end
  self:close_stdin()
  children[self] = nil
end

--- The next line that the child writes, without its line feed; nil at the end.
---@param stream? "out"|"err"
---@return string|nil
function Child:line(stream)
  stream = stream or "out"
  local line, after
  wait_for(self, "line on std" .. stream, function()
    line, after = self.text[stream]:match("^([^\n]*)\n()", self.from[stream])
    return line or not self.fds[stream]
  end)
  if not line then
    line, after = self.text[stream]:match("^([^\n]+)()", self.from[stream])
  end
  self.from[stream] = after or self.from[stream]
  return line
end

--- Waits until it has written that text, behind what line() and expect() have handed out.
---@param text string
---@param stream? "out"|"err"
---@return string before what came before it
function Child:expect(text, stream)
  stream = stream or "out"
  local first, last
  wait_for(self, ("%q on std%s"):format(text, stream), function()
    first, last = self.text[stream]:find(text, self.from[stream], true)
    return last or not self.fds[stream]
  end)
  local from = self.from[stream]
  if not last then error(("%q was expected, but its output ended: %q"):format(text, self.text[stream]:sub(from)), 2) end
  self.from[stream] = last + 1
  return self.text[stream]:sub(from, first - 1)
end

--- Waits for the child's end.
---@return integer status
---@return string out all of its stdout, what line() has handed out included
---@return string err
function Child:wait()
  wait_for(self, "end", function() return reap(self) end)
  for _ = 1, LAST_READS do -- not to the end of the pipes: something it started may hold them open
    if not drain(self) then break end
  end
  release(self)
  return self.status, self.text.out, self.text.err
end

--- Has it ended?
function Child:ended() return reap(self) end

---------------------------------------------------------------------------------------------------
-- talking

--- Sends it a signal; harmless once it has ended.
---@param signal? string|integer "TERM", "INT", "KILL", ...
function Child:kill(signal)
  signal = signal or "TERM"
  local number = signal == "KILL" and SIGKILL or tonumber(signal) or core.signal_number(signal)
  if not reap(self) then check(C.process_kill(self.pid, number), "kill") end
end

--- Writes to its standard input (option stdin = true); blocks while the pipe is full.
---@param text string
function Child:write(text)
  assert(self.stdin, "the child's stdin is no pipe")
  check(C.process_write(self.stdin, text, #text), "write")
end

function Child:close_stdin()
  if self.stdin then C.process_close(self.stdin) end
  self.stdin = nil
end

--- Closes our end of one of its outputs: it writes to a broken pipe from now on.
---@param stream? "out"|"err"
function Child:close_output(stream)
  stream = stream or "out"
  C.process_close(self.fds[stream])
  self.fds[stream] = nil
end

--- Ends it by force, where it has not ended, and gives everything back.
function Child:stop()
  if not children[self] then return end
  self:kill("KILL")
  self:wait()
end

--- Waits until a process, which need not be a child, has begun to handle a signal that it was sent: from then on the
--- next one is another.
---@param pid integer|string
---@param number integer the signal's
function M.until_taken(pid, number)
  local function is_pending()
    local file = io.open(("/proc/%s/status"):format(pid))
    local set = file and file:read("*a"):match "ShdPnd:%s*%x*(%x%x%x%x)\n"
    if file then file:close() end
    return set ~= nil and bit.band(tonumber(set, 16), 2 ^ (number - 1)) ~= 0
  end
  while is_pending() do pause() end
end

function M.stop_all()
  for child in pairs(children) do child:stop() end
end

--- Runs a command to its end.
---@param command string|(string|number)[]
---@param options? {env?: table<string, string|false>, cwd?: string, stdin?: string}
---@return {status: integer, out: string, err: string, signal: integer|nil}
function M.run(command, options)
  local child = M.start(command, options)
  local status, out, err = child:wait()
  return { status = status, out = out, err = err, signal = child.signal }
end

return M

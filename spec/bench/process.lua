-- SPDX-License-Identifier: MIT
-- Child processes of the benchmark: started on a core, spoken to line by line, their CPU time and memory read.
--
-- Linux only. Whatever fails raises a text that names the process and carries the end of its output. A child never
-- outlives the harness: `stop_all` ends those that are left, and the kernel does where the harness is killed.

local ffi = require "ffi"
local bit = require "bit"

ffi.cdef [[
typedef int pid_t;
struct timespec { long tv_sec; long tv_nsec; };
struct pollfd { int fd; short events; short revents; };
struct rlimit { unsigned long current, maximum; };
struct bench_address { uint16_t family, port; uint32_t host; uint8_t zero[8]; };
pid_t fork(void);
pid_t getpid(void);
pid_t getppid(void);
int execvp(const char *file, const char *const *argv);
void _exit(int status);
int kill(pid_t pid, int signal);
pid_t waitpid(pid_t pid, int *status, int options);
int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
void (*signal(int number, void (*handler)(int)))(int);
int pipe2(int fds[2], int flags);
int dup2(int from, int to);
int open(const char *path, int flags, ...);
int close(int fd);
ssize_t read(int fd, void *bytes, size_t size);
ssize_t write(int fd, const void *bytes, size_t size);
int poll(struct pollfd *fds, unsigned long count, int timeout);
int clock_getcpuclockid(pid_t pid, int *id);
int clock_gettime(int id, struct timespec *time);
int getrlimit(int resource, struct rlimit *limit);
int setrlimit(int resource, const struct rlimit *limit);
int socket(int domain, int type, int protocol);
int bind(int fd, const struct bench_address *name, unsigned length);
int connect(int fd, const struct bench_address *name, unsigned length);
int getsockname(int fd, struct bench_address *name, unsigned *length);
char *strerror(int code);
]]

local C = ffi.C
local SIGKILL, SIGPIPE = 9, 13
local SIG_DFL, SIG_IGN = ffi.cast("void (*)(int)", 0), ffi.cast("void (*)(int)", 1)
local O_WRONLY_CREAT_TRUNC, O_CLOEXEC = 0x241, 0x80000
local PR_SET_PDEATHSIG, WNOHANG, POLLIN, EINTR = 1, 1, 1, 4
local AF_INET, SOCK_STREAM, LOOPBACK = 2, 1, 0x7f000001
local CLOCK_MONOTONIC, RLIMIT_NOFILE = 1, 7
local TAIL_BYTES = 2000
local PATIENCE = 120 -- seconds; nothing here takes as long, so whoever does hangs
local EXCHANGE_PATIENCE = 5

local M = {}
local Process = {}
Process.__index = Process
local children = {}

local function check(result, what)
  if result < 0 then error(what .. ": " .. ffi.string(C.strerror(ffi.errno())), 2) end
  return result
end

local function seconds(id)
  local time = ffi.new "struct timespec"
  if C.clock_gettime(id, time) ~= 0 then return nil end
  return tonumber(time.tv_sec) + tonumber(time.tv_nsec) / 1e9
end

function M.now() return seconds(CLOCK_MONOTONIC) end

function M.pause(milliseconds) C.poll(nil, 0, milliseconds) end

---Allows this process, and so its children, as many descriptors as the system does.
---@return integer descriptors
function M.raise_descriptor_limit()
  local limit = ffi.new "struct rlimit"
  check(C.getrlimit(RLIMIT_NOFILE, limit), "getrlimit")
  limit.current = limit.maximum
  check(C.setrlimit(RLIMIT_NOFILE, limit), "setrlimit")
  return tonumber(limit.maximum)
end

local function network_order(value)
  return bit.bswap(value)
end

local function loopback(port)
  local name = ffi.new "struct bench_address"
  name.family, name.host = AF_INET, network_order(LOOPBACK)
  name.port = bit.rshift(network_order(port), 16)
  return name
end

local function tcp_socket()
  return check(C.socket(AF_INET, bit.bor(SOCK_STREAM, O_CLOEXEC), 0), "socket")
end

---A port of the loopback address that nobody listens on.
---@return integer
function M.free_port()
  local fd, name = tcp_socket(), loopback(0)
  local length = ffi.new("unsigned[1]", ffi.sizeof(name))
  check(C.bind(fd, name, ffi.sizeof(name)), "bind")
  check(C.getsockname(fd, name, length), "getsockname")
  C.close(fd)
  return bit.rshift(network_order(name.port), 16)
end

local function answers(port)
  local fd, name = tcp_socket(), loopback(port)
  local connected = C.connect(fd, name, ffi.sizeof(name)) == 0
  C.close(fd)
  return connected
end

local function receive(fd, deadline)
  local waiting, bytes = ffi.new("struct pollfd", fd, POLLIN, 0), ffi.new "char[4096]"
  if C.poll(waiting, 1, math.max(0, math.ceil((deadline - M.now()) * 1000))) <= 0 then return "" end
  return ffi.string(bytes, math.max(0, tonumber(C.read(fd, bytes, 4096))))
end

-- Whether an HTTP answer is there with all of the body that its head announces.
local function is_whole(answer)
  local head, body = answer:match("^(.-\r\n)\r\n(.*)$")
  local length = head and head:lower():match("\r\ncontent%-length: *(%d+)\r\n")
  return length and #body >= tonumber(length)
end

---Sends bytes to a port of the loopback address.
---@return string what came back: one HTTP answer, or what there was of it after a while or at the end
function M.exchange(port, request)
  local fd, name = tcp_socket(), loopback(port)
  check(C.connect(fd, name, ffi.sizeof(name)), "connect")
  check(C.write(fd, request, #request), "write")
  local answer, deadline = "", M.now() + EXCHANGE_PATIENCE
  repeat
    local bytes = receive(fd, deadline)
    answer = answer .. bytes
  until bytes == "" or is_whole(answer)
  C.close(fd)
  return answer
end

local function pipe()
  local ends = ffi.new "int[2]"
  check(C.pipe2(ends, O_CLOEXEC), "pipe2")
  return ends[0], ends[1]
end

local function exec(argv)
  local list = ffi.new("const char *[?]", #argv + 1)
  for i, word in ipairs(argv) do list[i - 1] = word end
  C.execvp(argv[1], list)
  C._exit(127)
end

-- In the child, between fork and exec.
local function become(parent, argv, input, output, log)
  C.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
  if C.getppid() ~= parent then C._exit(1) end
  C.signal(SIGPIPE, SIG_DFL)
  C.dup2(input, 0)
  C.dup2(output or log, 1)
  C.dup2(log, 2)
  exec(argv)
end

---Starts a process.
---@param options { name: string, argv: string[], log: string, core: integer?, env: string[]?, quiet: boolean? }
---  `log` is the file that stderr goes to, and stdout too where `quiet`; `core` pins it; `env` holds "NAME=value"
function M.start(options)
  local argv = { "env" }
  for _, setting in ipairs(options.env or {}) do table.insert(argv, setting) end
  if options.core then
    for _, word in ipairs { "taskset", "-c", tostring(options.core) } do table.insert(argv, word) end
  end
  for _, word in ipairs(options.argv) do table.insert(argv, word) end
  local log = check(C.open(options.log, bit.bor(O_WRONLY_CREAT_TRUNC, O_CLOEXEC), ffi.new("int", 420)), options.log)
  local input, to_child = pipe()
  local from_child, output = pipe()
  io.stdout:flush()
  local parent = C.getpid()
  local pid = check(C.fork(), "fork")
  if pid == 0 then become(parent, argv, input, not options.quiet and output, log) end
  C.close(input)
  C.close(output)
  C.close(log)
  local self = setmetatable({ name = options.name, pid = pid, log = options.log, input = to_child,
    output = from_child, pending = "" }, Process)
  children[self] = true
  return self
end

local function tail(path)
  local file = io.open(path)
  if not file then return "" end
  local text = file:read("*a")
  file:close()
  return text:sub(-TAIL_BYTES)
end

-- Takes the status of a child that has ended; `options` says whether to wait for the end.
local function reap(self, options)
  if self.status then return true end
  local status = ffi.new "int[1]"
  if C.waitpid(self.pid, status, options) ~= self.pid then return false end
  local signal = bit.band(status[0], 0x7f)
  self.status = signal ~= 0 and "ended by signal " .. signal
    or "exited with status " .. bit.band(bit.rshift(status[0], 8), 0xff)
  return true
end

---Raises: what went wrong, how the process is, the end of what it wrote.
function Process:fail(what)
  M.pause(50) -- it may be about to end: its status and last words say more than that it fell silent
  reap(self, WNOHANG)
  local output = (self.pending .. tail(self.log)):gsub("%s+$", "")
  error(("%s: %s (%s)%s"):format(self.name, what, self.status or "running",
    output ~= "" and "; it wrote:\n" .. output or ""), 0)
end

-- Waits for output and appends it to `pending`. Returns false at its end.
local function fill(self, deadline)
  local waiting = ffi.new("struct pollfd", self.output, POLLIN, 0)
  while true do
    local left = deadline - M.now()
    if left <= 0 then self:fail("no answer in " .. PATIENCE .. " s") end
    local count = C.poll(waiting, 1, math.ceil(left * 1000))
    if count < 0 and ffi.errno() ~= EINTR then self:fail("poll failed") end
    if count > 0 then break end
  end
  local bytes = ffi.new "char[4096]"
  local count = tonumber(C.read(self.output, bytes, 4096))
  if count > 0 then self.pending = self.pending .. ffi.string(bytes, count) end
  return count > 0
end

---The next line that the process prints. Raises where it ends or falls silent instead.
---@return string
function Process:read_line()
  local deadline = M.now() + PATIENCE
  while true do
    local line, rest = self.pending:match("^([^\n]*)\n(.*)$")
    if line then
      self.pending = rest
      return line
    end
    if not fill(self, deadline) then self:fail("its output ended") end
  end
end

---The captures of the next line. Raises where it does not match.
---@return string ...
function Process:expect(pattern)
  local line = self:read_line()
  if not line:find(pattern) then self:fail("unexpected output: " .. line) end
  return line:match(pattern)
end

---All that the process still prints until it ends. Raises where it fails.
---@return string
function Process:finish()
  local deadline = M.now() + PATIENCE
  while fill(self, deadline) do end
  reap(self, 0)
  if self.status ~= "exited with status 0" then self:fail("failed") end
  return self.pending
end

function Process:write_line(text)
  local line = text .. "\n"
  if C.write(self.input, line, #line) ~= #line then self:fail("does not take its input") end
end

---Returns when something answers on the port; for servers that do not say when they are ready.
function Process:wait_port(port)
  local deadline = M.now() + PATIENCE
  while not answers(port) do
    if reap(self, WNOHANG) then self:fail("never listened") end
    if M.now() > deadline then self:fail("does not listen") end
    M.pause(5)
  end
end

---CPU time so far, user and system, of all threads.
---@return number seconds
function Process:cpu()
  local id = ffi.new "int[1]"
  local time = C.clock_getcpuclockid(self.pid, id) == 0 and not reap(self, WNOHANG) and seconds(id[0])
  return time or self:fail("ended too early")
end

---Private memory that is resident and backed by no file.
---@return integer bytes
function Process:memory()
  local file = io.open("/proc/" .. self.pid .. "/smaps_rollup")
  local text = file and file:read("*a") or ""
  if file then file:close() end
  local kilobytes = text:match("\nAnonymous:%s*(%d+) kB")
  return kilobytes and kilobytes * 1024 or self:fail("its memory cannot be read")
end

---Returns when the process has all but stopped working.
function Process:wait_idle()
  local before = self:cpu()
  for _ = 1, 500 do
    M.pause(10)
    local after = self:cpu()
    if after - before < 0.0002 then return end
    before = after
  end
  self:fail("does not come to rest")
end

function Process:stop()
  if not children[self] then return end
  children[self] = nil
  C.close(self.input)
  C.close(self.output)
  if not self.status then C.kill(self.pid, SIGKILL) end
  reap(self, 0)
end

function M.stop_all()
  for child in pairs(children) do child:stop() end
end

C.signal(SIGPIPE, SIG_IGN)
return M

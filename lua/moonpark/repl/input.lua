-- SPDX-License-Identifier: MIT
-- repl_input.lua - lines from the standard input, without holding up the loop.
--
-- The descriptor stays as it is: O_NONBLOCK would be the terminal's and with it the shell's. So a task waits through
-- moonpark.netpoll and asks poll(2) before each read. What cannot be polled, such as a regular file, never blocks for
-- long and is simply read. Bytes are taken one by one, as a shell takes its script, so that code which reads the
-- standard input itself finds what follows its line.

local core = require "moonpark.core"
local ffi = require "ffi"
local netpoll = require "moonpark.netpoll"

ffi.cdef [[
struct moonpark_pollfd { int fd; short events, revents; };
int moonpark_poll(struct moonpark_pollfd *fds, unsigned long n, int timeout) __asm__("poll");
long moonpark_read(int fd, void *bytes, size_t size) __asm__("read");
int moonpark_isatty(int fd) __asm__("isatty");
]]

local C = ffi.C
local EINTR, EAGAIN = 4, ffi.os == "Linux" and 11 or 35
local POLLIN = 1

---@class moonpark.repl.input
local Input = {}
Input.__index = Input

--- Is that descriptor a terminal?
---@param fd integer
function Input.is_terminal(fd) return C.moonpark_isatty(fd) == 1 end

--- The standard input. Raises where nobody can wait for it: a script has it in its own hands.
---@return moonpark.repl.input
function Input.open()
  local pd, err = netpoll.open(0)
  if not pd and err ~= "not pollable" then error("cannot wait for the standard input: " .. err, 0) end
  return setmetatable({
    pd = pd,
    ended = false,
    query = ffi.new "struct moonpark_pollfd[1]",
    byte = ffi.new "char[1]",
    line = {},
  }, Input)
end

--- Would a read return at once?
function Input:is_ready()
  if not self.pd then return true end
  self.query[0].fd, self.query[0].events = 0, POLLIN
  return C.moonpark_poll(self.query, 1, 0) ~= 0 -- an error too is to be read
end

--- Waits until there is something to read, or the end.
---@return true|nil
---@return string? err "canceled"
function Input:wait()
  while not self.ended do
    local ok, err = true, nil
    if self.pd then ok, err = self.pd:reset "r" end
    if not ok then return nil, err end
    if self:is_ready() then return true end
    ok, err = self.pd:wait "r"
    if not ok then return nil, err end
  end
  return true
end

-- -> a byte | nil at the end | false where there is none after all
local function read_byte(self)
  if self.ended then return nil end
  local n = C.moonpark_read(0, self.byte, 1)
  if n == 1 then return ffi.string(self.byte, 1) end
  if n < 0 and (ffi.errno() == EINTR or ffi.errno() == EAGAIN) then return false end
  self.ended = true -- a terminal that is gone says EIO
  return nil
end

local function taken(self)
  local line = table.concat(self.line)
  self.line = {}
  return line
end

--- The next line, without its line feed. What has come of a line stays for the next call where this one fails.
---@return string|nil
---@return string? err "eof", "canceled"
function Input:read_line()
  if not self.pd then core.yield() end -- the others have their turn
  while true do
    local ok, err = self:wait()
    if not ok then return nil, err end
    local byte = read_byte(self)
    if byte == "\n" then return taken(self) end
    if byte then table.insert(self.line, byte) end
    if byte == nil then
      if #self.line > 0 then return taken(self) end
      return nil, "eof"
    end
  end
end

--- Forgets what has come of a line.
function Input:drop() self.line = {} end

function Input:close()
  if not self.pd then return end
  self.pd:unblock()
  self.pd:close()
  self.pd = nil
  self.ended = true
end

return Input

-- SPDX-License-Identifier: MIT
-- select.lua - socket.select: waits until one of many sockets is ready. Sockets are ours, connections of moonpark's, or
-- anything with getfd and dirty.
--
-- All descriptors are looked at with one poll(2) that does not wait. If none is ready, the loop watches them: our
-- connections by select, in groups of as many as that takes, and other descriptors by netpoll.

local core = require "moonpark.core"
local datagram = require "moonpark.luasocket.datagram"
local ffi = require "ffi"
local netpoll = require "moonpark.netpoll"
local stream = require "moonpark.luasocket.stream"
local task = require "moonpark.task"
local waiting = require "moonpark.in_task"

ffi.cdef [[
  struct moonpark_luasocket_pollfd { int fd; short events, revents; };
  int moonpark_luasocket_poll(struct moonpark_luasocket_pollfd *, unsigned long, int) __asm__("poll");
]]

local misuse = require("moonpark.luasocket.words").misuse

local M = {}

M.SETSIZE = 1024

local POLLIN, POLLOUT, GROUP = 1, 4, 128

local function fd_of(socket)
  local getfd = socket.getfd
  local fd = getfd and getfd(socket)
  return type(fd) == "number" and fd >= 0 and fd or nil
end

-- {socket =, fd =, mode =, native =, connecting =} for each that can be watched.
local function gather(entries, list, mode)
  for _, socket in ipairs(list or {}) do
    local native, connecting = stream.waited(socket)
    native = native or datagram.waited(socket)
    local fd = not connecting and fd_of(socket)
    if fd or connecting then
      entries[#entries + 1] = { socket = socket, fd = fd, mode = mode, native = native, connecting = connecting }
    end
  end
end

local function is_dirty(entry)
  local dirty = entry.mode == "r" and entry.socket.dirty
  return dirty and dirty(entry.socket) and true or false
end

-- Which entries are ready now, as a set; the second result: are there any?
local function look(entries)
  local ready, any = {}, false
  local fds = ffi.new("struct moonpark_luasocket_pollfd[?]", math.max(1, #entries))
  for i, entry in ipairs(entries) do
    fds[i - 1].fd = entry.fd or -1
    fds[i - 1].events = entry.mode == "r" and POLLIN or POLLOUT
    if is_dirty(entry) then ready[entry], any = "buffered", true
    elseif entry.connecting and entry.mode == "w" and entry.connecting.done then ready[entry], any = true, true end
  end
  if ffi.C.moonpark_luasocket_poll(fds, #entries, 0) > 0 then
    for i, entry in ipairs(entries) do
      if fds[i - 1].revents ~= 0 then ready[entry], any = ready[entry] or true, true end
    end
  end
  return ready, any
end

-- Waits in a task of its own until one of the cases is ready, then sets the event.
local function watch(cases, event)
  core.select(cases)
  event:set()
end

local function watch_descriptor(fd, mode, event)
  local pd = netpoll.open(fd)
  if pd then
    pd:wait_level(mode)
    pd:unblock()
    pd:close()
  else
    core.sleep(0.01) -- another loop or another wait has it
  end
  event:set()
end

-- Until one of them may be ready, or the time is over. What it starts has ended when it returns.
local function watch_all(entries, timeout)
  local event = core.event()
  return task.scope(function(scope)
    local cases = {}
    for _, entry in ipairs(entries) do
      if entry.connecting then
        scope:go(function() entry.connecting.event:wait() event:set() end)
      elseif entry.native then
        cases[#cases + 1] = { entry.native, entry.mode }
        if #cases == GROUP then
          scope:go(watch, cases, event)
          cases = {}
        end
      else
        scope:go(watch_descriptor, entry.fd, entry.mode, event)
      end
    end
    if #cases > 0 then scope:go(watch, cases, event) end
    local ok, err = event:wait(timeout)
    scope:cancel()
    return ok, err
  end)
end

-- Only connections of ours, and few: one wait.
local function is_simple(entries)
  if #entries == 0 or #entries > GROUP then return false end
  for _, entry in ipairs(entries) do
    if not entry.native then return false end
  end
  return true
end

local function wait(entries, timeout)
  if not is_simple(entries) then return watch_all(entries, timeout) end
  local cases = { timeout = timeout }
  for i, entry in ipairs(entries) do cases[i] = { entry.native, entry.mode } end
  local number, err = core.select(cases)
  if number or err ~= "device or resource busy" then return number, err end
  return core.sleep(0.01) -- another task waits for one of them
end

local function by_descriptor(a, b) return (a.fd or math.huge) < (b.fd or math.huge) end

local function append(list, socket)
  list[#list + 1] = socket
  list[socket] = #list
end

-- The result: sockets by number, and numbers by socket. First those that have something in their buffers, as often as
-- they are listed; then the others, each once, in the order of their descriptors.
local function lists_of(entries, ready)
  local lists, others = { r = {}, w = {} }, {}
  for _, entry in ipairs(entries) do
    if ready[entry] == "buffered" then append(lists[entry.mode], entry.socket)
    elseif ready[entry] then others[#others + 1] = entry end
  end
  table.sort(others, by_descriptor)
  for _, entry in ipairs(others) do
    local list = lists[entry.mode]
    if not list[entry.socket] then append(list, entry.socket) end
  end
  return lists.r, lists.w
end

local function select_now(entries, timeout)
  local deadline = timeout and core.now() + timeout
  while true do
    local ready, any = look(entries)
    if any then
      core.yield() -- a program that selects for ever lets others run
      return lists_of(entries, ready)
    end
    local left = deadline and math.max(0, deadline - core.now())
    local ok, err
    if left == 0 then ok, err = core.yield(), "timeout"
    else ok, err = wait(entries, left) end
    if left == 0 or not ok then
      ready, any = look(entries)
      local r, w = lists_of(entries, ready)
      if any then return r, w end
      return r, w, err
    end
  end
end

local function check_list(list, position)
  if list ~= nil and type(list) ~= "table" then
    misuse(("bad argument #%d to '?' (table expected, got %s)"):format(position, type(list)))
  end
end

--- See LuaSocket's manual. Negative or no timeout: for ever.
---@param readers table|nil
---@param writers table|nil
---@param timeout number|string|nil seconds
---@return table readable
---@return table writable
---@return string? err "timeout"
function M.select(readers, writers, timeout)
  check_list(readers, 1)
  check_list(writers, 2)
  local seconds = tonumber(timeout)
  if timeout ~= nil and not seconds then
    misuse(("bad argument #3 to '?' (number expected, got %s)"):format(type(timeout)))
  end
  local entries = {}
  gather(entries, readers, "r")
  gather(entries, writers, "w")
  if (readers and #readers or 0) > M.SETSIZE or (writers and #writers or 0) > M.SETSIZE then
    misuse("too many sockets")
  end
  if seconds and seconds < 0 then seconds = nil end
  return waiting.call(select_now, entries, seconds)
end

return M

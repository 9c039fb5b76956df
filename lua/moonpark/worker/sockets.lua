-- SPDX-License-Identifier: MIT
-- sockets.lua - in a worker, listeners and packet sockets are the supervisor's: it opens each address once, and the
-- socket outlives every worker.
--
-- The same address asked for twice, while the first listener is open, is in use, as ever; port 0 gives another port
-- each time, the same ones in every worker.

local core = require "moonpark.core"
local post = require "moonpark.worker.post"

local M = {}

local EADDRINUSE = 98
local held = {} -- [kind and address] = the worker's listeners there, held weakly
local listening = false
local secured = setmetatable({}, { __mode = "k" }) -- [listener] = true: of TLS

local function is_open(socket) return socket and not socket:is_closed() end

-- Which of the listeners at that address this one is: the first place that is free.
local function next_place(key)
  local list = held[key] or setmetatable({}, { __mode = "v" })
  held[key] = list
  local place = 1
  while is_open(list[place]) do place = place + 1 end
  return place, list
end

local function takes_any_port(address) return address:find ":0$" ~= nil end

local joined = false

-- Its connections are shared out evenly. Where there is no slot, it accepts what comes.
local function spread(listener)
  if not joined then
    joined = true
    local answer, fds = post.ask { op = "share" }
    if not answer.slot then return end
    local segment = table.remove(fds, 1)
    if not core.share_join(segment, fds, answer.slot) then return end
  end
  core.share_listener(listener)
end

local function fetch(kind, address, options, wanted)
  local key = kind .. " " .. address
  local place, list = next_place(key)
  if place > 1 and not takes_any_port(address) and not options.reuseport then
    return nil, "address already in use", EADDRINUSE
  end
  local answer, fds = post.ask { op = "socket", kind = kind, address = address, options = wanted, place = place }
  if answer.raised then error(answer.raised, 0) end
  if answer.err then return nil, answer.err, answer.errno end
  local socket, err, errno = core.from_fd(fds[1], kind)
  if not socket then return nil, err, errno end
  list[place] = socket
  if kind == "listener" then spread(socket) end
  return socket
end

-- Once the script's main task waits, or has ended well, it has started.
local function say_ready(listening_task)
  if listening_task and listening_task:status() == "failed" then return end
  post.post { op = "ready" }
end

--- net.listen's, in a worker.
---@param address string
---@param options table
---@return moonpark.listener|nil
---@return string? err
---@return integer? errno
function M.listen(address, options)
  local wanted = { backlog = options.backlog, reuseport = options.reuseport, v6only = options.v6only,
    unlink = options.unlink, mode = options.mode }
  local listener, err, errno = fetch("listener", address, options, wanted)
  if not listener then return nil, err, errno end
  secured[listener] = options.tls and true
  if not listening then
    listening = true
    if core.current() then core.go(say_ready, core.current()) else say_ready() end
  end
  return listener
end

--- An HTTP server has opened over a listener.
---@param listener moonpark.listener
function M.speaks_http(listener)
  if not secured[listener] then post.post { op = "http", address = listener:address() } end
end

--- net.packet's.
---@param address string
---@param options table
---@return moonpark.packet|nil
---@return string? err
---@return integer? errno
function M.packet(address, options)
  local wanted = {}
  for name, value in pairs(options) do wanted[name] = value end
  return fetch("packet", address, options, wanted)
end

--- moonpark.shared's memory, in a worker.
---@param kind string
---@param name string
---@param size integer
---@return integer|nil fd
---@return string? err
---@return integer? errno
function M.segment(kind, name, size)
  local answer, fds = post.ask { op = "segment", kind = kind, name = name, size = size }
  if answer.err then return nil, answer.err, answer.errno end
  return fds[1]:release()
end

--- This worker's listeners that are open.
---@return moonpark.listener[]
function M.open()
  local list = {}
  for key, sockets in pairs(held) do
    for _, socket in pairs(sockets) do
      if key:find "^listener " and is_open(socket) then list[#list + 1] = socket end
    end
  end
  return list
end

return M

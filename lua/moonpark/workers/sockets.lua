-- SPDX-License-Identifier: MIT
-- sockets.lua - the supervisor's sockets: each is opened once, handed to every worker that asks for it, and closed when
-- no worker of the newest generation has asked for it.

local fs = require "moonpark.fs"
local net = require "moonpark.net"

local M = {}

local DEFERRED = 600 -- seconds that a connection without a request stays with the system

---@class moonpark.workers.sockets
local Sockets = {}
Sockets.__index = Sockets

---@return moonpark.workers.sockets
function M.new() return setmetatable({ list = {}, inherited = net.inherited() or {} }, Sockets) end

--- What an upgraded supervisor must know of them.
---@return table[] rows
---@return integer[] fds
function Sockets:rows()
  local rows, fds = {}, {}
  for key, entry in pairs(self.list) do
    local fd = assert(entry.socket:fd())
    rows[#rows + 1] = { key = key, fd = fd, generation = entry.generation, kind = entry.kind, path = entry.path,
      inode = entry.inode }
    fds[#fds + 1] = fd
  end
  for _, socket in ipairs(self.inherited) do -- nobody has asked for them yet
    local fd = socket:fd()
    rows[#rows + 1] = { fd = fd }
    fds[#fds + 1] = fd
  end
  return rows, fds
end

--- Those that the supervisor had before it was upgraded.
---@param rows table[]
---@return moonpark.workers.sockets
function M.restore(rows)
  local self = M.new()
  for _, row in ipairs(rows) do
    local socket = assert(net.from_fd(row.fd, row.kind))
    if row.key then
      self.list[row.key] = { socket = socket, generation = row.generation, kind = row.kind, path = row.path,
        inode = row.inode, first = row.generation, adopted = true }
    else
      table.insert(self.inherited, socket)
    end
  end
  return self
end

-- Which file a path leads to.
local function inode_of(path)
  local stat = path and fs.stat(path, { follow = false })
  return stat and stat.type == "socket" and stat.inode or nil
end

-- A socket that was adopted does not know that its path is its own. A worker may have put something else there.
local function close(entry)
  local own = entry.adopted and entry.path and inode_of(entry.path) == entry.inode
  entry.socket:close()
  if own then os.remove(entry.path) end
end

-- With reuseport each worker has its own. Other options are those of whoever asks first.
local function key_of(message, number)
  local own = message.options.reuseport and " of " .. number or ""
  return ("%s %s %d%s"):format(message.kind, message.address, message.place, own)
end

-- ":80" is every address, which has two names.
local function is_at(socket, address)
  local own = socket:address()
  if own == address then return true end
  return address:find "^:" ~= nil and (own == "[::]" .. address or own == "0.0.0.0" .. address)
end

-- One that systemd has opened, if it listens at that address.
local function take_inherited(self, address)
  for i, socket in ipairs(self.inherited) do
    if not socket:is_closed() and socket:is_listener() and is_at(socket, address) then
      table.remove(self.inherited, i)
      return socket
    end
  end
end

-- The path of a unix socket that is removed when it is closed, or nil.
local function path_of(message)
  local path = message.address:match "^unix%a*:(/.*)$"
  return message.options.unlink ~= false and path or nil
end

local openers = { listener = net.listen, packet = net.packet }

--- The socket that a worker asks for.
---@param message {kind: string, address: string, options: table, place: integer}
---@param number integer the worker's
---@param generation integer
---@return moonpark.listener|moonpark.packet|nil
---@return string? err
---@return integer? errno
function Sockets:get(message, number, generation)
  local key = key_of(message, number)
  local entry = self.list[key]
  if self.closed then return nil, "closed" end
  if not entry then
    local socket, err, errno = take_inherited(self, message.address)
    local path = not socket and path_of(message) or nil -- else the path is systemd's
    if not socket then socket, err, errno = openers[message.kind](message.address, message.options) end
    if not socket then return nil, err, errno end
    entry = { socket = socket, kind = message.kind, path = path, inode = inode_of(path), first = generation }
    self.list[key] = entry
  end
  entry.generation = math.max(entry.generation or 0, generation)
  return entry.socket
end

--- A worker serves HTTP there, without TLS. For watch mode: no worker gets a connection before its client has asked for
--- something, so that the old code owes nothing to those who have not when it ends.
---@param address string
function Sockets:speaks_http(address)
  for _, entry in pairs(self.list) do
    if entry.socket:address() == address and not entry.http then
      entry.http = true
      entry.socket:setoption("defer_accept", DEFERRED) -- a unix socket has none
    end
  end
end

--- The listeners where workers have served HTTP.
---@return moonpark.listener[]
function Sockets:of_http()
  local list = {}
  for _, entry in pairs(self.list) do
    if entry.http then list[#list + 1] = entry.socket end
  end
  return list
end

--- Closes what only older generations have asked for.
---@param generation integer
function Sockets:close_before(generation)
  for key, entry in pairs(self.list) do
    if entry.generation < generation then
      close(entry)
      self.list[key] = nil
    end
  end
end

--- Closes what a generation that could not start was the first to ask for.
---@param generation integer
function Sockets:close_first_of(generation)
  for key, entry in pairs(self.list) do
    if entry.first == generation then
      close(entry)
      self.list[key] = nil
    end
  end
end

--- Closes all of them; there are no others.
function Sockets:close()
  self.closed = true
  self:close_before(math.huge)
end

return M

-- SPDX-License-Identifier: MIT
-- packet.lua - UDP and unix datagrams.
--
-- The core has the methods that wait; here are options, look-ups of names, and the annotations.

local addresses = require "moonpark.net.addresses"
local core = require "moonpark.core"
local check_options = require("moonpark.options").check
local source = require "moonpark.net.source"

---@class moonpark.packet_module
local M = {}

--- Failures return nil, a message, and errno if the system gave one; see docs/packet.md. Addresses are text as
--- packet() takes it: "udp:127.0.0.1:53", "unixgram:/path"; "unixgram:" is a sender without a name.
---@class moonpark.packet
---@field recv_from fun(self, max?: integer): string|nil, string, integer? data, sender, full length if it was cut
---@field recv fun(self, max?: integer): string|nil, string|integer|nil, integer? data, full length if it was cut
---@field recv_many fun(self, count: integer, max?: integer): string[]|nil, string[], table<integer,integer>?
---@field send_to fun(self, data: string, address: string): integer|nil, string?, integer? bytes; a datagram goes whole
---@field send fun(self, data: string): integer|nil, string?, integer? to the peer
---@field send_many fun(self, data: string[], address?: string|string[]): integer|nil, string?, integer?, integer?
---@field join_group fun(self, group: string, interface?: string): true|nil, string?, integer?
---@field leave_group fun(self, group: string, interface?: string): true|nil, string?, integer?
---@field wait_readable fun(self): true|nil, string?, integer?
---@field wait_writable fun(self): true|nil, string?, integer?
---@field set_deadline fun(self, t: number|nil): true|nil, string? absolute seconds, on moonpark.now()'s clock
---@field set_read_deadline fun(self, t: number|nil): true|nil, string?
---@field set_write_deadline fun(self, t: number|nil): true|nil, string?
---@field set_timeout fun(self, seconds: number|nil, mode?: "r"|"w"|"rw"): true|nil, string?, integer? of each operation
---@field set_wait_timeout fun(self, seconds: number|nil, mode?: "r"|"w"|"rw"): true|nil, string?, integer? of each wait
---@field close fun(self): true every waiting task fails with "closed"
---@field is_closed fun(self): boolean
---@field detach fun(self): moonpark.descriptor|nil, string?, integer? closes it, and gives its descriptor
---@field address fun(self): string|nil, string?, integer? where it receives, with the port that was picked
---@field local_address fun(self): string|nil, string?, integer? the same
---@field peer_address fun(self): string|nil, string?, integer? where it is connected to
---@field fd fun(self): integer|nil, string?
---@field setoption fun(self, name: string, value: boolean|number|string): true|nil, string?, integer?
---@field getoption fun(self, name: string): boolean|number|nil, string?, integer?
local Packet = core.packet_class

Packet.address = Packet.local_address

local setoption, set_multicast_interface = Packet.setoption, Packet.set_multicast_interface
local send_to, try_send_to, send_limit = Packet.send_to, Packet.try_send_to, Packet.send_limit
Packet.set_multicast_interface, Packet.try_send_to, Packet.send_limit = nil, nil, nil

function Packet:setoption(name, value)
  if name == "multicast_interface" then return set_multicast_interface(self, value) end
  return setoption(self, name, value)
end

-- What an address of the other family ends with: another of the name's may do.
local unfit = {
  ["address family not supported by protocol"] = true,
  ["network is unreachable"] = true,
}

-- To the first of the name's addresses that this socket can send to.
local function send_by_name(self, data, address, host, port)
  local list, err, errno = addresses.expand(address, host, port, true, send_limit(self))
  if not list then return nil, err, errno end
  for i, one in ipairs(list) do
    local sent, why, number = send_to(self, data, one)
    if sent or not unfit[why] then return sent, why, number end
    if i == 1 then err, errno = why, number end
  end
  return nil, err, errno
end

-- The core's, but for names. The last line is a tail call, so what it raises names our caller's line.
function Packet:send_to(data, address)
  local sent, err, errno = try_send_to(self, data, address)
  if sent ~= false then return sent, err, errno end
  if err then return send_by_name(self, data, address, err, errno) end
  return send_to(self, data, address)
end

---------------------------------------------------------------------------------------------------
-- making

---@class moonpark.net.packet.options
---@field peer? string only its datagrams come, and send() goes to it
---@field reuseaddr? boolean SO_REUSEADDR; false
---@field reuseport? boolean SO_REUSEPORT; false
---@field v6only? boolean no IPv4; false for "udp::port", and other IPv6 addresses take none anyway
---@field broadcast? boolean may send to broadcast addresses; false
---@field unlink? boolean a unix path is removed when it is closed; true
---@field mode? string|integer permissions of a unix path, "0660"; what the umask leaves
---@field shared? boolean in a worker: false: a socket of its own; true

local packet_options = {
  peer = "string", reuseaddr = "boolean", reuseport = "boolean", v6only = "boolean", broadcast = "boolean",
  unlink = "boolean", mode = addresses.mode, shared = "boolean",
}

-- In a worker, a socket at an address of its own is the supervisor's. One that asks others is this worker's: their
-- answers are for nobody else.
local function is_shared(address, options)
  return options.shared ~= false and not options.peer and not address:find ":0$" and address ~= "unixgram:"
end

-- Where to bind and where to connect to, {from =, to =}, in the order in which they should be tried; either text may
-- be nil. Both are checked before anything is looked up.
local function places(from, to, deadline, name, level)
  local host, port, to_host, to_port, locals, peers, err, errno
  if from then host, port = addresses.check(from, true, name, level + 1) end
  if to then to_host, to_port = addresses.check(to, true, name, level + 1) end
  if from then
    locals, err, errno = addresses.expand(from, host, port, true, deadline)
    if not locals then return nil, err, errno end
  end
  if to then
    peers, err, errno = addresses.expand(to, to_host, to_port, true, deadline)
    return peers and addresses.pair_up(peers, locals), err, errno
  end
  local list = {}
  for i, one in ipairs(locals) do list[i] = { from = one } end
  return list
end

-- A socket at the first place that can be had, or why the first one cannot.
local function open(list, options, mode)
  local err, errno
  for i, place in ipairs(list) do
    local socket, why, number = core.packet(place.from, place.to, options.reuseaddr, options.reuseport, options.v6only,
      options.broadcast, options.unlink ~= false, mode)
    if socket then return socket end
    if i == 1 then err, errno = why, number end
  end
  return nil, err, errno
end

--- A packet socket bound to that address. "udp::port" means every local address; port 0 picks a free one, see
--- packet:address(). With `peer` only that one's datagrams come, and send() goes to it. Names are looked up, in a
--- task; of their addresses the first that can be had counts.
---@param address string "udp:host:port", "udp:[::1]:port", "udp::port", "unixgram:/path", "unixgram:@name", "unixgram:"
---@param options? moonpark.net.packet.options
---@return moonpark.packet|nil
---@return string? err "address already in use", "connection refused" (no unix peer), ...
---@return integer? errno
function M.packet(address, options)
  if type(address) ~= "string" then
    error(("bad argument #1 to 'packet' (string expected, got %s)"):format(type(address)), 2)
  end
  options = check_options("packet", options, packet_options, 2, 2)
  local mode = addresses.permissions(options.mode, address, "packet", 2)
  local list, err, errno = places(address, options.peer, nil, "packet", 2)
  if not list then return nil, err, errno end
  local other = is_shared(address, options) and source.get()
  if other then return other.packet(address, options) end
  return open(list, options, mode)
end

--- net.dial for addresses of datagrams: a packet socket connected to that address. Nothing is sent by it.
---@param address string
---@param options {local_address?: string}
---@param timeout number|nil seconds, for looking names up
---@param level integer of the script's line, as for error() in the function that calls this
---@return moonpark.packet|nil
---@return string? err
---@return integer? errno
function M.dial(address, options, timeout, level)
  local deadline = timeout and timeout < math.huge and core.now() + timeout or nil
  local list, err, errno = places(options.local_address, address, deadline, "dial", level + 1)
  if list then return open(list, {}) end
  return nil, err, errno
end

return M

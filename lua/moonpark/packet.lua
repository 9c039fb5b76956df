-- SPDX-License-Identifier: MIT
-- packet.lua - UDP and unix datagrams.
--
-- The methods that wait are the core's; here is what is made of them: options, and the annotations.

local addresses = require "moonpark.addresses"
local core = require "moonpark.core"

---@class moonpark.packet_module
local M = {}

--- What fails returns nil, a message, and errno where the system gave one; see docs/packet.md. Addresses are text as
--- packet() takes it: "udp:127.0.0.1:53", "unixgram:/path"; "unixgram:" is a sender without a name.
---@class moonpark.packet
---@field recv_from fun(self, max?: integer): string|nil, string, integer? data, sender, whole length where it was cut
---@field recv fun(self, max?: integer): string|nil, string|integer|nil, integer? data, whole length where it was cut
---@field recv_many fun(self, count: integer, max?: integer): string[]|nil, string[]|string, table<integer,integer>?
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
---@field set_timeout fun(self, seconds: number|nil): true|nil, string? for each operation from now on
---@field close fun(self): true fails everybody who waits on it with "closed"
---@field is_closed fun(self): boolean
---@field address fun(self): string|nil, string?, integer? where it receives, with the port that was picked
---@field local_address fun(self): string|nil, string?, integer? the same
---@field peer_address fun(self): string|nil, string?, integer? where it is connected to
---@field fd fun(self): integer|nil, string?
---@field setoption fun(self, name: string, value: boolean|number|string): true|nil, string?, integer?
---@field getoption fun(self, name: string): boolean|number|nil, string?, integer?
local Packet = core.packet_class

Packet.address = Packet.local_address

local setoption, set_multicast_interface = Packet.setoption, Packet.set_multicast_interface
local send_to, try_send_to = Packet.send_to, Packet.try_send_to
Packet.set_multicast_interface, Packet.try_send_to = nil, nil

function Packet:send_to(data, address)
  local sent, err, errno = try_send_to(self, data, address)
  if sent ~= false then return sent, err, errno end
  return send_to(self, data, address) -- a tail call: so what it raises names our caller's line
end

function Packet:setoption(name, value)
  if name == "multicast_interface" then return set_multicast_interface(self, value) end
  return setoption(self, name, value)
end

local packet_options = {
  peer = "string", reuseaddr = "boolean", reuseport = "boolean", v6only = "boolean", broadcast = "boolean",
  unlink = "boolean",
}

local function check_options(options, known, name, level)
  if options == nil then return {} end
  if type(options) ~= "table" then
    error(("bad argument #2 to '%s' (table expected, got %s)"):format(name, type(options)), level)
  end
  for key, value in pairs(options) do
    if not known[key] then error(("%s: unknown option '%s'"):format(name, tostring(key)), level) end
    if type(value) ~= known[key] then
      error(("%s: option '%s' must be a %s, not a %s"):format(name, key, known[key], type(value)), level)
    end
  end
  return options
end

-- Where to bind, each with the peer to connect to: {from =, to = or nil}, in the order in which they are to be tried.
local function places(address, peer, level)
  local host, port = addresses.check(address, true, "packet", level + 1)
  local peer_host, peer_port
  if peer then peer_host, peer_port = addresses.check(peer, true, "packet", level + 1) end
  local from, err, errno = addresses.expand(address, host, port, true)
  if not from then return nil, err, errno end
  if peer then
    local to
    to, err, errno = addresses.expand(peer, peer_host, peer_port, true)
    return to and addresses.pair_up(to, from), err, errno
  end
  local list = {}
  for i, one in ipairs(from) do list[i] = { from = one } end
  return list
end

--- A packet socket bound to that address. "udp::port" means every local address; port 0 picks a free one, see
--- packet:address(). With `peer` only that one's datagrams come, and send() goes to it. Where a host is a name it is
--- looked up, in a task; the first of its addresses that works is taken.
---@param address string "udp:host:port", "udp:[::1]:port", "udp::port", "unixgram:/path", "unixgram:@name", "unixgram:"
---@param options? {peer?: string, reuseaddr?: boolean, reuseport?: boolean, v6only?: boolean, broadcast?: boolean,
---unlink?: boolean}
---@return moonpark.packet|nil
---@return string? err
---@return integer? errno
function M.packet(address, options)
  options = check_options(options, packet_options, "packet", 3)
  local list, err, errno = places(address, options.peer, 2)
  for i, place in ipairs(list or {}) do
    local socket, why, number = core.packet(place.from, place.to, options.reuseaddr, options.reuseport, options.v6only,
      options.broadcast, options.unlink ~= false)
    if socket then return socket end
    if i == 1 then err, errno = why, number end
  end
  return nil, err, errno
end

return M

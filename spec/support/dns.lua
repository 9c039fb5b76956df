-- SPDX-License-Identifier: MIT
-- support/dns.lua - a name server for specs, on a port of 127.0.0.1, by UDP and TCP. What it says of a name is told
-- to it; what it was asked is written down.
--
--   local server = dns.start()
--   server:on("host.test", { a = { "10.1.2.3" }, aaaa = { "fd00::1" } })
--   server.address                       "127.0.0.1:port", for both
--   server:wait_for(2)                   parks until it has been asked twice
--   server:count("host.test")            how often it was asked for that, of any type
--   server:release("host.test")          sends what { hold = true } has kept back
--   server:release("host.test", dns.A)   the answer for that type alone
--   server:stop()
--
-- What it may say, besides a and aaaa (arrays) and cname (the next name; its addresses follow, where they are known):
--   rcode = "servfail" | "nxdomain" | "refused" | "notimp" | "formerr"
--   ttl = seconds; nothing_for = seconds that a cache may keep in mind what there is not
--   truncate = true      by UDP only that there is more: the client is to ask by TCP
--   close = "at once" | "inside"      by TCP: no answer, or half of one, then the end
--   pieces = n           by TCP: the answer in pieces of so many bytes
--   hold = true          no answer until release
--   drop = n             no answer to the first n queries
--   silent = true        no answer at all
--   only = { [dns.A] = {...}, [dns.AAAA] = {...} }       another thing for each type that is asked for
--   lie = "id" | "question" | "garbage" | "short" | "empty" | "other"    before the truth; lies_only = true: instead;
--                        lies = n: so many times
-- A name that nothing was said of does not exist.

local moonpark = require "moonpark"
local net = require "moonpark.net"

local M = {}

M.A, M.CNAME, M.SOA, M.AAAA = 1, 5, 6, 28
local IN, NAME_AT_12 = 1, "\192\12"
local rcodes = { ok = 0, formerr = 1, servfail = 2, nxdomain = 3, notimp = 4, refused = 5 }

---------------------------------------------------------------------------------------------------
-- bytes (RFC 1035, 4)

local function u16(n) return string.char(bit.rshift(n, 8) % 256, n % 256) end
local function u32(n) return u16(math.floor(n / 65536)) .. u16(n % 65536) end
local function get16(bytes, at) return bytes:byte(at) * 256 + bytes:byte(at + 1) end

local function encode_name(name)
  return (name:gsub("%.$", ""):gsub("([^.]+)%.?", function(label) return string.char(#label) .. label end)) .. "\0"
end

-- The name at `at` (no pointers: it is a question's), and where the next thing is.
local function decode_name(bytes, at)
  local labels = {}
  while bytes:byte(at) ~= 0 do
    local n = bytes:byte(at)
    labels[#labels + 1] = bytes:sub(at + 1, at + n)
    at = at + n + 1
  end
  return table.concat(labels, "."), at + 1
end

local function decode_query(bytes)
  local name, at = decode_name(bytes, 13)
  return { id = bytes:sub(1, 2), opcode = bit.band(bytes:byte(3), 0x78), name = name, type = get16(bytes, at),
    question = bytes:sub(13, at + 3) }
end

--- A query, as a client sends it.
function M.query(id, name, type)
  return u16(id) .. "\1\0" .. u16(1) .. u16(0) .. u16(0) .. u16(0) .. encode_name(name) .. u16(type) .. u16(IN)
end

local function ipv4(text)
  local a, b, c, d = text:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$")
  return string.char(a, b, c, d)
end

local function groups(text)
  local list = {}
  for group in text:gmatch("%x+") do list[#list + 1] = u16(tonumber(group, 16)) end
  return list
end

local function ipv6(text)
  local head, tail = text:match("^(.-)::(.*)$")
  local before, after = groups(head or text), groups(tail or "")
  return table.concat(before) .. ("\0\0"):rep(8 - #before - #after) .. table.concat(after)
end

local function record(owner, type, ttl, data)
  return owner .. u16(type) .. u16(IN) .. u32(ttl) .. u16(#data) .. data
end

local function header(query, rcode, truncated, answers, authorities)
  local flags = string.char((truncated and 0x86 or 0x84) + query.opcode, rcode)
  return query.id .. flags .. u16(1) .. u16(answers) .. u16(authorities or 0) .. u16(0)
end

-- The record that says how long there is nothing (RFC 2308).
local function soa(seconds)
  return record(encode_name("test"), M.SOA, seconds, encode_name("ns.test") .. encode_name("me.test")
    .. u32(1) .. u32(3600) .. u32(600) .. u32(86400) .. u32(seconds))
end

---------------------------------------------------------------------------------------------------
-- answers

---@class dns.server
local Server = {}
Server.__index = Server

local function add_addresses(records, owner, what, wanted)
  local encode = wanted == M.A and ipv4 or ipv6
  for _, address in ipairs(wanted == M.A and what.a or wanted == M.AAAA and what.aaaa or {}) do
    records[#records + 1] = record(owner, wanted, what.ttl or 60, encode(address))
  end
end

-- Follows the chain from what is said of a name.
function Server:records(what, wanted)
  local records, owner = {}, NAME_AT_12
  for _ = 1, 16 do
    add_addresses(records, owner, what, wanted)
    if not what.cname then break end
    local target = encode_name(what.cname)
    records[#records + 1] = record(owner, M.CNAME, what.ttl or 60, target)
    what, owner = self.names[what.cname] or {}, target
  end
  return records
end

function Server:answer(query, what)
  local authority = what.nothing_for and soa(what.nothing_for) or ""
  local authorities = #authority > 0 and 1 or 0
  if what.rcode then
    return header(query, rcodes[what.rcode], false, 0, authorities) .. query.question .. authority
  end
  local records = self:records(what, query.type)
  return header(query, 0, false, #records, authorities) .. query.question .. table.concat(records) .. authority
end

local function other_question(query) return encode_name("lie." .. query.name) .. query.question:sub(-4) end

local lies = {
  id = function(query, lie)
    return string.char((query.id:byte(1) + 1) % 256) .. query.id:sub(2) .. query.question .. lie
  end,
  question = function(query, lie)
    return header(query, 0, false, 1) .. other_question(query) .. lie
  end,
  other = function(query)
    local owner = encode_name("victim.test")
    return header(query, 0, false, 1) .. query.question .. record(owner, M.A, 60, ipv4("10.6.6.6"))
  end,
  garbage = function(query) return header(query, 0, false, 7) .. query.question .. ("\255"):rep(40) end,
  short = function(query) return query.id .. "\132" end,
  empty = function() return "" end,
}

local function lie_to(query, kind)
  return lies[kind](query, record(NAME_AT_12, M.A, 60, ipv4("10.6.6.6")))
end

---------------------------------------------------------------------------------------------------
-- serving

function Server:note(query, transport)
  local list = self.queries
  list[#list + 1] = { name = query.name:lower(), type = query.type, transport = transport }
  self.asked:set()
end

-- What is said of the name, or nil where nothing is to be answered now.
function Server:consider(query, send)
  local what = self.names[query.name:lower()] or { rcode = "nxdomain" }
  what = what.only and what.only[query.type] or what
  if what.silent then return nil end
  if what.drop and what.drop > 0 then
    what.drop = what.drop - 1
    return nil
  end
  if what.hold then
    local held = self.held[query.name:lower()] or {}
    self.held[query.name:lower()] = held
    held[#held + 1] = { type = query.type, send = function() send(self:say(query, what)) end }
    return nil
  end
  return what
end

-- The truth, or a lie in its place.
function Server:say(query, what)
  return what.lies_only and lie_to(query, what.lie) or self:answer(query, what)
end

function Server:on_datagram(data, from)
  local query = decode_query(data)
  local function send(bytes) self.socket:send_to(bytes, from) end
  self:note(query, "udp")
  local what = self:consider(query, send)
  if not what then return end
  if what.truncate then return send(header(query, 0, true, 0) .. query.question) end
  for _ = 1, what.lie and (what.lies or 1) or 0 do send(lie_to(query, what.lie)) end
  if not what.lies_only then send(self:answer(query, what)) end
end

local function send_in_pieces(conn, bytes, n)
  for at = 1, #bytes, n do
    conn:write(bytes:sub(at, at + n - 1))
    moonpark.yield()
  end
end

function Server:on_message(conn, data)
  local query = decode_query(data)
  local function send(bytes) conn:write(u16(#bytes), bytes) end
  self:note(query, "tcp")
  local what = self:consider(query, send)
  if not what then return end
  local answer = self:say(query, what)
  if what.close == "at once" then return conn:close() end
  if what.close == "inside" then
    conn:write(u16(#answer), answer:sub(1, 5))
    return conn:close()
  end
  if what.pieces then return send_in_pieces(conn, u16(#answer) .. answer, what.pieces) end
  send(answer)
end

function Server:serve_udp()
  while true do
    local data, from = self.socket:recv_from()
    if not data then return end
    self:on_datagram(data, from)
  end
end

function Server:serve_tcp(conn)
  while true do
    local length = conn:read_exactly(2)
    local data = length and conn:read_exactly(get16(length, 1))
    if not data then return end
    self:on_message(conn, data)
  end
end

---------------------------------------------------------------------------------------------------
-- what specs call

--- From now on that is said of the name; nil: that it does not exist.
function Server:on(name, what) self.names[name:lower()] = what end

--- How many queries there were for a name, or all; transport: only those by "udp" or "tcp".
function Server:count(name, transport)
  local n = 0
  for _, query in ipairs(self.queries) do
    if (not name or query.name == name:lower()) and (not transport or query.transport == transport) then n = n + 1 end
  end
  return n
end

--- Parks until there were so many queries, of that name or all.
function Server:wait_for(n, name)
  while self:count(name) < n do
    self.asked:clear()
    assert(self.asked:wait(30), "the name server was not asked as often as expected")
  end
end

--- Sends the answers that were held back for the name, and holds none back any more; type: only those, once.
function Server:release(name, type)
  local held = self.held[name:lower()] or {}
  self.held[name:lower()] = nil
  if not type then self.names[name:lower()].hold = nil end
  local kept = {}
  for _, one in ipairs(held) do
    if not type or one.type == type then one.send() else kept[#kept + 1] = one end
  end
  if type then self.held[name:lower()] = kept end
end

function Server:stop()
  self.listener:close()
  self.socket:close()
  self.task:cancel()
  self.task:join()
end

local function run(self)
  return moonpark.scope(function(scope)
    scope:go(self.serve_udp, self)
    self.listener:serve(function(conn) self:serve_tcp(conn) end, { on_error = function() end })
  end)
end

-- The port that TCP got may be taken for UDP.
local function open(wanted)
  for _ = 1, 20 do
    local listener = assert(net.listen(wanted))
    local address = listener:address()
    local socket = net.packet("udp:" .. address)
    if socket then return listener, socket, address end
    listener:close()
  end
  error("no port is free for both UDP and TCP")
end

--- Starts one: its tasks are the caller's to end, by stop().
---@param wanted? string 127.0.0.1:0
---@return dns.server
function M.start(wanted)
  local listener, socket, address = open(wanted or "127.0.0.1:0")
  socket:setoption("rcvbuf", 1048576)
  local self = setmetatable({ listener = listener, socket = socket, address = address, names = {}, held = {},
    queries = {}, asked = moonpark.event() }, Server)
  self.task = moonpark.go(run, self)
  return self
end

--- The body of an `it`: body(server) with a fresh server that alone is asked, by impatient rules: one second a try, no
--- search domains, no hosts file. options are set_resolver's, in their place.
function M.with(body, options)
  return function()
    local server = M.start()
    local settings = { servers = { server.address }, search = {}, lookups = "b", timeout = 1, tries = 2 }
    for key, value in pairs(options or {}) do settings[key] = value end
    assert(net.set_resolver(settings))
    body(server, settings)
    assert(net.set_resolver(nil))
    server:stop()
    require("moonpark.core").check()
  end
end

return M

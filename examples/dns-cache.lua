-- SPDX-License-Identifier: MIT
-- dns-cache.lua - a caching DNS forwarder over UDP and TCP.
--
--   luajit examples/dns-cache.lua --upstream 192.0.2.53:53 [address]      or: moonpark examples/dns-cache.lua ...
--
-- Then, in another terminal: dig -p 5300 @127.0.0.1 debian.org, twice.
--
-- Each query has a task. Each question to the upstream server has a socket of its own, with a port and an id that
-- attackers cannot guess. Tasks with the same question share one answer. An answer is dropped when its time to live is
-- over; if there are too many, the oldest go first. Messages that the cache does not understand (updates, several
-- questions, queries for signatures, anything with an opcode) are passed on unchanged, and so are their answers.
--
-- lib/dnswire.lua reads and writes the messages.

package.path = (arg[0]:match("^.*/") or "") .. "lib/?.lua;" .. package.path

local moonpark = require "moonpark"
local net = require "moonpark.net"
local dnswire = require "dnswire"

local USAGE = [[
usage: dns-cache.lua --upstream host:port [--entries n] [--timeout seconds] [address]
asks the upstream server for what is not in the cache, over UDP, or TCP if an answer is too long
--entries: answers kept; 10000 by default     --timeout: of each of two tries; 2 by default
address: host:port, for UDP and TCP; 127.0.0.1:5300 by default; port 0 picks a free one]]

local TRIES = 2
local LARGEST_DATAGRAM, LARGEST_MESSAGE = 512, 65535 -- bytes; RFC 1035, 4.2.1
local LONGEST = 86400      -- seconds that an answer is kept at most
local MOST_TASKS = 500     -- queries over UDP that are under way; more are dropped, and clients ask again
local PATIENCE = 10        -- seconds that a TCP client may be silent

---@type {entries: number, timeout: number, upstream?: string}
local options = { entries = 10000, timeout = 2 }
local known = { upstream = true, entries = true, timeout = true }
local urandom = assert(io.open("/dev/urandom", "rb"))
urandom:setvbuf("no")

---------------------------------------------------------------------------------------------------
-- the cache

local kept, count = {}, 0        -- [key] = entry
local oldest, newest = 1, 0      -- the entries in the order in which they came, in `line`
local line = {}

local function forget(entry)
  if kept[entry.key] == entry then
    kept[entry.key] = nil
    count = count - 1
  end
end

local function trim()
  while newest - oldest + 1 > options.entries do
    forget(line[oldest])
    line[oldest] = nil
    oldest = oldest + 1
  end
end

-- How long an answer may be kept, in seconds; 0: not at all. For a negative answer the zone says how long.
local function lifetime(message)
  if message.truncated then return 0 end
  if message.rcode == dnswire.NOERROR and message.ttl then return math.min(message.ttl, LONGEST) end
  if message.rcode == dnswire.NOERROR or message.rcode == dnswire.NXDOMAIN then
    return math.min(message.negative or 0, LONGEST)
  end
  return 0
end

local function keep(key, answer)
  local seconds = lifetime(answer.message)
  if seconds == 0 then return end
  local entry = { key = key, answer = answer, ends = answer.at + seconds }
  if not kept[key] then count = count + 1 end
  kept[key] = entry
  newest = newest + 1
  line[newest] = entry
  trim()
end

local function recall(key)
  local entry = kept[key]
  if not entry then return nil end
  if moonpark.now() < entry.ends then return entry.answer end
  forget(entry)
end

---------------------------------------------------------------------------------------------------
-- the upstream server

-- Does an answer belong to the query? Only the id is compared if the query was not understood.
local function belongs(bytes, query, question)
  if #bytes < 12 or bytes:sub(1, 2) ~= query:sub(1, 2) or bytes:byte(3) < 128 then return false end
  if not question then return true end
  local message = dnswire.read(bytes)
  return message and message.question:lower() == question:lower()
end

local function receive(socket, query, question)
  while true do
    local bytes = socket:recv_from(LARGEST_MESSAGE)
    if not bytes or belongs(bytes, query, question) then return bytes end
  end
end

local function ask_by_udp(query, question)
  local any = options.upstream:find("^%[") and "udp:[::]:0" or "udp:0.0.0.0:0"
  for _ = 1, TRIES do
    local socket = net.packet(any, { peer = "udp:" .. options.upstream })
    if not socket then return nil end
    socket:set_deadline(moonpark.now() + options.timeout)
    local bytes = socket:send(query) and receive(socket, query, question)
    socket:close()
    if bytes then return bytes end
  end
end

local function read_message(conn)
  local length = conn:read_exactly(2)
  return length and conn:read_exactly(dnswire.u16(length, 1))
end

local function write_message(conn, bytes) return conn:write(dnswire.put16(#bytes), bytes) end

local function ask_by_tcp(query, question)
  local conn = net.dial(options.upstream, { timeout = options.timeout })
  if not conn then return nil end
  conn:set_deadline(moonpark.now() + options.timeout)
  local bytes = write_message(conn, query) and read_message(conn)
  conn:close()
  return bytes and belongs(bytes, query, question) and bytes or nil
end

local function ask(query, question)
  local bytes = ask_by_udp(query, question)
  local truncated = bytes and math.floor(bytes:byte(3) / 2) % 2 == 1
  return truncated and ask_by_tcp(query, question) or bytes
end

---------------------------------------------------------------------------------------------------
-- answers

local under_way = {} -- [key] = {event = , answer = }

-- The upstream server's answer, shared by all tasks that ask for it at the same time.
local function fetch(key, query)
  local flight = under_way[key]
  if flight then
    flight.event:wait()
    return flight.answer
  end
  flight = { event = moonpark.event() }
  under_way[key] = flight
  local bytes = ask(dnswire.plain_query(query, urandom:read(2)), query.question)
  local message = bytes and dnswire.read(bytes)
  if message then
    flight.answer = { bytes = bytes, message = message, at = moonpark.now() }
    keep(key, flight.answer)
  end
  under_way[key] = nil
  flight.event:set()
  return flight.answer
end

local function answer_known(query)
  local key = dnswire.key(query)
  local answer = recall(key) or fetch(key, query)
  if not answer then return dnswire.bare_answer(query, dnswire.SERVFAIL) end
  return dnswire.aged(answer.bytes, answer.message, query, math.floor(moonpark.now() - answer.at))
end

-- The answer to any message; nil if it gets none, for example because it is itself an answer.
local function answer(bytes)
  if #bytes < 12 or bytes:byte(3) >= 128 then return nil end
  local query = dnswire.read(bytes)
  local understood = query and query.opcode == 0 and query.answers == 0 and #query.ttls == 0 and not query.signed
  if understood then return answer_known(query), query end
  local reply = ask(urandom:read(2) .. bytes:sub(3))
  return reply and bytes:sub(1, 2) .. reply:sub(3), query
end

---------------------------------------------------------------------------------------------------
-- the clients

local function serve_datagram(socket, bytes, client)
  local reply, query = answer(bytes)
  if reply and #reply > LARGEST_DATAGRAM and query then reply = dnswire.bare_answer(query, 0, true) end
  if reply then socket:send_to(reply, client) end
end

local function serve_udp(socket)
  local places = moonpark.semaphore(MOST_TASKS)
  return moonpark.scope(function(scope)
    while true do
      local bytes, client = socket:recv_from(LARGEST_MESSAGE)
      if not bytes and client == "canceled" then return end
      if bytes and places:count() > 0 and places:acquire() then
        scope:go(function()
          serve_datagram(socket, bytes, client)
          places:release()
        end)
      end
    end
  end)
end

local function serve_tcp(conn)
  conn:set_timeout(PATIENCE)
  for bytes in read_message, conn do
    local reply = answer(bytes)
    if not reply or not write_message(conn, reply) then return end
  end
end

---------------------------------------------------------------------------------------------------

local function complain(...)
  io.stderr:write("dns-cache: ", ...)
  io.stderr:write("\n")
  os.exit(1)
end

-- A name in --upstream is looked up once, here, through the system's resolver: that must not use this cache.
local function find_upstream()
  local host, port = options.upstream:match("^%[?(.-)%]?:(%d+)$")
  port = tonumber(port)
  if not port or port < 1 or port > 65535 then return complain("no host:port: ", options.upstream) end
  local addresses, err = net.resolve(host)
  if not addresses then return complain("cannot find ", host, ": ", err) end
  local form = addresses[1]:find(":", 1, true) and "[%s]:%d" or "%s:%d"
  options.upstream = form:format(addresses[1], port)
end

local function main(address)
  local fine, wrong = net.check_address(address)
  if not fine then
    io.stderr:write("dns-cache: ", wrong, "\n")
    os.exit(2)
  end
  find_upstream()
  local listener, err = net.listen(address)
  if not listener then return complain("cannot listen on ", address, ": ", err) end
  local socket
  socket, err = net.packet("udp:" .. listener:address())
  if not socket then return complain("cannot receive at ", listener:address(), ": ", err) end
  print("listening on " .. listener:address())
  io.stdout:flush()
  moonpark.go(serve_udp, socket)
  listener:serve(serve_tcp)
end

local function read_arguments()
  local address, i = "127.0.0.1:5300", 1
  while arg[i] do
    local name = arg[i]:match("^%-%-(%a+)$")
    if not name then address = arg[i]
    else
      if not known[name] then return complain("unknown option --", name, "; see --help") end
      i = i + 1
      options[name] = name == "upstream" and arg[i] or tonumber(arg[i])
      if not options[name] then return complain("no value for --", name, "; see --help") end
    end
    i = i + 1
  end
  if not options.upstream then return complain("--upstream is missing; see --help") end
  local seconds, entries = options.timeout, options.entries
  if not (seconds > 0 and seconds < math.huge) then
    return complain("--timeout must be a positive number of seconds")
  end
  if not (entries >= 0 and entries < math.huge and entries % 1 == 0) then
    complain("--entries must be a whole number of at least 0")
  end
  return address
end

if arg[1] == "--help" then return print(USAGE) end
moonpark.run(main, read_arguments())

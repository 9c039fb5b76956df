-- SPDX-License-Identifier: MIT
-- http_proxy.lua - a handler that passes requests on to another server, and its answers back.
--
-- The core writes both heads straight from the bytes of what was received, without hop-by-hop fields and with a framing
-- of its own. A body that is small and here goes with its head; any other streams, both ways at once, as fast as the
-- slower side takes it. A connection to the target is kept as soon as its answer is over.

local core = require "moonpark.core"
local http_fields = require "moonpark.http_fields"
local http_files = require "moonpark.http_files"
local http_passage = require "moonpark.http_passage"
local http_pool = require "moonpark.http_pool"
local net = require "moonpark.net"
local check_options = require("moonpark.options").check
local task = require "moonpark.task"
local url = require "moonpark.url"

local M = {}

local forward_request, forward_response = core.http_forward_request, core.http_forward_response
local expectation = core.http_forward_expectation

local SMALL = 16384 -- bytes of a request's body that are sent with its head
local HEAD_MAX = 65536
local INTERIM_MAX = 32 -- responses before the one: a target that sends only these would keep us for ever
local ALL_INTERIM = 2

local forwarded_modes = { [false] = 0, x = 1, standard = 2 }

local known = {
  host = "string", forwarded = { function(value) return forwarded_modes[value] ~= nil end,
    'must be "x", "standard" or false' },
  connect_timeout = "seconds", io_timeout = "seconds", max_connections = "positive", max_idle = "count",
  idle_timeout = "seconds", upgrade = "boolean|table", via = "string|boolean", on_error = "function",
}

local methods = "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS" -- of an OPTIONS that must not reach the target

-- Requests that may be sent again where their connection turns out to be dead (RFC 9110 9.2.2).
local idempotent = { GET = true, HEAD = true, OPTIONS = true, TRACE = true, PUT = true, DELETE = true }
local stale = { ["eof"] = true, ["connection reset by peer"] = true, ["broken pipe"] = true }

local statuses = { timeout = 504 } -- others are 502

---@class moonpark.http.proxy
---@field pool moonpark.http.pool
---@field place table
---@field address string
---@field prefix string the target's own path, without a "/" at its end
---@field host string|nil what the target is told; nil: what the client has said
---@field forwarded integer
---@field upgrades table<string, true> protocols that may be switched to
---@field via string|nil how the target is told of the proxy
local Proxy = {}
Proxy.__index = Proxy

---@class moonpark.http.proxy.use what a request has of the pool
---@field entry moonpark.http.pool.entry|false

local function drop(self, use)
  local entry = use.entry
  use.entry = false
  if entry then self.pool:drop(entry) end
end

local function connect(self, use)
  local entry = self.pool:reserve(self.place)
  use.entry = entry
  local conn, err, errno = net.dial(self.address, { timeout = self.connect_timeout })
  if not conn then
    drop(self, use)
    return nil, err, errno
  end
  entry.conn = conn
  conn:set_timeout(self.io_timeout)
  return entry
end

local function release(self, use, broken)
  local entry = use.entry
  if broken or not entry.reader:is_reusable(entry.conn) then return drop(self, use) end
  self.pool:put(entry)
  use.entry = false -- not before: put may raise
end

local function log(self, req, res, text)
  local write = self.on_error or http_files.logs[res.x]
  if write then write(("%s %s: %s"):format(req.method, req.raw_path, text)) end
end

-- The target has failed: the client is told, or cut off where its answer has begun.
local function refuse(self, req, res, err)
  if err == "canceled" then return end -- the server knows why, and settles it
  if res.x:phase(res.serial) ~= "unsent" then
    log(self, req, res, ("the answer of %s was cut off: %s"):format(self.address, err))
    return res.x:abort(res.serial)
  end
  if self.on_error then log(self, req, res, err) end
  return res:fail(statuses[err] or 502)
end

---------------------------------------------------------------------------------------------------
-- requests with a body that streams

-- The timeout is set for each write, as reads of the answer, which may take longer, are under way beside it.
local function send_pieces(self, req, conn, chunked)
  local x, serial = req.x, req.serial
  while true do
    local data, err = x:read(serial)
    if not data and err ~= "eof" then
      rawset(req, "body_error", err)
      return nil, err, true
    end
    conn:set_timeout(self.io_timeout)
    if not data then return not chunked or conn:write("0\r\n\r\n") end
    local ok
    if chunked then ok, err = conn:write(("%x\r\n"):format(#data), data, "\r\n") else ok, err = conn:write(data) end
    if not ok then return nil, err end
  end
end

---------------------------------------------------------------------------------------------------
-- answers

local function relay(client, target, head)
  target:set_timeout(nil)
  if client:write(head) then net.relay(client, target) end
end

-- The client's connection and the target's speak another protocol from here on.
local function switch(self, req, res, use, asked)
  local entry = use.entry
  if not http_passage.switches_to(http_fields.received(entry.reader:fields()), asked) then
    drop(self, use)
    return refuse(self, req, res, "malformed message")
  end
  local head = core.http_forward_upgrade(entry.reader)
  local client, target = req:hijack(), entry.conn
  if not client then return res:fail(502) end -- should he still be there
  self.pool:give_away()
  use.entry = false
  local done, wrong = pcall(relay, client, target, head)
  client:close()
  target:close()
  if not done then error(wrong, 0) end
end

-- The body, as fast as the client takes it. true; nil, err and whose fault it is. While `up`, the request's body, is on
-- its way, the target may be silent for as long as it likes: send_up ends that.
local function send_body(self, res, entry, up)
  local x, serial, reader, conn = res.x, res.serial, entry.reader, entry.conn
  while true do
    if up then conn:set_timeout(up.done and self.io_timeout or nil) end
    local data, err = reader:read(conn)
    if up and up.done and data then
      conn:set_read_deadline(nil)
      up = nil
      conn:set_timeout(self.io_timeout)
    end
    if not data then
      if err == "eof" then return x:finish(serial) end
      return nil, err
    end
    local ok
    ok, err = x:write(serial, data)
    if not ok then return nil, err, true end
  end
end

-- The head that the target has sent, and what follows it; then the entry is released. `up`: a body that may still be
-- on its way up, and then nothing can follow it.
local function answer(self, req, res, use, status, up, asked)
  if status == 101 then return switch(self, req, res, use, asked) end
  local entry = use.entry
  local whole, err = forward_response(req.x, req.serial, entry.reader, entry.conn)
  if whole then return release(self, use, up and not up.ok) end
  local clients
  if whole == false then whole, err, clients = send_body(self, res, entry, up) end
  release(self, use, not whole or (up and not up.ok))
  if whole or clients then return end -- who is gone needs no answer
  return refuse(self, req, res, err)
end

---------------------------------------------------------------------------------------------------
-- one exchange

-- An entry, which is in use; nil, err.
local function take(self, use, sure)
  local entry = self.pool:take(self.place, sure)
  if not entry then return connect(self, use) end
  use.entry = entry
  return entry
end

-- The head that the target is sent; nil: the client has his answer. length: of a body that is here.
local function head_of(self, req, res, asked, length, waits)
  local head, err = forward_request(req.x, req.serial, self.writer, self.prefix, req.raw_path, self.forwarded,
    self.host, self.via, asked, length, waits, http_passage.forwards_left(req))
  if head then return head end
  if err == "malformed message" then res:fail(400) else refuse(self, req, res, err) end
  return nil
end

-- The status of the answer, or nil, err. What comes before it goes to the client.
local function read_head(req, entry)
  local reader, conn = entry.reader, entry.conn
  for i = 1, INTERIM_MAX do
    local status, err = reader:head(conn, req.method == "HEAD", HEAD_MAX, ALL_INTERIM)
    if not status then return nil, i > 1 and err == "eof" and "unexpected eof" or err end
    if status >= 200 or status == 101 then return status end
    local ok, why = core.http_forward_interim(req.x, req.serial, reader)
    if not ok then return nil, why end
  end
  return nil, "malformed message"
end

-- A status, or nil, err.
local function exchange(req, entry, head, body)
  local conn = entry.conn
  local ok, err
  if body then ok, err = conn:write(head, body) else ok, err = conn:write(head) end
  if not ok then return nil, err end
  return read_head(req, entry)
end

-- Without a body, or with one that is here: one write, one answer. Once more where a kept connection was dead.
local function pass_small(self, req, res, use, asked, body, length)
  local head = head_of(self, req, res, asked, length)
  if not head then return end
  local repeatable = not asked and idempotent[req.method]
  local entry, err = take(self, use, not repeatable)
  while entry do
    local status
    status, err = exchange(req, entry, head, body)
    if status and (status ~= 101 or asked) then return answer(self, req, res, use, status, nil, asked) end
    local used = entry.used
    drop(self, use)
    if not (used and repeatable and stale[err]) then break end
    entry, err = connect(self, use)
  end
  return refuse(self, req, res, err or "malformed message")
end

-- Sends the body. A target that refuses more of it may have said why, so that is waited for.
local function send_up(self, req, conn, chunked, up)
  up.ok, up.err, up.clients = send_pieces(self, req, conn, chunked)
  up.done = true
  if up.clients or up.err == "timeout" then
    conn:close() -- nobody answers half a request
  elseif not conn:set_read_deadline(core.now() + self.io_timeout) then
    conn:close() -- nothing would end the wait
  end
end

-- While the body goes up, the answer may come down already; it is late only when the body has been there for too long.
local function both_ways(self, req, res, use, chunked)
  local up, entry = {}, use.entry
  local conn = entry.conn
  return task.scope(function(scope)
    conn:set_timeout(nil)
    local sender = scope:go(send_up, self, req, conn, chunked, up)
    local status, err = read_head(req, entry)
    if status and status ~= 101 then
      answer(self, req, res, use, status, up)
    else
      drop(self, use)
      if not up.clients then refuse(self, req, res, up.err == "timeout" and up.err or err or "malformed message") end
    end
    sender:cancel()
  end)
end

local function pass_streaming(self, req, res, use, chunked, waits)
  local head = head_of(self, req, res, nil, nil, waits)
  if not head then return end
  local entry, err = take(self, use, true)
  if not entry then return refuse(self, req, res, err) end
  local ok
  ok, err = entry.conn:write(head)
  if not ok then
    drop(self, use)
    return refuse(self, req, res, err)
  end
  return both_ways(self, req, res, use, chunked)
end

local function pass(self, req, res, use)
  local x, serial = req.x, req.serial
  local waits, upgrades = expectation(x, serial)
  local asked = upgrades and http_passage.protocols(req, self.upgrades) or nil
  local framing, announced, over, taken = x:framing(serial)
  if framing == "none" then return pass_small(self, req, res, use, asked) end
  local body, err = http_passage.held_body(req, taken)
  if body then return pass_small(self, req, res, use, asked, body, #body) end
  if err then return nil end -- the server answers that
  if waits or framing ~= "length" or announced > SMALL then
    return pass_streaming(self, req, res, use, framing == "chunks", waits)
  end
  if not over then
    body, err = x:whole(serial, announced)
    if not body then return rawset(req, "body_error", err) end
  end
  return pass_small(self, req, res, use, asked, body)
end

-- What must not reach the target -> has the client its answer?
local function keep_out(req, res)
  if req.method == "CONNECT" then return true, res:fail(501) end
  if http_passage.steps(req.raw_path) then return true, res:fail(400) end
  if http_passage.forwards_left(req) ~= -1 then return false end
  res:set("Allow", methods)
  if req.method == "TRACE" then return true, res:fail(405) end
  return true, res:send ""
end

--- Passes one request on.
---@param req moonpark.http.request
---@param res moonpark.http.response
function Proxy:handle(req, res)
  if keep_out(req, res) then return end
  local pool, place, use = self.pool, self.place, { entry = false }
  local ok, err = pool:enter(place, nil)
  if not ok then return refuse(self, req, res, err) end
  local done, wrong = pcall(pass, self, req, res, use)
  drop(self, use) -- what is still in use: an answer is cut off, or there is no memory
  pool:leave(place)
  if not done then error(wrong, 0) end
end

--- The same, where a handler is a function.
Proxy.__call = Proxy.handle

--- Closes connections to the target that wait for another request.
function Proxy:close() self.pool:close() end

---------------------------------------------------------------------------------------------------

-- The protocols that may be switched to, in lower case.
local function upgrades_of(given)
  if given == false then return {} end
  if given == nil or given == true then return { websocket = true } end
  local upgrades = {}
  for _, name in ipairs(given) do
    if type(name) ~= "string" or not name:find("^[%w!#$%%&'*+%-.^_`|~/]+$") then
      error("http.proxy: option 'upgrade' must be a list of protocols, as \"websocket\"", 3)
    end
    upgrades[name:lower()] = true
  end
  return upgrades
end

local function via_of(given)
  if given == false then return nil end
  if given == nil or given == true then return "moonpark" end
  if not given:find("^[%w!#$%%&'*+%-.^_`|~:]+$") then
    error("http.proxy: option 'via' must be a name or host:port", 3)
  end
  return given
end

local function check_address(address)
  local fine, wrong = net.check_address(address)
  if not fine then error("http.proxy: " .. wrong, 4) end
  return address
end

local function target_of(target)
  if target:find("^unix:") then return check_address(target), "localhost", "" end
  local parts, wrong = url.parse(target:find("://", 1, true) and target or "http://" .. target)
  if not parts then error("http.proxy: " .. wrong, 3) end
  if parts.scheme ~= "http" then error("http.proxy: " .. parts.scheme .. " is not supported yet", 3) end
  if parts.path:find("?", 1, true) then error("http.proxy: a target has no query", 3) end
  return check_address(parts.address), parts.authority, (parts.path:gsub("/+$", ""))
end

--- A handler that passes requests on to the target; http.serve(http.proxy("http://127.0.0.1:8000"), ...).
---
--- options: host: what the target is told ("preserve": what the client has said; else the target's own name);
--- forwarded: "x" (X-Forwarded-For, -Host and -Proto), "standard" (Forwarded, RFC 7239), false; connect_timeout: 10;
--- io_timeout: 60, for each read and write; max_connections; max_idle: 256; idle_timeout: 60; upgrade: names of
--- protocols that may be switched to, {"websocket"}, or false; via: its name in the Via field, "moonpark", or false;
--- on_error(text): hears why the target could not answer.
---@param target string "http://host:port", "host:port", "http://host/path", "unix:/path"
---@param options? table
---@return moonpark.http.proxy
function M.new(target, options)
  options = check_options("http.proxy", options, known)
  local address, authority, prefix = target_of(target)
  local pool = http_pool.new { max_connections = options.max_connections, max_idle = options.max_idle or 256,
    max_idle_per_host = options.max_idle or 256, idle_timeout = options.idle_timeout }
  local host = options.host or authority
  local mode = forwarded_modes[options.forwarded == nil and "x" or options.forwarded]
  if host == "preserve" then host = nil end
  if host and host:find("[^%w%.%-:%[%]_~%%]") then error("http.proxy: invalid host '" .. host .. "'", 2) end
  return setmetatable({ pool = pool, place = pool:place("target"), address = address, prefix = prefix, host = host,
    forwarded = mode, connect_timeout = options.connect_timeout or 10, io_timeout = options.io_timeout or 60,
    upgrades = upgrades_of(options.upgrade), via = via_of(options.via), writer = core.http_reader(),
    on_error = options.on_error }, Proxy)
end

return M

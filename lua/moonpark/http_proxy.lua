-- SPDX-License-Identifier: MIT
-- http_proxy.lua - a handler that passes requests on to another server, and its answers back.
--
-- The core writes both heads straight from the bytes of what was received, without hop-by-hop fields and with a framing
-- of its own. A body that is small and here goes with its head; any other streams, both ways at once, as fast as the
-- slower side takes it. A connection to the target is kept as soon as its answer is over.

local core = require "moonpark.core"
local http_pool = require "moonpark.http_pool"
local net = require "moonpark.net"
local task = require "moonpark.task"
local url = require "moonpark.url"

local M = {}

local forward_request, forward_response = core.http_forward_request, core.http_forward_response

local SMALL = 16384 -- bytes of a request's body that are sent with its head
local HEAD_MAX = 65536

local forwarded_modes = { [false] = 0, x = 1, standard = 2 }

local known = {
  host = "string", forwarded = false, connect_timeout = "number", io_timeout = "number", max_connections = "number",
  max_idle = "number", idle_timeout = "number", upgrade = "boolean", on_error = "function",
}

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

-- The target has failed: the client is told, where nothing was sent to him yet.
local function refuse(self, req, res, err)
  if err == "canceled" then return end -- the server knows why, and settles it
  if self.on_error then self.on_error(("%s %s: %s"):format(req.method, req.raw_path, err)) end
  if res.x:phase(res.serial) == "unsent" then
    return res:fail(statuses[err] or 502)
  end
  error("the answer of " .. self.address .. " was cut off: " .. err, 0) -- so that the client's is cut off too
end

---------------------------------------------------------------------------------------------------
-- requests with a body that streams

local function send_pieces(req, conn, chunked)
  local x, serial = req.x, req.serial
  while true do
    local data, err = x:read(serial)
    if not data then
      if err ~= "eof" then
        rawset(req, "body_error", err)
        return nil, err, true
      end
      return not chunked or conn:write("0\r\n\r\n")
    end
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
local function switch(self, req, res, use)
  local entry = use.entry
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

-- The body, as fast as the client takes it. true; nil, err and whose fault it is.
local function send_body(res, entry)
  local x, serial, reader, conn = res.x, res.serial, entry.reader, entry.conn
  while true do
    local data, err = reader:read(conn)
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
local function answer(self, req, res, use, status, up)
  if status == 101 then return switch(self, req, res, use) end
  local entry = use.entry
  local whole, err = forward_response(req.x, req.serial, entry.reader, entry.conn)
  if whole then return release(self, use, up and not up.ok) end
  local clients
  if whole == false then whole, err, clients = send_body(res, entry) end
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

-- The head that the target is sent, and whether it asks for another protocol; nil: the client has his answer.
local function head_of(self, req, res, upgrade)
  local head, asks = forward_request(req.x, req.serial, self.writer, self.prefix, self.host, self.forwarded, upgrade)
  if head then return head, asks end
  if asks == "malformed message" then res:fail(400) else refuse(self, req, res, asks) end
  return nil
end

-- A status, or nil, err.
local function exchange(entry, head, body, to_head)
  local reader, conn = entry.reader, entry.conn
  local ok, err
  if body then ok, err = conn:write(head, body) else ok, err = conn:write(head) end
  if not ok then return nil, err end
  return reader:head(conn, to_head, HEAD_MAX)
end

-- Without a body, or with one that is here: one write, one answer. Once more where a kept connection was dead.
local function pass_small(self, req, res, use)
  local method, body = req.method, nil
  local _, announced, over = req.x:framing(req.serial)
  if not over then
    local why
    body, why = req.x:whole(req.serial, announced)
    if not body then return rawset(req, "body_error", why) end -- the server answers that
  end
  local head, upgrade = head_of(self, req, res, self.upgrade)
  if not head then return end
  local repeatable = not upgrade and idempotent[method]
  local entry, err = take(self, use, not repeatable)
  while entry do
    local status
    status, err = exchange(entry, head, body, method == "HEAD")
    if status and (status ~= 101 or upgrade) then return answer(self, req, res, use, status) end
    local used = entry.used
    drop(self, use)
    if not (used and repeatable and stale[err]) then break end
    entry, err = connect(self, use)
  end
  return refuse(self, req, res, err or "malformed message")
end

-- Sends the body. A target that refuses more of it may have said why, so that is waited for.
local function send_up(self, req, conn, chunked, up)
  conn:set_timeout(self.io_timeout)
  up.ok, up.err, up.clients = send_pieces(req, conn, chunked)
  if up.clients or up.err == "timeout" then
    conn:close() -- nobody answers half a request
  elseif not up.answered and not conn:set_read_deadline(core.now() + self.io_timeout) then
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
    local status, err = entry.reader:head(conn, req.method == "HEAD", HEAD_MAX)
    up.answered = true
    conn:set_timeout(self.io_timeout)
    if status and status ~= 101 and conn:set_read_deadline(nil) then
      answer(self, req, res, use, status, up)
    else
      drop(self, use)
      if not up.clients then refuse(self, req, res, up.err == "timeout" and up.err or err or "malformed message") end
    end
    sender:cancel()
  end)
end

local function pass_streaming(self, req, res, use, framing)
  local head = head_of(self, req, res, false)
  if not head then return end
  local ok
  local entry, err = take(self, use, true)
  if not entry then return refuse(self, req, res, err) end
  ok, err = entry.conn:write(head)
  if not ok then
    drop(self, use)
    return refuse(self, req, res, err)
  end
  return both_ways(self, req, res, use, framing == "chunks")
end

local function pass(self, req, res, use)
  local framing, announced, over = req.x:framing(req.serial)
  if over or (framing == "length" and announced <= SMALL) then
    return pass_small(self, req, res, use)
  end
  return pass_streaming(self, req, res, use, framing)
end

--- Passes one request on.
---@param req moonpark.http.request
---@param res moonpark.http.response
function Proxy:handle(req, res)
  if req.method == "CONNECT" then return res:fail(501) end
  local pool, place, use = self.pool, self.place, { entry = false }
  local ok, err = pool:enter(place, nil)
  if not ok then return refuse(self, req, res, err) end
  local done, wrong = pcall(pass, self, req, res, use)
  drop(self, use) -- what is still in use: an answer is cut off, or there is no memory
  pool:leave(place)
  if not done then error(wrong, 0) end
end

--- Closes connections to the target that wait for another request.
function Proxy:close() self.pool:close() end

---------------------------------------------------------------------------------------------------

local function check_options(options)
  for name, value in pairs(options) do
    local kind = known[name]
    if kind == nil then error(("http.proxy: unknown option '%s'"):format(tostring(name)), 3) end
    if kind and type(value) ~= kind then
      error(("http.proxy: option '%s' must be a %s, not a %s"):format(name, kind, type(value)), 3)
    end
  end
  if options.forwarded ~= nil and not forwarded_modes[options.forwarded] then
    error("http.proxy: option 'forwarded' must be \"x\", \"standard\" or false", 3)
  end
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
--- io_timeout: 60, for each read and write; max_connections; max_idle: 256; idle_timeout: 60; upgrade: false keeps
--- WebSockets out; on_error(text): hears why the target could not answer.
---@param target string "http://host:port", "host:port", "http://host/path", "unix:/path"
---@param options? table
---@return moonpark.http.proxy
function M.new(target, options)
  options = options or {}
  check_options(options)
  local address, authority, prefix = target_of(target)
  local pool = http_pool.new { max_connections = options.max_connections, max_idle = options.max_idle or 256,
    max_idle_per_host = options.max_idle or 256, idle_timeout = options.idle_timeout }
  local host = options.host or authority
  local mode = forwarded_modes[options.forwarded == nil and "x" or options.forwarded]
  if host == "preserve" then host = nil end
  if host and host:find("[^%w%.%-:%[%]_~%%]") then error("http.proxy: invalid host '" .. host .. "'", 2) end
  return setmetatable({ pool = pool, place = pool:place("target"), address = address, prefix = prefix, host = host,
    forwarded = mode, connect_timeout = options.connect_timeout or 10, io_timeout = options.io_timeout or 60,
    upgrade = options.upgrade ~= false, writer = core.http_reader(), on_error = options.on_error }, Proxy)
end

return M

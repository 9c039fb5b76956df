-- SPDX-License-Identifier: MIT
-- proxy.lua - a handler that forwards requests to another server, and its responses back.
--
-- The core writes both heads straight from the received bytes, without hop-by-hop fields and with framing of its own.
-- A small body that has arrived is sent with its head; other bodies are streamed, both ways at once, as fast as the
-- slower side takes them. A connection to the target returns to the pool as soon as its response is over.

local core = require "moonpark.core"
local file_response = require "moonpark.http.file_response"
local http_pool = require "moonpark.http.pool"
local max_forwards = require "moonpark.http.max_forwards"
local upstream = require "moonpark.http.upstream"
local check_options = require("moonpark.options").check
local raise_outside = require "moonpark.outside"
local net = require "moonpark.net"
local task = require "moonpark.task"
local tls = require "moonpark.tls.conn"
local url = require "moonpark.url"

local M = {}

local forward_request, forward_response = core.http_forward_request, core.http_forward_response

local SMALL = 16384 -- bytes of a request's body that are sent with its head
local PIECE = 65536 -- bytes of a longer one that is held, at a time
local INTERIM_MAX = 32 -- a target that sends only these would keep us for ever

local GAP = "http.proxy: part of the body was already read; only a body kept by req:body() can still be forwarded"

local forwarded_modes = { [false] = 0, x = 1, standard = 2 }

-- The protocols that may follow an Upgrade, as a list for the core; nil: that is no such option.
local function protocols_of(option)
  if option == nil or option == true then return "websocket" end
  if option == false then return false end
  if type(option) == "string" then option = { option } end
  if type(option) ~= "table" or #option == 0 then return nil end
  for _, name in ipairs(option) do
    if type(name) ~= "string" or not name:find("^[%w!#$%%&'*+%-.^_`|~/]+$") then return nil end
  end
  return table.concat(option, ",")
end

local known = {
  host = { function(value) return type(value) == "string" and value:find("^[%w%.%-:%[%]_~%%]+$") ~= nil end,
    "must be the name of a host, or 'preserve'" },
  tls = tls.client, connect_timeout = "seconds", io_timeout = "seconds", max_connections = "positive",
  max_idle = "count", idle_timeout = "seconds", on_error = "function",
  forwarded = { function(value) return forwarded_modes[value] ~= nil end, 'must be "x", "standard" or false' },
  upgrade = { function(value) return protocols_of(value) ~= nil end,
    "must be true, false, a protocol's name or a list of them" },
  via = { function(value) return value == false or type(value) == "string" and value:find("^[%w%-._~]+$") ~= nil end,
    "must be a name or false" },
}

local statuses = { timeout = 504 } -- others are 502

---@class moonpark.http.proxy
---@field pool moonpark.http.pool
---@field place table
---@field route table see http/proxies.lua
---@field prefix string the target's own path, without a "/" at its end
---@field host string|nil what the target is told; nil: what the client has said
---@field forwarded integer
---@field upgrade string|false the protocols that may pass
---@field via string|false what the proxy is called there
local Proxy = {}
Proxy.__index = Proxy

local drop = upstream.drop

local function connect(self, use)
  local entry, err, errno = upstream.connect(use, self.route, self.connect_timeout)
  if entry then entry.conn:set_timeout(self.io_timeout) end
  return entry, err, errno
end

-- A line for whoever hears errors: on_error, else the server's log.
local function note(self, req, res, text)
  local write = self.on_error or file_response.logs[res.x]
  if write then write(("%s %s: %s"):format(req.method, req.raw_path, text)) end
end

-- The target has failed, and the client was told nothing yet.
local function refuse(self, req, res, err)
  if err == "canceled" then return end -- the server knows why, and settles it
  if self.on_error then note(self, req, res, err) end
  return res:fail(statuses[err] or 502)
end

-- What has begun cannot be completed: the client sees that.
local function cut(self, req, res, text)
  if core.http_forward_cut(res.x, res.serial) and text then note(self, req, res, text) end
end

---------------------------------------------------------------------------------------------------
-- a body that streams up, beside an answer that may come down
--
-- While it is on its way, the target may be silent for as long as that takes: the time of its silence begins when all
-- of the body is there. So reads have a deadline that moves, and writes one each.

---@class moonpark.http.proxy.upload
---@field held string|nil the body, where somebody has read it before; else it is read as it comes
---@field length integer|true bytes of it; true: nobody knows
---@field sent integer bytes of it so far
---@field ended boolean|nil nothing more is sent
---@field ok boolean|nil all of it was sent
---@field err string|nil
---@field clients boolean|nil it was the client who failed
---@field waits boolean|nil the client has not sent anything yet: the target is to say whether he may

local function deadline(self) return core.now() + self.io_timeout end

-- Before each read of the answer.
local function watch(self, conn, up)
  if up then conn:set_read_deadline((up.ended or up.waits) and deadline(self) or nil) end
end

-- No data: the body's end.
local function send_piece(self, entry, data)
  local reader, conn = entry.reader, entry.conn
  conn:set_write_deadline(deadline(self))
  local ok, err
  if data then ok, err = reader:send(conn, data) else ok, err = reader:finish(conn) end
  return ok, err
end

-- The server answers that. res has the request itself: a table may stand before it.
local function spoil(res, err) res.request.body_error = err end

-- The client no longer waits: he was told to go on, or did not care.
local function go_on(conn, up)
  if up.waits and conn:set_read_deadline(nil) then up.waits = false end
end

local function held_piece(up)
  local from = up.sent
  if from >= #up.held then return nil, "eof" end
  up.sent = from + PIECE
  return up.held:sub(from + 1, up.sent)
end

-- nil, "eof" at its end; nil, err: the client's side has failed.
local function next_piece(req, res, up)
  if up.held then return held_piece(up) end
  local x, serial = req.x, req.serial
  local data, err = x:read(serial)
  if not data and err ~= "eof" then
    spoil(res, err)
    return nil, err
  end
  up.sent = up.sent + (data and #data or 0)
  if core.http_forward_body(x, serial) ~= up.sent then return nil, GAP end
  return data, err
end

-- true; nil, err and whether it was the client's side that has failed.
local function send_pieces(self, req, res, entry, up)
  while true do
    local data, err = next_piece(req, res, up)
    if not data and err ~= "eof" then return nil, err, true end
    go_on(entry.conn, up)
    local ok
    ok, err = send_piece(self, entry, data)
    if not data or not ok then return ok, err end
  end
end

-- A target that refuses more of the body may have said why, so that is waited for.
local function send_up(self, req, res, entry, up)
  up.ok, up.err, up.clients = send_pieces(self, req, res, entry, up)
  up.ended = true
  if up.clients or up.err == "timeout" then
    entry.conn:close() -- nobody answers half a request
  elseif not entry.conn:set_read_deadline(deadline(self)) then
    entry.conn:close() -- nothing would end the wait
  end
end

---------------------------------------------------------------------------------------------------
-- answers

local function relay(client, target, head)
  target:set_timeout(nil)
  if client:write(head) then net.relay(client, target) end
end

-- The client's connection and the target's speak another protocol from here on, one of those that were asked for.
local function switch(self, req, res, use, asked)
  local entry = use.entry
  local head, err = core.http_forward_upgrade(entry.reader, asked, self.writer)
  if not head then
    drop(use)
    return refuse(self, req, res, err)
  end
  local client, target = req:hijack(), entry.conn
  if not client then return res:fail(502) end -- should he still be there
  upstream.give_away(use)
  local done, wrong = pcall(relay, client, target, head)
  client:close()
  target:close()
  if not done then error(wrong, 0) end
end

-- The body, as fast as the client takes it. true; nil, err and whether it was the client's fault.
local function send_body(self, res, entry, up)
  local x, serial, reader, conn = res.x, res.serial, entry.reader, entry.conn
  while true do
    watch(self, conn, up)
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

-- Why an exchange has ended in the middle, for the log. nil: the client has left, or the server closes.
local function reason(self, req, err, clients, up)
  if up and up.err == GAP then return GAP end
  if up and up.clients and up.err ~= "canceled" then return "the client's body was cut off: " .. up.err end
  if req:is_gone() then return nil end
  if err == "canceled" then return "the response was cut off: canceled" end -- its time was up, for one
  if up and up.err == "timeout" then return "the target did not read the body: timeout" end
  if clients then return "the client did not read the response: " .. err end
  return ("the response from %s was cut off: %s"):format(self.route.address, err)
end

-- The head that the target has sent, and what follows it; then the entry is released. `up`: a body that may still be
-- on its way up, and then nothing can follow it.
local function answer(self, req, res, use, up)
  local entry = use.entry
  local whole, err = forward_response(req.x, req.serial, entry.reader, entry.conn)
  if whole == nil then
    drop(use)
    return refuse(self, req, res, err)
  end
  local clients
  if not whole then whole, err, clients = send_body(self, res, entry, up) end
  if up and up.ok then
    entry.conn:set_deadline(nil)
    entry.conn:set_timeout(self.io_timeout)
  end
  upstream.put_back(use, not whole or (up and not up.ok))
  if not whole then cut(self, req, res, reason(self, req, err, clients, up)) end
end

---------------------------------------------------------------------------------------------------
-- one exchange

-- An entry, which is in use; nil, err.
local function take(self, use, sure)
  local entry = upstream.take(use, sure)
  if not entry then return connect(self, use) end
  return entry
end

-- The head that the target is sent, the protocols that it asks for, and its method, which is the client's: scripts may
-- have given the request another one. nil: the client has his answer.
local function head_of(self, req, res, held, upgrade)
  local head, asks, method = forward_request(req.x, req.serial, self.writer, req.raw_path, held, max_forwards.left(req),
    self.prefix, self.host, self.forwarded, upgrade, self.via)
  if head then return head, asks, method end
  if asks == "malformed message" then res:fail(400) else refuse(self, req, res, asks) end
  return nil
end

-- The status of the answer; interim ones go on to the client. nil, err, and whether the target has begun to answer.
local function status_of(self, res, entry, method, up)
  local reader, conn, to_head = entry.reader, entry.conn, method == "HEAD"
  for count = 0, INTERIM_MAX do
    local status, err = reader:head(conn, to_head, upstream.HEAD_MAX, false, true)
    if not status then
      local begun = count > 0 or upstream.has_begun(entry, err)
      return nil, begun and err == "eof" and "unexpected eof" or err, begun
    end
    if status >= 200 or status == 101 then return status end
    local ok
    ok, err = core.http_forward_interim(res.x, res.serial, reader)
    if not ok then return nil, err, true end
    if up and status == 100 then up.waits = false end
    watch(self, conn, up)
  end
  return nil, "malformed message", true
end

-- A status, or nil, err.
local function exchange(self, res, entry, method, head, body)
  local ok, err = entry.reader:begin(entry.conn, head, body and #body, body)
  if not ok then return nil, err end
  return status_of(self, res, entry, method)
end

-- Without a body, or with one that is here: one write, one answer. Once more where a kept connection was dead.
local function pass_small(self, req, res, use, body)
  local head, asked, method = head_of(self, req, res, body, self.upgrade)
  if not head then return end
  local repeatable = not asked and upstream.idempotent[method]
  local entry, err = take(self, use, not repeatable)
  while entry do
    local status, begun
    status, err, begun = exchange(self, res, entry, method, head, body)
    if status == 101 and asked then return switch(self, req, res, use, asked) end
    if status and status ~= 101 then return answer(self, req, res, use) end
    local kept = drop(use)
    if begun or not repeatable or not upstream.was_dead(kept, err) then break end
    entry, err = connect(self, use)
  end
  return refuse(self, req, res, err or "malformed message")
end

-- No answer has come. A client whose body was malformed or cut off is answered by the server.
local function unanswered(self, req, res, up, err)
  if up.err == GAP then error(GAP, 0) end
  if not up.clients then return refuse(self, req, res, up.err == "timeout" and up.err or err) end
  local why = reason(self, req, err, true, up)
  if why then note(self, req, res, why) end
end

-- While the body goes up, the answer may come down already; it is late only when the body has been there for too long.
local function both_ways(self, req, res, use, method, up)
  local entry = use.entry
  local conn = entry.conn
  return task.scope(function(scope)
    conn:set_timeout(nil)
    watch(self, conn, up)
    local sender = scope:go(send_up, self, req, res, entry, up)
    local status, err = status_of(self, res, entry, method, up)
    if status and status ~= 101 then
      answer(self, req, res, use, up)
    else
      drop(use)
      unanswered(self, req, res, up, err or "malformed message")
    end
    sender:cancel()
  end)
end

local function pass_streaming(self, req, res, use, up)
  local head, _, method = head_of(self, req, res, up.held, false)
  if not head then return end
  local entry, err = take(self, use, true)
  if not entry then return refuse(self, req, res, err) end
  local ok
  ok, err = entry.reader:begin(entry.conn, head, up.length)
  if not ok then
    drop(use)
    return refuse(self, req, res, err)
  end
  return both_ways(self, req, res, use, method, up)
end

-- Some of the body is gone.
local function has_gap(req, res)
  local why = req.body_error
  if not why then error(GAP, 0) end
  return spoil(res, why)
end

local function pass_held(self, req, res, use, held)
  if #held <= SMALL then return pass_small(self, req, res, use, held) end
  return pass_streaming(self, req, res, use, { held = held, length = #held, sent = 0, waits = false })
end

local function pass_whole(self, req, res, use, length)
  local body, why = req.x:whole(req.serial, length)
  if not body then return spoil(res, why) end
  if #body < length then return has_gap(req, res) end
  return pass_small(self, req, res, use, body)
end

local function pass(self, req, res, use)
  local x, serial = req.x, req.serial
  local framing, announced, all_read = x:framing(serial)
  if framing == "none" then return pass_small(self, req, res, use, nil) end
  local held = req.whole_body
  if held == false then
    held = req:body(math.huge) -- a task is in the middle of it
    if not held then return spoil(res, req.body_error) end
  end
  if held then return pass_held(self, req, res, use, held) end
  local read, waits = core.http_forward_body(x, serial)
  if read > 0 then return has_gap(req, res) end
  if all_read then return pass_small(self, req, res, use, "") end
  if not waits and framing == "length" and announced <= SMALL then
    return pass_whole(self, req, res, use, announced)
  end
  return pass_streaming(self, req, res, use, { length = announced or true, sent = 0, waits = waits })
end

-- level: of the script, to which an error says that some of the body is gone.
local function handle(self, req, res, level)
  if req.method == "CONNECT" then return res:fail(501) end
  if max_forwards.ends_here(req, res) then return end
  local use = { pool = self.pool, place = self.place, entry = false, entered = false }
  res.request.upstream = self.route.address -- for logs
  local ok, err = upstream.enter(use, nil)
  if not ok then return refuse(self, req, res, err) end
  local done, wrong = pcall(pass, self, req, res, use)
  drop(use) -- what is still in use: an answer is cut off, or there is no memory
  upstream.leave(use)
  core.http_forward_cut(res.x, res.serial) -- whatever becomes of the error: what has begun is not whole
  if not done then error(wrong, wrong == GAP and level + 1 or 0) end
end

-- What the target says could not be passed back: so it is not asked.
local function check_unsent(res)
  if res.x:phase(res.serial) ~= "unsent" then error("response has already been sent", 0) end
end

--- Passes one request on. A path that leads up could leave the one that it was let through for, by whoever calls this.
--- Raises where the response was begun already, and where some of the request's body was read and is not held.
---@param req moonpark.http.request
---@param res moonpark.http.response
function Proxy:handle(req, res)
  raise_outside(pcall(check_unsent, res))
  if core.http_path_climbs(req.raw_path) then return res:fail(400) end
  local ok, err, errno = handle(self, req, res, 2)
  return ok, err, errno -- no tail call: handle() counts levels
end

Proxy.__call = Proxy.handle

--- The handler of a server that has no other: no rule has let a request through that a path could leave. So any path
--- is passed on, unless it would leave the target's own. nil: that is no proxy.
---@param proxy any
---@return (fun(req: moonpark.http.request, res: moonpark.http.response))|nil
function M.alone(proxy)
  if getmetatable(proxy) ~= Proxy or proxy.prefix ~= "" then return nil end
  return function(req, res) return handle(proxy, req, res, 1) end
end

--- Closes connections to the target that wait for another request.
function Proxy:close() self.pool:close() end

---------------------------------------------------------------------------------------------------

local function check_address(address)
  local fine, wrong = net.check_address(address)
  if not fine then error("http.proxy: " .. wrong, 4) end
  return address
end

-- The route, the authority and the path of a target.
local function target_of(target, context)
  if target:find("^unix:") then return { address = check_address(target) }, "localhost", "" end
  local parts, wrong = url.parse(target:find("://", 1, true) and target or "http://" .. target)
  if not parts then error("http.proxy: " .. wrong, 3) end
  if parts.user then error("http.proxy: a target must not have credentials", 3) end -- Authorization is the client's
  if parts.path:find("?", 1, true) then error("http.proxy: a target must not have a query", 3) end
  local route = { address = check_address(parts.address) }
  if parts.scheme == "https" then route.tls, route.name = context or true, parts.host end
  return route, parts.authority, (parts.path:gsub("/+$", ""))
end

--- A handler that passes requests on to the target; http.serve(http.proxy("http://127.0.0.1:8000"), ...).
---
--- options: host: what the target is told ("preserve": what the client has said; else the target's own name);
--- forwarded: "x" (X-Forwarded-For, -Host and -Proto), "standard" (Forwarded, RFC 7239), false; connect_timeout: 10;
--- io_timeout: 60, for each read and write; max_connections; max_idle: 256; idle_timeout: 60; upgrade: the protocols
--- that may follow a request, "websocket", false for none; via: what it is called in Via, "moonpark"; on_error(text):
--- hears why the target could not answer, and what was cut off; tls: a context made by tls.client, for an https target.
---@param target string "http://host:port", "https://host:port", "host:port", "http://host/path", "unix:/path"
---@param options? table
---@return moonpark.http.proxy
function M.new(target, options)
  if type(target) ~= "string" then error("http.proxy: target expected, got " .. type(target), 2) end
  options = check_options("http.proxy", options, known)
  local route, authority, prefix = target_of(target, options.tls)
  local pool = http_pool.new { max_connections = options.max_connections, max_idle = options.max_idle or 256,
    max_idle_per_host = options.max_idle or 256, idle_timeout = options.idle_timeout }
  local host = options.host or authority
  local mode = forwarded_modes[options.forwarded == nil and "x" or options.forwarded]
  if host == "preserve" then host = nil end
  return setmetatable({ pool = pool, place = pool:place("target"), route = route, prefix = prefix, host = host,
    forwarded = mode, connect_timeout = options.connect_timeout or 10, io_timeout = options.io_timeout or 60,
    upgrade = protocols_of(options.upgrade), via = options.via == nil and "moonpark" or options.via,
    writer = core.http_reader(), on_error = options.on_error }, Proxy)
end

return M

-- SPDX-License-Identifier: MIT
-- net.lua - TCP, unix streams and in-memory pairs; datagrams are in packet.lua.
--
-- The methods that wait are the core's; here is what is made of them: options, iterators, serve.

local addresses = require "moonpark.net.addresses"
local core = require "moonpark.core"
local check_options = require("moonpark.options").check
local bind = require "moonpark.net.bind"
local dial = require "moonpark.net.dial"
local failures = require "moonpark.failures"
local inherit = require "moonpark.net.inherit"
local copy = require "moonpark.net.copy"
local packet = require "moonpark.net.packet"
local read_into = require "moonpark.net.read_into"
local resolve = require "moonpark.net.resolve"
local task = require "moonpark.task"
local source = require "moonpark.net.source"
local tls = require "moonpark.tls.conn"

---@class moonpark.net
local M = {}

--- What fails returns nil, a message, and errno where the system gave one; see docs/net.md.
---@class moonpark.connection
---@field read fun(self, max?: integer): string|nil, string?, integer? 1..max bytes; "eof" at the end; max 65536
---@field read_exactly fun(self, n: integer): string|nil, string?, integer? what came stays readable if it fails
---@field read_line fun(self, max?: integer): string|nil, string?, integer? without LF or CRLF; max 65536
---@field receive_line fun(self, max?: integer): string|nil, string?, integer? up to LF, without its CRs; max 65536
---@field read_until fun(self, delimiter: string, max?: integer): string|nil, string?, integer? without it; max 1 MiB
---@field read_all fun(self, max?: integer): string|nil, string?, integer? up to the end; max 64 MiB
---@field lines fun(self, max?: integer): fun(): string|nil ends with the stream and at any failure
---@field read_unpack fun(self, format: string, max?: integer): integer|nil, any ... bytes taken, values; max 65536
---@field read_into moonpark.read_into bytes into memory of FFI
---@field read_buffered fun(self, max?: integer): string|nil, string?, integer? what is received; nil alone: nothing
---@field unread fun(self, bytes: string): true|nil, string?, integer? the next read finds them first
---@field is_busy fun(self, side: "r"|"w"): boolean a task is reading, or writing
---@field is_quiet fun(self): boolean open, unused, nothing received, not even an end: it could be used again
---@field buffered fun(self): integer|nil, string?, integer? bytes received and not read
---@field fill fun(self, n: integer, max?: integer): integer|nil, string?, integer? waits for n; max 64 MiB
---@field peek fun(self, n: integer, offset?: integer): string|nil, string?, integer? nil alone: not buffered
---@field find fun(self, bytes: string, offset?: integer): integer|nil, string?, integer? nil alone: not buffered
---@field unpack_all fun(self, into: table, format: string, offset?: integer): integer|nil, integer?, integer?
---@field unpack fun(self, format: string, offset?: integer): integer|nil, any ... offset behind, values; nil, needed
---@field skip fun(self, n: integer): integer|nil, string?, integer?, integer? 4th: skipped before a failure
---@field write fun(self, ...: string|number|table): integer|nil, string?, integer?, integer? 4th: before a failure
---@field sendfile moonpark.sendfile a file or a part of it
---@field wait_readable fun(self): true|nil, string?, integer?
---@field wait_writable fun(self): true|nil, string?, integer?
---@field set_deadline fun(self, t: number|nil): true|nil, string? absolute seconds, on moonpark.now()'s clock
---@field set_read_deadline fun(self, t: number|nil): true|nil, string?
---@field set_write_deadline fun(self, t: number|nil): true|nil, string?
---@field set_timeout fun(self, seconds: number|nil, mode?: "r"|"w"|"rw"): true|nil, string? of each operation
---@field set_wait_timeout fun(self, seconds: number|nil, mode?: "r"|"w"|"rw"): true|nil, string? of each wait
---@field handshake fun(self): true|nil, string?, integer? of TLS; else the first read or write performs it
---@field start_tls fun(self, options: moonpark.start_tls.options|moonpark.tls_context): true|nil, string?, integer?
---@field tls fun(self): {version: string, cipher: string, server_name?: string, alpn?: string, resumed: boolean,
--- verified: boolean}|nil nil: not TLS, or the handshake is not over
---@field peer_certificate fun(self): string|nil, string?, integer? in DER
---@field close_write fun(self): true|nil, string?, integer? half-close
---@field close fun(self): true fails everybody who waits on it with "closed"
---@field is_closed fun(self): boolean
---@field is_listener fun(self): false
---@field local_address fun(self): string|nil, string?, integer?
---@field peer_address fun(self): string|nil, string?, integer?
---@field fd fun(self): integer|nil, string? nil alone: it has none
---@field peer_credentials fun(self): {pid: integer, uid: integer, gid: integer}|nil, string?, integer? unix(7)
---@field send_fds fun(self, data: string, fds: table): integer|nil, string?, integer?, integer? as write
---@field recv_fds fun(self, max?: integer): string|nil, moonpark.descriptor[], integer? or 2nd: why not
---@field detach fun(self): moonpark.descriptor|nil, string?, integer? 2nd: bytes received and not read, or nil
---@field setoption fun(self, name: string, value: boolean|number|nil): true|nil, string?, integer?
---@field getoption fun(self, name: string): boolean|number|nil, string?, integer?

--- What net.dial gives: a connection, or a packet socket where the address is one of datagrams.
---@class moonpark.dialled.connection: moonpark.connection, moonpark.packet

---@class moonpark.listener
---@field accept fun(self): moonpark.connection|nil, string?, integer? "timeout", "closed", "too many open files", ...
---@field address fun(self): string|nil, string?, integer? where it listens, with the port that was picked
---@field local_address fun(self): string|nil, string?, integer? the same
---@field set_deadline fun(self, t: number|nil): true|nil, string? of accepting; absolute seconds
---@field set_timeout fun(self, seconds: number|nil): true|nil, string? of each accept from now on
---@field set_wait_timeout fun(self, seconds: number|nil): true|nil, string?, integer? the same: an accept waits once
---@field close fun(self): true fails everybody who accepts with "closed"
---@field is_closed fun(self): boolean
---@field is_listener fun(self): true
---@field detach fun(self): moonpark.descriptor|nil, string?, integer? its unix path stays
---@field fd fun(self): integer|nil, string?
---@field setoption fun(self, name: string, value: boolean|number|nil): true|nil, string?, integer?
---@field getoption fun(self, name: string): boolean|number|nil, string?, integer?
local Conn = core.conn_class

-- A descriptor that is no connection yet, or no longer. What a script drops, the collector closes.
---@class moonpark.descriptor
---@field number fun(self): integer|nil, string? it stays the object's; "closed"
---@field release fun(self): integer|nil, string? the number, which is the caller's from now on: nobody else closes it
---@field close fun(self): true harmless twice
---@field is_closed fun(self): boolean closed, released or taken by from_fd

---@class moonpark.net.listen.options
---@field backlog? integer connections that wait to be accepted; the system's most
---@field reuseport? boolean SO_REUSEPORT; false
---@field v6only? boolean no IPv4; false for ":port", and other IPv6 addresses take none anyway
---@field unlink? boolean a unix path is removed when it is closed; true
---@field mode? string|integer permissions of a unix path, "0660"; what the umask leaves
---@field tls? moonpark.tls_context made by tls.server: connections that are accepted speak TLS
---@field shared? boolean in a worker: false: a socket of its own; true

---@class moonpark.net.dial.options
---@field timeout? number seconds for the whole, names and TLS included; no limit
---@field deadline? number absolute seconds, on moonpark.now()'s clock; the earlier of both counts
---@field local_address? string "host:port", ":port"; the system's choice
---@field fallback_delay? number seconds until the other family is tried as well; 0.3; negative: all in turn
---@field tls? boolean|moonpark.tls_context true, or made by tls.client
---@field server_name? string whom the certificate must be for; the host of the address

---@class moonpark.net.serve.options
---@field max_connections? integer at once; then accepting pauses; no limit
---@field on_error? fun(text: string) gets errors of handlers, and failures of accept; standard error

local listen_options = { backlog = "count", reuseport = "boolean", v6only = "boolean", unlink = "boolean",
  mode = addresses.mode, tls = tls.server, shared = "boolean" }
local dial_options = { timeout = "number", deadline = "number", local_address = "string", fallback_delay = "number",
  tls = tls.client, server_name = "string" }
local serve_options = { max_connections = "positive", on_error = "function" }

local function check_string(address, name)
  if type(address) ~= "string" then
    local hint = type(address) == "number" and ("; did you mean ':%d'?"):format(address) or ""
    error(("bad argument #1 to '%s' (string expected, got %s%s)"):format(name, type(address), hint), 3)
  end
end

-- The first of the name's addresses that can be listened on, or why the first one cannot.
local function listen_by_name(address, options)
  local list, err, errno = addresses.numeric(address, false, "listen", 3)
  if not list then return nil, err, errno end
  for i, one in ipairs(list) do
    local listener, why, number =
      core.listen(one, options.backlog, options.reuseport, options.v6only, options.unlink ~= false)
    if listener then return listener end
    if i == 1 then err, errno = why, number end
  end
  return nil, err, errno
end

local function listen_here(address, options, mode)
  local listener, err, errno =
    core.listen(address, options.backlog, options.reuseport, options.v6only, options.unlink ~= false, mode)
  if listener == false then return listen_by_name(address, options) end
  return listener, err, errno
end

--- Listens. ":port" means every local address; port 0 picks a free one, see listener:address().
--- Where the host is a name it is looked up, in a task: its addresses are tried in turn until one can be listened on.
--- With tls, a context made by tls.server, every connection that is accepted speaks TLS; its first read or write
--- shakes hands, or connection:handshake().
--- In a worker the socket is the supervisor's, and all workers accept from it; with shared = false it is this one's.
---@param address string "host:port", "[::1]:port", ":port", "unix:/path", "unix:@abstract"
---@param options? moonpark.net.listen.options
---@return moonpark.listener|nil
---@return string? err
---@return integer? errno
function M.listen(address, options)
  check_string(address, "listen")
  options = check_options("listen", options, listen_options, 2, 2)
  local mode = addresses.permissions(options.mode, address, "listen", 2)
  local other = options.shared ~= false and source.get() or nil
  local listener, err, errno
  if other then
    local fine, wrong = addresses.test(address)
    if not fine then error("listen: " .. wrong, 2) end
    listener, err, errno = other.listen(address, options)
  else
    listener, err, errno = listen_here(address, options, mode)
  end
  if listener and options.tls then core.tls_listen(listener, options.tls.core) end
  return listener, err, errno
end

-- Seconds left by the earlier of both.
local function dial_time(options)
  local left = options.deadline and options.deadline - core.now()
  if left and left < (options.timeout or math.huge) then return left end
  return options.timeout
end

-- The connection first, and TLS over it in the time that is left.
local function dial_tls(address, options)
  local name, context = options.server_name or tls.host(address), options.tls
  if core.split_address(address) then error("dial: option 'tls' is not for datagrams", 3) end
  if not name and (context == true or not context.options.insecure) then
    error("dial: option 'server_name' is needed: whom the certificate must be for", 3)
  end
  local timeout = dial_time(options)
  local deadline = timeout and timeout < math.huge and core.now() + timeout or nil
  local conn, err, errno = dial.attempt(address, timeout, options.local_address)
  if conn == false then conn, err, errno = dial.by_name(address, options, timeout, 3) end
  if not conn then return nil, err, errno end
  return tls.secure(conn, context, name, deadline)
end

--- Connects. Where the host is a name it is looked up and its addresses are tried, those of the first one's family
--- first; the other family's begin fallback_delay later (0.3), or as soon as those have failed. A negative
--- fallback_delay: all in turn. The time left is shared among addresses; the error is the first one's.
--- Go: net.Dialer.DialContext; RFC 6555.
--- With tls, true or a context made by tls.client, TLS has begun when it returns: the certificate is for the host in
--- the address, or for server_name.
---@param address string as for listen; ":port" means this machine
---@param options? moonpark.net.dial.options
---@return moonpark.dialled.connection|nil a connection; a packet socket where the address is one of datagrams
---@return string? err "timeout", "canceled", "connection refused", ...; of a name also "no such host", "server failure"
---@return integer? errno
function M.dial(address, options)
  check_string(address, "dial")
  options = check_options("dial", options, dial_options, 2, 2)
  if options.tls then return dial_tls(address, options) end
  local timeout = dial_time(options)
  local conn, err, errno = dial.attempt(address, timeout, options.local_address)
  if conn ~= false then return conn, err, errno end
  local by = core.split_address(address) and packet.dial or dial.by_name -- true: of datagrams
  conn, err, errno = by(address, options, timeout, 2)
  return conn, err, errno
end

M.packet = packet.packet
M.bind = bind.bind

M.check_address = addresses.test
M.resolve = resolve.resolve
M.set_resolver = resolve.set_resolver

--- An in-memory pair with the methods and deadlines of a connection.
---@param capacity? integer bytes held in each direction; 65536
---@return moonpark.connection|nil
---@return moonpark.connection other the other end; or a string, "not enough memory"
---@return integer? errno
function M.pipe(capacity) return core.pair(capacity) end

--- Makes a connection or listener of a descriptor: a stream socket (TCP, unix), a pipe, a FIFO, a terminal, a device.
--- It owns the descriptor from then on, and makes it close-on-exec and non-blocking, which all copies of it share.
--- Where it fails the descriptor stays the caller's: "bad file descriptor", "not pollable" (a file), "descriptor in
--- use" (by a connection, a pollDesc or the poller), "wrong kind of descriptor", "transport endpoint is not connected".
---@overload fun(fd: integer|moonpark.descriptor, kind: "listener"): moonpark.listener|nil, string?, integer?
---@overload fun(fd: integer|moonpark.descriptor, kind: "packet"): moonpark.packet|nil, string?, integer?
---@type fun(fd: integer|moonpark.descriptor, kind?: "connection"): moonpark.connection|nil, string?, integer?
M.from_fd = core.from_fd

M.inherited = inherit.inherited
M.copy = copy.copy
M.relay = copy.relay

---------------------------------------------------------------------------------------------------
-- connection

local is_listener = Conn.is_listener

local function check_self(self, listening, name)
  local ok, listens = pcall(is_listener, self)
  if ok and listens == listening then return end
  local wanted = listening and "listener" or "connection"
  local got = ok and (listens and "a listener" or "a connection") or type(self)
  if type(self) ~= "userdata" then -- a dot for a colon
    error(("%s expected, got %s: methods take a colon, as in object:%s(...)"):format(wanted, got, name), 3)
  end
  error(("bad argument #1 to '%s' (%s expected, got %s)"):format(name, wanted, got), 3)
end

--- for line in connection:lines() do ... end; ends at the end of the stream and at any failure.
---@package it is in the class above
---@param self moonpark.connection
---@param max? integer
---@return fun(): string|nil
function Conn:lines(max)
  check_self(self, false, "lines")
  return function() return (self:read_line(max)) end
end

---@package
Conn.read_into = read_into

--- Goes on in TLS; see docs/tls.md.
---@package
---@param self moonpark.connection
---@param options moonpark.start_tls.options|moonpark.tls_context
---@return true|nil
---@return string? err
---@return integer? errno
function Conn:start_tls(options)
  check_self(self, false, "start_tls")
  return tls.start_tls(self, options)
end

Conn.handshake = core.handshake
Conn.tls = core.tls_info
Conn.peer_certificate = core.tls_certificate

---------------------------------------------------------------------------------------------------
-- listener

Conn.address = Conn.local_address

-- accept, with a pause where the system has run out of something.
local function accept_patiently(listener, log)
  local pause
  while true do
    local conn, err, errno = listener:accept()
    if conn then return conn end
    pause = core.accept_pause(errno, pause)
    if not pause then return nil, err, errno end
    log(("accept: %s; trying again in %g s"):format(err, pause))
    local ok, why = core.sleep(pause)
    if not ok then return nil, why end
  end
end

local function log_of_net(text) failures.log(text, "warn", "net") end

--- for conn in listener:accepts() do ... end; ends when the listener is closed, times out or is cancelled.
---@return fun(): moonpark.connection|nil
function Conn:accepts()
  check_self(self, true, "accepts")
  return function() return (accept_patiently(self, log_of_net)) end
end

-- The handler, and a place given back after it; after a failure the scope's log does that.
local function limited(handler, places)
  return function(conn)
    handler(conn)
    places:release()
  end
end

local function accept_loop(listener, scope, handler, log, places)
  while true do
    if places then
      local ok, err = places:acquire()
      if not ok then return nil, err end
    end
    local conn, err, errno = accept_patiently(listener, log)
    if not conn then
      if err == "closed" then return true end
      return nil, err, errno
    end
    scope:hand_over(handler, conn)
  end
end

--- Accepts for ever and runs handler(connection) in a task for each; the connection is closed when the
--- handler returns. An error in a handler is logged and ends that connection only. Returns true once the
--- listener is closed and all handlers have ended; cancelling cancels the handlers too.
---@param handler fun(connection: moonpark.connection)
---@param options? moonpark.net.serve.options
---@return true|nil
---@return string? err
---@return integer? errno
function Conn:serve(handler, options)
  check_self(self, true, "serve")
  if type(handler) ~= "function" then
    error(("bad argument #1 to 'serve' (function expected, got %s)"):format(type(handler)), 2)
  end
  options = check_options("serve", options, serve_options, 2, 2)
  local log = failures.log_to(options.on_error, "net")
  local places = options.max_connections and core.semaphore(options.max_connections)
  if places then handler = limited(handler, places) end
  return task.scope(function(scope)
    task.log_failures(scope, function(connection, ended, gave_up)
      if places then places:release() end
      if gave_up then return end
      log(("error in the handler for %s: %s"):format(connection, failures.describe(ended)))
    end)
    return accept_loop(self, scope, handler, log, places)
  end)
end

return M

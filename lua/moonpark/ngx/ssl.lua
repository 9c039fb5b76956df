-- SPDX-License-Identifier: MIT
-- ssl.lua - sslhandshake and setclientcert of cosockets, and the sessions that handshakes return.

local contexts = require("moonpark.tls").client
local core = require "moonpark.core"
local ffi = require "ffi"
local shared_library = require "moonpark.shared_library"
local tcp = require "moonpark.ngx.tcp"
local words = require "moonpark.ngx.words"

ffi.cdef [[
  void *SSL_get0_param(void *);
  int X509_VERIFY_PARAM_set1_ip(void *, const unsigned char *, size_t);
  long SSL_get_verify_result(const void *);
  const char *X509_verify_cert_error_string(long);
  void *SSL_get0_verified_chain(const void *);
  int OPENSSL_sk_num(const void *);
  struct moonpark_ngx_session;
  struct moonpark_ngx_session *moonpark_ngx_get_session(void *) __asm__("SSL_get1_session");
  int moonpark_ngx_set_session(void *, struct moonpark_ngx_session *) __asm__("SSL_set_session");
  void moonpark_ngx_free_session(struct moonpark_ngx_session *) __asm__("SSL_SESSION_free");
]]

local M = {}

local NO_NAME = "127.0.0.1" -- stands for a name while there is none: addresses are not sent to the server
local HOST_MISMATCH, ADDRESS_MISMATCH = 62, 64 -- X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
local NO_ISSUER, LEAF_ALONE = 20, 21 -- ..._UNABLE_TO_GET_ISSUER_CERT_LOCALLY, ..._UNABLE_TO_VERIFY_LEAF_SIGNATURE

local Tcp, busy = tcp.class, tcp.busy

local ssl = shared_library.load("libssl.so.3", "ssl")
local crypto = shared_library.load("libcrypto.so.3", "crypto")

---------------------------------------------------------------------------------------------------
-- contexts

local trusted          -- authorities, as tls.client takes them; nil: the system's
local made = {}        -- [what they verify by, certificate, key] = a context

--- The authorities that handshakes with verification rely on: a file's name, or PEM; nil: the system's.
---@param ca string|nil
function M.trust(ca) trusted = ca end

local function context_of(verify, cert, key)
  local name = table.concat({ verify and (trusted or "system") or "none", cert or "", key or "" }, "\0")
  if not made[name] then
    local ca = verify and trusted or nil
    local context, err = contexts { insecure = not verify or nil, ca = ca, cert = cert, key = key }
    if not context then return nil, err end
    made[name] = context
  end
  return made[name]
end

---------------------------------------------------------------------------------------------------
-- sessions

---@class moonpark.ngx.session
---@field context moonpark.tls_context that it may be resumed with: what another one has verified does not count
---@field name string|nil the server's, for the same reason
---@field of {conn: moonpark.connection|nil} weak: as long as it may bring a newer ticket
---@field kept ffi.cdata*|nil OpenSSL's
local Session = {}
Session.__index = Session

local weak = { __mode = "v" } -- who keeps a session does not keep a connection open

local function raw_of(conn)
  local raw = not conn:is_closed() and core.tls_raw(conn)
  return raw and ffi.cast("void *", raw) or nil
end

--- Before the connection is closed: the server's tickets may have come after the handshake.
function Session:keep()
  local conn = self.of.conn
  local raw = conn and raw_of(conn)
  local newest = raw and ssl.moonpark_ngx_get_session(raw)
  if newest and newest ~= nil then self.kept = ffi.gc(newest, ssl.moonpark_ngx_free_session) end
end

--- The connection is about to be closed.
function Session:leave()
  self:keep()
  self.of.conn = nil
end

-- What can be resumed on a connection by that context to that server; nil: a whole handshake it is.
local function resumable(session, context, name)
  if getmetatable(session) ~= Session or session.context ~= context or session.name ~= name then return nil end
  session:keep()
  return session.kept
end

---------------------------------------------------------------------------------------------------
-- handshakes

-- As ngx_lua words it.
local function explained(conn, err)
  if err == "timeout" or err == "canceled" then return err end
  local raw = raw_of(conn)
  local code = raw and tonumber(ssl.SSL_get_verify_result(raw)) or 0
  if code == 0 then return "handshake failed" end
  if code == HOST_MISMATCH or code == ADDRESS_MISMATCH then return "certificate host mismatch" end
  -- OpenSSL has stopped at its first complaint. nginx goes on, and words the last one.
  if code == NO_ISSUER and crypto.OPENSSL_sk_num(ssl.SSL_get0_verified_chain(raw)) == 1 then code = LEAF_ALONE end
  return ("%d: %s"):format(code, ffi.string(crypto.X509_verify_cert_error_string(code)))
end

-- TLS over the connection, with that session or none; contexts would resume the newest one by themselves.
local function cover(conn, context, name, session)
  local ok, err = core.tls_cover(conn, context.core, name or not context.options.insecure and NO_NAME or nil)
  if not ok then return nil, err == "plain bytes were received before TLS" and "handshake failed" or err end
  local raw = raw_of(conn)
  if not name then crypto.X509_VERIFY_PARAM_set1_ip(ssl.SSL_get0_param(raw), nil, 0) end
  if ssl.moonpark_ngx_set_session(raw, session) == 0 then return nil, "ssl set session failed" end
  return true
end

local function shake(self, context, name, session)
  local conn = self.conn
  local ok, err = cover(conn, context, name, session)
  if not ok then return nil, err end
  conn:set_timeout(self.connect_timeout)
  ok, err = core.handshake(conn)
  if not ok then return nil, explained(conn, err) end
  conn:set_timeout(nil)
  tcp.apply_timeouts(self)
  self.session = setmetatable({ context = context, name = name, of = setmetatable({ conn = conn }, weak) }, Session)
  return true
end

local function check(self, count, name)
  if count > 4 then
    words.misuse(("ngx.socket sslhandshake: expecting 1 ~ 5 arguments (including the object), but seen %d")
      :format(count + 1))
  end
  if not self.pool_name then words.misuse "socket is never created nor connected" end
  if name and type(name) ~= "string" then
    words.misuse(("bad argument #2 to 'sslhandshake' (string expected, got %s)"):format(type(name)))
  end
end

--- sslhandshake([session[, server name[, verify]]]) -> a session for a later handshake, or true if `false` was given |
--- nil, err, and the connection is closed. A session counts only for the same server name, verification, and client
--- certificate.
function Tcp:sslhandshake(...)
  local session, name, verify = ...
  check(self, select("#", ...), name)
  if self.connecting then return nil, "socket busy connecting" end
  if not self.conn or self.read_closed or self.write_closed then return nil, "closed" end
  local err = busy(self, true, true)
  if err then return nil, err end
  if self.conn:tls() then return session ~= false and (session or self.session) or true end
  local context
  context, err = context_of(verify, self.cert, self.key)
  if not context then return nil, err end
  name = name ~= "" and name or nil
  local ok, done, why = tcp.alone(self, shake, context, name, resumable(session, context, name))
  if ok and done then return session ~= false and self.session or true end
  tcp.close(self)
  if not ok then error(done, 0) end
  return nil, why
end

--- setclientcert(cert, key) -> true | nil, err: for the next handshake. Files in PEM, or PEM itself; nil, nil: none.
function Tcp:setclientcert(cert, key)
  if not cert and not key then
    self.cert, self.key = nil, nil
    return true
  end
  if not cert or not key then return nil, "client certificate must be supplied with corresponding private key" end
  if type(cert) ~= "string" then return nil, "bad cert arg: string expected, got " .. type(cert) end
  if type(key) ~= "string" then return nil, "bad pkey arg: string expected, got " .. type(key) end
  self.cert, self.key = cert, key
  return true
end

return M

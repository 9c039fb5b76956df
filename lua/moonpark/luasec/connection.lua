-- SPDX-License-Identifier: MIT
-- connection.lua - ssl.core: LuaSec's connections. Bytes, timeouts and statistics are those of a LuaSocket client
-- over a connection that goes on in TLS.
--
-- TLS is laid over the connection when the handshake begins: only then is the server's name known.

local context = require "moonpark.luasec.context"
local core = require "moonpark.core"
local descriptors = require "moonpark.luasocket.descriptors"
local ffi = require "ffi"
local hello = require "moonpark.luasec.hello"
local library = require "moonpark.luasec.library"
local misuse = require("moonpark.luasocket.words").misuse
local stream = require "moonpark.luasocket.stream"
local call = require("moonpark.in_task").call
local words = require "moonpark.luasec.words"
local x509 = require "moonpark.luasec.x509"

local crypto, ssl = library.crypto, library.ssl

local M = { SOCKET_INVALID = -1 }

local UNKNOWN_NAME = "\21\3\3\0\2\2\112" -- an alert: unrecognized_name (RFC 6066)

---@class moonpark.luasec.connection
---@field sock table a LuaSocket client
---@field conn moonpark.connection what select asks
---@field shaken boolean the handshake is over
local methods = {}
local Connection = { __index = methods, title = "SSL{connection}" }
function Connection:__tostring() return ("SSL connection: %p%s"):format(self, self.closed and " (closed)" or "") end
Connection.__close = function(self) self:close() end

--- create(context) -> connection without a descriptor | nil, "invalid mode"
function M.create(ctx)
  if getmetatable(ctx) ~= context.class then misuse "bad argument #1 to 'create' (SSL:Context expected)" end
  if ctx.mode == "invalid" then return nil, "invalid mode" end
  return setmetatable({ context = ctx, wanted = "nothing" }, Connection)
end

--- The socket with that descriptor becomes the connection's.
function M.setfd(self, fd)
  if type(fd) ~= "number" then misuse(("bad argument #2 to 'setfd' (number expected, got %s)"):format(type(fd))) end
  local conn, err = descriptors.take(fd), nil
  if not conn and fd < 0 then return end
  if not conn then conn, err = core.from_fd(fd, "connection") end -- LuaSocket's own, or another's
  if not conn then misuse(("bad argument #2 to 'setfd' (descriptor %d: %s)"):format(fd, err)) end
  conn:set_wait_timeout(nil)
  conn:set_timeout(nil)
  self.conn, self.sock = conn, stream.of(conn)
end

function M.setmethod(name, fn) methods[name] = fn end

function M.copyright() return "A façade of LuaSec 1.2, of moonpark" end

-- OpenSSL's connection, good until something waits; nil: there is none
local function raw_of(self)
  local conn = self.conn
  if not conn or conn:is_closed() then return nil end
  local raw = core.tls_raw(conn)
  return raw and ffi.cast("void *", raw)
end

---------------------------------------------------------------------------------------------------
-- handshake

-- A server that has names or chooses a protocol looks at the client's first words before it begins -> the context to
-- use, the protocol to answer | nil, err
local function chosen(self)
  local ctx = self.context
  if not self.contexts and not ctx.choose then return ctx end
  local said, err = hello.wait(self.conn)
  if not said then return nil, err end
  if said.name and self.contexts then
    self.asked_for = said.name
    local other = self.contexts[said.name]
    if not other and self.strict then
      self.conn:write(UNKNOWN_NAME)
      return nil, "callback failed"
    end
    ctx = other or ctx
  end
  return ctx, context.answer(self.context, said.protocols)
end

local function cover(self)
  local ctx, protocol = self.context, nil
  if ctx.mode == "server" then
    ctx, protocol = chosen(self)
    if not ctx then return nil, protocol end
  end
  local made, err = context.made(ctx)
  if not made then return nil, err end
  local ok, why = core.tls_cover(self.conn, made, self.name, protocol)
  if not ok then return nil, why end
  local raw = raw_of(self)
  -- LuaSec compares no names: a script does, with the certificate.
  local param = ssl.SSL_get0_param(raw)
  crypto.X509_VERIFY_PARAM_set1_host(param, nil, 0)
  crypto.X509_VERIFY_PARAM_set1_ip(param, nil, 0)
  if self.context.goes_on then core.tls_go_on(self.conn, self.context.verify)
  else ssl.SSL_set_verify(raw, self.context.verify, nil) end
  self.covered = true
  return true
end

local function shake(self)
  if not self.conn then return false, "closed" end
  if not self.covered then
    local ok, err = cover(self)
    if err == "timeout" then
      self.wanted = "read"
      return false, "wantread"
    end
    if not ok then return false, words.of_bytes(err) end
  end
  local ok, err, errno = core.handshake(self.conn)
  if ok then
    self.shaken, self.wanted = true, "nothing"
    return true
  end
  if err == "timeout" then
    self.wanted = "read"
    return false, "wantread"
  end
  self.wanted = "nothing"
  return false, words.of_handshake(err, errno, raw_of(self))
end

--- dohandshake() -> true | false, "wantread", "closed", or OpenSSL's word
function methods:dohandshake()
  if self.shaken then return true end
  return call(shake, self)
end

--- want() -> "read", "write" or "nothing": what the last call waits for
function methods:want() return self.wanted end

--- sni(name) of a client; sni({[name] = context}[, strict]) of a server: for other names it has its own context, or
--- refuses them. Before the handshake.
function methods:sni(name, strict)
  local wanted = self.context.mode == "server" and "table" or "string"
  if type(name) ~= wanted then
    misuse(("bad argument #1 to 'sni' (%s expected, got %s)"):format(wanted, type(name)))
  end
  if wanted == "string" then
    self.name = name
    return
  end
  local contexts = {}
  for key, ctx in pairs(name) do
    if type(key) ~= "string" or getmetatable(ctx) ~= context.class or ctx.mode ~= "server" then
      misuse "bad argument #1 to 'sni' (table of names and contexts of servers expected)"
    end
    contexts[key] = ctx
  end
  self.contexts, self.strict = contexts, strict and true or false
end

function methods:getsniname()
  local raw = raw_of(self)
  local name = raw and ssl.SSL_get_servername(raw, 0)
  return name ~= nil and name and ffi.string(name) or self.asked_for
end

---------------------------------------------------------------------------------------------------
-- bytes

-- The word, and what is waited for.
local function failed(self, err, wanted)
  if err == "timeout" then
    self.wanted = wanted
    return "want" .. wanted
  end
  self.wanted = "nothing"
  return words.of_bytes(err)
end

--- receive([pattern[, prefix]]) as LuaSocket's; where that says "timeout" it is "wantread".
function methods:receive(pattern, prefix)
  if not self.shaken then return nil, "closed", "" end
  local bytes, err, partial = self.sock:receive(pattern, prefix)
  if bytes then return bytes, nil, nil end
  if err == "unexpected eof" and self.context.ignores_cuts then -- as OpenSSL has it for sockets
    if type(pattern) == "string" and pattern:find "^%*a" and partial ~= (prefix or "") then return partial, nil, nil end
    err = "eof"
  end
  return nil, failed(self, err, "read"), partial
end

--- send(data[, i[, j]]) as LuaSocket's; where that says "timeout" it is "wantwrite".
function methods:send(data, i, j)
  if not self.shaken then return nil, "closed", 0 end
  local last, err, sent = self.sock:send(data, i, j)
  if last then return last, nil, nil end
  return nil, failed(self, err, "write"), sent
end

function methods:settimeout(value, mode)
  if self.sock then return self.sock:settimeout(value, mode) end
  return 1
end

--- Is something received already that the descriptor does not tell of?
function methods:dirty()
  local raw = self.shaken and raw_of(self)
  return raw and (self.sock:dirty() or ssl.SSL_has_pending(raw) == 1) or false
end

function methods:getfd() return self.conn and not self.conn:is_closed() and self.conn:fd() or -1 end

function methods:getstats()
  if not self.sock then return 0, 0, 0 end
  return self.sock:getstats()
end

function methods:setstats(...)
  if self.sock then return self.sock:setstats(...) end
  return 1
end

function methods:close()
  if self.sock then self.sock:close() end
  self.sock, self.conn, self.shaken, self.closed = nil, nil, false, true
  self.wanted = "nothing"
end

---------------------------------------------------------------------------------------------------
-- questions

local function open(self) return self.shaken and raw_of(self) end

local function chain_of(raw)
  local list = {}
  local chain = ssl.SSL_get_peer_cert_chain(raw)
  if ssl.SSL_is_server(raw) == 1 then
    local own = ssl.SSL_get1_peer_certificate(raw)
    if own ~= nil then list[1] = x509.of(own) end
  end
  if chain == nil then return list end
  for i = 0, crypto.OPENSSL_sk_num(chain) - 1 do
    local one = crypto.OPENSSL_sk_value(chain, i)
    crypto.X509_up_ref(one)
    list[#list + 1] = x509.of(one)
  end
  return list
end

--- getpeercertificate([n]) -> certificate | nil[, "closed"]; 1 is the peer's own
function methods:getpeercertificate(n)
  local raw = open(self)
  if not raw then return nil, "closed" end
  n = n or 1
  if type(n) ~= "number" or n < 1 then misuse "bad argument #1 to 'getpeercertificate' (invalid certificate index)" end
  if n > 1 then return chain_of(raw)[n] end
  local own = ssl.SSL_get1_peer_certificate(raw)
  return own ~= nil and x509.of(own) or nil
end

function methods:getpeerchain()
  local raw = open(self)
  if not raw then return nil, "closed" end
  return chain_of(raw)
end

-- {[depth + 1] = {text, ...}} of what a verification has gone on over
local function told(troubles)
  local deepest, list = 0, {}
  for i = 1, #troubles, 2 do deepest = math.max(deepest, troubles[i]) end
  for depth = 0, deepest do list[depth + 1] = {} end
  for i = 1, #troubles, 2 do
    table.insert(list[troubles[i] + 1], ffi.string(crypto.X509_verify_cert_error_string(troubles[i + 1])))
  end
  return list
end

--- getpeerverification() -> true | false, the reason
function methods:getpeerverification()
  local raw = open(self)
  if not raw then return false, "closed" end
  local code = ssl.SSL_get_verify_result(raw)
  local troubles = { core.tls_troubles(self.conn) }
  if code == 0 and #troubles == 0 then return true end
  if #troubles > 0 then return false, told(troubles) end
  return false, ffi.string(crypto.X509_verify_cert_error_string(code))
end

local function finished(self, ask)
  local raw = open(self)
  if not raw then return nil, "closed" end
  local bytes = ffi.new "char[64]"
  local n = tonumber(ask(raw, bytes, 64))
  return n > 0 and ffi.string(bytes, n) or nil
end

function methods:getfinished() return finished(self, ssl.SSL_get_finished) end
function methods:getpeerfinished() return finished(self, ssl.SSL_get_peer_finished) end

--- getalpn() -> the protocol agreed on | nil
function methods:getalpn()
  local raw = open(self)
  if not raw then return nil end
  local name, n = ffi.new "const unsigned char *[1]", ffi.new "unsigned[1]"
  ssl.SSL_get0_alpn_selected(raw, name, n)
  return n[0] > 0 and ffi.string(name[0], n[0]) or nil
end

--- exportkeyingmaterial(label, length[, context]) (RFC 5705)
function methods:exportkeyingmaterial(label, length, salt)
  local raw = open(self)
  if not raw then return nil, "closed" end
  local bytes = ffi.new("unsigned char[?]", length)
  if ssl.SSL_export_keying_material(raw, bytes, length, label, #label, salt, salt and #salt or 0, salt and 1 or 0) == 1
  then
    return ffi.string(bytes, length)
  end
  return nil, "error exporting keying material"
end

--- setdane(name): the records that settlsa adds are for that host. Before the handshake; the context has setdane.
function methods:setdane(name)
  if type(name) ~= "string" then
    misuse(("bad argument #1 to 'setdane' (string expected, got %s)"):format(type(name)))
  end
  if not self.covered and (not self.conn or not call(cover, self)) then return false end
  return ssl.SSL_dane_enable(raw_of(self), name) == 1
end

--- settlsa(usage, selector, matching type, data) -> is it one that can be used? (RFC 6698)
function methods:settlsa(usage, selector, kind, data)
  for i, value in ipairs { usage, selector, kind } do
    if type(value) ~= "number" then
      misuse(("bad argument #%d to 'settlsa' (number expected, got %s)"):format(i, type(value)))
    end
  end
  local raw = self.covered and raw_of(self)
  local added = raw and ssl.SSL_dane_tlsa_add(raw, usage, selector, kind, data, #data) or 0
  crypto.ERR_clear_error()
  return added > 0
end

--- compression(connection) -> nil: there is none | nil, "closed"
function M.compression(self)
  if not open(self) then return nil, "closed" end
  return nil
end

--- info(connection) -> OpenSSL's description of the cipher, bits, bits of the algorithm, version
function M.info(self)
  local raw = open(self)
  local cipher = raw and ssl.SSL_get_current_cipher(raw)
  if not raw or cipher == nil then return nil end
  local text, bits = ffi.new "char[256]", ffi.new "int[1]"
  ssl.SSL_CIPHER_description(cipher, text, 256)
  local strength = ssl.SSL_CIPHER_get_bits(cipher, bits)
  return ffi.string(text), strength, bits[0], ffi.string(ssl.SSL_get_version(raw))
end

return M

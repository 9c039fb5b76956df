-- SPDX-License-Identifier: MIT
-- support/tls_forge.lua - a peer that shakes hands in TLS 1.3 by OpenSSL, and then says whatever a spec wants,
-- encrypted as it must be (RFC 8446, 5.2 and 7).
--
--   local peer = forge.peer(conn)            over a plain connection whose other end is ours; server = true: the server
--   conn:write(peer:record(kind, bytes))     one record
--   conn:write(peer:key_update(asks))        a KeyUpdate, after which the next key counts

local ffi = require "ffi"
local certificates = require "support.tls"

pcall(ffi.cdef, [[
void *TLS_client_method(void); void *TLS_server_method(void);
void *SSL_CTX_new(void *method); void SSL_CTX_free(void *ctx);
int SSL_CTX_set_ciphersuites(void *ctx, const char *list);
int SSL_CTX_use_certificate_file(void *ctx, const char *path, int type);
int SSL_CTX_use_PrivateKey_file(void *ctx, const char *path, int type);
int SSL_CTX_set_num_tickets(void *ctx, size_t n);
void SSL_CTX_set_keylog_callback(void *ctx, void (*said)(const void *ssl, const char *line));
void *SSL_new(void *ctx); void SSL_free(void *ssl);
void SSL_set_bio(void *ssl, void *in, void *out);
void SSL_set_accept_state(void *ssl); void SSL_set_connect_state(void *ssl);
int SSL_do_handshake(void *ssl);
void *BIO_s_mem(void); void *BIO_new(void *method);
int BIO_read(void *bio, void *to, int n); int BIO_write(void *bio, const void *bytes, int n);
void *EVP_sha256(void); void *EVP_aes_128_gcm(void);
unsigned char *HMAC(const void *md, const void *key, int n, const char *bytes, size_t m, char *to, unsigned *length);
void *EVP_CIPHER_CTX_new(void); void EVP_CIPHER_CTX_free(void *c);
int EVP_EncryptInit_ex(void *c, const void *cipher, void *engine, const char *key, const char *iv);
int EVP_EncryptUpdate(void *c, char *to, int *n, const char *bytes, int m);
int EVP_EncryptFinal_ex(void *c, char *to, int *n);
int EVP_CIPHER_CTX_ctrl(void *c, int command, int n, void *p);
]])
local ssl, crypto = ffi.load "libssl.so.3", ffi.load "libcrypto.so.3"
local PEM, GET_TAG, TAG = 1, 0x10, 16
local M = {}

local Peer = {}
Peer.__index = Peer

local function expand(secret, label, n)
  label = "tls13 " .. label
  local info = string.char(0, n, #label) .. label .. "\0\1"
  local out = ffi.new "char[32]"
  assert(crypto.HMAC(crypto.EVP_sha256(), secret, #secret, info, #info, out, nil) ~= nil)
  return ffi.string(out, n)
end

local function use(peer, secret)
  peer.secret, peer.key, peer.iv, peer.sequence = secret, expand(secret, "key", 16), expand(secret, "iv", 12), 0
end

-- The IV with the number of the record in it.
local function nonce(peer)
  local bytes, n = { peer.iv:byte(1, 12) }, peer.sequence
  peer.sequence = n + 1
  for i = 12, 5, -1 do
    bytes[i], n = bit.bxor(bytes[i], n % 256), math.floor(n / 256)
  end
  return string.char(unpack(bytes))
end

--- A record of that inner type, with zeros behind it. kind nil: without a type.
function Peer:record(kind, bytes, zeros)
  local text = bytes .. (kind and string.char(kind) or "") .. ("\0"):rep(zeros or 0)
  local n = #text + TAG
  local head = "\23\3\3" .. string.char(math.floor(n / 256), n % 256)
  local cipher, out, made = crypto.EVP_CIPHER_CTX_new(), ffi.new("char[?]", n + TAG), ffi.new "int[1]"
  crypto.EVP_EncryptInit_ex(cipher, crypto.EVP_aes_128_gcm(), nil, self.key, nonce(self))
  crypto.EVP_EncryptUpdate(cipher, nil, made, head, #head)
  crypto.EVP_EncryptUpdate(cipher, out, made, text, #text)
  crypto.EVP_EncryptFinal_ex(cipher, out + #text, made)
  assert(crypto.EVP_CIPHER_CTX_ctrl(cipher, GET_TAG, TAG, out + #text) == 1)
  crypto.EVP_CIPHER_CTX_free(cipher)
  return head .. ffi.string(out, n)
end

--- asks: the peer's key is to be renewed as well.
function Peer:key_update(asks)
  local bytes = self:record(22, "\24\0\0\1" .. (asks and "\1" or "\0"))
  use(self, expand(self.secret, "traffic upd", 32))
  return bytes
end

local function step(handle)
  return ssl.SSL_do_handshake(handle)
end
jit.off(step) -- it calls back

-- What OpenSSL has to say goes out, what came goes in, until it has no more to wait for.
local function shake(conn, handle, from, to)
  local buffer = ffi.new "char[16384]"
  while true do
    local r = step(handle)
    local n = crypto.BIO_read(to, buffer, 16384)
    if n > 0 then assert(conn:write(ffi.string(buffer, n))) end
    if r == 1 then return end
    local bytes = assert(conn:read())
    crypto.BIO_write(from, bytes, #bytes)
  end
end

local function context(server)
  local ctx = ssl.SSL_CTX_new(server and ssl.TLS_server_method() or ssl.TLS_client_method())
  assert(ssl.SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") == 1)
  if server then
    assert(ssl.SSL_CTX_use_certificate_file(ctx, certificates.files.host_crt, PEM) == 1)
    assert(ssl.SSL_CTX_use_PrivateKey_file(ctx, certificates.files.host_key, PEM) == 1)
    ssl.SSL_CTX_set_num_tickets(ctx, 0)
  end
  return ctx
end

--- A peer that has shaken hands over conn; a client by default.
function M.peer(conn, server)
  local peer = setmetatable({}, Peer)
  local secrets, ctx = {}, context(server)
  local said = ffi.cast("void (*)(const void *, const char *)", function(_, line)
    local label, secret = ffi.string(line):match "^(%S+) %x+ (%x+)$"
    secrets[label] = secret:gsub("%x%x", function(hex) return string.char(tonumber(hex, 16)) end)
  end)
  ssl.SSL_CTX_set_keylog_callback(ctx, said)
  local handle = ssl.SSL_new(ctx)
  local from, to = crypto.BIO_new(crypto.BIO_s_mem()), crypto.BIO_new(crypto.BIO_s_mem())
  ssl.SSL_set_bio(handle, from, to)
  if server then ssl.SSL_set_accept_state(handle) else ssl.SSL_set_connect_state(handle) end
  shake(conn, handle, from, to)
  use(peer, secrets[(server and "SERVER" or "CLIENT") .. "_TRAFFIC_SECRET_0"])
  ssl.SSL_free(handle)
  ssl.SSL_CTX_free(ctx)
  said:free()
  return peer
end

return M

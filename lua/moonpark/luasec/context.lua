-- SPDX-License-Identifier: MIT
-- context.lua - ssl.context: LuaSec's contexts over setups of moonpark's TLS. What LuaSec asks for beyond these is set
-- at OpenSSL's own context, in LuaSec's order. The first connection makes a context of the setup, which then stays.

local bit = require "bit"
local core = require "moonpark.core"
local ffi = require "ffi"
local hello = require "moonpark.luasec.hello"
local library = require "moonpark.luasec.library"
local misuse = require("moonpark.luasocket.words").misuse

local crypto, ssl = library.crypto, library.ssl

local M = {}

---@class moonpark.luasec.context
---@field setup any
---@field raw ffi.cdata* SSL_CTX
---@field made any the core's context, once there was a connection
---@field verify integer SSL_VERIFY_*
local Context = {}

-- Objects are userdata, as LuaSec's: ssl.wrap takes a table for settings. What they hold is beside them.
local prototype = newproxy(true)
local class = getmetatable(prototype)
local held = setmetatable({}, { __mode = "k" }) -- [object] = its fields
M.class = class

function class.__index(self, key)
  local value = held[self][key]
  if value == nil then value = Context[key] end
  return value
end

function class.__newindex(self, key, value) held[self][key] = value end
function class:__tostring() return ("SSL context: %p"):format(self) end

local function check(ctx, position, value, kind, fn)
  if getmetatable(ctx) ~= class then misuse(("bad argument #1 to '%s' (SSL:Context expected)"):format(fn)) end
  if type(value) ~= kind then
    misuse(("bad argument #%d to '%s' (%s expected, got %s)"):format(position, fn, kind, type(value)))
  end
end

-- [LuaSec's name] = {lowest, highest} version; 0: what OpenSSL has
local protocols = { any = { 0x0303, 0 }, sslv23 = { 0x0303, 0 }, tlsv1 = { 0x0301, 0x0301 },
  tlsv1_1 = { 0x0302, 0x0302 }, tlsv1_2 = { 0x0303, 0x0303 }, tlsv1_3 = { 0x0304, 0x0304 } }

--- create(protocol) -> context | nil, err
function M.create(protocol)
  if type(protocol) ~= "string" then
    misuse(("bad argument #1 to 'create' (string expected, got %s)"):format(type(protocol)))
  end
  local versions = protocols[protocol]
  if not versions then return nil, ("invalid protocol (%s)"):format(protocol) end
  local ctx = newproxy(prototype)
  held[ctx] = { versions = versions, verify = 0 }
  return ctx
end

local MIN_VERSION, MAX_VERSION = 123, 124 -- SSL_CTRL_*

function M.setmode(ctx, mode)
  check(ctx, 2, mode, "string", "setmode")
  local setup, err = core.tls_setup(mode == "server")
  if not setup then return false, err end
  setup:verify "none" -- each connection says what it verifies
  ctx.setup, ctx.mode, ctx.raw = setup, mode, ffi.cast("void *", setup:raw())
  if mode ~= "server" and mode ~= "client" then ctx.mode = "invalid" end
  ssl.SSL_CTX_set_cipher_list(ctx.raw, "DEFAULT") -- OpenSSL's own, as LuaSec's
  ssl.SSL_CTX_ctrl(ctx.raw, MIN_VERSION, ctx.versions[1], nil)
  ssl.SSL_CTX_ctrl(ctx.raw, MAX_VERSION, ctx.versions[2], nil)
  if ctx.mode == "invalid" then return ("invalid mode (%s)"):format(mode) end -- LuaSec's slip: only `create` refuses it
  return true
end

---------------------------------------------------------------------------------------------------
-- certificates and keys

local function contents(path)
  local file = io.open(path)
  local text = file and file:read "*a"
  if file then file:close() end
  return text
end

--- loadkey(ctx, file[, password]); a function is called for the password, once
function M.loadkey(ctx, path, password)
  check(ctx, 2, path, "string", "loadkey")
  if type(password) == "function" then password = password() end
  local text = contents(path)
  if not text then return false, "error loading private key (no such file)" end
  crypto.ERR_clear_error()
  local key = library.read(text, function(bio)
    return crypto.PEM_read_bio_PrivateKey(bio, nil, nil, ffi.cast("void *", ffi.cast("const char *", password or "")))
  end)
  if key == nil then return false, ("error loading private key (%s)"):format(library.reason()) end
  local ok = ssl.SSL_CTX_use_PrivateKey(ctx.raw, key) == 1
  crypto.EVP_PKEY_free(key)
  if not ok then return false, ("error loading private key (%s)"):format(library.reason()) end
  return true
end

function M.loadcert(ctx, path)
  check(ctx, 2, path, "string", "loadcert")
  crypto.ERR_clear_error()
  if ssl.SSL_CTX_use_certificate_chain_file(ctx.raw, path) == 1 then return true end
  return false, ("error loading certificate (%s)"):format(library.reason())
end

function M.checkkey(ctx)
  local ok = ssl.SSL_CTX_check_private_key(ctx.raw) == 1
  crypto.ERR_clear_error()
  return ok
end

function M.locations(ctx, file, path)
  crypto.ERR_clear_error()
  if ssl.SSL_CTX_load_verify_locations(ctx.raw, file, path) == 1 then return true end
  return false, ("error loading CA locations (%s)"):format(library.reason())
end

---------------------------------------------------------------------------------------------------
-- settings

function M.setcipher(ctx, list)
  check(ctx, 2, list, "string", "setcipher")
  crypto.ERR_clear_error()
  if ssl.SSL_CTX_set_cipher_list(ctx.raw, list) == 1 then return true end
  return false, ("error setting cipher list (%s)"):format(library.reason())
end

function M.setciphersuites(ctx, list)
  check(ctx, 2, list, "string", "setciphersuites")
  crypto.ERR_clear_error()
  if ssl.SSL_CTX_set_ciphersuites(ctx.raw, list) == 1 then return true end
  return false, ("error setting cipher list (%s)"):format(library.reason())
end

local verifies = { none = 0, peer = 1, fail_if_no_peer_cert = 2, client_once = 4 }

function M.setverify(ctx, ...)
  local flags = 0
  for i = 1, select("#", ...) do
    local name = select(i, ...)
    if not verifies[name] then return false, ("invalid verify option (%s)"):format(tostring(name)) end
    flags = bit.bor(flags, verifies[name])
  end
  ctx.verify = flags
  return true
end

local options = { all = 0x80000850ULL, no_sslv2 = 0ULL, no_sslv3 = 0x02000000ULL, no_tlsv1 = 0x04000000ULL,
  no_tlsv1_1 = 0x10000000ULL, no_tlsv1_2 = 0x08000000ULL, no_tlsv1_3 = 0x20000000ULL, no_ticket = 0x4000ULL,
  no_compression = 0x20000ULL, no_renegotiation = 0x40000000ULL, cipher_server_preference = 0x00400000ULL,
  single_dh_use = 0ULL, single_ecdh_use = 0ULL, dont_insert_empty_fragments = 0x800ULL, cookie_exchange = 0x2000ULL,
  allow_unsafe_legacy_renegotiation = 0x40000ULL, legacy_server_connect = 0x4ULL, no_query_mtu = 0x1000ULL,
  no_session_resumption_on_renegotiation = 0x10000ULL, tlsext_padding = 0x10ULL, tls_rollback_bug = 0x00800000ULL,
  cryptopro_tlsext_bug = 0x80000000ULL, safari_ecdhe_ecdsa_bug = 0x40ULL, no_encrypt_then_mac = 0x80000ULL,
  prioritize_chacha = 0x00200000ULL, no_anti_replay = 0x01000000ULL, enable_middlebox_compat = 0x00100000ULL,
  allow_no_dhe_kex = 0x400ULL, ephemeral_rsa = 0ULL, microsoft_big_sslv3_buffer = 0ULL, microsoft_sess_id_bug = 0ULL,
  msie_sslv2_rsa_padding = 0ULL, netscape_ca_dn_bug = 0ULL, netscape_challenge_bug = 0ULL,
  netscape_demo_cipher_change_bug = 0ULL, netscape_reuse_cipher_change_bug = 0ULL, pkcs1_check_1 = 0ULL,
  pkcs1_check_2 = 0ULL, ssleay_080_client_dh_bug = 0ULL, sslref2_reuse_cert_type_bug = 0ULL,
  tls_block_padding_bug = 0ULL, tls_d5_bug = 0ULL, no_extended_master_secret = 0x1ULL, cleanse_plaintext = 0x2ULL,
  enable_ktls = 0ULL, -- the kernel has no part in it here
  ignore_unexpected_eof = 0x80ULL, allow_client_renegotiation = 0x100ULL, disable_tlsext_ca_names = 0x200ULL,
  cisco_anyconnect = 0x8000ULL, no_dtlsv1 = 0x04000000ULL, no_dtlsv1_2 = 0x08000000ULL, no_dtls_mask = 0x0C000000ULL,
  no_ssl_mask = 0x3E000000ULL }
M.options = options

function M.setoptions(ctx, ...)
  local flags = 0ULL
  for i = 1, select("#", ...) do
    local name = select(i, ...)
    if not options[name] then return false, ("invalid option (%s)"):format(tostring(name)) end
    flags = bit.bor(flags, options[name])
    ctx.ignores_cuts = ctx.ignores_cuts or name == "ignore_unexpected_eof"
  end
  ssl.SSL_CTX_set_options(ctx.raw, flags)
  return true
end

function M.setdepth(ctx, depth)
  check(ctx, 2, depth, "number", "setdepth")
  ssl.SSL_CTX_set_verify_depth(ctx.raw, depth)
  return true
end

--- setdhparam(ctx, fn): called here, and not in each handshake.
function M.setdhparam(ctx, fn)
  local text = fn(false, 2048)
  if type(text) ~= "string" then return true end
  local parameters = library.read(text, function(bio) return crypto.PEM_read_bio_Parameters(bio, nil) end)
  if parameters ~= nil and ssl.SSL_CTX_set0_tmp_dh_pkey(ctx.raw, parameters) ~= 1 then
    crypto.EVP_PKEY_free(parameters)
  end
  crypto.ERR_clear_error()
  return true
end

local GROUPS = 92 -- SSL_CTRL_SET_GROUPS_LIST

local function set_groups(ctx, list)
  local ok = ssl.SSL_CTX_ctrl(ctx.raw, GROUPS, 0, ffi.cast("void *", ffi.cast("const char *", list))) == 1
  crypto.ERR_clear_error()
  return ok
end

-- [name] = true: the library's curves by their short names, and three by another one
local curves = { ["P-256"] = true, ["P-384"] = true, ["P-521"] = true }
M.curves = curves
do
  local n = tonumber(crypto.EC_get_builtin_curves(nil, 0))
  local list = ffi.new("struct moonpark_luasec_curve[?]", n)
  crypto.EC_get_builtin_curves(list, n)
  for i = 0, n - 1 do
    local name = crypto.OBJ_nid2sn(list[i].nid)
    if name ~= nil then curves[ffi.string(name)] = true end
  end
end

function M.setcurve(ctx, name)
  check(ctx, 2, name, "string", "setcurve")
  if not curves[name] then return false, ("elliptic curve '%s' not supported"):format(name) end
  if set_groups(ctx, name) then return true end
  return false, "error setting elliptic curve ((null))"
end

function M.setcurveslist(ctx, list)
  check(ctx, 2, list, "string", "setcurveslist")
  if set_groups(ctx, list) then return true end
  return false, ("unknown elliptic curve in \"%s\""):format(list)
end

local SERVER_PURPOSE = 2 -- LuaSec ignores that a client's certificate is one of a client, and asks for a server's
local store_flags = { crl_check = 4, crl_check_chain = 12 }

--- ctx:setverifyext(...): lsec_continue verifies, tells by getpeerverification, and goes on.
function Context:setverifyext(...)
  for i = 1, select("#", ...) do
    local name = select(i, ...)
    if name == "lsec_continue" then
      self.goes_on = true
    elseif name == "lsec_ignore_purpose" then
      crypto.X509_VERIFY_PARAM_set_purpose(ssl.SSL_CTX_get0_param(self.raw), SERVER_PURPOSE)
    elseif store_flags[name] then
      crypto.X509_STORE_set_flags(ssl.SSL_CTX_get_cert_store(self.raw), store_flags[name])
    else
      return false, ("invalid verify option (%s)"):format(tostring(name))
    end
  end
  return true
end

---------------------------------------------------------------------------------------------------
-- ALPN

--- setalpn(ctx, names each with its length before it): what a client offers.
function M.setalpn(ctx, wire)
  check(ctx, 2, wire, "string", "setalpn")
  return ctx.setup:alpn(wire)
end

--- setalpncb(ctx, fn): fn(the client's offer) -> a server's list, both each with its length before it. It is called
--- in each handshake.
function M.setalpncb(ctx, fn)
  check(ctx, 2, fn, "function", "setalpncb")
  ctx.choose = fn
  return true
end

local dane_flags = { no_ee_namechecks = 1 }

--- setdane(ctx, flags ...)
function M.setdane(ctx, ...)
  if getmetatable(ctx) ~= class then misuse "bad argument #1 to 'setdane' (SSL:Context expected)" end
  local ok = ssl.SSL_CTX_dane_enable(ctx.raw) == 1
  local flags = 0
  for i = 1, select("#", ...) do
    local flag = dane_flags[select(i, ...)]
    if not flag then misuse(("bad argument #%d to 'setdane' (invalid option '%s')"):format(i + 1,
      tostring((select(i, ...))))) end
    flags = bit.bor(flags, flag)
  end
  if flags ~= 0 then ssl.SSL_CTX_dane_set_flags(ctx.raw, flags) end
  return ok
end

---------------------------------------------------------------------------------------------------

--- The core's context.
---@param ctx moonpark.luasec.context
function M.made(ctx)
  if not ctx.made then
    local made, err = core.tls_context(ctx.setup)
    if not made then return nil, err end
    ctx.made, ctx.setup = made, nil
  end
  return ctx.made
end

--- What a server of it answers to the client's offer, without its length; "": nothing; nil: nobody is asked.
---@param ctx moonpark.luasec.context
---@param offer string protocols, each with its length before it
---@return string|nil
function M.answer(ctx, offer)
  if not ctx.choose or offer == "" then return nil end
  local ours = ctx.choose(offer)
  for own in hello.protocols(type(ours) == "string" and ours or "") do
    for theirs in hello.protocols(offer) do
      if own == theirs then return own end
    end
  end
  return ""
end

return M

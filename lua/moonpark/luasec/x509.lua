-- SPDX-License-Identifier: MIT
-- x509.lua - ssl.x509: certificates as LuaSec's objects. Each holds one reference to OpenSSL's, until it is collected.

local ffi = require "ffi"
local library = require "moonpark.luasec.library"
local misuse = require("moonpark.luasocket.words").misuse

local crypto = library.crypto

local M = {}

---@class moonpark.luasec.certificate
---@field raw ffi.cdata*
local Certificate = {}
Certificate.__index = Certificate
function Certificate:__tostring() return ("X509 certificate: %p"):format(self) end

--- An object around a certificate, whose reference it takes over.
---@param raw ffi.cdata*
---@return moonpark.luasec.certificate
function M.of(raw)
  raw = ffi.cast("struct moonpark_luasec_x509 *", raw)
  return setmetatable({ raw = ffi.gc(raw, crypto.X509_free), as_utf8 = false }, Certificate)
end

--- load(PEM) -> certificate | nil
function M.load(text)
  if type(text) ~= "string" then
    misuse(("bad argument #1 to 'load' (string expected, got %s)"):format(type(text)))
  end
  local raw = library.read(text, function(bio) return crypto.PEM_read_bio_X509(bio, nil, nil, nil) end)
  crypto.ERR_clear_error()
  return raw ~= nil and M.of(raw) or nil
end

---------------------------------------------------------------------------------------------------
-- texts

local utf8 = ffi.new "unsigned char *[1]"

local function text_of(self, asn1)
  if not self.as_utf8 then
    return ffi.string(crypto.ASN1_STRING_get0_data(asn1), crypto.ASN1_STRING_length(asn1))
  end
  local n = crypto.ASN1_STRING_to_UTF8(utf8, asn1)
  if n < 0 then return nil end
  local text = ffi.string(utf8[0], n)
  crypto.CRYPTO_free(utf8[0], "", 0)
  return text
end

--- setencode "ascii" | "utf8": how texts are given from now on.
function Certificate:setencode(name)
  self.as_utf8 = name == "utf8"
  return name == "utf8" or name == "ascii"
end

local buffer = ffi.new "char[256]"

-- An object's name, or its number if OpenSSL has none; its number.
local function object_name(object)
  crypto.OBJ_obj2txt(buffer, 256, object, 0)
  local name = ffi.string(buffer)
  crypto.OBJ_obj2txt(buffer, 256, object, 1)
  return name, ffi.string(buffer)
end

local function names_of(self, name)
  local list = {}
  for i = 0, crypto.X509_NAME_entry_count(name) - 1 do
    local entry = crypto.X509_NAME_get_entry(name, i)
    local called, oid = object_name(crypto.X509_NAME_ENTRY_get_object(entry))
    list[i + 1] = { oid = oid, name = called, value = text_of(self, crypto.X509_NAME_ENTRY_get_data(entry)) }
  end
  return list
end

function Certificate:subject() return names_of(self, crypto.X509_get_subject_name(self.raw)) end
function Certificate:issuer() return names_of(self, crypto.X509_get_issuer_name(self.raw)) end

function Certificate:serial()
  local number = crypto.ASN1_INTEGER_to_BN(crypto.X509_get_serialNumber(self.raw), nil)
  local text = crypto.BN_bn2hex(number)
  local serial = ffi.string(text)
  crypto.CRYPTO_free(text, "", 0)
  crypto.BN_free(number)
  return serial
end

local function time_of(time)
  return library.written(function(bio) return crypto.ASN1_TIME_print(bio, time) end)
end

function Certificate:notbefore() return time_of(crypto.X509_get0_notBefore(self.raw)) end
function Certificate:notafter() return time_of(crypto.X509_get0_notAfter(self.raw)) end

--- validat(Unix seconds) -> boolean
function Certificate:validat(seconds)
  if type(seconds) ~= "number" then
    misuse(("bad argument #2 to 'validat' (number expected, got %s)"):format(type(seconds)))
  end
  local at = ffi.new("long[1]", seconds)
  return crypto.X509_cmp_time(crypto.X509_get0_notAfter(self.raw), at) >= 0
    and crypto.X509_cmp_time(crypto.X509_get0_notBefore(self.raw), at) <= 0
end

function Certificate:pem()
  return library.written(function(bio) return crypto.PEM_write_bio_X509(bio, self.raw) end)
end

local digests = { sha1 = true, sha256 = true, sha512 = true }

--- digest(["sha1"|"sha256"|"sha512"]) -> in hexadecimal | nil, err
function Certificate:digest(name)
  name = name or "sha1"
  if not digests[name] then return nil, ("digest algorithm not supported (%s)"):format(tostring(name)) end
  local bytes, n = ffi.new "unsigned char[64]", ffi.new "unsigned[1]"
  if crypto.X509_digest(self.raw, crypto.EVP_get_digestbyname(name), bytes, n) ~= 1 then
    return nil, library.reason()
  end
  return (ffi.string(bytes, n[0]):gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

function Certificate:getsignaturename()
  local nid = crypto.X509_get_signature_nid(self.raw)
  local name = crypto.OBJ_nid2sn(nid)
  return name ~= nil and ffi.string(name) or nil
end

local kinds = { [6] = "RSA", [116] = "DSA", [28] = "DH", [408] = "EC" }

--- pubkey() -> PEM, kind, bits
function Certificate:pubkey()
  local key = crypto.X509_get_pubkey(self.raw)
  if key == nil then return nil, library.reason() end
  local text = library.written(function(bio) return crypto.PEM_write_bio_PUBKEY(bio, key) end)
  local kind, bits = kinds[crypto.EVP_PKEY_get_base_id(key)] or "Unknown", crypto.EVP_PKEY_get_bits(key)
  crypto.EVP_PKEY_free(key)
  return text, kind, bits
end

---------------------------------------------------------------------------------------------------
-- extensions and issuers

-- [GENERAL_NAME's type] = the field's name
local general = { [1] = "rfc822Name", [2] = "dNSName", [6] = "uniformResourceIdentifier", [7] = "iPAddress" }

local function address_of(bytes)
  if #bytes == 4 then return ("%d.%d.%d.%d"):format(bytes:byte(1, 4)) end
  local text = ffi.new "char[64]"
  return #bytes == 16 and ffi.string(ffi.C.moonpark_luasec_ntop(10, bytes, text, 64)) or bytes
end

local function add_general(self, found, name)
  name = ffi.cast("struct moonpark_luasec_name *", name)
  local field = general[name.type]
  if field then
    local text = text_of(self, name.value)
    found[field] = found[field] or {}
    table.insert(found[field], field == "iPAddress" and address_of(text) or text)
  end
  crypto.GENERAL_NAME_free(name)
end

local ALTERNATIVE = 85 -- NID_subject_alt_name

--- extensions() -> [number of the extension] = {name, dNSName = {...}, iPAddress = {...}, ...}: the subject's names
function Certificate:extensions()
  local all = {}
  local at = crypto.X509_get_ext_by_NID(self.raw, ALTERNATIVE, -1)
  while at >= 0 do
    local extension = crypto.X509_get_ext(self.raw, at)
    local name, oid = object_name(crypto.X509_EXTENSION_get_object(extension))
    local found = all[oid] or { name = name }
    all[oid] = found
    local names = crypto.X509V3_EXT_d2i(extension)
    if names ~= nil then
      for i = 0, crypto.OPENSSL_sk_num(names) - 1 do add_general(self, found, crypto.OPENSSL_sk_value(names, i)) end
      crypto.OPENSSL_sk_free(names)
    end
    at = crypto.X509_get_ext_by_NID(self.raw, ALTERNATIVE, at)
  end
  return all
end

local function verify(store, chain, root, raw, chains)
  crypto.X509_STORE_add_cert(store, root.raw)
  for _, one in ipairs(chains) do crypto.OPENSSL_sk_push(chain, one.raw) end
  local work = crypto.X509_STORE_CTX_new()
  local ok, code = false, 1
  if crypto.X509_STORE_CTX_init(work, store, raw, chain) == 1 then
    ok = crypto.X509_verify_cert(work) == 1
    code = crypto.X509_STORE_CTX_get_error(work)
  end
  crypto.X509_STORE_CTX_free(work)
  crypto.ERR_clear_error()
  return ok, ffi.string(crypto.X509_verify_cert_error_string(code))
end

--- root:issued(certificate, [others between them, ...]) -> true | nil, err
function Certificate:issued(certificate, ...)
  local others = { ... }
  for i, one in ipairs { certificate, ... } do
    if getmetatable(one) ~= Certificate then
      misuse(("bad argument #%d to 'issued' (SSL:Certificate expected)"):format(i + 1))
    end
  end
  local store, chain = crypto.X509_STORE_new(), crypto.OPENSSL_sk_new_null()
  local ok, err = verify(store, chain, self, certificate.raw, others)
  crypto.OPENSSL_sk_free(chain)
  crypto.X509_STORE_free(store)
  if ok then return true end
  return nil, err
end

return M

-- SPDX-License-Identifier: MIT
-- crypto.lua - libcrypto and zlib for the digests and encodings of ngx. libcrypto is loaded so that libraries of
-- OpenResty, which call it as ffi.C, find its symbols, too.

local ffi = require "ffi"
local misuse = require("moonpark.ngx.words").misuse

ffi.cdef [[
  unsigned char *moonpark_ngx_md5(const char *, size_t, unsigned char *) __asm__("MD5");
  unsigned char *moonpark_ngx_sha1(const char *, size_t, unsigned char *) __asm__("SHA1");
  const void *moonpark_ngx_evp_sha1(void) __asm__("EVP_sha1");
  unsigned char *moonpark_ngx_hmac(const void *, const char *, int, const char *, size_t, unsigned char *, unsigned *)
    __asm__("HMAC");
  int moonpark_ngx_encode(unsigned char *, const char *, int) __asm__("EVP_EncodeBlock");
  int moonpark_ngx_decode(unsigned char *, const char *, int) __asm__("EVP_DecodeBlock");
  unsigned long moonpark_ngx_crc32(unsigned long, const char *, unsigned) __asm__("crc32");
]]

local function load_global(...)
  for _, name in ipairs { ... } do
    local found, library = pcall(ffi.load, name, true)
    if found then return library end
  end
  error(("%s cannot be loaded"):format((...)), 0)
end

local crypto, zlib = load_global("libcrypto.so.3", "crypto"), load_global("libz.so.1", "z")
local bytes = ffi.new("unsigned char[64]")

local M = { library = crypto }

-- nil and false are no text.
local function text_of(data)
  if type(data) == "string" then return data end
  return data and tostring(data) or ""
end

-- Of what must be a text, or a number.
local function must_be_text(data, number, name)
  if type(data) == "string" then return data end
  if type(data) == "number" then return tostring(data) end
  misuse(("bad argument #%d to '%s' (string expected, got %s)"):format(number, name, type(data)))
end

function M.md5_bin(data)
  data = text_of(data)
  crypto.moonpark_ngx_md5(data, #data, bytes)
  return ffi.string(bytes, 16)
end

function M.sha1_bin(data)
  data = text_of(data)
  crypto.moonpark_ngx_sha1(data, #data, bytes)
  return ffi.string(bytes, 20)
end

local function hex_of(data) return (data:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end

M.to_hex = hex_of

function M.md5(data) return hex_of(M.md5_bin(data)) end

function M.hmac_sha1(key, data)
  key, data = must_be_text(key, 1, "hmac_sha1"), must_be_text(data, 2, "hmac_sha1")
  local length = ffi.new("unsigned[1]")
  crypto.moonpark_ngx_hmac(crypto.moonpark_ngx_evp_sha1(), key, #key, data, #data, bytes, length)
  return ffi.string(bytes, length[0])
end

function M.crc32(data)
  data = text_of(data)
  return tonumber(zlib.moonpark_ngx_crc32(0, data, #data))
end

--- encode_base64(data[, without padding])
function M.encode_base64(data, bare)
  data = text_of(data)
  if bare ~= nil and type(bare) ~= "boolean" then
    misuse(("bad argument #2 to 'encode_base64' (bad no_padding: boolean expected, got %s)"):format(type(bare)))
  end
  local out = ffi.new("unsigned char[?]", math.floor(#data / 3) * 4 + 8)
  local text = ffi.string(out, crypto.moonpark_ngx_encode(out, data, #data))
  return bare and text:gsub("=+$", "") or text
end

--- -> data | nil: what stands after a "=" does not count
function M.decode_base64(text)
  if type(text) ~= "string" then misuse "bad argument #1 to 'decode_base64' (string argument only)" end
  text = text:match "^[^=]*"
  if text:find "[^%w+/]" or #text % 4 == 1 then return nil end
  local padding = -#text % 4
  local out = ffi.new("unsigned char[?]", #text + 8)
  local n = crypto.moonpark_ngx_decode(out, text .. ("="):rep(padding), #text + padding)
  return n >= 0 and ffi.string(out, n - padding) or nil
end

local to_url, from_url = { ["+"] = "-", ["/"] = "_" }, { ["-"] = "+", ["_"] = "/" }

function M.encode_base64url(data)
  if type(data) ~= "string" then return nil, "must provide a string" end
  return (M.encode_base64(data, true):gsub("[+/]", to_url))
end

function M.decode_base64url(text)
  if type(text) ~= "string" then return nil, "must provide a string" end
  text = text:match "^[^=]*"
  if text:find "[^%w_-]" then return nil, "invalid input" end
  local data = M.decode_base64((text:gsub("[-_]", from_url)))
  if not data then return nil, "invalid input" end
  return data
end

return M

-- SPDX-License-Identifier: MIT
-- digest.lua - the modules resty.md5, resty.sha1, ... and resty.random, which come with OpenResty, on libcrypto's EVP.

local crypto = require "moonpark.ngx.crypto"
local ffi = require "ffi"

ffi.cdef [[
  void *moonpark_ngx_md_new(void) __asm__("EVP_MD_CTX_new");
  void moonpark_ngx_md_free(void *) __asm__("EVP_MD_CTX_free");
  const void *moonpark_ngx_md_named(const char *) __asm__("EVP_get_digestbyname");
  int moonpark_ngx_md_init(void *, const void *, void *) __asm__("EVP_DigestInit_ex");
  int moonpark_ngx_md_update(void *, const char *, size_t) __asm__("EVP_DigestUpdate");
  int moonpark_ngx_md_final(void *, unsigned char *, unsigned *) __asm__("EVP_DigestFinal_ex");
  int moonpark_ngx_random(unsigned char *, int) __asm__("RAND_bytes");
]]

local library, misuse = crypto.library, require("moonpark.ngx.words").misuse

local M = {}

local Digest = {}
Digest.__index = Digest

--- update(data[, length]) -> true | false
function Digest:update(data, length)
  if type(data) == "number" then data = tostring(data)
  elseif type(data) ~= "string" then
    misuse(("bad argument #1 to 'update' (string expected, got %s)"):format(type(data)))
  end
  length = length or #data
  if type(length) ~= "number" or not (length >= 0 and length <= #data) then
    misuse "bad argument #2 to 'update' (a length within the string expected)"
  end
  return library.moonpark_ngx_md_update(self.context, data, length) == 1
end

--- final() -> the digest, in bytes
function Digest:final()
  local bytes, n = ffi.new("unsigned char[64]"), ffi.new("unsigned[1]")
  if library.moonpark_ngx_md_final(self.context, bytes, n) ~= 1 then return nil end
  return ffi.string(bytes, n[0])
end

function Digest:reset() return library.moonpark_ngx_md_init(self.context, self.kind, nil) == 1 end

-- The module of one kind.
local function module_of(name)
  return { _VERSION = "0.11", new = function()
    local kind = library.moonpark_ngx_md_named(name)
    local context = library.moonpark_ngx_md_new()
    if kind == nil or context == nil then return nil end
    local self = setmetatable({ kind = kind, context = ffi.gc(context, library.moonpark_ngx_md_free) }, Digest)
    return self:reset() and self or nil
  end }
end

local random = {
  --- bytes(n) -> that many random bytes
  bytes = function(n)
    if type(n) ~= "number" or not (n >= 0 and n < 2^31) then
      misuse "bad argument #1 to 'bytes' (number of bytes expected)"
    end
    local bytes = ffi.new("unsigned char[?]", n)
    if library.moonpark_ngx_random(bytes, n) ~= 1 then return nil end
    return ffi.string(bytes, n)
  end,
}

--- [the module's name] = what makes it
M.preload = { ["resty.random"] = function() return random end }
for _, name in ipairs { "md5", "sha1", "sha224", "sha256", "sha384", "sha512" } do
  M.preload["resty." .. name] = function() return module_of(name) end
end

return M

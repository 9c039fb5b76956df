-- SPDX-License-Identifier: MIT
-- decode.lua - gzip and brotli, if their libraries are installed (libz.so.1, libbrotlidec.so.1).
--
-- Decoded bytes are returned in pieces, so the reader decides how much to take: a small message that unpacks to
-- gigabytes costs one piece at a time.

local ffi = require "ffi"
local shared_library = require "moonpark.shared_library"

local M = {}

local PIECE = 65536 -- bytes

ffi.cdef [[
  struct moonpark_inflate {
    const uint8_t *next_in;
    unsigned int avail_in;
    unsigned long total_in;
    uint8_t *next_out;
    unsigned int avail_out;
    unsigned long total_out;
    const char *msg;
    void *state, *zalloc, *zfree, *opaque;
    int data_type;
    unsigned long adler, reserved;
  };
  struct moonpark_unbrotli;
]]

-- Each under a name of its own: another module may have declared the library's with types of its own.
local inflate_functions = [[
  int moonpark_inflate_init(struct moonpark_inflate *z, int bits, const char *version, int size) asm("inflateInit2_");
  int moonpark_inflate(struct moonpark_inflate *z, int flush) asm("inflate");
  int moonpark_inflate_reset(struct moonpark_inflate *z) asm("inflateReset");
  int moonpark_inflate_end(struct moonpark_inflate *z) asm("inflateEnd");
]]
local brotli_functions = [[
  struct moonpark_unbrotli *moonpark_unbrotli_new(void *alloc, void *free, void *opaque)
    asm("BrotliDecoderCreateInstance");
  int moonpark_unbrotli_go(struct moonpark_unbrotli *state, size_t *avail_in, const uint8_t **next_in,
    size_t *avail_out, uint8_t **next_out, size_t *total) asm("BrotliDecoderDecompressStream");
  void moonpark_unbrotli_end(struct moonpark_unbrotli *state) asm("BrotliDecoderDestroyInstance");
]]

local libraries = {} -- [name] = the library

-- nil: it is not there, or not enough memory is; so that is not remembered.
local function library(name, functions)
  local found = libraries[name]
  if found then return found end
  local lib = shared_library.load(name)
  if not lib then return nil end
  ffi.cdef(functions)
  libraries[name] = lib
  return lib
end

local function zlib() return library("libz.so.1", inflate_functions) end
local function brotli() return library("libbrotlidec.so.1", brotli_functions) end

---@class moonpark.http.decoder
---@field push fun(self, data: string) what the next pulls are made of
---@field pull fun(self): string|nil|false, string? a piece; nil: push more; false: "invalid encoding", ...
---@field is_complete fun(self): boolean may the message end here?

---------------------------------------------------------------------------------------------------
-- gzip (RFC 1952): members may follow each other

local GZIP_BITS, Z_OK, Z_STREAM_END, Z_BUF_ERROR, Z_MEM_ERROR = 15 + 16, 0, 1, -5, -4

local Gunzip = {}
Gunzip.__index = Gunzip

local function new_gunzip(lib)
  local z = ffi.gc(ffi.new("struct moonpark_inflate"), lib.moonpark_inflate_end) -- does nothing to what has no state
  if lib.moonpark_inflate_init(z, GZIP_BITS, "1.2.11", ffi.sizeof(z)) ~= Z_OK then return nil end
  return setmetatable({ lib = lib, z = z, out = ffi.new("uint8_t[?]", PIECE), complete = false }, Gunzip)
end

function Gunzip:push(data)
  self.input = data -- keeps the bytes where they are
  self.z.next_in, self.z.avail_in = ffi.cast("const uint8_t *", data), #data
end

function Gunzip:pull()
  local z, lib = self.z, self.lib
  z.next_out, z.avail_out = self.out, PIECE
  while z.avail_out > 0 do
    if self.complete then
      if z.avail_in == 0 then break end
      lib.moonpark_inflate_reset(z)
      self.complete = false
    end
    local got = lib.moonpark_inflate(z, 0)
    if got == Z_STREAM_END then self.complete = true
    elseif got == Z_BUF_ERROR then break
    elseif got == Z_MEM_ERROR then return false, "not enough memory"
    elseif got ~= Z_OK then return false, "invalid encoding" end
  end
  local n = PIECE - z.avail_out
  if n > 0 then return ffi.string(self.out, n) end
end

function Gunzip:is_complete() return self.complete end

---------------------------------------------------------------------------------------------------
-- brotli (RFC 7932)

local BROTLI_ERROR, BROTLI_SUCCESS = 0, 1

local Unbrotli = {}
Unbrotli.__index = Unbrotli

local function new_unbrotli(lib)
  local state = lib.moonpark_unbrotli_new(nil, nil, nil)
  if state == nil then return nil end
  if not pcall(ffi.gc, state, lib.moonpark_unbrotli_end) then
    lib.moonpark_unbrotli_end(state)
    return nil
  end
  return setmetatable({
    lib = lib, state = state, out = ffi.new("uint8_t[?]", PIECE),
    next_in = ffi.new("const uint8_t *[1]"), avail_in = ffi.new("size_t[1]"),
    next_out = ffi.new("uint8_t *[1]"), avail_out = ffi.new("size_t[1]"), complete = false,
  }, Unbrotli)
end

function Unbrotli:push(data)
  self.input = data
  self.next_in[0], self.avail_in[0] = ffi.cast("const uint8_t *", data), #data
end

function Unbrotli:pull()
  if self.complete then
    if self.avail_in[0] > 0 then return false, "invalid encoding" end
    return nil
  end
  self.next_out[0], self.avail_out[0] = self.out, PIECE
  local got = self.lib.moonpark_unbrotli_go(self.state, self.avail_in, self.next_in, self.avail_out, self.next_out, nil)
  if got == BROTLI_ERROR then return false, "invalid encoding" end
  self.complete = got == BROTLI_SUCCESS
  local n = PIECE - tonumber(self.avail_out[0])
  if n > 0 then return ffi.string(self.out, n) end
end

function Unbrotli:is_complete() return self.complete end

---------------------------------------------------------------------------------------------------

local makers = {
  gzip = function() local lib = zlib(); return lib and new_gunzip(lib) end,
  br = function() local lib = brotli(); return lib and new_unbrotli(lib) end,
}
makers["x-gzip"] = makers.gzip

--- The value of an Accept-Encoding field: what can be decoded here; nil: nothing.
---@return string|nil
function M.accepted()
  local names = {}
  if zlib() then names[1] = "gzip" end
  if brotli() then names[#names + 1] = "br" end
  return names[1] and table.concat(names, ", ") or nil
end

--- A decoder for the value of a Content-Encoding field; nil if it is not known here.
---@param coding string
---@return moonpark.http.decoder|nil
function M.new(coding)
  local make = makers[coding:lower()]
  return make and make() or nil
end

return M

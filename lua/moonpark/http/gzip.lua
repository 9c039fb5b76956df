-- SPDX-License-Identifier: MIT
-- gzip.lua - gzip by zlib, if it is installed: whole bodies and streams.

local ffi = require "ffi"
local http_codec = require "moonpark.http.codec"
local shared_library = require "moonpark.shared_library"

local z = shared_library.load("libz.so.1", "z")
if not z then return nil end

-- Names of our own: another module may declare the same functions in other words. Once: this file may be loaded again.
local declared = pcall(ffi.typeof, "moonpark_gzip_stream")
if not declared then ffi.cdef [[
typedef struct {
  const uint8_t *next_in; unsigned available_in; unsigned long total_in;
  uint8_t *next_out; unsigned available_out; unsigned long total_out;
  const char *text; void *state; void *allocate; void *release; void *opaque;
  int data_type; unsigned long adler; unsigned long reserved;
} moonpark_gzip_stream;
const char *moonpark_gzip_version(void) __asm__("zlibVersion");
int moonpark_gzip_init(moonpark_gzip_stream *s, int level, int method, int window, int memory, int strategy,
                       const char *version, int size) __asm__("deflateInit2_");
int moonpark_gzip_step(moonpark_gzip_stream *s, int flush) __asm__("deflate");
int moonpark_gzip_reset(moonpark_gzip_stream *s) __asm__("deflateReset");
int moonpark_gzip_end(moonpark_gzip_stream *s) __asm__("deflateEnd");
]] end

local DEFLATED, GZIP_WINDOW, MEMORY = 8, 15 + 16, 8
local PIECE = http_codec.PIECE
local KEPT = 16 -- idle streams: one takes 256 KiB, and as long to make as a small body to compress

local scratch = ffi.new("uint8_t[?]", PIECE)
local idle = {} -- [level] = list of streams

local function open(level)
  local list = idle[level]
  local s = list and table.remove(list)
  if s then return s end
  s = ffi.gc(ffi.new "moonpark_gzip_stream", z.moonpark_gzip_end) -- which does nothing to what has no state
  local r = z.moonpark_gzip_init(s, level, DEFLATED, GZIP_WINDOW, MEMORY, 0, z.moonpark_gzip_version(), ffi.sizeof(s))
  if r ~= 0 then error("zlib: not enough memory") end
  return s
end

local function close(s, level)
  idle[level] = idle[level] or {}
  if #idle[level] < KEPT and z.moonpark_gzip_reset(s) == 0 then table.insert(idle[level], s) end
end

-- All that zlib gives for the n bytes. `scratch` is everybody's: nothing in here waits.
local function step(s, bytes, n, flush, parts)
  s.next_in, s.available_in = bytes, n
  repeat
    s.next_out, s.available_out = scratch, PIECE
    z.moonpark_gzip_step(s, flush)
    parts[#parts + 1] = ffi.string(scratch, PIECE - s.available_out)
  until s.available_out > 0
end

-- Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FINISH
return http_codec.new("gzip", { open = open, step = step, close = close, PROCESS = 0, FLUSH = 2, FINISH = 4 })

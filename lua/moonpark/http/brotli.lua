-- SPDX-License-Identifier: MIT
-- http_brotli.lua - brotli by Google's library, where that is installed: whole bodies and streams.

local ffi = require "ffi"
local http_codec = require "moonpark.http.codec"
local shared_library = require "moonpark.shared_library"

local brotli = shared_library.load("libbrotlienc.so.1", "brotlienc")
if not brotli then return nil end

-- Names of our own: another module may declare the same functions in other words. Once: this file may be loaded again.
local declared = pcall(ffi.typeof, "moonpark_brotli")
if not declared then ffi.cdef [[
typedef struct moonpark_brotli moonpark_brotli;
moonpark_brotli *moonpark_brotli_new(void *allocate, void *release, void *opaque)
  __asm__("BrotliEncoderCreateInstance");
int moonpark_brotli_set(moonpark_brotli *s, int parameter, uint32_t value) __asm__("BrotliEncoderSetParameter");
int moonpark_brotli_step(moonpark_brotli *s, int operation, size_t *available_in, const uint8_t **next_in,
                         size_t *available_out, uint8_t **next_out, size_t *total)
  __asm__("BrotliEncoderCompressStream");
const uint8_t *moonpark_brotli_take(moonpark_brotli *s, size_t *n) __asm__("BrotliEncoderTakeOutput");
int moonpark_brotli_has_more(moonpark_brotli *s) __asm__("BrotliEncoderHasMoreOutput");
void moonpark_brotli_free(moonpark_brotli *s) __asm__("BrotliEncoderDestroyInstance");
]] end

local QUALITY, WINDOW, SIZE_HINT = 1, 2, 5
local WINDOW_BITS = 18 -- 256 KiB: what an encoder takes of memory grows with it

local function open(quality, size)
  local s = brotli.moonpark_brotli_new(nil, nil, nil)
  if s == nil then error("brotli: not enough memory") end
  local held, wrong = pcall(ffi.gc, s, brotli.moonpark_brotli_free)
  if not held then
    brotli.moonpark_brotli_free(s)
    error(wrong, 0)
  end
  brotli.moonpark_brotli_set(s, QUALITY, quality)
  brotli.moonpark_brotli_set(s, WINDOW, WINDOW_BITS)
  if size then brotli.moonpark_brotli_set(s, SIZE_HINT, math.min(size, 2 ^ 30)) end
  return s
end

local function close(s) brotli.moonpark_brotli_free(ffi.gc(s, nil)) end

local in_size, in_at = ffi.new "size_t[1]", ffi.new "const uint8_t *[1]"
local out_size, out_at = ffi.new "size_t[1]", ffi.new "uint8_t *[1]"

-- All that the encoder gives for the n bytes. The cells above are everybody's: nothing in here waits.
local function step(s, bytes, n, operation, parts)
  in_size[0], in_at[0] = n, bytes
  repeat
    out_size[0], out_at[0] = 0, nil
    if brotli.moonpark_brotli_step(s, operation, in_size, in_at, out_size, out_at, nil) == 0 then
      error("brotli: the encoder failed")
    end
    out_size[0] = 0
    local out = brotli.moonpark_brotli_take(s, out_size)
    parts[#parts + 1] = ffi.string(out, out_size[0])
  until in_size[0] == 0 and brotli.moonpark_brotli_has_more(s) == 0
end

return http_codec.new("br", { open = open, step = step, close = close, PROCESS = 0, FLUSH = 1, FINISH = 2 })

-- SPDX-License-Identifier: MIT
-- http_gzip.lua - gzip by zlib, where that is installed: whole bodies and streams.

local core = require "moonpark.core"
local ffi = require "ffi"

local found, z
for _, name in ipairs { "libz.so.1", "z" } do
  found, z = pcall(ffi.load, name)
  if found then break end
end
if not found then return nil end

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

local NO_FLUSH, SYNC_FLUSH, FINISH = 0, 2, 4
local DEFLATED, GZIP_WINDOW, MEMORY = 8, 15 + 16, 8
local PIECE = 65536  -- bytes that are compressed before others run
local KEPT = 16      -- idle streams: one takes 256 KiB, and as long to make as a small body to compress

local M = { name = "gzip" }

local scratch = ffi.new("uint8_t[?]", PIECE)
local idle = {} -- [level] = list of streams

local function open(level)
  local list = idle[level]
  local s = list and table.remove(list)
  if s then return s end
  s = ffi.new "moonpark_gzip_stream"
  local r = z.moonpark_gzip_init(s, level, DEFLATED, GZIP_WINDOW, MEMORY, 0, z.moonpark_gzip_version(), ffi.sizeof(s))
  if r ~= 0 then error("zlib: not enough memory") end
  return ffi.gc(s, z.moonpark_gzip_end)
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

-- The bytes of the text, in pieces between which other tasks run.
local function steps(s, text, flush, parts)
  local bytes = ffi.cast("const uint8_t *", text)
  local at = 0
  while #text - at > PIECE do
    step(s, bytes + at, PIECE, NO_FLUSH, parts)
    at = at + PIECE
    core.yield()
  end
  step(s, bytes + at, #text - at, flush, parts)
end

--- The whole body. Large ones let others run.
---@param text string
---@param level integer 1 to 9
---@return string
function M.whole(text, level)
  local s, parts = open(level), {}
  steps(s, text, FINISH, parts)
  close(s, level)
  return table.concat(parts)
end

local Stream = {}
Stream.__index = Stream

--- What was given so far can be read once this has arrived.
---@param data string
---@return string
function Stream:piece(data)
  local parts = {}
  steps(self.s, tostring(data), SYNC_FLUSH, parts)
  return table.concat(parts)
end

---@return string
function Stream:last()
  local parts = {}
  step(self.s, nil, 0, FINISH, parts)
  close(self.s, self.level)
  self.s = nil
  return table.concat(parts)
end

--- A body in pieces.
---@param level integer
function M.stream(level) return setmetatable({ s = open(level), level = level }, Stream) end

return M

-- SPDX-License-Identifier: MIT
-- support/edge.lua - bytes that end where memory ends: a read of one byte behind them is a crash.

local ffi = require "ffi"

if not pcall(function() return ffi.C.mprotect end) then
  ffi.cdef [[
    void *mmap(void *at, size_t length, int protection, int flags, int fd, long offset);
    int mprotect(void *at, size_t length, int protection);
  ]]
end

local PROT_NONE, PROT_READ_WRITE = 0, 3
local MAP_PRIVATE_ANONYMOUS = 0x22 -- Linux
local ROOM, PAGES = 65536, 65536   -- any system's page divides these

local memory = ffi.cast("char *", ffi.C.mmap(nil, ROOM + PAGES, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0))
assert(ffi.cast("intptr_t", memory) ~= -1, "mmap")
assert(ffi.C.mprotect(memory + ROOM, PAGES, PROT_NONE) == 0, "mprotect")

local M = { room = ROOM }

--- Where the bytes are now, until the next call. Before them are those of the call before, never zeros only.
---@param bytes string
function M.place(bytes)
  assert(#bytes <= ROOM, "too many bytes")
  local at = memory + (ROOM - #bytes)
  ffi.copy(at, bytes, #bytes)
  return at
end

return M

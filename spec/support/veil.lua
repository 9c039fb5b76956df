-- SPDX-License-Identifier: MIT
-- support/veil.lua - connections over veil.c's stream, which is as awkward as TLS may be.
--
--   veil.over(a, b)                 both ends of a fresh pair are veiled from now on: a says the first word
--   veil.listener(listener)         and so is each connection that it accepts
--   veil.manner.odds = 4            one answer in four is "again" without need; see veil.c for the others
--   veil.reset()                    the manner and the numbers are as in the beginning

local core = require "moonpark.core"
local ffi = require "ffi"

if not pcall(ffi.typeof, "struct veil_manner") then
  ffi.cdef [[
    struct veil_manner { uint32_t seed, odds, record; bool stubborn, silent; };
    extern struct veil_manner veil_manner;
    extern uint32_t veil_count[3];
    extern const char veil_layer[1];
  ]]
end

local path = assert(package.searchpath("moonpark.core", package.cpath))
local lib = ffi.load((path:gsub("moonpark/core%.so$", "veil.so")))
local LAYER = tonumber(ffi.cast("uintptr_t", ffi.cast("const void *", lib.veil_layer)))

local M = { manner = lib.veil_manner, count = lib.veil_count }

function M.reset()
  local manner = lib.veil_manner
  manner.seed, manner.odds, manner.record, manner.stubborn, manner.silent = 1, 4, 61, false, false
  for i = 0, 2 do lib.veil_count[i] = 0 end
end

--- Veils one end; `accepts`: the other one says the first word.
function M.one(conn, accepts) return core.layer(conn, LAYER, accepts or false) end

function M.over(a, b)
  assert(M.one(a, false))
  assert(M.one(b, true))
  return a, b
end

function M.listener(listener) return core.layer(listener, LAYER) end

M.handshake = core.handshake

return M

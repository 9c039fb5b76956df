-- SPDX-License-Identifier: MIT
-- shared.lua - dicts of the units for specs: opened from a descriptor, and read as plain tables.

local ffi = require "ffi"
local units = require "support.units"
local lib, C = units.lib, ffi.C

local M = {}

--- Called around each call of a dict that may change it.
function M.around() end

local function call(fn, ...)
  M.around()
  local r = fn(...)
  M.around()
  return r
end

local types = { string = C.SHARD_STRING, number = C.SHARD_NUMBER }

--- A value as the units take it. It must stay reachable, as its bytes are the string's.
function M.value(value)
  local v = ffi.new "struct shard_value"
  if type(value) == "string" then
    v.bytes, v.length = value, #value
  elseif type(value) == "number" then
    v.number = value
  end
  v.type = value == nil and C.SHARD_NONE or types[type(value)] or (value and C.SHARD_TRUE or C.SHARD_FALSE)
  return v
end

local function plain(v)
  if v.type == C.SHARD_STRING then return ffi.string(v.bytes, v.length) end
  if v.type == C.SHARD_NUMBER then return v.number end
  return v.type == C.SHARD_TRUE
end

-- The first word of a place, which is a robust mutex: 0, or its owner and flags.
local FREE, OWNER_DIED = 0, 0x40000000 -- FUTEX_OWNER_DIED

--- Memory with these bytes, as others would find it if the process of the place `dead` had died. Another place may be
--- free. -> a descriptor
function M.copy(bytes, dead, free)
  local fd, at = lib.sys_memfd("copy", #bytes), ffi.new "void *[1]"
  assert(lib.sys_map(at, fd, #bytes) == 0)
  local base = ffi.cast("char *", at[0])
  local function set(place, word) ffi.cast("uint32_t *", base + C.SEGMENT_HEADER + (place - 1) * 64)[0] = word end
  ffi.copy(base, bytes, #bytes)
  if dead then set(dead, OWNER_DIED) end
  if free then set(free, FREE) end
  lib.sys_unmap(base, #bytes)
  return fd
end

---@class support.shared.dict
local Dict = {}
Dict.__index = Dict

--- Opens the dict in that memory, or in new memory -> dict | nil, reason
function M.open(size, fd, name)
  local self = setmetatable({ d = ffi.new "struct dict", clock = ffi.new "struct clock", turn = ffi.new "int64_t[1]" },
    Dict)
  lib.clock_freeze(self.clock)
  self.clock.now = 1000
  self.fd = fd or lib.sys_memfd("spec", size)
  self.d.clock, self.d.turn = self.clock, self.turn
  local r = lib.dict_open(self.d, self.fd, name or "spec", size)
  if r ~= 0 then return nil, r end
  return self
end

function Dict:close() lib.dict_close(self.d) end

function Dict:key(text) return lib.dict_key(self.d, text, #text) end

function Dict:get(text)
  local key, v = ffi.new("struct shard_key[1]", { self:key(text) }), ffi.new "struct shard_value"
  local r = call(lib.dict_get, self.d, key, v)
  assert(r >= 0)
  if r == 1 then return plain(v) end
  return nil
end

local function write(self, how, text, new, old, ttl)
  local key, w = ffi.new("struct shard_key[1]", { self:key(text) }), ffi.new "struct dict_write"
  w.how, w.value, w.old, w.ttl = how, M.value(new), M.value(old), ttl or 0
  return call(lib.dict_write, self.d, key, w), w.evicted
end

--- ttl: ns. -> 0 or a refusal, whether something was evicted
function Dict:set(text, value, ttl) return write(self, C.DICT_SET, text, value, nil, ttl) end
function Dict:add(text, value, ttl) return write(self, C.DICT_ADD, text, value, nil, ttl) end
function Dict:replace(text, value, ttl) return write(self, C.DICT_REPLACE, text, value, nil, ttl) end
function Dict:compare_and_set(text, old, new) return write(self, C.DICT_COMPARE, text, new, old) end

function Dict:incr(text, by, init)
  local key, i = ffi.new("struct shard_key[1]", { self:key(text) }), ffi.new "struct dict_incr"
  i.by, i.may_init, i.init = by, init ~= nil, init or 0
  local r = call(lib.dict_incr, self.d, key, i)
  return r == 0 and i.result or nil, r
end

function Dict:delete(text) return call(lib.dict_delete, self.d, ffi.new("struct shard_key[1]", { self:key(text) })) end

function Dict:expire(text, ttl)
  return call(lib.dict_expire, self.d, ffi.new("struct shard_key[1]", { self:key(text) }), ttl)
end

function Dict:flush() call(lib.dict_flush, self.d) end
function Dict:stats() return lib.dict_stats(self.d) end

--- What is wrong with it, or nil.
function Dict:fault()
  local fault = lib.dict_fault(self.d)
  return fault ~= nil and ffi.string(fault) or nil
end

function Dict:keys(max)
  local list, keys = ffi.new "struct dict_keys", {}
  assert(lib.dict_keys(self.d, max or 1e9, list) == 0)
  for i = 0, tonumber(list.count) - 1 do
    keys[#keys + 1] = ffi.string(list.bytes + list.names[i].at, list.names[i].length)
  end
  lib.dict_keys_fini(list)
  return keys
end

--- The contents in the order of use, as one text. Reading them changes the order, so it is for copies.
function Dict:picture()
  local lines, keys = {}, self:keys()
  for i, key in ipairs(keys) do lines[i] = ("%s = %s"):format(key, tostring(self:get(key))) end
  return table.concat(lines, "\n")
end

return M

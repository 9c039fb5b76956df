-- SPDX-License-Identifier: MIT
-- compiled.lua - the methods of dicts that programs call most, as calls by FFI, which LuaJIT compiles. Whatever is not
-- ordinary goes to the method in C, which says what is wrong.

local core = require "moonpark.core"
local ffi = require "ffi"

local NONE, STRING, NUMBER, FALSE, TRUE = 0, 1, 2, 3, 4 -- shard.h's enum shard_type

local get, set, incr, size = core.shared_calls()
local Value = ffi.typeof "struct { uint32_t type, length; double number; const char *bytes; }"
assert(ffi.sizeof(Value) == size)

get = ffi.cast(ffi.typeof("int (*)(void *, const char *, uint32_t, $ *)", Value), get)
set = ffi.cast(ffi.typeof("int (*)(void *, const char *, uint32_t, const $ *)", Value), set)
incr = ffi.cast("int (*)(void *, const char *, uint32_t, double *)", incr)

local value, number = Value(), ffi.new "double[1]"
local text = ffi.string

local M = {}

local function put(self, key, new)
  local kind = type(new)
  if kind == "string" then
    value.type, value.bytes, value.length = STRING, new, #new
  elseif kind == "number" then
    value.type, value.number = NUMBER, new
  elseif kind == "boolean" then
    value.type = new and TRUE or FALSE
  else
    return -1
  end
  return set(self, key, #key, value)
end

--- Replaces these methods of the class.
---@param class table
function M.install(class)
  local slow_get, slow_set, slow_incr = class.get, class.set, class.incr

  function class.get(self, key)
    if type(self) == "userdata" and type(key) == "string" then
      local kind = get(self, key, #key, value)
      if kind == STRING then return text(value.bytes, value.length) end
      if kind == NUMBER then return value.number end
      if kind == NONE then return nil end
      if kind > 0 then return kind == TRUE end
    end
    return slow_get(self, key)
  end

  function class.set(self, key, new, ttl)
    if ttl == nil and type(self) == "userdata" and type(key) == "string" then
      local evicted = put(self, key, new)
      if evicted >= 0 then return true, evicted == 1 end
    end
    return slow_set(self, key, new, ttl)
  end

  function class.incr(self, key, by, init, ttl)
    if type(self) == "userdata" and type(key) == "string" and (by == nil or type(by) == "number") then
      number[0] = by or 1
      if incr(self, key, #key, number) == 0 then return number[0], false end
    end
    return slow_incr(self, key, by, init, ttl)
  end
end

return M

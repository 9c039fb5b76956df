-- SPDX-License-Identifier: MIT
-- read_into.lua - a read whose bytes go to memory that LuaJIT's FFI has made. What FFI knows of it is checked here: the
-- core gets an address.

local ffi = require "ffi"
local core = require "moonpark.core"

local cast, typeof, sizeof = ffi.cast, ffi.typeof, ffi.sizeof
local read_into = core.read_into

local address_type = typeof "uintptr_t"
local pointer_type = typeof "uint8_t *"

local pointers = { ["char *"] = true, ["signed char *"] = true, ["unsigned char *"] = true, ["void *"] = true }
local elements = { ["char"] = true, ["signed char"] = true, ["unsigned char"] = true }

local kinds = {} -- [number of a C type] = "array", "pointer" or "other": names are looked at once

local function kind_of(ctype, number)
  local name = tostring(ctype):match "^ctype<(.*)>$"
  local element = name:match "^([%a ]-) %[[%d?]+%]$" or name:match "^([%a ]-) %(&%)%[[%d?]+%]$"
  local kind = pointers[name] and "pointer" or elements[element] and "array" or "other"
  kinds[number] = kind
  return kind
end

-- depth: how far below the script's line its caller is.
local function refuse(depth, number, message)
  error(("bad argument #%d to 'read_into' (%s)"):format(number, message), depth + 2)
end

-- The address, and how many bytes there are; nil: FFI does not know.
local function place(target)
  if type(target) ~= "cdata" then refuse(2, 1, "memory of FFI expected, got " .. type(target)) end
  local ctype = typeof(target)
  local number = tonumber(ctype)
  local kind = kinds[number] or kind_of(ctype, number)
  if kind == "other" then refuse(2, 1, "array of bytes or pointer to them expected, got " .. tostring(ctype)) end
  if tonumber(target) then refuse(2, 1, "memory of FFI expected, got a type") end -- only that has a number
  local address = tonumber(cast(address_type, cast(pointer_type, target)))
  if address == 0 then refuse(2, 1, "null pointer") end
  return address, kind == "array" and sizeof(target) or nil
end

local function whole(n, number)
  if type(n) ~= "number" then refuse(2, number, "number expected, got " .. (n == nil and "no value" or type(n))) end
  if not (n >= 0 and n % 1 == 0) then refuse(2, number, "whole number of at least 0 expected") end
  return n
end

---@alias moonpark.read_into fun(self, target: ffi.cdata*, max?: integer, least?: integer): integer|nil, string?, ...

--- Reads into an array of bytes, or to a pointer to bytes. Of an array FFI knows how long it is, of a pointer only the
--- caller.
---@param self moonpark.connection
---@param target ffi.cdata* char, int8_t or uint8_t: an array or a pointer; or void *
---@param max? integer bytes; an array's own size if none is given
---@param least? integer bytes to wait for; max if none is given
---@return integer|nil bytes least to max
---@return string? err "eof" if the stream ends before that, ...
---@return integer? errno
---@return integer? moved how many bytes were read before the failure: they are in the memory, and nowhere else
return function(self, target, max, least)
  local address, size = place(target)
  max = whole(max == nil and size or max, 2)
  least = whole(least == nil and max or least, 3)
  if size and max > size then refuse(1, 2, ("%d bytes do not fit into %d"):format(max, size)) end
  if least > max then refuse(1, 3, ("%d is more than %d"):format(least, max)) end
  return read_into(self, address, max, least, target)
end

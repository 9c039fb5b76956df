-- SPDX-License-Identifier: MIT
-- json.lua - the bytes say how a value is built, and then are a string in one, and JSON. Each value has the text that
-- lua-cjson gives it, but for its slashes, or is refused with its words.

local ffi = require "ffi"
local cjson = require "cjson.safe"
local encode = require("moonpark.core").json_encode

local reference = cjson.new()
reference.encode_max_depth(100)
reference.encode_sparse_array(false, 2, 8)

local DEEP = 150
local PLACES = 4096 -- more would be a long list of nulls each time

-- lua-cjson escapes every slash, the core only one behind '<'.
local function with_plain_slashes(text)
  if not text then return nil end
  text = text:gsub("\\(.)", function(byte) return byte == "/" and "/" or nil end)
  return (text:gsub("</", "<\\/"))
end

local function same(value)
  local text, why = reference.encode(value)
  text = with_plain_slashes(text)
  local got, got_why = encode(value)
  assert(got == text and got_why == why, "lua-cjson writes or refuses something else")
end

local function read_double(bytes, at)
  local eight = bytes:sub(at, at + 7)
  if #eight < 8 or eight:byte(8) % 128 == 127 then return 0, at + #eight end -- among those are bits of no Lua value
  return ffi.cast("const double *", eight)[0], at + 8
end

local function read_string(bytes, at)
  local n = (bytes:byte(at) or 0) % 40
  return bytes:sub(at + 1, at + n), at + 1 + n
end

-- What stands for itself. Whole keys from 2^31 on count as none: lua-cjson counts places with an int.
local constants = { [0] = true, false, cjson.null, print, 0 / 0, 1 / 0, -1 / 0, -0.0 }

local function read_scalar(bytes, at)
  local kind = (bytes:byte(at) or 0) % 24
  if kind < 8 then return constants[kind], at + 1 end
  if kind < 11 then return (bytes:byte(at + 1) or 0) % 16 + 1, at + 2 end
  if kind == 11 then return (bytes:byte(at + 1) or 0) - 100, at + 2 end
  if kind < 16 then return read_double(bytes, at + 1) end
  return read_string(bytes, at + 1)
end

local function as_key(key)
  if type(key) ~= "number" or key <= PLACES or key ~= math.floor(key) then return key end
  return PLACES
end

-- Each piece of bytes goes into the innermost table, as its next item or under a key; or opens a table, or ends one.
local function build(bytes)
  local root = {}
  local open, at = { root }, 1
  while at <= #bytes do
    local action, key, value = bytes:byte(at) % 8, nil, nil
    local inner = open[#open]
    at = at + 1
    if action == 0 then
      if #open > 1 then open[#open] = nil end
    elseif action <= 2 then
      value = {}
      if #open < DEEP then open[#open + 1] = value end
    else
      value, at = read_scalar(bytes, at)
    end
    if action % 2 == 1 then key, at = read_scalar(bytes, at) end
    key = as_key(key)
    if key == nil or key ~= key then key = #inner + 1 end
    inner[key] = value
  end
  return root
end

return function(bytes)
  same(bytes)
  same { [bytes] = bytes }
  same(build(bytes))
  same((cjson.decode(bytes)))
end

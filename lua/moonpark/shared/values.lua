-- SPDX-License-Identifier: MIT
-- values.lua - what scripts share, as strings that mean the same to every process: strings with any bytes, numbers to
-- the last bit, booleans, and tables as JSON. The first byte says which.

local core = require "moonpark.core"

local M = {}

local packers = {
  string = function(value) return "s" .. value end,
  number = function(value) return ("n%.17g"):format(value) end,
  boolean = function(value) return value and "b1" or "b0" end,
  table = function(value)
    local text, why = core.json_encode(value)
    if not text then return nil, ("a table that JSON cannot carry: %s"):format(why) end
    return "t" .. text
  end,
}

--- The packed value, or nil and what it is instead of one that can be shared.
---@param value any
---@return string|nil
---@return string? what "a function", ...
function M.pack(value)
  local pack = packers[type(value)]
  if not pack then return nil, value == nil and "nil" or "a " .. type(value) end
  return pack(value)
end

local decode

local function load_json()
  decode = require "moonpark.cjson" "cjson.safe".new().decode
  return decode
end

local unpackers = {
  s = function(text) return text end,
  n = tonumber,
  b = function(text) return text == "1" end,
  t = function(text) return ((decode or load_json())(text)) end,
}

--- The value again; a table is a new one each time.
---@param packed string
---@return any
function M.unpack(packed) return unpackers[packed:sub(1, 1)](packed:sub(2)) end

return M

-- SPDX-License-Identifier: MIT
-- dict.lua - opens dicts by name; their methods are in C.

local core = require "moonpark.core"
local names = require "moonpark.shared.names"
local check_options = require("moonpark.options").check
local segments = require "moonpark.shared.segments"
require("moonpark.shared.compiled").install(core.shared_dict_class)

local M = {}

local DEFAULT = 1024 * 1024       -- bytes
local LEAST, MOST = 64 * 1024, 2 ^ 40
local LONGEST_NAME = 127          -- bytes

local units = { [""] = 1, k = 1024, m = 1024 ^ 2, g = 1024 ^ 3 }

-- -> bytes, or nil
local function bytes_of(size)
  if type(size) == "number" then return size == math.floor(size) and size or nil end
  if type(size) ~= "string" then return nil end
  local digits, unit = size:lower():match "^(%d+)([kmg]?)$"
  return digits and tonumber(digits) * units[unit] or nil
end

local function check_size(size)
  local bytes = bytes_of(size)
  if not bytes then return false, 'must be a whole number of bytes, or text such as "512k", "10m" or "1g"' end
  if bytes >= LEAST and bytes <= MOST then return true end
  return false, ("must be at least %d bytes and at most %.0f, got %.0f"):format(LEAST, MOST, bytes)
end

local known_options = { size = { check_size }, keep_expired = "boolean" }

--- See shared.lua.
---@param name string
---@param options? moonpark.shared.dict_options
---@return moonpark.shared.dict|nil
---@return string? err
---@return integer? errno
function M.open(name, options)
  names.check("shared.dict", name, LONGEST_NAME, 2)
  options = check_options("shared.dict", options, known_options, 2, 2)
  local wanted = options.size and bytes_of(options.size)
  local dict = names.find("dict", name, wanted, 2)
  if dict then
    if options.keep_expired then dict:keep_expired() end
    return dict
  end
  local size = wanted or DEFAULT
  local made = core.shared_dict()
  local fd, err, errno = segments.open("dict", name, size)
  if not fd then return nil, err, errno end
  local ok, why, number = core.shared_dict_open(made, fd, name, size)
  if ok then
    if options.keep_expired then made:keep_expired() end
    return names.keep("dict", name, size, made)
  end
  if ok == false then error(("shared.dict '%s' %s"):format(name, why), 2) end
  return nil, why, number
end

return M

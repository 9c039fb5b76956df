-- SPDX-License-Identifier: MIT
-- counter.lua - opens counters by name. All counters are in one segment; their methods are in C.

local core = require "moonpark.core"
local names = require "moonpark.shared.names"
local segments = require "moonpark.shared.segments"

local M = {}

local SEGMENT, SIZE = "moonpark.counters", 65536
local LONGEST_NAME = 55 -- bytes

local all -- the segment, once it is open

local function open_all(level)
  local made = core.shared_counters()
  local fd, err, errno = segments.open("counters", SEGMENT, SIZE)
  if not fd then return nil, err, errno end
  local ok, why, number = core.shared_counters_open(made, fd, SEGMENT)
  if ok == false then error(("shared.counter: '%s' %s"):format(SEGMENT, why), level + 1) end
  if not ok then return nil, why, number end
  all = made
  return all
end

--- See shared.lua.
---@param name string
---@return moonpark.shared.counter|nil
---@return string? err
---@return integer? errno
function M.open(name)
  names.check("shared.counter", name, LONGEST_NAME, 2)
  local counter = names.find("counter", name, nil, 2)
  if counter then return counter end
  if not all then
    local ok, err, errno = open_all(2)
    if not ok then return nil, err, errno end
  end
  local made, err = core.shared_counter(all, name)
  if not made then return nil, err end
  return names.keep("counter", name, nil, made)
end

return M

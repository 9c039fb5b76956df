-- SPDX-License-Identifier: MIT
-- conditions.lua - evaluates a request's conditions (RFC 9110 13) and ranges (14) for a file.
-- Takes strings and numbers and returns a verdict: nothing here depends on a connection.

local core = require "moonpark.core"
local http_date = require "moonpark.http.date"
local http_fields = require "moonpark.http.fields"

local M = {}

---------------------------------------------------------------------------------------------------
-- entity tags

-- for weak, tag in each_tag(list): tag with its quotes
local function each_tag(list) return list:gmatch('(W?/?)("[^"]*")') end

-- weakly: W/ does not matter (RFC 9110 8.8.3.2)
local function has_tag(list, etag, weakly)
  for weak, tag in each_tag(list) do
    if tag == etag and (weakly or weak == "") then return true end
  end
  return false
end

local function is_any(list) return list:find("^%s*%*%s*$") ~= nil end

---------------------------------------------------------------------------------------------------
-- conditions

---@class moonpark.http.conditions
---@field if_match string|nil
---@field if_none_match string|nil
---@field if_modified_since string|nil
---@field if_unmodified_since string|nil
---@field if_range string|nil
---@field range string|nil

--- The status that the conditions of a GET or HEAD ask for, in the order of RFC 9110 13.2.2: 412, 304, or nil: none.
---@param asked moonpark.http.conditions
---@param etag string a strong one
---@param modified number whole seconds since 1970
---@return 304|412|nil
function M.check(asked, etag, modified)
  if asked.if_match then
    if not is_any(asked.if_match) and not has_tag(asked.if_match, etag) then return 412 end
  elseif asked.if_unmodified_since then
    local date = http_date.parse(asked.if_unmodified_since)
    if date and modified > date then return 412 end
  end
  if asked.if_none_match then
    if is_any(asked.if_none_match) or has_tag(asked.if_none_match, etag, true) then return 304 end
  elseif asked.if_modified_since then
    local date = http_date.parse(asked.if_modified_since)
    if date and modified <= date then return 304 end
  end
  return nil
end

--- Is a range wanted of the file as it is now? RFC 9110 13.1.5: a tag strongly, a date exactly, and only where the date
--- is strong (8.8.2.2): in the second in which a file has changed it may change again, and have the same date.
---@param if_range string|nil
---@param etag string
---@param modified number whole seconds since 1970
---@param now? number seconds since 1970
---@return boolean
function M.range_holds(if_range, etag, modified, now)
  if not if_range then return true end
  if if_range:find('^%s*"') then return if_range:match('^%s*("[^"]*")%s*$') == etag end
  return http_date.parse(if_range) == modified and (now or core.time()) >= modified + 1
end

---------------------------------------------------------------------------------------------------
-- ranges

local RANGES_MAX = 16

-- {first, last} of one range-spec, counted from 0, both included; false: none of it is there; nil: it is no range
local function read_range(text, size)
  local first, last = text:match("^(%d*)%-(%d*)$")
  if not first or first == "" and last == "" then return nil end
  if first == "" then
    local length = math.min(tonumber(last), size)
    if length == 0 then return false end
    return { size - length, size - 1 }
  end
  first, last = tonumber(first), last ~= "" and tonumber(last) or math.huge
  if last < first then return nil end
  if first >= size then return false end
  return { first, math.min(last, size - 1) }
end

local function overlap(ranges)
  local sorted = { unpack(ranges) }
  table.sort(sorted, function(a, b) return a[1] < b[1] end)
  for i = 2, #sorted do
    if sorted[i][1] <= sorted[i - 1][2] then return true end
  end
  return false
end

--- The ranges that a Range field asks for, {{first, last}, ...} counted from 0 with both ends included; "none" where
--- nothing of them is there (416); nil if the field is to be ignored: it is malformed, of another unit, asks for
--- more than 16 or for overlapping ranges (RFC 9110 14.2), or the file is empty.
---@param text string|nil
---@param size number bytes
---@return number[][]|"none"|nil
function M.ranges(text, size)
  local list = text and text:match("^[Bb][Yy][Tt][Ee][Ss]=(.*)$")
  if not list or size == 0 then return nil end
  local ranges, seen = {}, 0
  for part in list:gmatch("[^,]+") do
    part = http_fields.trim(part)
    if part ~= "" then
      local range = read_range(part, size)
      seen = seen + 1
      if range == nil or seen > RANGES_MAX then return nil end
      if range then ranges[#ranges + 1] = range end
    end
  end
  if seen == 0 then return nil end
  if #ranges == 0 then return "none" end
  if overlap(ranges) then return nil end
  return ranges
end

return M

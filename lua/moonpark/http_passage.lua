-- SPDX-License-Identifier: MIT
-- http_passage.lua - what of a request a proxy lets through to its target: which paths, which protocols, how often it
-- may still be passed on, and the body, whoever has read it before.

local http_fields = require "moonpark.http_fields"

local M = {}

local find = string.find

--- Does a segment of the path mean a step in the tree to somebody who reads it: "." or "..", with dots, slashes and
--- backslashes in any spelling, and whatever stands behind a ";" in it? To pass it on would let the client choose what
--- is asked for, below whatever path the proxy was given.
---@param raw_path string as it was sent
---@return boolean
function M.steps(raw_path)
  if find(raw_path, "[%%\\]") then
    raw_path = raw_path:gsub("%%2[eE]", "."):gsub("%%2[fF]", "/"):gsub("%%5[cC]", "/"):gsub("\\", "/")
  end
  return find(raw_path, "/%.%.?%f[/;%z]") ~= nil
end

local function each_token(list) return list:gmatch("[^,%s]+") end

--- Of the protocols that a request asks for, those that may pass, as a field's value; nil: none.
---@param req moonpark.http.request
---@param allowed table<string, true> names in lower case
---@return string|nil
function M.protocols(req, allowed)
  local passed = {}
  for _, value in ipairs(req:header_values "upgrade") do
    for token in each_token(value) do
      if allowed[token:lower()] then passed[#passed + 1] = token end
    end
  end
  return passed[1] and table.concat(passed, ", ") or nil
end

--- Does the answer switch to protocols that were asked for, and to no others?
---@param fields moonpark.http.fields of the 101
---@param asked string|nil
---@return boolean
function M.switches_to(fields, asked)
  local any = false
  for _, value in ipairs(http_fields.all(fields, "upgrade")) do
    for token in each_token(value) do
      if not asked or not http_fields.lists(asked, token) then return false end
      any = true
    end
  end
  return any
end

--- How often an OPTIONS or TRACE may be passed on by the target (RFC 9110 7.6.2); -1: not even to the target; nil:
--- nothing is said about it.
---@param req moonpark.http.request
---@return integer|nil
function M.forwards_left(req)
  if req.method ~= "OPTIONS" and req.method ~= "TRACE" then return nil end
  local most = req:header "max-forwards"
  return most and find(most, "^%d+$") and math.min(tonumber(most), 2 ^ 31) - 1 or nil
end

--- The body that somebody has read before, all of it; nil: nobody has. Raises where a part of it is gone.
---@param req moonpark.http.request
---@param taken number bytes that were read
---@return string|nil
---@return string? err
function M.held_body(req, taken)
  local held = rawget(req, "body_held") -- by a reading that has failed: nothing is lost
  local all_held = held and #held == taken and not rawget(req, "body_at")
  if all_held or rawget(req, "whole_body") ~= nil then return req:body(math.huge) end
  if taken > 0 then error("http.proxy: some of the request's body has been read already, and not all of it", 0) end
  return nil
end

return M

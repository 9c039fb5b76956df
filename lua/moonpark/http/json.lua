-- SPDX-License-Identifier: MIT
-- json.lua - values to JSON by the core, which writes what lua-cjson would, but for slashes, and back by lua-cjson with
-- settings of our own: strict both ways. lua-cjson is loaded on the first decoding, so that servers without any do not
-- need it.

local core = require "moonpark.core"
local load_module = require "moonpark.cjson"

local OPENING = ("["):byte()

local M = {}

local json

local function load_cjson()
  json = load_module("cjson.safe").new()
  json.decode_invalid_numbers(false) -- hexadecimal ones, NaN and Infinity are no JSON
  json.decode_max_depth(100)
  return json
end

--- The text of a value, or nil and why there is none.
---@type fun(value: any): string|nil, string?
M.encode = core.json_encode

--- The text of a list, which is an array even if it is empty.
---@param list table
---@return string|nil
---@return string? why
function M.encode_list(list)
  if next(list) == nil then return "[]" end
  local text, why = M.encode(list)
  if text and text:byte() ~= OPENING then return nil, "list expected" end
  return text, why
end

--- The value of a text; nil if it is not JSON.
---@param text string
---@return any
function M.decode(text) return ((json or load_cjson()).decode(text)) end

return M

-- SPDX-License-Identifier: MIT
-- http_json.lua - values to JSON and back by lua-cjson, with settings of our own: strict both ways. Loaded when it is
-- needed first, so that servers without JSON need no cjson.

local M = {}

local json

local function load_cjson()
  json = require("cjson.safe").new()
  json.decode_invalid_numbers(false) -- hexadecimal ones, NaN and Infinity are no JSON
  json.decode_max_depth(100)
  json.encode_max_depth(100)
  json.encode_sparse_array(false, 2, 8) -- {[1000] = 1} raises rather than becoming a thousand nulls
  return json
end

--- The text of a value, or nil and why there is none.
---@param value any
---@return string|nil
---@return string? why
function M.encode(value) return (json or load_cjson()).encode(value) end

--- The text of a list, which is an array where it is empty too.
---@param list table
---@return string|nil
---@return string? why
function M.encode_list(list)
  if next(list) == nil then return "[]" end
  local text, why = M.encode(list)
  if text and text:sub(1, 1) ~= "[" then return nil, "list expected" end
  return text, why
end

--- The value of a text; nil where it is no JSON.
---@param text string
---@return any
function M.decode(text) return ((json or load_cjson()).decode(text)) end

return M

-- SPDX-License-Identifier: MIT
-- json.lua - values to JSON and back with lua-cjson, with settings of our own: strict both ways. cjson is loaded on
-- first use, so servers without JSON do not need it.

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

--- The text of a list, which is an array even if it is empty.
---@param list table
---@return string|nil
---@return string? why
function M.encode_list(list)
  if next(list) == nil then return "[]" end
  local text, why = M.encode(list)
  if text and text:sub(1, 1) ~= "[" then return nil, "list expected" end
  return text, why
end

--- The value of a text; nil if it is not JSON.
---@param text string
---@return any
function M.decode(text) return ((json or load_cjson()).decode(text)) end

return M

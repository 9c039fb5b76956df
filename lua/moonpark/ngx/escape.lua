-- SPDX-License-Identifier: MIT
-- escape.lua - URIs, queries and SQL strings as ngx escapes them.

local words = require "moonpark.ngx.words"

local M = {}

local misuse = words.misuse

local hex = {}
for i = 0, 255 do hex[string.char(i)] = ("%%%02X"):format(i) end

-- What is escaped in a component, and in a whole URI (0).
local component, whole = "[^%w!'()*%-._~]", "[%z\1-\32\127-\255%%#?]"

local function text_of(value) return value == nil and "" or tostring(value) end

function M.escape_uri(text, kind)
  if kind ~= nil and type(kind) ~= "number" then
    misuse(("bad argument #2 to 'escape_uri' (number expected, got %s)"):format(type(kind)))
  end
  if kind and (kind < 0 or kind > 8) then
    misuse(("bad argument #2 to 'escape_uri' (\"type\" %s out of range)"):format(kind))
  end
  return (text_of(text):gsub(kind == 0 and whole or component, hex))
end

local function byte_of(digits) return string.char(tonumber(digits, 16)) end

function M.unescape_uri(text)
  return (text_of(text):gsub("+", " "):gsub("%%(%x%x)", byte_of))
end

---------------------------------------------------------------------------------------------------
-- queries

local function check_value(value)
  local kind = type(value)
  if kind ~= "string" and kind ~= "number" and kind ~= "boolean" then
    misuse(("attempt to use %s as query arg value"):format(kind))
  end
end

local function add_arg(parts, name, value)
  check_value(value)
  if value == false then return end
  name = M.escape_uri(name)
  parts[#parts + 1] = value == true and name or name .. "=" .. M.escape_uri(tostring(value))
end

function M.encode_args(args)
  if type(args) ~= "table" then
    misuse(("bad argument #1 to 'encode_args' (table expected, got %s)"):format(type(args)))
  end
  local parts = {}
  for name, value in pairs(args) do
    if type(name) ~= "string" then misuse 'attempt to use a non-string key in the "args" option table' end
    if type(value) == "table" then
      for _, one in ipairs(value) do add_arg(parts, name, one) end
    else add_arg(parts, name, value) end
  end
  return table.concat(parts, "&")
end

local MOST = 100

local function add_decoded(args, name, value)
  local before = args[name]
  if before == nil then args[name] = value
  elseif type(before) == "table" then before[#before + 1] = value
  else args[name] = { before, value } end
end

--- decode_args(text[, most]) -> args[, "truncated"]; 0: as many as there are
function M.decode_args(text, most)
  most = most or MOST
  local args, count = {}, 0
  for part in text:gmatch "[^&]+" do
    local name, value = part:match "^([^=]*)=(.*)$"
    name = M.unescape_uri(name or part)
    if name ~= "" then
      count = count + 1
      if most > 0 and count > most then return args, "truncated" end
      add_decoded(args, name, value and M.unescape_uri(value) or value == nil and true)
    end
  end
  return args
end

---------------------------------------------------------------------------------------------------
-- SQL

local sql = { ["\0"] = "\\0", ["\b"] = "\\b", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\26"] = "\\Z",
  ["\\"] = "\\\\", ["'"] = "\\'", ['"'] = '\\"' }

function M.quote_sql_str(text)
  if type(text) ~= "string" and type(text) ~= "number" then
    misuse(("bad argument #1 to 'quote_sql_str' (string expected, got %s)"):format(type(text)))
  end
  return "'" .. tostring(text):gsub("[%z\b\n\r\t\26\\'\"]", sql) .. "'"
end

return M

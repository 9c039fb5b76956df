-- SPDX-License-Identifier: MIT
-- escape.lua - URIs, queries and SQL strings as ngx escapes them.

local words = require "moonpark.ngx.words"

local M = {}

local misuse = words.misuse

local hex = {}
for i = 0, 255 do hex[string.char(i)] = ("%%%02X"):format(i) end

-- [type] = what is escaped: in a whole URI (0), in arguments, in a component (2), for HTML, for Refresh, for memcached,
-- for the protocol of mail (6).
local classes = { [0] = "[%z\1-\32\127-\255%%#?]", "[%z\1-\32\127-\255%%#?+]", "[^%w!'()*%-._~]",
  "[%z\1-\32\127-\255%%#\"']", "[%z\1-\32\127-\255\"']", "[%z\1-\32%%]", "[%z\1-\32%%]" }
local COMPONENT = 2

-- nil and false are no text.
local function text_of(value)
  if type(value) == "string" then return value end
  return value and tostring(value) or ""
end

function M.escape_uri(text, kind)
  if kind == nil then kind = COMPONENT
  elseif type(kind) ~= "number" then
    misuse "bad argument #2 to 'escape_uri' (\"type\" is not a number)"
  end
  local class = classes[kind - kind % 1]
  if not class then misuse(("bad argument #2 to 'escape_uri' (\"type\" %s out of range)"):format(kind)) end
  return (text_of(text):gsub(class, hex))
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
      for _, one in pairs(value) do add_arg(parts, name, one) end
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

local function add_part(args, part)
  local name, value = part:match "^([^=]*)=(.*)$"
  name = M.unescape_uri(name or part)
  if name ~= "" then add_decoded(args, name, value and M.unescape_uri(value) or value == nil and true) end
end

--- decode_args(text[, most]) -> args[, "truncated"]; 0: as many as there are. Empty parts count.
function M.decode_args(text, most)
  if type(text) == "number" then text = tostring(text)
  elseif type(text) ~= "string" then
    misuse(("bad argument #1 to 'decode_args' (string expected, got %s)"):format(type(text)))
  end
  local limit = most == nil and MOST or type(most) ~= "boolean" and tonumber(most)
  if not limit then misuse(("bad argument #2 to 'decode_args' (number expected, got %s)"):format(type(most))) end
  limit = limit - limit % 1
  local args, count, at = {}, 0, 1
  while true do
    local mark = text:find("&", at, true)
    if not mark then break end
    add_part(args, text:sub(at, mark - 1))
    count, at = count + 1, mark + 1
    if count == limit then return args, "truncated" end
  end
  add_part(args, text:sub(at))
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

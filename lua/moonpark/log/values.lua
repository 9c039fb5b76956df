-- SPDX-License-Identifier: MIT
-- values.lua - any value as JSON that is always valid, and as text that cannot leave its line or talk to a terminal.
--
-- Unlike moonpark.http.json it refuses nothing: what JSON has no word for becomes a string, and what is too deep, too
-- long or inside itself is cut.

local failures = require "moonpark.failures"

local M = {}

local DEPTH = 6          -- of tables in tables
local ITEMS = 100        -- of one table
local STRING = 16384     -- bytes of one string
local MOST = 65536       -- bytes of one value

local byte, find, format, sub = string.byte, string.find, string.format, string.sub
local concat = table.concat
local floor, huge = math.floor, math.huge

---------------------------------------------------------------------------------------------------
-- bytes

-- How many bytes the UTF-8 character at `at` has; nil if it is none: too short, too long for what it says, a surrogate,
-- or beyond the last one.
local function length_at(text, at)
  local first, second = byte(text, at, at + 1)
  if first < 0x80 then return 1 end
  local n = first >= 0xc2 and first < 0xe0 and 2 or first >= 0xe0 and first < 0xf0 and 3
    or first >= 0xf0 and first < 0xf5 and 4
  if not n or not second then return nil end
  local least = first == 0xe0 and 0xa0 or first == 0xf0 and 0x90 or 0x80
  local most = first == 0xed and 0x9f or first == 0xf4 and 0x8f or 0xbf
  if second < least or second > most then return nil end
  for i = at + 2, at + n - 1 do
    local next_byte = byte(text, i)
    if not next_byte or next_byte < 0x80 or next_byte > 0xbf then return nil end
  end
  return n
end

-- Is it a character that a terminal obeys or that turns the line's direction: C1 controls, U+2028 to U+202E, U+2066 to
-- U+2069?
local function is_unsafe(character)
  local first, second, third = byte(character, 1, 3)
  if first == 0xc2 then return second < 0xa0 end
  if first ~= 0xe2 then return false end
  return second == 0x80 and third >= 0xa8 and third <= 0xae or second == 0x81 and third >= 0xa6 and third <= 0xa9
end

local function code_of(character)
  local first, second, third = byte(character, 1, 3)
  if third then return (first % 16 * 64 + second % 64) * 64 + third % 64 end
  return first % 32 * 64 + second % 64
end

-- The text with what is not plain replaced: one_byte(byte) for those below 128 and those that are no UTF-8, wide(code)
-- for characters that are unsafe.
local function replaced(text, plain, one_byte, wide)
  local parts, n, at = {}, 0, 1
  while at <= #text do
    local stop = find(text, plain, at) or #text + 1
    if stop > at then n, parts[n + 1] = n + 1, sub(text, at, stop - 1) end
    at = stop
    if at > #text then break end
    local length = length_at(text, at)
    local character = length and length > 1 and sub(text, at, at + length - 1)
    n = n + 1
    if not character then parts[n] = one_byte(byte(text, at), length ~= nil)
    elseif is_unsafe(character) then parts[n] = wide(code_of(character))
    else parts[n] = character end
    at = at + (length or 1)
  end
  return concat(parts, "", 1, n)
end

local SPECIAL = '[%z\1-\31"\\\127-\255]'
local CONTROL = "[%z\1-\31\127-\255]"

local json_short = { [8] = "\\b", [9] = "\\t", [10] = "\\n", [12] = "\\f", [13] = "\\r", [34] = '\\"', [92] = "\\\\" }
local text_short = { [9] = "\\t", [10] = "\\n", [13] = "\\r", [34] = '\\"', [92] = "\\\\" }

local function json_byte(number, valid)
  if not valid then return "\239\191\189" end -- U+FFFD
  return json_short[number] or format("\\u%04x", number)
end

local function text_byte(number) return text_short[number] or format("\\x%02x", number) end
local function json_wide(code) return format("\\u%04x", code) end
local function text_wide(code) return format("\\u{%x}", code) end

-- At the start of a character, if it is UTF-8.
local function cut(text)
  if #text <= STRING then return text end
  local at = STRING
  while at > STRING - 4 and byte(text, at + 1) >= 0x80 and byte(text, at + 1) < 0xc0 do at = at - 1 end
  return format("%s... (%d bytes)", sub(text, 1, at), #text)
end

--- A string in JSON; bytes that are no UTF-8 become U+FFFD.
---@param text string
---@return string
function M.string(text)
  text = cut(text)
  if not find(text, SPECIAL) then return '"' .. text .. '"' end
  return '"' .. replaced(text, SPECIAL, json_byte, json_wide) .. '"'
end

--- A text in quotes for people: control bytes, and bytes that are no UTF-8, as \n, \x1b.
---@param text string
---@return string
function M.quoted(text)
  text = cut(text)
  if not find(text, SPECIAL) then return '"' .. text .. '"' end
  return '"' .. replaced(text, SPECIAL, text_byte, text_wide) .. '"'
end

--- The same without the quotes, where quotes and backslashes mean nothing.
---@param text string
---@return string
function M.plain(text)
  text = cut(text)
  if not find(text, CONTROL) then return text end
  return replaced(text, CONTROL, text_byte, text_wide)
end

---------------------------------------------------------------------------------------------------
-- values

--- A number in JSON, or nil for one that JSON has no word for.
---@param x number
---@return string|nil
function M.number(x)
  if x ~= x or x == huge or x == -huge then return nil end
  if x == floor(x) and x > -1e15 and x < 1e15 then return format("%d", x) end
  local text = format("%.14g", x)
  return tonumber(text) == x and text or format("%.17g", x)
end

local names_of_numbers = { [huge] = "Infinity", [-huge] = "-Infinity" }

--- The text of what is no string, number, boolean or plain table; never raises.
---@param value any
---@return string
function M.text(value)
  if type(value) == "number" then return M.number(value) or names_of_numbers[value] or "NaN" end
  local text = failures.text(value)
  return type(value) == "cdata" and text:match "^(%-?%d+)U?LL$" or text
end

--- What a line says that is given this value in the place of a text: a plain table as JSON.
---@param value any
---@return string
function M.message(value)
  return type(value) == "table" and not M.has_text(value) and M.json(value) or M.text(value)
end

-- cjson.null and ngx.null
local function is_null(value) return type(value) == "userdata" and failures.text(value) == "userdata: NULL" end

--- Does a table say itself how it is written?
---@param value table
---@return boolean
function M.has_text(value)
  local meta = debug.getmetatable(value)
  return meta ~= nil and rawget(meta, "__tostring") ~= nil
end

-- The first keys of a table; how many places it has if it is a list, else false; whether there are more keys.
local function keys_of(value)
  local keys, n, places = {}, 0, #value
  local is_list = places > 0
  for key in next, value do
    if n == ITEMS then return keys, is_list and places, true end
    n = n + 1
    keys[n] = key
    is_list = is_list and type(key) == "number" and key >= 1 and key <= places and key == floor(key)
  end
  return keys, is_list and places, false
end
jit.off(keys_of) -- as in log.lua

local put -- of the file's end: tables hold values

local function add(out, text)
  out.n = out.n + 1
  out[out.n] = text
  out.size = out.size + #text
end

local function put_list(out, value, places, depth)
  for i = 1, math.min(places, ITEMS) do
    add(out, i == 1 and "[" or ",")
    put(out, rawget(value, i), depth)
  end
  add(out, places > ITEMS and format(',"... %d more"]', places - ITEMS) or "]")
end

local function put_object(out, value, keys, more, depth)
  local texts, values = {}, {}
  for i, key in ipairs(keys) do
    local text = type(key) == "string" and key or M.text(key)
    texts[i], values[text] = text, rawget(value, key)
  end
  table.sort(texts)
  local before = "{"
  for i, text in ipairs(texts) do
    if text ~= texts[i - 1] then
      add(out, before .. M.string(text) .. ":")
      put(out, values[text], depth)
      before = ","
    end
  end
  add(out, before == "{" and "{}" or more and ',"...":"more"}' or "}")
end

local function put_table(out, value, depth)
  if M.has_text(value) then return add(out, M.string(failures.text(value))) end
  if out.inside[value] then return add(out, '"(the table that it is in)"') end
  if depth > DEPTH then return add(out, '"{...}"') end
  out.inside[value] = true
  local keys, places, more = keys_of(value)
  if places then put_list(out, value, places, depth) else put_object(out, value, keys, more, depth) end
  out.inside[value] = nil
end

function put(out, value, depth)
  local kind = type(value)
  if out.size > MOST then return add(out, '"..."') end
  if kind == "string" then return add(out, M.string(value)) end
  if kind == "number" then return add(out, M.number(value) or '"' .. M.text(value) .. '"') end
  if kind == "boolean" then return add(out, value and "true" or "false") end
  if kind == "table" then return put_table(out, value, depth + 1) end
  if kind == "nil" or is_null(value) then return add(out, "null") end
  local text = M.text(value)
  return add(out, kind == "cdata" and find(text, "^%-?%d+$") and text or M.string(text))
end

--- Is it a table with names that people read as name.name=value?
---@param value any
---@return boolean
function M.is_record(value) return type(value) == "table" and not M.has_text(value) and rawget(value, 1) == nil end

--- A value in JSON.
---@param value any
---@return string
function M.json(value)
  local kind = type(value)
  if kind == "string" then return M.string(value) end
  if kind == "number" then return M.number(value) or '"' .. M.text(value) .. '"' end
  if kind == "boolean" then return value and "true" or "false" end
  local out = { n = 0, size = 0, inside = {} }
  put(out, value, 0)
  return concat(out, "", 1, out.n)
end

return M

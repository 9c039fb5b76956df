-- SPDX-License-Identifier: MIT
-- lines.lua - a line of the log: text for people, or JSON. Whatever is logged, it stays one line; in text a traceback
-- follows, in lines that begin with a tab.

local core = require "moonpark.core"
local levels = require "moonpark.log.levels"
local memo = require "moonpark.memo"
local values = require "moonpark.log.values"

local M = {}

local DEPTH, FIELDS = 3, 100 -- of tables in a field of text; of a line

local concat, find, format, sort = table.concat, string.find, string.format, table.sort
local floor = math.floor

---------------------------------------------------------------------------------------------------
-- time

-- os.date in that format, made once for each second, and milliseconds behind it.
local function clock(pattern, behind)
  local last, text
  return function()
    local now = core.time()
    local second = floor(now)
    if second ~= last then last, text = second, os.date(pattern, second) end
    return format("%s.%03d%s", text, floor((now - second) * 1000), behind)
  end
end

--- The time as RFC 3339 writes it, in UTC.
M.time = clock("!%Y-%m-%dT%H:%M:%S", "Z")
local time_of_day = clock("%H:%M:%S", "")

---------------------------------------------------------------------------------------------------
-- fields

-- The names of fields in their order.
local function sorted(fields)
  local names, n = {}, 0
  for name in next, fields do
    if type(name) ~= "string" then return nil end
    n = n + 1
    names[n] = name
  end
  if n > 1 then sort(names) end
  return names
end
jit.off(sorted) -- as in log.lua

-- The same, where some names are no strings: a table with their texts in their place.
local function named(fields)
  local texts = {}
  for name, value in next, fields do texts[type(name) == "string" and name or values.text(name)] = value end
  return texts
end
jit.off(named)

local HEAD = "\nstack traceback:"

-- A string's traceback goes behind the line.
local function without_trace(text, traces)
  local at = find(text, HEAD, 1, true)
  if not at then return text end
  traces[#traces + 1] = text:sub(at + 1)
  return text:sub(1, at - 1)
end

---------------------------------------------------------------------------------------------------
-- JSON

local own = { time = true, level = true, logger = true, message = true }

-- What stands before a field's value. The line's own names are not given twice.
local json_name = memo.new(function(name) return "," .. values.string(own[name] and name .. "_" or name) .. ":" end)

local function json_fields(parts, fields)
  local names = sorted(fields)
  if not names then
    fields = named(fields)
    names = sorted(fields)
  end
  local n = #parts
  for i = 1, math.min(#names, FIELDS) do
    local name = names[i]
    parts[n + 1], parts[n + 2] = json_name[name], values.json(fields[name])
    n = n + 2
  end
end

local json_level = {}
for i, name in ipairs(levels.names) do json_level[i] = '","level":"' .. name .. '",' end

local json_logger = memo.new(function(name) return '"logger":' .. values.string(name) .. "," end)

--- A line in JSON, without its end.
---@param level integer
---@param name string|nil the logger's
---@param message string
---@param fields table|nil
---@return string
function M.json(level, name, message, fields)
  local parts = { '{"time":"', M.time(), json_level[level], name and json_logger[name] or "", '"message":',
    values.string(message) }
  if fields then json_fields(parts, fields) end
  parts[#parts + 1] = "}"
  return concat(parts)
end

---------------------------------------------------------------------------------------------------
-- text

local text_level = { "TRACE", "DEBUG", "INFO ", "WARN ", "ERROR" }
local colors = { "\27[90m", "\27[36m", "\27[32m", "\27[33m", "\27[31m" }
local DIM, PLAIN = "\27[2m", "\27[0m"

-- As logfmt: what is no plain word is in quotes.
local function word(text)
  if text ~= "" and not find(text, '[%z\1-\32"=\\\127-\255]') then return text end
  return values.quoted(text)
end

local text_name = memo.new(function(name) return (name:gsub("[^%w_.%-]", "_")) end)

local put_fields -- of tables: they are put as name.name=value

local function put_field(out, name, value, depth)
  if out.count == FIELDS then return end
  if depth < DEPTH and values.is_record(value) and next(value) ~= nil then
    return put_fields(out, value, name .. ".", depth + 1)
  end
  out.count = out.count + 1
  local kind = type(value)
  local text
  if kind == "string" or kind == "table" and values.has_text(value) then
    text = without_trace(values.text(value), out.traces)
  elseif kind == "table" or kind == "userdata" then
    text = values.json(value)
  else
    text = values.text(value)
  end
  local n = #out
  out[n + 1], out[n + 2], out[n + 3] = out.before, name, out.equals
  out[n + 4] = word(text)
end

function put_fields(out, fields, prefix, depth)
  local names = sorted(fields)
  if not names then
    fields = named(fields)
    names = sorted(fields)
  end
  for i = 1, #names do
    local name = names[i]
    local value = fields[name]
    if name == "traceback" and type(value) == "string" then out.traces[#out.traces + 1] = value
    else put_field(out, prefix .. text_name[name], value, depth) end
  end
end

-- Behind the line, each line of them behind a tab.
local function put_traces(out)
  for _, trace in ipairs(out.traces) do
    for line in (trace .. "\n"):gmatch "(.-)\n" do
      out[#out + 1] = "\n\t" .. line:match "^\t*" .. values.plain(line:match "^\t*(.*)$")
    end
  end
end

--- A line of text, without its end.
---@param level integer
---@param name string|nil the logger's
---@param message string
---@param fields table|nil
---@param color? boolean it is for a terminal
---@return string
function M.text(level, name, message, fields, color)
  local out = { count = 0, traces = {}, before = " ", equals = "=" }
  if color then
    out[1] = DIM .. time_of_day() .. PLAIN .. " " .. colors[level] .. text_level[level] .. PLAIN
    out.before, out.equals = " " .. DIM, "=" .. PLAIN
  else
    out[1] = M.time() .. " " .. text_level[level]
  end
  out[2] = name and " " .. values.plain(name) .. ": " or " "
  out[3] = values.plain(without_trace(message, out.traces))
  if fields then put_fields(out, fields, "", 0) end
  if out.traces[1] then put_traces(out) end
  return concat(out)
end

return M

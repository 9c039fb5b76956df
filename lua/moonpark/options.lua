-- SPDX-License-Identifier: MIT
-- options.lua - the options that a function was given against those that it takes: a limit with a typing error in its
-- name would be no limit, and a fraction of a whole number would be cut to another one.
--
-- What a function takes is a table, name = what it must be:
--
--   "string", "table", "string|function"   of that type, or of one of them
--   "number"                               any number but NaN
--   "count", "positive"                    a whole number of at least 0, or 1; math.huge is one
--   "seconds"                              a number of at least 0
--   "pause"                                a positive number of seconds, and finite
--   "mode"                                 permission bits: a number, or octal digits as chmod(1) takes them
--   {test, text}                           test(value) says whether it is right; text: "must be ..."
--   false                                  whoever uses it looks

local spelling = require "moonpark.spelling"

local M = {}

local none = {} -- shared: nobody writes into options

local function is_whole(value) return type(value) == "number" and value == math.floor(value) end

local function is_mode(value)
  if type(value) == "string" then return value:find("^[0-7]+$") ~= nil and tonumber(value, 8) <= 4095 end
  return is_whole(value) and value >= 0 and value <= 4095
end

local kinds = {
  number = { function(value) return type(value) == "number" and value == value end, "a number" },
  count = { function(value) return is_whole(value) and value >= 0 end, "a whole number of at least 0" },
  positive = { function(value) return is_whole(value) and value >= 1 end, "a positive whole number" },
  seconds = { function(value) return type(value) == "number" and value >= 0 end, "a number of at least 0" },
  pause = { function(value) return type(value) == "number" and value > 0 and value < math.huge end,
    "a positive number of seconds" },
  mode = { is_mode, 'permission bits, such as "644"' },
}

for _, name in ipairs { "number", "count", "positive", "seconds", "pause", "mode" } do kinds[name].is_number = true end

-- Of a type, or of one of several.
local function kind_of(wanted)
  local kind = kinds[wanted]
  if not kind then
    local types = {}
    for name in wanted:gmatch "[^|]+" do types[name] = true end
    kind = { function(value) return types[type(value)] == true end, "a " .. wanted:gsub("|", " or ") }
    kinds[wanted] = kind
  end
  return kind
end

local function shown(value, wanted)
  if type(value) == "number" and kinds[wanted].is_number then return value ~= value and "NaN" or tostring(value) end
  return "a " .. type(value)
end

local function unknown(name, known)
  local names = {}
  for each in pairs(known) do names[#names + 1] = each end
  local meant = type(name) == "string" and spelling.nearest(name, names)
  return ("unknown option '%s'%s"):format(tostring(name), meant and ("; did you mean '%s'?"):format(meant) or "")
end

local function complaint(name, value, known)
  local wanted = known[name]
  if wanted == nil then return unknown(name, known) end
  if not wanted then return nil end
  if type(wanted) == "table" then
    return not wanted[1](value) and ("option '%s' %s"):format(name, wanted[2]) or nil
  end
  local kind = kind_of(wanted)
  if kind[1](value) then return nil end
  return ("option '%s' must be %s, not %s"):format(name, kind[2], shown(value, wanted))
end

--- What is wrong with them, or nil.
---@param options table
---@param known table<string, string|table|false>
---@return string|nil
function M.complaint(options, known)
  for name, value in pairs(options) do
    local wrong = complaint(name, value, known)
    if wrong then return wrong end
  end
end

--- Raises for what is wrong with them.
---@param what string the function's name
---@param options table|nil
---@param known table<string, string|table|false>
---@param level? integer 1: the caller's line; 2, the default: that of the caller's caller, ...
---@param position? integer of the argument
---@return table options; an empty one, not to be written to, for nil
function M.check(what, options, known, level, position)
  level = (level or 2) + 1
  if options == nil then return none end
  if type(options) ~= "table" then
    local got = type(options)
    error(position and ("bad argument #%d to '%s' (table expected, got %s)"):format(position, what, got)
      or ("%s: a table of options expected, got %s"):format(what, got), level)
  end
  local wrong = M.complaint(options, known)
  if wrong then error(("%s: %s"):format(what, wrong), level) end
  return options
end

--- A whole number from `least` to `most`, for a table of what a function takes.
---@param least integer
---@param most integer
---@return table
function M.whole(least, most)
  return { function(value) return is_whole(value) and value >= least and value <= most end,
    ("must be a whole number from %.0f to %.0f"):format(least, most) }
end

--- Raises unless `max`, an argument, is nil or a whole number of bytes. math.huge is one.
---@param max any
---@param least integer
---@param level? integer as check's
function M.check_bytes(max, least, level)
  if max == nil or is_whole(max) and max >= least then return end
  error(("max must be a whole number of at least %d, got %s"):format(least, tostring(max)), (level or 2) + 1)
end

--- The bits of a "mode"; nil for nil.
---@param mode string|integer|nil
---@return integer|nil
function M.bits(mode) return type(mode) == "string" and tonumber(mode, 8) or mode end

return M

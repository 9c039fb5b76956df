-- SPDX-License-Identifier: MIT
-- http_options.lua - options as they were given against those that there are: a limit with a typing error in its name
-- would be no limit.

local M = {}

local function is_of(value, kinds)
  for kind in kinds:gmatch("[^|]+") do
    if type(value) == kind then return true end
  end
  return false
end

--- Raises for an option that there is not, one of another type, and a number below 0.
---@param what string the function's name
---@param options table
---@param known table<string, string|false> by name: its type, "string|function"; false: its user looks
---@param level? integer of the error, as error()'s; the caller's caller
function M.check(what, options, known, level)
  level = (level or 2) + 1
  if type(options) ~= "table" then
    error(("%s: a table of options expected, got %s"):format(what, type(options)), level)
  end
  for name, value in pairs(options) do
    local kinds = known[name]
    if kinds == nil then error(("%s: unknown option '%s'"):format(what, tostring(name)), level) end
    if kinds and not is_of(value, kinds) then
      local wanted = kinds:gsub("|", " or ")
      error(("%s: option '%s' must be a %s, not a %s"):format(what, name, wanted, type(value)), level)
    end
    if type(value) == "number" and (value < 0 or value ~= value) then
      error(("%s: option '%s' must be a number of at least 0"):format(what, name), level)
    end
  end
end

return M

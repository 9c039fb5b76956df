-- SPDX-License-Identifier: MIT
-- levels.lua - which lines are written: the levels, and what each logger's is, as in "debug,http=warn".

local spelling = require "moonpark.spelling"

local M = {}

--- The levels, the least important first; "off" writes nothing.
M.names = { "trace", "debug", "info", "warn", "error", "off" }

--- [name] = its number
M.numbers = {}
for number, name in ipairs(M.names) do M.numbers[name] = number end

local states = {} -- [name of a logger, "" for all] = {level = number}
local layers = {} -- what was asked for: [1] by the program, [2] by MOONPARK_LOG, [3] by --log, [4] while it runs

-- "http.client" -> what was asked for "http.client", "http", "", in one layer after the other
local function level_of(name)
  for i = 4, 1, -1 do
    local asked, part = layers[i], name
    while asked do
      if asked[part] then return asked[part] end
      if part == "" then break end
      part = part:match "^(.*)%.[^.]*$" or ""
    end
  end
  return M.numbers.info
end

--- What a logger looks at: its level, which changes in place.
---@param name string "" for the one without a name
---@return {level: integer}
function M.state(name)
  local state = states[name]
  if not state then
    state = { level = level_of(name) }
    states[name] = state
  end
  return state
end

---@param word string
---@return integer|nil number
---@return string? wrong
local function number_of(word)
  local number = M.numbers[word:lower()]
  if number then return number end
  local meant = spelling.nearest(word:lower(), M.names)
  return nil, ("unknown level '%s' (%s)"):format(word, meant and ("did you mean '%s'?"):format(meant)
    or "there are " .. table.concat(M.names, ", "))
end

--- Reads "debug,http=warn". What can be read is in the table, even if something else is wrong.
---@param text string
---@return table<string, integer> levels by the names of loggers, "" for all
---@return string? wrong
function M.read(text)
  local levels, wrong = {}, nil
  for item in text:gmatch "[^,]+" do
    local name, word = item:match "^%s*([%w_.%-]+)%s*=%s*(%S*)%s*$"
    local number, why = number_of(word or item:match "^%s*(.-)%s*$")
    if number then levels[name or ""] = number end
    wrong = wrong or why
  end
  if next(levels) == nil and not wrong then wrong = "a level expected, such as debug or debug,http=warn" end
  return levels, wrong
end

--- Sets what was asked for in a layer: 1 the program, 2 MOONPARK_LOG, 3 --log, 4 while the program runs. A later layer
--- wins over an earlier one.
---@param layer integer
---@param levels table<string, integer>|nil
function M.set(layer, levels)
  layers[layer] = levels
  for name, state in pairs(states) do state.level = level_of(name) end
end

return M

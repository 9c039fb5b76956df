-- SPDX-License-Identifier: MIT
-- lend.lua - what code at the prompt finds without require: moonpark, its modules, help, exit and quit. What the script
-- has set comes first.

local signatures = require "moonpark.signatures"
local help = require "moonpark.repl.help"
local moonpark = require "moonpark"

local M = {}

-- moonpark and its modules, when they are first asked for.
local function module_called(name)
  if name == "moonpark" then return moonpark end
  if type(name) ~= "string" then return nil end
  local module = moonpark[name]
  return module ~= nil and rawequal(package.loaded["moonpark." .. name], module) and module or nil
end

-- help, exit, quit
local own = {}

own.help = setmetatable({}, {
  __call = function(_, ...)
    if select("#", ...) == 0 then return help.general(M.names()) end
    return help.of((...), M)
  end,
  __tostring = function() return help.general(M.names()) end,
})

--- What is found under that name, or nil.
---@param name any
---@return any
function M.get(name)
  local value = own[name]
  if value ~= nil then return value end
  return module_called(name)
end

--- The names that are lent.
---@return string[]
function M.names()
  local names = { "moonpark" }
  for name in pairs(own) do names[#names + 1] = name end
  local class = signatures.class "moonpark"
  for name, entry in pairs(class and class.members or {}) do
    if module_called(name) and entry.type and not name:find "^_" then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

local function index_before(meta)
  local before = meta.__index
  if type(before) == "function" then return before end
  return function(_, name) return before and before[name] end
end

--- Lends them to all code. The script's own metatable of the globals comes next.
---@param leave fun() what exit() and quit() do
function M.to_globals(leave)
  for _, name in ipairs { "exit", "quit" } do
    own[name] = setmetatable({}, { __call = leave, __tostring = function() return name .. "() ends the program" end })
  end
  local meta = getmetatable(_G)
  if meta ~= nil and type(meta) ~= "table" then return end
  meta = meta or {}
  local before = index_before(meta)
  function meta.__index(globals, name)
    local value = M.get(name)
    if value ~= nil then return value end
    return before(globals, name)
  end
  setmetatable(_G, meta)
end

return M

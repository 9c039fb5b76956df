-- SPDX-License-Identifier: MIT
-- compat.lua - installs façades: modules under the names of other libraries, over moonpark's connections.
--
--   require("moonpark.compat").install { "socket", "ngx" }

local check_options = require("moonpark.options").check
local spelling = require "moonpark.spelling"

---@class moonpark.compat
local M = {}

-- What a façade's module returns.
---@class moonpark.compat.install.options
---@field global? boolean ngx becomes a global, too; false

---@class moonpark.compat.facade
---@field preload table<string, fun(name: string): any> by the name that a library requires
---@field start? fun(options: moonpark.compat.install.options) after these are in place, for what is more than modules

-- [the name scripts use] = the module
local facades = { socket = "luasocket", ssl = "luasec", ngx = "ngx" }

local install_options = { global = "boolean" }

-- [module's name] = our loader, of all that were installed
local ours = {}

local function check_names(names)
  if type(names) == "string" then return { names } end
  if type(names) ~= "table" then
    error(("bad argument #1 to 'install' (table of names expected, got %s)"):format(type(names)), 3)
  end
  local known = {}
  for name in pairs(facades) do known[#known + 1] = name end
  for _, name in ipairs(names) do
    if not facades[name] then
      local meant = type(name) == "string" and spelling.nearest(name, known)
      table.sort(known)
      error(("install: there is no façade '%s'; there are %s%s"):format(tostring(name), table.concat(known, ", "),
        meant and (" (did you mean '%s'?)"):format(meant) or ""), 3)
    end
  end
  return names
end

-- A library that has taken the original keeps it: half the program would wait without the loop.
local function check_loaded(preload)
  for name in pairs(preload) do
    if package.loaded[name] ~= nil and not ours[name] then
      error(("install: the module '%s' is loaded already; install the façade before it is required"):format(name), 3)
    end
  end
end

--- Puts façades where `require` finds them before the originals. Installing one again changes nothing.
---@param names ("socket"|"ssl"|"ngx")[]|string
---@param options? moonpark.compat.install.options
function M.install(names, options)
  names = check_names(names)
  options = check_options("install", options, install_options, 2, 2)
  local found = {}
  for i, name in ipairs(names) do
    found[i] = require("moonpark." .. facades[name])
    check_loaded(found[i].preload)
  end
  for _, facade in ipairs(found) do
    for module, loader in pairs(facade.preload) do
      package.preload[module], ours[module] = loader, loader
    end
    if facade.start then facade.start(options) end
  end
end

return M

-- SPDX-License-Identifier: MIT
-- lapis.lua - runs Lapis applications as they are: their back end for nginx, on the façade of ngx. Lapis itself is
-- installed by its user.

local compat = require "moonpark.compat"
local http = require "moonpark.http"

local M = {}

local STATIC = "static" -- the folder of a Lapis project that its nginx serves

local function load_lapis()
  compat.install({ "ngx", "socket" }, { global = true })
  local found, lapis = pcall(require, "lapis")
  if found then return lapis end
  return nil, "Lapis cannot be loaded: " .. tostring(lapis)
end

-- What a request has loaded of the application is loaded again by the next one: Lapis's code_cache = "off".
local function forget(lapis, kept)
  for name in pairs(package.loaded) do
    if not kept[name] then
      local path = package.searchpath(name, package.path)
      if path and path:find "^%./" then package.loaded[name] = nil end
    end
  end
  for key in pairs(lapis.app_cache) do lapis.app_cache[key] = nil end
end

local function names_of(loaded)
  local names = {}
  for name in pairs(loaded) do names[name] = true end
  return names
end

--- A handler that runs a Lapis application.
---@param app? string|table the application, or its module; by default the one that config.lua names, "app"
---@param options? {reload?: boolean} reload: the application's modules are loaded anew for each request
---@return function|nil handler
---@return string? err Lapis is not installed, or cannot be loaded
function M.handler(app, options)
  local lapis, err = load_lapis()
  if not lapis then return nil, err end
  app = app or require("lapis.config").get_app_module()
  local kept = options and options.reload and names_of(package.loaded)
  return http.ngx(function()
    lapis.serve(app)
    if kept then forget(lapis, kept) end
  end, "text/html")
end

local function has_folder(path)
  local kind = require("moonpark.fs").stat(path .. "/.")
  return kind ~= nil
end

--- What serves the application of the current folder: its handler, and the files in static/.
---@param environment? string of config.lua; LAPIS_ENVIRONMENT, or "development", by default
---@return moonpark.http.router|nil
---@return table|string config of Lapis; or why there is none
function M.application(environment)
  package.path = "./?.lua;./?/init.lua;" .. package.path
  local lapis, err = load_lapis()
  if not lapis then return nil, err end
  if environment then require("lapis.environment").set_default_environment(environment) end
  local config = require("lapis.config").get()
  local cache = config.code_cache
  local handler = M.handler(nil, { reload = cache == "off" or cache == false })
  local router = http.router()
  if has_folder(STATIC) then router:get("/" .. STATIC .. "/*path", http.static(STATIC)) end
  router:any("/*path", handler)
  router:any("/", handler)
  return router, config
end

return M

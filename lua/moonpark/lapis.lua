-- SPDX-License-Identifier: MIT
-- lapis.lua - runs Lapis applications as they are: their back end for nginx, on the façade of ngx. Lapis itself is
-- installed by its user.

local compat = require "moonpark.compat"
local http = require "moonpark.http"

---@class moonpark.lapis
local M = {}

local STATIC = "static" -- the folder of a Lapis project that its nginx serves
local ICON = "/favicon.ico" -- a file of that folder

local CONFIG = "config" -- the module of an application's configuration

local HERE = "./?.lua;./?/init.lua;"

local function install()
  compat.install({ "ngx", "socket", "ssl" }, { global = true })
  package.preload["lapis.nginx.http"] = function() return require "moonpark.lapis.http" end
end

local function load_lapis()
  install()
  local found, lapis = pcall(require, "lapis")
  if found then return lapis end
  return nil, "Lapis cannot be loaded: " .. tostring(lapis)
end

local function is_here(name)
  local path = package.searchpath(name, package.path)
  return path ~= nil and path:find "^%./" ~= nil
end

-- What earlier requests have loaded of the application is loaded again, config.lua too: Lapis's code_cache = "off".
local function forget(lapis, kept)
  for name in pairs(package.loaded) do
    if not kept[name] and is_here(name) then package.loaded[name] = nil end
  end
  for key in pairs(lapis.app_cache) do lapis.app_cache[key] = nil end
  if not is_here(CONFIG) then return end
  package.loaded[CONFIG] = nil
  require("lapis.config").reset(true)
  require(CONFIG)
end

local function names_of(loaded)
  local names = {}
  for name in pairs(loaded) do names[name] = true end
  return names
end

---@class moonpark.lapis.options
---@field reload? boolean the application's modules are loaded anew for each request; false

--- A handler that runs a Lapis application.
---@param app? string|table the application, or its module; by default the one that config.lua names, "app"
---@param options? moonpark.lapis.options
---@return moonpark.http.handler|nil handler
---@return string? err Lapis is not installed, or cannot be loaded
function M.handler(app, options)
  local lapis, err = load_lapis()
  if not lapis then return nil, err end
  app = app or require("lapis.config").get_app_module()
  local kept = options and options.reload and names_of(package.loaded)
  return http.ngx(function()
    if kept then forget(lapis, kept) end
    lapis.serve(app)
  end, "text/html")
end

local function has_folder(path)
  local kind = require("moonpark.fs").stat(path .. "/.")
  return kind ~= nil
end

--- How many processes config.lua wants; 1 if it does not say so or cannot be read: then whatever serves tells why.
---@param environment? string
---@return integer
function M.workers(environment)
  local ok, config = pcall(function()
    package.path = HERE .. package.path
    install() -- before Lapis looks for ngx
    return require("lapis.config").get(environment or require("lapis.environment").default_environment())
  end)
  return ok and require("moonpark.workers").count(tostring(config.num_workers or 1)) or 1
end

--- What serves the application of the current folder: its handler, and the files in static/.
---@param environment? string of config.lua; LAPIS_ENVIRONMENT, or "development", by default
---@return moonpark.http.router|nil
---@return table config of Lapis; or a string: why there is none
function M.application(environment)
  package.path = HERE .. package.path
  local lapis, err = load_lapis()
  if not lapis then return nil, err end
  if environment then require("lapis.environment").set_default_environment(environment) end
  local config = require("lapis.config").get()
  local cache = config.code_cache
  local handler = M.handler(nil, { reload = cache == "off" or cache == false })
  local router = http.router()
  if has_folder(STATIC) then
    local files = http.static(STATIC)
    router:get("/" .. STATIC .. "/*path", files)
    if require("moonpark.fs").stat(STATIC .. ICON) then router:get(ICON, files) end
  end
  router:any("/*path", handler)
  router:any("/", handler)
  return router, config
end

--- The program behind Lapis's test server.
function M.serve_tests() require("moonpark.lapis.test_server").run(M.application) end

return M

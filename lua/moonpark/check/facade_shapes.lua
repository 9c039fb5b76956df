-- SPDX-License-Identifier: MIT
-- facade_shapes.lua - what the façades have, for facades.lua: their tables, modules, and the objects that these make.
-- The façades are loaded when a script names them.

local M = {}

-- Tables of ngx whose fields are known; what the others hold is the script's.
local closed = { socket = true, re = true, req = true, resp = true, thread = true, timer = true, worker = true,
  config = true }

-- What LuaSocket's and LuaSec's own Lua files add to their cores.
local of_socket = { bind = true, try = true, choose = true, source = true, sink = true, sourcet = true, sinkt = true,
  connect4 = true, connect6 = true, BLOCKSIZE = true,
  ftp = true, headers = true, http = true, smtp = true, tp = true, url = true } -- once they are required
local of_ssl = { wrap = true, newcontext = true, loadcertificate = true, config = true }

local function of_core(more)
  local all = {}
  for name, value in pairs(require "moonpark.luasocket.core") do all[name] = value end
  for name, value in pairs(more) do all[name] = all[name] or value end
  return all
end

local function preloaded(facade, name)
  local loader = require(facade).preload[name]
  return loader and loader(name)
end

-- [module] = fn() -> its fields
local modules = {
  socket = function() return of_core(of_socket) end,
  ["socket.core"] = function() return of_core {} end,
  ssl = function() return of_ssl end,
}
for _, name in ipairs { "socket.unix" } do
  modules[name] = function() return preloaded("moonpark.luasocket", name) end
end
for _, name in ipairs { "ssl.core", "ssl.context", "ssl.x509", "ssl.config" } do
  modules[name] = function() return preloaded("moonpark.luasec", name) end
end
for _, name in ipairs { "ngx.re", "ngx.base64", "ngx.semaphore", "ngx.process", "ngx.errlog", "ngx.balancer", "ngx.ssl",
  "ngx.ocsp", "ngx.pipe", "resty.string", "resty.openssl.ssl" } do
  modules[name] = function() return preloaded("moonpark.ngx", name) end
end

-- Their pages
local pages = { socket = "docs/luasocket.md", ssl = "docs/luasec.md" }

local function methods_of(object) return getmetatable(object).__index end

-- [path of an object] = {title, fn() -> its methods}
local objects = {
  cosocket = { "a cosocket", function() return require("moonpark.ngx.tcp").class end },
  datagram = { "a datagram cosocket", function() return methods_of(require("moonpark.ngx.udp").new()) end },
  dict = { "a dict of ngx.shared", function() return require("moonpark.ngx.shared").class end },
  semaphore = { "a semaphore of ngx", function() return methods_of(require("moonpark.ngx.semaphore").new(0)) end },
  tcp = { "a socket of LuaSocket", function() return methods_of(require("moonpark.luasocket.core").tcp()) end },
  udp = { "a datagram socket of LuaSocket", function()
    return methods_of(require("moonpark.luasocket.core").udp())
  end },
}

local makers = {
  ["ngx.socket.tcp"] = "cosocket", ["ngx.socket.stream"] = "cosocket", ["ngx.socket.connect"] = "cosocket",
  ["ngx.socket.udp"] = "datagram", ["module ngx.semaphore.new"] = "semaphore",
}
for _, module in ipairs { "socket", "socket.core" } do
  for _, name in ipairs { "tcp", "tcp4", "tcp6", "connect", "connect4", "connect6", "bind" } do
    makers[("module %s.%s"):format(module, name)] = "tcp"
  end
  for _, name in ipairs { "udp", "udp4", "udp6" } do makers[("module %s.%s"):format(module, name)] = "udp" end
end

local loaded = {} -- [path] = its fields, or false

-- The fields of a module or a table in one; nil: not known.
local function fields(path)
  if loaded[path] == nil then
    local name = path:match "^module (.*)$"
    local ok, value = pcall(modules[name] or error)
    loaded[path] = ok and type(value) == "table" and value or false
  end
  return loaded[path] or nil
end

local function ngx_part(path) return path:match "^ngx%.([%w_]+)$" end

--- The path of a module that a façade has, or nil.
---@param name string
---@return string|nil
function M.module_path(name) return modules[name] and "module " .. name or nil end

--- What is at a field of that value: its path, or nil.
---@param path string
---@param name string
---@return string|nil
function M.field(path, name)
  if objects[path] then return nil end
  if path == "ngx.shared" then return "dict" end
  local inner = path .. "." .. name
  if path == "ngx" then return (closed[name] or name == "shared") and inner or nil end
  if ngx_part(path) then return inner end
  local held = fields(path)
  if held and type(rawget(held, name)) == "table" then loaded[inner] = held[name] end
  return inner
end

--- What a call of that value returns: its path, or nil.
---@param path string
---@return string|nil
function M.made_by(path) return makers[path] end

--- The methods of an object; nil: it is none.
---@param path string
---@return table|nil
function M.methods(path) return objects[path] and objects[path][2]() end

---@param path string of an object
---@return string
function M.title(path) return objects[path][1] end

--- Does reading that name raise already?
---@param path string
---@param name string
---@return boolean
function M.raises(path, name)
  if path ~= "ngx" then return false end
  local ngx = require("moonpark.ngx").ngx
  return not pcall(function() return ngx[name] end) and M.missing(path, name) ~= nil
end

local function keys(held, is_missing)
  local list = {}
  for key in pairs(held) do
    if not (is_missing and is_missing(key)) then list[#list + 1] = key end
  end
  return list
end

--- Why a name is not there; nil: it is, or that is not known.
---@param path string
---@param name string
---@return string|nil
---@return string[]? known what there is, if the words do not name the nearest one
function M.missing(path, name)
  local facade = (path == "ngx" or ngx_part(path)) and require "moonpark.ngx"
  if path == "ngx" then return facade.missing(name) end
  if facade then
    local part = ngx_part(path)
    if not closed[part] then return nil end
    local function is_missing(key) return facade.missing(part, key) end
    return facade.missing(part, name), keys(rawget(facade.ngx, part), is_missing)
  end
  local held = fields(path)
  if not held or rawget(held, name) ~= nil then return nil end
  local module = path:match "^module (.*)$"
  local title = module and (module:gsub("^socket%.core$", "socket")) or path
  local page = pages[title:match "^%w+"]
  return ("%s.%s is not there on moonpark%s"):format(title, name, page and ": see " .. page or ""), keys(held)
end

return M

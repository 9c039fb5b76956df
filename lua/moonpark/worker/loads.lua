-- SPDX-License-Identifier: MIT
-- loads.lua - in watch mode a worker tells its supervisor which files it loads: before it does, so that a file with an
-- error in it is told too.

local failures = require "moonpark.failures"
local post = require "moonpark.worker.post"

local M = {}

local OVERFLOW = "error in error handling" -- LuaJIT's, where there is no room left for the handler

local told = {} -- [path] = true

--- Tells of one.
---@param path string as it is opened; relative to the folder in which the command was started
function M.tell(path)
  if told[path] then return end
  told[path] = true
  post.post { op = "loads", path = path }
end

--- Those that were told.
---@return string[]
function M.list()
  local list = {}
  for path in pairs(told) do list[#list + 1] = path end
  return list
end

-- Where a module is: a Lua file, a library of C, or one that holds all of a package.
local function search(name)
  local path, tried = package.searchpath(name, package.path)
  if path then return path end
  local root = name:match "^[^.]+"
  path = package.searchpath(name, package.cpath) or root and package.searchpath(root, package.cpath)
  return path, tried
end

-- A loader of require's that finds nothing. Of a module that is not there, each place where it could appear is told.
local function look(name)
  local path, tried = search(name)
  if path then return M.tell(path) end
  for place in tried:gmatch "no file '([^\n]*)'" do M.tell(place) end
end

-- The same function, which tells first.
local function telling(fn)
  return function(...)
    local path = ...
    if type(path) == "string" then M.tell(path) end
    return fn(...)
  end
end

-- require, which keeps the traceback of an error in the module: a coroutine that has failed has lost its frames.
local function remembering(require)
  return function(name)
    local ok, value = xpcall(require, failures.remember, name)
    if ok then return value end
    if value == OVERFLOW then value = "stack overflow" end
    error(value, 0)
  end
end

--- Tells from now on what require, loadfile and dofile load.
function M.watch()
  table.insert(package.loaders, 2, look) -- after what is in package.preload
  loadfile = telling(loadfile) -- luacheck: ignore 121
  dofile = telling(dofile) -- luacheck: ignore 121
  require = remembering(require) -- luacheck: ignore 121
end

return M

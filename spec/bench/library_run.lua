-- SPDX-License-Identifier: MIT
-- Runs library_work.lua: on a façade of moonpark, or on LuaSocket, where nothing runs at once.
--
-- usage: luajit library_run.lua moonpark-ngx|moonpark-socket|LuaSocket WORK HOST PORT [USER PASSWORD DATABASE]
-- Prints "WORK MICROSECONDS" of CPU time.

local kind, work = arg[1], arg[2]
local at = { host = arg[3], port = tonumber(arg[4]), user = arg[5], password = arg[6], database = arg[7] }
package.path = (os.getenv "MOONPARK_LIBS" or "") .. ";" .. package.path

local folder = arg[0]:match "^(.*/)"
local works = dofile(folder .. "library_work.lua")

local function run(spawn) io.write(("%s %.3f\n"):format(work, works[work](at, spawn) * 1e6)) end

if kind == "LuaSocket" then
  return run(function(fn)
    fn()
    return function() end
  end)
end

local moonpark = require "moonpark"
local facade = kind:match "^moonpark%-(.*)$"
require("moonpark.compat").install({ facade }, { global = facade == "ngx" })
moonpark.run(run, function(fn)
  local child = moonpark.go(fn)
  return function() assert(child:join()) end
end)

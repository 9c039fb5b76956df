-- SPDX-License-Identifier: MIT
-- The cases of client libraries on façades: beside the same library in nginx, and on LuaSocket. What a case is: see
-- cases.lua. They are not in Debian: they are looked for in MOONPARK_LIBS, patterns as in LUA_PATH.

local servers = require "support.servers"
local start = require "start"
local system = require "system"

local function slice_of(name, script, ...)
  local options = start.luajit_script(script, ...)
  local child = start.server(name, options)
  local output, figures = child:finish(), {}
  child:stop()
  for operation, cost in output:gmatch "([%a-]+) ([%d.]+)\n" do figures[operation] = { cost = tonumber(cost) } end
  if not next(figures) then error(name .. " printed no figures; it wrote:\n" .. output, 0) end
  return figures
end

local function words(at)
  if not at.user then return at.host, tostring(at.port) end
  return at.host, tostring(at.port), at.user, at.password, at.database
end

-- One server of a kind for all contenders of a round, on the core of the load.
local started = {}
local function server(kind)
  if not started[kind] then
    local at = assert(servers[kind]())
    for _, pid in ipairs(system.load_core and servers.pids() or {}) do
      os.execute(("taskset -acp %d %d >/dev/null"):format(system.load_core, pid))
    end
    started[kind] = at
  end
  return started[kind]
end

local function stop_servers()
  servers.stop()
  started = {}
end

local scripts = {
  moonpark = { "library_run.lua", "moonpark-ngx" },
  ["moonpark's socket"] = { "library_run.lua", "moonpark-socket" },
  LuaSocket = { "library_run.lua", "LuaSocket" },
  nginx = { "library_nginx.lua" },
}

local function contender(name, needs, module, kind, work)
  local it = start.contender(name, needs, function()
    local at = server(kind)
    local script, how = scripts[name][1], scripts[name][2]
    return {
      slice = function()
        if not how then return slice_of(name, script, work, words(at)) end
        return slice_of(name, script, how, work, words(at))
      end,
      stop = stop_servers,
    }
  end)
  if not package.searchpath(module, os.getenv "MOONPARK_LIBS" or "") then
    it.missing = it.missing or module .. " is not in MOONPARK_LIBS"
  end
  return it
end

local function redis(name, needs, work) return contender(name, needs, "resty.redis", "redis", work) end

local function pgmoon(name, needs, work) return contender(name, needs, "pgmoon", "postgres", work) end

local function case(it)
  it.title, it.unit, it.format, it.slices = it.title .. ", METRIC: CPU time", "µs CPU", "%.1f", 1
  it.metrics = { it.work }
  it.name = "library-" .. it.work
  return it
end

---@return table[] in the order they run
return function()
  return {
    case { work = "redis", title = "lua-resty-redis, GET of 64 bytes on 32 connections at once",
      contenders = { redis("moonpark", "moonpark", "redis"), redis("nginx", "nginx-lua", "redis") },
      goals = { { beside = { "nginx" }, at_most = 0.95 } } },
    case { work = "redis-pipelined", title = "lua-resty-redis, 50 GETs in a pipeline",
      contenders = { redis("moonpark", "moonpark", "redis-pipelined"),
        redis("nginx", "nginx-lua", "redis-pipelined") },
      goals = { { beside = { "nginx" }, at_most = 0.65 } } },
    case { work = "pgmoon", title = "pgmoon, select 1 on 16 connections at once",
      contenders = { pgmoon("moonpark", "moonpark", "pgmoon"), pgmoon("nginx", "nginx-lua", "pgmoon") },
      goals = { { beside = { "nginx" }, at_most = 0.75 } } },
    case { work = "pgmoon-rows", title = "pgmoon, 100 rows of three columns",
      contenders = { pgmoon("moonpark", "moonpark", "pgmoon-rows"),
        pgmoon("moonpark's socket", "moonpark", "pgmoon-rows"), pgmoon("nginx", "nginx-lua", "pgmoon-rows"),
        pgmoon("LuaSocket", "lua-socket", "pgmoon-rows") },
      goals = { { beside = { "LuaSocket" }, at_most = 0.75 } },
      note = "moonpark by its façade of ngx, and by that of LuaSocket." },
  }
end

-- SPDX-License-Identifier: MIT
-- The case of shared dicts: what a call costs in one process, and in four at once. What a case is: see cases.lua.

local process = require "process"
local start = require "start"
local system = require "system"

local CROWD = 4

local scripts = { moonpark = "shared_moonpark.lua", ["nginx, lua_shared_dict"] = "shared_nginx.lua" }

-- One process has a core; several have all that there are. -> figures by work
local function measure(name, processes, figures, suffix)
  local options = start.luajit_script(scripts[name], tostring(processes))
  options.name = ("%s, %d processes"):format(name, processes)
  options.core = processes == 1 and system.server_core or nil
  options.log = start.BUILD .. options.name:gsub("%W+", "-") .. ".log"
  local child = process.start(options)
  local output, sums = child:finish(), {}
  child:stop()
  for work, cpu, took, calls in output:gmatch "(%a+) ([%d.]+) ([%d.]+) (%d+)\n" do
    local sum = sums[work] or { cpu = 0, took = 0, calls = 0, count = 0 }
    sum.cpu, sum.calls, sum.count = sum.cpu + tonumber(cpu), sum.calls + tonumber(calls), sum.count + 1
    sum.took = math.max(sum.took, tonumber(took))
    sums[work] = sum
  end
  for _, work in ipairs { "get", "incr" } do
    local sum = sums[work]
    if not sum or sum.count ~= processes then error(name .. " did not report; it wrote:\n" .. output, 0) end
    figures[work .. suffix] = { cost = sum.cpu / sum.count, rate = sum.calls / sum.took }
  end
end

local function shared_contender(name, needs)
  return start.contender(name, needs, function()
    return {
      slice = function()
        local figures = {}
        measure(name, 1, figures, "")
        measure(name, CROWD, figures, ", four at once")
        return figures
      end,
      stop = function() end,
    }
  end)
end

---@return table[] in the order they run
return function()
  return {
    {
      name = "shared-dict", title = "shared dict, 64-byte values, METRIC: CPU per call of a process",
      unit = "ns CPU", format = "%.1f", slices = 1,
      metrics = { "get", "incr", "get, four at once", "incr, four at once" },
      contenders = { shared_contender("moonpark", "moonpark"),
        shared_contender("nginx, lua_shared_dict", "nginx-lua") },
      goals = { { beside = { "nginx, lua_shared_dict" }, at_most = 0.6 } },
      note = "Four at once share the cores that the machine has.",
    },
  }
end

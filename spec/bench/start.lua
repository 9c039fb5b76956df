-- SPDX-License-Identifier: MIT
-- How the cases of the benchmark start their processes and take a slice: shared by all files of cases.

local process = require "process"
local system = require "system"

local M = { HERE = "spec/bench/", BUILD = "build/bench/" }

local GO = { "GOMAXPROCS=1" }
M.GO = GO

function M.write_file(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

---A server on its core.
function M.server(name, options)
  options.name, options.core, options.log = name, system.server_core, M.BUILD .. name:gsub("%W+", "-") .. ".log"
  return process.start(options)
end

---What it is measured with or against, on the other core.
---@param env? string[] "NAME=value"
function M.load(name, argv, env)
  return process.start { name = "the load on " .. name, core = system.load_core, argv = argv, env = env,
    log = M.BUILD .. name:gsub("%W+", "-") .. "-load.log" }
end

---One that needs something that is missing here is skipped, and says why.
function M.contender(name, needs, open)
  return { name = name, version = system.versions[needs] or "", missing = system.missing[needs], open = open }
end

function M.luajit_script(script, ...)
  return { argv = { system.luajit, M.HERE .. script, ... } }
end

---Lets the load do that many operations. Where it fails because the server did, the server's words are shown.
---@return number seconds
function M.run_load(load, child, operations)
  load:write_line(tostring(operations))
  local ok, took = pcall(load.expect, load, "^done %d+ ([%d.]+)$")
  if ok then return tonumber(took) end
  child:cpu()
  error(took, 0)
end

---What open() of a contender returns: CPU time of the server between the first operation of a slice and the last.
---@param scale? number of a second; the figures are in microseconds where none is given
function M.cpu_per_operation(metric, child, load, operations, scale)
  local it = {}
  function it.slice()
    local before = child:cpu()
    local took = M.run_load(load, child, operations)
    local spent = child:cpu() - before
    return { [metric] = { cost = spent / operations * (scale or 1e6), rate = operations / took } }
  end
  function it.stop()
    load:stop()
    child:stop()
  end
  return it
end

-- Single operations: the process measures itself -------------------------------------------------------------------

local micros = {
  moonpark = function(...) return M.luajit_script("micro_moonpark.lua", ...) end,
  Go = function(...) return { argv = { M.BUILD .. "micro_go", ... }, env = GO } end,
}

local function slice_micro(name, operation, port)
  local child = M.server(operation .. " " .. name, micros[name](operation, "1", port))
  local output = child:finish()
  child:stop()
  local cpu, wall = output:match "^([%d.]+) ([%d.]+)\n$"
  if not cpu then error(name .. " printed no figures; it wrote:\n" .. output, 0) end
  return { [operation] = { cost = tonumber(cpu), rate = 1e9 / tonumber(wall) } }
end

local function no_peer() end

---A case of one operation, beside Go.
---@param at_most? number the goal
---@param start_peer? fun(): table, string starts what the operation needs; the process and its port
function M.micro(operation, title, at_most, start_peer)
  local function one(name, needs)
    return M.contender(name, needs, function()
      local peer, port = (start_peer or no_peer)()
      return {
        slice = function() return slice_micro(name, operation, port) end,
        stop = function() if peer then peer:stop() end end,
      }
    end)
  end
  return { name = operation, title = title, unit = "ns CPU", format = "%.1f", slices = 1, metrics = { operation },
    contenders = { one("moonpark", "moonpark"), one("Go", "go") },
    goals = at_most and { { beside = { "Go" }, at_most = at_most } } }
end

return M

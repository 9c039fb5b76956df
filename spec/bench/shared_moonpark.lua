-- SPDX-License-Identifier: MIT
-- The case of shared dicts in moonpark.
--
-- usage: luajit shared_moonpark.lua PROCESSES; prints what its processes report, see shared_work.lua. It starts itself
-- with the memory as standard input.

local core = require "moonpark.core"
local moonpark = require "moonpark"
local segments = require "moonpark.shared.segments"
local shared = require "moonpark.shared"

local SIZE = 10 * 1024 * 1024
local work = dofile "spec/bench/shared_work.lua"

moonpark.run(function(processes, is_worker)
  if is_worker then
    segments.set_source(function() return 0 end)
    return work(shared.dict("bench", { size = SIZE }), tonumber(processes), core.real, io.write)
  end
  local fd = assert(core.shared_memory("bench", SIZE))
  moonpark.scope(function(scope)
    for _ = 1, tonumber(processes) do
      scope:go(function()
        local luajit = os.getenv "LUAJIT" or "luajit"
        local child = assert(moonpark.process.spawn({ luajit, arg[0], processes, "worker" }, { stdin = fd,
          stdout = "inherit", stderr = "inherit" }))
        assert(select(2, child:wait()) == 0, "a process failed")
      end)
    end
  end)
  return fd
end, arg[1], arg[2])

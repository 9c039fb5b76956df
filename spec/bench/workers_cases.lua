-- SPDX-License-Identifier: MIT
-- The case of workers: what a request costs where two processes share the listener, beside one process. What a case is:
-- see cases.lua.

local http_case = require "http_case"
local start = require "start"
local system = require "system"

local HELLO = { target = "/hello", answer = "Hello, World!" }

local function children_of(pid)
  local pids = {}
  local pipe = assert(io.popen("pgrep -P " .. pid))
  for line in pipe:lines() do pids[#pids + 1] = line end
  pipe:close()
  return pids
end

-- Seconds of processor time of a process's main thread: the only one that serves.
local function cpu_of(pid)
  local file = assert(io.open(("/proc/%s/schedstat"):format(pid)))
  local ns = file:read "*n"
  file:close()
  return ns / 1e9
end

-- All on the server's core: so the figures have the cost of a request, and not that of another core's caches.
local function open(count)
  local name = count == 1 and "one worker" or count .. " workers"
  local child = start.server(name, { argv = { system.luajit, "lua/bin/moonpark", "--workers", tostring(count),
    start.HERE .. "http_moonpark.lua" } })
  local port = child:expect "^listening (%d+)$"
  for _ = 2, count do child:expect "^listening (%d+)$" end
  local workers = children_of(child.pid)
  local all = {}
  function all.cpu()
    local sum = 0
    for _, pid in ipairs(workers) do sum = sum + cpu_of(pid) end
    return sum
  end
  return http_case.measured(all, port, HELLO, 1, function() child:stop() end)
end

---@return table[] in the order they run
return function()
  local contenders = {}
  for i, count in ipairs { 2, 1 } do
    contenders[i] = http_case.contender(count == 1 and "one worker" or "moonpark", "moonpark", function()
      return open(count)
    end)
  end
  return { {
    name = "workers", title = "HTTP: plaintext, two workers on one core", unit = "µs CPU", format = "%.2f",
    slices = 2, metrics = { "request" }, contenders = contenders,
    goals = { { beside = { "one worker" }, at_most = 1.04 } },
  } }
end

-- SPDX-License-Identifier: MIT
-- What one process does in the case of shared dicts, the same in moonpark and in nginx: reads and counts, 64-byte
-- values under a thousand keys.

local KEYS, COUNT = 1000, 4000000

local keys = {}
for i = 1, KEYS do keys[i] = ("session:%04d"):format(i) end

local works = {
  get = function(dict, count)
    local bytes = 0
    for i = 1, count do bytes = bytes + #dict:get(keys[i % KEYS + 1]) end
    assert(bytes == 64 * count)
  end,
  incr = function(dict, count)
    for i = 1, count do dict:incr(keys[i % KEYS + 1], 1) end
  end,
}

local function fill(dict, value)
  for _, key in ipairs(keys) do assert(dict:set(key, value)) end
end

-- Waits until all processes are here.
local function meet(dict, place, processes)
  dict:incr(place, 1, 0)
  while dict:get(place) < processes do end
end

---@param dict table either's
---@param processes integer how many do this at once
---@param now fun(): number seconds
---@param report fun(text: string) takes a line: the work, ns of CPU time for a call, seconds, calls
return function(dict, processes, now, report)
  for _, name in ipairs { "get", "incr" } do
    local first = dict:incr("first " .. name, 1, 0) == 1
    if first then fill(dict, name == "get" and ("x"):rep(64) or 0) end
    meet(dict, "filled " .. name, processes)
    works[name](dict, COUNT / 10)
    meet(dict, "warm " .. name, processes)
    local cpu, wall = os.clock(), now()
    works[name](dict, COUNT)
    local spent, took = os.clock() - cpu, now() - wall
    report(("%s %.3f %.6f %d\n"):format(name, spent / COUNT * 1e9, took, COUNT))
    meet(dict, "done " .. name, processes)
  end
end

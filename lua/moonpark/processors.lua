-- SPDX-License-Identifier: MIT
-- processors.lua - how many processors this process may really use: those that it may run on, and what the limits of
-- its control groups leave of them. A container on a machine with 64 processors often has the time of two.

local ffi = require "ffi"

ffi.cdef [[
int moonpark_processors_affinity(int pid, size_t size, void *set) __asm__("sched_getaffinity");
]]

local M = {}

local SET = 8192 / 8 -- bytes: more processors than any kernel is built for

local function read(path)
  local file = io.open(path)
  if not file then return nil end
  local text = file:read "*a"
  file:close()
  return text
end

---------------------------------------------------------------------------------------------------
-- where it may run

-- "0-3,8" -> 5; nil where it is no such list
local function count_list(text)
  local count = 0
  for part in text:gmatch "[^,]+" do
    local first, last = part:match "^(%d+)%-(%d+)$"
    if not first then first = part:match "^%d+$" end
    if not first then return nil end
    count = count + tonumber(last or first) - tonumber(first) + 1
  end
  return count > 0 and count or nil
end

-- The system's own call, where /proc is not mounted.
local function count_set()
  local set, count = ffi.new("uint8_t[?]", SET), 0
  if ffi.C.moonpark_processors_affinity(0, SET, set) < 0 then return 1 end
  for i = 0, SET - 1 do
    for bit_at = 0, 7 do count = count + bit.band(bit.rshift(set[i], bit_at), 1) end
  end
  return count
end

local function allowed(root)
  local list = (read(root .. "/proc/self/status") or ""):match "\nCpus_allowed_list:%s*(%S+)"
  return list and count_list(list) or count_set()
end

---------------------------------------------------------------------------------------------------
-- what limits leave of it

-- Processors' worth of time; nil where there is no limit.
local function share(quota, period)
  quota, period = tonumber(quota), tonumber(period)
  return quota and period and quota > 0 and period > 0 and quota / period or nil
end

-- Each reader: fn(folder) -> what this group has, or nil
local readers = {}

function readers.cgroup2(folder)
  local quota, period = (read(folder .. "/cpu.max") or ""):match "^(%d+) (%d+)"
  return share(quota, period)
end

function readers.cgroup(folder)
  local quota = (read(folder .. "/cpu.cfs_quota_us") or ""):match "^%d+" -- -1: none
  local period = (read(folder .. "/cpu.cfs_period_us") or ""):match "^%d+"
  return share(quota, period)
end

local function has_cpu(list)
  for name in list:gmatch "[^,]+" do
    if name == "cpu" then return true end
  end
  return false
end

local function unescape(path)
  return (path:gsub("\\(%d%d%d)", function(octal) return string.char(tonumber(octal, 8)) end))
end

-- Where the hierarchies with the processors' limits are mounted: {kind =, root = the group that is seen there, at =}
local function mounts(root)
  local list = {}
  for line in (read(root .. "/proc/self/mountinfo") or ""):gmatch "[^\n]+" do
    local top, at, kind, options = line:match "^%S+ %S+ %S+ (%S+) (%S+) .* %- (%S+) %S+ (%S+)$"
    if kind == "cgroup2" or kind == "cgroup" and has_cpu(options) then
      list[#list + 1] = { kind = kind, root = unescape(top), at = root .. unescape(at) }
    end
  end
  return list
end

-- This process's groups: {cgroup2 = path, cgroup = path}
local function groups(root)
  local list = {}
  for line in (read(root .. "/proc/self/cgroup") or ""):gmatch "[^\n]+" do
    local id, controllers, path = line:match "^(%d+):([^:]*):(.*)$"
    if id == "0" and controllers == "" then list.cgroup2 = path
    elseif id and has_cpu(controllers) then list.cgroup = path end
  end
  return list
end

-- The group's folder below the place where the hierarchy is mounted; in a container that place often is the group.
local function below(path, top)
  if top == "/" then top = "" end
  if path:sub(1, #top) ~= top or path:find("/..", 1, true) then return "" end
  local rest = path:sub(#top + 1)
  return rest:find "^/." and rest or ""
end

-- A group cannot have more than the groups around it.
local function least(mount, path)
  local folder, found = below(path, mount.root), math.huge
  while true do
    found = math.min(found, readers[mount.kind](mount.at .. folder) or math.huge)
    if folder == "" then return found end
    folder = folder:match "^(.*)/[^/]*$"
  end
end

local function quota(root)
  local found, paths = math.huge, groups(root)
  for _, mount in ipairs(mounts(root)) do
    local path = paths[mount.kind]
    if path then found = math.min(found, least(mount, path)) end
  end
  return found
end

--- How many processors this process may use: the smaller of those that it may run on (sched_setaffinity(2), cpusets)
--- and the limit of its control groups (cpu.max; cpu.cfs_quota_us of version 1), which is rounded up. At least 1.
--- Never fails: what cannot be read does not limit.
---@param root? string a folder to read /proc and /sys in, for specs
---@return integer
function M.count(root)
  root = root or ""
  return math.max(1, math.min(allowed(root), math.ceil(quota(root))))
end

return M

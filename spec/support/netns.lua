-- SPDX-License-Identifier: MIT
-- support/netns.lua - scripts in a network of their own: a network namespace that ends with them, so no packet leaves
-- the machine and there is nothing to clean up.
--
--   local result = netns.run({ "ip route add unreachable 203.0.113.0/24" }, [[ print(net.dial("203.0.113.1:9")) ]])
--
-- The namespace has its loopback up and nothing else. It takes root, or a user namespace where the system gives
-- those to everybody, and iproute2: netns.missing() says what lacks.

local process = require "support.process"

local M = {}

local wrong, checked -- why there are no namespaces here, once it is known

local function quoted(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

-- The namespace is the shell's; root in a user namespace, where we are not root.
local function words(commands, last)
  local script = { "set -e", "ip link set lo up" }
  for _, command in ipairs(commands) do script[#script + 1] = command end
  script[#script + 1] = last
  local flag = process.run({ "id", "-u" }).out:match("^0\n") and "-n" or "-rn"
  return { "unshare", flag, "sh", "-c", table.concat(script, "\n") }
end

-- Nothing of these programs is ours: the sanitizers stay out of them, and come back for the script.
local function tried(commands, last)
  local preload = os.getenv("LD_PRELOAD")
  if preload then last = "LD_PRELOAD=" .. quoted(preload) .. "\nexport LD_PRELOAD\n" .. last end
  return process.run(words(commands, last), { env = { LD_PRELOAD = false } })
end

--- Why no namespace with these links and routes can be made here; nil: it can.
---@param commands? string[]
---@return string|nil
function M.missing(commands)
  if not checked then
    checked = true
    local result = tried({}, "true")
    if result.status ~= 0 then wrong = "no network namespaces here: " .. result.err:gsub("%s+$", "") end
  end
  if wrong or not commands then return wrong end
  local result = tried(commands, "true")
  return result.status ~= 0 and "no such network here: " .. result.err:gsub("%s+$", "") or nil
end

--- Runs a Lua script in a namespace that commands have furnished. It is a task and finds `moonpark`, `net`, and of
--- spec/support `names` and, as `support`, net.lua.
---@param commands string[] for sh, each of which must succeed
---@param script string
---@return {status: integer, out: string, err: string}
function M.run(commands, script)
  local lua = [[
    local moonpark = require "moonpark"
    local net, names, support = moonpark.net, require "support.names", require "support.net"
    moonpark.run(function()
      assert(moonpark and net and names and support)
  ]] .. script .. "\nend)"
  return tried(commands, "exec " .. quoted(process.interpreter) .. " -e " .. quoted(lua))
end

--- Commands: 198.18.0.0/24 and fd00:18::/64 on a wire whose other end nobody hears. What is sent to 198.18.0.9 or
--- fd00:18::9 gets no answer, not even an error.
M.black_hole = {
  "ip link add hole type veth peer name deaf",
  "echo 1 >/proc/sys/net/ipv6/conf/deaf/disable_ipv6",
  "ip addr add 198.18.0.1/24 dev hole",
  "ip addr add fd00:18::1/64 dev hole nodad",
  "ip link set hole up",
  "ip link set deaf up",
  "ip neigh add 198.18.0.9 lladdr 02:00:00:00:00:09 dev hole nud permanent",
  "ip neigh add fd00:18::9 lladdr 02:00:00:00:00:09 dev hole nud permanent",
}

--- Commands: no IPv6, not even on the loopback.
M.no_ipv6 = {
  "for on in all default lo; do echo 1 >/proc/sys/net/ipv6/conf/$on/disable_ipv6; done",
}

return M

-- SPDX-License-Identifier: MIT
-- support/names.lua - names without a resolver: a table answers for it while a function runs.

local addresses = require "moonpark.net.addresses"
local net = require "moonpark.net"

local M = {}

--- Runs body(...); meanwhile hosts[name] is what a look-up gives: {"::1", "127.0.0.1"}, or a function of (host,
--- deadline) that may wait; others are "no such host". -> what body returned
function M.known(hosts, body, ...)
  local before = addresses.lookup
  local function restore(ok, ...)
    addresses.lookup = before
    if not ok then error((...), 0) end
    return ...
  end
  addresses.lookup = function(host, deadline)
    local known = hosts[host]
    if type(known) == "function" then return known(host, deadline) end
    if not known then return nil, "no such host" end
    return known
  end
  return restore(pcall(body, ...))
end

--- The body of an `it`: the same.
function M.with(hosts, body)
  return function() return M.known(hosts, body) end
end

-- IPv6 to the dial, an address of this machine that no process takes by chance.
local SILENT = "::ffff:127.83.12.9"

function M.port_of(listener) return tonumber(listener:address():match(":(%d+)$")) end

--- Two ends, dialled by a name whose first address refuses and whose other family has the listener: so it is the task
--- beside the dialling one that connects.
function M.connected()
  local listener = assert(net.listen("127.0.0.1:0"))
  local client = assert(M.known({ name = { SILENT, "127.0.0.1" } }, net.dial, "name:" .. M.port_of(listener)))
  local server = assert(listener:accept())
  listener:close()
  return client, server
end

return M

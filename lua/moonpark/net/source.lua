-- SPDX-License-Identifier: MIT
-- source.lua - where listening sockets come from: from the system, or, in a worker, from its supervisor.

local M = {}

---@class moonpark.net.source
---@field listen fun(address: string, options: table): moonpark.listener|nil, string?, integer?
---@field packet fun(address: string, options: table): moonpark.packet|nil, string?, integer?
---@field speaks_http fun(listener: moonpark.listener) an HTTP server without TLS has opened over it

local other

--- Sockets come from there from now on.
---@param source moonpark.net.source
function M.set(source) other = source end

--- Where they come from; nil: from the system.
---@return moonpark.net.source|nil
function M.get() return other end

return M

-- SPDX-License-Identifier: MIT
-- source.lua - where listening sockets come from: from the system, or, in a worker, from its supervisor.

local M = {}

---@type {listen: fun(address: string, options: table): any, string?, integer?; packet: fun(address: string,
--- options: table): any, string?, integer?}|nil
M.other = nil

return M

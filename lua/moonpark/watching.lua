-- SPDX-License-Identifier: MIT
-- watching.lua - what HTTP servers do besides in watch mode. Empty in every other process.

local M = {}

---@type nil|fun(handler: fun(req: table, res: table)): fun(req: table, res: table)
M.wrap = nil -- a server's handler

---@type nil|fun(req: table, res: table, text: string): boolean
M.show = nil -- answers with a handler's failure -> was that done?

return M

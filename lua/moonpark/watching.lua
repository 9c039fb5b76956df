-- SPDX-License-Identifier: MIT
-- watching.lua - what HTTP servers do besides in watch mode; nothing in every other process.

local M = {}

---@class moonpark.watching
---@field wrap fun(handler: fun(req: table, res: table)): fun(req: table, res: table)
---@field show fun(req: table, res: table, text: string): boolean

local mode ---@type moonpark.watching|nil

--- From now on servers ask this.
---@param watching moonpark.watching
function M.begin(watching) mode = watching end

--- A server's handler, with what watch mode adds.
---@param handler fun(req: table, res: table)
---@return fun(req: table, res: table)
function M.wrapped(handler) return mode and mode.wrap(handler) or handler end

--- Answers with a handler's failure.
---@param text string
---@return boolean done
function M.shows(req, res, text) return mode ~= nil and mode.show(req, res, text) end

return M

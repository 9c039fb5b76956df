-- SPDX-License-Identifier: MIT
-- segments.lua - where the memory that processes share comes from: one function, which a process that belongs to a
-- group replaces, so that all of the group get the same memory for a name.

local core = require "moonpark.core"

local M = {}

-- Memory that only this process has.
local function own(_, name, size) return core.shared_memory("moonpark " .. name, size) end

local source = own

--- A descriptor of the memory with that name: new and zeroed, or what another process of the group has made. It is the
--- caller's to close. What is there may be of another kind or size; the caller finds out when it opens it.
---@param kind string "dict", "counters"
---@param name string
---@param size integer bytes
---@return integer|nil fd
---@return string? err "too many open files", ..., and what the source says
---@return integer? errno
function M.open(kind, name, size) return source(kind, name, size) end

--- Replaces where memory comes from, before the first use; nil: by default every process has its own.
---@param fn (fun(kind: string, name: string, size: integer): integer|nil, string?, integer?)|nil as M.open
function M.set_source(fn) source = fn or own end

return M

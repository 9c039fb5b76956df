-- SPDX-License-Identifier: MIT
-- shared.lua - what the processes of a program share. Without workers it works the same, within the one process.

local channels = require "moonpark.shared.channels"
local client = require "moonpark.shared.client"
local locks = require "moonpark.shared.locks"
local once = require "moonpark.shared.once"

---@class moonpark.shared
local M = {}

---------------------------------------------------------------------------------------------------
-- through the broker: see docs/shared-coordination.md

local of_locks, of_once, of_channels = locks.new(client.default), once.new(client.default),
  channels.new(client.default)

--- Takes the lock of that name, which one task of all workers has at a time; those that wait get it in the order they
--- came. Raises if this task has it already. A worker that dies lets go of its locks; a task that ends does not.
---@type fun(name: string, timeout?: number): moonpark.shared.held|nil, string? "timeout", "canceled", ...
M.lock = of_locks.lock

--- The same without waiting for others.
---@type fun(name: string): moonpark.shared.held|nil, string? "timeout", "canceled"
M.try_lock = of_locks.try_lock

--- Runs fn() with the lock, and unlocks it however fn ends. Returns true and fn's results; or nil and why fn was not
--- run, as lock.
---@type fun(name: string, fn: function, timeout?: number): true|nil, any
M.locked = of_locks.locked

--- A channel to all workers.
---@type fun(name: string): moonpark.shared.channel
M.channel = of_channels.channel

--- The value of that name. One task of all workers computes it by fn, and the others that ask for it wait. ttl: how
--- many seconds it is kept; for good. An error of fn is raised by its caller, and the next one that waits computes, as
--- it does if fn returns nil, err.
---@type fun(name: string, fn: (fun(): any), options?: {ttl?: number}): any, string? "canceled", ...; or "not kept"
M.once = of_once.once

--- Has a value of `once` computed anew by whoever asks next.
---@type fun(name: string): true|nil, string? "canceled"
M.forget = of_once.forget

return M

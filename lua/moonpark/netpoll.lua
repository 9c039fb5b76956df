-- SPDX-License-Identifier: MIT
-- netpoll.lua - the poller's semaphores for any pollable descriptor, with the meaning of Go's
-- runtime/netpoll.go. The descriptor stays yours: it is neither made non-blocking nor closed.

local core = require "moonpark.core"

local M = {}

---@class moonpark.pollDesc
---@field wait fun(self, mode: "r"|"w"): true|nil, string? "closed", "timeout", "canceled"; a second waiter raises
---@field wait_canceled fun(self, mode: "r"|"w"): true|nil, string? for readiness alone
---@field reset fun(self, mode: "r"|"w"): true|nil, string? forgets old readiness; "closed", "timeout"
---@field set_deadline fun(self, t: number|nil, mode: "r"|"w"|"rw"): true|nil, string? absolute; nil: none
---@field unblock fun(self) closing from now on: wakes both sides
---@field close fun(self) after unblock, with nobody parked; else it raises
---@field info fun(self): table fd, slot, generation, closing, read_ready, write_ready

--- pollOpen: registers fd, edge-triggered, in both directions.
---@param fd integer
---@return moonpark.pollDesc|nil
---@return string? err "not pollable" for a regular file
---@return integer? errno
M.open = core.netpoll_open

--- pollServerDescriptor: the poller's own descriptor; nil where it has none (poll).
---@return integer|nil
M.descriptor = core.netpoll_descriptor

--- The back end in use: "epoll" or "poll" (environment MOONPARK_POLLER).
---@return string
M.name = core.netpoll_name

--- Counts: tasks, outside (parked and to be woken from outside), waiters, polls, timers.
---@return table<string, number>
M.stats = core.stats

return M

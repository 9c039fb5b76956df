-- SPDX-License-Identifier: MIT
-- netpoll.lua - the poller's semaphores for any pollable descriptor, with the meaning of Go's
-- runtime/netpoll.go. The descriptor stays yours: it is neither made non-blocking nor closed.

local core = require "moonpark.core"

---@class moonpark.netpoll
local M = {}

---@class moonpark.pollDesc
---@field wait fun(self, mode: "r"|"w"): true|nil, string? "closed", "timeout", "canceled"; a second waiter raises
---@field wait_level fun(self, mode: "r"|"w"): true|nil, string? as wait; at once if it is ready now: for foreign code
---@field wait_canceled fun(self, mode: "r"|"w"): true|nil, string? only readiness ends it; "canceled"
---@field reset fun(self, mode: "r"|"w"): true|nil, string? forgets old readiness; "closed", "timeout", "not pollable"
---@field set_deadline fun(self, t: number|nil, mode: "r"|"w"|"rw"): true|nil, string? absolute; nil: none; "closed"
---@field unblock fun(self) starts closing: wakes both sides
---@field close fun(self) raises unless unblock was called before and no task is parked on it
---@field info fun(self): table fd, slot, generation, closing, read_ready, write_ready

--- pollOpen: registers fd, edge-triggered, in both directions. Or nil, text and errno: "not pollable" for a regular
--- file, "file exists" if it is registered already.
---@type fun(fd: integer): moonpark.pollDesc|nil, string?, integer?
M.open = core.netpoll_open

--- pollServerDescriptor: the poller's own descriptor; nil if it has none (poll).
---@type fun(): integer|nil
M.descriptor = core.netpoll_descriptor

--- The back end in use: "epoll" or "poll" (environment MOONPARK_POLLER).
---@type fun(): "epoll"|"poll"
M.name = core.netpoll_name

--- Counts: tasks, outside (parked tasks that something outside can wake), waiters, polls, timers.
---@type fun(): table<string, number>
M.stats = core.stats

return M

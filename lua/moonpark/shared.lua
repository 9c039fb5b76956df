-- SPDX-License-Identifier: MIT
-- shared.lua - what the processes of a program share: dicts and counters, locks, channels, values that one of them
-- computes. Without workers it works the same, within the one process.

local channels = require "moonpark.shared.channels"
local client = require "moonpark.shared.client"
local counter = require "moonpark.shared.counter"
local dict = require "moonpark.shared.dict"
local locks = require "moonpark.shared.locks"
local once = require "moonpark.shared.once"

---@class moonpark.shared
local M = {}

---@alias moonpark.shared.value string|number|boolean

--- Writes return true and whether entries that were not over were evicted for it; or nil and "exists", "not found",
--- "changed" (compare_and_set), or "no memory": key and value need more than half a shard.
---
--- Keys are strings of 1 to 65535 bytes. A ttl is a positive number of seconds; nil and math.huge: no end.
---@class moonpark.shared.dict
---@field get fun(self, key: string): moonpark.shared.value|nil
---@field set fun(self, key: string, value: any, ttl?: number): true|nil, boolean|string
---@field add fun(self, key: string, value: any, ttl?: number): true|nil, boolean|string "exists"
---@field replace fun(self, key: string, value: any, ttl?: number): true|nil, boolean|string "not found"
---@field compare_and_set fun(self, key: string, old: any, new: any, ttl?: number): true|nil, boolean|string
---@field compare_and_delete fun(self, key: string, old: any): true|nil, string? "changed"
---@field safe_set fun(self, key: string, value: any, ttl?: number): true|nil, boolean|string evicts nothing
---@field safe_add fun(self, key: string, value: any, ttl?: number): true|nil, boolean|string "exists", "no memory"
---@field safe_compare_and_set fun(self, key: string, old: any, new: any, ttl?: number): true|nil, boolean|string
---@field get_stale fun(self, key: string): moonpark.shared.value|nil, boolean? the value, and whether it is over
---@field flush_expired fun(self, max?: integer): integer removes entries that are over; how many
---@field expire_all fun(self) all entries are over from now on
---@field keep_expired fun(self) the option of that name, for this process
---@field delete fun(self, key: string): boolean was it there
---@field incr fun(self, key: string, by?: number, init?: number, ttl?: number): number|nil, boolean|string the sum
---@field ttl fun(self, key: string): number|nil, string? seconds, math.huge: no end; or nil and "not found"
---@field expire fun(self, key: string, seconds: number|nil): true|nil, string? nil and "not found"
---@field keys fun(self, max?: integer): string[] the most recently used first; at most 1024 by default
---@field flush fun(self) removes all
---@field stats fun(self): moonpark.shared.stats

---@class moonpark.shared.dict_options
---@field size? integer|string bytes, or "512k", "10m", "1g"; 65536 at least; 1 MiB
---@field keep_expired? boolean entries whose time is over stay until their room is needed; false

---@class moonpark.shared.stats
---@field entries integer including those that are over and not looked for since
---@field bytes integer in use by entries
---@field size integer of the whole dict, in bytes
---@field evicted integer entries that had to go for others
---@field expired integer entries that were found to be over
---@field repaired integer shards that a process has left in the middle of a change by its death
---@field emptied integer of these, those that were damaged

---@class moonpark.shared.counter
---@field add fun(self, n?: integer): integer|nil, string? the sum; or nil and "out of range". By default 1
---@field get fun(self): integer
---@field set fun(self, n: integer)

--- Opens a dict, or makes it. The processes of a group get the same one for a name, and so does each call in one
--- process. Options: size = bytes, or text such as "512k" and "10m"; at least 16 KiB, 1 MiB by default. Raises if the
--- name has another size or kind. With keep_expired, entries that are over stay until their room is needed or their key
--- is written, for get_stale; all processes should open it so. After ngx.shared.DICT.
---@type fun(name: string, options?: moonpark.shared.dict_options): moonpark.shared.dict|nil, string?, integer?
M.dict = dict.open

--- Opens a counter, or makes it at 0: a whole number within 2^53 of 0. There is room for about a thousand.
---@type fun(name: string): moonpark.shared.counter|nil, string?, integer? "no memory": there is no room for another one
M.counter = counter.open

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
---@type fun(name: string, fn: (fun(): any), options?: moonpark.shared.once.options): any,
--- string? "canceled", ...; or "not kept"
M.once = of_once.once

--- Has a value of `once` computed anew by whoever asks next.
---@type fun(name: string): true|nil, string? "canceled"
M.forget = of_once.forget

return M

-- SPDX-License-Identifier: MIT
-- shared.lua - memory that the processes of a server share: dicts and counters, by name.

local counter = require "moonpark.shared.counter"
local dict = require "moonpark.shared.dict"

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
---@field delete fun(self, key: string): boolean was it there
---@field incr fun(self, key: string, by?: number, init?: number, ttl?: number): number|nil, boolean|string the sum
---@field ttl fun(self, key: string): number|nil, string? seconds, math.huge: no end; or nil and "not found"
---@field expire fun(self, key: string, seconds: number|nil): true|nil, string? nil and "not found"
---@field keys fun(self, max?: integer): string[] the most recently used first; at most 1024 by default
---@field flush fun(self) removes all
---@field stats fun(self): moonpark.shared.stats

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
--- name has another size or kind. After ngx.shared.DICT.
---@type fun(name: string, options?: {size: integer|string}): moonpark.shared.dict|nil, string?, integer?
M.dict = dict.open

--- Opens a counter, or makes it at 0: a whole number within 2^53 of 0. There is room for about a thousand.
---@type fun(name: string): moonpark.shared.counter|nil, string?, integer? "no memory": there is no room for another one
M.counter = counter.open

return M

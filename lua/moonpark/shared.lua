-- SPDX-License-Identifier: MIT
-- shared.lua - memory that the processes of a server share: dicts and counters, by name.

local counter = require "moonpark.shared.counter"
local dict = require "moonpark.shared.dict"

---@class moonpark.shared
local M = {}

---@alias moonpark.shared.value string|number|boolean

---@class moonpark.shared.dict keys are strings of 1 to 65535 bytes; a ttl is a positive number of seconds, nil: none
---@field get fun(self, key: string): moonpark.shared.value|nil
---@field set fun(self, key: string, value: moonpark.shared.value, ttl?: number): true|nil, boolean|string true, and
---whether entries had to go for it that were not over; or nil and "no memory"
---@field add fun(self, key: string, value: moonpark.shared.value, ttl?: number): true|nil, boolean|string as set, or nil
---and "exists"
---@field replace fun(self, key: string, value: moonpark.shared.value, ttl?: number): true|nil, boolean|string as set, or
---nil and "not found"
---@field compare_and_set fun(self, key: string, old: moonpark.shared.value|nil, new: moonpark.shared.value,
---ttl?: number): true|nil, boolean|string as set, or nil and "changed"; old nil: there must be none
---@field delete fun(self, key: string): boolean was it there
---@field incr fun(self, key: string, by?: number, init?: number, ttl?: number): number|nil, boolean|string the sum, and
---as set; or nil and "not found", "not a number" or "no memory"
---@field ttl fun(self, key: string): number|nil, string? seconds, math.huge: no end; or nil and "not found"
---@field expire fun(self, key: string, seconds: number|nil): true|nil, string? "not found"
---@field keys fun(self, max?: integer): string[] the most recently used first; at most 1024 by default
---@field flush fun(self) removes all
---@field stats fun(self): {entries: integer, evicted: integer, expired: integer, bytes: integer, size: integer,
---repaired: integer, emptied: integer}

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

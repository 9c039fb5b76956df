-- SPDX-License-Identifier: MIT
-- limit_concurrency.lua - middleware: how many requests of one client, or in all, are handled at once.

local client_address = require "moonpark.http.client_address"
local options_of = require "moonpark.options"
local remember = require("moonpark.http.returned").remember

local M = {}

local ALL = {} -- the key of one limit for everybody

local known = {
  max = "positive", key = { function(value) return value == false or type(value) == "function" end,
    "must be a function, or false: one limit for everybody" },
  status = { function(value) return type(value) == "number" and value >= 400 and value <= 599 end,
    "must be a status from 400 to 599" },
  trusted = { function(value) return client_address.trusted(value) ~= nil end,
    "must list addresses, networks and \"unix\"" },
}

---@class moonpark.http.limit_concurrency.options
---@field max integer requests at once
---@field key? false|fun(req: moonpark.http.request): string|nil whose they are; nil: no limit. By default the client's
--- address, of IPv6 its network of 64 bits; false: everybody's together
---@field trusted? string|string[] as of rate_limit
---@field status? integer 429; if key is false, 503

local function key_function(options)
  if options.key then return options.key end
  if options.key == false then return function() return ALL end end
  local trusted = options.trusted and client_address.trusted(options.trusted)
  return function(req) return client_address.key(client_address.of(req, trusted)) end
end

-- What the middleware's `next` has returned or raised is the same for the caller.
local function leave(counts, key, ok, ...)
  local count = counts[key] - 1
  counts[key] = count > 0 and count or nil
  if not ok then error((...), 0) end
  return ...
end

--- Middleware that admits `max` requests of each client at a time. A request counts until its handler has returned, a
--- WebSocket until it has ended.
---@param options moonpark.http.limit_concurrency.options
---@return fun(req: moonpark.http.request, res: moonpark.http.response, next: fun(): any)
function M.new(options)
  if type(options) ~= "table" or not options.max then error("limit_concurrency: option 'max' is needed", 2) end
  options_of.check("limit_concurrency", options, known)
  local max, key_of, counts = options.max, key_function(options), {}
  local status = options.status or (options.key == false and 503 or 429)
  return function(req, res, next)
    local key = key_of(req)
    if key == nil then return next() end
    local count = counts[key] or 0
    if count >= max then
      res:set("Retry-After", "1")
      return res:fail(status)
    end
    counts[key] = count + 1
    return leave(counts, key, xpcall(next, remember))
  end
end

return M

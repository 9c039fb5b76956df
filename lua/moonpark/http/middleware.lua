-- SPDX-License-Identifier: MIT
-- middleware.lua - chains of middleware, made when routes are added.
--
-- Middleware gets a function `next`, which has to be made for each request, and which LuaJIT does not compile. Most of
-- it needs none: it does something before the handler, and at most answers itself. Ours is made so that a chain calls
-- that part alone.

local M = {}

-- [middleware] = the part that comes before what it is around
local befores = setmetatable({}, { __mode = "k" })

--- Middleware that acts before what it is around, and not after it.
---@param before fun(req: moonpark.http.request, res: moonpark.http.response): false|nil false: it has answered
---@return fun(req: moonpark.http.request, res: moonpark.http.response, next: fun(): any)
function M.before(before)
  local function middleware(req, res, next)
    if before(req, res) ~= false then return next() end
  end
  befores[middleware] = before
  return middleware
end

local function preceded(before, inner)
  return function(req, res)
    if before(req, res) ~= false then return inner(req, res) end
  end
end

local function wrapped(outer, inner)
  return function(req, res)
    return outer(req, res, function() return inner(req, res) end)
  end
end

--- A handler of all of them: from the outermost middleware to the handler.
---@param list function[]
---@param handler function
---@return function
function M.chain(list, handler)
  for i = #list, 1, -1 do
    local before = befores[list[i]]
    handler = before and preceded(before, handler) or wrapped(list[i], handler)
  end
  return handler
end

return M

-- SPDX-License-Identifier: MIT
-- middleware.lua - chains of middleware, made when routes are added.
--
-- Middleware is passed a function `next`. It has to be made for each request, and LuaJIT does not compile that. Most
-- middleware does not need it: it acts before the handler, and at most responds in its place. Ours is made by before(),
-- so that a chain can call that part alone, without a `next`.

local of_middleware = require("moonpark.http.returned").middleware

local M = {}

-- [middleware] = the part that runs before what it wraps
local befores = setmetatable({}, { __mode = "k" })

--- Makes middleware that acts before what it wraps, and not after it.
---@param before fun(req: moonpark.http.request, res: moonpark.http.response): false|nil false: it has responded
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

-- In Express an argument of next() is an error, and the handler does not run. nil is none there, either.
local function refuse_arguments()
  error("next takes no argument: answer with res:fail(401), for one, or raise", 3)
end

local function wrapped(fn, inner)
  local outer = of_middleware(fn)
  return function(req, res)
    return outer(req, res, function(first, second) -- varargs would cost more
      if first ~= nil or second ~= nil then refuse_arguments() end
      return inner(req, res)
    end)
  end
end

--- Makes one handler of a list of middleware, outermost first, and the handler that it wraps.
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

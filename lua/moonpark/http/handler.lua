-- SPDX-License-Identifier: MIT
-- handler.lua - turns anything that is accepted as a handler into a function, and says what is wrong with the rest.

--- Answers a request. A router and a proxy are handlers, too.
---@alias moonpark.http.handler moonpark.http.router|moonpark.http.proxy|fun(req: moonpark.http.request,
--- res: moonpark.http.response)

--- Runs around a handler: next() runs what it wraps.
---@alias moonpark.http.middleware fun(req: moonpark.http.request, res: moonpark.http.response, next: fun(): any)

local M = {}

-- [what makes a handler or middleware] = its name
local makers = setmetatable({}, { __mode = "k" })

--- Notes that a function is no handler, but makes one.
---@param fn function
---@param name string "http.logger"
function M.makes(fn, name) makers[fn] = name end

--- What is wrong with a value that should be a handler, or nil.
---@param handler any
---@param kind? "handler"|"middleware"
---@return string|nil
function M.complaint(handler, kind)
  local maker = makers[handler]
  if maker then return ("%s expected, got %s itself: call it, %s(...)"):format(kind or "handler", maker, maker) end
  if M.function_of(handler) then return nil end
  return ("%s expected, got %s"):format(kind or "handler", type(handler))
end

--- A handler as a function: of what has a method `handle`, as routers and proxies, that. nil where it is no handler.
--- A router is called through its method: one call less for each request than by __call.
---@param handler any
---@return function|table|nil what can be called
function M.function_of(handler)
  if type(handler) == "function" then return handler end
  local ok, handle = pcall(function() return handler.handle end) -- what guards its fields may raise
  if type(handler) == "table" and ok and type(handle) == "function" then
    return function(req, res) return handle(handler, req, res) end
  end
  local meta = getmetatable(handler)
  return type(meta) == "table" and meta.__call and handler or nil
end

return M

-- SPDX-License-Identifier: MIT
-- http_router.lua - from method and path to a handler. Paths without parameters are one look into a table; the others are
-- a tree of segments, in which a literal one goes before ":name", and that before "*name".

local url = require "moonpark.url"

---@class moonpark.http.router
local Router = {}
Router.__index = Router

local METHODS = { "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS" }

local function new_node() return { literals = {} } end

--- A router: a handler that finds the handler.
---@return moonpark.http.router
local function new()
  return setmetatable({ exact = {}, root = new_node(), middleware = {}, prefix = "", stacks = {} }, Router)
end

---------------------------------------------------------------------------------------------------
-- adding

-- The middleware from the outermost to the handler as one function.
local function chain(middleware, handler)
  for i = #middleware, 1, -1 do
    local outer, inner = middleware[i], handler
    handler = function(req, res)
      return outer(req, res, function() return inner(req, res) end)
    end
  end
  return handler
end

local function check_path(path, level)
  if type(path) ~= "string" or path:sub(1, 1) ~= "/" then
    error(("a path that begins with '/' expected, got %s"):format(tostring(path)), level + 1)
  end
end

local function check_callable(handler, level)
  if type(handler) == "function" then return end
  local meta = getmetatable(handler)
  if not (meta and meta.__call) then
    error(("a handler expected, got %s"):format(type(handler)), level + 1)
  end
end

-- The node a pattern ends at, and the names of its parameters.
local function place(root, path)
  local node, names = root, {}
  for segment in path:gmatch("/([^/]*)") do
    local kind, name = segment:match("^([:*])(.*)$")
    if node.rest and node.at_rest then error("'*' must be the last part of " .. path, 4) end
    if kind then
      if name == "" and kind == ":" then error("a parameter without a name in " .. path, 4) end
      names[#names + 1] = name == "" and "*" or name
      local key = kind == ":" and "parameter" or "rest"
      node[key] = node[key] or new_node()
      node = node[key]
    else
      node.literals[segment] = node.literals[segment] or new_node()
      node = node.literals[segment]
    end
  end
  if path:find("%*[^/]*/") then error("'*' must be the last part of " .. path, 4) end
  return node, names
end

local function entry_of(owner, key)
  owner[key] = owner[key] or {}
  return owner[key]
end

local function top(self)
  while self.parent do self = self.parent end
  return self
end

local function all_middleware(self)
  local list = {}
  if self.parent then list = all_middleware(self.parent) end
  for _, one in ipairs(self.middleware) do list[#list + 1] = one end
  return list
end

--- Adds a route. ":name" in the path takes one segment, "*name" at its end all that is left.
---@param method string "GET", ...; "*" for any
---@param path string
---@param handler fun(req: moonpark.http.request, res: moonpark.http.response)
---@return moonpark.http.router self
function Router:route(method, path, handler)
  check_path(path, 2)
  check_callable(handler, 2)
  path = self.prefix .. path
  local root = top(self)
  local route = { handler = chain(all_middleware(self), handler) }
  if path:find("[:*]") then
    local node, names = place(root.root, path)
    route.names = names
    entry_of(node, "routes")[method] = route
  else
    entry_of(root.exact, path)[method] = route
  end
  return self
end

for _, method in ipairs(METHODS) do
  Router[method:lower()] = function(self, path, handler) return self:route(method, path, handler) end
end

--- For every method.
function Router:any(path, handler) return self:route("*", path, handler) end

--- Adds middleware: fn(req, res, next) around the handlers of the routes that are added after it.
---@param fn fun(req: moonpark.http.request, res: moonpark.http.response, next: fun(): any)
---@return moonpark.http.router self
function Router:use(fn)
  check_callable(fn, 2)
  self.middleware[#self.middleware + 1] = fn
  self.outside = nil
  return self
end

--- Routes below a path, with middleware of their own: fn(group).
---@param prefix string
---@param fn? fun(group: moonpark.http.router)
---@return moonpark.http.router group
function Router:group(prefix, fn)
  check_path(prefix, 2)
  local group = setmetatable({ parent = self, prefix = self.prefix .. prefix:gsub("/$", ""), middleware = {} }, Router)
  if fn then fn(group) end
  return group
end

--- What answers where no route fits; else it is 404 in plain words.
---@param handler fun(req: moonpark.http.request, res: moonpark.http.response)
function Router:not_found(handler)
  check_callable(handler, 2)
  top(self).missing = handler
  return self
end

---------------------------------------------------------------------------------------------------
-- finding

-- Walks the tree, literal segments first, and comes back where a way ends without a route.
local function search(node, segments, i, values)
  if i > #segments then
    if node.routes then return node.routes end
  else
    local literal = node.literals[segments[i]]
    local found = literal and search(literal, segments, i + 1, values)
    if found then return found end
    if node.parameter and segments[i] ~= "" then
      values[#values + 1] = segments[i]
      found = search(node.parameter, segments, i + 1, values)
      if found then return found end
      values[#values] = nil
    end
  end
  if node.rest and node.rest.routes then
    values[#values + 1] = table.concat(segments, "/", i)
    return node.rest.routes
  end
end

local function split(path)
  local segments = {}
  for segment in path:gmatch("/([^/]*)") do segments[#segments + 1] = segment end
  return segments
end

local function params_of(route, values)
  local params = {}
  for i, name in ipairs(route.names or {}) do
    local value = url.decode(values[i])
    if not value then return nil end
    params[name] = value
  end
  return params
end

local function allowed(routes)
  local list, seen = {}, {}
  for method in pairs(routes) do seen[method] = true end
  if seen.GET then seen.HEAD = true end
  seen.OPTIONS = true
  for method in pairs(seen) do
    if method ~= "*" then list[#list + 1] = method end
  end
  table.sort(list)
  return table.concat(list, ", ")
end

local function pick(routes, method)
  return routes[method] or method == "HEAD" and routes.GET or routes["*"]
end

local function no_method(req, res, routes)
  res:set("Allow", allowed(routes))
  if req.method == "OPTIONS" then
    res.status = 204
    return res:send("")
  end
  return res:fail(405)
end

local function not_found(self)
  return self.missing or function(_, res) return res:fail(404) end
end

-- What no route has still goes through the outermost middleware: its log, its CORS.
local function outside(self, req, res, inner)
  return chain(self.middleware, inner)(req, res)
end

local function options_of_all(_, res)
  res:set("Allow", table.concat(METHODS, ", "))
  res.status = 204
  return res:send("")
end

--- Finds the route and runs it: a router is a handler.
---@param req moonpark.http.request
---@param res moonpark.http.response
function Router:handle(req, res)
  local path, method = req.raw_path, req.method
  local routes, values = self.exact[path], nil
  if routes then
    local route = pick(routes, method)
    if route then return route.handler(req, res) end
  else
    values = {}
    routes = search(self.root, split(path), 1, values)
  end
  if path == "*" then return outside(self, req, res, options_of_all) end
  if not routes then return outside(self, req, res, not_found(self)) end
  local route = pick(routes, method)
  if not route then
    return outside(self, req, res, function(a, b) return no_method(a, b, routes) end)
  end
  local params = params_of(route, values)
  if not params then return outside(self, req, res, function(_, b) return b:fail(400) end) end
  req.params = params
  return route.handler(req, res)
end

Router.__call = Router.handle

return { new = new }

-- SPDX-License-Identifier: MIT
-- router.lua - finds the handler for a method and a path. A route without parameters is one look into a table. All
-- others are found in a tree of segments (runtime/http/http_router.h), where a literal takes precedence over ":name",
-- and that over "*name". Parameters become strings when they are asked for.
--
-- Chains of middleware are built when routes are added (middleware.lua).

local core = require "moonpark.core"
local chain = require("moonpark.http.middleware").chain
local handlers = require "moonpark.http.handler"
local misuse = require "moonpark.http.misuse"
local of_handler = require("moonpark.http.returned").handler
local router_misuse = require "moonpark.http.router_misuse"
local url = require "moonpark.url"

--- Each method adds a route and returns the router; see route().
---@class moonpark.http.router
---@field get fun(self: self, path: string, handler: moonpark.http.handler): self a route for GET
---@field head fun(self: self, path: string, handler: moonpark.http.handler): self a route for HEAD
---@field post fun(self: self, path: string, handler: moonpark.http.handler): self a route for POST
---@field put fun(self: self, path: string, handler: moonpark.http.handler): self a route for PUT
---@field delete fun(self: self, path: string, handler: moonpark.http.handler): self a route for DELETE
---@field patch fun(self: self, path: string, handler: moonpark.http.handler): self a route for PATCH
---@field options fun(self: self, path: string, handler: moonpark.http.handler): self a route for OPTIONS
---@overload fun(req: moonpark.http.request, res: moonpark.http.response)
local Router = {}
Router.__index = Router

local METHODS = { "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS" }
local known = {}
for _, method in ipairs(METHODS) do known[method] = true end

local DEEPEST = 1000 -- segments of a route's path

--- Makes a router: a handler that finds the handler.
---@return moonpark.http.router
local function new()
  -- what a router and its groups share
  local shared = { exact = {}, routes = {}, tree = core.http_router(), chains = {}, methods = {}, late = {},
    mounted = {} }
  return setmetatable({ shared = shared, middleware = {}, prefix = "" }, Router)
end

---------------------------------------------------------------------------------------------------
-- adding

local function check_path(path, level)
  if type(path) ~= "string" or path:sub(1, 1) ~= "/" then
    local got = type(path) == "string" and "'" .. path .. "'" or path == nil and "nil" or "a " .. type(path)
    error("path must begin with '/', got " .. got, level + 1)
  end
  local wrong = router_misuse.of_path(path)
  if wrong then error(wrong, level + 1) end
  if path:find("[?#%c%s]") then error(("a path without query and blanks expected, got %q"):format(path), level + 1) end
end

local function check_handler(handler, kind, level)
  local wrong = handlers.complaint(handler, kind)
  if wrong then error(wrong, level + 1) end
end

-- As it is called: what it returns is looked at, except that of a router, whose routes look at theirs.
local function checked(handler, level)
  check_handler(handler, "handler", level + 1)
  local fn = handlers.function_of(handler)
  return getmetatable(handler) == Router and fn or of_handler(fn)
end

-- Others have routes with several functions.
local function check_alone(extra, level)
  if extra == nil then return end
  error("a route has one handler: add middleware with app:use before it, or to a group", level + 1)
end

local function check_method(method, level)
  if type(method) ~= "string" or method == "" or method:find("[^%w!#$%%&'*+%-.^_`|~]") then
    error(("method expected, got %s"):format(tostring(method)), level + 1)
  end
  if known[method:upper()] and not known[method] then
    error(("methods must be in upper case: %s"):format(method:upper()), level + 1)
  end
end

local function split(path)
  local segments, n, from = {}, 0, 2
  while true do
    local slash = path:find("/", from, true)
    n = n + 1
    segments[n] = path:sub(from, slash and slash - 1)
    if not slash then return segments, n end
    from = slash + 1
  end
end

local function check_name(name, names, path, level)
  if name == "" then error("a parameter without a name in " .. path, level + 1) end
  for _, other in ipairs(names) do
    if other == name then error(("two parameters called '%s' in %s"):format(name, path), level + 1) end
  end
end

-- What a pattern consists of: {{kind, text}, ...} with kind "literal", "parameter" or "catch_all", and the names.
local function parse(path, level)
  local segments, n = split(path)
  local steps, names = {}, {}
  if n > DEEPEST then error(("a path of at most %d parts expected, got %d"):format(DEEPEST, n), level + 1) end
  for i, segment in ipairs(segments) do
    local mark, name = segment:match("^([:*])(.*)$")
    if mark == "*" then
      if i < n then error("'*' must be the last part of " .. path, level + 1) end
      if name == "" then name = "*" end
    end
    if mark then
      check_name(name, names, path, level + 1)
      names[#names + 1] = name
    end
    steps[i] = { mark == ":" and "parameter" or mark == "*" and "catch_all" or "literal", segment }
  end
  return steps, names
end

-- The node that a pattern ends at.
local function place(tree, steps)
  local node = 0
  for _, step in ipairs(steps) do node = tree:node(node, step[1], url.decode(step[2]) or step[2]) end
  return node
end

local function all_middleware(self)
  local list = {}
  if self.parent then list = all_middleware(self.parent) end
  for _, one in ipairs(self.middleware) do list[#list + 1] = one end
  return list
end

-- exact[path][method]: pick() uses GET's route for HEAD, and "*" for methods without a route of their own.
local function add_exact(exact, path, method, route)
  local routes = exact[path] or {}
  exact[path] = routes
  routes[method] = route
end

-- What makes req.params: of the values that the match gave, or of the path. The first is compiled for its names: a
-- table that has them from the start costs half as much as one that gets them later.
local function constructor(names)
  local source = #names == 1 and "return function(a) return { [%q] = a } end"
    or "return function(a, b) return { [%q] = a, [%q] = b } end"
  return assert(loadstring(source:format(names[1], names[2])))()
end

local function add_params(route)
  local tree, names = route.tree, route.names
  if #names == 1 or #names == 2 then route.params_of_values = constructor(names) end
  function route.params_of_path(path) return tree:params(route.id, names, path) end
end

local function add(self, method, path, handler, level)
  local shared = self.shared
  path = self.prefix .. path
  local steps, names = parse(path, level + 1)
  local route = { handler = chain(all_middleware(self), handler), names = names, method = method, tree = shared.tree,
    id = 0 }
  add_params(route)
  local id = shared.tree:add(place(shared.tree, steps), method) -- last: what it leads to must be there
  if not id then error(("a route for %s %s already exists"):format(method, path), level + 1) end
  route.id = id
  shared.routes[id] = route
  shared.methods[method] = true
  router_misuse.note_route(self)
  if #names == 0 then add_exact(shared.exact, path, method, route) end
end

--- Adds a route. ":name" in the path matches one segment that is not empty, "*name" at its end the rest of the path.
--- In a group "" is its prefix. Raises if there is already one for that method and path.
---@param method string "GET", ...; "*" for any
---@param path string
---@param handler moonpark.http.handler
---@param extra? nil a route has one handler: add middleware with app:use before it, or to a group
---@return moonpark.http.router self
function Router:route(method, path, handler, extra)
  check_method(method, 2)
  if path ~= "" or self.prefix == "" then check_path(path, 2) end
  check_alone(extra, 2)
  add(self, method, path, checked(handler, 2), 2)
  return self
end

-- These are tail calls: route() raises at their caller's line.
for _, method in ipairs(METHODS) do
  local name = method:lower()
  Router[name] = function(self, path, handler, extra) return self:route(method, path, handler, extra) end
end

--- Adds a route for every method that has none of its own at that path.
---@param path string
---@param handler moonpark.http.handler
---@param extra? nil a route has one handler: add middleware with app:use before it, or to a group
---@return moonpark.http.router self
function Router:any(path, handler, extra) return self:route("*", path, handler, extra) end

local function check_middleware(fn, extra, level)
  if type(fn) == "string" then
    error("middleware expected, got string: app:group and app:mount work below a path", level + 1)
  end
  if getmetatable(fn) == Router then
    error("middleware expected, got a router, which calls no next(): app:mount(\"/\", router)", level + 1)
  end
  check_handler(fn, "middleware", level + 1)
  -- What comes behind may be a second result: the counts of http.sessions.
  if type(extra) == "function" then error("use takes one function: call it once for each", level + 1) end
end

--- Adds middleware: fn(req, res, next) around the handlers of the routes that are added after it. Middleware of a
--- router, not that of a group, also wraps responses without a route: 404, 405, 501 and OPTIONS.
---@param fn fun(req: moonpark.http.request, res: moonpark.http.response, next: fun(): any)
---@param extra? nil use takes one function: call it once for each
---@return moonpark.http.router self
function Router:use(fn, extra)
  check_middleware(fn, extra, 2)
  fn = handlers.function_of(fn)
  self.middleware[#self.middleware + 1] = fn
  router_misuse.note_middleware(self, fn)
  if not self.parent then self.shared.chains = {} end
  return self
end

--- Makes a group: routes below a path, with middleware of their own. Calls fn(group).
---@param prefix string
---@param fn? fun(group: moonpark.http.router)
---@return moonpark.http.router group
function Router:group(prefix, fn)
  check_path(prefix, 2)
  if fn ~= nil and not handlers.function_of(fn) then error("function expected, got " .. type(fn), 2) end
  prefix = self.prefix .. prefix:gsub("/+$", "")
  local group = setmetatable({ parent = self, shared = self.shared, prefix = prefix, middleware = {} }, Router)
  if fn then fn(group) end
  return group
end

-- The path as a mounted handler sees it: the part after the prefix.
local function inner_path(path, prefix)
  if not prefix:find("%%") and path:sub(1, #prefix) == prefix then
    path = path:sub(#prefix + 1)
  else -- the client has encoded what needs no encoding
    local _, slashes = prefix:gsub("/", "")
    path = path:gsub("^" .. ("/[^/]*"):rep(slashes), "")
  end
  return path == "" and "/" or path
end

-- Does a table stand before the request? What it lacks would be taken from there.
local function is_wrapper(req) return not rawget(req, 4) end

local function set_path(req, raw_path)
  req.raw_path = raw_path
  req.path = is_wrapper(req) and (url.decode(raw_path) or raw_path) or nil -- is made again from raw_path
end

local function forget_params(req)
  req.params = is_wrapper(req) and {} or nil
  if rawget(req, 5) then rawset(req, 5, false) end
end

--- Passes requests at and below a path to another router or handler, which sees paths without that prefix.
---@param prefix string without parameters
---@param handler moonpark.http.router|fun(req: moonpark.http.request, res: moonpark.http.response)
---@return moonpark.http.router self
function Router:mount(prefix, handler)
  check_path(prefix, 2)
  if rawequal(handler, self) then error("a router cannot be mounted in itself", 2) end
  if getmetatable(handler) == Router then table.insert(self.shared.mounted, handler) end
  handler = checked(handler, 2)
  prefix = prefix:gsub("/+$", "")
  local whole = self.prefix .. prefix
  if whole:find("/[:*]") then error("prefix must have no parameters, got " .. whole, 2) end
  local function mounted(req, res)
    local outer = req.raw_path
    set_path(req, inner_path(outer, whole))
    forget_params(req)
    local ok, err, errno = handler(req, res)
    set_path(req, outer)
    return ok, err, errno
  end
  if prefix ~= "" then add(self, "*", prefix, mounted, 2) end
  add(self, "*", prefix .. "/*", mounted, 2)
  return self
end

--- Sets the handler for requests without a matching route; the default is a plain 404.
---@param handler fun(req: moonpark.http.request, res: moonpark.http.response)
---@return moonpark.http.router self
function Router:not_found(handler)
  self.shared.missing = checked(handler, 2)
  self.shared.chains = {}
  return self
end

---------------------------------------------------------------------------------------------------
-- finding

local function pick(routes, method)
  return routes[method] or method == "HEAD" and routes.GET or routes["*"]
end

-- The methods of all routes that fit the path.
local function methods_at(shared, path)
  local methods = {}
  for _, id in ipairs(shared.tree:fitting(path)) do methods[shared.routes[id].method] = true end
  return methods
end

---------------------------------------------------------------------------------------------------
-- responses of the router itself

-- The value of Allow: HEAD if there is GET, and always OPTIONS.
local function allowed(methods)
  local list = {}
  methods.HEAD = methods.HEAD or methods.GET
  methods.OPTIONS, methods["*"] = true, nil
  for method in pairs(methods) do list[#list + 1] = method end
  table.sort(list)
  return table.concat(list, ", ")
end

local function not_found(_, res) return res:fail(404) end
local function bad_path(_, res) return res:fail(400) end
local function not_implemented(_, res) return res:fail(501) end

local function no_method(req, res)
  res:set("Allow", req.allowed)
  return res:fail(405)
end

local function options(req, res)
  res:set("Allow", req.allowed)
  res.status = 204
  return res:send()
end

-- Allow for the server as a whole: the methods of all routes.
local function all_methods(shared)
  local methods = {}
  for method in pairs(shared.methods) do methods[method] = true end
  if methods["*"] then
    for method in pairs(known) do methods[method] = true end
  end
  return allowed(methods)
end

-- Requests without a route still go through the outermost middleware: its log, its CORS.
local function outside(self, req, res, inner)
  local chains = self.shared.chains
  local whole = chains[inner]
  if not whole then
    local top = self
    while top.parent do top = top.parent end
    whole = chain(top.middleware, inner)
    chains[inner] = whole
  end
  return whole(req, res)
end

-- RFC 9110 9.1: 405 is for methods that the server knows.
local function knows(shared, method) return known[method] or shared.methods[method] or shared.methods["*"] end

local function without_route(self, req, res, methods)
  local shared, is_missing = self.shared, not next(methods)
  if is_missing and shared.missing then return outside(self, req, res, shared.missing) end
  if not knows(shared, req.method) then return outside(self, req, res, not_implemented) end
  if is_missing then return outside(self, req, res, not_found) end
  req.allowed = allowed(methods)
  return outside(self, req, res, req.method == "OPTIONS" and options or no_method)
end

-- Notes what makes req.params when it is first read. A table that wraps the request gets its params at once.
local function note_params(req, make, a, b)
  if is_wrapper(req) then
    req.params = make(a, b)
    return
  end
  if rawget(req, "params") then req.params = nil end -- those of a router around this one
  rawset(req, 5, make)
  rawset(req, 6, a)
  rawset(req, 7, b)
end

local function walk(self, req, res, method, path)
  local shared = self.shared
  if path == "*" then
    req.allowed = all_methods(shared)
    return outside(self, req, res, options)
  end
  local id, a, b = shared.tree:match(method, path)
  if id then
    local route = shared.routes[id]
    if a then note_params(req, route.params_of_values, a, b)
    else note_params(req, route.params_of_path, path) end
    return route.handler(req, res)
  end
  if id == false then return outside(self, req, res, bad_path) end
  return without_route(self, req, res, methods_at(shared, path))
end

--- Finds the route and runs it: a router is a handler.
---@param req moonpark.http.request
---@param res moonpark.http.response
function Router:handle(req, res)
  local method, path = rawget(req, 3), rawget(req, 4) -- see http/request.lua
  if not path then method, path = req.method, req.raw_path end -- a table that wraps the request
  local routes = self.shared.exact[path]
  if routes then
    local route = pick(routes, method)
    if route then return route.handler(req, res) end
  end
  return walk(self, req, res, method, path)
end

Router.__call = Router.handle

--- Would it answer every request with 404?
---@param router moonpark.http.router
---@return boolean
local function is_empty(router)
  local shared = router.shared
  return #shared.routes == 0 and not shared.missing and #router.middleware == 0
end

local function is_router(value) return getmetatable(value) == Router end

misuse.guard(Router, "router", "app", "shared")
Router.handle = Router.__call -- unguarded: servers call it for each request
misuse.check_names(Router, "routers", { "shared", "middleware", "prefix", "parent", "has_routes" })

return { new = new, is_empty = is_empty, is_router = is_router }

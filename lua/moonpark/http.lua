-- SPDX-License-Identifier: MIT
-- http.lua - HTTP/1.1 servers.
--
--   local http = require "moonpark.http"
--   local app = http.router()
--   app:get("/hello/:name", function(req, res) res:json { hello = req.params.name } end)
--   assert(http.serve(app, { address = "127.0.0.1:8080" }))

local core = require "moonpark.core"
local failures = require "moonpark.failures"
local task = require "moonpark.task"
local worker = require "moonpark.worker"
local handlers = require "moonpark.http.handler"
local misuse = require "moonpark.http.misuse"
local http_client = require "moonpark.http.client"
local http_proxy = require "moonpark.http.proxy"
local http_router = require "moonpark.http.router"
local http_server = require "moonpark.http.server"
local http_static = require "moonpark.http.static"
local http_stopping = require "moonpark.http.stopping"

---@alias moonpark.http.method fun(url: string,
--- options?: moonpark.http.client.options): moonpark.http.answer|nil, string?, integer?

---@class moonpark.http
---@field basic_auth fun(options: moonpark.http.basic_auth.options): moonpark.http.middleware admits with a password
---@field compress fun(options?: moonpark.http.compress.options): moonpark.http.middleware gzip and brotli
---@field cors fun(options?: moonpark.http.cors.options): moonpark.http.middleware what pages of other sites may read
---@field limit_concurrency fun(options: moonpark.http.limit_concurrency.options): moonpark.http.middleware at once
---@field logger fun(options?: moonpark.http.logger.options): moonpark.http.middleware a line for each request
---@field rate_limit fun(options: moonpark.http.rate_limit.options): moonpark.http.middleware so many a second
---@field request_id fun(options?: moonpark.http.request_id.options): moonpark.http.middleware sets req.id
---@field redirect_to_https fun(options?: moonpark.http.redirect_to_https.options): moonpark.http.handler
---@field secure_headers fun(fields?: table<string, string|false>): moonpark.http.middleware makes browsers careful
---@field ngx fun(fn: function): moonpark.http.handler fn() with the request as `ngx`; see docs/ngx.md
---@field null any JSON's null
---@field group fun(options?: moonpark.websocket.group.options): moonpark.websocket.group a group without members
---@field websocket fun(url: string, options?: moonpark.websocket.client.options): moonpark.websocket|nil, string?,
--- integer?
---@field reason fun(status: integer): string the reason phrase of a status
---@field escape_html fun(text: string|number): string for the content of elements, and attributes' values in quotes
---@field template fun(text: string, options?: moonpark.http.template.options): moonpark.http.template a page
---@field templates fun(folder: string, options?: moonpark.http.templates.options): moonpark.http.templates of files
---@field sessions fun(options: moonpark.http.sessions.options): moonpark.http.middleware values of a client in a cookie
---@field csrf fun(options?: moonpark.http.csrf.options): moonpark.http.middleware no forms of other sites
---@field request fun(options: moonpark.http.client.options): moonpark.http.answer|nil, string?, integer?
---@field get moonpark.http.method
---@field head moonpark.http.method
---@field post moonpark.http.method
---@field put moonpark.http.method
---@field delete moonpark.http.method
---@field patch moonpark.http.method
---@field options moonpark.http.method
local M = {}

--- A router; see docs/http.md.
---@type fun(): moonpark.http.router
M.router = http_router.new

M.proxy = http_proxy.new

--- A handler, or middleware, that answers with the files of a folder; see docs/http-files.md.
---@param folder string
---@param options? moonpark.http.static_options
---@return fun(req: moonpark.http.request, res: moonpark.http.response, next?: fun(): any): any
function M.static(folder, options)
  http_static.look(folder)
  return http_static.new(folder, options) -- a tail call: it raises at the script's line
end

-- Loaded when they are asked for first.
local parts = {
  basic_auth = function() return require("moonpark.http.auth").new end,
  compress = function() return require("moonpark.http.compress").new end,
  cors = function() return require("moonpark.http.cors").new end,
  limit_concurrency = function() return require("moonpark.http.limit_concurrency").new end,
  logger = function() return require("moonpark.http.logger").new end,
  rate_limit = function() return require("moonpark.http.rate_limit").new end,
  request_id = function() return require("moonpark.http.request_id").new end,
  redirect_to_https = function() return require("moonpark.http.to_https").new end,
  secure_headers = function() return require("moonpark.http.secure").new end,
  null = function() return require "moonpark.cjson" "cjson".null end,
  group = function() return require("moonpark.http.group").group end,
  websocket = function() return require("moonpark.http.websocket_client").websocket end,
  ngx = function() return require("moonpark.ngx.handler").new end,
  reason = function() return require("moonpark.http.fields").reason end,
  escape_html = function() return require("moonpark.http.html").escape end,
  template = function() return require("moonpark.http.template").template end,
  templates = function() return require("moonpark.http.template").templates end,
  sessions = function() return require("moonpark.http.sessions").new end,
  csrf = function() return require("moonpark.http.csrf").new end,
}

--- A server that listens already; server:run() serves.
---@param handler moonpark.http.handler
---@param options moonpark.http.server.options
---@return moonpark.http.server|nil
---@return string? err
---@return integer? errno
function M.server(handler, options)
  http_server.check("http.server", handler, options, 2)
  return http_server.new(handler, options, http_proxy.alone(handler))
end

local function workers_of(count)
  local _, wrong = require("moonpark.workers").count(count)
  return wrong
end

-- This process becomes the supervisor of those that serve, and ends when they have.
local function supervise(count, grace)
  local workers = require "moonpark.workers"
  local status, err = workers.supervise { count = workers.count(count), grace = grace ~= 0 and grace or nil }
  if not status then return nil, err end
  os.exit(status, true)
end

-- A script that waits for something else afterwards has looked.
local function went_on()
  local main = task.main()
  local status = main and main:status()
  if status == "parked" or status == "ready" then failures.not_served = false end
end

-- The main task may look at it, or raise it. What another one returns often nobody sees.
local function not_served(text)
  if core.current() ~= task.main() then return failures.log("http.serve: " .. text, "error", "http") end
  failures.not_served = text
  core.go(went_on)
end

-- What http.serve returns.
local function served(options, ok, err, errno)
  local failed = not ok and err ~= "canceled"
  if not failed then failures.not_served = false
  elseif core.current() then not_served(options.address and ("%s: %s"):format(options.address, err) or err) end
  return ok, err, errno
end

--- Serves until the server is shut down. Starts the loop where it does not run yet. The first SIGTERM or SIGINT shuts
--- it down, unless the script subscribes to that signal; then the program ends; see docs/http.md.
---@param handler moonpark.http.handler
---@param options moonpark.http.server.options
---@return true|nil
---@return string? err
---@return integer? errno
function M.serve(handler, options)
  http_server.check("http.serve", handler, options, 2)
  if options.workers then
    local wrong = workers_of(options.workers)
    if wrong then error("http.serve: option 'workers': " .. wrong, 2) end
    if not worker.is_worker() then return served(options, supervise(options.workers, options.grace)) end
  end
  return served(options, task.run(function()
    local server, err, errno = http_server.new(handler, options, http_proxy.alone(handler))
    if not server then return nil, err, errno end
    return http_stopping.run(server, options.grace or http_stopping.GRACE, options.on_listen)
  end))
end

---------------------------------------------------------------------------------------------------
-- the client's side; see docs/http-client.md

--- A client with connections and defaults of its own.
---@type fun(options?: moonpark.http.client.defaults): moonpark.http.client
M.client = http_client.client

--- http.get(url, options) -> answer | nil, err, errno; post, put, delete, patch, head, options likewise, and
--- http.request(options).
for _, name in ipairs { "request", "get", "head", "post", "put", "delete", "patch", "options" } do
  M[name] = http_client[name]
end

--- Closes connections of the shared client that wait for another request.
function M.close_idle() http_client.default():close_idle() end

-- They make handlers or middleware, and are none themselves.
local makers = {}
for name in pairs(parts) do makers[name] = name ~= "null" and name ~= "reason" or nil end
for _, name in ipairs { "router", "proxy", "static", "server", "serve", "client" } do
  handlers.makes(M[name], "http." .. name)
end

-- Of one that is almost a function's of this module.
local function check_name(name)
  local names = {}
  for each in pairs(parts) do names[#names + 1] = each end
  for each in pairs(M) do names[#names + 1] = each end
  local meant = misuse.meant(name, names)
  if meant then error(("moonpark.http has no '%s'; did you mean '%s'?"):format(name, meant), 3) end
end

return setmetatable(M, {
  __index = function(self, name)
    local part = parts[name]
    if not part then
      check_name(name)
      return nil
    end
    local value = part()
    if makers[name] then handlers.makes(value, "http." .. name) end
    rawset(self, name, value)
    return value
  end,
})

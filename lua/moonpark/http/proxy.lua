-- SPDX-License-Identifier: MIT
-- proxy.lua - a handler that forwards requests to other servers, and their responses back.
--
-- The core writes both heads straight from the received bytes, without hop-by-hop fields and with framing of its own.
-- A small body that has arrived is sent with its head; other bodies are streamed, both ways at once, as fast as the
-- slower side takes them. A connection to a target returns to the pool as soon as its response is over.
--
-- A request asks one target after another, until one has begun to answer or could have acted on the request:
-- proxy_targets.lua says which one is next, proxy_exchange.lua asks it.

local core = require "moonpark.core"
local failures = require "moonpark.failures"
local http_pool = require "moonpark.http.pool"
local max_forwards = require "moonpark.http.max_forwards"
local proxy_check = require "moonpark.http.proxy_check"
local proxy_exchange = require "moonpark.http.proxy_exchange"
local proxy_options = require "moonpark.http.proxy_options"
local proxy_targets = require "moonpark.http.proxy_targets"
local proxy_upload = require "moonpark.http.proxy_upload"
local check_options = require("moonpark.options").check
local raise_outside = require "moonpark.outside"

local M = {}

local note, note_failure, refuse = proxy_exchange.note, proxy_exchange.note_failure, proxy_exchange.refuse
local spoil, GAP = proxy_upload.spoil, proxy_upload.GAP
local attempt, end_attempt, may_go_on = proxy_exchange.attempt, proxy_exchange.end_attempt, proxy_exchange.may_go_on

local SMALL = 16384 -- bytes of a request's body that are sent with its head

---@class moonpark.http.proxy
---@field package pool moonpark.http.pool
---@field package set moonpark.http.proxy.targets
---@field package checker moonpark.http.proxy.checker|nil
---@field package of_request (fun(req: moonpark.http.request): string|string[]|nil, integer?)|nil names the targets
---@field package forwarded integer
---@field package upgrade string|false the protocols that may pass
---@field package via string|false what the proxy is called there
---@field package noted number|nil when a failure was last logged by default
---@field package unnoted integer how many were not, since
---@overload fun(req: moonpark.http.request, res: moonpark.http.response)
local Proxy = {}
Proxy.__index = Proxy

---------------------------------------------------------------------------------------------------
-- one request

-- Some of the body is gone.
local function has_gap(req, res)
  local why = req.body_error
  if not why then error(GAP, 0) end
  return spoil(res, why)
end

local function plan_of_whole(req, res, length)
  local body, why = req.x:whole(req.serial, length)
  if not body then return spoil(res, why) end
  if #body < length then return has_gap(req, res) end
  return { body = body }
end

local NONE, EMPTY = {}, { body = "" }

-- How the request's body goes up: {body =}, with the head; {length =, ...}, streaming; {}: there is none. nil: it
-- cannot, and the server answers that.
local function plan_of(req, res)
  local x, serial = req.x, req.serial
  local framing, announced, all_read = x:framing(serial)
  if framing == "none" then return NONE end
  local held = req.whole_body
  if held == false then
    held = req:body(math.huge) -- a task is in the middle of it
    if not held then return spoil(res, req.body_error) end
  end
  if held then return #held <= SMALL and { body = held } or { held = held, length = #held, waits = false } end
  local read, waits = core.http_forward_body(x, serial)
  if read > 0 then return has_gap(req, res) end
  if all_read then return EMPTY end
  if not waits and framing == "length" and announced <= SMALL then return plan_of_whole(req, res, announced) end
  return { length = announced or true, waits = waits }
end

-- No target could be had: for the first time, or instead of the one that has failed.
local function turn_away(self, req, res, run, err)
  if run.err then return refuse(self, req, res, run.err, run.last, not run.several) end
  if err == "canceled" then return end
  note_failure(self, req, res, err)
  res:set("Retry-After", ("%d"):format(math.min(math.max(1, math.ceil(self.set:patience())), 3600)))
  return res:fail(503)
end

local function has_several(self, run) return #(run.list or self.set.list) > 1 or self.of_request ~= nil end

local function ask_targets(self, req, res, run, plan)
  while true do
    local ok, err = self.set:acquire(run)
    if not ok then return turn_away(self, req, res, run, err) end
    if run.err and self.on_error then
      note(self, req, res, ("%s: %s; asking %s"):format(run.last, run.err, run.target.name))
    end
    run.asked = run.asked + 1
    req.upstream = run.target.logged
    if attempt(self, req, res, run, plan) then return end_attempt(self, run) end
    if not run.blameless then self.set:failed(run, run.err) end
    run.last = run.target.name
    run.several = has_several(self, run)
    proxy_targets.has_tried(run)
    end_attempt(self, run)
    if not run.again or not may_go_on(self, run) then
      return refuse(self, req, res, run.err, run.last, not run.several)
    end
  end
end

local function pass(self, req, res, run)
  local plan = plan_of(req, res)
  if plan then ask_targets(self, req, res, run, plan) end
end

-- The targets that the function names. nil: the client has its answer.
local function named_targets(self, req, res)
  local urls, status = self.of_request(req)
  if not urls or urls == "" or type(urls) == "table" and #urls == 0 then
    res:fail(status or 404)
    return nil
  end
  local list, wrong = self.set:of_urls(urls)
  if not list then error("http.proxy: the function's target: " .. wrong, 0) end
  return list
end

local function key_of(self, req)
  local key = self.hash(req)
  if key == nil or type(key) == "string" then return key end
  if type(key) == "number" then return tostring(key) end
  error("http.proxy: option 'hash' must return a string or nil, not a " .. type(key), 0)
end

-- level: of the script, to which an error says that some of the body is gone.
local function handle(self, req, res, level)
  if req.method == "CONNECT" then return res:fail(501) end
  if max_forwards.ends_here(req, res) then return end
  if self.checker then self.checker:start() end
  local run = proxy_targets.run()
  if self.of_request then
    run.list = named_targets(self, req, res)
    if not run.list then return end
  end
  if self.hash then run.key = key_of(self, req) end
  local done, wrong = pcall(pass, self, req, res, run)
  end_attempt(self, run)
  core.http_forward_cut(res.x, res.serial) -- whatever becomes of the error: what has begun is not whole
  if not done then error(wrong, wrong == GAP and level + 1 or 0) end
end

-- What the target says could not be passed back: so it is not asked.
local function check_unsent(res)
  local phase = res.x:phase(res.serial)
  if phase == "sent" then error("response has already been sent", 0) end
  if phase ~= "unsent" then error("response has already begun", 0) end
end

--- Passes one request on. A path that leads up could leave the one that it was let through for, by whoever calls this.
--- Raises where the response was begun already, and where some of the request's body was read and is not held.
---@param req moonpark.http.request
---@param res moonpark.http.response
function Proxy:handle(req, res)
  raise_outside(pcall(check_unsent, res))
  if core.http_path_climbs(req.raw_path) then return res:fail(400) end
  local ok, err, errno = handle(self, req, res, 2)
  return ok, err, errno -- no tail call: handle() counts levels
end

Proxy.__call = Proxy.handle

-- Has a target a path of its own, which another path could leave? Nobody knows what a function has made of the path.
local function may_leave(self)
  if self.of_request then return true end
  for _, target in ipairs(self.set.list) do
    if target.prefix ~= "" then return true end
  end
  return false
end

--- The handler of a server that has no other: no rule has let a request through that a path could leave. So any path
--- is passed on, unless it would leave a target's own. nil: that is no proxy.
---@param proxy any
---@return (fun(req: moonpark.http.request, res: moonpark.http.response))|nil
function M.alone(proxy)
  if getmetatable(proxy) ~= Proxy then return nil end
  if proxy.checker then proxy.checker:start() end
  return function(req, res)
    if core.http_path_climbs(req.raw_path) and may_leave(proxy) then return res:fail(400) end
    return handle(proxy, req, res, 1)
  end
end

---------------------------------------------------------------------------------------------------
-- its targets

--- How the targets are, in their order: for a status page.
---@return moonpark.http.proxy.target_state[]
function Proxy:targets() return self.set:states() end

local function check_list(self, method)
  if self.of_request then error(method .. ": this proxy's targets are named by a function", 3) end
end

--- Adds a target, which gets requests at once; with slow_start, few at first.
---@param target string|moonpark.http.proxy.target_options
---@return string|nil name
---@return string? err "exists", or what is wrong with the URL
function Proxy:add(target)
  check_list(self, "add")
  local added, wrong, misuse = self.set:add(target, true)
  if misuse then error("add: " .. wrong, 2) end
  if not added then return nil, wrong end
  if self.checker then self.checker:start() end
  return added.name
end

--- Takes a target out at once. What it is answering goes on.
---@param name string its name, or else its URL as it was given
---@return true|nil
---@return string? err "not found"
function Proxy:remove(name)
  check_list(self, "remove")
  local target = self.set:remove(name)
  if not target then return nil, "not found" end
  if self.checker then self.checker:forget(target) end
  return true
end

--- Sends a target no new requests, and waits until the ones that it has are over, WebSockets too.
---@param name string
---@param timeout? number seconds
---@return true|nil
---@return string? err "not found", "timeout", "canceled"
function Proxy:drain(name, timeout)
  check_list(self, "drain")
  local target = self.set:find(name)
  if not target then return nil, "not found" end
  return self.set:drain(target, timeout)
end

--- Sends a target requests again after drain().
---@param name string
---@return true|nil
---@return string? err "not found"
function Proxy:resume(name)
  check_list(self, "resume")
  local target = self.set:find(name)
  if not target then return nil, "not found" end
  self.set:resume(target)
  return true
end

--- Closes connections to the targets that wait for another request, and ends the checks.
function Proxy:close()
  if self.checker then self.checker:stop() end
  self.pool:close()
end

---------------------------------------------------------------------------------------------------

local function add_all(set, targets)
  if type(targets) == "string" or targets.url then targets = { targets } end
  if #targets == 0 then error("http.proxy: a list of targets expected, got a table without any", 3) end
  for _, target in ipairs(targets) do
    local added, wrong = set:add(target)
    if not added then
      if wrong == "exists" then wrong = ("two targets are called '%s'"):format(target.name or target.url or target) end
      error("http.proxy: " .. wrong, 3)
    end
  end
end

--- A handler that passes requests on to the targets; http.serve(http.proxy("http://127.0.0.1:8000"), ...).
---
--- target: a URL, "http://host:port", "https://host:port", "host:port", "http://host/path", "unix:/path"; a list of
--- URLs and of tables {url =, weight =, max_requests =, backup =, name =}; or a function of the request that returns a
--- URL, a list of them in the order in which they are tried, or nil and a status. See docs/http-proxy.md.
---@param target string|moonpark.http.proxy.target_options|(string|moonpark.http.proxy.target_options)[]|
--- (fun(req: moonpark.http.request): string|string[]|nil, integer?)
---@param options? moonpark.http.proxy.options
---@return moonpark.http.proxy
function M.new(target, options)
  local kind = type(target)
  if kind ~= "string" and kind ~= "table" and kind ~= "function" then
    error("http.proxy: a URL, a list of targets or a function expected, got " .. kind, 2)
  end
  options = check_options("http.proxy", options, proxy_options.known)
  local wrong = proxy_options.contradiction(options, kind == "function")
  if wrong then error("http.proxy: " .. wrong, 2) end
  local pool = http_pool.new { max_connections = options.max_connections, max_idle = options.max_idle or 256,
    max_idle_per_host = options.max_idle or 256, idle_timeout = options.idle_timeout }
  local self = proxy_options.of_proxy(options)
  local of_targets = proxy_options.of_targets(options)
  self.pool, self.writer = pool, core.http_reader()
  self.set = proxy_targets.new(pool, of_targets, failures.log_to(options.on_event or options.on_error, "http"))
  if kind == "function" then self.of_request = target else add_all(self.set, target) end
  if of_targets.check then
    self.checker = proxy_check.new(of_targets.check, self.set)
    self.checker:start()
  end
  return setmetatable(self, Proxy)
end

return M

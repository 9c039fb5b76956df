-- SPDX-License-Identifier: MIT
-- proxy_check.lua - asks the targets of http.proxy from time to time whether they are well.
--
-- Each target has a daemon task, on which nothing waits, so a target that hangs delays no other's check. Each check has
-- a connection of its own: that a new one can be made is a part of the question.

local core = require "moonpark.core"
local random = require("moonpark.http.proxy_balance").random
local http_pool = require "moonpark.http.pool"
local task = require "moonpark.task"
local upstream = require "moonpark.http.upstream"
local option = require "moonpark.options"

local M = {}

local JITTER = 0.1 -- of the interval, more or less: proxies that began together do not ask together for ever

local function is_status(value)
  return type(value) == "number" and value >= 100 and value <= 999 and value == math.floor(value)
end

local function is_expectation(value)
  if type(value) == "function" or is_status(value) then return true end
  if type(value) ~= "table" or #value == 0 then return false end
  for _, status in ipairs(value) do
    if not is_status(status) then return false end
  end
  return true
end

---@class moonpark.http.proxy.check_options
---@field path? string what is asked for, below the target's own path; "/"
---@field method? "GET"|"HEAD"|"OPTIONS" GET
---@field host? string the Host field; the target's
---@field status? integer|integer[]|fun(status: integer): boolean what is well; 200 to 399
---@field interval? number seconds between two checks; 5, a tenth more or less
---@field timeout? number seconds for one; 2
---@field healthy? integer successes in a row until a target is up again; 2
---@field unhealthy? integer failures in a row until it is down; 3

M.known = {
  path = { function(value) return type(value) == "string" and value:find("^/[!-~]*$") ~= nil end,
    'must begin with "/", and have no blanks' },
  method = option.one_of("GET", "HEAD", "OPTIONS"),
  host = { function(value) return type(value) == "string" and value:find("^[%w%.%-:%[%]_~%%]+$") ~= nil end,
    "must be the name of a host" },
  status = { is_expectation, "must be a status, a list of them, or a function" },
  interval = "pause", timeout = "pause", healthy = "positive", unhealthy = "positive",
}

local function judge_of(status)
  if type(status) == "function" then return status end
  if status == nil then return function(got) return got >= 200 and got < 400 end end
  local well = {}
  for _, one in ipairs(type(status) == "table" and status or { status }) do well[one] = true end
  return function(got) return well[got] == true end
end

--- The options with their defaults.
---@param options moonpark.http.proxy.check_options
---@return table
function M.of(options)
  return { path = options.path or "/", method = options.method or "GET", host = options.host,
    is_well = judge_of(options.status), interval = options.interval or 5, timeout = options.timeout or 2,
    healthy = options.healthy or 2, unhealthy = options.unhealthy or 3 }
end

local function ask(check, target, use)
  local deadline = core.now() + check.timeout
  local entry, err = upstream.connect(use, target.route, check.timeout)
  if not entry then return nil, err end
  local conn, reader = entry.conn, entry.reader
  local ok
  ok, err = conn:set_deadline(deadline)
  if not ok then return nil, err end
  local fields = { "Host", check.host or target.host or target.authority, "User-Agent", "moonpark health check",
    "Connection", "close" }
  ok, err = reader:begin(conn, reader:request(check.method, target.prefix .. check.path, fields))
  if not ok then return nil, err end
  local status
  status, err = reader:head(conn, check.method == "HEAD", upstream.HEAD_MAX, false)
  if not status then return nil, err == "eof" and "unexpected eof" or err end
  if not check.is_well(status) then return nil, ("status %d"):format(status) end
  return true
end

--- Asks a target once.
---@param check table as of() has made it
---@param target moonpark.http.proxy.target
---@param pool moonpark.http.pool
---@return true|nil
---@return string? err
function M.once(check, target, pool)
  local use = { pool = pool, place = pool:place(target.name), entry = false, entered = false }
  local done, ok, err = pcall(ask, check, target, use)
  upstream.drop(use)
  if not done then return nil, tostring(ok) end
  return ok, err
end

local function watch(self, target)
  local pool = http_pool.new { max_idle = 0 }
  repeat
    local ok, err = M.once(self.check, target, pool)
    if target.removed or err == "canceled" then break end
    self.targets:checked(target, ok == true, err)
    local pause = self.check.interval * (1 + JITTER * (2 * random() - 1))
  until not core.sleep(pause) or target.removed
  self.watchers[target] = nil
end

---@class moonpark.http.proxy.checker
---@field check table
---@field targets moonpark.http.proxy.targets
---@field watchers table<moonpark.http.proxy.target, moonpark.task>
local Checker = {}
Checker.__index = Checker

---@param check table as of() has made it
---@param targets moonpark.http.proxy.targets
---@return moonpark.http.proxy.checker
function M.new(check, targets) return setmetatable({ check = check, targets = targets, watchers = {} }, Checker) end

--- Begins to check those that are not checked yet. Outside of a task nothing can begin: the first request does it.
function Checker:start()
  if self.stopped or not core.current() then return end
  for _, target in ipairs(self.targets.list) do
    if not self.watchers[target] then self.watchers[target] = task.go_daemon(watch, self, target) end
  end
end

--- Checks one no longer, as it has been removed.
---@param target moonpark.http.proxy.target
function Checker:forget(target)
  local watcher = self.watchers[target]
  if watcher then watcher:cancel() end
end

--- Ends all checks.
function Checker:stop()
  self.stopped = true
  local watchers = {}
  for _, watcher in pairs(self.watchers) do watchers[#watchers + 1] = watcher end
  for _, watcher in ipairs(watchers) do watcher:cancel() end
  if not core.current() then return end
  for _, watcher in ipairs(watchers) do watcher:join() end
end

return M

-- SPDX-License-Identifier: MIT
-- proxy_targets.lua - the targets of one http.proxy: which of them a request gets, how many it waits for, and how they
-- come and go.
--
-- A request has a run: a table with the target that it has now, and those that it has tried. acquire() gives it a
-- target, and release() takes it back and hands it to the request that has waited for longest. While all targets that
-- can be asked have as many requests as they may, requests wait in one queue, for the first that becomes free.

local core = require "moonpark.core"
local proxy_balance = require "moonpark.http.proxy_balance"
local proxy_target = require "moonpark.http.proxy_target"

local M = {}

local REMEMBERED = 1024 -- targets that a function has named

--- Why there is no target.
M.FULL, M.LATE, M.NONE = "all targets are busy", "no target became free in time", "no target can be asked"

---@class moonpark.http.proxy.run what one request has of the targets
---@field target moonpark.http.proxy.target|false
---@field tries boolean it tries whether its target works again
---@field use moonpark.http.upstream.use|false the connection of the attempt: see proxy_exchange.lua
---@field asked integer targets so far
---@field began number
---@field tried table<moonpark.http.proxy.target, true>|nil
---@field list moonpark.http.proxy.target[]|nil the targets that a function has named for it
---@field key string|nil for the hash
---@field woken userdata|nil the event of one that waits
---@field hopeless boolean|nil no target is left for which it could wait
---@field err string|nil why the last attempt has failed
---@field by string|nil whose attempt that was, if there are several targets
---@field last string|nil the same, always
---@field again boolean|nil may another target be asked?
---@field blameless boolean|nil it was not the target's fault

---@class moonpark.http.proxy.targets
---@field list moonpark.http.proxy.target[]
---@field queue moonpark.http.proxy.run[] those that wait, the oldest first
---@field options table the proxy's
---@field tell fun(text: string) hears what changes
local Targets = {}
Targets.__index = Targets

--- No targets yet.
---@param pool moonpark.http.pool
---@param options table the proxy's: host, tls, max_requests, policy, hash_load, max_queue, queue_timeout, panic,
--- slow_start, passive
---@param tell fun(text: string)
---@return moonpark.http.proxy.targets
function M.new(pool, options, tell)
  return setmetatable({ pool = pool, options = options, tell = tell, list = {}, queue = {}, eligible = {},
    named = {}, named_count = 0, turn = 0, made = 0 }, Targets)
end

--- A run without a target. The fields that hold something to be given back are there already: so nothing is lost for
--- lack of memory to note it.
---@return moonpark.http.proxy.run
function M.run() return { target = false, tries = false, use = false, asked = 0, began = core.now() } end

---------------------------------------------------------------------------------------------------
-- choosing

-- Writes those that can be asked now into self.eligible. -> how many; whether others are only full. panic: their health
-- does not matter.
local function gather(self, run, now, backup, panic)
  local list, eligible, tried = run.list or self.list, self.eligible, run.tried
  local n, full = 0, false
  for i = 1, #list do
    local target = list[i]
    local fit = target.backup == backup and not target.draining and not (tried and tried[target])
      and (panic or proxy_target.is_usable(target, now))
    if fit and proxy_target.is_full(target) then full = true
    elseif fit then
      n = n + 1
      target.share = proxy_target.share(target, now, self.options.slow_start)
      eligible[n] = target
    end
  end
  for i = n + 1, #eligible do eligible[i] = nil end
  return n, full
end

-- A target that can be asked; nil, and whether one would be, if it were not full.
local function pick(self, run, now, backup, panic)
  local n, full = gather(self, run, now, backup, panic)
  if n == 0 then return nil, full end
  if n == 1 then return self.eligible[1] end
  local policy = run.list and proxy_balance.first or self.options.policy
  return policy(self.eligible, n, run.key, self.options.hash_load)
end

-- The same for a list of one, which most proxies have.
local function choose_only(self, run, target)
  local is_out = target.draining or run.tried and run.tried[target]
    or target.passed == false and not self.options.panic
  if is_out then return nil, M.NONE end
  if proxy_target.is_full(target) then return nil, M.FULL end
  return target
end

-- A backup is asked only if no other can be: one that is full will be free again. If none at all can be asked, the
-- judgement of their health is no help, and each is.
local function choose(self, run)
  local list = run.list or self.list
  if #list == 1 then return choose_only(self, run, list[1]) end
  local now = core.now()
  local target, full = pick(self, run, now, false, false)
  if not target and not full then target, full = pick(self, run, now, true, false) end
  if not target and not full and self.options.panic then
    target, full = pick(self, run, now, false, true)
    if not target and not full then target, full = pick(self, run, now, true, true) end
  end
  if target then return target end
  return nil, full and M.FULL or M.NONE
end

local function occupy(self, run, target)
  run.target = target
  run.tries = proxy_target.begin(target, target.ejected_until ~= 0 and core.now() or 0)
  if run.list then
    self.turn = self.turn + 1
    target.used = self.turn
  end
end

-- Those that wait get what is free. One that has tried some targets may have to wait for others than the rest.
local function serve(self)
  local queue, i = self.queue, 1
  while queue[i] do
    local run = queue[i]
    local target, why = choose(self, run)
    if target then occupy(self, run, target)
    elseif why == M.NONE then run.hopeless = true
    elseif not run.tried and not run.list then return end
    if target or run.hopeless then
      table.remove(queue, i)
      run.woken:set()
    else
      i = i + 1
    end
  end
end

local function leave_queue(self, run)
  for i, one in ipairs(self.queue) do
    if one == run then
      table.remove(self.queue, i)
      return
    end
  end
end

-- Until the deadline, or sooner: until the time of an ejected target is over.
local function pause(self, run, deadline)
  local now, soonest = core.now(), deadline
  for _, target in ipairs(run.list or self.list) do
    if target.ejected_until > now then soonest = math.min(soonest, target.ejected_until) end
  end
  return math.max(0, soonest - now)
end

-- nil, err; else it has a target, or there is none left.
local function await_turn(self, run)
  local deadline = core.now() + self.options.queue_timeout
  repeat
    local ok, err = run.woken:wait(pause(self, run, deadline))
    if not ok and (err ~= "timeout" or core.now() >= deadline) then return nil, err end
    if not ok then serve(self) end
  until run.target or run.hopeless
  return true
end

local function wait(self, run)
  run.woken, run.hopeless = core.event(), false
  self.queue[#self.queue + 1] = run
  local done, ok, err = pcall(await_turn, self, run)
  leave_queue(self, run)
  if not done then error(ok, 0) end
  if run.target then return true end -- cancelled as well, perhaps: the next wait says so, and release() is due anyway
  if run.hopeless then return nil, M.NONE end
  return nil, err == "timeout" and M.LATE or err
end

--- Gives the run a target. Where it fails there is nothing to release.
---@param run moonpark.http.proxy.run
---@return true|nil
---@return string? err M.FULL: the queue is full; M.LATE; M.NONE; "canceled"
function Targets:acquire(run)
  if self.queue[1] then serve(self) end
  local target, why = choose(self, run)
  if target then
    occupy(self, run, target)
    return true
  end
  if why == M.NONE or #self.queue >= self.options.max_queue then return nil, why end
  return wait(self, run)
end

--- Could the run have another target at once?
---@param run moonpark.http.proxy.run
---@return boolean
function Targets:has_other(run)
  local tried = run.tried
  run.tried = setmetatable({ [run.target] = true }, { __index = tried })
  local target = choose(self, run)
  run.tried = tried
  return target ~= nil
end

--- The run is done with its target. Twice is harmless. Never raises.
---@param run moonpark.http.proxy.run
function Targets:release(run)
  local target = run.target
  if not target then return end
  run.target = false
  target.in_flight = target.in_flight - 1
  if run.tries then target.trying, run.tries = false, false end
  if target.in_flight == 0 and target.idle then target.idle:set() end
  if self.queue[1] then pcall(serve, self) end -- without memory for that, the next one that comes or goes does it
end

--- The run has tried its target in vain: it does not get it again.
---@param run moonpark.http.proxy.run
function M.has_tried(run)
  run.tried = run.tried or {}
  run.tried[run.target] = true
end

---------------------------------------------------------------------------------------------------
-- what becomes of them

--- The run's target has begun to answer.
---@param run moonpark.http.proxy.run
function Targets:answered(run)
  local target = run.target
  if target.ejected_until == 0 then return end
  run.tries = false
  if proxy_target.answered(target, core.now()) then
    self.tell(("%s works again"):format(target.name))
    if self.queue[1] then serve(self) end
  end
end

--- It has answered, and to the end.
---@param run moonpark.http.proxy.run
function M.succeeded(run) proxy_target.succeeded(run.target) end

--- The run's target has failed. One that is alone is not ejected: there would be nobody to ask.
---@param run moonpark.http.proxy.run
---@param err string
function Targets:failed(run, err)
  local target = run.target
  local limits = #(run.list or self.list) > 1 and self.options.passive or nil
  if proxy_target.failed(target, err, core.now(), limits) then
    self.tell(("%s is ejected for %g s after %d failures: %s"):format(target.name, target.ejected_for, target.row, err))
  end
end

--- A check of the target has ended.
---@param target moonpark.http.proxy.target
---@param ok boolean
---@param err string|nil
function Targets:checked(target, ok, err)
  local change = proxy_target.checked(target, ok, err, core.now(), self.options.check)
  if change == "down" then self.tell(("%s is down: %s"):format(target.name, err)) end
  if change == "up" then
    self.tell(("%s is up"):format(target.name))
    if self.queue[1] then serve(self) end
  end
end

---------------------------------------------------------------------------------------------------
-- coming and going

local function made(self, given)
  local target, wrong, misuse = proxy_target.new(given, self.options)
  if not target then return nil, wrong, misuse end
  self.made = self.made + 1
  target.place = self.pool:place(("%d"):format(self.made))
  return target
end

---@param name string
---@return moonpark.http.proxy.target|nil
---@return integer|nil at
function Targets:find(name)
  for i, target in ipairs(self.list) do
    if target.name == name then return target, i end
  end
end

--- Adds a target. nil and what is wrong; or "exists".
---@param given string|moonpark.http.proxy.target_options
---@param slowly boolean|nil it starts slowly, as others are at work
---@return moonpark.http.proxy.target|nil
---@return string? wrong
---@return boolean? misuse
function Targets:add(given, slowly)
  local target, wrong, misuse = made(self, given)
  if not target then return nil, wrong, misuse end
  if self:find(target.name) then return nil, "exists" end
  if slowly then target.up_since = core.now() end
  self.list[#self.list + 1] = target
  if self.queue[1] then serve(self) end
  return target
end

local function forget(self, target)
  target.removed, target.draining = true, true
  self.pool:close_place(target.place)
end

--- Takes a target out. What it is answering goes on.
---@param name string
---@return moonpark.http.proxy.target|nil
function Targets:remove(name)
  local target, at = self:find(name)
  if not target then return nil end
  table.remove(self.list, at)
  forget(self, target)
  if self.queue[1] then serve(self) end
  return target
end

--- Sends it no new requests, and waits until the ones that it has are over.
---@param target moonpark.http.proxy.target
---@param timeout number|nil
---@return true|nil
---@return string? err "timeout", "canceled"
function Targets:drain(target, timeout)
  target.draining = true
  self.pool:close_place(target.place)
  if self.queue[1] then serve(self) end
  local deadline = timeout and core.now() + timeout
  while target.in_flight > 0 do
    target.idle = target.idle or core.event()
    target.idle:clear()
    local ok, err = target.idle:wait(deadline and math.max(0, deadline - core.now()))
    if not ok then return nil, err end
  end
  return true
end

--- Sends it requests again.
---@param target moonpark.http.proxy.target
function Targets:resume(target)
  target.draining, target.up_since = false, core.now()
  if self.queue[1] then serve(self) end
end

---------------------------------------------------------------------------------------------------
-- targets that a function names: they are remembered with their connections and failures, and forgotten by use

local function forget_oldest(self)
  local oldest
  for _, target in pairs(self.named) do
    if target.in_flight == 0 and (not oldest or (target.used or 0) < (oldest.used or 0)) then oldest = target end
  end
  if not oldest then return end
  self.named[oldest.url], self.named_count = nil, self.named_count - 1
  forget(self, oldest)
end

--- The targets of these URLs, in their order. nil and what is wrong with one.
---@param urls string|string[]
---@return moonpark.http.proxy.target[]|nil
---@return string? wrong
function Targets:of_urls(urls)
  if type(urls) ~= "table" then urls = { urls } end
  local list = {}
  for i, text in ipairs(urls) do
    if type(text) ~= "string" then return nil, "a URL or a list of them expected, got a " .. type(text) end
    local target = self.named[text]
    if not target then
      local wrong
      target, wrong = made(self, text)
      if not target then return nil, wrong end
      if self.named_count >= REMEMBERED then forget_oldest(self) end
      self.named[text], self.named_count = target, self.named_count + 1
    end
    list[i] = target
  end
  return list
end

---@class moonpark.http.proxy.target_state
---@field name string
---@field url string
---@field state moonpark.http.proxy.state "trying": its ejection is over, and one request at a time tries it
---@field weight number
---@field backup boolean
---@field in_flight integer requests that it has now
---@field max_requests integer|nil
---@field requests integer that it has had
---@field failures integer that were its fault, in all
---@field failures_in_row integer since its last whole answer
---@field last_error string|nil
---@field ejected_until number|nil on moonpark.now()'s clock; nil: it is not
---@field idle_connections integer

local function state_of(target, now)
  return { name = target.name, url = target.url, state = proxy_target.state(target, now), weight = target.weight,
    backup = target.backup, in_flight = target.in_flight, max_requests = target.max_requests,
    requests = target.requests, failures = target.failures, failures_in_row = target.row,
    last_error = target.last_error, ejected_until = target.ejected_until > now and target.ejected_until or nil,
    idle_connections = #target.place }
end

--- How they are, in their order; those that a function has named, by their names.
---@return moonpark.http.proxy.target_state[]
function Targets:states()
  local states, now = {}, core.now()
  for i, target in ipairs(self.list) do states[i] = state_of(target, now) end
  local named = {}
  for _, target in pairs(self.named) do named[#named + 1] = state_of(target, now) end
  table.sort(named, function(a, b) return a.name < b.name end)
  for _, state in ipairs(named) do states[#states + 1] = state end
  return states
end

--- Seconds until a target can be asked again, at the latest.
---@return number
function Targets:patience()
  local now, soonest = core.now(), self.options.queue_timeout
  for _, target in ipairs(self.list) do
    if target.ejected_until > now then soonest = math.min(soonest, target.ejected_until - now) end
  end
  return soonest
end

return M

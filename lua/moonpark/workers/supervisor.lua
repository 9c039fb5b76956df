-- SPDX-License-Identifier: MIT
-- supervisor.lua - starts workers, replaces them, reloads, drains. It runs nothing of the script.
--
-- A generation has a place for each number. A reload makes new places beside the old; when all of their workers serve,
-- the old ones drain; if one of them cannot start, the new ones are dropped and the old ones go on.

local beats = require "moonpark.workers.beats"
local brokers = require "moonpark.shared.broker"
local control = require "moonpark.workers.control"
local core = require "moonpark.core"
local failures = require "moonpark.failures"
local memory = require "moonpark.workers.memory"
local places = require "moonpark.workers.place"
local reports = require "moonpark.workers.reports"
local sockets = require "moonpark.workers.sockets"
local systemd = require "moonpark.systemd"
local task = require "moonpark.task"
local upgrade = require "moonpark.workers.upgrade"
local watch = require "moonpark.workers.watch"
local workers = require "moonpark.workers.worker"

local M = {}

local MOMENT = 0.05       -- seconds after a worker has listened, in which it may say that it has failed
local LONGEST_REPRIEVE = 60 -- seconds until a worker is looked at again whose successor could not start
local LOOKS = 1           -- seconds between two looks at what workers have used
local START_TIMEOUT = 60 -- seconds in which a reload's workers must be ready
local SILENCE = 10       -- seconds until a worker that is not ready is told of
local GRACE = 30         -- seconds in which a worker drains
local SIGNALED = 128

---@class moonpark.workers.supervisor
local Supervisor = {}
Supervisor.__index = Supervisor

---@class moonpark.workers.options
---@field count integer
---@field words string[] the command line that starts a worker
---@field grace? number seconds in which a worker drains; 30
---@field control? string where the control socket is
---@field state? table what the version before an upgrade has left
---@field stuck? number seconds; see docs/limits.md
---@field max_requests? integer a worker that has answered so many is replaced
---@field max_memory? number bytes; the same
---@field watch? string[] watch mode: files and folders that count, beside what the program loads
---@field name? string of the program, for watch mode

local function log(text, level) failures.log(text, level or "warn", "workers") end

-- Tells systemd, where it listens.
local function tell(state)
  local _, err = systemd.notify(state)
  if err and err ~= "canceled" then log("systemd is not told: " .. err) end
end

---@param text string
function Supervisor.log(_, text) log(text) end

---------------------------------------------------------------------------------------------------
-- what workers say

local function each_worker(self)
  local list = {}
  for _, place in ipairs(self.places) do
    if place.worker then list[#list + 1] = place.worker end
  end
  return list
end

-- At most one worker leads. The old one gives up before another one may.
local function choose_leader(self)
  if self.leader or self.stopping then return end
  for _, worker in ipairs(each_worker(self)) do
    if worker.state == "ready" and worker.generation == self.generation then
      self.leader = worker
      worker:post { op = "leader", leading = true }
      return
    end
  end
end

local function depose(self)
  if self.leader and self.leader.state ~= "ended" then self.leader:post { op = "leader", leading = false } end
end

local on = {}

function on.socket(self, worker, message)
  if self.stopping then return end -- it has been told to drain, which ends its wait
  if self.watch and not self.watch:may_listen(worker) then return end -- it is ended, and need not know why
  worker.has_sockets = true
  local ok, socket, err, errno = pcall(self.sockets.get, self.sockets, message, worker.number, worker.generation)
  if not ok then
    return worker:post { op = "answer", id = message.id, raised = (tostring(socket):gsub("^[^\n]-:%d+: ", "")) }
  elseif not socket then
    return worker:post { op = "answer", id = message.id, err = err, errno = errno }
  end
  worker:post({ op = "answer", id = message.id }, { socket })
end

function on.segment(self, worker, message)
  local fd, err, errno = self.memory:segment(message)
  worker:post({ op = "answer", id = message.id, err = err, errno = errno }, fd and { fd })
end

function on.heartbeat(self, worker, message)
  local fd, offset
  if self.options.stuck then fd, offset = self.memory:beat(worker) end
  worker:post({ op = "answer", id = message.id, offset = fd and offset }, fd and { fd })
end

function on.share(self, worker, message)
  local slot, fds = self.memory:join(worker)
  worker:post({ op = "answer", id = message.id, slot = slot }, fds)
end

-- Systemd learns of it once all have started; those that have not for long do not count.
local function tell_ready(self, anyway)
  if self.told_ready or self.stopping then return end
  for _, place in ipairs(self.places) do
    if not anyway and not (place.worker and place.worker.state ~= "starting") then return end
  end
  self.told_ready = true
  tell { ready = true, status = ("%d workers serve"):format(self.options.count) }
end

function on.http(self, _, message)
  if self.watch then self.sockets:speaks_http(message.address) end
end

function on.stopped(_, worker) worker.stopped:set() end

function on.loads(self, worker, message)
  if self.watch and not self.stopping then self.watch:loads(worker, message.path) end
end

-- A script that listens in some workers alone: the others seem to start for ever.
local function tell_of_silent(self)
  if self.watch then return end
  repeat
    if not core.sleep(SILENCE) then return end
  until self.served
  for _, worker in ipairs(each_worker(self)) do
    if worker.state == "starting" and core.now() - worker.since >= SILENCE / 2 then
      log(("worker %d (pid %d) has not listened after %g s, nor called moonpark.worker.ready(): a reload would wait")
        :format(worker.number, worker.pid, SILENCE))
    end
  end
  tell_ready(self, true)
end

function on.ready(self, worker)
  self.served = true
  worker:is_ready()
  if self.watch then self.watch:ready(worker) end
  worker.place:settle()
  choose_leader(self)
  tell_ready(self)
end

function on.led(self, worker)
  if self.leader == worker then self.leader = nil end
  choose_leader(self)
end

function on.broadcast(self, _, message)
  for _, worker in ipairs(each_worker(self)) do worker:post { op = "broadcast", value = message.value } end
end

-- Locks, channels and values of moonpark.shared.
function on.shared(self, worker, message)
  local ok, err = self.broker:handle(worker.client, message.message)
  if not ok then log(("worker %d: %s"):format(worker.number, err)) end
end

local function handle(self, worker, message)
  local handler = on[message.op]
  if not handler then return end
  local ok, err = xpcall(handler, failures.remember, self, worker, message)
  if ok then return end
  log(("worker %d: %s: %s"):format(worker.number, tostring(message.op), failures.traced(err)))
  if message.id then worker:post { op = "answer", id = message.id, err = "the supervisor has failed" } end
end

-- As the broker sees a worker.
local function client_of(worker)
  return { send = function(_, message) worker:post { op = "shared", message = message } end }
end

---------------------------------------------------------------------------------------------------
-- generations

local function remove(list, item)
  for i = #list, 1, -1 do
    if list[i] == item then table.remove(list, i) end
  end
end

-- Keeps a place until it is over. On trial, its failure is for whoever waits for it.
local function keep(self, place)
  core.current():name(("worker %d"):format(place.number))
  place:keep(self.context)
  remove(self.places, place)
  if self.watch then self.watch:ended(place)
  elseif place.failure and not place.trial and not place.retired:is_set() then self:fail(place.failure) end
  if #self.places == 0 and (self.stopping or not self.watch) then self.ended:set() end
end

local function begin(self, number, generation, trial)
  local place = places.new(number, generation, trial, self.watch ~= nil)
  table.insert(self.places, place)
  self.scope:go(keep, self, place)
  return place
end

--- Starts a worker of the newest generation.
---@param number integer
---@return moonpark.workers.place
function Supervisor:begin(number) return begin(self, number, self.generation) end

local function begin_all(self, trial)
  local new = {}
  for number = 1, self.options.count do new[number] = begin(self, number, self.generation, trial) end
  return new
end

-- Waits until each place has a worker that serves -> true | nil, why not
local function wait_for(self, list)
  local deadline = core.now() + START_TIMEOUT
  for _, place in ipairs(list) do
    if not place.settled:wait(deadline - core.now()) then
      return nil, ("worker %d has not listened after %g s, nor called moonpark.worker.ready()"):format(place.number,
        START_TIMEOUT)
    end
    if place.failure then return nil, place.failure end
  end
  core.sleep(MOMENT)
  for _, place in ipairs(list) do
    local failure = place.failure or place.worker and place.worker.failure
    if failure then return nil, failure end -- it has listened, and raised then
  end
  if self.stopping then return nil, "it is stopping" end
  for _, place in ipairs(list) do place:accept() end
  return true
end

local function retire(self, list)
  local seconds = self.options.grace or self.watch and watch.GRACE or GRACE
  for _, place in ipairs(list) do
    place.retired:set()
    self.scope:go(function()
      if place:retire(seconds, self.watch ~= nil) then return end
      self.unclean = true
      log(("worker %d was killed: it had not ended %g s after it was told to"):format(place.number, seconds))
    end)
  end
end

--- Those places' workers end.
---@param list moonpark.workers.place[]
function Supervisor:retire(list) return retire(self, list) end

--- Its leader gives up.
function Supervisor:depose() return depose(self) end

local function do_reload(self)
  if self.stopping then return nil, "it is stopping" end
  local old, before = { unpack(self.places) }, self.generation
  self.last_generation = self.last_generation + 1
  self.generation = self.last_generation
  local new = begin_all(self, true)
  local ok, why = wait_for(self, new)
  if not ok then
    for _, place in ipairs(new) do place:kill() end
    self.sockets:close_first_of(self.generation)
    self.generation = before
    choose_leader(self)
    return nil, why
  end
  depose(self)
  retire(self, old)
  self.sockets:close_before(self.generation)
  return true
end

-- fn() while nothing else starts or replaces workers; the lock is given back however that ends.
local function alone(self, fn)
  self.reloading:lock()
  return (function(ok, ...)
    self.reloading:unlock()
    if not ok then error((...), 0) end
    return ...
  end)(xpcall(fn, failures.remember))
end

--- Loads the program again, beside the old one. Waits until the new workers serve.
---@return true|nil
---@return string? why not; then the old ones serve
function Supervisor:reload()
  if self.stopping then return nil, "it is stopping" end
  if self.watch then
    self.watch:restart("a reload was asked for", core.now())
    return true
  end
  local ok, why = alone(self, function()
    tell { reloading = true, status = "reloading" }
    return do_reload(self)
  end)
  tell { ready = true, status = ("generation %d serves"):format(self.generation) }
  if ok then log(("reloaded: generation %d serves"):format(self.generation), "info")
  else log("not reloaded: " .. why) end
  return ok, why
end

-- Another worker takes its place: it starts before the old one drains.
local function replace(self, worker, why)
  log(("worker %d (pid %d) %s: another one takes its place"):format(worker.number, worker.pid, why), "info")
  local old = worker.place
  local new = begin(self, worker.number, worker.generation, true)
  local ok, err = wait_for(self, { new })
  if not ok then
    new:kill()
    self.reprieve = math.min(LONGEST_REPRIEVE, 2 * self.reprieve)
    return log(("worker %d stays: %s"):format(worker.number, err))
  end
  self.reprieve = LOOKS
  if self.leader == worker then depose(self) end
  retire(self, { old })
end

local function used_up(self, row)
  local options = self.options
  if options.max_requests and row.answer and (tonumber(row.answer.requests) or 0) >= options.max_requests then
    return ("has answered %d requests"):format(row.answer.requests)
  end
  local bytes = options.max_memory and row.worker:resident()
  if bytes and bytes > options.max_memory then return ("uses %.0f MiB"):format(bytes / 2 ^ 20) end
end

-- One after another, so that there are never many at once.
local function watch_use(self)
  while core.sleep(self.reprieve) do
    for _, row in ipairs(reports.ask_all(each_worker(self), { op = "status" })) do
      local why = row.worker.state == "ready" and not self.stopping and used_up(self, row)
      if why then
        alone(self, function()
          if self.stopping or row.worker.state ~= "ready" or row.worker.generation ~= self.generation then return end
          replace(self, row.worker, why)
        end)
      end
    end
  end
end

---------------------------------------------------------------------------------------------------
-- the end

--- Ends everything at once.
---@param status integer
function Supervisor:abort(status)
  self.status = status
  self.stopping = true
  for _, place in ipairs(self.places) do place:kill() end
  if #self.places == 0 then self.ended:set() end
end

--- The script cannot be run.
---@param text string
function Supervisor:fail(text)
  if self.stopping then return end
  log(text, "error")
  self:abort(1)
end

--- Drains all workers, and ends.
function Supervisor:stop()
  if self.stopping then return end
  self.stopping = true
  self.status = 0
  self.sockets:close()
  self.scope:go(tell, { stopping = true, status = "the workers finish what they do" })
  retire(self, { unpack(self.places) })
  if #self.places == 0 then self.ended:set() end
end

---------------------------------------------------------------------------------------------------
-- reports

--- One row a worker.
---@return table[]
function Supervisor:state() return reports.state(each_worker(self), self.memory:load(), self.leader) end

--- Where every task of every worker is.
---@return string
function Supervisor:dump() return reports.dump(each_worker(self)) end

--- Passes a prompt's connection on to a worker.
---@param conn moonpark.connection
---@param number? integer any that is ready
---@return true|nil
---@return string? err
function Supervisor:attach(conn, number) return reports.attach(each_worker(self), conn, tonumber(number)) end

--- Runs a line in one worker.
---@param code string
---@param number? integer; 1
---@return string|nil text
---@return string? err
function Supervisor:eval(code, number) return reports.eval(each_worker(self), code, number or 1) end

---------------------------------------------------------------------------------------------------

local numbers = { INT = 2, QUIT = 3, TERM = 15 }
local DUMPED = 2 -- the status of a SIGQUIT, as without workers

local on_signal = {}

-- In a task of its own; an error ends nothing but that.
local function attempt(self, fn)
  self.scope:go(function()
    local ok, err = xpcall(fn, failures.remember)
    if not ok then log("error in the supervisor: " .. failures.traced(err), "error") end
  end)
end

-- -> what an upgraded supervisor must know, and the descriptors that it gets
local function state_of(self)
  if self.stopping then return nil, "it is stopping" end
  local rows, fds = {}, {}
  local function keep_fds(list)
    for _, fd in ipairs(list) do fds[#fds + 1] = fd end
  end
  for i, worker in ipairs(each_worker(self)) do
    rows[i], fds[#fds + 1] = worker:row()
    rows[i].leads = worker == self.leader
    rows[i].identity = worker.identity
    rows[i].retired = worker.place.retired:is_set()
  end
  local sockets_rows, sockets_fds = self.sockets:rows()
  local memory_row, memory_fds = self.memory:row()
  keep_fds(sockets_fds)
  keep_fds(memory_fds)
  return { generation = self.generation, last_generation = self.last_generation,
    workers = rows, sockets = sockets_rows, memory = memory_row,
    broker = self.broker:state() }, fds
end

-- Goes on with the workers of the version before, and then loads the program anew, with what is installed now.
local function take_over(self, state)
  for _, row in ipairs(state.workers) do
    local worker, err = workers.restore(row)
    if worker then
      self.memory:keep(worker)
      worker.identity = self.knows_clients and row.identity or nil
      self.served = self.served or row.state ~= "starting"
      local place = places.new(row.number, row.generation)
      place:take(worker)
      table.insert(self.places, place)
      self.scope:go(keep, self, place)
      if row.leads then self.leader = worker end
      worker.place = place
      if row.retired then retire(self, { place }) end
    else
      log(("worker %d (pid %d) is lost: %s"):format(row.number, row.pid, err))
      if self.knows_clients then self.broker:leave(row.identity) end
    end
  end
  log "upgraded"
  attempt(self, function() return self:reload() end)
end

function on_signal.USR2(self)
  attempt(self, function()
    if self.stopping then return end
    if self.watch then return log "not upgraded: it runs with --watch" end
    local function links()
      local list = {}
      for i, worker in ipairs(each_worker(self)) do list[i] = worker.link end
      return list
    end
    local _, why = alone(self, function()
      return upgrade.become(self.options.words, links, function() return state_of(self) end)
    end)
    log("not upgraded: " .. why)
  end)
end

function on_signal.HUP(self) attempt(self, function() return self:reload() end) end

function on_signal.USR1(self) attempt(self, function() io.stderr:write(self:dump()) end) end

function on_signal.QUIT(self)
  attempt(self, function()
    io.stderr:write(self:dump())
    self:abort(DUMPED)
  end)
end

function on_signal.TERM(self, name)
  if self.stopping then self:abort(SIGNALED + numbers[name]) else self:stop() end
end

on_signal.INT = on_signal.TERM
function on_signal.PIPE() end -- nobody reads what we say: the workers serve on

local function obey_signals(self, signals)
  for name in signals do on_signal[name](self, name) end
end

-- fn(self) goes on until its task is cancelled; an error is told, and it begins again.
local function again_and_again(self, fn)
  repeat
    local ok, err = xpcall(fn, failures.remember, self)
    if not ok then log("error in the supervisor: " .. failures.traced(err), "error") end
  until ok or not core.sleep(LOOKS)
end

local function watch_beats(self)
  return beats.watch(self.memory, function() return each_worker(self) end, self.options.stuck)
end

local function context_of(self)
  return {
    words = self.options.words, count = self.options.count, user = self.options.user, log = log,
    served = function() return self.served end,
    handle = function(worker, message) return handle(self, worker, message) end,
    arrived = function(worker)
      worker.client = client_of(worker)
      worker.identity = self.broker:join(worker.client, worker.identity)
    end,
    left = function(worker)
      self.memory:leave(worker)
      self.broker:leave(worker.client)
      if self.leader == worker then
        self.leader = nil
        choose_leader(self)
      end
    end,
  }
end

--- Runs the workers until they have ended. In a task.
---@param options moonpark.workers.options
---@return integer|nil status of this process
---@return string? err
function M.run(options)
  -- It does little, and must not die; see docs/decisions/workers.md.
  jit.off()
  jit.flush()
  local self = setmetatable({ options = options, places = {}, generation = 1, last_generation = 1,
    status = 0, stopping = false, reprieve = LOOKS,
    reloading = core.mutex(), ended = core.event(),
    sockets = not options.state and sockets.new() }, Supervisor)
  self.context = context_of(self)
  local state, wrong = options.state, nil
  if state then
    self.memory, self.sockets, self.generation = memory.restore(state.memory), sockets.restore(state.sockets),
      state.generation
    self.last_generation = state.last_generation
    local fine, broker = pcall(brokers.restore, state.broker)
    if not fine then log("locks, channels and values are forgotten: " .. tostring(broker)) end
    self.knows_clients, self.broker = fine, fine and broker or brokers.new()
  else
    self.broker = brokers.new()
    self.memory, wrong = memory.new(options.count)
  end
  if not self.memory then return nil, wrong end
  self.watch = options.watch and watch.new(self, options.watch)
  local gate, err = control.open(options.control)
  if not gate and not state then return nil, err end
  if not gate then log(err) end -- the workers serve all the same
  task.scope(function(scope)
    self.scope = scope
    local subscription = core.signals("INT", "TERM", "HUP", "USR1", "USR2", "QUIT", "PIPE")
    core.unblock_signals() -- they were held back while an older version became this one
    local signals = scope:go(obey_signals, self, subscription)
    local control_task = gate and scope:go(gate.serve, gate, self)
    local hearts = options.stuck and scope:go(again_and_again, self, watch_beats)
    local looks = (options.max_requests or options.max_memory) and scope:go(again_and_again, self, watch_use)
    local watched, silent = scope:go(systemd.watch), scope:go(tell_of_silent, self)
    local watching = self.watch and scope:go(self.watch.run, self.watch)
    if state then take_over(self, state)
    elseif not self.watch then begin_all(self) end
    self.ended:wait()
    if watching then watching:cancel() end
    signals:cancel()
    if control_task then control_task:cancel() end
    watched:cancel()
    silent:cancel()
    if looks then looks:cancel() end
    if hearts then hearts:cancel() end
    self.sockets:close()
  end)
  if gate then gate:close() end
  return self.unclean and self.status == 0 and 1 or self.status
end

return M

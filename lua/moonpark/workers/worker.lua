-- SPDX-License-Identifier: MIT
-- worker.lua - one worker process, as its supervisor sees it.
--
--   state      means                                              leaves by
--   starting   the process runs, its script has not listened      "ready", ended
--   ready      it serves                                          drain: draining; ended
--   draining   it was told to end, and has a deadline             ended; after the deadline it is killed
--   ended      the process is gone

local core = require "moonpark.core"
local failures = require "moonpark.failures"
local links = require "moonpark.link"
local moonpark_process = require "moonpark.process"
local net = require "moonpark.net"
local task = require "moonpark.task"
local command = require "moonpark.workers.command"

local M = {}

local PAGE = core.page_size()
local UNLINKED = 5   -- seconds that a process may live on without its link
local LAST_WORDS = 5 -- seconds; something that it has started may hold the link open
local PROMPT_PATIENCE = 1
local PATIENCE = 5 -- seconds between a drain's deadline and KILL

---@class moonpark.workers.worker
---@field number integer
---@field generation integer
---@field state "starting"|"ready"|"draining"|"ended"
---@field pid integer
---@field since number when it was started; moonpark.now()
---@field failure string|nil what it said of its failure
---@field has_sockets boolean it was given one
---@field stopped moonpark.event it accepts nothing any more
local Worker = {}
Worker.__index = Worker

-- Its two ends of the link: ours, and what becomes its standard input.
local function open_link()
  local one, other, errno = core.socket_pair()
  if not one then return nil, other, errno end
  local ours, theirs, err
  ours, err, errno = core.from_fd(one, "connection")
  if not ours then return nil, err, errno end
  theirs, err, errno = net.from_fd(other, "connection")
  if not theirs then return nil, err, errno end
  return ours, theirs
end

local function made(number, generation, child, conn)
  return setmetatable({ number = number, generation = generation, state = "starting", since = core.now(),
    link = links.new(conn), child = child, pid = child:pid(), started = core.event(), gone = core.event(),
    stopped = core.event(), has_sockets = false, pending = {}, last_id = 0 }, Worker)
end

--- Starts one. In a task; its process ends with the scope.
---@param words string[] the command line
---@param number integer
---@param count integer
---@param generation integer
---@param user? string
---@return moonpark.workers.worker|nil
---@return string? err
function M.start(words, number, count, generation, user)
  local ours, theirs = open_link()
  if not ours then return nil, theirs end
  local child, err = moonpark_process.spawn(words, { stdin = theirs, group = true, helper = false, grace = 0,
    env = command.environment(number, count, generation, user) })
  theirs:close()
  if not child then
    ours:close()
    return nil, err
  end
  return made(number, generation, child, ours)
end

--- What an upgraded supervisor must know of it; its link stays open.
---@return table row
---@return integer fd
function Worker:row()
  local fd = assert(self.link.conn:fd())
  return { number = self.number, generation = self.generation, state = self.state, since = self.since, pid = self.pid,
    slot = self.slot, beat = self.beat, fd = fd }, fd
end

--- A worker that the supervisor had before it was upgraded.
---@param row table
---@return moonpark.workers.worker|nil
---@return string? err
function M.restore(row)
  local conn, err = net.from_fd(row.fd, "connection")
  if not conn then return nil, err end
  local child
  child, err = moonpark_process.adopt(row.pid, "worker", 0)
  if not child then return nil, err end
  local worker = made(row.number, row.generation, child, conn)
  worker.since, worker.slot, worker.beat = row.since, row.slot, row.beat
  if row.state ~= "starting" then worker:is_ready() end
  return worker
end

-- Questions that it will not answer any more.
local function forget(self)
  for id, request in pairs(self.pending) do
    self.pending[id] = nil
    request.err = "the worker has ended"
    request.done:set()
  end
end

local function settle(self, message)
  local request = self.pending[message.id]
  if not request then return end
  self.pending[message.id] = nil
  request.answer = message
  request.done:set()
end

local function read(self, handle)
  while true do
    local message, fds = self.link:receive()
    if not message then break end
    for _, fd in ipairs(fds) do fd:close() end -- nothing that a worker says comes with any
    if message.op == "answer" then settle(self, message)
    elseif message.op == "failed" then self.failure = tostring(message.text)
    else handle(self, message) end
  end
  forget(self)
  if self.gone:wait(UNLINKED) or self.state == "ended" then return end
  failures.log(("worker %d (pid %d) is killed: it does not listen to its supervisor"):format(self.number, self.pid),
    "error", "workers")
  self:kill() -- no drain would reach it
end

--- Serves it until it has ended: handle(worker, message, fds) for what it says.
---@param handle fun(worker: moonpark.workers.worker, message: table)
---@return "exited"|"signaled"|nil how
---@return integer|string value its status, or the signal's name
function Worker:attend(handle)
  return task.scope(function(scope)
    local reader = scope:go(read, self, handle)
    scope:go(self.link.flush, self.link)
    local how, value = self.child:wait()
    self.state = "ended"
    self.gone:set()
    self.stopped:set()
    reader:join(LAST_WORDS)
    self.link:close()
    return how, value
  end)
end

---@param message table
---@param items? table
function Worker:post(message, items) return self.link:post(message, items) end

--- Asks it something.
---@param message table
---@param timeout number seconds
---@return table|nil answer
---@return string? err
function Worker:ask(message, timeout)
  if self.state == "ended" then return nil, "the worker has ended" end
  self.last_id = self.last_id + 1
  message.id = self.last_id
  local request = { done = core.event() }
  self.pending[message.id] = request
  local ok, err = self:post(message)
  if ok then ok, err = request.done:wait(timeout) end
  self.pending[message.id] = nil
  if not ok then return nil, err end
  return request.answer, request.err
end

--- The memory of its process that is in use, in bytes; nil: unknown.
---@return integer|nil
function Worker:resident()
  local file = io.open(("/proc/%d/statm"):format(self.pid))
  local pages = file and file:read("*l"):match "^%d+ (%d+)"
  if file then file:close() end
  return pages and tonumber(pages) * PAGE
end

--- It serves from now on.
function Worker:is_ready()
  if self.state ~= "starting" then return end
  self.state = "ready"
  self.started:set()
end

--- Tells it to end, waits for that, and kills it after the deadline.
---@param seconds number
---@param prompt? boolean in watch mode: no client is to meet the old code, and nobody wants to wait
---@return boolean clean it ended by itself
function Worker:drain(seconds, prompt)
  if self.state == "ended" then return true end
  self.state = "draining"
  self:post { op = "drain", seconds = seconds, prompt = prompt or false }
  if self.gone:wait(seconds + (prompt and PROMPT_PATIENCE or PATIENCE)) or self.state == "ended" then return true end
  self:kill()
  return false
end

--- Ends it at once.
function Worker:kill()
  if self.state ~= "ended" then self.child:kill "KILL" end
end

return M

-- SPDX-License-Identifier: MIT
-- post.lua - a worker's link to its supervisor: requests and their answers, and what the supervisor says of itself.
--
-- The tasks that read and write it are attendants: the loop ends without them, and they hide no deadlock. While an
-- answer is awaited, the loop is told that something outside will wake a task.

local core = require "moonpark.core"
local failures = require "moonpark.failures"
local links = require "moonpark.link"
local task = require "moonpark.task"

local M = {}

local GONE = "the supervisor has ended"

local link
local place -- {number, count, generation}
local attended = false -- the attendants run
local pending, last_id = {}, 0 -- [id] = {done = an event, message, fds}
local handlers = {} -- [op] = fn(message, fds)

--- fn(message, fds) is called for each message of that kind, on the attendant's own time: it does not wait.
---@param op string
---@param fn fun(message: table, fds: moonpark.descriptor[])
function M.on(op, fn) handlers[op] = fn end

local function settle(message, fds)
  local request = pending[message.id]
  if not request then return end
  pending[message.id] = nil
  core.expect(-1)
  request.message, request.fds = message, fds
  request.done:set()
end

local function dispatch(message, fds)
  if message.op == "answer" then return settle(message, fds) end
  local handler = handlers[message.op]
  if not handler then return end
  local ok, err = pcall(handler, message, fds)
  if ok then return end
  failures.log(("worker: %s: %s"):format(tostring(message.op), failures.text(err)), "error", "workers")
end

local function read()
  core.attend()
  task.name_by(core.current(), function() return "from the supervisor" end)
  while true do
    local message, fds = link:receive()
    if not message then break end
    dispatch(message, fds)
  end
  attended = false
  link:close()
  for id in pairs(pending) do settle({ id = id, err = GONE }) end
  dispatch({ op = "gone", err = GONE })
end

local function write()
  core.attend()
  task.name_by(core.current(), function() return "to the supervisor" end)
  link:flush()
end

local function attend()
  if attended or link.conn:is_closed() then return end
  attended = true
  core.go(read)
  core.go(write)
end

--- This worker's place; nil: this process is no worker.
---@return {number: integer, count: integer, generation: integer}|nil
function M.place() return place end

--- Makes this process the worker that its supervisor has started, whose link is standard input.
---@param given {number: integer, count: integer, generation: integer}
---@return true|nil
---@return string? err
function M.open(given)
  local input, err = core.take_input()
  if not input then return nil, err end
  local conn
  conn, err = core.from_fd(input, "connection")
  if not conn then return nil, err end
  link = links.new(conn)
  place = given
  task.before_main(attend)
  return true
end

--- Says something to the supervisor. Never waits.
---@param message table
---@return true|nil
---@return string? err
function M.post(message) return link:post(message) end

local function ask(message)
  last_id = last_id + 1
  local id = last_id
  local request = { done = core.event() }
  message.id = id
  local ok, err = link:post(message)
  if not ok then return { err = err } end
  pending[id] = request
  core.expect(1)
  ok, err = request.done:wait()
  if ok then return request.message, request.fds end
  if pending[id] then
    pending[id] = nil
    core.expect(-1)
  end
  return { err = err }
end

--- Asks the supervisor, and waits for its answer. Outside of tasks it runs the loop until then.
---@param message table
---@return table answer with `err` if it failed
---@return moonpark.descriptor[]|nil fds
function M.ask(message)
  if core.current() then return ask(message) end
  return task.run(ask, message)
end

--- What this worker says before it ends: everything posted is sent.
---@param message table
function M.last_words(message)
  if not link or core.is_running() or not link:post(message) then return end
  link:finish()
  pcall(core.run, function()
    core.expect(1) -- the attendant of an earlier run may be in the middle of a write, for which this one waits
    link:flush()
    link:sent()
    core.expect(-1)
  end)
end

return M

-- SPDX-License-Identifier: MIT
-- worker.lua - what a script knows of the worker that it runs in. In a program without workers there is one, number 1.

local core = require "moonpark.core"
local draining = require "moonpark.draining"
local drain = require "moonpark.worker.drain"
local dump = require "moonpark.dump"
local failures = require "moonpark.failures"
local net_source = require "moonpark.net.source"
local post = require "moonpark.worker.post"
local segments = require "moonpark.shared.segments"
local shared = require "moonpark.shared.client"
local sockets = require "moonpark.worker.sockets"
local task = require "moonpark.task"

---@class moonpark.worker
local M = {}

local LONGEST = 2 ^ 21 -- bytes of a text for the control socket; JSON may make it six times as long

local alone = { number = 1, count = 1, generation = 1 }
local leading = true -- without workers, or until the supervisor says so
local listeners = {} -- on_broadcast's functions

local function check_function(fn, name)
  if type(fn) == "function" then return end
  error(("bad argument #1 to '%s' (function expected, got %s)"):format(name, type(fn)), 3)
end

--- Is this process a worker of a supervisor?
---@return boolean
function M.is_worker() return post.place() ~= nil end

--- Its number, from 1 to count(). A worker that takes the place of another one has its number.
---@return integer
function M.number() return (post.place() or alone).number end

--- How many workers there are.
---@return integer
function M.count() return (post.place() or alone).count end

--- How often the program was loaded: 1, and one more with each reload.
---@return integer
function M.generation() return (post.place() or alone).generation end

--- Is this the worker that does what must be done once, such as jobs at certain times? It is true in no more than one
--- worker at any time; where that one ends, another one leads.
---@return boolean
function M.leader() return leading end

--- Says that the script has started. Listening says so too; a script that does not listen calls this, or a reload would
--- wait for it in vain.
function M.ready()
  if post.place() then post.post { op = "ready" } end
end

--- fn(seconds) is called, in a task, when this worker is to end: it takes nothing new, and has that long.
---@param fn fun(seconds: number)
function M.on_drain(fn)
  check_function(fn, "on_drain")
  drain.on_drain(fn)
end

---@return boolean
function M.is_draining() return drain.is_draining() end

local function tell(value)
  for _, fn in ipairs(listeners) do
    local ok, err = xpcall(fn, failures.remember, value)
    if not ok then failures.log("error in an on_broadcast function: " .. failures.traced(err), "error", "workers") end
  end
end

--- fn(value) is called, in a task, for each value that a worker broadcasts, this one too.
---@param fn fun(value: any)
function M.on_broadcast(fn)
  check_function(fn, "on_broadcast")
  listeners[#listeners + 1] = fn
end

--- Sends a value to every worker: a string, a number, a boolean, or a table that JSON can carry. Never waits.
---@param value any
---@return true|nil
---@return string? err
function M.broadcast(value)
  if post.place() then return post.post { op = "broadcast", value = value } end
  core.go(tell, value)
  return true
end

---------------------------------------------------------------------------------------------------
-- what the supervisor says

-- Runs a line in this worker, as the prompt does -> its results as text, or the error.
local function evaluate(code)
  local chunk, err = loadstring("return " .. code, "=(eval)")
  if not chunk then chunk, err = loadstring(code, "=(eval)") end
  if not chunk then return nil, err end
  local results = { xpcall(chunk, failures.remember) }
  if not results[1] then return nil, failures.traced(results[2]) end
  for i = 2, table.maxn(results) do results[i] = failures.text(results[i]) end
  return table.concat(results, "\t", 2)
end

local function answer_eval(message)
  core.current():name "eval"
  local text, err = evaluate(message.code)
  post.post { op = "answer", id = message.id, text = text and text:sub(1, LONGEST), err = err and err:sub(1, LONGEST) }
end

-- Of all HTTP servers that are open.
local function requests()
  local sum = 0
  for _, entry in ipairs(draining.list()) do
    local stats = entry.object.stats and entry.object:stats()
    sum = sum + (stats and stats.requests or 0)
  end
  return sum
end

local function obey()
  post.on("drain", function(message) drain.begin(message.seconds, message.prompt) end)
  post.on("shared", function(message) shared.receive(message.message) end)
  post.on("gone", function(message) shared.disconnected(message.err) end)
  post.on("broadcast", function(message) core.go(tell, message.value) end)
  post.on("leader", function(message)
    leading = message.leading
    if not leading then post.post { op = "led" } end
  end)
  post.on("dump", function(message)
    post.post { op = "answer", id = message.id, text = dump.dump():sub(1, LONGEST) }
  end)
  post.on("attach", function(_, fds)
    local conn = fds[1] and core.from_fd(fds[1], "connection")
    if conn then require("moonpark.repl.session").start(conn, post.place().number) end
  end)
  post.on("eval", function(message) core.go(answer_eval, message) end)
  post.on("status", function(message)
    post.post { op = "answer", id = message.id, requests = requests(), memory = collectgarbage "count" * 1024 }
  end)
end

local heartbeat_sent = false

-- Where the supervisor looks whether this worker's loop goes on, if it does.
local function send_heartbeat()
  if heartbeat_sent then return end
  heartbeat_sent = true
  core.go(function()
    local answer, fds = post.ask { op = "heartbeat" }
    if not answer.offset then return end
    local fd = fds[1]:release()
    core.heartbeat_at(fd, answer.offset)
    core.close_number(fd)
  end)
end

-- "number count generation parent user", as the supervisor writes it.
local function place_of(text)
  local number, count, generation, parent, user = text:match "^(%d+) (%d+) (%d+) (%d+) (.*)$"
  if not number then return nil end
  return { number = tonumber(number), count = tonumber(count), generation = tonumber(generation) }, tonumber(parent),
    user ~= "" and user or nil
end

--- Takes this process's place among its supervisor's workers, if it was started as one. For moonpark's own start.
---@package
function M.join()
  local text = core.take_variable "MOONPARK_WORKER"
  if not text then return end
  local place, parent, user = place_of(text)
  if not place or not core.die_with(parent) then return end -- another program's, whose variable was handed on
  assert(post.open(place))
  if user then
    local ok, err = core.become(user)
    if not ok or not core.die_with(parent) then -- another user's process forgets whom it dies with
      local why = ("cannot run as user '%s': %s"):format(user, err or "the supervisor has ended")
      post.last_words { op = "failed", text = why }
      failures.log(why, "error", "workers")
      os.exit(1, true)
    end
  end
  leading = false
  core.tell_crashes()
  task.before_main(send_heartbeat)
  net_source.set(sockets)
  segments.set_source(sockets.segment)
  shared.connect(function(message) post.post { op = "shared", message = message } end, core.expect)
  obey()
end

--- The last thing that this worker's supervisor hears: why it could not go on.
---@package
---@param text string
function M.last_words(text)
  if post.place() then post.last_words { op = "failed", text = text } end
end

return M

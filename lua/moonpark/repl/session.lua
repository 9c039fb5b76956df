-- SPDX-License-Identifier: MIT
-- session.lua - the server's side of `moonpark --attach`: runs lines of a prompt that somebody has attached to this
-- process, and sends what they give back. Its tasks are attendants: the program ends without them.
--
--   the prompt says                   the answer
--   {op = "line", id, text}           {op = "output", text}...; {op = "done", id, text | err}
--   {op = "cancel", id}               none; the line's waits fail
--   {op = "complete", id, text}       {op = "done", id, word, candidates}

local core = require "moonpark.core"
local failures = require "moonpark.failures"
local limits = require "moonpark.limits"
local links = require "moonpark.link"
local show = require "moonpark.repl.show"
local task = require "moonpark.task"

local M = {}

local LIMIT = 5           -- seconds that a line may compute without waiting
local PATIENCE = 5        -- seconds to send what is left
local LONGEST = 65536     -- bytes of a line's results
local MOST_OUTPUT = 1e6   -- bytes that a line prints

---@class moonpark.repl.session
---@field link moonpark.link
---@field lines table<integer, moonpark.task> that run
---@field running integer
local Session = {}
Session.__index = Session

local function cut(text, most) return #text > most and text:sub(1, most) .. "... (cut off)" or text end

-- print() of a line goes to who typed it.
local function printer(self)
  local left = MOST_OUTPUT
  return function(...)
    local parts = {}
    for i = 1, select("#", ...) do parts[i] = tostring((select(i, ...))) end
    local text = table.concat(parts, "\t") .. "\n"
    if left <= 0 then return end
    left = left - #text
    self.link:post { op = "output", text = left > 0 and text or "... what else it prints is left out\n" }
  end
end

-- The globals are the program's, and what a prompt has beside them.
local function environment(self)
  local lend = require "moonpark.repl.lend"
  local own = { print = printer(self) }
  return setmetatable({}, {
    __index = function(_, name)
      if own[name] then return own[name] end
      local value = rawget(_G, name)
      if value == nil then value = lend.get(name) end
      if value == nil then value = _G[name] end -- a metatable of the program's may raise
      return value
    end,
    __newindex = _G,
  })
end

-- The nil keeps a call from being a tail call, which no traceback would show. -> chunk, its first result that counts
local function compile(text)
  local chunk = loadstring("return nil," .. text:gsub("^%s*=", "", 1), "=stdin", "t")
  if chunk then return chunk, 2 end
  local wrong
  chunk, wrong = loadstring(text, "=stdin", "t")
  return chunk, chunk and 1 or wrong
end

-- The lines of a traceback that are the script's.
local function traced(err) return cut(failures.traced(err):gsub("\n\t%[C%]: in function 'xpcall'.*$", ""), LONGEST) end

local function results(first, ...)
  if select("#", ...) < first then return nil end
  return cut(show.results(select(first, ...)), LONGEST)
end

-- While lines run, a task that does not wait is stopped, if the program has no such limit of its own.
local function guard(self, change)
  local before = self.running
  self.running = before + change
  local own = limits.current()
  if before == 0 and not (own.limit and own.limit > 0) then
    self.limits_before = own
    limits.set { slow = own.slow, stuck = own.stuck, limit = LIMIT }
  elseif self.running == 0 and self.limits_before then
    limits.set(self.limits_before)
    self.limits_before = nil
  end
end

local function run(self, message)
  local chunk, first = compile(tostring(message.text))
  if not chunk then return self.link:post { op = "done", id = message.id, err = first } end
  jit.off(chunk, true)
  setfenv(chunk, environment(self))
  self.lines[message.id] = core.go(function()
    core.attend()
    core.current():name "attached"
    local done = { op = "done", id = message.id }
    local function keep(ok, ...)
      if ok then done.text = results(first, ...) else done.err = traced((...)) end
    end
    guard(self, 1)
    keep(xpcall(chunk, failures.remember))
    guard(self, -1)
    self.lines[message.id] = nil
    self.link:post(done)
  end)
end

local function complete(self, message)
  local lend = require "moonpark.repl.lend"
  local ok, word, candidates = pcall(require("moonpark.repl.complete").candidates, tostring(message.text), lend)
  self.link:post { op = "done", id = message.id, word = ok and word or "", candidates = ok and candidates or {} }
end

local operations = {}

function operations.line(self, message) run(self, message) end

function operations.complete(self, message) complete(self, message) end

function operations.cancel(self, message)
  local line = self.lines[message.id]
  if line then line:cancel "Ctrl-C" end
end

local function serve(self)
  while true do
    local message = self.link:receive()
    local operation = message and operations[message.op]
    if not operation or not tonumber(message.id) then break end
    operation(self, message)
  end
  for _, line in pairs(self.lines) do line:cancel "the prompt has gone" end
  self.link:finish()
  task.timeout(PATIENCE, self.link.sent, self.link)
  self.link:close()
end

--- Serves a prompt over that connection, which belongs to it, in tasks of its own. Whoever is there has been found to
--- be allowed.
---@param conn moonpark.connection
---@param number? integer of this worker
function M.start(conn, number)
  local self = setmetatable({ link = links.new(conn), lines = {}, running = 0 }, Session)
  self.link:post { op = "attached", pid = core.pid(), number = number, version = core.version }
  core.go(function()
    core.attend()
    core.current():name "an attached prompt"
    serve(self)
  end)
  core.go(function()
    core.attend()
    core.current():name "to an attached prompt"
    self.link:flush()
  end)
end

return M

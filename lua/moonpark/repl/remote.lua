-- SPDX-License-Identifier: MIT
-- remote.lua - the prompt's side of `moonpark --attach`: lines run in another process; see session.lua.

local core = require "moonpark.core"
local links = require "moonpark.link"
local net = require "moonpark.net"
local task = require "moonpark.task"

local M = {}

local PATIENCE = 5 -- seconds for the other process to take the prompt

---@class moonpark.repl.remote
---@field link moonpark.link
---@field pid integer
---@field number integer|nil
local Remote = {}
Remote.__index = Remote

local function settle(self, message)
  local request = self.pending[message.id]
  if not request then return end
  self.pending[message.id] = nil
  request.answer = message
  request.done:set()
end

-- What the other process says, until it has ended.
local function read(self)
  while true do
    local message = self.link:receive()
    if not message then break end
    if message.op == "output" then
      io.stdout:write(tostring(message.text))
      io.stdout:flush()
    elseif message.op == "done" then
      settle(self, message)
    end
  end
  self.ended = true
  for id in pairs(self.pending) do settle(self, { id = id, err = "the program has ended" }) end
  if self.on_end then self.on_end() end
end

--- Attaches to a process. In a task.
---@param path string of its control socket
---@param number? integer of a worker
---@return moonpark.repl.remote|nil
---@return string? err
function M.connect(path, number)
  local conn, err = net.dial("unix:" .. path)
  if not conn then return nil, err end
  local link = links.new(conn)
  link:post { command = "attach", number = number }
  local self = setmetatable({ link = link, pending = {}, last_id = 0 }, Remote)
  core.go(link.flush, link)
  local hello = task.timeout(PATIENCE, link.receive, link)
  if not hello or hello.op ~= "attached" then
    conn:close()
    return nil, hello and tostring(hello.err or "it does not take a prompt") or "it does not answer"
  end
  self.pid, self.number, self.version = hello.pid, hello.number, hello.version
  core.go(read, self)
  return self
end

local function request(self, message)
  self.last_id = self.last_id + 1
  message.id = self.last_id
  local held = { done = core.event(), id = message.id }
  if self.ended or not self.link:post(message) then return { answer = { err = "the program has ended" } } end
  self.pending[message.id] = held
  return held
end

--- Runs a line there, and waits for its end. If the caller is cancelled, so is the line.
---@param text string
---@return string|nil results
---@return string? err
function Remote:evaluate(text)
  local held = request(self, { op = "line", text = text })
  while not held.answer do
    local ok = held.done:wait()
    if not ok then
      self.link:post { op = "cancel", id = held.id }
      task.shield(function() held.done:wait() end)
    end
  end
  return held.answer.text, held.answer.err
end

--- What may stand in place of the word at the end of a line.
---@param text string
---@return string word
---@return string[] candidates
function Remote:candidates(text)
  local held = request(self, { op = "complete", text = text })
  if not held.answer then held.done:wait(PATIENCE) end
  local answer = held.answer or {}
  return answer.word or "", type(answer.candidates) == "table" and answer.candidates or {}
end

function Remote:close() self.link:close() end

return M

-- SPDX-License-Identifier: MIT
-- http_upload.lua - a request's body on its way up, in a task of its own: an answer may come before all of it is there,
-- and a peer that waits for its answer to be read reads no more of the body.

local core = require "moonpark.core"
local task = require "moonpark.task"

local M = {}

local PIECE = 65536 -- bytes that are asked of what has read()

---@class moonpark.http.upload
---@field done boolean all of the body was sent
---@field err string|nil why it was not
---@field errno integer|nil
---@field raised table|nil {what the body has raised}
---@field answered boolean the answer's head has come
---@field stopped boolean no more of it is wanted
local Upload = {}
Upload.__index = Upload

local function next_piece(body)
  if type(body) == "function" then return body() end
  local data, err, errno = body:read(PIECE)
  if data == nil and err and err ~= "eof" then return nil, err, errno end
  return data
end

-- Sends a body piece by piece, each as the peer takes it. nil, err, errno, ours: the failure is not the connection's.
local function send_pieces(conn, body, left)
  while true do
    local data, err, errno = next_piece(body)
    if data == nil then
      if err then return nil, err, errno, true end
      break
    end
    local ok = true
    if left then
      left = left - #data
      if left < 0 then return nil, "the body is longer than its length", nil, true end
      ok, err, errno = conn:write(data)
    elseif #data > 0 then
      ok, err, errno = conn:write(("%x\r\n"):format(#data), data, "\r\n")
    end
    if not ok then return nil, err, errno end
  end
  if left and left > 0 then return nil, "the body is shorter than its length", nil, true end
  if left then return true end
  return conn:write("0\r\n\r\n")
end

-- Why the connection ended. What a peer has said before it did counts still.
local by_peer = { ["broken pipe"] = true, ["connection reset by peer"] = true }

local function sooner(a, b) return a and b and math.min(a, b) or a or b end

-- From now on it is the peer's turn.
local function await_answer(self, conn, limits)
  if self.answered then return end
  local patience = limits.head or limits.io
  conn:set_read_deadline(sooner(limits.deadline, patience and core.now() + patience))
end

local function send_all(self, conn, body, limits)
  conn:set_timeout(limits.io)
  local ok, sent, err, errno, ours = pcall(send_pieces, conn, body, limits.length)
  if not ok then
    self.raised = { sent }
  elseif sent then
    self.done = true
  else
    self.err, self.errno = err, errno
  end
  if self.stopped then return end
  if self.done or (ok and not ours and by_peer[err]) then return await_answer(self, conn, limits) end
  conn:close() -- nobody answers half a request
end

---@class moonpark.http.upload.limits
---@field length integer|nil bytes of the body; else it goes in chunks
---@field io number|nil seconds for each write
---@field head number|nil seconds from the body's end to the answer's head
---@field deadline number|nil of all

--- Begins to send a body on a connection that no other task writes to.
---@param conn moonpark.connection
---@param body string|function|table
---@param limits moonpark.http.upload.limits
---@return moonpark.http.upload
function M.start(conn, body, limits)
  local self = setmetatable({ done = false, answered = false, stopped = false }, Upload)
  if type(body) == "string" then
    local text = body
    body = function()
      local piece = text
      text = nil
      return piece
    end
  end
  conn:set_timeout(nil) -- while the body goes up, the answer is not late
  self.task = task.go(send_all, self, conn, body, limits)
  self.task:name("http upload")
  return self
end

--- The answer's head has come, or will not: the connection's reads have the request's deadline again.
function Upload:head_read(conn, limits)
  self.answered = true
  conn:set_timeout(limits.io)
  conn:set_read_deadline(limits.deadline)
end

--- No more of it is wanted.
function Upload:stop()
  if self.done then return end
  self.stopped = true
  self.task:cancel("no more of it is wanted")
end

--- What the body has raised is raised; else why it has failed, or what the reader says.
---@return nil
---@return string err
---@return integer? errno
function Upload:explain(err, errno)
  if self.raised then error(self.raised[1], 0) end
  if self.err and self.err ~= "canceled" then return nil, self.err, self.errno end
  return nil, err, errno
end

return M

-- SPDX-License-Identifier: MIT
-- client_upload.lua - sends a request's body in its own task: the response may arrive before the whole body was sent,
-- and a server that waits for its response to be read may read no more of the body.

local core = require "moonpark.core"
local task = require "moonpark.task"

local M = {}

local PIECE = 65536 -- bytes that are asked of what has read()
local LAST_WORDS = 1 -- seconds

---@class moonpark.http.upload
---@field done boolean all of the body was sent
---@field err string|false|nil why it was not; fields are there from the start: to set one takes no memory
---@field errno integer|false|nil
---@field has_raised boolean the body has,
---@field raised any this
---@field answered boolean the answer's head has come
---@field stopped boolean the rest is no longer needed
local Upload = {}
Upload.__index = Upload

-- Raises for values other than strings, at the first line of the body's function.
local function check_piece(body, data)
  local kind = type(data)
  if kind == "string" or kind == "nil" then return data end
  if kind == "number" then return tostring(data) end
  local where = type(body) == "function" and debug.getinfo(body, "S")
  error(("%sa piece of the body must be a string, not a %s"):format(
    where and ("%s:%d: "):format(where.short_src, where.linedefined) or "", kind), 0)
end

local function next_piece(body)
  if type(body) == "function" then
    local data, err, errno = body()
    return check_piece(body, data), err, errno
  end
  local data, err, errno = body:read(PIECE)
  if data == nil and err and err ~= "eof" then return nil, err, errno end
  return check_piece(body, data)
end

-- Sends a body piece by piece, each as the peer takes it. nil, err, errno, ours: the failure is not the connection's.
local function send_pieces(reader, conn, body)
  while true do
    local data, err, errno = next_piece(body)
    if data == nil then
      if err then return nil, err, errno, true end
      return reader:finish(conn)
    end
    local ok, ours
    ok, err, errno, ours = reader:send(conn, data)
    if not ok then return nil, err, errno, ours end
  end
end

local function send_body(reader, conn, head, body, length)
  if head then return reader:begin(conn, head, length, body) end
  if type(body) == "string" then return reader:send(conn, body) end
  return send_pieces(reader, conn, body)
end

-- Why the connection ended. What a peer has said before it did counts still.
local by_peer = { ["broken pipe"] = true, ["connection reset by peer"] = true }

--- No more of a request can be sent: what the peer has said meanwhile is still to be read. Should it be there after
--- all, it learns that it waits in vain; where even that fails, we do not wait for long.
---@param conn moonpark.connection
---@return number|nil patience seconds
function M.break_off(conn)
  if not conn:close_write() then return LAST_WORDS end
end

local function sooner(a, b) return a and b and math.min(a, b) or a or b end

-- From now on it is the peer's turn. nil, err, errno: nothing would end the wait for it.
local function await_answer(self, conn, limits, patience)
  if self.answered then return true end
  patience = patience or limits.head or limits.io
  return conn:set_read_deadline(sooner(limits.deadline, patience and core.now() + patience))
end

-- Whatever happens, and be it that there is no memory: who waits for the answer is told.
local function send_all(self, entry, head, body, limits)
  local conn = entry.conn
  conn:set_timeout(limits.io)
  local ok, sent, err, errno, ours = pcall(send_body, entry.reader, conn, head, body, limits.length)
  if not ok then
    self.has_raised, self.raised = true, sent
  elseif sent then
    self.done = true
  else
    self.err, self.errno = err, errno
  end
  if self.stopped then return end
  local broken = ok and not ours and by_peer[err]
  local patience = broken and M.break_off(conn)
  if self.done or broken then
    ok, sent, err, errno = pcall(await_answer, self, conn, limits, patience)
    if ok and sent then return end
    self.err, self.errno = ok and err or sent, errno
  end
  conn:close() -- nobody answers half a request
end

---@class moonpark.http.upload.limits
---@field length integer|true bytes of the body; true: nobody knows
---@field io number|nil seconds for each write
---@field head number|nil seconds from the body's end to the answer's head
---@field deadline number|nil of all

---@return moonpark.http.upload
function M.new()
  return setmetatable({ done = false, answered = false, stopped = false, has_raised = false, raised = false,
    err = false, errno = false, task = false }, Upload)
end

--- Begins to send a body on a connection that no other task writes to. Where that raises, for there is no memory, it
--- may have begun.
---@param entry moonpark.http.pool.entry
---@param head string|nil the request's, if it goes up with the body, which is a string then
---@param body string|function|table
---@param limits moonpark.http.upload.limits
function Upload:start(entry, head, body, limits)
  entry.conn:set_timeout(nil) -- while the body goes up, the answer is not late
  self.task = task.go(send_all, self, entry, head, body, limits)
  self.task:name("http upload")
end

--- The answer's head has come, or will not: the connection's reads have the request's deadline again.
---@return true|nil
---@return string? err
---@return integer? errno
function Upload:head_read(conn, limits)
  self.answered = true
  conn:set_timeout(limits.io)
  return conn:set_read_deadline(limits.deadline)
end

--- No more of it is wanted.
function Upload:stop()
  if self.done or self.stopped then return end
  self.stopped = true
  if self.task then self.task:cancel("the rest is no longer needed") end -- it may not have begun
end

--- What the body has raised is raised; else why it has failed, or what the reader says.
---@return nil
---@return string err
---@return integer? errno
function Upload:explain(err, errno)
  if self.has_raised then error(self.raised, 0) end
  if self.err and self.err ~= "canceled" then return nil, self.err, self.errno or nil end
  return nil, err, errno
end

return M

-- SPDX-License-Identifier: MIT
-- send.lua - send of cosockets.

local call = require("moonpark.in_task").call
local core = require "moonpark.core"
local loop = require("moonpark.in_task").loop
local sendable = require "moonpark.ngx.sendable"
local tcp = require "moonpark.ngx.tcp"
local words = require "moonpark.ngx.words"

local busy, plain, one = tcp.busy, sendable.plain, sendable.one
local write_table = core.conn_write_table

local function wrote(self, conn, sent, err)
  if sent then
    self.writing = false
    return sent
  end
  if self.conn == conn then self.write_closed = true end -- `writing` stays: what was cut never goes on
  return nil, words.of(err)
end

local function write(self, conn, data) return wrote(self, conn, conn:write(data)) end

-- -> as send; false: there is something wrong with the table, and nothing was written
local function write_pieces(self, conn, data)
  local sent, err = write_table(conn, data)
  if not sent and not err then
    self.writing = false
    return false
  end
  return wrote(self, conn, sent, err)
end

-- nil, or what send returns instead of writing.
local function refusal(self)
  if self.connecting then return "socket busy connecting" end
  if not self.conn or self.write_closed then return "closed" end
  return busy(self, false, true)
end

local function send_table(self, conn, data)
  self.writing = true
  local sent, err
  if loop.runs then sent, err = write_pieces(self, conn, data)
  else sent, err = call(write_pieces, self, conn, data) end
  if sent then return sent end
  if sent == false then
    sendable.check(data)
    error "send: the table was changed meanwhile"
  end
  return nil, err
end

--- send(string, number, or table of these and of tables) -> bytes | nil, err. After a failure, a timeout among them,
--- the writing side is closed.
function tcp.class:send(...)
  one(select("#", ...))
  local conn = self.conn
  if not conn or self.writing then
    local err = refusal(self)
    if err then return nil, err end
  end
  local data = ...
  if type(data) == "table" then return send_table(self, conn, data) end
  data = plain(data)
  self.writing = true
  if loop.runs then return write(self, conn, data) end
  return call(write, self, conn, data)
end

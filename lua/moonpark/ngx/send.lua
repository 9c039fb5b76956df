-- SPDX-License-Identifier: MIT
-- send.lua - send of cosockets.

local call = require("moonpark.in_task").call
local loop = require("moonpark.in_task").loop
local sendable = require "moonpark.ngx.sendable"
local tcp = require "moonpark.ngx.tcp"
local words = require "moonpark.ngx.words"

local busy, of, one = tcp.busy, sendable.of, sendable.one

local function write(self, conn, data)
  local sent, err = conn:write(data)
  if sent then
    self.writing = false
    return sent
  end
  if self.conn == conn then self.write_closed = true end -- `writing` stays: what was cut never goes on
  return nil, words.of(err)
end

-- nil, or what send returns instead of writing.
local function refusal(self)
  if self.connecting then return "socket busy connecting" end
  if not self.conn or self.write_closed then return "closed" end
  return busy(self, false, true)
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
  local data = of((...))
  self.writing = true
  if loop.runs then return write(self, conn, data) end
  return call(write, self, conn, data)
end

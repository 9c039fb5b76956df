-- SPDX-License-Identifier: MIT
-- support/example.lua - runs a script of examples/ as a process of its own, and talks to it.
--
--   local kv = example.start("kv.lua")      under plain luajit; listens on kv.address
--   local conn = kv:dial()                  a connection that gives up after PATIENCE seconds
--   kv:stop()

local net = require "moonpark.net"
local process = require "support.process"

local M = {}

local PATIENCE = 30 -- seconds; nothing in these specs takes as long, so whoever does hangs

---@class example.server
---@field address string "127.0.0.1:port"
---@field port string
local Server = {}
Server.__index = Server

function M.path(name) return process.root .. "/examples/" .. name end

--- The words that run an example under plain luajit.
function M.plain(name, ...) return { process.interpreter, M.path(name), ... } end

--- Starts one, and returns once it says that it listens.
---@param name string
---@param words? string[] what runs it; plain luajit
---@param address? string
---@return example.server
function M.start(name, words, address)
  local child = process.start(words or M.plain(name, address or "127.0.0.1:0"))
  local line = child:line()
  local listening = line and line:match "^listening on (.+)$"
  if not listening then
    local _, out, err = child:wait()
    error(name .. " did not say where it listens; it wrote:\n" .. out .. err, 2)
  end
  return setmetatable({ child = child, address = listening, port = listening:match ":(%d+)$" }, Server)
end

function Server:dial()
  local conn = assert(net.dial(self.address, { timeout = PATIENCE }))
  conn:set_timeout(PATIENCE)
  return conn
end

--- Ends it. What it has complained of meanwhile is an error.
function Server:stop()
  self.child:kill("TERM")
  local _, _, err = self.child:wait()
  assert(err == "", "the server wrote to stderr:\n" .. err)
end

return M

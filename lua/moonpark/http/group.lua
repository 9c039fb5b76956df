-- SPDX-License-Identifier: MIT
-- group.lua - http.group: many WebSockets that get the same messages.

local core = require "moonpark.core"
local misuse = require "moonpark.http.misuse"
local option = require "moonpark.options"

local M = {}

---@class moonpark.websocket.group
local Group = {} -- {the core's, seconds that a send may wait}
Group.__index = Group

---@class moonpark.websocket.group.options
---@field max_queue? integer bytes queued for a member; 262144
---@field policy? "drop"|"close"|"wait" where the queue has no room; "close"
---@field timeout? number seconds that a send may wait; no limit

local known = { max_queue = "count", policy = option.one_of("drop", "close", "wait"), timeout = "seconds" }

--- A group without members. A message for a member that cannot take it at once is queued; `policy` says what becomes of
--- one for which the queue has no room: "drop": that member does not get it; "close": the member is closed with 1008;
--- "wait": it is queued, and send waits until all members have room again.
---@param options? moonpark.websocket.group.options
---@return moonpark.websocket.group
function M.group(options)
  options = option.check("http.group", options, known, 2)
  local group = core.websocket_group(options.max_queue or 262144, options.policy or "close")
  return setmetatable({ group, options.timeout }, Group)
end

local function core_of(socket, name)
  local inner = type(socket) == "table" and socket[1]
  if not inner then error(("%s: WebSocket expected, got %s"):format(name, type(socket)), 3) end
  return inner
end

--- Makes a socket a member, until it is removed or over.
---@param socket moonpark.websocket
---@return boolean|nil new false: it is one already
---@return string? err "closed"
---@return integer? errno
function Group:add(socket)
  local inner = core_of(socket, "add")
  return self[1]:add(inner)
end

---@param socket moonpark.websocket
---@return boolean removed false: it was none
function Group:remove(socket)
  local inner = core_of(socket, "remove")
  return self[1]:remove(inner)
end

--- Sends a text, which must be UTF-8, to all members.
---@param text string|number
---@param except? moonpark.websocket does not get it
---@return integer|nil reached members to which it was sent, or for which it was queued
---@return string? err "timeout", "canceled": it was queued, but some have no room yet
---@return integer? errno
function Group:send(text, except)
  local inner = except and core_of(except, "send")
  return self[1]:send(text, inner, self[2])
end

--- Sends bytes to all members.
---@param bytes string|number
---@param except? moonpark.websocket
---@return integer|nil reached
---@return string? err
---@return integer? errno
function Group:send_binary(bytes, except)
  local inner = except and core_of(except, "send_binary")
  return self[1]:send_binary(bytes, inner, self[2])
end

--- How many members it has.
---@return integer
function Group:count() return (self[1]:stats()) end

--- members; full: of those, whose queues have no room; dropped: messages that a member did not get.
---@return {members: integer, full: integer, dropped: integer}
function Group:stats()
  local members, full, dropped = self[1]:stats()
  return { members = members, full = full, dropped = dropped }
end

misuse.guard(Group, "group", "group", 1)
misuse.check_names(Group, "groups", {})

return M

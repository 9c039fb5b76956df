-- SPDX-License-Identifier: MIT
-- stand_in.lua - in watch mode, answers in place of a program that did not start: the supervisor serves its failure at
-- the addresses where the program has served HTTP.

local core = require "moonpark.core"
local failure_page = require "moonpark.failure_page"

local M = {}

local LONG = 3600 -- seconds; those who wait are answered before
local STREAM = "retry: 250\n\n" -- an EventSource connects again after so many milliseconds

---@class moonpark.workers.stand_in
local StandIn = {}
StandIn.__index = StandIn

local function is_event_stream(req)
  return req.method == "GET" and (req:header "accept" or ""):lower():find("text/event-stream", 1, true) ~= nil
end

local function answer(self, req, res)
  if req.path == failure_page.QUESTION then return failure_page.answer(res, self.over) end
  res:set("Connection", "close")
  if is_event_stream(req) then
    res.type = "text/event-stream"
    return res:send(STREAM)
  end
  return failure_page.send(req, res, self.title, self.text, self.loaded)
end

-- The listener stays the supervisor's; the server has a copy.
local function open(self, listener)
  local number, err = listener:fd()
  local copy, own
  if number then copy, err = core.copy_fd(number) end
  if copy then own, err = core.from_fd(copy, "listener") end
  if not own then return nil, err end
  local http = require "moonpark.http"
  return http.server(function(req, res) return answer(self, req, res) end, { listener = own })
end

--- Serves a failure until it is told that it is over.
---@param scope moonpark.scope
---@param listeners moonpark.listener[]
---@param failure {title: string, text: string, loaded: string[]}
---@param log fun(text: string)
---@return moonpark.workers.stand_in
function M.start(scope, listeners, failure, log)
  local self = setmetatable({ title = failure.title, text = failure.text, loaded = failure.loaded, scope = scope,
    over = core.event(), servers = {} }, StandIn)
  for _, listener in ipairs(listeners) do
    local server, err = open(self, listener)
    if server then
      table.insert(self.servers, server)
      scope:go(server.run, server)
    else
      log("cannot show the failure: " .. err)
    end
  end
  return self
end

--- Accepts nothing more; pages that wait for a change keep waiting.
function StandIn:pause()
  for _, server in ipairs(self.servers) do self.scope:go(server.shutdown, server, LONG) end
end

--- Tells them.
function StandIn:finish() self.over:set() end

return M

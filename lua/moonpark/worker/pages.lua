-- SPDX-License-Identifier: MIT
-- pages.lua - in watch mode a worker shows browsers the failure of a handler as a page, which loads itself again when
-- the worker ends.

local core = require "moonpark.core"
local drain = require "moonpark.worker.drain"
local failure_page = require "moonpark.failure_page"
local loads = require "moonpark.worker.loads"
local watching = require "moonpark.watching"

local M = {}

local over -- an event: the worker ends

local function wrap(handler)
  return function(req, res)
    if req.path == failure_page.QUESTION then return failure_page.answer(res, over) end
    return handler(req, res)
  end
end

local function show(req, res, text)
  if not failure_page.is_wanted(req) then return false end
  local title = ("error in the handler for %s %s"):format(req.method, req.path)
  failure_page.send(req, res, title, text, loads.list())
  return true
end

--- From now on.
function M.show()
  over = core.event()
  drain.on_drain(function() over:set() end)
  watching.begin { wrap = wrap, show = show }
end

return M

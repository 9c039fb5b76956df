-- SPDX-License-Identifier: MIT
-- A case of HTTP: the same request to each of some servers, and the CPU time that an answer costs them.

local servers = require "http_servers"
local start = require "start"
local system = require "system"
local wrk = require "wrk"

local M = {}

---What open() of a contender returns: the child answers what wrk sends to a port.
---@param stop fun() ends what was started
function M.measured(child, port, request, depth, stop)
  wrk.check(port, request)
  local script = wrk.script(request, depth)
  wrk.run(port, script, request)
  return {
    slice = function()
      local before = child:cpu()
      local requests, seconds = wrk.run(port, script, request)
      return { request = { cost = (child:cpu() - before) / requests * 1e6, rate = requests / seconds } }
    end,
    stop = stop,
  }
end

---@param needs string
---@param open fun(): table
function M.contender(name, needs, open)
  local it = start.contender(name, needs, open)
  it.missing = it.missing or system.missing.wrk
  return it
end

local function one(it, request, depth)
  local tls = (it.request or request).tls
  return M.contender(it.name, servers.needs[it.server], function()
    local child, port = (tls and servers.secure or servers.starters)[it.server]()
    return M.measured(child, port, it.request or request, depth, function() child:stop() end)
  end)
end

---@param fields table name, title, goals, note; depth: how many requests are sent at a time
---@param request table see wrk.lua
---@param contenders table[] names of servers, or { name =, server =, request = } where the name is not all
function M.new(fields, request, contenders)
  fields.unit, fields.slices, fields.metrics = "µs CPU", 2, { "request" }
  fields.format = fields.format or fields.depth and "%.3f" or "%.2f"
  fields.contenders = {}
  for _, it in ipairs(contenders) do
    if type(it) == "string" then it = { name = it, server = it } end
    table.insert(fields.contenders, one(it, request, fields.depth))
  end
  return fields
end

return M

-- SPDX-License-Identifier: MIT
-- lapis.lua - `moonpark lapis`: serves the Lapis application of the current folder.

local http_server = require "moonpark.http.server"
local http_stopping = require "moonpark.http.stopping"
local lapis = require "moonpark.lapis"
local net = require "moonpark.net"
local report = require "moonpark.cli.report"
local shutdown = require "moonpark.cli.shutdown"
local worker = require "moonpark.worker"

local M = {}

M.GRACE = 5 -- seconds

local FAILED = 1

local function failed(text)
  report.fail("lapis: " .. text)
  return shutdown.leave(FAILED)
end

local function serve(environment, options)
  local router, config = lapis.application(environment)
  if not router then return failed(config) end
  local address = options.address or ("127.0.0.1:%d"):format(tonumber(config.port) or 8080)
  local server, err = http_server.new(router.handle and function(req, res) return router:handle(req, res) end,
    { address = address })
  if err == "canceled" then return end -- the program ends already
  if not server then return failed(("cannot listen on %s: %s"):format(address, err)) end
  if worker.number() == 1 then
    io.stdout:write(("Lapis in %s at http://%s/, Ctrl-C stops it\n"):format(config._name, server:address()))
  end
  http_stopping.run(server, M.GRACE)
end

--- What serves the application, as a program's only chunk.
---@param environment string|nil
---@param options table<string, string|true> of the command line
---@return function|nil
---@return string? wrong
function M.prepare(environment, options)
  if options.address then
    local fine, wrong = net.check_address(options.address)
    if not fine then return nil, "lapis: " .. wrong end
  end
  return function() return serve(environment, options) end
end

return M

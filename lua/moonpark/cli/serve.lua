-- SPDX-License-Identifier: MIT
-- serve.lua - moonpark serve: the files of a folder over HTTP, until a signal ends it.

local http_server = require "moonpark.http.server"
local http_static = require "moonpark.http.static"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local report = require "moonpark.cli.report"
local shutdown = require "moonpark.cli.shutdown"

local M = {}

local ADDRESS = "127.0.0.1:8080"

M.GRACE = 5 -- seconds for running requests, once a signal has come
local FAILED, SIGNALED = 1, 128
local numbers = { INT = 2, TERM = 15 }

-- "127.0.0.1:50000 GET /a.txt 200 3.1 ms". What the client sends has no control bytes by now.
local function access_line(req, res, began)
  return ("%s %s %s %d %.1f ms\n"):format(req.address or "-", req.method, req.raw_path, res.status,
    (moonpark.now() - began) * 1000)
end

local function logged(handler)
  return function(req, res)
    local began = moonpark.now()
    local address = req.address -- asked now: the client may be gone when it is over
    handler(req, res)
    req.address = address
    io.stdout:write(access_line(req, res, began))
  end
end

-- Its URL.
local function place(address)
  return address:find "^unix:" and address or "http://" .. address .. "/"
end

-- The first signal drains, the second one does what it does to every program.
local function drain_on_signal(server)
  local signals = moonpark.signals("INT", "TERM")
  local name = signals:next()
  signals:close()
  if not name then return end
  server:shutdown(M.GRACE)
  shutdown.leave(SIGNALED + numbers[name])
end

local function serve(handler, folder, options)
  local server, err = http_server.new(handler, { address = options.address or ADDRESS })
  if not server then
    report.say(("serve: cannot listen on %s: %s"):format(options.address or ADDRESS, err))
    return shutdown.leave(FAILED)
  end
  io.stdout:write(("serving %s at %s, Ctrl-C stops it\n"):format(folder, place(server:address())))
  moonpark.go(drain_on_signal, server):name "signals"
  server:run()
end

--- What serves that folder, as a program's only chunk.
---@param folder string
---@param options table<string, string|true> of the command line
---@return function|nil
---@return string? wrong
function M.prepare(folder, options)
  local seconds = options.cache and tonumber(options.cache)
  if options.cache and not (seconds and seconds >= 0 and seconds == math.floor(seconds)) then
    return nil, ("--cache: a number of seconds expected, got '%s'"):format(options.cache)
  end
  local fine, wrong = net.check_address(options.address or ADDRESS)
  if not fine then return nil, "serve: " .. wrong end
  local handler = http_static.new(folder, {
    listing = options.listing, hidden = options.hidden, follow_symlinks = options.follow,
    cache_control = seconds and ("public, max-age=%.0f"):format(seconds),
  })
  if not options.quiet then handler = logged(handler) end
  return function()
    local kind, err = moonpark.fs.stat(folder .. "/.")
    if not kind then
      report.say(("serve: %s: %s"):format(folder, err))
      return shutdown.leave(FAILED)
    end
    return serve(handler, folder, options)
  end
end

return M

-- SPDX-License-Identifier: MIT
-- serve.lua - moonpark serve: the files of a folder over HTTP, or HTTPS, until a signal ends it.

local core = require "moonpark.core"
local http_server = require "moonpark.http.server"
local http_static = require "moonpark.http.static"
local http_stopping = require "moonpark.http.stopping"
local moonpark = require "moonpark"
local net = require "moonpark.net"
local report = require "moonpark.cli.report"
local shared = require "moonpark.shared"
local shutdown = require "moonpark.cli.shutdown"
local tls = require "moonpark.tls"
local worker = require "moonpark.worker"

local M = {}

local ADDRESS = "127.0.0.1:8080"

M.GRACE = 5 -- seconds for running requests, once a signal has come
local FAILED = 1

-- "127.0.0.1:50000 GET /a.txt 200 3.1 ms". What the client sends has no control bytes by now.
local function access_line(req, res, began)
  return ("%s %s %s %d %.1f ms"):format(req.address or "-", req.method, req.raw_path, res.status,
    (moonpark.now() - began) * 1000)
end

local function logged(handler)
  return function(req, res)
    local began = moonpark.now()
    local address = req.address -- asked now: the client may be gone when it is over
    handler(req, res)
    req.address = address
    core.stdout_line(access_line(req, res, began))
  end
end

-- Its URL.
local function place(address, secure)
  return address:find "^unix:" and address or (secure and "https://" or "http://") .. address .. "/"
end

---------------------------------------------------------------------------------------------------
-- TLS

local LOCAL = { "localhost", "127.0.0.1", "::1" }
local everywhere = { [""] = true, ["0.0.0.0"] = true, ["::"] = true }

-- Whom a certificate of its own is for: this machine, and the host in the address if it is a name of its own.
local function hosts_of(address)
  local hosts, host = { unpack(LOCAL) }, address:match "^%[(.*)%]:%d+$" or address:match "^([^:]*):%d+$" or ""
  for _, name in ipairs(LOCAL) do
    if host == name then return hosts end
  end
  if not everywhere[host] and not host:find "[^%w%.%-:_]" then hosts[#hosts + 1] = host end
  return hosts
end

-- What --tls asks for: a context, and the fingerprint if the certificate is its own; nothing without --tls.
local function secured(options)
  if not options.tls then return nil end
  local cert, key, fingerprint = options.cert, options.key, nil
  if not cert then
    local made, err = shared.once("moonpark serve: certificate", function() -- the same in all workers
      return tls.self_signed(unpack(hosts_of(options.address or ADDRESS)))
    end)
    if not made then return nil, nil, err end
    cert, key, fingerprint = made.cert, made.key, made.fingerprint
  end
  local context, err = tls.server { cert = cert, key = key, alpn = { "http/1.1" } }
  return context, fingerprint, err
end

-- What is wrong with the words about TLS; nil: nothing.
local function misuse_of_tls(options)
  for _, name in ipairs { "cert", "key" } do
    if options[name] and not options.tls then return ("serve: --%s needs --tls"):format(name) end
  end
  if options.key and not options.cert then return "serve: --key needs --cert" end
end

-- Reads the certificate's files again when they change, for as long as its task is not cancelled.
local function follow_files(context)
  local _, err = context:watch()
  if err ~= "canceled" then report.fail("serve: a new certificate will not be seen: " .. err) end
end

---------------------------------------------------------------------------------------------------
-- serving

local function failed(text)
  report.fail("serve: " .. text)
  return shutdown.leave(FAILED)
end

local function serve(handler, folder, options)
  local context, fingerprint, wrong = secured(options)
  if wrong == "canceled" then return end -- the program ends already
  if wrong then return failed(wrong) end
  local server, err = http_server.new(handler, { address = options.address or ADDRESS, tls = context })
  if err == "canceled" then return end
  if not server then return failed(("cannot listen on %s: %s"):format(options.address or ADDRESS, err)) end
  local speaks = worker.number() == 1 -- for all of them
  if speaks then
    io.stdout:write(("serving %s at %s, Ctrl-C stops it\n"):format(folder, place(server:address(), context)))
  end
  if fingerprint and speaks then
    io.stdout:write(("self-signed certificate, SHA-256 fingerprint %s\n"):format(fingerprint))
  end
  local watch = options.cert and moonpark.go(follow_files, context)
  http_stopping.run(server, M.GRACE)
  if watch then watch:cancel() end
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
  wrong = misuse_of_tls(options)
  if wrong then return nil, wrong end
  local handler = http_static.new(folder, {
    listing = not options["no-listing"], hidden = options.hidden, follow_symlinks = options.follow,
    cache_control = seconds and ("public, max-age=%.0f"):format(seconds),
  })
  if not options.quiet then handler = logged(handler) end
  return function()
    local kind, err = moonpark.fs.stat(folder .. "/.")
    if err == "canceled" then return nil end
    if not kind then return failed(("%s: %s"):format(folder, err)) end
    return serve(handler, folder, options)
  end
end

return M

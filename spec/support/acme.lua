-- SPDX-License-Identifier: MIT
-- support/acme.lua - an ACME server and storages for specs, and the client's object between them.
--
--   local server, storage = acme.server(), acme.storage()
--   local object = acme.new(server, storage, options)     http-01 is answered by the object itself
--   acme.quiet(fn)                                        what was logged while fn ran

local acme_server = require "support.acme_server"
local failures = require "moonpark.failures"
local jws = require "moonpark.tls.jws"
local tls = require "moonpark.tls"

local M = {}

--- A storage in memory: no thread, so that time may be virtual. locks counts who has it.
function M.storage()
  local storage = { files = {}, locks = 0 }
  function storage:read(name) return self.files[name] end
  function storage:write(name, text)
    self.files[name] = text
    return true
  end
  function storage:remove(name)
    self.files[name] = nil
    return true
  end
  function storage:lock()
    if self.locks > 0 then return nil, "busy" end
    self.locks = 1
    return function() self.locks = 0 end
  end
  return storage
end

-- What the object's handler answers.
local function get(handler, path)
  local body
  local res = { send = function(_, text) body = text return true end, fail = function() return true end }
  handler({ path = path }, res)
  return body
end

-- What a connection would show of that PEM.
local function der_of(pem)
  local text = pem:match "%-%-%-%-%-BEGIN CERTIFICATE%-%-%-%-%-(.-)=*%s*%-%-%-%-%-END":gsub("%s", "")
  return assert(jws.base64url_decode((text:gsub("%+", "-"):gsub("/", "_"))))
end

--- A server that looks at `object`, which new sets.
function M.server(fields)
  local server = acme_server.new(fields)
  server.look = server.look or function(kind, name, token)
    server.looked = (server.looked or 0) + 1
    if kind == "http-01" then return get(server.object:handler(), "/.well-known/acme-challenge/" .. token) end
    local made, err = server.object:alpn_certificate(name)
    return made and der_of(made.cert), err
  end
  return server
end

--- tls.acme with that server and that storage; the name is host.example.
function M.new(server, storage, options)
  local all = { domains = "host.example", directory = server.base .. "/directory", storage = storage,
    request = function(request) return server:request(request) end }
  for name, value in pairs(options or {}) do all[name] = value end
  server.object = tls.acme(all)
  return server.object
end

--- Runs fn -> what was logged meanwhile, as a list, and fn's results.
function M.quiet(fn, ...)
  local log, texts = failures.log, {}
  failures.log = function(text) texts[#texts + 1] = text end
  local ok, a, b = pcall(fn, texts, ...)
  failures.log = log
  if not ok then error(a, 0) end
  return texts, a, b
end

return M

-- SPDX-License-Identifier: MIT
-- acme_solver.lua - shows an authority that a name is ours: a text at a URL (RFC 8555 8.3), or a certificate with an
-- extension (RFC 8737). What is to be shown is in the storage: the authority may reach another process than the one
-- that asked.

local core = require "moonpark.core"

local M = {}

local PLACE = "/.well-known/acme-challenge/"
local DAY = 86400

---@class moonpark.tls.acme_solver
---@field kind "http-01"|"tls-alpn-01"
---@field names table<string, true>
---@field storage moonpark.tls.acme_storage
local Solver = {}
Solver.__index = Solver

-- http-01 is found by its token, which the client has checked; tls-alpn-01 by the name, which is ours.
local function file_of(self, name, token)
  return self.kind == "http-01" and "challenge-" .. token or "challenge-alpn-" .. name
end

function Solver:present(name, token, authorization)
  local file = file_of(self, name, token)
  self.shown[file] = authorization
  return self.storage:write(file, authorization)
end

function Solver:remove(name, token)
  local file = file_of(self, name, token)
  self.shown[file] = nil
  self.storage:remove(file)
end

function Solver:find(file) return self.shown[file] or self.storage:read(file) end

--- Handler and middleware: answers requests for open challenges, and leaves all others to `next`, if there is one.
---@param req moonpark.http.request
---@param res moonpark.http.response
---@param next? fun(): any
function Solver:handle(req, res, next)
  local token = req.path:sub(1, #PLACE) == PLACE and req.path:sub(#PLACE + 1)
  local authorization = token and #token <= 256 and token:find "^[%w%-_]+$" and self:find("challenge-" .. token)
  if authorization then
    res.type = "application/octet-stream"
    return res:send(authorization)
  end
  if next then return next() end
  return res:fail(404)
end

-- Made once for each challenge.
local function new_certificate(name, authorization)
  local hash, err = core.sha256(authorization)
  if not hash then return nil, err end
  local key, cert
  key, err = core.key_new()
  if not key then return nil, err end
  cert, err = core.x509_self_signed(key, { name }, core.time() - DAY, core.time() + DAY, hash)
  if not cert then return nil, err end
  return { cert = cert, key = key, authorization = authorization }
end

--- The certificate for a connection that offers "acme-tls/1" for that name.
---@param name string
---@return {cert: string, key: string}|nil
---@return string? err "no open challenge"
function Solver:certificate(name)
  name = name:lower()
  local authorization = self.kind == "tls-alpn-01" and self.names[name] and self:find("challenge-alpn-" .. name)
  if not authorization then
    self.made[name] = nil
    return nil, "no open challenge"
  end
  local made, err = self.made[name], nil
  if not made or made.authorization ~= authorization then
    made, err = new_certificate(name, authorization)
    self.made[name] = made
  end
  if not made then return nil, err end
  return { cert = made.cert, key = made.key }
end

--- A solver of challenges of one kind.
---@param kind "http-01"|"tls-alpn-01"
---@param names string[]
---@param storage moonpark.tls.acme_storage
---@return moonpark.tls.acme_solver
function M.new(kind, names, storage)
  local set = {}
  for _, name in ipairs(names) do set[name] = true end
  return setmetatable({ kind = kind, names = set, storage = storage, shown = {}, made = {} }, Solver)
end

return M

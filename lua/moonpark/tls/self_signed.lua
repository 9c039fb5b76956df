-- SPDX-License-Identifier: MIT
-- self_signed.lua - a certificate for development: nobody vouches for it, so clients are told to trust it, or a person
-- compares its fingerprint.

local core = require "moonpark.core"
local option = require "moonpark.options"

local DAY = 86400
local DAYS = 90
local EARLY = 3600 -- seconds: the clock of who looks at it may be slow

local LOCAL = { "localhost", "127.0.0.1", "::1" }

---@class moonpark.tls.self_signed.options
---@field days? number how long it is valid; 90

local known = { days = "pause" }

---@param name any
---@return boolean
local function is_name(name)
  return type(name) == "string" and #name > 0 and #name <= 253 and not name:find "[^%w%.%-%*:_]"
end

local function names_of(...)
  local names = {}
  for i = 1, select("#", ...) do
    local name = select(i, ...)
    if not is_name(name) then
      error(("bad argument #%d to 'self_signed' (host or IP address expected, got %s)"):format(i,
        type(name) == "string" and ("%q"):format(name) or type(name)), 3)
    end
    names[i] = name
  end
  return names[1] and names or LOCAL
end

--- A new key, and a certificate that it has signed itself, for these hosts and IP addresses; this machine's own if
--- none is given. A table as the last argument has options: `days` is how long it is valid, 90 by default.
---@param ... string|moonpark.tls.self_signed.options
---@return {cert: string, key: string, fingerprint: string, not_after: number}|nil PEM; SHA-256 as "AB:CD:..."
---@return string? err
---@return integer? errno
return function(...)
  local count, options = select("#", ...), nil
  local last = count > 0 and select(count, ...)
  if type(last) == "table" then count, options = count - 1, last end
  options = option.check("self_signed", options, known, 2)
  local names = names_of(unpack({ ... }, 1, count))
  local key, err, errno = core.key_new()
  if not key then return nil, err, errno end
  local now = os.time()
  local cert
  cert, err, errno = core.x509_self_signed(key, names, now - EARLY, now + (options.days or DAYS) * DAY)
  if not cert then return nil, err, errno end
  local facts
  facts, err, errno = core.x509_read(cert)
  if not facts then return nil, err, errno end
  return { cert = cert, key = key, fingerprint = facts.fingerprint, not_after = facts.not_after }
end

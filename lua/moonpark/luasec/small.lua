-- SPDX-License-Identifier: MIT
-- small.lua - the module `ssl` where LuaSec is not installed: contexts from settings, and wrapped sockets.

local config = require "moonpark.luasec.config"
local context = require "moonpark.luasec.context"
local core = require "moonpark.luasec.connection"
local hello = require "moonpark.luasec.hello"
local x509 = require "moonpark.luasec.x509"

local M = { _VERSION = "1.2.0", _COPYRIGHT = core.copyright(), config = config, loadcertificate = x509.load }

local LONGEST = 255 -- bytes of a protocol's name

-- Protocols as on the wire, each with its length before it -> text | nil, err
local function wire_of(protocols)
  if type(protocols) == "string" then protocols = { protocols } end
  if type(protocols) ~= "table" then return nil, "invalid ALPN parameter" end
  local parts = {}
  for i, name in ipairs(protocols) do
    if type(name) ~= "string" or name == "" or #name > LONGEST then return nil, "invalid ALPN name" end
    parts[i] = string.char(#name) .. name
  end
  if #parts == 0 then return nil, "empty ALPN list" end
  return table.concat(parts)
end

-- fn(ctx, value, ...) of one value or of a list.
local function each(fn, ctx, value)
  if value == nil then return true end
  if type(value) == "table" then return fn(ctx, unpack(value)) end
  return fn(ctx, value)
end

-- {key =, certificate =, password =} and the files of `certificates`, which are such tables.
local function set_certificate(ctx, one)
  if one.certificate then
    local ok, err = context.loadcert(ctx, one.certificate)
    if not ok then return nil, err end
  end
  if one.key then
    local password = one.password
    if password and type(password) ~= "string" and type(password) ~= "function" then
      return nil, "invalid password type"
    end
    local ok, err = context.loadkey(ctx, one.key, password)
    if not ok then return nil, err end
  end
  if one.key and one.certificate and not context.checkkey(ctx) then
    return nil, "private key does not match public key"
  end
  return true
end

local function set_alpn(ctx, alpn, mode)
  if mode == "server" and type(alpn) == "function" then
    return context.setalpncb(ctx, function(offer)
      local list = {}
      for name in hello.protocols(offer) do list[#list + 1] = name end
      local chosen = alpn(list)
      return chosen and (wire_of(chosen)) or nil
    end)
  end
  local wire, err = wire_of(alpn)
  if not wire then return nil, err end
  if mode == "server" then return context.setalpncb(ctx, function() return wire end) end
  return context.setalpn(ctx, wire)
end

-- The steps in their order: {setting, fn(ctx, value, settings)}
local steps = {
  { "ciphers", context.setcipher },
  { "ciphersuites", context.setciphersuites },
  { "verify", function(ctx, value) return each(context.setverify, ctx, value) end },
  { "options", function(ctx, value) return each(context.setoptions, ctx, value) end },
  { "depth", context.setdepth },
  { "dhparam", function(ctx, value)
    if type(value) ~= "function" then return nil, "invalid DH parameter type" end
    return context.setdhparam(ctx, value)
  end },
  { "curveslist", context.setcurveslist },
  { "curve", function(ctx, value, settings) return settings.curveslist and true or context.setcurve(ctx, value) end },
  { "verifyext", function(ctx, value) return each(ctx.setverifyext, ctx, value) end },
  { "alpn", function(ctx, value, settings) return set_alpn(ctx, value, settings.mode) end },
  { "dane", function(ctx, value) return each(context.setdane, ctx, type(value) == "table" and value or {}) end },
}

--- A context from LuaSec's settings.
---@param settings table mode, protocol, key, certificate, cafile, verify, ...: see docs/luasec.md
---@return userdata|nil
---@return string? err
function M.newcontext(settings)
  local ctx, err = context.create(settings.protocol)
  if not ctx then return nil, err end
  local ok
  ok, err = context.setmode(ctx, settings.mode)
  if not ok then return nil, err end
  for _, one in ipairs(settings.certificates or { settings }) do
    ok, err = set_certificate(ctx, one)
    if not ok then return nil, err end
  end
  if settings.cafile or settings.capath then
    ok, err = context.locations(ctx, settings.cafile, settings.capath)
    if not ok then return nil, err end
  end
  for _, step in ipairs(steps) do
    local value = settings[step[1]]
    if value then
      ok, err = step[2](ctx, value, settings)
      if not ok then return nil, err end
    end
  end
  return ctx
end

--- A socket in TLS; the handshake is still to come.
---@param socket table a LuaSocket client, which has no connection any more
---@param ctx userdata|table a context, or settings for one
---@return table|nil
---@return string? err
function M.wrap(socket, ctx)
  local err
  if type(ctx) == "table" then
    ctx, err = M.newcontext(ctx)
    if not ctx then return nil, err end
  end
  local conn, wrong = core.create(ctx)
  if not conn then return nil, wrong end
  core.setfd(conn, socket:getfd())
  socket:setfd(core.SOCKET_INVALID)
  return conn
end

-- [field] = its place in OpenSSL's description
local fields = { "cipher", "protocol", "key", "authentication", "encryption", "mac" }
local DESCRIPTION = "^(%S+)%s+(%S+)%s+Kx=(%S+)%s+Au=(%S+)%s+Enc=(%S+)%s+Mac=(%S+)"

core.setmethod("info", function(self, field)
  local text, bits, algorithm_bits, protocol = core.info(self)
  if not text then return nil, "closed" end
  local info = { bits = bits, algbits = algorithm_bits, export = text:find "%sexport%s*$" ~= nil }
  for i, value in ipairs { text:match(DESCRIPTION) } do info[fields[i]] = value end
  info.protocol = protocol
  if field then return info[field] end
  return info
end)

return M

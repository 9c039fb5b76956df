-- SPDX-License-Identifier: MIT
-- jws.lua - JSON signed by a key (RFC 7515, 7517, 7638), as far as ACME needs it: ES256, flattened.

local base64url = require "moonpark.base64url"
local core = require "moonpark.core"

local M = {}

M.base64url, M.base64url_decode = base64url.encode, base64url.decode

---@class moonpark.tls.jws_key
---@field pem string
---@field jwk table its public half
---@field thumbprint string of the public half

--- A key for signing.
---@param pem string of a private key on P-256
---@return moonpark.tls.jws_key|nil
---@return string? err
---@return integer? errno
function M.key(pem)
  local point, err, errno = core.key_point(pem)
  if not point then return nil, err, errno end
  local x, y = M.base64url(point:sub(1, 32)), M.base64url(point:sub(33))
  local hash
  hash, err, errno = core.sha256(('{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}'):format(x, y))
  if not hash then return nil, err, errno end
  return { pem = pem, jwk = { kty = "EC", crv = "P-256", x = x, y = y }, thumbprint = M.base64url(hash) }
end

-- The object of three parts; sign(what) -> the signature's bytes | nil, err.
local function flattened(protected, payload, sign)
  local head = M.base64url(core.json_encode(protected))
  local body = M.base64url(payload)
  local signature, err, errno = sign(head .. "." .. body)
  if not signature then return nil, err, errno end
  return { protected = head, payload = body, signature = M.base64url(signature) }
end

--- What is sent, as JSON. protected: the header, to which `alg` is added.
---@param key moonpark.tls.jws_key
---@param protected table
---@param payload string "" for POST-as-GET
---@return string|nil
---@return string? err
---@return integer? errno
function M.sign(key, protected, payload)
  protected.alg = "ES256"
  local object, err, errno = flattened(protected, payload, function(text) return core.key_sign(key.pem, text) end)
  if not object then return nil, err, errno end
  return core.json_encode(object)
end

--- The proof that an account elsewhere wants this key (RFC 8555 7.3.4).
---@param key moonpark.tls.jws_key
---@param external {kid: string, key: string} key: base64url, as the authority gives it
---@param url string
---@return table|nil
---@return string? err
---@return integer? errno
function M.external(key, external, url)
  local secret = M.base64url_decode((external.key:gsub("=+$", "")))
  if not secret then return nil, "the external account's key is not base64url" end
  local protected = { alg = "HS256", kid = external.kid, url = url }
  return flattened(protected, core.json_encode(key.jwk), function(text) return core.hmac_sha256(secret, text) end)
end

return M

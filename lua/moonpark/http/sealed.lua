-- SPDX-License-Identifier: MIT
-- sealed.lua - texts that clients keep for a server: encrypted (AES-256-GCM), or readable and signed (HMAC-SHA256).
--
--   encrypted   base64url(salt, 12 bytes; nonce, 12 bytes; what core.seal makes)
--   signed      base64url(text) "." base64url(HMAC)
--
-- Each encrypted text has a key of its own, HMAC-SHA256(secret, purpose and salt): so random nonces do not run out,
-- however many texts are sealed with one secret. The name of the text is sealed with it: none can stand for another.

local base64url = require "moonpark.base64url"
local core = require "moonpark.core"
local same = require("moonpark.http.auth").same

local M = {}

local SALT, NONCE = 12, 12
local SEALING, SIGNING = "moonpark sealed text\0", "moonpark signed text\0"

-- Failures of OpenSSL itself: no memory.
local function must(value, err)
  if not value then error(err, 0) end
  return value
end

--- Encrypts.
---@param secret string
---@param name string
---@param text string
---@return string
function M.seal(secret, name, text)
  local random = must(core.secure_random(SALT + NONCE))
  local key = must(core.hmac_sha256(secret, SEALING .. random:sub(1, SALT)))
  return base64url.encode(random .. must(core.seal(key, random:sub(SALT + 1), name, text)))
end

--- What was encrypted; nil if it was not, with this secret and name.
---@param secret string
---@param name string
---@param sealed string
---@return string|nil
function M.open(secret, name, sealed)
  local bytes = base64url.decode(sealed)
  if not bytes or #bytes < SALT + NONCE then return nil end
  local key = must(core.hmac_sha256(secret, SEALING .. bytes:sub(1, SALT)))
  local text = core.unseal(key, bytes:sub(SALT + 1, SALT + NONCE), name, bytes:sub(SALT + NONCE + 1))
  return text
end

local function mac_of(secret, name, text)
  local key = must(core.hmac_sha256(secret, SIGNING .. name))
  return must(core.hmac_sha256(key, text))
end

--- Signs.
---@param secret string
---@param name string
---@param text string
---@return string
function M.sign(secret, name, text)
  return base64url.encode(text) .. "." .. base64url.encode(mac_of(secret, name, text))
end

--- What was signed; nil if it was not, with this secret and name.
---@param secret string
---@param name string
---@param signed string
---@return string|nil
function M.verify(secret, name, signed)
  local body, mac = signed:match "^([%w_-]*)%.([%w_-]+)$"
  local text, given = body and base64url.decode(body), mac and base64url.decode(mac)
  if not text or not given then return nil end
  return same(given, mac_of(secret, name, text)) and text or nil
end

return M

-- SPDX-License-Identifier: MIT
-- x509.lua - a certificate as a table.

local core = require "moonpark.core"

local M = {}

---@class moonpark.tls.certificate
---@field subject string as in RFC 2253: "CN=host.example"
---@field issuer string
---@field serial string hexadecimal
---@field not_before number Unix seconds
---@field not_after number
---@field dns_names string[] a name with a zero byte inside is left out
---@field ip_addresses string[]
---@field fingerprint string SHA-256, "AB:CD:..."
---@field key string its kind: "EC prime256v1", "RSA 2048", "ED25519"

--- What a certificate says. Nothing is verified.
---@param text string PEM, of which the first certificate is read, or DER
---@return moonpark.tls.certificate|nil
---@return string? err "no certificate in PEM", ...
---@return integer? errno
function M.read(text)
  if type(text) ~= "string" then
    error(("bad argument #1 to 'read_certificate' (string expected, got %s)"):format(type(text)), 2)
  end
  return core.x509_read(text)
end

return M

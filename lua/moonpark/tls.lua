-- SPDX-License-Identifier: MIT
-- tls.lua - contexts for TLS; net.listen, net.dial and connection:start_tls take them. See docs/tls.md.

local acme = require "moonpark.tls.acme"
local contexts = require "moonpark.tls.context"
local core = require "moonpark.core"
local self_signed = require "moonpark.tls.self_signed"
local x509 = require "moonpark.tls.x509"

---@class moonpark.tls
local M = {}

M.server = contexts.server
M.client = contexts.client
M.acme = acme.new
M.self_signed = self_signed
M.read_certificate = x509.read

--- What TLS has done in this process: connections that are open; handshakes that succeeded, how many of them resumed a
--- session, and how many failed.
---@return {open: integer, handshakes: integer, resumed: integer, failed: integer}
function M.stats()
  local open, handshakes, resumed, failed = core.tls_stats()
  return { open = open, handshakes = handshakes, resumed = resumed, failed = failed }
end

return M

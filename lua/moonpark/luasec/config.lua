-- SPDX-License-Identifier: MIT
-- config.lua - ssl.config: what there is, as LuaSec lists it.

local context = require "moonpark.luasec.context"

local M = {
  algorithms = { ec = true },
  capabilities = { alpn = true, dane = true, curves_list = true, ecdh_auto = true },
  curves = {},
  options = {},
  protocols = {},
}

for _, name in ipairs { "tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3" } do M.protocols[name] = true end
for _, name in ipairs { "prime256v1", "secp384r1", "secp521r1", "X25519", "X448" } do M.curves[name] = true end
for name in pairs(context.options) do M.options[name] = true end

return M

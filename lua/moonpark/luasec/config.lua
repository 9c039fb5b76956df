-- SPDX-License-Identifier: MIT
-- config.lua - ssl.config: what there is, as LuaSec lists it.

local context = require "moonpark.luasec.context"

local M = {
  algorithms = { ec = true },
  capabilities = { alpn = true, dane = { no_ee_namechecks = true }, curves_list = true, ecdh_auto = true },
  curves = {},
  options = {},
  protocols = {},
}

for _, name in ipairs { "tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3" } do M.protocols[name] = true end
for name in pairs(context.curves) do M.curves[name] = true end
M.curves.X25519, M.curves.X448 = true, true -- for curveslist
for name in pairs(context.options) do M.options[name] = true end

return M

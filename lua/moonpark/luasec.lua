-- SPDX-License-Identifier: MIT
-- luasec.lua - a façade of LuaSec 1.2: ssl.core, ssl.context, ssl.x509 and ssl.config over moonpark's TLS. LuaSec's own
-- Lua files (ssl, ssl.https) stay on top, unchanged.

---@type moonpark.compat.facade
local M = {
  preload = {
    ["ssl.core"] = function() return require "moonpark.luasec.connection" end,
    ["ssl.context"] = function() return require "moonpark.luasec.context" end,
    ["ssl.x509"] = function() return require "moonpark.luasec.x509" end,
    ["ssl.config"] = function() return require "moonpark.luasec.config" end,
  },
}

return M

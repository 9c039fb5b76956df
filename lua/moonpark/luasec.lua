-- SPDX-License-Identifier: MIT
-- luasec.lua - a façade of LuaSec 1.2: ssl.core, ssl.context, ssl.x509 and ssl.config over moonpark's TLS. LuaSec's own
-- Lua files (ssl, ssl.https) stay on top, unchanged; without them there is a small `ssl`.

---@type moonpark.compat.facade
local M = {
  preload = {
    ["ssl.core"] = function() return require "moonpark.luasec.connection" end,
    ["ssl.context"] = function() return require "moonpark.luasec.context" end,
    ["ssl.x509"] = function() return require "moonpark.luasec.x509" end,
    ["ssl.config"] = function() return require "moonpark.luasec.config" end,
  },
}

if not package.searchpath("ssl", package.path) then
  M.preload.ssl = function() return require "moonpark.luasec.small" end
end

return M

-- SPDX-License-Identifier: MIT
-- lapis.lua - Lapis applications on moonpark: see moonpark/lapis.lua.

return require "moonpark.lapis"

-- SPDX-License-Identifier: MIT
-- chance.lua - random times. Not from math.random: its numbers are the same ones in each process, and processes that
-- start together would act together.

local core = require "moonpark.core"

local M = {}

--- A number from 0 up to, but not, 1.
---@return number
function M.fraction()
  local a, b, c, d = core.random_bytes(4):byte(1, 4)
  return (((a * 256 + b) * 256 + c) * 256 + d) / 2 ^ 32
end

return M

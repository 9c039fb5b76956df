-- SPDX-License-Identifier: MIT
-- support/random.lua - random numbers that a seed repeats, for long runs whose titles name the seed.

local M = {}

local MODULUS = 2147483647

--- A seed: RANDOM_SEED, or another one in each run.
M.seed = tonumber(os.getenv "RANDOM_SEED") or os.time() % 100000 + 1

--- random(n): 1..n; random(low, high); random(): from 0, below 1.
---@param seed? integer
function M.new(seed)
  local state = seed or M.seed
  return function(low, high)
    state = state * 16807 % MODULUS
    local fraction = (state - 1) / (MODULUS - 1)
    if not low then return fraction end
    if not high then low, high = 1, low end
    return low + math.floor(fraction * (high - low + 1))
  end
end

return M

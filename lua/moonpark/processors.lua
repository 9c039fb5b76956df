-- SPDX-License-Identifier: MIT
local M = {}
function M.count()
  local n = 0
  for line in io.lines "/proc/cpuinfo" do if line:find "^processor" then n = n + 1 end end
  return math.max(1, n)
end
return M

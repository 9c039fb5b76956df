-- SPDX-License-Identifier: MIT
-- field_hint.lua - what is said of a field that is called as if it were a method: when it happens, and by
-- `moonpark check`.

local M = {}

-- How a response's fields are set.
local of_response = {
  status = "res.status = 404 sets it", type = "res.type = \"text/html\" sets it",
}

--- The words, and what to write instead.
---@param name string
---@param instead? string what to say in place of how a response's is set
---@return string
function M.text(name, instead)
  instead = instead or of_response[name]
  return ("'%s' is a field, not a method%s"):format(name, instead and ": " .. instead or "")
end

return M

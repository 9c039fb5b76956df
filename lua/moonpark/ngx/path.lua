-- SPDX-License-Identifier: MIT
-- path.lua - ngx.var.uri of a path as it was sent: decoded, slashes merged, "." and ".." resolved.

local url = require "moonpark.url"

local M = {}

--- Must the path be looked at before the handler runs? It may be one that nginx refuses.
---@param raw string
---@return boolean
function M.is_doubtful(raw) return raw:find("%", 1, true) ~= nil or raw:find("/.", 1, true) ~= nil end

-- The path without its percents; nil: it is malformed, or has a NUL.
local function decoded(raw)
  if not raw:find("%", 1, true) then return raw end
  local rest = raw:gsub("%%%x%x", "")
  if rest:find("%", 1, true) or raw:find("%00", 1, true) then return nil end
  return url.decode(raw)
end

--- As nginx normalizes it; nil: nginx answers 400.
---@param raw string
---@return string|nil
function M.normalized(raw)
  local path = decoded(raw)
  if not path then return nil end
  if not (path:find("//", 1, true) or path:find("/.", 1, true)) then return path end
  local parts, is_folder = {}, true
  for part in path:gmatch "[^/]+" do
    is_folder = part == "." or part == ".."
    if part == ".." and not table.remove(parts) then return nil end
    if not is_folder then parts[#parts + 1] = part end
  end
  local whole = "/" .. table.concat(parts, "/")
  if (is_folder or path:find "/$") and parts[1] then return whole .. "/" end
  return whole
end

return M

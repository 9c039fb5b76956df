-- SPDX-License-Identifier: MIT
-- cjson.lua - loads lua-cjson; if it is not installed, the error says where it comes from.

local MISSING = "lua-cjson is not installed: apt-get install lua-cjson, or luarocks --lua-version 5.1 install lua-cjson"

--- The module of that name. Raises if it cannot be loaded.
---@param name "cjson"|"cjson.safe"
---@return table
return function(name)
  local ok, module = pcall(require, name)
  if ok then return module end
  local is_missing = type(module) == "string" and module:find(("module '%s' not found"):format(name), 1, true)
  error(is_missing and MISSING or module, 0)
end

-- SPDX-License-Identifier: MIT
-- sandbox.lua - libraries that use the free name `ngx` find it without a global of that name, for which other libraries
-- would change their ways: modules whose names begin with "resty." or "nginx." are loaded with an environment of their
-- own, which has it.

local M = {}

local installed = false

local function is_wanted(name) return name:find "^resty%." or name:find "^nginx%." end

--- From now on such modules see `ngx`.
---@param ngx table
function M.install(ngx)
  if installed then return end
  installed = true
  local environment = setmetatable({ ngx = ngx }, { __index = _G, __newindex = _G })
  table.insert(package.loaders, 2, function(name)
    if not is_wanted(name) then return nil end
    local path, tried = package.searchpath(name, package.path)
    if not path then return tried end
    local chunk, err = loadfile(path)
    if not chunk then error(("error loading module '%s' from file '%s':\n\t%s"):format(name, path, err), 0) end
    return setfenv(chunk, environment)
  end)
end

return M

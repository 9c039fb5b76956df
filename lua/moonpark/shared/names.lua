-- SPDX-License-Identifier: MIT
-- names.lua - what this process has opened by name: the same name gives the same object. It stays open until the
-- process ends, because what is shared by name must not depend on when garbage is collected.

local M = {}

local known = {} -- [name] = { kind =, size =, object = }

--- Raises unless `name` is one.
---@param what string the function, "shared.dict"
---@param name any
---@param most integer bytes
---@param level integer as error's
function M.check(what, name, most, level)
  if type(name) ~= "string" then
    error(("bad argument #1 to '%s' (string expected, got %s)"):format(what, type(name)), level + 1)
  end
  if name == "" or #name > most or name:find("\0", 1, true) then
    error(("bad argument #1 to '%s' (a name has 1 to %d bytes, none of them zero)"):format(what, most), level + 1)
  end
end

--- The object of that name, or nil. Raises if it is of another kind or size.
---@param kind string "dict", "counter"
---@param name string
---@param size integer|nil bytes; nil: whatever it has
---@param level integer as error's
---@return userdata|nil
function M.find(kind, name, size, level)
  local entry = known[name]
  if not entry then return nil end
  if entry.kind ~= kind then
    error(("shared.%s '%s' is a %s already"):format(kind, name, entry.kind), level + 1)
  end
  if size and entry.size ~= size then
    error(("shared.%s '%s' has %.0f bytes, not %.0f"):format(kind, name, entry.size, size), level + 1)
  end
  return entry.object
end

---@param kind string
---@param name string
---@param size integer|nil
---@param object userdata
---@return userdata object
function M.keep(kind, name, size, object)
  known[name] = { kind = kind, size = size, object = object }
  return object
end

return M

-- SPDX-License-Identifier: MIT
-- shared_library.lua - libraries of C that stay for as long as the process does: finalizers of what they made point
-- into them, and run whenever the collector likes, even after the module that loaded them was dropped and loaded again.

local ffi = require "ffi"

local KEY = "moonpark.shared_library"

local M = {}

--- The first of them that is there, by FFI; nil where none is.
---@param ... string "libz.so.1", "z": as ffi.load's
---@return userdata|nil
function M.load(...)
  local registry = debug.getregistry()
  local kept = registry[KEY] or {}
  registry[KEY] = kept
  for _, name in ipairs { ... } do
    if kept[name] then return kept[name] end
    local found, library = pcall(ffi.load, name)
    if found then
      kept[name] = library
      return library
    end
  end
  return nil
end

return M

-- SPDX-License-Identifier: MIT
-- shared_library.lua - C libraries that stay loaded until the process ends: finalizers of their objects point into
-- them, and may run at any time, even after the module that loaded them was dropped and loaded again.

local ffi = require "ffi"

local KEY = "moonpark.shared_library"

local M = {}

--- Loads the first of them that exists, by FFI; nil if none does.
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

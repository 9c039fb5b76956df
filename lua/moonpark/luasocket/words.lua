-- SPDX-License-Identifier: MIT
-- words.lua - failures in LuaSocket's words: "closed", "timeout", "connection refused", and the C library's own text
-- for the rest.

local core = require "moonpark.core"
local ffi = require "ffi"

ffi.cdef "char *moonpark_luasocket_strerror(int) __asm__(\"strerror\");"

local M = {}

-- By errno: what LuaSocket calls by a name of its own.
local by_number = {
  [13] = "permission denied", [32] = "closed", [98] = "address already in use", [103] = "closed", [104] = "closed",
  [106] = "already connected", [110] = "timeout", [111] = "connection refused",
}

-- By our word, where the system gave no number.
local by_word = {
  eof = "closed", ["no such host"] = "host or service not provided, or not known",
  ["server failure"] = "temporary failure in name resolution",
}

--- The word for a failure of moonpark's.
---@param err string
---@param errno? integer
---@return string
function M.of(err, errno)
  if errno then return by_number[errno] or ffi.string(ffi.C.moonpark_luasocket_strerror(errno)) end
  return by_word[err] or err
end

--- What the C library says of that number.
---@param errno integer
---@return string
function M.system(errno) return ffi.string(ffi.C.moonpark_luasocket_strerror(errno)) end

--- Raises at the script's line: the first that is not one of ours.
---@param text string
function M.misuse(text)
  local level = 2
  local frame = debug.getinfo(level, "S")
  while frame and frame.what ~= "C" and core.is_own(frame.source:sub(2)) do
    level = level + 1
    frame = debug.getinfo(level, "S")
  end
  error(text, level)
end

return M

-- SPDX-License-Identifier: MIT
-- resty_core.lua - of lua-resty-core's modules what libraries use, without nginx: buffers, tables and the time.

local context = require "moonpark.ngx.context"
local core = require "moonpark.core"
local ffi = require "ffi"
local words = require "moonpark.ngx.words"

local M = { version = "0.1.25" }

---------------------------------------------------------------------------------------------------
-- resty.core.base

local base = {
  version = M.version, new_tab = require "table.new", clear_tab = require "table.clear",
  FFI_OK = 0, FFI_NO_REQ_CTX = -100, FFI_BAD_CONTEXT = -101, FFI_ERROR = -1, FFI_AGAIN = -2, FFI_BUSY = -3,
  FFI_DONE = -4, FFI_DECLINED = -5,
}
M.base = base

local bytes = ffi.typeof "char[?]"
local size, buffer = 4096, nil
local size_pointer, error_pointer = ffi.new "size_t[1]", ffi.new "char *[1]"

--- One buffer for all, or a new one if it is not large enough: its bytes last until the next call.
---@param n integer
---@param is_own? boolean a new one
---@return ffi.cdata*
function base.get_string_buf(n, is_own)
  if is_own or n > size then return bytes(n) end
  buffer = buffer or bytes(size)
  return buffer
end

function base.get_string_buf_size() return size end

function base.set_string_buf_size(n)
  if n > 0 then size, buffer = math.ceil(n), nil end
end

function base.get_size_ptr() return size_pointer end
function base.get_errmsg_ptr() return error_pointer end

--- The present request, as something to compare; nil outside of requests.
function base.get_request()
  local current = context.current()
  return current and current.req or nil
end

--- Puts a value at a number that is free in the table, and returns that. refs[0] is the first free one, and so on.
---@param refs table
---@param value any
---@return integer
function base.ref_in_table(refs, value)
  if value == nil then return -1 end
  local free = refs[0]
  if not free or free == 0 then free = #refs + 1 else refs[0] = refs[free] end
  refs[free] = value
  return free
end

--- Raises if this is none of the subsystems.
---@param ... string
function base.allows_subsystem(...)
  for i = 1, select("#", ...) do
    if select(i, ...) == "http" then return end
  end
  words.misuse "unsupported subsystem: http"
end

---------------------------------------------------------------------------------------------------
-- others

M.utils = { version = M.version }

--- The text with each byte `old` replaced.
---@param text string
---@param old string
---@param new string
---@return string
function M.utils.str_replace_char(text, old, new)
  if not text:find(old, 1, true) then return text end
  return (text:gsub(old:sub(1, 1):gsub("%W", "%%%0"), (new:sub(1, 1):gsub("%%", "%%%%"))))
end

M.time = {
  version = M.version,
  monotonic_time = function() return math.floor(core.now() * 1000) / 1000 end,
  monotonic_msec = function() return math.floor(core.now() * 1000) end,
}

return M

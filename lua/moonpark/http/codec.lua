-- SPDX-License-Identifier: MIT
-- codec.lua - encodes whole bodies and streams. The libraries (http/gzip.lua, http/brotli.lua) differ in three
-- functions and three numbers:
--
--   open(level, size) -> s              size: of the whole body, nil if it comes in pieces
--   step(s, bytes, n, operation, parts) appends all output for n bytes to the list `parts`; does not wait
--   close(s, level)                     s is not used again
--   PROCESS, FLUSH, FINISH              operations: continue; emit all input so far in readable form; end

local core = require "moonpark.core"
local ffi = require "ffi"

local M = {}

--- Bytes that are compressed before others run.
M.PIECE = 65536

-- The bytes of the text, in pieces between which other tasks run.
local function steps(encoder, s, text, operation, parts)
  local bytes = ffi.cast("const uint8_t *", text)
  local at = 0
  while #text - at > M.PIECE do
    encoder.step(s, bytes + at, M.PIECE, encoder.PROCESS, parts)
    at = at + M.PIECE
    core.yield()
  end
  encoder.step(s, bytes + at, #text - at, operation, parts)
end

local Stream = {}
Stream.__index = Stream

--- What was given so far can be read once this has arrived.
---@param data string|number
---@return string
function Stream:piece(data)
  local parts = {}
  steps(self.encoder, self.s, tostring(data), self.encoder.FLUSH, parts)
  return table.concat(parts)
end

--- The end of the body.
---@return string
function Stream:last()
  local parts, encoder = {}, self.encoder
  encoder.step(self.s, nil, 0, encoder.FINISH, parts)
  encoder.close(self.s, self.level)
  self.s = nil
  return table.concat(parts)
end

---@class moonpark.http.codec
---@field name string of the coding
---@field whole fun(text: string, level: integer): string the whole body; large ones let others run
---@field stream fun(level: integer): table a body in pieces

--- A codec around an encoder.
---@param name string
---@param encoder table
---@return moonpark.http.codec
function M.new(name, encoder)
  local codec = { name = name }
  function codec.whole(text, level)
    local s, parts = encoder.open(level, #text), {}
    steps(encoder, s, text, encoder.FINISH, parts)
    encoder.close(s, level)
    return table.concat(parts)
  end
  function codec.stream(level)
    return setmetatable({ encoder = encoder, s = encoder.open(level), level = level }, Stream)
  end
  return codec
end

return M

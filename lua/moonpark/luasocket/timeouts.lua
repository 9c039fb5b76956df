-- SPDX-License-Identifier: MIT
-- timeouts.lua - settimeout: "b" limits each wait, "t" (or "r") the whole call. They hold for the native object that
-- the socket has, and for those that it gets later.

local misuse = require("moonpark.luasocket.words").misuse

local M = {}

--- Gives a native object the timeouts of the socket.
---@param self table
---@param native table a connection, listener or packet socket
function M.give(self, native)
  if self.block then native:set_wait_timeout(self.block) end
  if self.total then native:set_timeout(self.total) end
end

--- settimeout([seconds[, mode]]) -> 1; negative or nil: none
function M.set(self, value, mode)
  if value ~= nil and not tonumber(value) then
    misuse(("bad argument #2 to '?' (number expected, got %s)"):format(type(value)))
  end
  local asked = tonumber(value) or -1
  value = asked >= 0 and asked or nil
  mode = mode == nil and "b" or tostring(mode):sub(1, 1)
  local native = self.conn or self.listener
  if mode == "b" then
    self.block, self.asked_block = value, asked
    if native then native:set_wait_timeout(value) end
  elseif mode == "t" or mode == "r" then
    self.total, self.asked_total = value, asked
    if native then native:set_timeout(value) end
  else
    misuse("bad argument #3 to '?' (invalid timeout mode)")
  end
  return 1
end

--- gettimeout() -> seconds of each wait, seconds of each call; -1: none
function M.get(self) return self.asked_block or -1, self.asked_total or -1 end

--- Seconds that a connect may take; nil: as long as it needs.
---@return number|nil
function M.patience(self)
  if self.block and self.total then return math.min(self.block, self.total) end
  return self.block or self.total
end

return M

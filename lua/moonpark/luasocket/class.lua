-- SPDX-License-Identifier: MIT
-- class.lua - LuaSocket's objects change their class as they go on: "tcp{master}" becomes "tcp{client}". The classes
-- of a kind have the same methods, each in a table of its own, and a name that tostring shows.

local core = require "moonpark.core"
local misuse = require("moonpark.luasocket.words").misuse

local M = {}

local kinds = {} -- [metatable] = its kind

--- The classes of a kind, as {[name] = metatable}.
---@param kind string "tcp"
---@param names string[] {"master", "client", "server"}
---@return table<string, table>
function M.new(kind, names)
  local classes = {}
  for _, name in ipairs(names) do
    local title = ("%s{%s}"):format(kind, name)
    local meta = { __index = { class = title }, kind = kind, title = title }
    function meta.__tostring(self) return ("%s: 0x%x"):format(title, self.address) end
    classes[name], kinds[meta] = meta, kind
  end
  return classes
end

--- Gives the methods to all classes.
function M.fill(classes, methods)
  for _, meta in pairs(classes) do
    for name, method in pairs(methods) do meta.__index[name] = method end
  end
end

--- An object of that class.
---@param meta table
---@return table
function M.object(meta)
  local self = { kind = meta.kind, since = core.now(), received = 0, sent = 0 }
  self.address = tonumber(("%p"):format(self))
  return setmetatable(self, meta)
end

--- Raises unless the object is of that class.
---@param self any
---@param meta table
---@param others? table a class that will do, too
function M.check(self, meta, others)
  local found = getmetatable(self)
  if found == meta or others and found == others then return end
  local title = kinds[found] and meta.title:gsub("^[^{]*", kinds[found]) or meta.title
  misuse(("bad argument #1 to '?' (%s expected)"):format(title))
end

--- Its kind, "tcp", "udp", ...; nil: it is no socket of ours.
---@param self any
---@return string|nil
function M.kind(self) return kinds[getmetatable(self)] end

return M

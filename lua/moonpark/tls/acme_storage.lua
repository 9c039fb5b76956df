-- SPDX-License-Identifier: MIT
-- acme_storage.lua - a folder as the place where an account, certificates and open challenges are kept, for several
-- processes. Whatever has the same four methods may take its place: a database, for several machines.

local core = require "moonpark.core"

local M = {}

local ENOENT, EAGAIN = 2, 11
local MAX = 1024 * 1024 -- bytes of a file

---@class moonpark.tls.acme_storage
---@field read fun(self, name: string): string|nil, string? nil without a message: there is none
---@field write fun(self, name: string, text: string): true|nil, string? readers see the old text or the new one
---@field remove fun(self, name: string): true|nil, string? no failure if it is not there
---@field lock fun(self): function|nil, string? a function that gives it back; "busy": somebody else has it
local Folder = {}
Folder.__index = Folder

local function fs()
  return require("moonpark.fs")
end

function Folder:path(name) return self.folder .. "/" .. name end

-- Other users of this machine read none of it.
function Folder:make()
  if self.made then return true end
  local ok, err = fs().mkdir(self.folder, { parents = true, mode = "700" })
  if not ok then return nil, ("%s: %s"):format(self.folder, err) end
  self.made = true
  return true
end

function Folder:read(name)
  local text, err, errno = fs().read(self:path(name), MAX)
  if text or errno == ENOENT then return text end
  return nil, ("%s: %s"):format(self:path(name), err)
end

function Folder:write(name, text)
  local ok, err = self:make()
  if not ok then return nil, err end
  ok, err = fs().write(self:path(name), text, { mode = "600", atomic = true })
  if ok then return true end
  return nil, ("%s: %s"):format(self:path(name), err)
end

function Folder:remove(name)
  local ok, err, errno = fs().remove(self:path(name))
  if ok or errno == ENOENT then return true end
  return nil, ("%s: %s"):format(self:path(name), err)
end

-- Challenges that are there while nobody works on one: of a process that has died.
function Folder:clean()
  for _, name in ipairs(fs().list(self.folder) or {}) do
    if name:find "^challenge%-" then self:remove(name) end
  end
end

function Folder:lock()
  local ok, why = self:make()
  if not ok then return nil, why end
  local lock, err, errno = core.file_lock(self:path "lock")
  if not lock then return nil, errno == EAGAIN and "busy" or ("%s: %s"):format(self:path "lock", err) end
  self:clean()
  return function() lock:close() end
end

--- A folder, which is made when something is written. Each authority has its own in it.
---@param path string
---@param directory string the authority's URL
---@return moonpark.tls.acme_storage
function M.folder(path, directory)
  local name = directory:gsub("^%a+://", ""):gsub("[^%w%.%-]", "_")
  return setmetatable({ folder = path:gsub("(.)/+$", "%1") .. "/" .. name }, Folder)
end

return M

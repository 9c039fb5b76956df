-- SPDX-License-Identifier: MIT
-- changes.lua - the files that a program consists of, and when they change.
--
-- What is watched are their folders: editors write another file and rename it. A folder that is not there yet is waited
-- for in the one above it. Changes that come in quick succession are one.

local core = require "moonpark.core"
local ffi = require "ffi"
local fs = require "moonpark.fs"

ffi.cdef "char *moonpark_changes_realpath(const char *path, char *resolved) __asm__(\"realpath\");"

local M = {}

local QUIET = 0.02  -- seconds without a change after which it is complete
local LONGEST = 0.5 -- seconds after which it counts as complete anyhow
local PATH_MAX = 4096

---@class moonpark.workers.changes
---@field folders table<string, {path: string, watcher: moonpark.watcher, names: table<string, true>, whole: boolean}>
local Changes = {}
Changes.__index = Changes

---@param scope moonpark.scope whose tasks watch
---@param log fun(text: string)
---@return moonpark.workers.changes
function M.new(scope, log)
  return setmetatable({ scope = scope, log = log, folders = {}, trees = {}, complained = {}, found = core.event() },
    Changes)
end

local function plain(path)
  path = path:gsub("/+", "/"):gsub("/%./", "/"):gsub("^%./(.)", "%1")
  return #path > 1 and path:gsub("/$", "") or path
end

local function split(path)
  local folder, name = path:match "^(.*)/([^/]*)$"
  if not folder then return ".", path end
  return folder == "" and "/" or folder, name
end

local function join(folder, name)
  if folder == "." then return name end
  return folder == "/" and "/" .. name or folder .. "/" .. name
end

local function real(path)
  local resolved = ffi.new("char[?]", PATH_MAX)
  return ffi.C.moonpark_changes_realpath(path, resolved) ~= nil and ffi.string(resolved) or nil
end

local function note(self, path)
  self.path, self.since = self.path or path, self.since or core.now()
  self.found:set()
end

-- Editors' backups, swap files and probes, and what is hidden.
local function is_noise(name) return name:find "^%." or name:find "~$" or name:find "%.sw[a-z]$" or name == "4913" end

local function see(self, folder, event)
  if not event.name then return note(self, folder.path) end
  local path = join(folder.path, event.name)
  if folder.names[event.name] then return note(self, path) end
  if not folder.whole or is_noise(event.name) then return end
  if event.directory and event.event ~= "removed" then self:add_tree(path) end
  note(self, path)
end

-- Until the folder is gone, or has another name.
local function follow(self, folder)
  core.current():name("watch of " .. folder.path)
  local event = folder.watcher:next()
  while event and event.direction ~= "self" do
    see(self, folder, event)
    event = folder.watcher:next()
  end
  folder.watcher:close()
  self.folders[folder.path] = nil
  note(self, folder.path)
end

local function complain(self, path, err)
  if self.complained[path] then return end
  self.complained[path] = true
  self.log(("cannot watch %s: %s"):format(path, err))
end

-- The folder, which is watched from now on | nil: it is not there, or cannot be watched
local function open(self, path)
  local folder = self.folders[path]
  if folder then return folder end
  local watcher, err, errno = fs.watch(path)
  if not watcher then return nil, err, errno end
  folder = { path = path, watcher = watcher, names = {}, whole = false }
  self.folders[path] = folder
  self.scope:go(follow, self, folder)
  return folder
end

local function is_missing(err) return err == "no such file or directory" or err == "not a directory" end

local function changed_since(path, since)
  local stat = since and fs.stat(path)
  return stat and stat.mtime > since
end

local function add(self, path, since)
  local above, name = split(path)
  local folder, err = open(self, above)
  if not folder then
    if is_missing(err) and above ~= path then return add(self, above) end
    return complain(self, above, err)
  end
  if folder.names[name] then return end
  folder.names[name] = true
  if changed_since(path, since) then note(self, path) end
end

--- A file that counts, and what it is a link to.
---@param path string
---@param since? number seconds since 1970: it counts as changed if it is newer
function Changes:add(path, since)
  path = plain(path)
  add(self, path, since)
  local target = real(path)
  local written = path:find "^/" and path or (real "." or "") .. "/" .. path
  if target and target ~= written then add(self, target, since) end
end

-- A file, or a folder with all that is in it.
---@private
function Changes:add_tree(path)
  local stat = fs.stat(path)
  if not stat or stat.type ~= "directory" then return self:add(path) end
  local folder, err = open(self, path)
  if not folder then return complain(self, path, err) end
  folder.whole = true
  for _, entry in ipairs(fs.list(path, { types = true }) or {}) do
    if entry.type == "directory" and not is_noise(entry.name) then self:add_tree(join(path, entry.name)) end
  end
end

--- A file, or a folder with all that is in it, now and later.
---@param path string
function Changes:add_all(path)
  table.insert(self.trees, plain(path))
  self:add_tree(plain(path))
end

--- Watches what has come back since it was removed.
function Changes:renew()
  for _, path in ipairs(self.trees) do self:add_tree(path) end
end

--- Waits for a change.
---@return string|nil path the first that has changed
---@return number|string since when: moonpark.now(); or why there is none: "canceled"
function Changes:next()
  local ok, err = self.found:wait()
  if not ok then return nil, err end
  repeat
    self.found:clear()
    ok, err = self.found:wait(QUIET)
    if err == "canceled" then return nil, err end
  until not ok or core.now() - self.since > LONGEST
  local path, since = self.path, self.since
  self.path, self.since = nil, nil
  self.found:clear()
  return path, since
end

return M
